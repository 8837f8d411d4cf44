/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: The two ends of a ring
 *
 * One producer, one consumer, in memory that they share and that <linux/kecho.h> describes. An end trusts nothing that the other one
 * writes: positions are checked when they are read, what a record says of its size before it is used, and both are read once.
 *
 * All of it is here, for it is called for each event, and is little more than a call takes.
 */
#ifndef KECHO_RING_H
#define KECHO_RING_H
#include <asm/barrier.h>
#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kecho.h>
#include <linux/kernel.h>
#include <linux/prefetch.h>
#include <linux/types.h>

/**
 * struct kecho_end - one end, private to it; its owner serialises the calls
 * @data: @size bytes, a power of two
 * @pos: of a producer the end of what it has written, of a consumer that of what it has read
 * @told: as much of it as the other has been told
 * @other: the other's position when it was looked at last
 */
struct kecho_end {
	struct kecho_ring *ring;
	__u8 *data;
	__u32 size, pos, told, other;
};

/* A frame's @size and @header: all that there is of a pad. */
struct kecho_ring_start {
	__u32 size;
	__u16 header, unused;
};

/* How far before its turn a line is fetched that will be written, and how many bytes at most for a record. */
#define KECHO_RING_AHEAD	256
#define KECHO_RING_LINE		64

/** kecho_end_init() - an end of a new ring */
static inline void kecho_end_init(struct kecho_end *e, struct kecho_ring *ring, void *data, __u32 size)
{
	*e = (struct kecho_end){ .ring = ring, .data = data, .size = size };
}

/* What a record of so many bytes takes of a ring: records start at multiples of 8. */
static inline __u32 kecho_ring_round(__u32 len)
{
	return (len + 7) & ~7u;
}

/* The largest record that a ring takes. */
static inline __u32 kecho_ring_limit(__u32 size)
{
	return size / 4;
}

/* Positions are multiples of 8, and the consumer is behind the producer, by no more than the ring. */
static inline bool kecho_ring_sound(const struct kecho_end *e, __u32 head, __u32 tail)
{
	return !((head | tail) & 7) && head - tail <= e->size;
}

/* The other one sleeps. It is woken once, though it may take a while until it has woken up. */
static inline bool kecho_ring_take_back(__u32 *waits)
{
	return READ_ONCE(*waits) && xchg(waits, 0);
}

/* The producer. */

static inline int kecho_ring_see_tail(struct kecho_end *e)
{
	__u32 tail = smp_load_acquire(&e->ring->tail);

	if (!kecho_ring_sound(e, e->pos, tail))
		return -EPROTO;
	e->other = tail;
	return 0;
}

/**
 * kecho_ring_reserve() - room for a record
 * @p: where to write it
 * Return: 0; -EAGAIN: there is none; -EMSGSIZE: there never will be; -EPROTO: the consumer has written what cannot be
 */
static inline int kecho_ring_reserve(struct kecho_end *e, __u32 len, void **p)
{
	__u32 need, at = e->pos & (e->size - 1), pad;
	int err;

	*p = e->data + at;
	if (len > kecho_ring_limit(e->size))
		return -EMSGSIZE;
	need = kecho_ring_round(len);
	pad = need > e->size - at ? e->size - at : 0;
	if (e->size - (e->pos - e->other) < need + pad) {
		err = kecho_ring_see_tail(e);
		if (err)
			return err;
		if (e->size - (e->pos - e->other) < need + pad)
			return -EAGAIN;
	}
	if (pad) {
		*(struct kecho_ring_start *)(e->data + at) = (struct kecho_ring_start){ .size = pad };
		e->pos += pad;
		*p = e->data;
	}
	return 0;
}

/**
 * kecho_ring_commit() - the record that was reserved is written
 *
 * The consumer has read the lines that the next ones will be written to; if it did so on another processor the barrier of
 * kecho_ring_submit() would wait until they are ours again. So they are fetched ahead.
 */
