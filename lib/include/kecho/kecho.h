/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: KECho for services
 *
 * Join a channel, publish, subscribe with a handler or by polling, say and read attributes: the same names in the kernel and in user
 * space, so that one source compiles for both. What is said of sleeping concerns the kernel.
 *
 * In the kernel a node belongs to a network namespace and exists while kechofs is mounted there (or a service has a channel open):
 * the directories of channels, the files and what is counted there are the same for services and for programs.
 */
#ifndef KECHO_KECHO_H
#define KECHO_KECHO_H
#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#endif
#include <linux/kecho.h>

struct kecho;	/* a channel, opened */
struct kecho_sub;	/* a subscription */

/* --- attributes --- */

enum kecho_attr_type {
	KECHO_ATTR_INT = 1,
	KECHO_ATTR_DECIMAL = 2,
	KECHO_ATTR_STRING = 3,
};

/* A decimal's unit is one of so many: there is no floating point in the kernel. */
#define KECHO_DECIMAL_ONE 1000000000

/**
 * struct kecho_attr - one attribute of a list
 * @name: points into the list; not terminated
 * @str: a string's bytes, likewise
 * @num: an integer, or a decimal in units of 10^-9
 * @type: enum kecho_attr_type
 */
struct kecho_attr {
	const char *name;
	const char *str;
	__s64 num;
	__u16 str_len;
	__u8 name_len;
	__u8 type;
};

/**
 * kecho_attr_find() - one attribute of a list, by name
 * @attrs, @len: the list, as &struct kecho_event has it
 * Return: false if there is none. Context: any.
 */
bool kecho_attr_find(const void *attrs, size_t len, const char *name, struct kecho_attr *attr);

/**
 * kecho_attr_next() - walk through a list
 * @pos: starts at 0
 * Return: false at the end. Context: any.
 */
bool kecho_attr_next(const void *attrs, size_t len, __u32 *pos, struct kecho_attr *attr);

/**
 * kecho_attr_decimal() - a number, integer or not, in units of 10^-9, for comparisons
 * Integers beyond what fits come out as the largest or least. Return: false if it is a string.
 */
bool kecho_attr_decimal(const struct kecho_attr *attr, __s64 *value);
/** kecho_attr_cmp() - order two values: numbers by value, integers and decimals mixed; any number before any string. <0, 0, >0 */
int kecho_attr_cmp(const struct kecho_attr *a, const struct kecho_attr *b);

/**
 * kecho_attr_encode() - make a list for an event
 * @lines: ``name=value`` each, as the file attrs takes them
 * @buf: gets the list, at most @size bytes of it
 * Return: its bytes; -EINVAL: a line cannot be read; -E2BIG: more than @size; -ENOMEM. Context: may sleep.
 */
int kecho_attr_encode(const char *lines, void *buf, size_t size);

/* --- channels --- */

/* For kecho_open(): join the channel, or create it, as mkdir does, unless this node is on it. */
#define KECHO_CREATE	1

/**
 * kecho_open() - open a channel of the node
 * @channel: its name
 * @flags: KECHO_CREATE or 0
 *
 * In the kernel the node is that of the caller's network namespace; kecho_open_net() takes another one's. An open channel cannot be
 * left by rmdir, and its node does not end.
 *
 * Return: to be closed by kecho_close(); or ERR_PTR (in user space NULL with errno): -ENXIO: no node runs here; -ENOENT: it is not
 * on that channel; -EINVAL: no such name can be; -ENOSPC, -ENOMEM, -EINTR. Context: may sleep; with KECHO_CREATE up to seconds, until
 * the members are known.
 */
#ifdef __KERNEL__
struct net;
struct kecho *kecho_open_net(struct net *net, const char *channel, unsigned int flags, const char *who);
struct kecho *kecho_open_current(const char *channel, unsigned int flags, const char *who);
/* members shows who has a subscription: its module. */
#define kecho_open(channel, flags) kecho_open_current(channel, flags, KBUILD_MODNAME)
#else
struct kecho *kecho_open(const char *channel, unsigned int flags);
#endif

/**
 * kecho_close() - all subscriptions have ended, nobody is publishing. This node stays on the channel, as with a file that is closed.
 * Context: may sleep.
 */
void kecho_close(struct kecho *k);

/**
 * kecho_attr_set() - what this node says of itself on the channel, or (``kecho.``) the channel's settings
 * @lines: ``name=value`` each; ``name=`` removes. All of them or, with an error, none.
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM. Context: may sleep.
 */
