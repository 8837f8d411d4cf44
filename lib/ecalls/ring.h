/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: The two ends of a ring
 *
 * One producer, one consumer, in memory that they share and that <linux/kecho.h> describes. An end trusts nothing that the other one
 * writes: positions are checked when they are read, what a record says of its size before it is used, and both are read once.
 */
#ifndef KECHO_RING_H
#define KECHO_RING_H
#include <linux/kecho.h>
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

/** kecho_end_init() - an end of a new ring */
void kecho_end_init(struct kecho_end *e, struct kecho_ring *ring, void *data, __u32 size);

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

/* The producer. */

/**
 * kecho_ring_reserve() - room for a record
 * @p: where to write it
 * Return: 0; -EAGAIN: there is none; -EMSGSIZE: there never will be; -EPROTO: the consumer has written what cannot be
 */
int kecho_ring_reserve(struct kecho_end *e, __u32 len, void **p);
/** kecho_ring_commit() - the record that was reserved is written */
void kecho_ring_commit(struct kecho_end *e, __u32 len);
/** kecho_ring_submit() - tells the consumer of what has been committed. True: it sleeps, and is to be woken, once */
bool kecho_ring_submit(struct kecho_end *e);
/** kecho_ring_wait_room() - about to sleep until half of the ring is free. False: it is */
bool kecho_ring_wait_room(struct kecho_end *e);

/* The consumer. */

/**
 * kecho_ring_peek() - the next record
 * @p, @len: where it is, of at least struct kecho_frame's size; its bytes may change as long as the producer wants
 * Return: 1; 0: there is none; -EPROTO: the producer has written what cannot be
 */
int kecho_ring_peek(struct kecho_end *e, __u8 **p, __u32 *len);
/** kecho_ring_consume() - on to the next one; the record stays until it is released */
void kecho_ring_consume(struct kecho_end *e, __u32 len);
/**
 * kecho_ring_release() - tells the producer that what is before @pos may be overwritten
 * Return: true: it sleeps, and is to be woken, once
 */
bool kecho_ring_release(struct kecho_end *e, __u32 pos);
/** kecho_ring_wait_data() - about to sleep until there is a record. False: there is one */
bool kecho_ring_wait_data(struct kecho_end *e);

/* Either, when it does not sleep any more. */
void kecho_ring_awake_producer(struct kecho_end *e);
void kecho_ring_awake_consumer(struct kecho_end *e);
#endif
