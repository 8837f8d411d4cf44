/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: libkecho
 *
 * kecho/kecho.h in user space, over the files of a mount. An open events file is attached to rings (rings.c), by /dev/kecho or by
 * kechofsd's socket; where there is neither, it is read and written (file.c). Publishing has an events file of its own, and so has
 * each subscription: so each is attached for itself, and only when it is used first.
 *
 * Locks: of a channel one for publishing, of a subscription one for receiving; none is held while waiting, and never two.
 */
#ifndef KECHO_CLIENT_H
#define KECHO_CLIENT_H
#include <linux/compiler.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <pthread.h>
#include <kecho/kecho.h>
#include <kecho/limits.h>
#include "../ecalls/ring.h"

/* How an events file is used; in the order in which they are tried. */
enum way { WAY_NONE, WAY_DEVICE, WAY_SOCKET, WAY_FILE };

/**
 * struct rings - the ring of an open events file
 * @way: WAY_NONE until it is attached; with WAY_FILE all else is nothing
 * @fd: /dev/kecho, or the connection to kechofsd
 * @connected: @fd is a connection: a packet on it wakes us, or the node
 * @wake: an eventfd of our own, for rings_done(). @nudged: has been used
 * @epoll: readable from when we are woken until rings_settle(), or since the node has gone. Of /dev/kecho only changes are watched: what
 *	it tells by itself is that not all has been given back, or that there is room
 * @end: ours; the producer's if @publishes
 * @waits: the field of the ring by which the node is told to wake us. @armed: it is set
 * @waiters: threads in wait_for()
 * @watched: by kecho_fd() or kecho_signal(): the node is to wake us whenever nothing was found
 * @gone: the node has
 * @put: of a subscription: all before have been put, and can be given back
 * @seen, @since: the other end's position, and since when it has not moved (milliseconds, 0: not looked yet)
 *
 * It lives in what owns it, from rings_attach() to rings_detach(), and is protected by its owner's lock.
 */
struct rings {
	enum way way;
	int fd, wake, epoll;
	struct kecho_rings *shared;
	size_t bytes;
	struct kecho_end end;
	u32 *waits;
	unsigned int waiters;
	bool publishes, connected, armed, nudged, watched, gone;
	u32 seen, put;
	u64 since;
};

/**
 * struct kecho - an open channel
 * @dir: its directory
 * @via: WAY_NONE: any
 * @events: open for writing, since the first kecho_publish(); -1 before. @lock, but it never changes then
 * @refused: of rings.shared->publish.lost, what has been told. @lock
 *
 * From kecho_open() to kecho_close(), and longer than its subscriptions. @dir to @idle_us do not change.
 */
struct kecho {
	int dir;
	enum way via;
	bool create;
	u32 publish_size, receive_size, idle_us;
	struct mutex lock;
	int events;
	struct rings rings;
	u64 refused;
};

/**
 * struct kecho_sub - a subscription
 * @events: open for reading, from the first to the last
 * @lock: protects all that follows, but what is the handler's
 * @apart: the next event is to be read from @events, though there is a ring
 * @buf: for what is read from @events, @size bytes; @filled: of an event that could not be taken for want of memory
 * @handler, @arg: do not change. @thread calls it, until @ending (and @stop, an eventfd that wakes it) or an error, which
 *	is in @error; then it says so by @done, an eventfd. @ending and @error are atomic
 *
 * From kecho_subscribe() to kecho_unsubscribe().
 */
struct kecho_sub {
	struct kecho *kecho;
	int events;
	struct mutex lock;
	struct rings rings;
	bool apart;
	u8 *buf;
	size_t size, filled;
	kecho_handler_t handler;
	void *arg;
	pthread_t thread;
	int stop, done, error;
	bool ending;
};

/* open.c */
void *failed(int err);
/** way_name() - of what is protected by @l */
const char *way_name(const struct mutex *l, const struct rings *r);

/* file.c */
/** file_open() - a channel's, or a type's, events; or -errno */
int file_open(int dir, const char *type, int flags);
/** frame_write() - an event as a frame, @size bytes in all, with its attributes in the form that is wanted there */
void frame_write(struct kecho_frame *f, u32 size, const struct kecho_event *ev, const void *attrs, u16 attrs_len);
/** file_write() - publish an event that has been checked by the events file. Context: no lock */
int file_write(int events, const struct kecho_event *ev, unsigned int flags);
/** file_read() - the next event, in memory of its own. 1, 0: none, -errno. s->lock */
int file_read(struct kecho_sub *s, struct kecho_event *ev);
/** node_error() - errno of a file of the tree, as kecho.h has it */
int node_error(int err);

/* rings.c */
void rings_init(struct rings *r);
/**
 * rings_attach() - attach an open events file, by what there is or k->via says
 * Return: 0; an error only if it has to be one way: -ENXIO: there is no such way here; -ENODEV, -EACCES, -ENOMEM, -ENOSPC, -ECONNREFUSED
 */
int rings_attach(struct rings *r, const struct kecho *k, int events, bool publishes);
void rings_detach(struct rings *r);
/** rings_error() - -EPROTO, -ENODEV, or 0 */
int rings_error(const struct rings *r);
/** rings_kick() - wake the node */
int rings_kick(struct rings *r);
/** rings_settle() - forget that the node has woken us; and see whether it is there */
void rings_settle(struct rings *r);
/** rings_watch() - for who does not sleep: after a second in which @pos, the other's position, has not moved: is the node there? */
void rings_watch(struct rings *r, u32 pos);

/* Milliseconds of CLOCK_MONOTONIC; negative: never. */
s64 until(int timeout_ms);
/**
 * wait_for() - let go of @l until @fd is readable
 * @stop: ends it too, if not negative
 * Return: 0; -ETIMEDOUT; -EINTR; -ESHUTDOWN: @stop
 */
int wait_for(struct rings *r, struct mutex *l, int fd, int stop, s64 until);
/**
 * rings_wait() - nothing was found
 * @settled: false at first. Every other call only has the node wake us from now on: then the caller looks again. The one after it waits
 * Return: as wait_for()
 */
int rings_wait(struct rings *r, struct mutex *l, int stop, s64 until, bool *settled);
void rings_awake(struct rings *r, bool settled, bool found);
/** rings_done() - after rings_wait(); @found: what was looked for is there, and others, whose waking we settled, may wait for more */
static inline void rings_done(struct rings *r, bool settled, bool found)
{
	if (r->armed || r->watched)
		rings_awake(r, settled, found);
}
#endif
