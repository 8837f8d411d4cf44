// SPDX-License-Identifier: GPL-2.0
/* What kecho serve and kecho req share: the two channels, their filters, time. */
#include "kecho.h"
#include "lb.h"
#include "../chain.h"
#include "../now.h"
#include "../random.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <kecho/limits.h>

/* Read in a row before others have their turn. */
#define BATCH 64

uint64_t lb_now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t lb_random(void)
{
	uint64_t n = random_id();

	if (!n)
		die("no random number: %m");
	return n;
}

void lb_open(struct lb_channel *c, const char *name, bool serves)
{
	char other[KECHO_NAME_MAX + sizeof(LB_ANSWERS)];
	int err;

	check_channel(name);
	if (strlen(name) + strlen(LB_ANSWERS) > KECHO_NAME_MAX)
		die_with(EXIT_USAGE, "'%s' is too long: its answers go by %s" LB_ANSWERS, name, name);
	node_fd();	/* says what is wrong with it */
	err = lb_channel_open(c, name, serves, NULL, NULL);
	if (err) {
		snprintf(other, sizeof(other), "%s" LB_ANSWERS, name);
		if (faccessat(node_fd(), name, R_OK | W_OK, AT_EACCESS) == 0)
			name = other;
		errno = -err;
		die_file(name, "events");
	}
	chain_fill_lb(node_dir(), name);
}

/* Whether there may be more at once. */
bool lb_receive(struct kecho_sub *sub, const char *name, void (*take)(const struct lb_msg *msg, void *arg), void *arg)
{
	struct kecho_event event;
	struct lb_msg msg;
	int n = 0, i;

	for (i = 0; i < BATCH && (n = kecho_poll(sub, &event, 0)) > 0; i++) {
		if (lb_decode(&event, &msg))
			take(&msg, arg);
		kecho_event_put(sub, &event);
	}
	if (n >= 0 || n == -EINTR || n == -ENOMEM)
		return n > 0;
	errno = -n;
	die_node(name);
}

void lb_publish(struct lb_channel *c, const struct lb_msg *msg)
{
	int err;

	while ((err = lb_channel_send(c, msg, 0)) == -EINTR)
		;
	if (err >= 0)
		return;
	errno = -err;
	if (errno == EMSGSIZE)
		die("%u bytes are more than an event of this node may have: see max_event in .node/config", msg->len);
	die_node("cannot publish");
}
