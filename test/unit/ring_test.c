// SPDX-License-Identifier: GPL-2.0
/* Both ends of a ring: records, room, waking each other, and an other end that lies. */
#include "unit.h"
#include "../../lib/ecalls/ring.h"

#define SIZE ((u32)KECHO_RING_MIN)
#define HALF (SIZE / 2)
#define LIMIT (SIZE / 4)
#define LEAST ((u32)sizeof(struct kecho_frame))
#define ROUND8(len) (((len) + 7) & ~7u)

static struct kecho_ring *ring;
static u8 *data;
static struct kecho_end prod, cons;

/* Where the ends begin: positions count on past 2^32. */
static const u32 starts[] = { 0, 64, 0x7ffffff8, 0xffffff00, 0xfffff008, 0xfffffff8 };
/* The same, for records of 64 bytes without a pad. */
#define START64(s) (starts[s] & ~63u)

static void begin(u32 start)
{
	memset(ring, 0, sizeof(*ring));
	kecho_end_init(&prod, ring, data, SIZE);
	kecho_end_init(&cons, ring, data, SIZE);
	prod.pos = prod.told = prod.other = start;
	cons.pos = cons.told = cons.other = start;
	ring->head = ring->tail = start;
}

static int setup(void **state)
{
	/* Both of their exact sizes, for who watches over memory. */
	ring = calloc(1, sizeof(*ring));
	data = calloc(1, SIZE);
	if (ring && data)
		begin(0);
	return !ring || !data;
}

static int teardown(void **state)
{
	free(ring);
	free(data);
	return 0;
}

static u8 byte_of(u32 n, u32 i)
{
	return n * 37 + i * 11 + (i >> 8);
}

/* Record number @n. */
static void fill(void *p, u32 len, u32 n)
{
	struct kecho_frame *f = p;
	u32 i;

	*f = (struct kecho_frame){ .size = len, .header = sizeof(*f), .seq = n };
	for (i = sizeof(*f); i < len; i++)
		((u8 *)p)[i] = byte_of(n, i);
}

static bool is(const void *p, u32 len, u32 n)
{
	const struct kecho_frame *f = p;
	u32 i;

	if (f->size != len || f->header != sizeof(*f) || f->seq != n)
		return false;
	for (i = sizeof(*f); i < len; i++)
		if (((const u8 *)p)[i] != byte_of(n, i))
			return false;
	return true;
}

static int put(u32 len, u32 n)
{
	void *p;
	int err = kecho_ring_reserve(&prod, len, &p);

	if (err)
		return err;
	assert_true((u8 *)p >= data && (u8 *)p + len <= data + SIZE);
	fill(p, len, n);
	kecho_ring_commit(&prod, len);
	return 0;
}

static void put_n(u32 len, u32 n)
{
	while (n--)
		assert_int_equal(put(len, n), 0);
	kecho_ring_submit(&prod);
}

/* 0, a number below 0, or a record's length. */
static int look(void)
{
	u32 len;
	u8 *p;
	int ret = kecho_ring_peek(&cons, &p, &len);

	if (ret != 1)
		return ret;
	assert_true(len >= LEAST && len <= LIMIT && p >= data && p + len <= data + SIZE);
	return len;
}

static void assert_next(u32 len, u32 n)
{
	u32 got;
	u8 *p;

	assert_int_equal(kecho_ring_peek(&cons, &p, &got), 1);
	assert_int_equal(got, len);
	assert_true(is(p, len, n));
	kecho_ring_consume(&cons, len);
}

/* --- records --- */

static void pending(void **state)
{
	u32 s;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		begin(starts[s]);
		assert_false(kecho_ring_pending(&cons));
		assert_int_equal(put(64, 1), 0);
		assert_int_equal(put(64, 2), 0);
		/* Not before it has been told. */
		assert_false(kecho_ring_pending(&cons));
		kecho_ring_submit(&prod);
		assert_true(kecho_ring_pending(&cons));
		assert_next(64, 1);
		assert_true(kecho_ring_pending(&cons));
		/* What has been seen is there, though the producer takes it back. */
		ring->head = cons.pos;
		assert_true(kecho_ring_pending(&cons));
		assert_next(64, 2);
		ring->head = cons.pos;
		assert_false(kecho_ring_pending(&cons));
	}
}

static void sizes(void **state)
{
	u32 s, len;
	void *p;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		begin(starts[s]);
		for (len = LEAST; len <= LIMIT; len++) {
			assert_int_equal(look(), 0);
			assert_int_equal(put(len, len), 0);
			/* Not before it has been told. */
			assert_int_equal(look(), 0);
			assert_false(kecho_ring_submit(&prod));
			assert_int_equal(ring->head, prod.pos);
			assert_next(len, len);
			assert_false(kecho_ring_release(&cons, cons.pos));
			assert_int_equal(ring->tail, ring->head);
		}
		for (len = 0; len <= LIMIT; len++)
			assert_int_equal(kecho_ring_reserve(&prod, len, &p), 0);
		assert_int_equal(kecho_ring_reserve(&prod, LIMIT + 1, &p), -EMSGSIZE);
		assert_int_equal(kecho_ring_reserve(&prod, SIZE, &p), -EMSGSIZE);
		for (len = U32_MAX; len > U32_MAX - 10; len--)
			assert_int_equal(kecho_ring_reserve(&prod, len, &p), -EMSGSIZE);
	}
	assert_int_equal(kecho_ring_limit(KECHO_RING_MAX), 16 << 20);
}

