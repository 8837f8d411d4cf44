// SPDX-License-Identifier: GPL-2.0
/* A node of its own: channels, sinks and their queues, events, events files, what files show. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"	/* in the tables */
#include "unit.h"
#include "../../lib/attr/text.h"
#include "../../lib/channel/internal.h"
#include "../../lib/channel/stream.h"
#include <linux/err.h>

/* --- a node, and what it has told --- */

#define ID 0xabcdef0123456789ull

static struct kecho_node node;
static struct kecho_channel *ch;
static u64 told_ready, told_room, told_joined, told_due, told_changed[4];
static pthread_mutex_t room_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t room_cond = PTHREAD_COND_INITIALIZER;

#define INC(c) __atomic_fetch_add(&(c), 1, __ATOMIC_RELAXED)

static void on_ready(struct kecho_sink *sink) { INC(told_ready); }
static void on_joined(struct kecho_channel *c) { INC(told_joined); }
static void on_due(struct kecho_cm *cm, u64 when) { INC(told_due); }
static void on_dial(struct kecho_cm *cm, struct kecho_link *link) { abort(); }
static void on_conn(struct kecho_conn *conn) { abort(); }
static void on_listed(struct kecho_node *n, u32 request, const char *name, const struct kecho_holding *h) { abort(); }

static void on_changed(struct kecho_channel *c, enum kecho_file file, const struct kecho_msg *event)
{
	INC(told_changed[file]);
}

static void on_room(struct kecho_channel *c)
{
	pthread_mutex_lock(&room_lock);
	told_room++;
	pthread_cond_broadcast(&room_cond);
	pthread_mutex_unlock(&room_lock);
}

static u64 clock_now;

static u64 clock_stands(void)
{
	return clock_now;
}

static const struct kecho_filter_ops *no_filter(struct kecho_node *n, const char *name)
{
	return ERR_PTR(-ENOENT);
}

static const struct kecho_node_ops ops = {
	.cm = { .dial = on_dial, .kick = on_conn, .close = on_conn, .due = on_due },
	.ready = on_ready, .room = on_room, .changed = on_changed, .joined = on_joined, .listed = on_listed,
	.clock = clock_stands, .filter_get = no_filter,
};

static u64 told(u64 *c)
{
	u64 n = *c;

	*c = 0;
	return n;
}

static int setup(void **state)
{
	int err;

	kecho_node_init(&node, ID, "here", 0, &ops, 42);
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
	assert_non_null(ch);
	told_ready = told_room = told_joined = told_due = 0;
	memset(told_changed, 0, sizeof(told_changed));
	return 0;
}

static int teardown(void **state)
{
	kecho_fail_alloc = -1;
	if (ch)
		kecho_channel_leave(ch, 0);
	ch = NULL;
	assert_int_equal(node.nchannels, 0);
	kecho_node_exit(&node, 0);
	return 0;
}

static int set(const char *text)
{
	return kecho_channel_write_attrs(ch, text, strlen(text), true, 0);
}

static struct kecho_sink *open_sink(const char *type)
{
	return kecho_sink_open(ch, type, 1000, 77, "cat", NULL, 1000, 0);
}

static struct kecho_msg *event(const char *type, const char *payload, u32 len)
{
	struct kecho_msg *msg = kecho_event_alloc(type, NULL, len, GFP_KERNEL);

	assert_non_null(msg);
	memcpy(kecho_event_payload(msg), payload, min_t(size_t, len, strlen(payload) + 1));
	return msg;
}

static int publish_msg(struct kecho_msg *msg, u64 time_ns)
{
	int n = kecho_channel_publish(ch, msg, time_ns, NULL);

	kecho_msg_put(msg);
	return n;
}

static int publish(const char *type, const char *payload)
{
	return publish_msg(event(type, payload, strlen(payload)), 500);
}

static int publish_prio(const char *payload, u8 prio, u32 deadline_us, u64 time_ns)
{
	struct kecho_msg *msg = event("", payload, strlen(payload));

	kecho_event(msg)->prio = prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(deadline_us);
	return publish_msg(msg, time_ns);
}

/* A large event of which only the first bytes matter. */
static int publish_large(const char *payload, u32 len)
{
	return publish_msg(event("", payload, len), 500);
}

static char *pop(struct kecho_sink *sink)
{
	static char text[64];
	struct kecho_msg *msg;
	u32 n;

	if (kecho_sink_pop(sink, U32_MAX, &msg) != 1)
		return NULL;
	n = min_t(u32, kecho_event_payload_len(msg), strnlen((char *)kecho_event_payload(msg), min_t(u32, 60, kecho_event_payload_len(msg))));
	memcpy(text, kecho_event_payload(msg), n);
	text[n] = 0;
	kecho_sink_consumed(sink, msg);
	return text;
}

/* All that is queued, each followed by a space. */
static void assert_queued(struct kecho_sink *sink, const char *want)
{
	static char got[4096];
	char *p;

	got[0] = 0;
	while ((p = pop(sink)))
		strcat(strcat(got, p), " ");
	assert_string_equal(got, want);
	assert_int_equal(sink->count, 0);
	assert_int_equal(sink->bytes, 0);
}

static void assert_text(struct kecho_text *t, const char *want)
{
	kecho_text_append(t, "", 1);
	assert_int_equal(t->err, 0);
	assert_string_equal(t->buf, want);
	kecho_text_free(t);
}

static void assert_text_has(struct kecho_text *t, const char *want)
{
	kecho_text_append(t, "", 1);
	assert_int_equal(t->err, 0);
	assert_non_null(strstr(t->buf, want));
	kecho_text_free(t);
}

/* --- channels --- */

static void names(void **state)
{
	static const char * const good[] = { "a", "Z9._-", "-", "_", "a.b", "0" };
	static const char * const bad[] = { "", ".", "..", ".a", "a/b", "a b", "\xc3\xa4", "a\n", "*" };
	struct kecho_channel *c;
	char name[70];
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_null(kecho_channel_join(&node, bad[i], NULL, 1, 0, &err));
		assert_int_equal(err, -EINVAL);
	}
	for (i = 0; i < ARRAY_SIZE(good) + 2; i++) {
		memset(name, 'n', sizeof(name));
		name[63 + i - ARRAY_SIZE(good)] = 0;
		c = kecho_channel_join(&node, i < ARRAY_SIZE(good) ? good[i] : name, &i, 1, 0, &err);
		assert_non_null(c);
		assert_ptr_equal(c->home, &i);
		assert_int_equal(err, 0);
		assert_null(kecho_channel_join(&node, c->name, NULL, 1, 0, &err));
		assert_int_equal(err, -EEXIST);
		assert_int_equal(node.nchannels, 2);
		kecho_channel_leave(c, 0);
	}
	name[64] = 'n';
	name[65] = 0;
	assert_null(kecho_channel_join(&node, name, NULL, 1, 0, &err));
	assert_int_equal(err, -EINVAL);
	node.nchannels = KECHO_CHANNELS_MAX;
	assert_null(kecho_channel_join(&node, "one-more", NULL, 1, 0, &err));
	assert_int_equal(err, -ENOSPC);
	node.nchannels = 1;
	kecho_fail_alloc = 0;
	assert_null(kecho_channel_join(&node, "d", NULL, 1, 0, &err));
	assert_int_equal(err, -ENOMEM);
}

static void join_and_leave(void **state)
{
	struct kecho_reader r = { 0 };
	struct kecho_sink *a, *b;
	struct kecho_channel *old, *c;
	char buf[8];
	int err;

	/* Alone, one is at once joined and the contact. */
	c = kecho_channel_join(&node, "d", NULL, 1, 0, &err);
	assert_int_equal(told(&told_joined), 1);
	assert_true(c->joined && c->lease.contact == ID);
	assert_true(told(&told_due) > 0);
	kecho_channel_leave(c, 0);

	a = open_sink("");
	b = open_sink("t");
	assert_int_equal(told(&told_changed[KECHO_FILE_MEMBERS]), 2);
	r.sink = a;
	assert_int_equal(publish("", "last"), 1);
	assert_int_equal(told(&told_ready), 1);
	assert_int_equal(told(&told_changed[KECHO_FILE_EVENTS]), 1);
	assert_false(ch->gone);
	old = kecho_channel_get(ch);
	kecho_channel_leave(ch, 0);
	assert_int_equal(told(&told_ready), 2);
	assert_int_equal(publish("", "x"), -ENODEV);
	/* What was queued is still read, then comes the end. */
	assert_true(kecho_reader_ready(&r));
	assert_int_equal(kecho_reader_read(&r, buf, 8, 8), 5);
	assert_memory_equal(buf, "last\n", 5);
	assert_true(kecho_reader_ready(&r));
	assert_int_equal(kecho_reader_read(&r, buf, 8, 8), 0);
	r.sink = b;
	assert_int_equal(kecho_reader_read(&r, buf, 8, 8), 0);
	/* A new one by that name has nothing to do with it. */
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
	assert_non_null(ch);
	assert_ptr_not_equal(ch, old);
	assert_int_equal(publish("", "new"), 0);
	kecho_sink_close(a, 0);
	kecho_sink_close(b, 0);
	assert_int_equal(ch->nsinks, 0);
	assert_int_equal(refcount_read(&old->ref), 1);
	kecho_channel_put(old);
}

