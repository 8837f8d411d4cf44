// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <asm/barrier.h>
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include "ring.h"

void kecho_end_init(struct kecho_end *e, struct kecho_ring *ring, void *data, u32 size)
{
	*e = (struct kecho_end){ .ring = ring, .data = data, .size = size };
}

/* A frame's @size and @header: all that there is of a pad. */
struct start {
	u32 size;
	u16 header, unused;
};

/* Positions are multiples of 8, and the consumer is behind the producer, by no more than the ring. */
static bool sound(const struct kecho_end *e, u32 head, u32 tail)
{
	return !((head | tail) & 7) && head - tail <= e->size;
}

/* The other one sleeps. It is woken once, though it may take a while until it has woken up. */
static bool take_back(u32 *waits)
{
	return READ_ONCE(*waits) && xchg(waits, 0);
}

static int see_tail(struct kecho_end *e)
{
	u32 tail = smp_load_acquire(&e->ring->tail);

	if (!sound(e, e->pos, tail))
		return -EPROTO;
	e->other = tail;
	return 0;
}

int kecho_ring_reserve(struct kecho_end *e, u32 len, void **p)
{
	u32 need, at = e->pos & (e->size - 1), pad;
	int err;

	if (len > kecho_ring_limit(e->size))
		return -EMSGSIZE;
	need = kecho_ring_round(len);
	pad = need > e->size - at ? e->size - at : 0;
	if (e->size - (e->pos - e->other) < need + pad) {
		err = see_tail(e);
		if (err)
			return err;
		if (e->size - (e->pos - e->other) < need + pad)
			return -EAGAIN;
	}
	if (pad) {
		*(struct start *)(e->data + at) = (struct start){ .size = pad };
		e->pos += pad;
	}
	*p = e->data + (e->pos & (e->size - 1));
	return 0;
}

void kecho_ring_commit(struct kecho_end *e, u32 len)
{
	e->pos += kecho_ring_round(len);
}

bool kecho_ring_submit(struct kecho_end *e)
{
	if (e->told == e->pos)
		return false;
	WRITE_ONCE(e->told, e->pos);	/* poll looks at it meanwhile */
	smp_store_release(&e->ring->head, e->pos);
	smp_mb();	/* @head, then @consumer_waits: pairs with kecho_ring_wait_data() */
	return take_back(&e->ring->consumer_waits);
}

bool kecho_ring_wait_room(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->producer_waits, 1);
	smp_mb();	/* @producer_waits, then @tail: pairs with kecho_ring_release() */
	/* What cannot be is no room: or who looks again would find none, for as long as the consumer changes it to and fro. */
	if (see_tail(e) || e->pos - e->other > e->size / 2)
		return true;
	kecho_ring_awake_producer(e);
	return false;
}

int kecho_ring_peek(struct kecho_end *e, u8 **p, u32 *len)
{
	struct start *s;
	u32 at, size, there;

	for (;;) {
		if (e->pos == e->other) {
			u32 head = smp_load_acquire(&e->ring->head);

			if (!sound(e, head, e->told))
				return -EPROTO;
			/* What has been read must have been there. */
			if (head - e->told < e->pos - e->told)
				return -EPROTO;
			if (head == e->pos)
				return 0;
			e->other = head;
		}
		at = e->pos & (e->size - 1);
		there = min(e->other - e->pos, e->size - at);
		s = (struct start *)(e->data + at);
		size = READ_ONCE(s->size);
		if (size > there)
			return -EPROTO;
		if (READ_ONCE(s->header))
			break;
		/* A pad reaches to the end of the ring: so there is but one before a record. */
		if (size != e->size - at)
			return -EPROTO;
		e->pos += size;
	}
	if (size < sizeof(struct kecho_frame) || size > kecho_ring_limit(e->size))
		return -EPROTO;
	*p = e->data + at;
	*len = size;
	return 1;
}

void kecho_ring_consume(struct kecho_end *e, u32 len)
{
	e->pos += kecho_ring_round(len);
}

bool kecho_ring_release(struct kecho_end *e, u32 pos)
{
	if (e->told == pos)
		return false;
	WRITE_ONCE(e->told, pos);
	smp_store_release(&e->ring->tail, pos);
	smp_mb();	/* @tail, then @producer_waits: pairs with kecho_ring_wait_room() */
	return READ_ONCE(e->ring->head) - pos <= e->size / 2 && take_back(&e->ring->producer_waits);
}

bool kecho_ring_wait_data(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->consumer_waits, 1);
	smp_mb();	/* @consumer_waits, then @head: pairs with kecho_ring_submit() */
	if (e->pos == e->other && READ_ONCE(e->ring->head) == e->pos)
		return true;
	kecho_ring_awake_consumer(e);
	return false;
}

void kecho_ring_awake_producer(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->producer_waits, 0);
}

void kecho_ring_awake_consumer(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->consumer_waits, 0);
}