/* A record lies in one piece; one that would not does so behind a pad. Nothing else is written. */
static void pads(void **state)
{
	static const u32 lens[] = { LEAST, LEAST + 1, 55, 56, 57, 64, 500, LIMIT - 7, LIMIT - 1, LIMIT };
	u32 at, i, k, len, before = 0xfffff000;
	bool pad;

	for (at = 0; at < SIZE; at += 8 * UNIT_SLOW) {
		for (k = 0; k < ARRAY_SIZE(lens); k++) {
			begin(before + at);
			len = lens[k];
			pad = SIZE - at < len;
			memset(data, 0xee, SIZE);
			assert_int_equal(put(len, 1), 0);
			kecho_ring_submit(&prod);
			assert_int_equal(ring->head, before + (pad ? SIZE : at) + ROUND8(len));
			assert_true(is(data + (pad ? 0 : at), len, 1));
			if (pad) {
				assert_int_equal(((struct kecho_frame *)(data + at))->size, SIZE - at);
				assert_int_equal(((struct kecho_frame *)(data + at))->header, 0);
			}
			for (i = pad ? len : 0; i < (pad ? at : SIZE); i++)
				if (data[i] != 0xee && (pad || i < at || i >= at + len))
					fail_msg("a record of %u at %u wrote at %u", len, at, i);
			for (i = at + 8; pad && i < SIZE; i++)
				assert_int_equal(data[i], 0xee);
			assert_next(len, 1);
			assert_int_equal(look(), 0);
			assert_int_equal(cons.pos, ring->head);
		}
	}
}

static void full(void **state)
{
	struct kecho_end was;
	u32 s, i, free;
	void *p;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		begin(START64(s));
		put_n(64, SIZE / 64);
		assert_int_equal(ring->head - ring->tail, SIZE);
		was = prod;
		for (i = 1; i <= LIMIT; i++)
			assert_int_equal(kecho_ring_reserve(&prod, i, &p), -EAGAIN);
		assert_int_equal(kecho_ring_reserve(&prod, 0, &p), 0);
		assert_memory_equal(&prod, &was, sizeof(was));
		for (i = SIZE / 64; i--; )
			assert_next(64, i);
		assert_int_equal(look(), 0);
		/* Consumed is not released. */
		assert_int_equal(put(LEAST, 7), -EAGAIN);
		assert_memory_equal(&prod, &was, sizeof(was));
		kecho_ring_release(&cons, START64(s) + 64);
		assert_int_equal(put(65, 7), -EAGAIN);
		assert_int_equal(put(64, 8), 0);
		assert_int_equal(put(LEAST, 9), -EAGAIN);
		kecho_ring_submit(&prod);
		assert_int_equal(ring->head - ring->tail, SIZE);
		assert_next(64, 8);

		/* Room at the end for a pad, and behind it for the record, or not. */
		for (free = LIMIT; free <= LIMIT + 200; free += 8) {
			begin(starts[s] & ~(SIZE - 1));
			put_n(64, (SIZE - 64) / 64);
			kecho_ring_release(&cons, cons.pos + free - 64);
			was = prod;
			memset(data + SIZE - 64, 0xee, 64);
			assert_int_equal(put(LIMIT, 1), free < LIMIT + 64 ? -EAGAIN : 0);
			if (free < LIMIT + 64) {
				assert_int_equal(prod.pos, was.pos);
				assert_int_equal(data[SIZE - 64], 0xee);
				assert_int_equal(put(64, 2), 0);
			}
		}
	}
}

/* What is consumed but not released stays as it is, and may be released bit by bit. */
static void held(void **state)
{
	u32 s, i, n, from, to, len;
	u8 *p[16];

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		begin(starts[s]);
		for (i = 0; i < 16; i++)
			assert_int_equal(put(200 + i, i), 0);
		kecho_ring_submit(&prod);
		from = cons.pos;
		for (i = 0; i < 16; i++) {
			assert_int_equal(kecho_ring_peek(&cons, &p[i], &len), 1);
			kecho_ring_consume(&cons, len);
		}
		assert_int_equal(ring->tail, from);
		assert_int_equal(cons.told, from);
		/* The first seven are let go of, the others are held. */
		for (to = from, i = 0; i < 7; i++)
			to = from + (p[i + 1] - data - (from & (SIZE - 1)) + SIZE) % SIZE;
		kecho_ring_release(&cons, to);
		assert_int_equal(ring->tail, to);
		for (n = 16; !put(200 + n % 16, n); n++)
			;
		kecho_ring_submit(&prod);
		assert_true(n > 20);
		for (i = 7; i < 16; i++)
			assert_true(is(p[i], 200 + i, i));
		for (i = 16; i < n; i++)
			assert_next(200 + i % 16, i);
		for (i = 7; i < 16; i++)
			assert_true(is(p[i], 200 + i, i));
		assert_int_equal(look(), 0);
		kecho_ring_release(&cons, cons.pos);
		assert_int_equal(put(LIMIT, 99), 0);
	}
}