static void publish_to_sinks(void **state)
{
	struct kecho_sink *s[50];
	struct kecho_msg *msg;
	int i;

	assert_int_equal(publish("", "nobody"), 0);
	for (i = 0; i < 50; i++) {
		s[i] = open_sink("");
		assert_int_equal(publish("", "x"), i + 1);
	}
	assert_int_equal(ch->seq, 51);
	assert_int_equal(ch->delivered, 50 * 51 / 2);
	/* All have the same event. */
	msg = event("", "shared", 6);
	assert_int_equal(publish_msg(kecho_msg_get(msg), 123456), 50);
	assert_int_equal(refcount_read(&msg->ref), 51);
	assert_int_equal(le64_to_cpu(kecho_event(msg)->origin), ID);
	assert_int_equal(le64_to_cpu(kecho_event(msg)->seq), 52);
	assert_int_equal(le64_to_cpu(kecho_event(msg)->time_ns), 123456);
	for (i = 0; i < 50; i++) {
		assert_int_equal(s[i]->count, 51 - i);
		while (s[i]->count > 1)
			assert_string_equal(pop(s[i]), "x");
		if (i % 2)
			assert_queued(s[i], "shared ");
		kecho_sink_close(s[i], 0);
	}
	assert_int_equal(refcount_read(&msg->ref), 1);
	kecho_msg_put(msg);
	assert_int_equal(publish("", "nobody"), 0);
	assert_int_equal(ch->lost, 0);
}

static void sizes(void **state)
{
	struct kecho_sink *s = open_sink("");
	struct kecho_msg *msg;

	node.max_event = 10;
	assert_int_equal(publish("", "0123456789"), 1);
	assert_int_equal(publish("", "0123456789a"), -EMSGSIZE);
	assert_int_equal(publish("", ""), 1);
	assert_int_equal(ch->seq, 2);
	/* Too long for the reader: it stays. */
	assert_int_equal(kecho_sink_pop(s, 9, &msg), -EMSGSIZE);
	assert_int_equal(kecho_sink_pop(s, 0, &msg), -EMSGSIZE);
	assert_int_equal(s->count, 2);
	assert_int_equal(kecho_sink_pop(s, 10, &msg), 1);
	kecho_sink_consumed(s, msg);
	assert_int_equal(kecho_sink_pop(s, 0, &msg), 1);
	assert_int_equal(kecho_event_payload_len(msg), 0);
	kecho_sink_consumed(s, msg);
	assert_int_equal(kecho_sink_pop(s, 10, &msg), 0);
	kecho_sink_close(s, 0);
}

static void types(void **state)
{
	struct kecho_sink *all = open_sink(""), *a = open_sink("a"), *ab = open_sink("ab");

	assert_int_equal(publish("", "0"), 1);
	assert_int_equal(publish("a", "1"), 2);
	assert_int_equal(publish("ab", "2"), 2);
	assert_int_equal(publish("abc", "3"), 1);
	assert_int_equal(publish("b", "4"), 1);
	assert_int_equal(publish("a", "5"), 2);
	assert_queued(all, "0 1 2 3 4 5 ");
	assert_queued(a, "1 5 ");
	assert_queued(ab, "2 ");
	assert_int_equal(ch->plain, 1);
	assert_int_equal(ch->nsinks, 3);
	kecho_sink_close(all, 0);
	kecho_sink_close(a, 0);
	kecho_sink_close(ab, 0);
}

/* --- queues --- */

static void publish_n(int from, int to)
{
	char text[12];

	for (; from <= to; from++) {
		sprintf(text, "%d", from);
		assert_true(publish("", text) >= 0);
	}
}

static void arrive(struct kecho_msg *msg)
{
	spin_lock_bh(&ch->lock);
	channel_deliver(ch, msg, NULL, 0);
	spin_unlock_bh(&ch->lock);
	kecho_msg_put(msg);
}

static void drop_oldest(void **state)
{
	struct kecho_sink *s = open_sink(""), *fast = open_sink("");

	assert_int_equal(set("kecho.queue=5\nkecho.overflow=drop-oldest"), 0);
	publish_n(1, 5);
	assert_int_equal(s->lost, 0);
	assert_queued(fast, "1 2 3 4 5 ");
	publish_n(6, 9);
	assert_int_equal(s->lost, 4);
	assert_int_equal(fast->lost, 0);
	assert_int_equal(ch->lost, 4);
	assert_int_equal(atomic64_read(&node.stats.lost_sink), 4);
	assert_queued(s, "5 6 7 8 9 ");
	assert_queued(fast, "6 7 8 9 ");
	/* A smaller queue counts from the next event on. */
	publish_n(1, 5);
	assert_int_equal(set("kecho.queue=1"), 0);
	assert_int_equal(s->count, 5);
	publish_n(6, 6);
	assert_queued(s, "6 ");
	assert_int_equal(s->lost, 9);
	kecho_sink_close(s, 0);
	kecho_sink_close(fast, 0);
}

static void drop_newest(void **state)
{
	struct kecho_sink *s = open_sink("");

	assert_int_equal(set("kecho.queue=3\nkecho.overflow=drop-newest"), 0);
	publish_n(1, 3);
	assert_int_equal(publish("", "4"), 0);
	publish_n(5, 6);
	assert_int_equal(s->lost, 3);
	assert_int_equal(ch->lost, 3);
	assert_int_equal(ch->delivered, 3);
	assert_int_equal(atomic64_read(&node.stats.lost_sink), 3);
	assert_string_equal(pop(s), "1");
	publish_n(7, 8);
	assert_queued(s, "2 3 7 ");
	kecho_sink_close(s, 0);
}

static void ring_wraps(void **state)
{
	struct kecho_sink *s = open_sink("");
	int in = 0, out = 0, round, i;

	assert_int_equal(set("kecho.queue=100"), 0);
	for (round = 0; round < 200; round++) {
		for (i = 0; i < 7 + round % 13 && s->count < 100; i++, in++)
			publish_n(in, in);
		for (i = 0; i < 11 && s->count; i++, out++)
			assert_int_equal(atoi(pop(s)), out);
	}
	assert_int_equal(s->lost, 0);
	assert_true(s->cap <= 128);
	kecho_sink_close(s, 0);
}

static void block(void **state)
{
	struct kecho_sink *a = open_sink(""), *b = open_sink(""), *t = open_sink("t");
	struct kecho_msg *msg;

	assert_int_equal(set("kecho.queue=2\nkecho.overflow=block"), 0);
	told_room = 0;
	assert_true(kecho_channel_room(ch, ""));
	publish_n(1, 2);
	assert_false(kecho_channel_room(ch, ""));
	assert_int_equal(publish("", "3"), -EAGAIN);
	assert_int_equal(ch->seq, 2);
	assert_int_equal(told_room, 0);
	/* One reader is not enough, but it is a reason to look again. */
	assert_string_equal(pop(a), "1");
	assert_int_equal(told(&told_room), 1);
	assert_int_equal(publish("", "3"), -EAGAIN);
	assert_int_equal(kecho_sink_pop(b, 100, &msg), 1);
	assert_int_equal(told_room, 0);
	kecho_sink_consumed(b, msg);
	assert_int_equal(told(&told_room), 1);
	assert_true(kecho_channel_room(ch, ""));
	assert_int_equal(publish("", "3"), 2);
	/* Nobody waits: nobody is told. */
	assert_queued(a, "2 3 ");
	assert_queued(b, "2 3 ");
	assert_int_equal(told_room, 0);

	/* A full sink of a type holds up that type only. */
	assert_int_equal(publish("t", "4"), 3);
	assert_int_equal(publish("t", "5"), 3);
	assert_queued(a, "4 5 ");
	assert_queued(b, "4 5 ");
	assert_true(kecho_channel_room(ch, ""));
	assert_true(kecho_channel_room(ch, "tt"));
	assert_false(kecho_channel_room(ch, "t"));
	assert_int_equal(publish("t", "6"), -EAGAIN);
	assert_int_equal(publish("", "6"), 2);
	assert_queued(a, "6 ");
	assert_queued(b, "6 ");
	assert_int_equal(publish("t", "7"), -EAGAIN);
	told_room = 0;
	kecho_sink_close(t, 0);
	assert_int_equal(told(&told_room), 1);
	assert_int_equal(publish("t", "7"), 2);

	/* Other settings, and the channel's end, are reasons too. */
	publish_n(8, 8);
	assert_int_equal(publish("", "9"), -EAGAIN);
	assert_int_equal(set("kecho.queue=3"), 0);
	assert_int_equal(told(&told_room), 1);
	publish_n(9, 9);
	assert_int_equal(publish("", "10"), -EAGAIN);
	assert_int_equal(set("kecho.overflow=drop-newest"), 0);
	assert_int_equal(told(&told_room), 1);
	assert_int_equal(publish("", "10"), 0);
	assert_int_equal(set("kecho.overflow=block"), 0);
	assert_int_equal(publish("", "11"), -EAGAIN);
	assert_int_equal(a->lost + b->lost, 2);
	kecho_channel_get(ch);
	kecho_channel_leave(ch, 0);
	assert_int_equal(told(&told_room), 1);
	assert_int_equal(publish("", "12"), -ENODEV);
	assert_queued(a, "7 8 9 ");
	kecho_sink_close(a, 0);
	kecho_sink_close(b, 0);
	kecho_channel_put(ch);
	ch = NULL;
}

/* Who waits for room is told when half of the queue is free. */
static void block_half(void **state)
{
	struct kecho_sink *s = open_sink("");
	int i;

	assert_int_equal(set("kecho.queue=7\nkecho.overflow=block"), 0);
	publish_n(1, 7);
	assert_int_equal(publish("", "8"), -EAGAIN);
	told_room = 0;
	for (i = 1; i <= 3; i++)
		assert_non_null(pop(s));
	assert_int_equal(told_room, 0);
	assert_string_equal(pop(s), "4");
	assert_int_equal(told(&told_room), 1);
	/* Nobody waits any more, until somebody finds none again. */
	assert_string_equal(pop(s), "5");
	assert_int_equal(told_room, 0);
	publish_n(8, 12);
	assert_int_equal(publish("", "13"), -EAGAIN);
	assert_queued(s, "6 7 8 9 10 11 12 ");
	assert_int_equal(told(&told_room), 1);
	kecho_sink_close(s, 0);
}

