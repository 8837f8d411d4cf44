// SPDX-License-Identifier: GPL-2.0
/* The mount and its files. */
#include "kecho.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <kecho/kecho.h>

const char *node_dir(void)
{
	const char *dir = getenv("KECHO_DIR");

	return dir && *dir ? dir : "/kecho";
}

/* The root of the mount; every path is relative to it. */
int node_fd(void)
{
	static int fd = -1;
	const char *dir = node_dir();

	if (fd >= 0)
		return fd;
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !faccessat(fd, ".node", F_OK, 0))
		return fd;
	if (errno == EACCES)
		die("%s: permission denied: its owner can chmod it", dir);
	if (errno != ENOTCONN)
		die("no node runs at %s: start one with `kecho up`, or set KECHO_DIR to its mount",
		    dir);
	die_node(dir);
}

/* @what has failed with errno, perhaps because its node is there no more. */
void die_node(const char *what)
{
	if (errno == ENOTCONN || errno == ENODEV || errno == ECONNABORTED)
		die("the node at %s has died or was stopped: `kecho up` starts it again",
		    node_dir());
	die("%s: %m", what);
}

/* @file of @channel, or of channel/type, could not be opened. */
_Noreturn void die_file(const char *channel, const char *file)
{
	switch (errno) {
	case ENOENT:
		if (channel[0] == '.')
			break;
		die("no %s %s here: `kecho ls` shows the channels, `kecho join %s` (or mkdir %s/%s) "
		    "%s it", strchr(channel, '/') ? "type" : "channel", channel, channel,
		    node_dir(), channel, strchr(channel, '/') ? "declares" : "joins or creates");
	case EACCES:
	case EPERM:
		die("%s/%s/%s: permission denied: `ls -l` shows who may; its owner or root can "
		    "chmod it", node_dir(), channel, file);
	case ENOTTY:
		die("%s/%s/%s: no framed mode: is this the mount of a node of version "
		    KECHO_VERSION "?", node_dir(), channel, file);
	}
	die_node(file);
}

int open_file(const char *channel, const char *file, int flags)
{
	char *path;
	int fd;

	if (asprintf(&path, "%s/%s", channel, file) < 0)
		die("%m");
	fd = openat(node_fd(), path, flags | O_CLOEXEC);
	if (fd < 0)
		die_file(channel, file);
	free(path);
	return fd;
}

/* @via: NULL: as it is best. */
struct kecho *open_channel(const char *channel, const char *via)
{
	struct kecho_options options = { .dir = node_dir(), .via = via };
	struct kecho *kecho;

	node_fd();	/* says what is wrong with it */
	kecho = kecho_open_with(channel, 0, &options);
	if (!kecho)
		die_file(channel, "events");
	return kecho;
}

/* Reads @fd to its end. The result is the caller's; @len does not count the NUL that ends it. */
char *read_all(int fd, const char *name, size_t *len)
{
	size_t size = 64 << 10, used = 0;
	char *buf = malloc(size);
	ssize_t n;

	while (buf) {
		n = read(fd, buf + used, size - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die_node(name);
		if (n == 0)
			break;
		used += n;
		if (used < size - 1)
			continue;
		if (size >= SIZE_LIMIT)
			die("%s: larger than %u MiB: cut it, or use `kecho pub -l`", name,
			    SIZE_LIMIT >> 20);
		size *= 2;
		buf = realloc(buf, size);
	}
	if (!buf)
		die("%s: %m", name);
	buf[used] = '\0';
	if (len)
		*len = used;
	return buf;
}

char *read_file(const char *channel, const char *file)
{
	int fd = open_file(channel, file, O_RDONLY);
	char *text = read_all(fd, file, NULL);

	close(fd);
	return text;
}

/* One write, because the node applies one write whole or not at all. Returns 0 or an errno. */
int write_file(const char *channel, const char *file, const char *text)
{
	int fd = open_file(channel, file, O_WRONLY);
	size_t len = strlen(text);
	ssize_t n = write(fd, text, len);
	int err = n < 0 ? errno : (size_t)n < len ? EIO : 0;

	/* A file that has the error only at close is not to be believed. */
	if (close(fd) && !err)
		err = errno;
	return err;
}
