// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <asm/barrier.h>
#include "../attr/attr.h"
#include "client.h"

/* What the node would refuse. How large a payload may be is known when there are rings, or told by the file. */
static int check(const struct kecho_event *ev, unsigned int flags)
{
	if (ev->len > KECHO_EVENT_MAX)
		return -EMSGSIZE;
	if (ev->prio > KECHO_PRIO_MAX || flags & ~(KECHO_NOWAIT | KECHO_MORE) ||
	    (ev->type_len && !kecho_name_valid(ev->type, ev->type_len)) || kecho_attrs_check(ev->attrs, ev->attrs_len))
		return -EINVAL;
	return 0;
}

/* k->lock */
static int open_publisher(struct kecho *k)
{
	if (k->rings.way)
		return 0;
	if (k->events < 0) {
		int fd = file_open(k->dir, NULL, O_WRONLY);

		/* The channel was left. */
		if (fd < 0)
			return fd == -ENOENT ? -ENODEV : fd;
		k->events = fd;
	}
	return rings_attach(&k->rings, k, k->events, true);
}

/* Tells the node what there is. k->lock */
static int tell(struct kecho *k)
{
	struct rings *r = &k->rings;
	int err = kecho_ring_submit(&r->end) ? rings_kick(r) : 0;

	rings_watch(r, READ_ONCE(r->end.ring->tail));
	return err ? err : rings_error(r);
}

/* --- what the node has taken --- */

static bool taken(const struct kecho_end *e, u32 target, u32 *tail)
{
	*tail = smp_load_acquire(&e->ring->tail);
	return (s32)(*tail - target) >= 0;
}

/* Records from @tail to @target, of our own; or -EPROTO. */
static int count(const struct kecho_end *e, u32 tail, u32 target)
{
	const struct kecho_frame *f;
	u32 left = target - tail, size;
	int n = 0;

	if (e->pos - tail > e->size || tail & 7)
		return -EPROTO;
	for (; left; left -= size, tail += size) {
		f = (const struct kecho_frame *)(e->data + (tail & (e->size - 1)));
		size = kecho_ring_round(READ_ONCE(f->size));
		if (!size || size > left)
			return -EPROTO;
		n += !!READ_ONCE(f->header);	/* else a pad */
	}
	return n;
}

/* Until the node has taken all that there is now. How many records it has not, or -errno. k->lock, let go of meanwhile */
static int wait_taken(struct kecho *k, int timeout_ms)
{
	struct kecho_end *e = &k->rings.end;
	struct rings *r = &k->rings;
	s64 end = until(timeout_ms);
	u32 target = e->pos, tail;
	bool settled = false;
	int err = tell(k);

	while (!err && !taken(e, target, &tail) && timeout_ms) {
		err = rings_wait(r, &k->lock, -1, end, &settled);
		if (!err)
			err = rings_error(r);
	}
	rings_done(r, settled, taken(e, target, &tail));
	if (err && err != -ETIMEDOUT)
		return err;
	return taken(e, target, &tail) ? 0 : count(e, tail, target);
}

/* What it has taken and could not publish, for max_event has become less: nothing is lost without a word. */
static int refused(struct kecho *k)
{
	u64 n = READ_ONCE(k->rings.shared->publish.lost);

	if (n == k->refused)
		return 0;
	k->refused = n;
	return -EMSGSIZE;
}

int kecho_flush(struct kecho *k, int timeout_ms)
{
	int left = 0;

	mutex_lock(&k->lock);
	if (k->rings.shared) {
		left = wait_taken(k, timeout_ms);
		if (!left)
			left = refused(k);
	}
	mutex_unlock(&k->lock);
	return left;
}

/* --- publishing --- */

/* k->lock, let go of while waiting */
static int reserve(struct kecho *k, u32 len, bool waits, void **p)
{
	struct rings *r = &k->rings;
	bool settled = false;
	int err;

	while ((err = kecho_ring_reserve(&r->end, len, p)) == -EAGAIN) {
		err = tell(k);
		if (!err)
			err = waits ? rings_wait(r, &k->lock, -1, -1, &settled) : -EAGAIN;
		if (err)
			break;
	}
	rings_done(r, settled, !err);
	return err;
}

/* k->lock, let go of while waiting. @file: it is to be written to the events file, being too large for the ring */
static int publish_ring(struct kecho *k, const struct kecho_event *ev, unsigned int flags, bool *file)
{
	u32 len = sizeof(struct kecho_frame) + ev->type_len + ev->attrs_len + ev->len;
	bool waits = !(flags & KECHO_NOWAIT);
	struct kecho_end *e = &k->rings.end;
	int err = rings_error(&k->rings);
	void *at;

	if (err)
		return err;
	/* What max_event has become meanwhile says the file. */
	*file = len > kecho_ring_limit(e->size) || ev->len > READ_ONCE(k->rings.shared->max_event);
	if (*file) {
		err = wait_taken(k, waits ? -1 : 0);
		return err > 0 ? -EAGAIN : err;
	}
	err = reserve(k, len, waits, &at);
	if (err)
		return err;
	frame_write(at, len, ev, ev->attrs, ev->attrs_len);
	kecho_ring_commit(e, len);
	/* A quarter at a time: the node takes one while we write the next. */
	if (flags & KECHO_MORE && e->pos - e->told < e->size / 4)
		return 0;
	return tell(k);
}

int kecho_publish(struct kecho *k, const struct kecho_event *ev, unsigned int flags)
{
	int err = check(ev, flags);
	bool file = true;

	if (err)
		return err;
	mutex_lock(&k->lock);
	err = open_publisher(k);
	if (!err && k->rings.shared)
		err = publish_ring(k, ev, flags, &file);
	mutex_unlock(&k->lock);
	return err || !file ? err : file_write(k->events, ev, flags);
}