static void byte_bounds(void **state)
{
	struct kecho_sink *s = open_sink("");
	u32 size = 9 << 20;

	node.max_event = KECHO_EVENT_MAX;
	publish_large("1", size);
	publish_large("2", size);
	publish_large("3", size);
	assert_int_equal(s->lost, 0);
	publish_large("4", size);
	assert_int_equal(s->lost, 1);
	publish_large("5", 1 << 20);
	assert_int_equal(s->lost, 1);
	assert_queued(s, "2 3 4 5 ");

	assert_int_equal(set("kecho.overflow=drop-newest"), 0);
	publish_large("1", size);
	publish_large("2", size);
	publish_large("3", size);
	assert_int_equal(publish_large("4", size), 0);
	assert_int_equal(publish_large("5", 1 << 20), 1);
	assert_queued(s, "1 2 3 5 ");

	/* The bound is checked before an event, so one may reach beyond it. */
	assert_int_equal(set("kecho.overflow=block"), 0);
	publish_large("1", size);
	publish_large("2", size);
	publish_large("3", size);
	assert_int_equal(publish_large("4", size), 1);
	assert_int_equal(publish_large("5", 0), -EAGAIN);
	assert_string_equal(pop(s), "1");
	assert_int_equal(publish_large("5", 0), 1);
	assert_queued(s, "2 3 4  ");
	kecho_sink_close(s, 0);
}

static void user_bound(void **state)
{
	struct kecho_sink *s[20], *other;
	struct kecho_user *u;
	int i, queued = 0, lost = 0;

	node.max_event = KECHO_EVENT_MAX;
	for (i = 0; i < 20; i++)
		s[i] = open_sink("");
	other = kecho_sink_open(ch, "", 1001, 78, "other", NULL, 1000, 0);
	u = s[0]->user;
	assert_ptr_equal(s[19]->user, u);
	assert_ptr_not_equal(other->user, u);
	/* 20 x 15 MiB do not fit into 256 MiB, but each sink may have one. */
	publish_large("1", 8 << 20);
	assert_int_equal(atomic64_read(&u->bytes), 20 * s[0]->bytes);
	publish_large("2", 8 << 20);
	for (i = 0; i < 20; i++) {
		queued += s[i]->count;
		lost += s[i]->lost;
		assert_true(s[i]->count >= 1);
	}
	assert_int_equal(queued + lost, 40);
	assert_true(lost > 0);
	assert_true(atomic64_read(&u->bytes) <= KECHO_USER_BYTES);
	assert_true(atomic64_read(&u->bytes) > KECHO_USER_BYTES - (9 << 20));
	assert_int_equal(other->count, 2);
	assert_int_equal(other->lost, 0);
	for (i = 0; i < 19; i++)
		kecho_sink_close(s[i], 0);
	assert_int_equal(atomic64_read(&u->bytes), s[19]->bytes);
	kecho_sink_close(s[19], 0);
	kecho_sink_close(other, 0);
	for (i = 0; i < (int)HASH_SIZE(node.users); i++)
		assert_null(node.users[i].first);
}

/* With block it is for the publishers to wait; what comes from one that does not is bounded all the same. */
static void block_overrun(void **state)
{
	struct kecho_sink *s = open_sink(""), *other;
	struct kecho_msg *msg = event("", "x", KECHO_EVENT_MAX - 100);
	int i;

	assert_int_equal(set("kecho.queue=1\nkecho.overflow=block"), 0);
	for (i = 0; i < 40; i++)
		arrive(kecho_msg_get(msg));
	assert_int_equal(s->count, 32);
	assert_int_equal(s->lost, 8);
	assert_int_equal(ch->lost, 8);
	assert_true(atomic64_read(&s->user->bytes) <= 2ll * KECHO_USER_BYTES);
	/* Nor is there room for the first event of another sink of that user. */
	other = open_sink("");
	arrive(kecho_msg_get(msg));
	assert_true(s->lost == 9 && s->count == 32 && other->lost == 1 && !other->count);
	kecho_sink_close(other, 0);
	kecho_sink_close(s, 0);
	assert_int_equal(refcount_read(&msg->ref), 1);
	kecho_msg_put(msg);
}

static void by_priority(void **state)
{
	struct kecho_sink *s = open_sink("");

	assert_int_equal(set("kecho.order=priority"), 0);
	publish_prio("a0", 0, 0, 1);
	publish_prio("b7", 7, 0, 2);
	publish_prio("c3", 3, 0, 3);
	publish_prio("d7", 7, 0, 4);
	publish_prio("e0", 0, 0, 5);
	publish_prio("f3", 3, 0, 6);
	publish_prio("g5", 5, 0, 7);
	assert_queued(s, "b7 d7 g5 c3 f3 a0 e0 ");
	/* Also across the end of the ring, and with deadlines that do not matter. */
	publish_n(1, 6);
	while (s->count > 1)
		pop(s);
	publish_prio("h1", 1, 5, 8);
	publish_prio("i2", 2, 0, 9);
	publish_prio("j1", 1, 1, 10);
	assert_queued(s, "i2 h1 j1 6 ");
	assert_int_equal(set("kecho.order="), 0);
	publish_prio("k0", 0, 0, 11);
	publish_prio("l7", 7, 0, 12);
	assert_queued(s, "k0 l7 ");
	/* A full queue keeps the most urgent, of one urgency the oldest. */
	assert_int_equal(set("kecho.order=priority\nkecho.queue=3"), 0);
	publish_prio("m2", 2, 0, 13);
	publish_prio("n7", 7, 0, 14);
	publish_prio("o5", 5, 0, 15);
	publish_prio("p5", 5, 0, 16);
	publish_prio("q5", 5, 0, 17);
	publish_prio("r0", 0, 0, 18);
	assert_int_equal(s->lost, 3);
	assert_queued(s, "n7 o5 p5 ");
	kecho_sink_close(s, 0);
}

static void by_deadline(void **state)
{
	struct kecho_sink *s = open_sink("");

	assert_int_equal(set("kecho.order=deadline"), 0);
	publish_prio("none1", 7, 0, 1000);
	publish_prio("at9", 0, 9, 1000);
	publish_prio("at5", 0, 5, 1000);
	publish_prio("none2", 0, 0, 1000);
	publish_prio("at5too", 0, 5, 2000);
	publish_prio("at6", 0, 6, 5000);
	publish_prio("late", 0, U32_MAX, 1000);
	assert_queued(s, "at5 at5too at6 at9 late none1 none2 ");
	kecho_sink_close(s, 0);
}

/* What is past its deadline when it is its turn is dropped and counted, and makes room. */
static void expires(void **state)
{
	struct kecho_sink *s = open_sink("");
	struct kecho_text t = { 0 };

	clock_now = 0;
	assert_int_equal(set("kecho.queue=2\nkecho.overflow=block"), 0);
	publish_prio("a", 0, 10, 1000);
	publish_prio("b", 0, 20, 1000);
	clock_now = 9999;
	assert_queued(s, "a b ");
	publish_prio("c", 0, 10, 1000);
	publish_prio("d", 0, 20, 1000);
	clock_now = 9999 + 10000;
	assert_queued(s, "d ");
	assert_int_equal(s->expired, 1);
	publish_prio("e", 0, 1, 1000);
	clock_now += 1000;
	assert_queued(s, "");
	assert_int_equal(s->expired, 2);
	assert_int_equal(s->lost, 0);
	kecho_show_members(&t, ch, 0);
	assert_text_has(&t, "\texpired=2\tlost=0\n");
	kecho_show_stats(&t, &node);
	assert_text_has(&t, "\nexpired=2\n");
	/* A full queue loses those first. */
	assert_int_equal(set("kecho.overflow=drop-oldest"), 0);
	publish_prio("f", 0, 1, 1000);
	publish_prio("g", 0, 0, 1000);
	clock_now += 1000;
	publish_prio("h", 0, 0, 1000);
	assert_int_equal(s->lost, 0);
	assert_queued(s, "g h ");
	clock_now = 0;
	kecho_sink_close(s, 0);
}

/* --- retained events --- */

static void assert_retained(const char *type, const char *want)
{
	struct kecho_sink *s = open_sink(type);

	assert_queued(s, want);
	kecho_sink_close(s, 0);
}

static void retained(void **state)
{
	publish_n(1, 2);
	assert_retained("", "");
	assert_int_equal(set("kecho.retain=3"), 0);
	assert_retained("", "");
	publish_n(3, 4);
	assert_retained("", "3 4 ");
	publish_n(5, 9);
	assert_retained("", "7 8 9 ");
	assert_retained("", "7 8 9 ");
	publish("t", "10");
	publish("tt", "11");
	assert_retained("t", "10 ");
	assert_retained("t2", "");
	assert_retained("", "9 10 11 ");
	assert_int_equal(set("kecho.retain=1"), 0);
	assert_int_equal(ch->nretained, 1);
	assert_retained("", "11 ");
	assert_int_equal(set("kecho.retain=2"), 0);
	publish_n(12, 12);
	assert_retained("", "11 12 ");
	/* Into a queue that has not the room. */
	assert_int_equal(set("kecho.retain=9\nkecho.queue=2"), 0);
	publish_n(13, 13);
	assert_retained("", "12 13 ");
	assert_int_equal(set("kecho.retain="), 0);
	assert_true(!ch->nretained && !ch->retained_bytes && list_empty(&ch->retained));
	assert_retained("", "");
}