static u64 rng;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 32) % n;
}

/* Whatever the two do in whatever order, there is room just when there should be, and what goes in comes out. */
static void at_random(void **state)
{
	u32 run, step, sent, got, at, pad, len, room, most;
	static u32 lens[256], ends[256];
	bool fits;

	rng = 88172645463325252ull;
	for (run = 0; run < 2 * ARRAY_SIZE(starts); run++) {
		begin(starts[run / 2]);
		most = run % 2 ? LIMIT : 100;
		for (step = sent = got = 0; step < 100000 / UNIT_SLOW; step++) {
			switch (rnd(6)) {
			case 0:
			case 1:
			case 2:
				len = LEAST + rnd(most - LEAST + 1);
				at = prod.pos & (SIZE - 1);
				pad = SIZE - at < len ? SIZE - at : 0;
				room = SIZE - (prod.pos - cons.told);
				fits = pad + ROUND8(len) <= room;
				assert_int_equal(put(len, sent), fits ? 0 : -EAGAIN);
				if (!fits)
					break;
				lens[sent % 256] = len;
				ends[sent++ % 256] = prod.pos;
				break;
			case 3:
				kecho_ring_submit(&prod);
				break;
			case 4:
				/* A pad's reader may be told of it before its record. */
				if (got == sent || (s32)(ring->head - ends[got % 256]) < 0) {
					assert_int_equal(look(), 0);
					break;
				}
				assert_next(lens[got % 256], got);
				assert_int_equal(cons.pos, ends[got++ % 256]);
				break;
			default:
				if (got && rnd(2) && cons.pos - cons.told > LIMIT)
					kecho_ring_release(&cons, ends[(got - 1 - rnd(2)) % 256]);
				else
					kecho_ring_release(&cons, cons.pos);
			}
			assert_true(prod.pos - cons.told <= SIZE);
			assert_true(cons.pos - cons.told <= prod.pos - cons.told);
		}
		assert_true(got > 1000 / UNIT_SLOW);
	}
}

/* --- waking --- */

static void wakes_consumer(void **state)
{
	u32 s;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		begin(starts[s]);
		/* Nobody sleeps. */
		put_n(64, 1);
		assert_false(kecho_ring_submit(&prod));
		/* There is something: it does not go to sleep, and says so. */
		assert_false(kecho_ring_wait_data(&cons));
		assert_int_equal(ring->consumer_waits, 0);
		assert_next(64, 0);
		/* It sleeps: it is woken when it is told, and not otherwise. */
		assert_true(kecho_ring_wait_data(&cons));
		assert_int_equal(ring->consumer_waits, 1);
		assert_false(kecho_ring_submit(&prod));
		assert_int_equal(put(64, 1), 0);
		assert_true(kecho_ring_wait_data(&cons));
		assert_true(kecho_ring_submit(&prod));
		assert_false(kecho_ring_submit(&prod));
		/* Once, though it has not woken up yet. */
		assert_int_equal(ring->consumer_waits, 0);
		assert_int_equal(put(64, 2), 0);
		assert_false(kecho_ring_submit(&prod));
		/* It is woken no more once it is awake, by itself or not. */
		WRITE_ONCE(ring->consumer_waits, 1);
		kecho_ring_awake_consumer(&cons);
		assert_int_equal(ring->consumer_waits, 0);
		assert_int_equal(put(64, 3), 0);
		assert_false(kecho_ring_submit(&prod));
		/* What it has seen, but not consumed, is something. */
		assert_next(64, 1);
		assert_int_equal(cons.other, ring->head);
		assert_false(kecho_ring_wait_data(&cons));
		assert_next(64, 2);
		assert_false(kecho_ring_wait_data(&cons));
		assert_next(64, 3);
		assert_true(kecho_ring_wait_data(&cons));
		/* The producer comes between the consumer's two steps. */
		assert_int_equal(put(64, 4), 0);
		WRITE_ONCE(ring->consumer_waits, 1);
		assert_true(kecho_ring_submit(&prod));
		assert_false(kecho_ring_wait_data(&cons));
		assert_int_equal(ring->consumer_waits, 0);
		assert_next(64, 4);
		/* The consumer comes between the producer's two steps. */
		assert_int_equal(put(64, 5), 0);
		WRITE_ONCE(ring->head, prod.pos);
		assert_false(kecho_ring_wait_data(&cons));
		assert_false(kecho_ring_submit(&prod));
		assert_next(64, 5);
		/* What cannot be is not slept over. */
		WRITE_ONCE(ring->head, prod.pos - 8);
		assert_false(kecho_ring_wait_data(&cons));
		assert_int_equal(look(), -EPROTO);
		assert_int_equal(ring->producer_waits, 0);
	}
}

