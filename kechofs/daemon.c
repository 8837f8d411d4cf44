// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "home.h"

static int verdict = -1;

void daemon_fork(void)
{
	int fds[2];
	char ok = 0;

	if (pipe2(fds, O_CLOEXEC))
		fail("pipe: %s\n", strerror(errno));
	switch (fork()) {
	case -1:
		fail("fork: %s\n", strerror(errno));
	case 0:
		close(fds[0]);
		verdict = fds[1];
		setsid();
		return;
	default:
		close(fds[1]);
		/* The daemon's own messages say what went wrong. */
		while (read(fds[0], &ok, 1) < 0 && errno == EINTR)
			;
		_exit(ok ? 0 : 1);
	}
}

static void notify_systemd(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, len);
	if (path[0] == '@')
		un.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + len) < 0)
		pr_warn("cannot tell systemd: %s\n", strerror(errno));
	close(fd);
}

void daemon_ready(bool forked)
{
	int null;

	notify_systemd();
	if (!forked)
		return;
	log_to_syslog();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		if (null > 2)
			close(null);
	}
	if (chdir("/") || write(verdict, "1", 1) != 1)
		pr_warn("cannot tell that it is ready: %s\n", strerror(errno));
	close(verdict);
}

void daemon_hostname(char *name)
{
	char host[256] = "";
	size_t len;

	gethostname(host, sizeof(host) - 1);
	len = strcspn(host, ".");
	if (!kecho_name_valid(host, len))
		strcpy(host, "node");
	else
		host[len] = 0;
	strcpy(name, host);
}