static void retained_bytes(void **state)
{
	node.max_event = KECHO_EVENT_MAX;
	assert_int_equal(set("kecho.retain=1000"), 0);
	publish_large("1", 6 << 20);
	publish_large("2", 6 << 20);
	assert_retained("", "1 2 ");
	publish_large("3", 6 << 20);
	assert_retained("", "2 3 ");
	publish_large("4", 1);
	assert_retained("", "2 3 4 ");
	/* The last one stays, whatever its size. */
	publish_large("5", KECHO_EVENT_MAX);
	assert_retained("", "5 ");
	assert_int_equal(ch->nretained, 1);
	publish_large("6", 1);
	assert_retained("", "6 ");
}

static int releases;

static void count_release(struct kecho_msg *msg)
{
	releases++;
}

/* An event as one from a member: @time_ns apart from its place in the order of arrival. */
static struct kecho_msg *foreign(const char *payload, u64 origin, u64 seq, u64 time_ns)
{
	u32 n = strlen(payload), off = 24;
	struct kecho_msg *plain = event("", payload, n), *msg = kecho_msg_alloc(off + plain->len, GFP_KERNEL);

	memset(msg->data, 0xee, off);
	memcpy(msg->data + off, plain->data, plain->len);
	kecho_msg_put(plain);
	msg->off = off;
	msg->release = count_release;
	kecho_event(msg)->origin = cpu_to_le64(origin);
	kecho_event(msg)->seq = cpu_to_le64(seq);
	kecho_event(msg)->time_ns = cpu_to_le64(time_ns);
	return msg;
}

static void retained_from_members(void **state)
{
	struct kecho_sink *s = open_sink("");
	struct retained *r;

	releases = 0;
	assert_int_equal(set("kecho.retain=4"), 0);
	arrive(foreign("b", 5, 1, 200));
	assert_int_equal(releases, 0);
	assert_queued(s, "b ");
	/* Read, and so given back to its publisher, though it is retained. */
	assert_int_equal(releases, 1);
	r = list_first_entry(&ch->retained, struct retained, node);
	assert_null(r->msg->release);
	assert_int_equal(r->msg->off, 0);
	assert_int_equal(kecho_event_check(r->msg), 0);
	assert_int_equal(ch->retained_bytes, kecho_event_size(r->msg));
	/* By time, and none twice. */
	arrive(foreign("d", 6, 1, 400));
	arrive(foreign("c", 5, 2, 300));
	arrive(foreign("d", 6, 1, 400));
	arrive(foreign("a", 7, 1, 100));
	assert_retained("", "a b c d ");
	arrive(foreign("a", 7, 1, 100));
	arrive(foreign("b", 5, 1, 200));
	assert_retained("", "a b c d ");
	arrive(foreign("x", 8, 1, 50));
	assert_retained("", "a b c d ");
	arrive(foreign("e", 5, 3, 400));
	assert_retained("", "b c d e ");
	kecho_sink_close(s, 0);
	assert_int_equal(releases, 9);
	/* Several of one moment, as one write of many lines makes them. */
	assert_int_equal(set("kecho.retain=0"), 0);
	assert_int_equal(set("kecho.retain=9"), 0);
	arrive(foreign("1", 5, 10, 500));
	arrive(foreign("2", 5, 11, 500));
	arrive(foreign("3", 5, 12, 500));
	arrive(foreign("1", 5, 10, 500));
	arrive(foreign("2", 5, 11, 500));
	arrive(foreign("0", 5, 9, 499));
	arrive(foreign("4", 5, 13, 501));
	arrive(foreign("3", 5, 12, 500));
	assert_retained("", "0 1 2 3 4 ");
	assert_int_equal(ch->nretained, 5);
}

/* --- events --- */

static void malformed_events(void **state)
{
	struct kecho_attrs *attrs;
	struct kecho_msg *msg, *cut;
	u32 fixed, len, off;
	int i;

	assert_int_equal(kecho_attrs_merge_text(NULL, "a=1\nb=x", 7, GFP_KERNEL, &attrs), 0);
	msg = kecho_event_alloc("type", attrs, 10, GFP_KERNEL);
	memset(kecho_event_payload(msg), 'p', 10);
	assert_int_equal(kecho_event_payload_len(msg), 10);
	fixed = sizeof(struct kecho_event_wire) + 4 + attrs->len;
	assert_int_equal(kecho_event_size(msg), fixed + 10);
	assert_true(kecho_event_is_type(msg, "type"));
	assert_false(kecho_event_is_type(msg, "typ") || kecho_event_is_type(msg, "types") || kecho_event_is_type(msg, ""));
	assert_memory_equal(kecho_event_attrs(msg), attrs->data, attrs->len);
	kecho_attrs_put(attrs);
	assert_int_equal(kecho_event_check(msg), 0);
	/* Every length, each in memory of its own for ASan; behind a prefix, too. */
	for (off = 0; off <= 20; off += 20) {
		for (len = 0; len <= msg->len; len++) {
			cut = kecho_msg_alloc(off + len, GFP_KERNEL);
			cut->off = off;
			memcpy(cut->data + off, msg->data, len);
			assert_int_equal(kecho_event_check(cut), len >= fixed ? 0 : -EBADMSG);
			kecho_msg_put(cut);
		}
	}
	cut = kecho_msg_alloc(10, GFP_KERNEL);
	for (off = 10; off < 20; off++) {
		cut->off = off;
		assert_int_equal(kecho_event_check(cut), -EBADMSG);
	}
	kecho_msg_put(cut);
#define WITH(change, want) do { \
		struct kecho_event_wire *ev = kecho_event(msg), was = *ev; \
		change; \
		assert_int_equal(kecho_event_check(msg), want); \
		*ev = was; \
	} while (0)
	for (i = 0; i < 256; i++)
		WITH(ev->prio = i, i <= KECHO_PRIO_MAX ? 0 : -EBADMSG);
	for (i = 5; i < 256; i++)
		WITH(ev->type_len = i, -EBADMSG);
	for (i = 0; i < 65536; i += 7)
		if (i != le16_to_cpu(kecho_event(msg)->attrs_len) && i != 13 && i)
			WITH(ev->attrs_len = cpu_to_le16(i), -EBADMSG);
	for (i = 0; i < 256; i++) {
		char c = i;

		kecho_event(msg)->bytes[1] = i;
		assert_int_equal(kecho_event_check(msg), kecho_name_valid(&c, 1) || i == '.' ? 0 : -EBADMSG);
	}
	kecho_event(msg)->bytes[1] = 'y';
	kecho_event(msg)->bytes[4 + 1] = 9;
	assert_int_equal(kecho_event_check(msg), -EBADMSG);
	kecho_msg_put(msg);
}

/* --- events files --- */

struct io {
	struct kecho_writer w;
	struct kecho_reader r;
};

static struct io *io_open(u32 mode, const char *wtype, const char *rtype)
{
	struct io *io = calloc(1, sizeof(*io));

	io->w.channel = ch;
	io->w.mode = io->r.mode = mode;
	strcpy(io->w.type, wtype);
	io->r.sink = open_sink(rtype);
	return io;
}

static void io_close(struct io *io)
{
	kecho_writer_free(&io->w);
	kecho_reader_free(&io->r);
	kecho_sink_close(io->r.sink, 0);
	free(io);
}

static ssize_t io_write(struct io *io, const char *s, size_t n)
{
	char *copy = malloc(n ? n : 1);
	ssize_t ret;

	memcpy(copy, s, n);
	ret = kecho_writer_write(&io->w, copy, n, 500);
	free(copy);
	return ret;
}

#define PUT(io, s) io_write(io, s, strlen(s))

/* All there is to read, in reads of @n bytes, one after another. */
static void assert_reads(struct io *io, size_t n, const char *want)
{
	char got[512], *buf = malloc(n);
	size_t len = 0;
	ssize_t ret;

	while ((ret = kecho_reader_read(&io->r, buf, n, n)) > 0) {
		assert_true((size_t)ret <= n);
		assert_true(len + ret < sizeof(got));
		/* Never across an event's end. */
		assert_null(memchr(buf, '\n', ret - 1));
		assert_int_equal(kecho_reader_rest(&io->r), buf[ret - 1] != '\n');
		memcpy(got + len, buf, ret);
		len += ret;
	}
	assert_int_equal(ret, -EAGAIN);
	assert_false(kecho_reader_ready(&io->r));
	got[len] = 0;
	assert_string_equal(got, want);
	free(buf);
}

static void text_cuts(void **state)
{
	static const char text[] = "a\nbb\n\nccc\n", tail[] = "a\nbb\n\nccc";
	size_t n = strlen(text), i, j;
	struct io *io = io_open(KECHO_MODE_TEXT, "", "");

	for (i = 0; i <= n; i++) {
		for (j = i; j <= n; j++) {
			assert_int_equal(io_write(io, text, i), i);
			assert_int_equal(io_write(io, text + i, j - i), j - i);
			assert_int_equal(io_write(io, text + j, n - j), n - j);
			assert_int_equal(io->r.sink->count, 4);
			assert_int_equal(kecho_writer_finish(&io->w, 500), 0);
			assert_int_equal(io->w.len, 0);
			assert_reads(io, 1 + (i + j) % 7, text);
		}
	}
	n = strlen(tail);
	for (i = 0; i <= n; i++) {
		for (j = i; j <= n; j++) {
			io_write(io, tail, i);
			io_write(io, tail + i, j - i);
			assert_int_equal(io_write(io, tail + j, n - j), n - j);
			assert_int_equal(io->r.sink->count, 3);
			assert_int_equal(kecho_writer_finish(&io->w, 500), 0);
			assert_reads(io, 64, text);
			assert_int_equal(kecho_writer_finish(&io->w, 500), 0);
		}
	}
	assert_int_equal(io_write(io, "", 0), 0);
	assert_reads(io, 64, "");
	io_close(io);
}