static void wakes_producer(void **state)
{
	u32 s, used, i;
	void *p;
	bool wakes;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		for (used = 0; used <= SIZE; used += 64) {
			begin(START64(s));
			put_n(64, used / 64);
			/* It sleeps if less than half is free: with that much any record has room. */
			assert_int_equal(kecho_ring_wait_room(&prod), used > HALF);
			assert_int_equal(ring->producer_waits, used > HALF);
			if (used <= HALF)
				assert_int_equal(kecho_ring_reserve(&prod, LIMIT, &p), 0);
			for (i = 1; i <= used / 64; i++) {
				assert_next(64, used / 64 - i);
				/* Consumed is not enough. */
				assert_false(kecho_ring_release(&cons, cons.told));
				wakes = kecho_ring_release(&cons, cons.pos);
				/* Once. */
				assert_int_equal(wakes, used > HALF && used - 64 * i <= HALF && used - 64 * (i - 1) > HALF);
			}
			kecho_ring_awake_producer(&prod);
			assert_int_equal(ring->producer_waits, 0);
		}
		/* Nobody sleeps. */
		begin(START64(s));
		put_n(64, SIZE / 64);
		for (i = SIZE / 64; i--; ) {
			assert_next(64, i);
			assert_false(kecho_ring_release(&cons, cons.pos));
		}
		/* What was consumed meanwhile is seen. */
		put_n(64, SIZE / 64);
		for (i = SIZE / 64; i-- > HALF / 64; )
			assert_next(64, i);
		assert_true(kecho_ring_wait_room(&prod));
		kecho_ring_awake_producer(&prod);
		assert_false(kecho_ring_release(&cons, cons.pos));
		assert_false(kecho_ring_wait_room(&prod));
		assert_int_equal(ring->producer_waits, 0);
		assert_int_equal(prod.other, ring->tail);
		/* The consumer comes between the producer's two steps. */
		put_n(64, 1);
		assert_true(kecho_ring_wait_room(&prod));
		kecho_ring_awake_producer(&prod);
		WRITE_ONCE(ring->producer_waits, 1);
		assert_next(64, HALF / 64 - 1);
		assert_true(kecho_ring_release(&cons, cons.pos));
		assert_false(kecho_ring_wait_room(&prod));
		/* The producer comes between the consumer's two steps. */
		put_n(64, 1);
		assert_next(64, HALF / 64 - 2);
		WRITE_ONCE(ring->tail, cons.pos);
		assert_false(kecho_ring_wait_room(&prod));
		assert_false(kecho_ring_release(&cons, cons.pos));
		/* It goes to sleep on what it has not told yet, and tells then: woken too early, it sleeps again, and is woken in the end. */
		begin(START64(s));
		put_n(64, 1);
		while (!put(64, 2))
			;
		assert_true(kecho_ring_wait_room(&prod));
		assert_next(64, 0);
		assert_true(kecho_ring_release(&cons, cons.pos));
		assert_true(kecho_ring_wait_data(&cons));
		assert_true(kecho_ring_submit(&prod));
		kecho_ring_awake_consumer(&cons);
		assert_true(kecho_ring_wait_room(&prod));
		wakes = false;
		for (i = 1; i < SIZE / 64; i++) {
			assert_next(64, 2);
			wakes = kecho_ring_release(&cons, cons.pos) || wakes;
		}
		assert_true(wakes);
		/* What cannot be is not taken for room, and told by the next look for it. */
		begin(START64(s));
		put_n(64, SIZE / 64);
		ring->tail = prod.pos + 8;
		assert_true(kecho_ring_wait_room(&prod));
		assert_int_equal(kecho_ring_reserve(&prod, 64, &p), -EPROTO);
		assert_int_equal(prod.other, START64(s));
	}
}

/* --- a producer that lies --- */

/* A consumer that has consumed @taken bytes and released none of them; a record of 64 bytes comes next. */
static void consumer_at(u32 start, u32 taken)
{
	begin(start);
	cons.pos = cons.other = start + taken;
	fill(data + (cons.pos & (SIZE - 1)), 64, 3);
}

