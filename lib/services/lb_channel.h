/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The two channels of load balancing: lb.h's messages as events. */
#ifndef KECHO_SERVICES_LB_CHANNEL_H
#define KECHO_SERVICES_LB_CHANNEL_H
#include "lb.h"

/**
 * struct lb_channel
 * @serves, @answers: subscriptions; @serves is of a server, or of who forwards, else NULL
 */
struct lb_channel {
	struct kecho *request;
	struct kecho *answer;
	struct kecho_sub *serves;
	struct kecho_sub *answers;
};

/**
 * lb_channel_open() - open both channels, and subscribe
 * @name: of the channel of requests; at most KECHO_NAME_MAX less the length of LB_ANSWERS
 * @serves: subscribe to requests, too
 * @handler, @arg: as for kecho_subscribe(); of both subscriptions. It calls lb_decode().
 * Return: 0, or what kecho_open() and kecho_subscribe() have; -EINVAL. Context: may sleep.
 */
int lb_channel_open(struct lb_channel *c, const char *name, bool serves, kecho_handler_t handler, void *arg);

/** lb_channel_close() - the mirror. Context: may sleep, no handler may be running that waits for the caller. */
void lb_channel_close(struct lb_channel *c);

/** lb_channel_send() - publish a message on its channel. Return: as kecho_publish(). Context: may sleep. */
int lb_channel_send(struct lb_channel *c, const struct lb_msg *msg, unsigned int flags);

/**
 * lb_channel_load() - what a server says of itself, for the filter least
 * load=: requests here for each slot, as a decimal; serves=: slots; queue=: how many wait. Said on the subscription.
 * Return: as kecho_sub_attr_set(). Context: may sleep.
 */
int lb_channel_load(struct lb_channel *c, const struct lb_server *server);

/* So long what is said may be a little off: all others are told of each change, and nobody's choice depends on a hundredth request. */
#define LB_LOAD_MS 1000

/** struct lb_said - what a server has said of itself, and when; @at_ms 0: nothing yet */
struct lb_said {
	__u32 busy;
	__u32 queued;
	__u64 at_ms;
};

/**
 * lb_load_due() - when lb_channel_load() is to be called; LB_NEVER: it is as it has been said
 * @often_ms: between two that differ by a sixteenth or more
 */
static inline __u64 lb_load_due(const struct lb_said *said, const struct lb_server *server, __u64 often_ms)
{
	__u32 before = said->busy + said->queued, now = server->busy + server->queued;

	if (!said->at_ms)
		return 0;
	if (said->busy == server->busy && said->queued == server->queued)
		return LB_NEVER;
	return said->at_ms + ((before < now ? now - before : before - now) * 16ull >= before ? often_ms : LB_LOAD_MS);
}
#endif
