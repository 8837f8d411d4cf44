// SPDX-License-Identifier: GPL-2.0
/* A TCP connection between the hosts of a line: one write an event, or a batch of them. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT		7000
#define BUFFER		(1 << 20)
#define CALLS		2000
#define CALL_US		5000

static int fd;
static char buf[BUFFER];
static size_t bytes, filled, taken;

static int tcp_socket(void)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		die("socket: %m");
	return s;
}

static void answer(const struct sockaddr_in *a)
{
	int s = tcp_socket();

	if (bind(s, (const struct sockaddr *)a, sizeof(*a)) || listen(s, 1))
		die("listen: %m");
	fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		die("accept: %m");
	close(s);
}

/* The other end may be there later. */
static void call(const struct sockaddr_in *a)
{
	int i, one = 1;

	for (i = 0; i < CALLS; i++) {
		fd = tcp_socket();
		if (!connect(fd, (const struct sockaddr *)a, sizeof(*a)) &&
		    !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
			return;
		close(fd);
		usleep(CALL_US);
	}
	die("connect: %m");
}

static void open_end(const struct entry *e, enum end end)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int host = end == SENDS ? 0 : 1;

	bytes = entry_bytes(e);
	inet_pton(AF_INET, line_address(1), &a.sin_addr);
	line_enter(host);
	if (host)
		answer(&a);
	else
		call(&a);
}

static void send_one(const struct payload *p, bool more)
{
	size_t done = 0;
	ssize_t n;

	memcpy(buf + filled, p, bytes);
	filled += bytes;
	if (more && filled + bytes <= sizeof(buf))
		return;
	for (; done < filled; done += n) {
		n = write(fd, buf + done, filled - done);
		if (n <= 0)
			die("write: %m");
	}
	filled = 0;
}

static const struct payload *receive_one(void)
{
	ssize_t n;

	if (filled - taken < bytes) {
		memmove(buf, buf + taken, filled - taken);
		filled -= taken;
		taken = 0;
	}
	while (filled - taken < bytes) {
		n = read(fd, buf + filled, sizeof(buf) - filled);
		if (n <= 0)
			die("read: %m");
		filled += n;
	}
	taken += bytes;
	return (const struct payload *)(buf + taken - bytes);
}

static void finish(void)
{
	shutdown(fd, SHUT_WR);
}

const struct subject tcp_subject = {
	.open = open_end,
	.send = send_one,
	.receive = receive_one,
	.finish = finish,
};