static void bad_head(void **state)
{
	static const u32 taken[] = { 0, 64, HALF, SIZE - 128, SIZE - 64 };
	u32 s, t, off, want;
	s32 d;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		for (t = 0; t < ARRAY_SIZE(taken); t++) {
			for (d = -(s32)SIZE - 64; d <= (s32)(2 * SIZE + 64); d += UNIT_SLOW) {
				consumer_at(START64(s), taken[t]);
				off = d;
				ring->head = cons.told + off;
				want = off % 8 || off > SIZE || off < taken[t] ? -EPROTO : off == taken[t] ? 0 :
				       off < taken[t] + 64 ? -EPROTO : 64;
				if (look() != (int)want)
					fail_msg("head at %d, %u taken: not %d", d, taken[t], (int)want);
				assert_int_equal(cons.pos - cons.told, taken[t]);
			}
		}
	}
	/* What has been seen is consumed first. */
	begin(0);
	put_n(64, 2);
	assert_next(64, 1);
	ring->head = 0;
	assert_next(64, 0);
	assert_int_equal(look(), -EPROTO);
	ring->head = 64;
	assert_int_equal(look(), -EPROTO);
	ring->head = 128;
	assert_int_equal(look(), 0);
	/* Released or not. */
	kecho_ring_release(&cons, 128);
	ring->head = 64;
	assert_int_equal(look(), -EPROTO);
}

static void bad_size(void **state)
{
	/* How far it is to the end of the ring, and to the head. */
	static const struct { u32 end, head; } at[] = {
		{ SIZE, SIZE }, { SIZE, 64 }, { SIZE, 8 }, { SIZE, LIMIT + 64 }, { 64, 64 }, { 64, 2048 }, { 8, 2048 }, { 1024, 1024 },
		{ 1016, 2048 }, { 56, 48 }, { 2048, LIMIT - 8 },
	};
	struct kecho_frame *f;
	u32 s, i, size, there;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		for (i = 0; i < ARRAY_SIZE(at); i++) {
			there = min(at[i].end, at[i].head);
			for (size = 0; size < SIZE + 100; size += UNIT_SLOW) {
				begin((starts[s] & ~(SIZE - 1)) - at[i].end);
				f = (void *)(data + (cons.pos & (SIZE - 1)));
				f->size = size;
				f->header = 1 + (size & 0xfff);
				ring->head = cons.pos + at[i].head;
				if (look() != (size >= LEAST && size <= LIMIT && size <= there ? (int)size : -EPROTO))
					fail_msg("%u bytes, %u before the end, %u before the head", size, at[i].end, at[i].head);
			}
			for (size = U32_MAX; size; size /= 2) {
				begin((starts[s] & ~(SIZE - 1)) - at[i].end);
				f->size = size | 0x80000000;
				assert_int_equal(look(), 0);
				ring->head = cons.pos + at[i].head;
				assert_int_equal(look(), -EPROTO);
			}
		}
	}
}

static void bad_pads(void **state)
{
	struct kecho_frame *f;
	u32 s, at, size, start, n;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		start = starts[s] & ~(SIZE - 1);
		/* It reaches to the end, no less, no more. */
		for (at = 0; at < SIZE; at += 8 * UNIT_SLOW) {
			f = (void *)(data + at);
			for (size = 0; size <= SIZE + 8; size++) {
				begin(start + at);
				fill(data, 64, 1);
				f->size = size;
				f->header = 0;
				ring->head = start + SIZE + (at >= 64 ? 64 : 0);
				if (look() != (size != SIZE - at ? -EPROTO : at >= 64 ? 64 : 0))
					fail_msg("a pad of %u at %u", size, at);
				/* What is behind it is not there without a record: that is not yet told, or never. */
				if (size != SIZE - at)
					assert_int_equal(cons.pos, start + at);
			}
			/* Not past the head. */
			f->size = SIZE - at;
			f->header = 0;
			begin(start + at);
			ring->head = start + SIZE - 8;
			assert_int_equal(look(), at == SIZE - 8 ? 0 : -EPROTO);
		}
		/* A pad alone, and its record later. */
		begin(start + SIZE - 64);
		f = (void *)(data + SIZE - 64);
		f->size = 64;
		f->header = 0;
		ring->head = start + SIZE;
		assert_int_equal(look(), 0);
		assert_false(kecho_ring_release(&cons, cons.pos));
		assert_int_equal(ring->tail, start + SIZE);
		assert_true(kecho_ring_wait_data(&cons));
		fill(data, 64, 1);
		ring->head = start + SIZE + 64;
		assert_next(64, 1);

		/* Nothing but pads: no further than to what is there, and that is never more than the ring. */
		memset(data, 0, SIZE);
		for (at = 0; at < SIZE; at += 8)
			((struct kecho_frame *)(data + at))->size = SIZE - at;
		begin(start + 8);
		ring->head = start + 8 + SIZE;
		assert_int_equal(look(), -EPROTO);
		assert_int_equal(cons.pos, start + SIZE);
		begin(start);
		for (n = 0; n < 10; n++) {
			ring->head = cons.told + SIZE;
			assert_int_equal(look(), 0);
			assert_int_equal(cons.pos, start + (n + 1) * SIZE);
			assert_int_equal(look(), 0);
			ring->head += SIZE;
			assert_int_equal(look(), -EPROTO);
			ring->head -= SIZE;
			kecho_ring_release(&cons, cons.pos);
		}
	}
}

