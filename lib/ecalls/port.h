/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Ports
 *
 * The node's side of an events file whose program uses rings: the publishing ring is drained into the channel, what is queued at the
 * sink fills the receiving one. The home lends the memory, serialises the calls for the publishing ring, and does the waking and the
 * waiting; @lock serialises those for the receiving one, which come from whoever publishes.
 */
#ifndef KECHO_PORT_H
#define KECHO_PORT_H
#include "../channel/channel.h"
#include "ring.h"

/**
 * struct kecho_port
 * @channel, @type, @publishes, @sink: of the events file, which stays open; @sink is NULL if it was not opened for reading
 * @rings: the shared memory
 * @held: taken from the sink's queue, and still to be put into the ring. @lock
 * @apart: an event that no place in the ring is large enough for; the program reads it from the file. @lock
 * @spare: memory of an event that has been published, and how much was allocated last
 * @refused: records that could not be published
 * @blocked: the last drain found no room in the channel, or that it has gone
 * @awake: the home looks by itself for more to drain and for room to fill, and need not be kicked. @lock
 * @lock: (spin) taken with channel->lock held or not; before link->lock and sink->lock
 */
struct kecho_port {
	struct kecho_channel *channel;
	const char *type;
	bool publishes;
	struct kecho_sink *sink;
	struct kecho_rings *rings;
	struct kecho_end publish, receive;
	spinlock_t lock;
	bool blocked;
	bool awake;
	struct kecho_msg *held;
	struct kecho_msg *apart;
	struct kecho_msg *spare;
	u32 spare_size;
	u64 refused;
};

/**
 * kecho_port_sizes() - what the rings of an attachment will be
 * Makes @a what the program gets. @publishes, @receives: what the file was opened for.
 * Return: 0; -EINVAL: no such version or flags
 */
int kecho_port_sizes(struct kecho_attach *a, bool publishes, bool receives);
/**
 * kecho_port_init() - a port with empty rings; the program is to kick it
 * @memory: zeroed, @a->bytes
 * @channel, @type, @publishes, @sink are set
 */
void kecho_port_init(struct kecho_port *p, const struct kecho_attach *a, void *memory);
/** kecho_port_exit() - nobody else uses it any more */
void kecho_port_exit(struct kecho_port *p);

/**
 * kecho_port_drain() - publish what is in the ring, at most @max records
 * @n: gets how many
 * Return: 0; -EAGAIN: the channel has no room (kecho.overflow=block), room() tells when there is; -ENOMEM: later; -ENODEV: the
 * channel has gone; -EPROTO: the rings are broken. Context: may sleep.
 */
int kecho_port_drain(struct kecho_port *p, u64 time_ns, u32 max, struct kecho_batch *batch, u32 *n);
/**
 * kecho_port_release() - after that: the program may write there again
 * It takes as long as getting a line of memory from another processor: so receivers are told first.
 * @wake: set if the program waits for room
 */
void kecho_port_release(struct kecho_port *p, bool *wake);
/** kecho_port_pending() - is there perhaps something to drain, or to fill? Who looks by itself asks this first. Context: any, no lock */
static inline bool kecho_port_pending(const struct kecho_port *p)
{
	if (p->publishes && kecho_ring_pending(&p->publish))
		return true;
	return p->sink && (READ_ONCE(p->held) || READ_ONCE(p->sink->count));
}
/** kecho_port_busy() - the home looks by itself from now on */
void kecho_port_busy(struct kecho_port *p);
/**
 * kecho_port_idle() - about to sleep until the program kicks it
 * Return: false: there is more to drain, and room for it, go on. True: fill once more, which asks for a kick if there is no room, then sleep
 */
bool kecho_port_idle(struct kecho_port *p);

/**
 * kecho_port_give() - give the program an event that its sink is about to queue, the first one there
 * @wake: set if the program sleeps; NULL: kecho_port_tell() is to follow
 * Return: false: it is to be queued. Context: any, channel->lock held
 */
bool kecho_port_give(struct kecho_port *p, struct kecho_msg *msg, bool *wake);
/** kecho_port_tell() - tell the program of what it was given; @wake: set if it sleeps. Only of a port with a sink */
void kecho_port_tell(struct kecho_port *p, bool *wake);

/* Events that are given in one go, with the lock held. */
#define KECHO_PORT_FILL 256

/**
 * kecho_port_fill() - give the program what is queued at its sink
 * @wake: set if the program sleeps
 * Return: how many events, KECHO_PORT_FILL: there may be more; -EPROTO: the rings are broken. Context: any, as of
 * &struct kecho_node_ops.ready
 */
int kecho_port_fill(struct kecho_port *p, bool *wake);
/** kecho_port_apart() - the event that is to be read from the file, or NULL; the reference is the caller's, who fills on when it is read */
struct kecho_msg *kecho_port_apart(struct kecho_port *p);
/** kecho_port_events() - EPOLLIN, EPOLLOUT, EPOLLHUP: what the program would find */
__poll_t kecho_port_events(struct kecho_port *p);
#endif
