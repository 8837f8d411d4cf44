/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: KECho for services
 *
 * Join a channel, publish, subscribe with a handler or by polling, say and read attributes: the same names in the kernel and in user
 * space, so that one source compiles for both. What is said of sleeping and of contexts concerns the kernel.
 *
 * In the kernel a node belongs to a network namespace and exists while kechofs is mounted there (or a service has a channel open):
 * the directories of channels, the files and what is counted there are the same for services and for programs.
 *
 * In user space this is libkecho. It uses the files of a mount, by permission; events it moves through memory that it shares with the
 * node, where the node offers that, else through the files. Every function may then also return -EACCES, and -ENODEV when the node has
 * ended or has been left: that does not pass, what was opened is to be closed. libkecho(3) says more.
 */
#ifndef KECHO_KECHO_H
#define KECHO_KECHO_H
#ifdef __KERNEL__
#include <linux/err.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#endif
#include <linux/kecho.h>

#ifdef __cplusplus
extern "C" {
#endif

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
 * kecho_attr_text() - a value as the file attrs shows it: what would be read back as something else stands in quotes
 * Return: its length, of which at most @size - 1 bytes and a NUL are in @buf; -ENOMEM. Context: may sleep.
 */
int kecho_attr_text(const struct kecho_attr *attr, char *buf, size_t size);

/**
 * kecho_attr_encode() - make a list for an event
 * @lines: ``name=value`` each, as the file attrs takes them
 * @buf: gets the list, at most @size bytes of it
 * Return: its bytes; -EINVAL: a line cannot be read; -E2BIG: more than @size; -ENOMEM. Context: may sleep.
 */
int kecho_attr_encode(const char *lines, void *buf, size_t size);

/* --- channels --- */

/*
 * For kecho_open(): join the channel, or create it, as mkdir does, unless this node is on it. In user space also declare the types that
 * are subscribed to; else one that is not is -ENOENT.
 */
#define KECHO_CREATE	1

/**
 * kecho_open() - open a channel of the node
 * @channel: its name
 * @flags: KECHO_CREATE or 0
 *
 * In the kernel the node is that of the caller's network namespace; kecho_open_net() takes another one's. An open channel cannot be
 * left by rmdir, and its node does not end.
 *
 * In user space it is that of the mount $KECHO_DIR, or /kecho; kecho_open_with() takes another one's. There the channel is held by
 * subscriptions and, once something was published, by that; what is opened for it, and mapped, is so by the first use.
 *
 * Return: to be closed by kecho_close(); or what kecho_error() knows: -ENXIO: no node runs here; -ENOENT: it is not on that channel;
 * -EINVAL: no such name can be; -ENOSPC, -ENOMEM, -EINTR. Context: may sleep; with KECHO_CREATE up to seconds, until the members are
 * known.
 */
#ifdef __KERNEL__
struct net;
struct kecho *kecho_open_net(struct net *net, const char *channel, unsigned int flags, const char *who);
struct kecho *kecho_open_current(const char *channel, unsigned int flags, const char *who);
/* members shows who has a subscription: its module. */
#define kecho_open(channel, flags) kecho_open_current(channel, flags, KBUILD_MODNAME)
#else
struct kecho *kecho_open(const char *channel, unsigned int flags);

/**
 * struct kecho_options - how a program uses a channel; 0 everywhere is what kecho_open() does
 * @dir: the mount
 * @publish_size, @receive_size: bytes of shared memory for publishing, and for each subscription; rounded up. 0: 256 KiB
 * @idle_us: how long the node looks for more events after one, before it has to be woken for the next by a system call of
 *	kecho_publish(); that costs a processor meanwhile. At most KECHO_RING_IDLE_MAX
 * @via: only this way, "device", "socket" or "file", for tests and diagnosis: where it is not there, the first use of it is -ENXIO.
 *	NULL or "": $KECHO_VIA; if there is none either, the first of them that works
 */
struct kecho_options {
	const char *dir;
	__u32 publish_size;
	__u32 receive_size;
	__u32 idle_us;
	const char *via;
};

/** kecho_open_with() - likewise; -EINVAL: no such way can be */
struct kecho *kecho_open_with(const char *channel, unsigned int flags, const struct kecho_options *options);

/** kecho_via() - the way that is used for publishing, kecho_sub_via() - for a subscription; NULL: it has not been used yet */
const char *kecho_via(const struct kecho *k);
const char *kecho_sub_via(const struct kecho_sub *sub);
#endif

/** kecho_error() - what kecho_open() or kecho_subscribe() has just returned stands for: 0, or -errno */
static inline int kecho_error(const void *p)
{
#ifdef __KERNEL__
	return PTR_ERR_OR_ZERO(p);
#else
	return p ? 0 : -errno;
#endif
}

/**
 * kecho_close() - all subscriptions have ended, nobody is publishing. This node stays on the channel, as with a file that is closed.
 * In user space the node still takes what has been published and it has not taken yet, but what a full channel (kecho.overflow=block)
 * has no room for is lost: kecho_flush() before tells.
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
 * @deadline_us: of use so long after it was published, then dropped by who has it; 0: for ever
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
/*
 * Likewise: more follow at once, the node need not be told of this one yet. It is by the next one without this, by kecho_flush() or
 * kecho_close(), or when they have become many. In the kernel it means nothing.
 */
#define KECHO_MORE	2

/**
 * kecho_publish() - publish an event
 * @flags: of KECHO_NOWAIT and KECHO_MORE
 *
 * The payload is copied. With KECHO_NOWAIT the links' workers send it; otherwise the caller does, where a link is free.
 *
 * Return: how many receivers it goes to, local sinks and members; in user space 0, for the node is yet to take it; -EMSGSIZE: larger
 * than max_event; -EINVAL: no such type, priority or attributes can be; -EAGAIN: the channel's receivers have no room
 * (kecho.overflow=block, KECHO_NOWAIT), or in user space the node is slow; -EINTR: a signal ended the wait for it; -ENOMEM. With an
 * error nothing is published.
 * Context: any but hard interrupts, if KECHO_NOWAIT; else may sleep.
 */
int kecho_publish(struct kecho *k, const struct kecho_event *event, unsigned int flags);

/**
 * kecho_flush() - tell the node of all that has been published, and wait until it has taken it
 * @timeout_ms: how long to wait; 0: not at all, negative: for ever
 * Return: how many events it has not taken, 0: all; -EINTR: a signal ended the wait; -EMSGSIZE: since the last time it had to refuse
 * some that it has taken, for max_event has become less; -EPROTO. In the kernel 0: kecho_publish() has done it all. Context: may sleep.
 */
int kecho_flush(struct kecho *k, int timeout_ms);

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
 *
 * In user space each handler has a thread of its own, in which all signals are blocked. When the node has gone, the thread ends.
 *
 * Return: to be ended by kecho_unsubscribe(), before kecho_close(); or what kecho_error() knows: -EINVAL, -ENOMEM. Context: may sleep.
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
 * Return: 1; 0: none has come; -EINTR: a signal ended the wait; -EINVAL: the subscription has a handler. In user space also -EPROTO;
 * -ENODEV if it has a handler that will not be called any more, as the node has gone; -ENOMEM: to be tried again, nothing is lost.
 */
int kecho_poll(struct kecho_sub *sub, struct kecho_event *event, int timeout_ms);

/**
 * kecho_event_put() - the event has been consumed: its publisher may send another one
 * In any order. In user space events stay where the node has put them until then: room for more is made from the oldest on.
 * Context: any.
 */
void kecho_event_put(struct kecho_sub *sub, struct kecho_event *event);

#ifndef __KERNEL__
/**
 * kecho_fd() - a descriptor for poll(2) and epoll(7): readable while kecho_poll(sub, event, 0) would return an event or an error
 * It may be told once that there is something where there is nothing. From this call on kecho_poll() has the node wake the program
 * whenever it has found nothing. With a handler: readable once it will not be called any more, as the node has gone.
 * Return: it belongs to the subscription, and is not to be read or closed; or -errno.
 */
int kecho_fd(struct kecho_sub *sub);

/**
 * kecho_signal() - send this process a signal when an event comes, after kecho_poll() has found nothing
 * @signo: SIGIO, or a real-time signal, which is queued; 0: none any more
 * Return: 0; -EOPNOTSUPP: there are no signals this way; -EINVAL: no such signal, or it has a handler.
 */
int kecho_signal(struct kecho_sub *sub, int signo);

/**
 * kecho_sub_boost() - have the scheduler favour the calling thread while an event waits for it in this subscription
 * @policy: KECHO_BOOST_NICE, KECHO_BOOST_FIFO, or KECHO_BOOST_NONE: no more
 * @nice, @max_us: see &struct kecho_boost
 * Return: 0; -EPERM: the thread may not give itself that priority; -EINVAL; -EOPNOTSUPP: the node is of an earlier version.
 */
int kecho_sub_boost(struct kecho_sub *sub, unsigned int policy, int nice, unsigned int max_us);
#endif

#ifdef __cplusplus
}
#endif
#endif