/* --- a consumer that lies --- */

static void bad_tail(void **state)
{
	struct kecho_end was;
	u32 s, off;
	void *p;
	s32 d;
	int want;

	for (s = 0; s < ARRAY_SIZE(starts); s++) {
		for (d = -(s32)SIZE - 64; d <= (s32)(2 * SIZE + 64); d += UNIT_SLOW) {
			begin(START64(s));
			put_n(64, SIZE / 64);
			was = prod;
			/* Behind the head by so much. */
			off = d;
			ring->tail = prod.pos - off;
			want = off % 8 || off > SIZE ? -EPROTO : SIZE - off < 64 ? -EAGAIN : 0;
			if (kecho_ring_reserve(&prod, 64, &p) != want)
				fail_msg("tail %d behind the head: not %d", d, want);
			if (want == -EPROTO)
				assert_memory_equal(&prod, &was, sizeof(was));
			else
				assert_int_equal(prod.other, ring->tail);
			if (!want)
				memset(p, 0xff, 64);
		}
	}
	/* It is not looked at while there is room anyway. */
	begin(0);
	ring->tail = 0x12345677;
	put_n(64, SIZE / 64);
	assert_int_equal(put(64, 1), -EPROTO);
}

/* Bytes of any kind anywhere, between the calls of either: no end ever leaves the ring, or its senses. */
static void scribbled(void **state)
{
	u32 step, len = 0, i, n;
	u64 taken = 0, refused = 0;
	struct kecho_frame *f;
	void *q;
	u8 *p;
	int ret;

	rng = 362436069362436069ull;
	begin(0xffff0000);
	for (step = 0; step < 500000 / UNIT_SLOW; step++) {
		switch (rnd(40)) {
		case 0:
			((u8 *)ring)[rnd(sizeof(*ring))] = rnd(256);
			break;
		case 1:
			ring->head = cons.told + 8 * rnd(SIZE / 8 + 2);
			break;
		case 2:
			ring->tail = prod.pos - 8 * rnd(SIZE / 8 + 2);
			break;
		case 3:
			for (i = rnd(SIZE / 8) * 8, n = rnd(8); n--; i = (i + 8) % SIZE) {
				f = (void *)(data + i);
				f->size = rnd(3) ? LEAST + rnd(100) : rnd(2) ? SIZE - i : rnd(2 * SIZE);
				f->header = rnd(2);
			}
			break;
		case 4:
		case 5:
			kecho_ring_wait_room(&prod);
			kecho_ring_wait_data(&cons);
			break;
		case 6 ... 9:
			kecho_ring_submit(&prod);
			break;
		case 10 ... 13:
			kecho_ring_release(&cons, cons.pos);
			break;
		case 14 ... 24:
			len = rnd(20) ? LEAST + rnd(100) : rnd(LIMIT + 2);
			if (kecho_ring_reserve(&prod, len, &q))
				break;
			memset(q, rnd(256), len);
			if (len >= LEAST)
				fill(q, len, step);
			kecho_ring_commit(&prod, len);
			break;
		default:
			ret = kecho_ring_peek(&cons, &p, &len);
			if (ret == 1) {
				assert_true(len >= LEAST && len <= LIMIT && p >= data && p + len <= data + SIZE);
				kecho_ring_consume(&cons, len);
				taken++;
			} else if (ret) {
				assert_int_equal(ret, -EPROTO);
				refused++;
				begin(rnd(U32_MAX) & ~7);
			}
		}
		assert_true(!((prod.pos | prod.other | cons.pos | cons.other | cons.told) & 7));
		assert_true(prod.pos - prod.other <= SIZE);
		assert_true(cons.other - cons.told <= SIZE && cons.pos - cons.told <= cons.other - cons.told);
	}
	assert_true(taken > 10000 / UNIT_SLOW && refused > 3000 / UNIT_SLOW);
}

/* --- threads --- */

#define RECORDS (300000 / UNIT_SLOW)

/*
 * @order: 1: the producer goes to sleep before it tells what it has committed, as it may; 2: the consumer goes to sleep with its last
 * record held
 */
static struct {
	u32 order, most;
	bool producer_woken, consumer_woken;
	u64 failed, slept, wrong;
} stress;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

#define INC(c) __atomic_fetch_add(&(c), 1, __ATOMIC_RELAXED)

static void wake(bool *who)
{
	pthread_mutex_lock(&lock);
	*who = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

/* Both owe the other a wake() that it waits for. */
static void await_wake(bool *self)
{
	struct timespec until;

	INC(stress.slept);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&lock);
	while (!*self && !pthread_cond_timedwait(&cond, &lock, &until))
		;
	if (!*self)
		INC(stress.failed);
	*self = false;
	pthread_mutex_unlock(&lock);
}