static void long_lines(void **state)
{
	struct io *io = io_open(KECHO_MODE_TEXT, "", "");
	size_t i;

	node.max_event = 5;
	assert_int_equal(PUT(io, "12345\n"), 6);
	/* In one write: nothing of that write is taken. */
	assert_int_equal(PUT(io, "123456\n"), -EMSGSIZE);
	assert_int_equal(PUT(io, "ok\n"), 3);
	/* After good lines: those stand, the error comes with the rest. */
	assert_int_equal(PUT(io, "a\nb\n123456\nc\n"), 4);
	assert_int_equal(PUT(io, "123456\nc\n"), -EMSGSIZE);
	assert_int_equal(PUT(io, "c\n"), 2);
	assert_reads(io, 64, "12345\nok\na\nb\nc\n");
	/* In many writes: all of the line goes, to its end, and no more. */
	for (i = 0; i < 5; i++)
		assert_int_equal(PUT(io, "1"), 1);
	assert_int_equal(PUT(io, "6"), -EMSGSIZE);
	assert_int_equal(PUT(io, "7"), -EMSGSIZE);
	assert_int_equal(PUT(io, "123"), -EMSGSIZE);
	assert_int_equal(PUT(io, "8\nnext\n"), 7);
	assert_int_equal(PUT(io, "12345"), 5);
	assert_int_equal(PUT(io, "6\nd\n"), -EMSGSIZE);
	assert_int_equal(PUT(io, "e\n"), 2);
	/* Just its newline is missing, or comes alone. */
	assert_int_equal(PUT(io, "12345"), 5);
	assert_int_equal(PUT(io, "\n"), 1);
	assert_int_equal(PUT(io, "123456"), -EMSGSIZE);
	assert_int_equal(PUT(io, "\n"), 1);
	assert_int_equal(PUT(io, "\n"), 1);
	assert_reads(io, 3, "next\ne\n12345\n\n");
	/* Two that are too long in a row. */
	assert_int_equal(PUT(io, "123456"), -EMSGSIZE);
	assert_int_equal(PUT(io, "\n123456\nf\n"), 1);
	assert_int_equal(PUT(io, "123456\nf\n"), -EMSGSIZE);
	/* At the end of the file nothing of it is left. */
	assert_int_equal(PUT(io, "1234"), 4);
	assert_int_equal(PUT(io, "56"), -EMSGSIZE);
	assert_int_equal(kecho_writer_finish(&io->w, 500), 0);
	assert_reads(io, 64, "");
	io_close(io);
}

static void write_resumes(void **state)
{
	static const char text[] = "one\ntwo\n\nfour\nfive\nlast";
	struct io *io = io_open(KECHO_MODE_TEXT, "", "");
	size_t q, done, len = strlen(text);
	char got[64], buf[8];
	ssize_t n;

	for (q = 1; q <= 6; q++) {
		char setting[40];
		size_t have = 0, eagain = 0;

		sprintf(setting, "kecho.queue=%zu\nkecho.overflow=block", q);
		assert_int_equal(set(setting), 0);
		assert_int_equal(PUT(io, "ze"), 2);	/* a beginning, kept */
		for (done = 0; done < len || kecho_writer_finish(&io->w, 500) == -EAGAIN; ) {
			n = done < len ? io_write(io, text + done, len - done) : -EAGAIN;
			if (n > 0) {
				done += n;
				continue;
			}
			assert_int_equal(n, -EAGAIN);
			eagain++;
			n = kecho_reader_read(&io->r, buf, sizeof(buf), sizeof(buf));
			assert_true(n > 0);
			memcpy(got + have, buf, n);
			have += n;
		}
		assert_true(q >= 6 ? !eagain : eagain);
		while ((n = kecho_reader_read(&io->r, buf, sizeof(buf), sizeof(buf))) > 0) {
			memcpy(got + have, buf, n);
			have += n;
		}
		got[have] = 0;
		assert_string_equal(got, "zeone\ntwo\n\nfour\nfive\nlast\n");
	}
	io_close(io);
}

static void packets(void **state)
{
	struct io *io = io_open(KECHO_MODE_PACKET, "", "");
	char buf[32];

	node.max_event = 20;
	assert_int_equal(PUT(io, "two\nlines\n"), 10);
	assert_int_equal(io_write(io, "\0x", 2), 2);
	assert_int_equal(PUT(io, "012345678901234567890"), -EMSGSIZE);
	assert_int_equal(PUT(io, ""), 0);
	assert_int_equal(PUT(io, "end"), 3);
	assert_int_equal(io->r.sink->count, 4);
	assert_int_equal(kecho_reader_read(&io->r, buf, 9, 9), -EMSGSIZE);
	assert_int_equal(kecho_reader_read(&io->r, buf, 0, 0), -EMSGSIZE);
	assert_true(kecho_reader_ready(&io->r) && !kecho_reader_rest(&io->r));
	assert_int_equal(kecho_reader_read(&io->r, buf, 10, 10), 10);
	assert_memory_equal(buf, "two\nlines\n", 10);
	assert_int_equal(kecho_reader_read(&io->r, buf, 32, 32), 2);
	assert_memory_equal(buf, "\0x", 2);
	/* The empty one is passed over. */
	assert_int_equal(kecho_reader_read(&io->r, buf, 32, 32), 3);
	assert_int_equal(kecho_reader_read(&io->r, buf, 32, 32), -EAGAIN);
	/* A large buffer that is filled in pieces. */
	assert_int_equal(PUT(io, "0123456789"), 10);
	assert_int_equal(kecho_reader_read(&io->r, buf, 4, 10), 4);
	assert_true(kecho_reader_rest(&io->r));
	assert_int_equal(kecho_reader_read(&io->r, buf + 4, 4, 10), 4);
	assert_int_equal(kecho_reader_read(&io->r, buf + 8, 2, 10), 2);
	assert_false(kecho_reader_rest(&io->r));
	assert_memory_equal(buf, "0123456789", 10);
	assert_int_equal(kecho_reader_read(&io->r, buf, 2, 10), -EAGAIN);
	/* A file that is closed in the middle. */
	assert_int_equal(PUT(io, "0123456789"), 10);
	assert_int_equal(kecho_reader_read(&io->r, buf, 4, 10), 4);
	io_close(io);
}

static size_t frame(char *buf, const char *type, const char *attrs, const char *payload)
{
	struct kecho_frame f = {
		.size = sizeof(f) + strlen(type) + strlen(attrs) + strlen(payload),
		.header = sizeof(f),
		.type_len = strlen(type),
		.prio = 3,
		.deadline_us = 99,
		.attrs_len = strlen(attrs),
	};

	memcpy(buf, &f, sizeof(f));
	strcpy(buf + sizeof(f), type);
	strcat(buf + sizeof(f), attrs);
	strcat(buf + sizeof(f), payload);
	return f.size;
}

static void frames(void **state)
{
	struct io *io = io_open(KECHO_MODE_FRAMED, "", "");
	const size_t head = sizeof(struct kecho_frame);
	char buf[256], got[256];
	struct kecho_frame *f = (void *)got;
	size_t n, i;

	n = frame(buf, "typ", "b=2.50\na=x", "pay\nload");
	assert_int_equal(io_write(io, buf, n), n);
	assert_int_equal(io->r.sink->count, 1);
	/* As it is read: attributes in their printed form. */
	n = head + strlen("typa=x\nb=2.5\npay\nload");
	for (i = 0; i < n; i++)
		assert_int_equal(kecho_reader_read(&io->r, got, i, i), -EMSGSIZE);
	assert_true(kecho_reader_ready(&io->r));
	assert_int_equal(kecho_reader_read(&io->r, got, sizeof(got), sizeof(got)), n);
	assert_int_equal(f->size, n);
	assert_int_equal(f->header, head);
	assert_int_equal(f->type_len, 3);
	assert_int_equal(f->prio, 3);
	assert_int_equal(f->seq, 1);
	assert_int_equal(f->time_ns, 500);
	assert_int_equal(f->publisher, ID);
	assert_int_equal(f->lost, 0);
	assert_int_equal(f->deadline_us, 99);
	assert_int_equal(f->attrs_len, strlen("a=x\nb=2.5\n"));
	assert_int_equal(f->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_RETAINED);	/* 500 is before the sink was opened */
	assert_memory_equal(got + head, "typa=x\nb=2.5\npay\nload", n - head);
	/* In pieces of every size. */
	for (i = 1; i <= n; i++) {
		size_t have = 0;
		ssize_t ret;

		io_write(io, buf, frame(buf, "typ", "b=2.50\na=x", "pay\nload"));
		memset(got, 0, sizeof(got));
		while (have < n) {
			ret = kecho_reader_read(&io->r, got + have, min(i, n - have), n);
			assert_int_equal(ret, min(i, n - have));
			have += ret;
			assert_int_equal(kecho_reader_rest(&io->r), have < n);
		}
		assert_memory_equal(got + head, "typa=x\nb=2.5\npay\nload", n - head);
		assert_int_equal(kecho_reader_read(&io->r, got, 1, n), -EAGAIN);
	}
	/* Losses, and an event of another time and node. */
	assert_int_equal(set("kecho.queue=1"), 0);
	publish_msg(event("", "a", 1), 2000);
	arrive(foreign("b", 9, 7, 2000));
	assert_int_equal(kecho_reader_read(&io->r, got, sizeof(got), sizeof(got)), head + 1);
	assert_true(f->lost == 1 && f->flags == 0 && f->publisher == 9 && f->seq == 7 && !f->type_len && !f->attrs_len);
	/* An empty event is a frame with nothing behind it. */
	n = frame(buf, "", "", "");
	assert_int_equal(io_write(io, buf, n), head);
	assert_int_equal(kecho_reader_read(&io->r, got, sizeof(got), sizeof(got)), head);
	io_close(io);
}

