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

/** lb_load_far() - whether another number of requests is worth telling sooner: it differs by a sixteenth */
static inline bool lb_load_far(__u32 said, __u32 requests)
{
	return (said < requests ? requests - said : said - requests) * 16ull >= said;
}
#endif