static bool stopped(void)
{
	return __atomic_load_n(&stress.failed, __ATOMIC_RELAXED) || __atomic_load_n(&stress.wrong, __ATOMIC_RELAXED);
}

static u32 next_random(u64 *x, u32 n)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return (*x >> 32) % n;
}

static void *produce(void *arg)
{
	u64 x = 1234567;
	u32 n, len;
	bool sleeps;
	void *p;
	int err;

	for (n = 0; n < RECORDS && !stopped(); n++) {
		len = LEAST + next_random(&x, next_random(&x, 50) ? 100 : stress.most - LEAST + 1);
		while ((err = kecho_ring_reserve(&prod, len, &p)) == -EAGAIN && !stopped()) {
			sleeps = stress.order & 1 && kecho_ring_wait_room(&prod);
			if (kecho_ring_submit(&prod))
				wake(&stress.consumer_woken);
			if (!(stress.order & 1))
				sleeps = kecho_ring_wait_room(&prod);
			if (!sleeps)
				continue;
			await_wake(&stress.producer_woken);
			kecho_ring_awake_producer(&prod);
		}
		if (err)
			break;
		fill(p, len, n);
		kecho_ring_commit(&prod, len);
		if (!next_random(&x, 4) && kecho_ring_submit(&prod))
			wake(&stress.consumer_woken);
		/* Now and then it is the slower one. */
		if (!(n & 0x1c00) && !next_random(&x, 3))
			sched_yield();
	}
	if (kecho_ring_submit(&prod))
		wake(&stress.consumer_woken);
	if (n < RECORDS && !stopped())
		INC(stress.wrong);
	return NULL;
}

static void *consume(void *arg)
{
	u64 x = 7654321;
	u32 n, len, last = cons.pos;
	u8 *p, *held = NULL;
	u32 held_len = 0;
	int ret;

	for (n = 0; n < RECORDS && !stopped(); ) {
		ret = kecho_ring_peek(&cons, &p, &len);
		if (ret < 0 || (ret && !is(p, len, n)) || (held && !is(held, held_len, n - 1))) {
			INC(stress.wrong);
			break;
		}
		if (ret) {
			held = stress.order & 2 ? p : NULL;
			held_len = len;
			last = cons.pos;
			kecho_ring_consume(&cons, len);
			n++;
			if (next_random(&x, 3))
				continue;
		}
		if (!held)
			last = cons.pos;
		if (kecho_ring_release(&cons, last))
			wake(&stress.producer_woken);
		if (!(n & 0x2c00) && !next_random(&x, 3))
			sched_yield();
		if (!ret && next_random(&x, 4) && kecho_ring_wait_data(&cons)) {
			await_wake(&stress.consumer_woken);
			kecho_ring_awake_consumer(&cons);
		}
	}
	if (kecho_ring_release(&cons, cons.pos))
		wake(&stress.producer_woken);
	return NULL;
}

static void two_threads(u32 order, u32 most)
{
	pthread_t a, b;

	memset(&stress, 0, sizeof(stress));
	stress.order = order;
	stress.most = most;
	begin(0xfff00000);
	pthread_create(&a, NULL, produce, NULL);
	pthread_create(&b, NULL, consume, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(stress.failed, 0);
	assert_int_equal(stress.wrong, 0);
	assert_int_equal(ring->head, ring->tail);
	assert_true(stress.slept > 10);
	if (UNIT_SLOW == 1)
		assert_true(ring->head < 0xfff00000);
}

static void threads(void **state) { two_threads(0, 300); }
static void threads_large(void **state) { two_threads(0, LIMIT); }
static void threads_tell_late(void **state) { two_threads(1, LIMIT); }
static void threads_hold(void **state) { two_threads(2, LIMIT); }
static void threads_both(void **state) { two_threads(3, 300); }

/*
 * One moves its position while the other goes to sleep, both at the same time, again and again: either the one wakes the other or
 * that does not sleep.
 */
static struct {
	u32 round, ready;
	bool room;
	bool woke[2];
} meet;

#define ROUNDS (200000 / UNIT_SLOW)

/* Both are here: close together, if each has a processor. */
static void meet_at(u32 count)
{
	u32 n;

	__atomic_fetch_add(&meet.ready, 1, __ATOMIC_ACQ_REL);
	for (n = 1; __atomic_load_n(&meet.ready, __ATOMIC_ACQUIRE) < count; n++)
		if (!(n % 256))
			sched_yield();
}

static void *go_to_sleep(void *arg)
{
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		meet_at(4 * i + 2);
		meet.woke[0] = meet.room ? !kecho_ring_wait_room(&prod) : !kecho_ring_wait_data(&cons);
		meet_at(4 * i + 4);
	}
	return NULL;
}

