// SPDX-License-Identifier: GPL-2.0
/* Submission: one event, to all who are there; by KECho, and by what the system has for one receiver, for each. */
#include "ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <kecho/kecho.h>

#define CONNECTIONS_MAX	64
#define PORT		7000
/* More than a trial's events: nothing waits for its reader. */
#define PIPE_BYTES	(1 << 20)

static char data[BYTES_MAX];
static size_t bytes;
static struct kecho *kecho;
static int fd, ends[2] = { -1, -1 }, connections[CONNECTIONS_MAX];
static unsigned int nconnections;

/* --- the files: a packet an event --- */

static void files_open(const struct entry *e)
{
	bytes = e->bytes;
	fd = open(ops_path(0, "events"), O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("%s: %m", ops_path(0, "events"));
}

static void write_one(void)
{
	if (write(fd, data, bytes) != (ssize_t)bytes)
		die("write: %m");
}

static void files_sink(const struct entry *e, unsigned int i)
{
	const struct call *c = e->variant;
	struct kecho_sink_attrs k;

	fd = open(ops_path(ops_host(c, i), "events"), O_RDONLY | O_DIRECT | O_CLOEXEC);
	snprintf(k.lines, sizeof(k.lines), "k=%u\n", i + 1);
	if (fd < 0 || (c->filter && !c->hosts && ioctl(fd, KECHO_IOC_ATTRS, &k)))
		die("events: %m");
	for (;;) {
		if (read(fd, data, sizeof(data)) != (ssize_t)e->bytes)
			die("read: %m");
		ops_received(i, 1);
	}
}

/* --- libkecho: what is published is in memory that the node takes it from; or flushed: the node has taken it --- */

static void kecho_start(const struct entry *e, unsigned int host)
{
	struct kecho_options options = { .dir = node_at(host) };

	bytes = e->bytes;
	kecho = kecho_open_with(ops_channel(), 0, &options);
	check(kecho_error(kecho));
}

static void kecho_open_end(const struct entry *e)
{
	kecho_start(e, 0);
}

static void kecho_one(void)
{
	struct kecho_event event = { .data = data, .len = bytes };

	check(kecho_publish(kecho, &event, 0));
}

static void kecho_flush_one(void)
{
	kecho_one();
	check(kecho_flush(kecho, -1));
}

/* What is measured is what the entry says. */
static void kecho_check_way(void)
{
	if (!strcmp(kecho_via(kecho), "file"))
		die("the node at %s offers no rings", node_at(0));
}

static void kecho_sink(const struct entry *e, unsigned int i)
{
	const struct call *c = e->variant;
	struct kecho_event event;
	struct kecho_sub *sub;
	char k[16];

	kecho_start(e, ops_host(c, i));
	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	snprintf(k, sizeof(k), "k=%u\n", i + 1);
	if (c->filter && !c->hosts)
		check(kecho_sub_attr_set(sub, k));
	for (;;) {
		check(kecho_poll(sub, &event, -1));
		kecho_event_put(sub, &event);
		ops_received(i, 1);
	}
}

/* --- a pipe --- */

static void pipe_prepare(const struct entry *e)
{
	bytes = e->bytes;
	close(ends[0]);
	close(ends[1]);
	if (pipe2(ends, O_CLOEXEC) || fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
		die("pipe: %m");
}

static void pipe_open(const struct entry *e)
{
	(void)e;
	fd = ends[1];
}

/* Whole events of @from, until who sends them has ended. */
static void count_bytes(int from, unsigned int i)
{
	size_t have = 0;
	ssize_t n;

	while ((n = read(from, data, bytes - have)) > 0) {
		have += n;
		if (have < bytes)
			continue;
		have = 0;
		ops_received(i, 1);
	}
	if (n)
		die("read: %m");
}

static void pipe_sink(const struct entry *e, unsigned int i)
{
	(void)e;
	ops_ready();
	count_bytes(ends[0], i);
}

/* --- TCP: a connection for each receiver --- */

unsigned int submit_port(unsigned int i)
{
	return PORT + i;
}

static int tcp_socket(void)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("socket: %m");
	return s;
}

static struct sockaddr_in address_of(const struct entry *e, unsigned int i)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(submit_port(i)) };

	inet_pton(AF_INET, line_address(ops_host(e->variant, i)), &a.sin_addr);
	return a;
}

int submit_connect(const struct entry *e, unsigned int i)
{
	struct sockaddr_in a = address_of(e, i);
	int s = tcp_socket();

	if (connect(s, (struct sockaddr *)&a, sizeof(a)))
		die("connect: %m");
	return s;
}

int submit_accept(const struct entry *e, unsigned int i)
{
	struct sockaddr_in a = address_of(e, i);
	int s = tcp_socket(), c;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1))
		die("listen: %m");
	ops_ready();
	c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	if (c < 0)
		die("accept: %m");
	close(s);
	return c;
}

static void tcp_open(const struct entry *e)
{
	const struct call *c = e->variant;

	bytes = e->bytes;
	for (nconnections = 0; nconnections < c->sinks; nconnections++)
		connections[nconnections] = submit_connect(e, nconnections);
}

static void tcp_one(void)
{
	unsigned int i;

	for (i = 0; i < nconnections; i++)
		if (send(connections[i], data, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
			die("send: %m");
}

static void tcp_sink(const struct entry *e, unsigned int i)
{
	bytes = e->bytes;
	count_bytes(submit_accept(e, i), i);
}

const struct operation submit_files = { .prepare = ops_join, .open = files_open, .run = write_one, .sink = files_sink };
const struct operation submit_kecho = {
	.prepare = ops_join, .open = kecho_open_end, .run = kecho_one, .after = kecho_check_way, .sink = kecho_sink,
};
const struct operation submit_flushed = {
	.prepare = ops_join, .open = kecho_open_end, .run = kecho_flush_one, .after = kecho_check_way, .sink = kecho_sink,
};
const struct operation submit_kernel = { .prepare = ops_join, .module = "publish", .sink = files_sink };
const struct operation submit_pipe = { .prepare = pipe_prepare, .open = pipe_open, .run = write_one, .sink = pipe_sink };
const struct operation submit_tcp = { .open = tcp_open, .run = tcp_one, .sink = tcp_sink };
const struct operation submit_sendmsg = { .module = "sendmsg", .sink = tcp_sink };