int kecho_attr_set(struct kecho *k, const char *lines);

/**
 * kecho_attr_get() - the text of an attribute that this node says of itself on the channel
 * Return: its length, of which at most @size - 1 bytes and a NUL are in @buf; -ENOENT. Context: may sleep.
 */
int kecho_attr_get(struct kecho *k, const char *name, char *buf, size_t size);

/* --- events --- */

/**
 * struct kecho_event - an event
 * @data, @len: the payload
 * @type, @type_len: a name, not terminated; 0: none
 * @attrs, @attrs_len: a list of attributes
 * @prio: 0 to 7, the higher the more urgent
 * @deadline_us: of use so long after it was published; 0: for ever
 * @publisher: the id of the node that published it
 * @seq: the publisher's own number on this channel: a jump is events that were not meant for this sink, or that were lost
 * @time_ns: CLOCK_REALTIME at publishing
 * @lost: events lost for this subscription so far
 * @flags: KECHO_FRAME_RETAINED, KECHO_FRAME_LOCAL
 * @msg: the implementation's
 *
 * To publish, @data to @deadline_us are set and the rest is ignored: what was received can be published on as it is. What a received
 * event points to is valid until its handler returns, or kecho_event_put(), and is not to be changed.
 */
struct kecho_event {
	const void *data;
	const char *type;
	const void *attrs;
	__u32 len;
	__u16 attrs_len;
	__u8 type_len;
	__u8 prio;
	__u32 deadline_us;
	__u32 flags;
	__u64 publisher;
	__u64 seq;
	__u64 time_ns;
	__u64 lost;
	void *msg;
};

/* For kecho_publish(): do not wait for room, do not sleep. */
#define KECHO_NOWAIT	1

/**
 * kecho_publish() - publish an event
 * @flags: KECHO_NOWAIT or 0
 *
 * The payload is copied. With KECHO_NOWAIT the links' workers send it; otherwise the caller does, where a link is free.
 *
 * Return: how many receivers it goes to, local sinks and members; -EMSGSIZE: larger than max_event; -EINVAL: no such type, priority or
 * attributes can be; -EAGAIN: the channel's receivers have no room (kecho.overflow=block, KECHO_NOWAIT); -EINTR: a signal ended the
 * wait for it; -ENOMEM. With an error nothing is published.
 * Context: any but hard interrupts, if KECHO_NOWAIT; else may sleep.
 */
int kecho_publish(struct kecho *k, const struct kecho_event *event, unsigned int flags);

/**
 * kecho_handler_t - takes an event
 * Events of one subscription come one after another. It must not end its own subscription.
 * Context: may sleep; a slow one costs only its own subscription.
 */
typedef void (*kecho_handler_t)(const struct kecho_event *event, void *arg);

/**
 * kecho_subscribe() - receive the channel's events, from now on and those it retains
 * @type: only those of that type; NULL: all
 * @handler: gets them; NULL: kecho_poll() does
 * Return: to be ended by kecho_unsubscribe(), before kecho_close(); or ERR_PTR (in user space NULL with errno): -EINVAL, -ENOMEM.
 * Context: may sleep.
 */
struct kecho_sub *kecho_subscribe(struct kecho *k, const char *type, kecho_handler_t handler, void *arg);

/**
 * kecho_sub_attr_set() - what a subscription says of itself: from then on filters, of all members, see it as a receiver of its own
 * @lines: ``name=value`` each; ``name=`` removes. All of them or, with an error, none.
 * Return: 0, -EINVAL, -E2BIG, -ENOMEM. Context: may sleep.
 */
int kecho_sub_attr_set(struct kecho_sub *sub, const char *lines);

/** kecho_unsubscribe() - when it returns no handler is running any more, and no event is held. Context: may sleep. */
void kecho_unsubscribe(struct kecho_sub *sub);

/**
 * kecho_poll() - the next event of a subscription without a handler
 * @event: filled; to be given back by kecho_event_put() before the subscription ends
 * @timeout_ms: how long to wait for one; 0: not at all (then in any context), negative: for ever
 * Return: 1; 0: none has come; -EINTR: a signal ended the wait; -EINVAL: the subscription has a handler.
 */
int kecho_poll(struct kecho_sub *sub, struct kecho_event *event, int timeout_ms);

/** kecho_event_put() - the event has been consumed: its publisher may send another one. Context: any. */
void kecho_event_put(struct kecho_sub *sub, struct kecho_event *event);
#endif