static void meet_often(bool room)
{
	u32 i, lost = 0;
	pthread_t other;

	begin(0xfff00000);
	memset(&meet, 0, sizeof(meet));
	meet.room = room;
	pthread_create(&other, NULL, go_to_sleep, NULL);
	for (i = 0; i < ROUNDS; i++) {
		if (room)
			put_n(64, SIZE / 128 + 1);
		else
			assert_int_equal(put(64, 0), 0);
		if (room)
			assert_next(64, SIZE / 128);
		meet_at(4 * i + 2);
		meet.woke[1] = room ? kecho_ring_release(&cons, cons.pos) : kecho_ring_submit(&prod);
		meet_at(4 * i + 4);
		/* The other one waits at the next round's beginning. */
		lost += !meet.woke[0] && !meet.woke[1];
		kecho_ring_awake_producer(&prod);
		kecho_ring_awake_consumer(&cons);
		while (look() > 0)
			kecho_ring_consume(&cons, 64);
		kecho_ring_release(&cons, cons.pos);
	}
	pthread_join(other, NULL);
	assert_int_equal(lost, 0);
}

static void threads_meet_data(void **state) { meet_often(false); }
static void threads_meet_room(void **state) { meet_often(true); }

/* What the other end writes while this one looks: whatever it makes of it, it is in the ring. */

static bool scribbles;

static void *scribble(void *arg)
{
	u64 x = 2463534242;
	struct kecho_frame *f;
	u32 at, n, i;

	for (n = 0; __atomic_load_n(&scribbles, __ATOMIC_ACQUIRE); n++) {
		if (!(n % 1024))
			sched_yield();
		/* Just there. */
		at = READ_ONCE(ring->tail) & (SIZE - 1);
		f = (void *)(data + at);
		WRITE_ONCE(f->header, next_random(&x, 4));
		for (i = 0; i < 16; i++)
			WRITE_ONCE(f->size, i % 2 ? 64 : next_random(&x, 2) ? SIZE - at : LEAST + next_random(&x, SIZE));
		WRITE_ONCE(ring->head, READ_ONCE(ring->tail) + 8 * next_random(&x, SIZE / 8 + 2));
	}
	return NULL;
}

static void threads_scribble(void **state)
{
	u32 step, len, bad = 0, taken = 0;
	pthread_t other;
	u8 *p;
	int ret;

	begin(0xfff00000);
	scribbles = true;
	pthread_create(&other, NULL, scribble, NULL);
	for (step = 0; (step < 2000000 / UNIT_SLOW || taken < 100) && !bad; step++) {
		if (!(step % 1024))
			sched_yield();
		ret = kecho_ring_peek(&cons, &p, &len);
		if (ret == 1) {
			bad += len < LEAST || len > LIMIT || p < data || p + len > data + SIZE || (uintptr_t)p & 7;
			kecho_ring_consume(&cons, len);
			taken++;
		}
		bad += cons.other - cons.told > SIZE || cons.pos - cons.told > cons.other - cons.told;
		/* On, if it met what cannot be. */
		if (ret < 0)
			cons.pos = cons.other = cons.pos + 8;
		kecho_ring_release(&cons, cons.pos);
	}
	__atomic_store_n(&scribbles, false, __ATOMIC_RELEASE);
	pthread_join(other, NULL);
	assert_int_equal(bad, 0);
}

static void *toggle(void *arg)
{
	u64 x = 2463534242;
	u32 n;

	for (n = 0; __atomic_load_n(&scribbles, __ATOMIC_ACQUIRE); n++) {
		if (!(n % 1024))
			sched_yield();
		WRITE_ONCE(ring->tail, READ_ONCE(ring->head) - next_random(&x, 2) * SIZE - next_random(&x, 2));
	}
	return NULL;
}

/* A tail that is now this, now that: a producer that does not sleep has room for a record, so that it need not try for ever. */
static void threads_toggle(void **state)
{
	u32 step, bad = 0, room = 0;
	pthread_t other;
	void *p;

	begin(0xfff00000);
	put_n(64, SIZE / 64);
	scribbles = true;
	pthread_create(&other, NULL, toggle, NULL);
	for (step = 0; step < 1000000 / UNIT_SLOW || room < 10; step++) {
		if (!(step % 1024))
			sched_yield();
		prod.other = prod.pos - SIZE;
		if (kecho_ring_wait_room(&prod))
			continue;
		room++;
		bad += kecho_ring_reserve(&prod, LIMIT, &p) != 0;
	}
	__atomic_store_n(&scribbles, false, __ATOMIC_RELEASE);
	pthread_join(other, NULL);
	assert_int_equal(bad, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(pending), T(sizes), T(pads), T(full), T(held), T(at_random), T(wakes_consumer), T(wakes_producer), T(bad_head), T(bad_size), T(bad_pads),
	T(bad_tail), T(scribbled), T(threads), T(threads_large), T(threads_tell_late), T(threads_hold), T(threads_both),
	T(threads_meet_data), T(threads_meet_room), T(threads_scribble), T(threads_toggle),
};
UNIT_SUITE(ring, tests)
