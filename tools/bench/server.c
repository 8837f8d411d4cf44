// SPDX-License-Identifier: GPL-2.0
/* Servers that others need: started when the first of them is measured, and stopped with us. */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS	10000
#define LOOK_US		5000
#define SERVERS_MAX	8
/* What a child says by its exit status, as a shell does. */
#define NOT_THERE	127

static struct server *servers[SERVERS_MAX];
static unsigned int nservers;
static pid_t owner;

void make_dir(char *dir, size_t size)
{
	const char *tmp = getenv("TMPDIR");

	if (snprintf(dir, size, "%s/kecho-bench.XXXXXX", tmp && *tmp ? tmp : "/tmp") >= (int)size)
		die("TMPDIR is too long");
	if (!mkdtemp(dir))
		die("%s: %m", dir);
}

unsigned short free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) || getsockname(fd, (struct sockaddr *)&a, &len))
		die("no free port: %m");
	close(fd);
	return ntohs(a.sin_port);
}

const char *server_topic(void)
{
	static char topic[32];
	static unsigned int n;

	snprintf(topic, sizeof(topic), "bench%u", n++);
	return topic;
}

/* What is mounted at its directory, if that is how it works, and its socket are left. */
static void remove_dir(const struct server *s)
{
	umount2(s->dir, MNT_DETACH);
	unlink(s->address);
	rmdir(s->dir);
}

static void stop_all(void)
{
	if (getpid() != owner)
		return;
	while (nservers--) {
		process_end(&servers[nservers]->pid);
		remove_dir(servers[nservers]);
	}
}

static int connect_unix(const struct server *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, s->address);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) ? close(fd), -1 : fd;
}

static int connect_tcp(const struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(atoi(s->address)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) ? close(fd), -1 : fd;
}

static bool ready(const struct server *s)
{
	int fd;

	if (s->ready)
		return s->ready(s);
	fd = s->tcp ? connect_tcp(s) : connect_unix(s);
	return fd >= 0 && !close(fd);
}

/* A file without a name, which /dev/stdin opens at its beginning. */
static int config_file(const struct server *s)
{
	int fd = memfd_create("config", 0);

	if (fd < 0 || dprintf(fd, s->config, s->address) < 0 || lseek(fd, 0, SEEK_SET))
		die("configuration: %m");
	return fd;
}

static _Noreturn void be_server(const struct server *s)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char path[4096];

	if (s->run) {
		s->run(s);
		_exit(NOT_THERE);
	}
	snprintf(path, sizeof(path), "%s:/usr/sbin:/sbin", getenv("PATH") ?: "/usr/bin:/bin");
	setenv("PATH", path, 1);
	if (dup2(config_file(s), 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2)
		execvp(s->command[0], (char *const *)s->command);
	_exit(NOT_THERE);
}

/* False: it cannot be had. */
static bool wait_ready(const struct server *s)
{
	uint64_t end = now() + START_MS * 1000000ull;
	int status;

	while (!ready(s)) {
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_THERE)
				return false;
			die("%s has ended", s->command ? s->command[0] : "a server");
		}
		if (now() > end || interrupted)
			die("%s does not answer", s->command ? s->command[0] : "a server");
		usleep(LOOK_US);
	}
	return true;
}

void server_init(void)
{
	owner = getpid();
	atexit(stop_all);
}

bool server_up(struct server *s)
{
	if (s->pid)
		return s->pid > 0;
	make_dir(s->dir, sizeof(s->dir));
	if (s->tcp)
		snprintf(s->address, sizeof(s->address), "%u", free_port());
	else
		snprintf(s->address, sizeof(s->address), "%s/socket", s->dir);
	s->pid = process_start(SIGTERM);
	if (!s->pid)
		be_server(s);
	servers[nservers++] = s;
	if (wait_ready(s))
		return true;
	nservers--;
	remove_dir(s);
	s->pid = -1;
	return false;
}
