// SPDX-License-Identifier: GPL-2.0
/* TIPC group messaging: what the kernel itself has. The group's window makes the publisher wait, so nothing is lost. */
#include "bench.h"

#include <linux/tipc.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUP	4711

enum { PUBLISHER, SUBSCRIBER };

static uint32_t group = GROUP;
static int fd;

static const char *lacks(void)
{
	static int there = -1;

	if (there < 0)
		there = socket(AF_TIPC, SOCK_RDM | SOCK_CLOEXEC, 0);
	return there < 0 ? "this kernel has no TIPC, or `modprobe tipc` has not been called" : NULL;
}

static void prepare(const struct entry *e)
{
	(void)e;
	group++;
}

/* An empty message out of band tells of each. */
static void wait_members(unsigned int n)
{
	char none;
	struct iovec v = { &none, sizeof(none) };
	struct msghdr m;

	while (n) {
		m = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
		if (recvmsg(fd, &m, 0) < 0)
			die("tipc: %m");
		if (m.msg_flags & MSG_OOB && !(m.msg_flags & MSG_EOR))
			n--;
	}
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	struct tipc_group_req join = { .type = group, .instance = end == SENDS ? PUBLISHER : SUBSCRIBER, .scope = TIPC_NODE_SCOPE,
				       .flags = end == SENDS ? TIPC_GROUP_MEMBER_EVTS : 0 };

	(void)nth;
	fd_open(e, e->bytes);
	fd = socket(AF_TIPC, SOCK_RDM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_TIPC, TIPC_GROUP_JOIN, &join, sizeof(join)))
		die("tipc: %m");
	if (end == SENDS)
		wait_members(e->subscribers);
}

/* Without an address it goes to all others. */
static void send_one(const struct payload *p, bool more)
{
	fd_send(&fd, 1, p, more);
}

static const struct payload *receive_one(void)
{
	return fd_receive(fd);
}

const struct subject tipc_subject = {
	.lacks = lacks,
	.prepare = prepare,
	.open = open_end,
	.send = send_one,
	.receive = receive_one,
};