static void malformed_frames(void **state)
{
	struct io *io = io_open(KECHO_MODE_FRAMED, "", ""), *typed = io_open(KECHO_MODE_FRAMED, "typ", "typ");
	const size_t head = sizeof(struct kecho_frame);
	struct kecho_frame *f;
	char buf[512], large[200];
	size_t n = frame(buf, "typ", "a=1\n", "payload"), i;

	f = (void *)buf;
#define BAD(change, want) do { \
		struct kecho_frame was = *f; \
		change; \
		assert_int_equal(io_write(io, buf, n), want); \
		*f = was; \
	} while (0)
	for (i = 0; i < n; i++)
		assert_int_equal(io_write(io, buf, i), -EINVAL);
	BAD(f->size++, -EINVAL);
	BAD(f->size--, -EINVAL);
	BAD(f->size = 0, -EINVAL);
	BAD(f->size = U32_MAX, -EINVAL);
	for (i = 0; i < head; i++)
		BAD(f->header = i, -EINVAL);
	BAD(f->header = n + 1, -EINVAL);
	BAD(f->header = 65535, -EINVAL);
	BAD(f->seq = 1, -EINVAL);
	BAD(f->time_ns = 1, -EINVAL);
	BAD(f->publisher = 1, -EINVAL);
	BAD(f->lost = 1, -EINVAL);
	for (i = 1; i < 65536; i *= 2)
		BAD(f->flags = i, -EINVAL);
	for (i = KECHO_PRIO_MAX + 1; i < 256; i++)
		BAD(f->prio = i, -EINVAL);
	BAD(f->type_len = n - head + 1, -EINVAL);
	BAD(f->type_len = 255, -EINVAL);
	BAD(f->type_len = 4, -EINVAL);		/* "typa", and "=1" is no attribute */
	BAD(f->type_len = 5, -EINVAL);		/* "typa=" is no name */
	BAD(f->attrs_len = n - head - 3 + 1, -EINVAL);
	BAD(f->attrs_len = 65535, -EINVAL);
	BAD(f->attrs_len = 5, -EINVAL);		/* "p" is no line of attributes */
	BAD(buf[head] = '.', -EINVAL);
	buf[head] = 't';
	assert_int_equal(io->r.sink->count, 0);
	assert_int_equal(io_write(io, buf, n), n);
	assert_int_equal(pop(io->r.sink) != NULL, 1);
	/* In a type's directory: that type, or none, which stands for it. */
	assert_string_equal(pop(typed->r.sink), "payload");
	assert_int_equal(io_write(typed, buf, n), n);
	assert_int_equal(io_write(typed, buf, frame(buf, "", "", "untyped")), head + 7);
	assert_int_equal(io_write(typed, buf, frame(buf, "other", "", "x")), -EINVAL);
	assert_int_equal(io_write(typed, buf, frame(buf, "ty", "", "x")), -EINVAL);
	assert_queued(typed->r.sink, "payload untyped ");
	/* A longer header of a later version. */
	n = frame(buf, "", "", "12345678payload");
	BAD(f->header += 8, n);
	/* The payload's size counts alone. */
	node.max_event = 8;
	assert_int_equal(io_write(io, buf, frame(buf, "typ", "a=1\nb=2", "12345678")), head + 18);
	assert_int_equal(io_write(io, buf, frame(buf, "typ", "a=1\nb=2", "123456789")), -EMSGSIZE);
	assert_queued(io->r.sink, "payload untyped payload 12345678 ");
	memset(large, 'n', 66);
	large[65] = 0;
	assert_int_equal(io_write(io, buf, frame(buf, large, "", "x")), -EINVAL);
	io_close(io);
	io_close(typed);
}

/* The mode may be changed while an event that was too long for a frame waits. */
static void mode_changes(void **state)
{
	struct io *io = io_open(KECHO_MODE_FRAMED, "", "");
	char buf[64];

	publish("", "abc");
	publish("", "");
	publish("", "def");
	assert_int_equal(kecho_reader_read(&io->r, buf, 50, 50), -EMSGSIZE);
	io->r.mode = KECHO_MODE_TEXT;
	assert_int_equal(kecho_reader_read(&io->r, buf, 50, 50), 4);
	assert_memory_equal(buf, "abc\n", 4);
	io->r.mode = KECHO_MODE_FRAMED;
	assert_int_equal(kecho_reader_read(&io->r, buf, 47, 47), -EMSGSIZE);
	io->r.mode = KECHO_MODE_PACKET;
	assert_int_equal(kecho_reader_read(&io->r, buf, 50, 50), 3);
	assert_memory_equal(buf, "def", 3);
	publish("", "ghi");
	io->r.mode = KECHO_MODE_FRAMED;
	assert_int_equal(kecho_reader_read(&io->r, buf, 50, 50), -EMSGSIZE);
	io->r.mode = KECHO_MODE_PACKET;
	assert_int_equal(kecho_reader_read(&io->r, buf, 2, 2), -EMSGSIZE);
	assert_int_equal(kecho_reader_read(&io->r, buf, 3, 3), 3);
	io_close(io);
}

/* --- settings, and what files show --- */

#define DEFAULTS "kecho.order=fifo\nkecho.overflow=drop-oldest\nkecho.queue=1024\nkecho.retain=0\nkecho.transport=tcp\n"

static void assert_attrs(const char *want)
{
	struct kecho_text t = { 0 };

	kecho_show_attrs(&t, ch);
	assert_text(&t, want);
}

#define QUEUE_MAX 262144
#define STR2(x) #x
#define STR(x) STR2(x)
_Static_assert(QUEUE_MAX == KECHO_QUEUE_MAX, "as in limits.h");

static void settings(void **state)
{
	static const char * const good[] = {
		"kecho.overflow=drop-oldest", "kecho.overflow=drop-newest", "kecho.overflow=block", "kecho.overflow=\"block\"",
		"kecho.order=fifo", "kecho.order=priority", "kecho.order=deadline", "kecho.transport=rudp", "kecho.transport=tcp", "kecho.queue=1",
		"kecho.queue=" STR(QUEUE_MAX), "kecho.retain=0", "kecho.retain=1024", "kecho.queue=5\nkecho.retain=5\nx=5", "kecho.queue=",
		"kecho.queue=7\nkecho.queue=", "",
	};
	static const char * const bad[] = {
		"kecho.overflow=drop", "kecho.overflow=Block", "kecho.overflow=1", "kecho.overflow=\"\"", "kecho.order=lifo",
		"kecho.order=fif", "kecho.order=fifoo", "kecho.transport=udp", "kecho.transport=x", "kecho.queue=0", "kecho.queue=-1",
		"kecho.queue=" STR(QUEUE_MAX) "0", "kecho.queue=1.0", "kecho.queue=\"5\"", "kecho.queue=x", "kecho.queue=9223372036854775807",
		"kecho.retain=-1", "kecho.retain=1025", "kecho.unknown=1", "kecho.=1", "kecho.queue.x=1", "kecho.queue=5\nkecho.retain=x",
		"x=5\nkecho.retain=x", "kecho.queue=5\nbad line", "kecho.queue", "kecho.",
	};
	size_t i;

	assert_attrs(DEFAULTS);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (set(bad[i]) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_attrs(DEFAULTS);
	}
	assert_int_equal(told_changed[KECHO_FILE_ATTRS], 0);
	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (set(good[i]))
			fail_msg("%s", good[i]);
	assert_int_equal(set("x=\nkecho.retain=\nkecho.overflow=drop-newest\nkecho.order=deadline\nb=\"1\"\nkecho.queue=9\na=x y"), 0);
	assert_attrs("a=x y\nb=\"1\"\nkecho.order=deadline\nkecho.overflow=drop-newest\nkecho.queue=9\nkecho.retain=0\nkecho.transport=tcp\n");
	assert_true(ch->settings.overflow == KECHO_DROP_NEWEST && ch->settings.order == KECHO_DEADLINE && ch->settings.queue == 9);
	/* Only who owns the channel sets it; each may say of itself what it likes. */
#define AS_OTHER(s) kecho_channel_write_attrs(ch, s, strlen(s), false, 0)
	told(&told_changed[KECHO_FILE_ATTRS]);
	assert_int_equal(AS_OTHER("kecho.queue=10"), -EPERM);
	assert_int_equal(AS_OTHER("a=2\nkecho.queue=10"), -EPERM);
	assert_int_equal(AS_OTHER("kecho.queue="), -EPERM);
	assert_int_equal(told_changed[KECHO_FILE_ATTRS], 0);
	told(&told_changed[KECHO_FILE_MEMBERS]);
	assert_int_equal(AS_OTHER("a=2\nb=\nkechoo=1\n"), 0);
	assert_int_equal(told(&told_changed[KECHO_FILE_ATTRS]), 1);
	assert_int_equal(told(&told_changed[KECHO_FILE_MEMBERS]), 1);
	/* No change, no word of it. */
	assert_int_equal(AS_OTHER("a=2\n"), 0);
	assert_int_equal(told_changed[KECHO_FILE_ATTRS] + told_changed[KECHO_FILE_MEMBERS], 0);
	assert_int_equal(set("a=\nkechoo=\nkecho.order=\nkecho.overflow=\nkecho.queue="), 0);
	assert_attrs(DEFAULTS);
}

