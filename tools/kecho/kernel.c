// SPDX-License-Identifier: GPL-2.0
/* The node that is the kernel's: its mount, with the options that kechofsd takes. */
#include "kecho.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>

/* What mount(8) understands, and a file system does not. */
static bool is_mount_option(const char *option)
{
	static const char *const known[] = {
		"defaults", "rw", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "auto", "noauto", "user", "nouser",
		"users", "_netdev", "nofail", "atime", "noatime", "relatime", NULL
	};
	int i;

	for (i = 0; known[i]; i++)
		if (!strcmp(option, known[i]))
			return true;
	return !strncmp(option, "x-", 2);
}

/* Writes @key=ADDRESS[:PORT] for ADDRESS, NAME, NAME:PORT: the kernel looks up no names. */
static void put_host(FILE *out, const char *key, const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	size_t len = strcspn(host, ":");
	char name[NI_MAXHOST], address[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	bool port = host[len];
	int err;

	snprintf(name, sizeof(name), "%.*s", (int)len, host);
	/* Addresses, every address, and what the kernel refuses. */
	if (!len || strchr("[*", host[0]) || strchr(host, ':') != strrchr(host, ':') || inet_pton(AF_INET, name, &ip) == 1) {
		fprintf(out, "%s=%s,", key, host);
		return;
	}
	err = getaddrinfo(name, NULL, &hints, &found);
	if (err)
		die("%s=%s: %s: give a name that resolves, or an IP address", key, host, gai_strerror(err));
	if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST))
		die("%s=%s: the name has no IP address", key, host);
	fprintf(out, port && found->ai_family == AF_INET6 ? "%s=[%s]%s," : "%s=%s%s,", key, address, host + len);
	freeaddrinfo(found);
}

/* The @lists of options as one, for the kernel; the result is the caller's. */
char *kernel_options(char **lists, int n)
{
	char *text = NULL, *list, *option, *rest;
	const char *key;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int i;

	if (!out)
		die("%m");
	for (i = 0; i < n; i++) {
		key = NULL;
		list = strdup(lists[i]);
		if (!list)
			die("%m");
		for (option = strtok_r(list, ",", &rest); option; option = strtok_r(NULL, ",", &rest)) {
			/* A comma also stands between the hosts of group= and peer=. */
			if (key && !strchr(option, '=') && strpbrk(option, ":.")) {
				put_host(out, key, option);
				continue;
			}
			key = !strncmp(option, "peer=", 5) ? "peer" : !strncmp(option, "group=", 6) ? "group" : NULL;
			if (key)
				put_host(out, key, strchr(option, '=') + 1);
			else if (!strncmp(option, "listen=", 7))
				put_host(out, "listen", option + 7);
			else if (!is_mount_option(option))
				fprintf(out, "%s,", option);
		}
		free(list);
	}
	if (fclose(out))
		die("%m");
	if (size)
		text[size - 1] = '\0';
	return text;
}

/* What went wrong with a file system's context is said by the kernel, there, and by errno. */
static _Noreturn void die_context(int fd, const char *what)
{
	int err = errno;
	char line[1024];
	ssize_t n;
	bool said = false;

	while ((n = read(fd, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		warning("%s", line + (strncmp(line, "e kechofs: ", 11) ? 0 : 11));
		said = true;
	}
	errno = err;
	if (!said)
		die("%s: %m: the kernel's log may say more", what);
	exit(EXIT_FAILURE);
}

/* The kernel's file system, whose modules are loaded if need be. Returns -1 with @why if there is none for us. */
int kernel_open(const char **why)
{
	int fd = fsopen("kechofs", FSOPEN_CLOEXEC);

	if (fd >= 0)
		return fd;
	*why = errno == ENODEV ? "no kernel module, as `modprobe kechofs` shows" :
	       errno == EPERM ? "only root may mount the kernel's" : strerror(errno);
	return -1;
}

/* Starts the kernel's node and mounts it, or the one that there is if @options are not others: then false, with @why. */
bool kernel_mount(int fd, const char *options, const char *dir, const char **why)
{
	char *list = strdup(options), *option, *value, *rest;
	int mount;

	if (!list)
		die("%m");
	fsconfig(fd, FSCONFIG_SET_STRING, "source", "kecho", 0);
	for (option = strtok_r(list, ",", &rest); option; option = strtok_r(NULL, ",", &rest)) {
		value = strchr(option, '=');
		if (value)
			*value++ = '\0';
		if (fsconfig(fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, option, value, 0))
			die_context(fd, option);
	}
	free(list);
	if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		*why = "this network namespace has a node in the kernel already, with other options";
		if (errno == EBUSY)
			return false;
		die_context(fd, "the node did not start");
	}
	mount = fsmount(fd, FSMOUNT_CLOEXEC, 0);
	if (mount < 0 || move_mount(mount, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH))
		die_context(fd, dir);
	close(mount);
	return true;
}