static inline void kecho_ring_commit(struct kecho_end *e, __u32 len)
{
	__u32 i;

	e->pos += kecho_ring_round(len);
	for (i = 0; i < len && i < KECHO_RING_AHEAD; i += KECHO_RING_LINE)
		prefetchw(e->data + ((e->pos + KECHO_RING_AHEAD + i) & (e->size - 1)));
}

/** kecho_ring_submit() - tells the consumer of what has been committed. True: it sleeps, and is to be woken, once */
static inline bool kecho_ring_submit(struct kecho_end *e)
{
	if (e->told == e->pos)
		return false;
	WRITE_ONCE(e->told, e->pos);	/* poll looks at it meanwhile */
	smp_store_release(&e->ring->head, e->pos);
	smp_mb();	/* @head, then @consumer_waits: pairs with kecho_ring_wait_data() */
	return kecho_ring_take_back(&e->ring->consumer_waits);
}

/* When it does not sleep any more. */
static inline void kecho_ring_awake_producer(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->producer_waits, 0);
}

/** kecho_ring_wait_room() - about to sleep until half of the ring is free. False: it is */
static inline bool kecho_ring_wait_room(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->producer_waits, 1);
	smp_mb();	/* @producer_waits, then @tail: pairs with kecho_ring_release() */
	/* What cannot be is no room: or who looks again would find none, for as long as the consumer changes it to and fro. */
	if (kecho_ring_see_tail(e) || e->pos - e->other > e->size / 2)
		return true;
	kecho_ring_awake_producer(e);
	return false;
}

/* The consumer. */

/**
 * kecho_ring_peek() - the next record
 * @p, @len: where it is, of at least struct kecho_frame's size; its bytes may change as long as the producer wants
 * Return: 1; 0: there is none; -EPROTO: the producer has written what cannot be
 */
static inline int kecho_ring_peek(struct kecho_end *e, __u8 **p, __u32 *len)
{
	struct kecho_ring_start *s;
	__u32 at, size, there;

	*p = e->data;
	*len = 0;
	for (;;) {
		if (e->pos == e->other) {
			__u32 head = smp_load_acquire(&e->ring->head);

			if (!kecho_ring_sound(e, head, e->told))
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
		s = (struct kecho_ring_start *)(e->data + at);
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

/** kecho_ring_pending() - may there be a record? It is fetched then, while the caller does what else comes first */
static inline bool kecho_ring_pending(const struct kecho_end *e)
{
	__u32 pos = READ_ONCE(e->pos);
	const __u8 *at = e->data + (pos & (e->size - 1));

	if (READ_ONCE(e->other) == pos && READ_ONCE(e->ring->head) == pos)
		return false;
	prefetch(at);
	prefetch(at + KECHO_RING_LINE);
	return true;
}

/** kecho_ring_consume() - on to the next one; the record stays until it is released */
static inline void kecho_ring_consume(struct kecho_end *e, __u32 len)
{
	e->pos += kecho_ring_round(len);
}

/**
 * kecho_ring_release() - tells the producer that what is before @pos may be overwritten
 * Return: true: it sleeps, and is to be woken, once
 */
static inline bool kecho_ring_release(struct kecho_end *e, __u32 pos)
{
	if (e->told == pos)
		return false;
	WRITE_ONCE(e->told, pos);
	smp_store_release(&e->ring->tail, pos);
	smp_mb();	/* @tail, then @producer_waits: pairs with kecho_ring_wait_room() */
	return READ_ONCE(e->ring->head) - pos <= e->size / 2 && kecho_ring_take_back(&e->ring->producer_waits);
}

/* When it does not sleep any more. */
static inline void kecho_ring_awake_consumer(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->consumer_waits, 0);
}

/** kecho_ring_wait_data() - about to sleep until there is a record. False: there is one */
static inline bool kecho_ring_wait_data(struct kecho_end *e)
{
	WRITE_ONCE(e->ring->consumer_waits, 1);
	smp_mb();	/* @consumer_waits, then @head: pairs with kecho_ring_submit() */
	if (e->pos == e->other && READ_ONCE(e->ring->head) == e->pos)
		return true;
	kecho_ring_awake_consumer(e);
	return false;
}
#endif