static void config(void **state)
{
	static const char * const bad[] = {
		"queue=0", "queue=" STR(QUEUE_MAX) "0", "queue=x", "queue=1.0", "queue=", "queue=\n", "queue", "max_event=0", "max_event=16777217",
		"heartbeat=19", "heartbeat=60001", "lease=499", "lease=3600001", "name=x", "id=1", "listen=x", "nothing=1", "=1",
		"queue=5\nname=x", "queue=5\nlease=", "queue=5\nheartbeat=1",
	};
	static const char * const good[] = {
		"queue=1", "queue=" STR(QUEUE_MAX), "max_event=1", "max_event=16777216", "heartbeat=20", "heartbeat=60000", "lease=500",
		"lease=3600000", "", "\n", "queue=5\nqueue=6",
	};
	struct kecho_text t = { 0 };
	struct kecho_channel *c;
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (kecho_node_configure(&node, bad[i], strlen(bad[i])) != -EINVAL)
			fail_msg("%s", bad[i]);
	kecho_show_config(&t, &node);
	assert_text(&t, "name=here\nid=abcdef0123456789\nlisten=-\nregistry=0\nqueue=1024\nmax_event=1048576\nheartbeat=1000\n"
		    "lease=15000\ntransport=tcp\n");
	for (i = 0; i < ARRAY_SIZE(good); i++)
		if (kecho_node_configure(&node, good[i], strlen(good[i])))
			fail_msg("%s", good[i]);
	node.cm.listen = (struct kecho_addr){ 4, cpu_to_be16(7325), { 127, 0, 0, 1 } };
	kecho_show_config(&t, &node);
	assert_text(&t, "name=here\nid=abcdef0123456789\nlisten=127.0.0.1:7325\nregistry=0\nqueue=6\nmax_event=16777216\n"
		    "heartbeat=60000\nlease=3600000\ntransport=tcp\n");
	/* The default of the channels to come. */
	c = kecho_channel_join(&node, "d", NULL, 1, 0, &err);
	assert_int_equal(c->settings.queue, 6);
	assert_int_equal(ch->settings.queue, 1024);
	kecho_channel_leave(c, 0);
	kecho_fail_alloc = 0;
	assert_int_equal(kecho_node_configure(&node, "queue=9", 7), -ENOMEM);
	assert_int_equal(node.queue, 6);
}

static void members_file(void **state)
{
	struct kecho_sink *s, *d;
	struct kecho_text t = { 0 };

#define ME(role, sinks, sent, received, lost) \
	"id=abcdef0123456789\tnode=here\taddr=-\tvia=local\tstate=alive\trole=" role "\tsinks=" sinks \
	"\tcontact=1\trtt_us=0\tsent=" sent "\treceived=" received "\tlost=" lost
	kecho_show_members(&t, ch, 0);
	assert_text(&t, ME("-", "0", "0", "0", "0") "\n");
	kecho_source_open(ch, 0);
	kecho_source_open(ch, 0);
	kecho_show_members(&t, ch, 0);
	assert_text(&t, ME("p", "0", "0", "0", "0") "\n");
	s = open_sink("");
	d = kecho_sink_open(ch, "typ", 0, 4000000, "a-name-that-is-longer-than-16", NULL, 0, 0);
	assert_int_equal(set("room=lab 5\nload=0.50\nkecho.queue=1"), 0);
	publish("", "1");
	publish("", "2");
	publish("typ", "3");
	kecho_show_members(&t, ch, 0);
	assert_text(&t, ME("ps", "2", "3", "4", "2") "\tload=0.5\troom=lab 5\n"
		    "  pid=77\tcomm=cat\tqueued=1\tlost=2\n"
		    "  pid=4000000\tcomm=a-name-that-is-\tqueued=1\tlost=0\ttype=typ\tsink=2\n");
	kecho_source_close(ch, 0);
	kecho_source_close(ch, 0);
	kecho_show_members(&t, ch, 0);
	assert_text_has(&t, "\trole=s\t");
	kecho_sink_close(s, 0);
	kecho_sink_close(d, 0);
}

static void node_files(void **state)
{
	struct kecho_sink *s = open_sink("");
	struct kecho_text t = { 0 };
	struct kecho_channel *other;
	struct kecho_msg *msg;
	int err;

	assert_int_equal(set("kecho.queue=1"), 0);
	publish_n(1, 3);
	kecho_show_peers(&t, &node);
	assert_int_equal(t.len, 0);
	kecho_text_free(&t);
	kecho_show_channels(&t, &node);
	assert_text(&t, "name=c\tcontact=abcdef0123456789\taddr=-\tepoch=1\tjoined=1\n");
	kecho_show_stats(&t, &node);
	assert_text(&t, "channels=1\nlinks=0\npublished=3\nsent=0\nreceived=0\ndelivered=3\nunsent=0\nfiltered=0\nunretained=0\nlost=2\nlost_sink=2\nlost_link=0\n"
		    "lost_unacked=0\nexpired=0\nconnects=0\naccepts=0\nrefused=0\nresumes=0\nresets=0\ntimeouts=0\nprotocol_errors=0\n"
		    "tx_records=0\ntx_bytes=0\nrx_records=0\nrx_bytes=0\n");
	kecho_sink_close(s, 0);
	/* What went by a channel that was left counts on. */
	other = kecho_channel_join(&node, "d", NULL, 2, 0, &err);
	assert_non_null(other);
	s = kecho_sink_open(other, "", 0, 1, "test", NULL, 0, 0);
	msg = event("", "x", 1);
	assert_int_equal(kecho_channel_publish(other, msg, 0, NULL), 1);
	kecho_msg_put(msg);
	kecho_sink_close(s, 0);
	kecho_channel_leave(other, 0);
	kecho_show_stats(&t, &node);
	assert_text_has(&t, "\npublished=4\nsent=0\nreceived=0\ndelivered=4\n");
}

