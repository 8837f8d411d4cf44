// SPDX-License-Identifier: GPL-2.0
/* TCP connections, one to each subscriber, between the hosts of a line or by the loopback device: one write an event, or a batch. */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS		2000
#define CALL_US		5000

const char by_loopback[] = "";

static int fds[SUBSCRIBERS_MAX];
static unsigned int n;
static unsigned short port;

static void prepare(const struct entry *e)
{
	n = e->subscribers;
	port = free_port();
}

static int tcp_socket(void)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		die("socket: %m");
	return s;
}

static void answer(const struct sockaddr_in *a)
{
	int one = 1, s = tcp_socket();
	unsigned int i;

	if (bind(s, (const struct sockaddr *)a, sizeof(*a)) || listen(s, n))
		die("listen: %m");
	for (i = 0; i < n; i++) {
		fds[i] = accept4(s, NULL, NULL, SOCK_CLOEXEC);
		if (fds[i] < 0 || setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
			die("accept: %m");
	}
	close(s);
}

/* The other end may be there later. */
static void call(const struct sockaddr_in *a)
{
	int i;

	for (i = 0; i < CALLS; i++) {
		fds[0] = tcp_socket();
		if (!connect(fds[0], (const struct sockaddr *)a, sizeof(*a)))
			return;
		close(fds[0]);
		usleep(CALL_US);
	}
	die("connect: %m");
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	bool loopback = e->variant == by_loopback;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	(void)nth;
	fd_open(e, BYTES_MAX);
	inet_pton(AF_INET, loopback ? "127.0.0.1" : line_address(0), &a.sin_addr);
	if (!loopback)
		line_enter(end == SENDS ? 0 : 1);
	if (end == SENDS)
		answer(&a);
	else
		call(&a);
}

static void send_one(const struct payload *p, bool more)
{
	fd_send(fds, n, p, more);
}

static const struct payload *receive_one(void)
{
	return fd_receive(fds[0]);
}

const struct subject tcp_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send_one,
	.receive = receive_one,
};