static void filter(void **state)
{
	static const char * const unknown[] = {
		"name", "name\n", "in name", "out name", "in  name\ta=1", "name a=1 b=x c=", "out bpf:/sys/fs/bpf/x", "bpf:x", "-name", "-0",
		"-12", "=0 a=1", "=999999999 a=1 b=2", " name ", "in in", "in out", "name a==", "-name ", "name a=\xc3\xa4", "name -=1",
	};
	static const char * const bad[] = {
		"", "\n", " ", "in", "out", "in ", ".name", "a/b", "name a", "name =1", "name .a=1", "name a=1 b", "name\nname",
		"name\n\n", "-", "=", "=0", "=x a=1", "= a=1", "=1000000000 a=1", "=-1 a=1", "-a b", "-.a", "- a", "bpf:", "name a=\x01",
		"name a=\x7f", "in bpf: a=1", "inn/",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		if (kecho_channel_write_filter(ch, unknown[i], strlen(unknown[i])) != -ENOENT)
			fail_msg("%s", unknown[i]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (kecho_channel_write_filter(ch, bad[i], strlen(bad[i])) != -EINVAL)
			fail_msg("%s", bad[i]);
}

/* --- without memory --- */

/* One allocation fails, wherever it is: what is said to be done is done, and what is lost is counted. */
static void scenario(void)
{
	static const char text[] = "a\nbb\n\ntail", set_text[] = "kecho.retain=2\nkecho.queue=4\nload=1.5";
	struct kecho_writer w = { .mode = KECHO_MODE_TEXT }, fw = { .mode = KECHO_MODE_FRAMED };
	struct kecho_sink *s[3];
	struct kecho_text t = { 0 };
	u64 sum = 0, published;
	char buf[200], fbuf[200];
	size_t done, fn = frame(fbuf, "typ", "a=1\nb=text", "framed");
	struct kecho_channel *c;
	ssize_t n;
	int err, i, got, attrs_seen;

	c = kecho_channel_join(&node, "d", NULL, 1, 0, &err);
	if (!c) {
		assert_int_equal(err, -ENOMEM);
		return;
	}
	w.channel = fw.channel = c;
	do
		err = kecho_channel_write_attrs(c, set_text, strlen(set_text), true, 0);
	while (err == -ENOMEM);
	assert_int_equal(err, 0);
	for (i = 0; i < 3; i++)
		s[i] = kecho_sink_open(c, i == 2 ? "typ" : "", 5 + i % 2, 1, "cat", NULL, 0, 0);
	kecho_channel_room(c, "x");
	for (i = 0; i < 3; i++) {
		for (done = 0; done < strlen(text); done += n > 0 ? n : 0) {
			n = kecho_writer_write(&w, text + done, strlen(text) - done, 7);
			assert_true(n > 0 || n == -ENOMEM);
		}
		while ((err = kecho_writer_finish(&w, 7)))
			assert_int_equal(err, -ENOMEM);
	}
	do
		n = kecho_writer_write(&fw, fbuf, fn, 8);
	while (n == -ENOMEM);
	assert_int_equal(n, fn);
	published = c->seq;
	assert_int_equal(published, 13);
	kecho_show_members(&t, c, 0);
	kecho_show_attrs(&t, c);
	kecho_show_stats(&t, &node);
	assert_true(!t.err || t.err == -ENOMEM);
	kecho_text_free(&t);
	for (i = 0; i < 3; i++) {
		struct kecho_reader r = { .sink = s[i], .mode = KECHO_MODE_FRAMED };

		if (!s[i])
			continue;
		sum += s[i]->lost;
		for (got = attrs_seen = 0; (n = kecho_reader_read(&r, buf, sizeof(buf), sizeof(buf))) != -EAGAIN; ) {
			struct kecho_frame *f = (void *)buf;

			if (n == -ENOMEM)
				continue;
			assert_true(n >= (ssize_t)sizeof(*f));
			got++;
			attrs_seen += f->attrs_len == strlen("a=1\nb=text\n");
		}
		kecho_reader_free(&r);
		assert_int_equal(got + s[i]->lost, i == 2 ? 1 : published);
		assert_true(attrs_seen || s[i]->lost);
		/* Only the last can have been lost for want of memory alone. */
		assert_true(attrs_seen == 1 || (i == 2 ? s[i]->lost == 1 : s[i]->lost >= 10));
	}
	assert_int_equal(c->lost, sum);
	do
		s[2] ? (void)0 : (void)(s[2] = kecho_sink_open(c, "", 9, 1, "late", NULL, 0, 0));
	while (!s[2]);
	for (i = 0; i < 3; i++)
		if (s[i])
			kecho_sink_close(s[i], 0);
	kecho_writer_free(&w);
	kecho_writer_free(&fw);
	kecho_channel_leave(c, 0);
}

static void without_memory(void **state)
{
	int n;

	for (n = 0; ; n++) {
		kecho_fail_alloc = n;
		scenario();
		assert_int_equal(node.nchannels, 1);
		if (kecho_fail_alloc >= 0)
			break;
	}
	kecho_fail_alloc = -1;
	assert_true(n > 40);
}

/* --- threads --- */

#define PUBLISHERS 3
#define READERS 4
#define EACH (2000 / UNIT_STEP)

struct reader {
	pthread_t thread;
	struct kecho_sink *sink;
	u64 read, misordered;
};

static bool publishers_done;
static u64 waits_failed;

static u64 published(void)
{
	u64 n;

	spin_lock_bh(&ch->lock);
	n = ch->seq;
	spin_unlock_bh(&ch->lock);
	return n;
}

static void *publisher(void *arg)
{
	u32 i, v[2] = { (uintptr_t)arg };
	struct timespec until;
	struct kecho_msg *msg;
	u64 room;
	int n;

	for (i = 0; i < EACH; i++) {
		msg = kecho_event_alloc(i % 3 ? "" : "t", NULL, 8, GFP_KERNEL);
		v[1] = i;
		memcpy(kecho_event_payload(msg), v, 8);
		for (;;) {
			pthread_mutex_lock(&room_lock);
			room = told_room;
			pthread_mutex_unlock(&room_lock);
			n = kecho_channel_publish(ch, msg, i, NULL);
			if (n != -EAGAIN)
				break;
			/* From here on the node owes a room(). */
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_sec += 20;
			pthread_mutex_lock(&room_lock);
			while (told_room == room && !pthread_cond_timedwait(&room_cond, &room_lock, &until))
				;
			if (told_room == room)
				INC(waits_failed);
			pthread_mutex_unlock(&room_lock);
			if (waits_failed)
				break;
		}
		kecho_msg_put(msg);
	}
	return NULL;
}

static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct kecho_reader probe = { .sink = r->sink };
	s64 last[PUBLISHERS];
	struct kecho_msg *msg;
	u32 v[2];

	memset(last, -1, sizeof(last));
	for (;;) {
		bool done = __atomic_load_n(&publishers_done, __ATOMIC_ACQUIRE);

		kecho_reader_ready(&probe);
		if (kecho_sink_pop(r->sink, U32_MAX, &msg) != 1) {
			if (done)
				return NULL;
			sched_yield();
			continue;
		}
		memcpy(v, kecho_event_payload(msg), 8);
		kecho_sink_consumed(r->sink, msg);
		r->misordered += v[1] <= last[v[0]] && last[v[0]] >= 0;
		last[v[0]] = v[1];
		r->read++;
	}
}

/* What else goes on at a busy node. */
static void *bystander(void *arg)
{
	struct kecho_text t = { 0 };
	struct kecho_sink *s;
	struct kecho_reader r = { .mode = KECHO_MODE_FRAMED };
	char buf[200];
	int i;

	for (i = 0; !__atomic_load_n(&publishers_done, __ATOMIC_ACQUIRE); i++) {
		s = open_sink(i % 2 ? "t" : "");
		r.sink = s;
		kecho_reader_read(&r, buf, sizeof(buf), sizeof(buf));
		kecho_show_members(&t, ch, 0);
		kecho_show_attrs(&t, ch);
		kecho_show_stats(&t, &node);
		kecho_show_channels(&t, &node);
		kecho_text_free(&t);
		kecho_channel_room(ch, "");
		kecho_source_open(ch, 0);
		sprintf(buf, "n=%d", i);
		kecho_channel_write_attrs(ch, buf, strlen(buf), false, 0);
		sprintf(buf, "max_event=%d", 1000 + i % 1000);
		kecho_node_configure(&node, buf, strlen(buf));
		kecho_node_tick(&node, i);
		kecho_source_close(ch, 0);
		kecho_reader_free(&r);
		kecho_sink_close(s, 0);
	}
	return NULL;
}

static void threads(const char *policy, bool busy)
{
	struct reader readers[READERS] = { 0 };
	pthread_t pub[PUBLISHERS], other;
	u64 read = 0, lost = 0;
	int i;

	assert_int_equal(set(policy), 0);
	publishers_done = false;
	waits_failed = 0;
	for (i = 0; i < READERS; i++) {
		readers[i].sink = open_sink("");
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
	}
	if (busy)
		pthread_create(&other, NULL, bystander, NULL);
	for (i = 0; i < PUBLISHERS; i++)
		pthread_create(&pub[i], NULL, publisher, (void *)(uintptr_t)i);
	for (i = 0; i < PUBLISHERS; i++)
		pthread_join(pub[i], NULL);
	__atomic_store_n(&publishers_done, true, __ATOMIC_RELEASE);
	if (busy)
		pthread_join(other, NULL);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].read + readers[i].sink->lost, PUBLISHERS * EACH);
		assert_int_equal(readers[i].misordered, 0);
		read += readers[i].read;
		lost += readers[i].sink->lost;
		kecho_sink_close(readers[i].sink, 0);
	}
	assert_int_equal(waits_failed, 0);
	assert_int_equal(published(), PUBLISHERS * EACH);
	if (!busy) {
		assert_int_equal(ch->lost, lost);
		assert_int_equal(atomic64_read(&node.stats.lost_sink), lost);
	}
	if (strstr(policy, "block"))
		assert_int_equal(lost, 0);
	assert_int_equal(read + lost, PUBLISHERS * EACH * READERS);
}

static void threads_drop_oldest(void **state) { threads("kecho.queue=16\nkecho.overflow=drop-oldest", false); }
static void threads_drop_newest(void **state) { threads("kecho.queue=16\nkecho.overflow=drop-newest", false); }
static void threads_block(void **state) { threads("kecho.queue=4\nkecho.overflow=block", false); }
static void threads_block_one(void **state) { threads("kecho.queue=1\nkecho.overflow=block", false); }
static void threads_busy(void **state) { threads("kecho.queue=16\nkecho.overflow=drop-oldest\nkecho.retain=4", true); }
static void threads_busy_block(void **state) { threads("kecho.queue=3\nkecho.overflow=block", true); }

static void *setter(void *arg)
{
	static const char * const texts[] = {
		"kecho.overflow=block", "kecho.overflow=drop-oldest\nkecho.retain=3", "kecho.queue=2", "kecho.overflow=drop-newest\nkecho.queue=",
		"kecho.order=priority\nkecho.retain=", "kecho.order=",
	};
	int i;

	for (i = 0; !__atomic_load_n(&publishers_done, __ATOMIC_ACQUIRE); i++)
		set(texts[i % ARRAY_SIZE(texts)]);
	return NULL;
}

static void threads_settings(void **state)
{
	struct kecho_reader probe = { 0 };
	struct reader r = { .sink = open_sink("") };
	pthread_t pub, other;

	probe.sink = r.sink;
	publishers_done = false;
	waits_failed = 0;
	pthread_create(&r.thread, NULL, read_all, &r);
	pthread_create(&other, NULL, setter, NULL);
	pthread_create(&pub, NULL, publisher, NULL);
	while (published() < EACH && !__atomic_load_n(&waits_failed, __ATOMIC_RELAXED)) {
		kecho_channel_room(ch, "");
		kecho_reader_ready(&probe);
		sched_yield();
	}
	pthread_join(pub, NULL);
	__atomic_store_n(&publishers_done, true, __ATOMIC_RELEASE);
	pthread_join(other, NULL);
	pthread_join(r.thread, NULL);
	assert_int_equal(waits_failed, 0);
	assert_int_equal(r.read + r.sink->lost, EACH);
	kecho_sink_close(r.sink, 0);
}

/* The channel goes while others publish and read. */
static void threads_leave(void **state)
{
	struct reader readers[2] = { 0 };
	struct kecho_channel *old = kecho_channel_get(ch);
	pthread_t pub[2];
	int i;

	assert_int_equal(set("kecho.retain=4"), 0);
	publishers_done = false;
	readers[0].sink = open_sink("");
	readers[1].sink = open_sink("");
	for (i = 0; i < 2; i++) {
		pthread_create(&readers[i].thread, NULL, read_all, &readers[i]);
		pthread_create(&pub[i], NULL, publisher, (void *)(uintptr_t)i);
	}
	while (published() < EACH / 2)
		sched_yield();
	kecho_channel_leave(ch, 0);
	for (i = 0; i < 2; i++)
		pthread_join(pub[i], NULL);
	__atomic_store_n(&publishers_done, true, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].read + readers[i].sink->lost, old->seq);
		kecho_sink_close(readers[i].sink, 0);
	}
	assert_int_equal(refcount_read(&old->ref), 1);
	kecho_channel_put(old);
	ch = NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(names), T(join_and_leave), T(publish_to_sinks), T(sizes), T(types), T(drop_oldest), T(drop_newest), T(ring_wraps),
	T(block), T(block_half), T(byte_bounds), T(user_bound), T(block_overrun), T(by_priority), T(by_deadline), T(expires), T(retained), T(retained_bytes),
	T(retained_from_members), T(malformed_events), T(text_cuts), T(long_lines), T(write_resumes), T(packets), T(frames),
	T(malformed_frames), T(mode_changes), T(settings), T(config), T(members_file), T(node_files), T(filter),
	T(without_memory), T(threads_drop_oldest), T(threads_drop_newest), T(threads_block), T(threads_block_one),
	T(threads_busy), T(threads_busy_block), T(threads_settings), T(threads_leave),
};
UNIT_SUITE(channel, tests)
