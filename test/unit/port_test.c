// SPDX-License-Identifier: GPL-2.0
/* The node's side of rings: what a program publishes and receives in shared memory, and what it can do wrong there. */
#include "unit.h"
#include "../../lib/attr/text.h"
#include "../../lib/channel/internal.h"
#include "../../lib/ecalls/port.h"
#include <linux/err.h>
#include <linux/poll.h>

/* --- a node, and the two sides of a port --- */

#define ID 0xabcdef0123456789ull
#define TIME 500	/* of publishing */
#define SIZE ((u32)KECHO_RING_MIN)
#define LIMIT (SIZE / 4)
#define HEAD ((u32)sizeof(struct kecho_frame))
/* Just as much payload as a record of the least ring takes. */
#define MOST (LIMIT - HEAD)

static struct kecho_node node;
static struct kecho_channel *ch;
static struct kecho_port port;
static struct kecho_rings *rings;
static u8 *memory;
static struct kecho_end tx, rx;		/* the program's */
static bool ready_fills, takes;		/* as a home does it */
static u64 told_room, told_wake;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

#define INC(c) __atomic_fetch_add(&(c), 1, __ATOMIC_RELAXED)

static void program_woken(void)
{
	pthread_mutex_lock(&lock);
	told_wake++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

static bool on_take(struct kecho_sink *sink, struct kecho_msg *msg)
{
	bool wake = false;

	if (!takes || sink->home != &port || !kecho_port_give(&port, msg, ready_fills ? &wake : NULL))
		return false;
	if (wake)
		program_woken();
	return true;
}

static void on_ready(struct kecho_sink *sink)
{
	bool wake = false;

	if (!ready_fills || sink->home != &port)
		return;
	kecho_port_fill(&port, &wake);
	if (wake)
		program_woken();
}

static void on_room(struct kecho_channel *c)
{
	pthread_mutex_lock(&lock);
	told_room++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

static void on_joined(struct kecho_channel *c) { }
static void on_changed(struct kecho_channel *c, enum kecho_file file, const struct kecho_msg *event) { }
static void on_due(struct kecho_cm *cm, u64 when) { }
static void on_dial(struct kecho_cm *cm, struct kecho_link *link) { abort(); }
static void on_conn(struct kecho_conn *conn) { abort(); }

static u64 clock_stands(void)
{
	return 0;
}

static const struct kecho_filter_ops *no_filter(struct kecho_node *n, const char *name)
{
	return ERR_PTR(-ENOENT);
}

static const struct kecho_node_ops ops = {
	.cm = { .dial = on_dial, .kick = on_conn, .close = on_conn, .due = on_due },
	.take = on_take, .ready = on_ready, .room = on_room, .changed = on_changed, .joined = on_joined,
	.clock = clock_stands, .filter_get = no_filter,
};

static int setup(void **state)
{
	int err;

	kecho_node_init(&node, ID, "here", 0, &ops, 42);
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
	ready_fills = takes = false;
	told_room = told_wake = 0;
	return !ch;
}

/* Who closes the events file detaches first. */
static void detach(void)
{
	kecho_port_exit(&port);
	if (port.sink)
		kecho_sink_close(port.sink, 0);
	port.sink = NULL;
	free(memory);
	memory = NULL;
}

static int teardown(void **state)
{
	kecho_fail_alloc = -1;
	if (memory)
		detach();
	kecho_channel_leave(ch, 0);
	assert_int_equal(node.nchannels, 0);
	kecho_node_exit(&node, 0);
	return 0;
}

static int set(const char *text)
{
	return kecho_channel_write_attrs(ch, text, strlen(text), true, 0);
}

static struct kecho_sink *open_sink(const char *type, void *home)
{
	struct kecho_sink *sink = kecho_sink_open(ch, type, 1000, 77, "cat", home, 100, 0);

	assert_non_null(sink);
	return sink;
}

#define PUBLISHES 1
#define RECEIVES 2

/* What the events file of a type's directory, or the channel's, was opened for; rings of @size bytes. */
static void attach(const char *type, int what, u32 size)
{
	struct kecho_attach a = { .version = KECHO_RING_VERSION, .publish_size = size, .receive_size = size };

	assert_int_equal(kecho_port_sizes(&a, what & PUBLISHES, what & RECEIVES), 0);
	memory = calloc(1, a.bytes);
	assert_non_null(memory);
	port = (struct kecho_port){ .channel = ch, .type = type, .publishes = what & PUBLISHES };
	if (what & RECEIVES)
		port.sink = open_sink(type, &port);
	kecho_port_init(&port, &a, memory);
	rings = (void *)memory;
	kecho_end_init(&tx, &rings->publish, memory + rings->publish_offset, rings->publish_size);
	kecho_end_init(&rx, &rings->receive, memory + rings->receive_offset, rings->receive_size);
}

/* The node's turn, and whether it wakes the program. */

static bool wakes;

static int drain_max(u32 max)
{
	u32 n;
	int err;

	wakes = false;
	err = kecho_port_drain(&port, TIME, max, NULL, &n);
	kecho_port_release(&port, &wakes);
	assert_true(n <= max);
	return err ? err : (int)n;
}

static int drain(void)
{
	return drain_max(U32_MAX);
}

static int fill(void)
{
	wakes = false;
	return kecho_port_fill(&port, &wakes);
}

/* --- the program --- */

/* A record of which @f tells all but @size, and what is behind it. */
static int put(struct kecho_frame f, const void *bytes, u32 len)
{
	void *p;
	int err = kecho_ring_reserve(&tx, HEAD + len, &p);

	if (err)
		return err;
	f.size = HEAD + len;
	memcpy(p, &f, sizeof(f));
	memcpy(p + HEAD, bytes, len);
	kecho_ring_commit(&tx, f.size);
	kecho_ring_submit(&tx);
	return 0;
}

/* "a=1\nb=x" as kecho_attr_encode() has it. */
static u32 encode(u8 *to, const char *lines)
{
	struct kecho_attrs *a;
	u32 len;

	assert_int_equal(kecho_attrs_merge_text(NULL, lines, strlen(lines), GFP_KERNEL, &a), 0);
	len = a ? a->len : 0;
	if (a)
		memcpy(to, a->data, len);
	kecho_attrs_put(a);
	return len;
}

static int send_all(const char *type, const char *attrs, u8 prio, u32 deadline_us, const char *payload)
{
	u8 buf[512];
	struct kecho_frame f = { .header = HEAD, .type_len = strlen(type), .prio = prio, .deadline_us = deadline_us };

	memcpy(buf, type, f.type_len);
	f.attrs_len = encode(buf + f.type_len, attrs);
	memcpy(buf + f.type_len + f.attrs_len, payload, strlen(payload));
	return put(f, buf, f.type_len + f.attrs_len + strlen(payload));
}

static int send(const char *type, const char *payload)
{
	return send_all(type, "", 0, 0, payload);
}

static void send_n(u32 from, u32 to)
{
	char text[12];

	for (; from <= to; from++) {
		sprintf(text, "%u", from);
		assert_int_equal(send("", text), 0);
	}
}

/* The next event in the ring; a copy, which stays until the next call. NULL: there is none. */
static const struct kecho_frame *receive(void)
{
	static struct kecho_frame copy[(16384 + 8) / HEAD];
	u32 len;
	u8 *p;

	if (!kecho_ring_peek(&rx, &p, &len))
		return NULL;
	assert_true(len < sizeof(copy));
	memset(copy, 0, sizeof(copy));
	memcpy(copy, p, len);
	kecho_ring_consume(&rx, len);
	assert_int_equal(copy->size, len);
	assert_int_equal(copy->header, HEAD);
	assert_true(HEAD + copy->type_len + copy->attrs_len <= len);
	return copy;
}

static const char *payload_of(const struct kecho_frame *f)
{
	return (const char *)(f + 1) + f->type_len + f->attrs_len;
}

static u32 payload_len(const struct kecho_frame *f)
{
	return f->size - f->header - f->type_len - f->attrs_len;
}

static void assert_event(u64 seq, const char *type, const char *attrs, u8 prio, u32 deadline_us, u32 flags, const char *payload)
{
	const struct kecho_frame *f = receive();
	u8 list[512];

	assert_non_null(f);
	assert_int_equal(f->seq, seq);
	assert_int_equal(f->type_len, strlen(type));
	assert_memory_equal(f + 1, type, strlen(type));
	assert_int_equal(f->attrs_len, encode(list, attrs));
	assert_memory_equal((char *)(f + 1) + f->type_len, list, f->attrs_len);
	assert_int_equal(f->prio, prio);
	assert_int_equal(f->deadline_us, deadline_us);
	assert_int_equal(f->flags, flags);
	assert_int_equal(f->publisher, ID);
	assert_int_equal(f->time_ns, TIME);
	assert_int_equal(payload_len(f), strlen(payload));
	assert_memory_equal(payload_of(f), payload, strlen(payload));
}

static void assert_receives(const char *payload)
{
	const struct kecho_frame *f = receive();

	assert_non_null(f);
	assert_int_equal(payload_len(f), strlen(payload));
	assert_string_equal(payload_of(f), payload);
}

static void assert_receives_n(u32 from, u32 to)
{
	char text[12];

	for (; from <= to; from++) {
		sprintf(text, "%u", from);
		assert_receives(text);
	}
}

#define assert_events(want) assert_true(kecho_port_events(&port) == (want))

/* Tells the node; true: it waits for that, and is kicked. */
static bool release(void)
{
	return kecho_ring_release(&rx, rx.pos);
}

/* --- others on the channel --- */

static struct kecho_msg *event(const char *type, const char *payload, u32 len)
{
	struct kecho_msg *msg = kecho_event_alloc(type, NULL, len, GFP_KERNEL);

	assert_non_null(msg);
	memset(kecho_event_payload(msg), 0, len);
	memcpy(kecho_event_payload(msg), payload, min_t(size_t, len, strlen(payload)));
	return msg;
}

/* @len bytes of payload, of which only the first matter. */
static int publish_large(const char *payload, u32 len)
{
	struct kecho_msg *msg = event("", payload, len);
	int n = kecho_channel_publish(ch, msg, TIME, NULL);

	kecho_msg_put(msg);
	return n;
}

static int publish(const char *payload)
{
	return publish_large(payload, strlen(payload));
}

static void publish_n(u32 from, u32 to)
{
	char text[12];

	for (; from <= to; from++) {
		sprintf(text, "%u", from);
		assert_true(publish(text) >= 0);
	}
}

static char *pop(struct kecho_sink *sink)
{
	static char text[64];
	struct kecho_msg *msg;
	u32 n;

	if (kecho_sink_pop(sink, U32_MAX, &msg) != 1)
		return NULL;
	n = min_t(u32, kecho_event_payload_len(msg), 60);
	memcpy(text, kecho_event_payload(msg), n);
	text[n] = 0;
	assert_int_equal(kecho_event_check(msg), 0);
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
}

/* --- attaching --- */

static void attachments(void **state)
{
	static const struct { u32 asked, get; } sizes[] = {
		{ 0, 4096 }, { 1, 4096 }, { 4096, 4096 }, { 4097, 8192 }, { 8192, 8192 }, { 100000, 131072 },
		{ (64 << 20) - 1, 64 << 20 }, { 64 << 20, 64 << 20 }, { (64 << 20) + 1, 64 << 20 }, { 1u << 31, 64 << 20 },
		{ U32_MAX, 64 << 20 },
	};
	static const struct { u32 version, flags; } bad[] = { { 0, 0 }, { 1, 0 }, { KECHO_RING_VERSION + 1, 0 }, { U32_MAX, 0 },
		{ KECHO_RING_VERSION, 2 }, { KECHO_RING_VERSION, 3 }, { KECHO_RING_VERSION, 1u << 31 } };
	struct kecho_attach a;
	u32 i, what;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (what = 0; what < 4; what++) {
			a = (struct kecho_attach){ .version = KECHO_RING_VERSION, .publish_size = sizes[i].asked, .receive_size = sizes[i].asked,
						   .idle_us = 1000 * i, .events = 5, .token = 6 };
			assert_int_equal(kecho_port_sizes(&a, what & PUBLISHES, what & RECEIVES), 0);
			assert_int_equal(a.publish_size, what & PUBLISHES ? sizes[i].get : 0);
			assert_int_equal(a.receive_size, what & RECEIVES ? sizes[i].get : 0);
			assert_int_equal(a.bytes, 4096 + (u64)a.publish_size + a.receive_size);
			assert_int_equal(a.idle_us, 1000 * i);
			assert_int_equal(a.events, 5);
			assert_int_equal(a.token, 6);
		}
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		a = (struct kecho_attach){ .version = bad[i].version, .flags = bad[i].flags };
		assert_int_equal(kecho_port_sizes(&a, true, true), -EINVAL);
	}
	a = (struct kecho_attach){ .version = KECHO_RING_VERSION, .idle_us = U32_MAX };
	assert_int_equal(kecho_port_sizes(&a, true, true), 0);
	assert_int_equal(a.idle_us, KECHO_RING_IDLE_MAX);

	node.max_event = 12345;
	for (what = 0; what < 4; what++) {
		attach("", what, 8192);
		assert_int_equal(rings->version, KECHO_RING_VERSION);
		assert_int_equal(rings->broken, 0);
		assert_int_equal(rings->max_event, 12345);
		assert_int_equal(rings->publish_offset, 4096);
		assert_int_equal(rings->publish_size, what & PUBLISHES ? 8192 : 0);
		assert_int_equal(rings->receive_offset, 4096 + rings->publish_size);
		assert_int_equal(rings->receive_size, what & RECEIVES ? 8192 : 0);
		/* A program that publishes is to kick. */
		assert_int_equal(rings->publish.consumer_waits, !!(what & PUBLISHES));
		assert_int_equal(rings->receive.producer_waits, 0);
		/* What the file is not open for does not happen, whatever stands there. */
		if (!(what & PUBLISHES)) {
			rings->publish.head = 64;
			assert_int_equal(drain(), 0);
			assert_true(kecho_port_idle(&port));
		}
		publish("x");
		assert_int_equal(fill(), !!(what & RECEIVES));
		assert_false(wakes);
		kecho_port_busy(&port);
		assert_true(kecho_port_idle(&port));
		assert_int_equal(rings->broken, 0);
		detach();
	}
}

/* --- publishing and receiving --- */

static void round_trip(void **state)
{
	struct kecho_sink *other = NULL;
	char large[MOST + 1];
	u32 prio;

	attach("", PUBLISHES | RECEIVES, 16384);
	other = open_sink("", NULL);
	assert_int_equal(drain(), 0);
	assert_int_equal(fill(), 0);
	assert_int_equal(send("", "plain"), 0);
	assert_int_equal(send("", ""), 0);
	assert_int_equal(send_all("alarm", "a=1\nb=x\nload=0.5", 5, 1000, "full"), 0);
	assert_int_equal(send_all("", "a=1", 0, U32_MAX, ""), 0);
	assert_int_equal(send_all("t", "", 0, 0, ""), 0);
	for (prio = 0; prio <= KECHO_PRIO_MAX; prio++)
		assert_int_equal(send_all("", "", prio, prio, "prio"), 0);
	memset(large, 'l', MOST);
	large[MOST] = 0;
	assert_int_equal(put((struct kecho_frame){ .header = HEAD }, large, MOST), 0);
	assert_int_equal(drain(), 14);
	assert_int_equal(rings->publish.tail, rings->publish.head);
	assert_int_equal(rings->publish.lost, 0);
	assert_int_equal(ch->seq, 14);
	assert_int_equal(drain(), 0);
	/* Nothing is in the ring before it is filled. */
	assert_null(receive());
	assert_int_equal(fill(), 14);
	assert_event(1, "", "", 0, 0, KECHO_FRAME_LOCAL, "plain");
	assert_event(2, "", "", 0, 0, KECHO_FRAME_LOCAL, "");
	assert_event(3, "alarm", "a=1\nb=x\nload=0.5", 5, 1000, KECHO_FRAME_LOCAL, "full");
	assert_event(4, "", "a=1", 0, U32_MAX, KECHO_FRAME_LOCAL, "");
	assert_event(5, "t", "", 0, 0, KECHO_FRAME_LOCAL, "");
	for (prio = 0; prio <= KECHO_PRIO_MAX; prio++)
		assert_event(6 + prio, "", "", prio, prio, KECHO_FRAME_LOCAL, "prio");
	assert_event(14, "", "", 0, 0, KECHO_FRAME_LOCAL, large);
	assert_null(receive());
	assert_int_equal(fill(), 0);
	/* And to all others. */
	assert_int_equal(other->count, 14);
	assert_string_equal(pop(other), "plain");
	kecho_sink_close(other, 0);
	/* At most so many at once, those that are refused too. */
	send_n(1, 3);
	assert_int_equal(send_all("", "", 8, 0, "refused"), 0);
	send_n(4, 4);
	assert_int_equal(drain_max(0), 0);
	assert_int_equal(drain_max(2), 2);
	assert_int_equal(drain_max(2), 2);
	assert_int_equal(ch->seq, 17);
	assert_int_equal(drain_max(2), 1);
	assert_int_equal(drain_max(2), 0);
	assert_int_equal(fill(), 4);
	assert_receives_n(1, 4);
	assert_int_equal(rings->publish.lost, 1);
	/* A longer header of a later version. */
	assert_int_equal(put((struct kecho_frame){ .header = HEAD + 8, .type_len = 1 }, "12345678tlater", 14), 0);
	assert_int_equal(put((struct kecho_frame){ .header = HEAD + 8 }, "12345678", 8), 0);
	assert_int_equal(drain(), 2);
	assert_int_equal(fill(), 2);
	assert_event(19, "t", "", 0, 0, KECHO_FRAME_LOCAL, "later");
	assert_event(20, "", "", 0, 0, KECHO_FRAME_LOCAL, "");
}

/* What others have published, elsewhere or before the file was opened. */
static void flags(void **state)
{
	const struct kecho_frame *f;
	struct kecho_msg *msg;

	assert_int_equal(set("kecho.retain=2"), 0);
	msg = event("", "before", 6);
	assert_int_equal(kecho_channel_publish(ch, msg, 99, NULL), 0);
	kecho_msg_put(msg);
	attach("", RECEIVES, SIZE);
	msg = event("", "elsewhere", 9);
	kecho_event(msg)->origin = cpu_to_le64(7);
	kecho_event(msg)->time_ns = cpu_to_le64(TIME);
	spin_lock_bh(&ch->lock);
	channel_deliver(ch, msg, NULL, 0);
	spin_unlock_bh(&ch->lock);
	kecho_msg_put(msg);
	publish("now");
	assert_int_equal(fill(), 3);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_RETAINED);
	f = receive();
	assert_int_equal(f->flags, 0);
	assert_int_equal(f->publisher, 7);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL);
}

/* In a type's directory: that type, or none, which stands for it. */
static void types(void **state)
{
	attach("alarm", PUBLISHES | RECEIVES, SIZE);
	assert_int_equal(send("", "1"), 0);
	assert_int_equal(send("alarm", "2"), 0);
	assert_int_equal(send_all("", "a=1", 0, 0, "3"), 0);
	assert_int_equal(send_all("alarm", "a=1", 0, 0, "4"), 0);
	assert_int_equal(drain(), 4);
	assert_int_equal(rings->publish.lost, 0);
	assert_int_equal(send("alar", "5"), 0);
	assert_int_equal(send("alarms", "6"), 0);
	assert_int_equal(send("other", "7"), 0);
	assert_int_equal(drain(), 3);
	assert_int_equal(rings->publish.lost, 3);
	assert_int_equal(send("alarm", "8"), 0);
	assert_int_equal(drain(), 1);
	assert_int_equal(fill(), 5);
	assert_event(1, "alarm", "", 0, 0, KECHO_FRAME_LOCAL, "1");
	assert_event(2, "alarm", "", 0, 0, KECHO_FRAME_LOCAL, "2");
	assert_event(3, "alarm", "a=1", 0, 0, KECHO_FRAME_LOCAL, "3");
	assert_event(4, "alarm", "a=1", 0, 0, KECHO_FRAME_LOCAL, "4");
	assert_event(5, "alarm", "", 0, 0, KECHO_FRAME_LOCAL, "8");
}

/* What cannot be an event is counted, and does not hold up what comes behind it. */
static void refused(void **state)
{
	const struct kecho_frame good = { .header = HEAD, .type_len = 3, .attrs_len = 0 };
	struct kecho_frame f;
	u32 i, n = 0, alen;
	char bytes[300], payload[40];

	attach("", PUBLISHES | RECEIVES, SIZE);
	node.max_event = 32;
	memset(payload, 'p', sizeof(payload));
	memcpy(bytes, "typ", 3);
	alen = encode((u8 *)bytes + 3, "a=1\nb=text");
	memcpy(bytes + 3 + alen, "payload", 7);
#define TRY(bytes, len, ...) do { \
		f = good; \
		__VA_ARGS__; \
		assert_int_equal(put(f, bytes, len), 0); \
		assert_int_equal(drain(), 1); \
	} while (0)
#define BAD(bytes, len, ...) do { \
		TRY(bytes, len, __VA_ARGS__); \
		assert_int_equal(rings->publish.lost, ++n); \
		assert_int_equal(rings->publish.tail, rings->publish.head); \
		assert_int_equal(fill(), 0); \
		TRY("typgood", 7); \
		assert_int_equal(rings->publish.lost, n); \
		assert_int_equal(fill(), 1); \
		assert_event(ch->seq, "typ", "", 0, 0, KECHO_FRAME_LOCAL, "good"); \
		release(); \
	} while (0)
	for (i = 1; i < HEAD; i++)
		BAD("typ", 3, f.header = i);
	/* Nor with what would be good if the header were taken for its body. */
	for (i = 0; i < HEAD; i += 4)
		BAD("", 0, f.header = i ? i : 1, f.type_len = 0);
	for (i = 1; i < 4; i++)
		BAD("", 0, f.header = 40, f.type_len = i, f.deadline_us = 0x61616161);
	BAD("typ", 3, f.header = HEAD + 1);
	BAD("", 0, f.header = HEAD + 1, f.type_len = 0);
	BAD("typ", 3, f.header = 0xffff);
	BAD("typ", 3, f.header = 0xffff, f.type_len = 0xff, f.attrs_len = 0xffff);
	BAD("typ", 3, f.type_len = 4);
	BAD("typ", 3, f.type_len = 0xff);
	BAD("typ", 3, f.attrs_len = 1);
	BAD("typ", 3, f.attrs_len = 0xffff);
	for (i = KECHO_PRIO_MAX + 1; i < 256; i++)
		BAD("typ", 3, f.prio = i);
	BAD("typ", 3, f.seq = 1);
	BAD("typ", 3, f.time_ns = 1);
	BAD("typ", 3, f.publisher = 1);
	BAD("typ", 3, f.lost = 1);
	for (i = 1; i < 65536; i *= 2)
		BAD("typ", 3, f.flags = i);
	/* Names. */
	BAD(".yp", 3, f.deadline_us = 1);
	BAD("t/p", 3, f.deadline_us = 1);
	BAD("t p", 3, f.deadline_us = 1);
	BAD("t\0p", 3, f.deadline_us = 1);
	BAD("ty\xe4", 3, f.deadline_us = 1);
	memset(bytes + 100, 'n', 70);
	BAD(bytes + 100, KECHO_NAME_MAX + 1, f.type_len = KECHO_NAME_MAX + 1);
	TRY(bytes + 100, KECHO_NAME_MAX, f.type_len = KECHO_NAME_MAX);
	assert_int_equal(fill(), 1);
	receive();
	release();
	/* Attributes: none of them are text, or lack something, or are more than one. */
	BAD("typa=1\n", 7, f.attrs_len = 4);
	for (i = 1; i < alen; i++)
		if (i != 13)	/* the first of them alone */
			BAD(bytes, 3 + alen + 7, f.attrs_len = i);
	BAD(bytes, 3 + alen + 7, f.attrs_len = alen + 1);
	bytes[3 + 4] = '/';
	BAD(bytes, 3 + alen + 7, f.attrs_len = alen);
	bytes[3 + 4] = 'c';	/* not sorted */
	BAD(bytes, 3 + alen + 7, f.attrs_len = alen);
	bytes[3 + 4] = 'b';	/* twice */
	BAD(bytes, 3 + alen + 7, f.attrs_len = alen);
	bytes[3 + 4] = 'a';
	TRY(bytes, 3 + alen + 7, f.attrs_len = alen);
	assert_int_equal(fill(), 1);
	assert_event(ch->seq, "typ", "a=1\nb=text", 0, 0, KECHO_FRAME_LOCAL, "payload");
	release();
	/* Too much, of which the payload counts alone. */
	BAD(payload, 33, f.type_len = 0);
	BAD(payload, 36, f.type_len = 3);
	TRY(payload, 35, f.type_len = 3);
	assert_int_equal(fill(), 1);
	receive();
	release();
	node.max_event = 1000;
	TRY(payload, 40, f.type_len = 0);
	assert_int_equal(rings->publish.lost, n);
	/* The node's count, whatever the program writes there. */
	rings->publish.lost = 5;
	TRY("typ", 3, f.prio = 8);
	assert_int_equal(rings->publish.lost, n + 1);
}

/* --- what the channel has no room for, or no memory --- */

static void blocks(void **state)
{
	struct kecho_sink *slow;

	attach("", PUBLISHES, SIZE);
	slow = open_sink("", NULL);
	assert_int_equal(set("kecho.queue=2\nkecho.overflow=block"), 0);
	told_room = 0;
	send_n(1, 5);
	assert_int_equal(drain(), -EAGAIN);
	assert_int_equal(ch->seq, 2);
	/* What went is released; the third is there still, once. */
	assert_true(rings->publish.tail != 0 && rings->publish.tail != rings->publish.head);
	assert_int_equal(drain(), -EAGAIN);
	assert_int_equal(drain_max(1), -EAGAIN);
	assert_int_equal(ch->seq, 2);
	assert_int_equal(told_room, 0);
	/* A kick would be of no use: room() is what counts. */
	kecho_port_busy(&port);
	assert_true(kecho_port_idle(&port));
	assert_int_equal(rings->publish.consumer_waits, 0);
	assert_string_equal(pop(slow), "1");
	assert_int_equal(told_room, 1);
	assert_int_equal(drain_max(1), 1);
	assert_int_equal(drain(), -EAGAIN);
	assert_queued(slow, "2 3 ");
	assert_int_equal(drain(), 2);
	assert_queued(slow, "4 5 ");
	assert_int_equal(ch->seq, 5);
	assert_int_equal(drain(), 0);
	assert_true(kecho_port_idle(&port));
	assert_int_equal(rings->publish.consumer_waits, 1);
	assert_int_equal(rings->publish.lost, 0);
	assert_int_equal(slow->lost, 0);
	kecho_sink_close(slow, 0);
}

static void goes(void **state)
{
	struct kecho_channel *old = kecho_channel_get(ch);
	const struct kecho_frame *f;
	int err;

	attach("", PUBLISHES | RECEIVES, SIZE);
	send_n(1, 2);
	assert_int_equal(drain_max(1), 1);
	assert_false(kecho_port_events(&port) & EPOLLHUP);
	kecho_channel_leave(ch, 0);
	assert_int_equal(drain(), -ENODEV);
	assert_int_equal(rings->publish.lost, 0);
	kecho_port_busy(&port);
	assert_true(kecho_port_idle(&port));
	/* What was published is received. */
	assert_int_equal(fill(), 1);
	assert_events(EPOLLHUP | EPOLLIN | EPOLLOUT);
	f = receive();
	assert_memory_equal(payload_of(f), "1", 1);
	release();
	assert_events(EPOLLHUP | EPOLLOUT);
	detach();
	assert_int_equal(refcount_read(&old->ref), 1);
	kecho_channel_put(old);
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
}

/* An allocation fails, wherever it is: the record stays, and what a queue then has no room for is counted. */
static void without_memory(void **state)
{
	struct kecho_sink *s;
	u32 n, i, got, failed = 0;
	const struct kecho_frame *f;
	char text[12];
	int ret;

	assert_int_equal(set("kecho.retain=3"), 0);
	for (n = 0; ; n++) {
		attach("", PUBLISHES | RECEIVES, SIZE);
		s = open_sink("t", NULL);
		ch->seq = 0;
		while (pop(port.sink) || pop(s))
			;
		for (i = 1; i <= 20; i++) {
			sprintf(text, "%u", i);
			assert_int_equal(send_all(i % 2 ? "t" : "", "", 0, 0, text), 0);
		}
		kecho_fail_alloc = n;
		for (i = 0; i < 20; i += ret > 0 ? ret : 0) {
			ret = drain_max(7);
			assert_true(ret >= 0 || ret == -ENOMEM);
			if (ret == -ENOMEM) {
				failed++;
				i = ch->seq;
			}
			assert_int_equal(ch->seq, i + (ret > 0 ? ret : 0));
		}
		assert_int_equal(rings->publish.lost, 0);
		for (got = 0; fill() > 0; release())
			while ((f = receive())) {
				sprintf(text, "%u", (u32)f->seq);
				assert_string_equal(payload_of(f), text);
				got++;
			}
		assert_int_equal(got + port.sink->lost, 20);
		assert_int_equal(rings->receive.lost, port.sink->lost);
		for (got = 0; pop(s); got++)
			;
		assert_int_equal(got + s->lost, 10);
		kecho_sink_close(s, 0);
		detach();
		if (kecho_fail_alloc >= 0)
			break;
	}
	kecho_fail_alloc = -1;
	assert_true(n > 40);
	assert_int_equal(failed, 20);
}

/* --- the receiving ring --- */

static void ring_full(void **state)
{
	u32 n, got;

	attach("", RECEIVES, SIZE);
	publish_n(1, 200);
	n = fill();
	assert_int_equal(n, SIZE / 56);
	/* One is on its way; the others wait where they were. */
	assert_int_equal(port.sink->count, 200 - n - 1);
	assert_int_equal(fill(), 0);
	assert_int_equal(port.sink->count, 200 - n - 1);
	assert_int_equal(port.sink->lost, 0);
	/* It has asked to be kicked, when half is free. */
	assert_int_equal(rings->receive.producer_waits, 1);
	for (got = 1; got * 56 < SIZE / 2; got++) {
		assert_receives_n(got, got);
		assert_false(release());
	}
	assert_receives_n(got, got);
	assert_true(release());
	assert_int_equal(fill(), got);
	assert_int_equal(rings->receive.producer_waits, 1);
	n += got;
	while (receive())
		got++;
	assert_true(release());
	n += fill();
	while (receive())
		got++;
	assert_true(release());
	/* With that, all is given: it asks no more. */
	assert_int_equal(fill() + n, 200);
	assert_int_equal(rings->receive.producer_waits, 0);
	while (receive())
		;
	assert_false(release());
	/* Nor does one that looks by itself, until it goes to sleep. */
	publish_n(1, 200);
	n = fill();
	assert_int_equal(rings->receive.producer_waits, 1);
	kecho_port_busy(&port);
	assert_int_equal(rings->receive.producer_waits, 0);
	assert_int_equal(fill(), 0);
	assert_int_equal(rings->receive.producer_waits, 0);
	assert_true(kecho_port_idle(&port));
	assert_int_equal(fill(), 0);
	assert_int_equal(rings->receive.producer_waits, 1);
	kecho_port_busy(&port);
	/* Room comes while it is about to. */
	assert_receives_n(1, n);
	assert_false(release());
	assert_true(kecho_port_idle(&port));
	assert_int_equal(fill(), n);
	assert_int_equal(rings->receive.producer_waits, 1);
	assert_receives_n(n + 1, 2 * n);
	assert_true(release());
	assert_int_equal(fill(), 200 - 2 * n);
	assert_receives_n(2 * n + 1, 200);
	assert_int_equal(port.sink->lost, 0);
}

/* What is given before it is queued. */
static void taken(void **state)
{
	struct kecho_msg *msg;
	u32 n = SIZE / 56;

	takes = true;
	attach("", RECEIVES, SIZE);
	assert_int_equal(set("kecho.queue=1\nkecho.overflow=drop-newest"), 0);
	publish_n(1, 3);
	assert_int_equal(port.sink->count, 0);
	assert_null(receive());
	assert_true(kecho_ring_wait_data(&rx));
	wakes = false;
	kecho_port_tell(&port, &wakes);
	assert_true(wakes);
	assert_receives_n(1, 3);
	/* Nothing new, nobody to wake. */
	assert_true(kecho_ring_wait_data(&rx));
	wakes = false;
	kecho_port_tell(&port, &wakes);
	assert_false(wakes);
	release();
	/* What has a deadline may be late when there is room for it; what is behind it stays behind it. */
	assert_int_equal(set("kecho.queue=100"), 0);
	msg = event("", "4", 1);
	kecho_event(msg)->deadline_us = cpu_to_le32(1);
	assert_int_equal(kecho_channel_publish(ch, msg, TIME, NULL), 1);
	kecho_msg_put(msg);
	publish_n(5, 5);
	assert_int_equal(port.sink->count, 2);
	assert_int_equal(fill(), 2);
	assert_receives_n(4, 5);
	release();
	/* Nor is what the ring never takes. */
	publish_large("large", MOST + 1);
	publish_n(7, 7);
	assert_int_equal(port.sink->count, 2);
	assert_int_equal(fill(), 1);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_APART);
	publish_n(8, 8);
	assert_int_equal(port.sink->count, 2);
	kecho_sink_consumed(port.sink, kecho_port_apart(&port));
	assert_int_equal(fill(), 2);
	assert_receives_n(7, 8);
	release();
	/* Without room it is queued, behind the one that waits for it. */
	publish_n(1, n);
	for (; port.sink->count < 3; n++)
		publish_n(n + 1, n + 1);
	assert_int_equal(fill(), 0);
	assert_receives_n(1, n - 3);
	assert_null(receive());
	release();
	publish_n(n + 1, n + 1);
	assert_int_equal(port.sink->count, 3);
	assert_int_equal(fill(), 4);
	assert_receives_n(n - 2, n + 1);
	/* Who lies gets nothing, and is found out when it is filled. */
	rings->receive.tail = rings->receive.head + 4;
	publish_n(1, n);
	assert_true(port.sink->count > 0);
	assert_int_equal(fill(), -EPROTO);
	assert_int_equal(rings->broken, KECHO_RINGS_BROKEN);
}

static void apart(void **state)
{
	struct kecho_msg *msg;
	const struct kecho_frame *f;
	u32 n, seq;

	attach("", RECEIVES, SIZE);
	publish_n(1, 2);
	publish_large("just", MOST);
	publish_large("large", MOST + 1);
	publish_n(5, 5);
	publish_large("larger", 100000);
	publish_n(7, 7);
	assert_int_equal(fill(), 4);
	assert_receives_n(1, 2);
	f = receive();
	assert_int_equal(f->flags, KECHO_FRAME_LOCAL);
	assert_int_equal(f->size, LIMIT);
	assert_memory_equal(payload_of(f), "just", 5);
	f = receive();
	assert_int_equal(f->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_APART);
	assert_int_equal(f->size, HEAD);
	assert_int_equal(f->type_len, 0);
	assert_int_equal(f->attrs_len, 0);
	assert_int_equal(f->seq, 4);
	assert_int_equal(f->publisher, ID);
	assert_null(receive());
	release();
	/* No more before it is read. */
	assert_int_equal(fill(), 0);
	assert_int_equal(port.sink->count, 3);
	assert_int_equal(rings->receive.producer_waits, 0);
	msg = kecho_port_apart(&port);
	assert_non_null(msg);
	assert_int_equal(kecho_event_payload_len(msg), MOST + 1);
	assert_memory_equal(kecho_event_payload(msg), "large", 6);
	assert_int_equal(refcount_read(&msg->ref), 1);
	assert_null(kecho_port_apart(&port));
	kecho_sink_consumed(port.sink, msg);
	assert_int_equal(fill(), 2);
	assert_receives_n(5, 5);
	f = receive();
	assert_int_equal(f->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_APART);
	assert_int_equal(f->seq, 6);
	msg = kecho_port_apart(&port);
	assert_int_equal(kecho_event_payload_len(msg), 100000);
	assert_memory_equal(kecho_event_payload(msg), "larger", 7);
	kecho_sink_consumed(port.sink, msg);
	assert_int_equal(fill(), 1);
	assert_receives_n(7, 7);
	assert_null(kecho_port_apart(&port));
	release();

	/* Its frame needs room like any other. */
	seq = ch->seq;
	publish_n(1, SIZE / 56 + 1);
	n = fill();
	while (port.sink->count)
		pop(port.sink);
	publish_large("large", MOST + 1);
	publish_n(9, 9);
	assert_int_equal(fill(), 0);
	while ((f = receive()))
		assert_int_equal(f->seq, ++seq);
	release();
	/* The one that was on its way, then that. */
	assert_int_equal(fill(), 2);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_APART);
	release();

	/* There is room for less than a frame. */
	detach();
	attach("", RECEIVES, SIZE);
	publish_n(1, SIZE / 56);
	n = fill();
	assert_int_equal(n, SIZE / 56);
	publish_large("large", MOST + 1);
	assert_int_equal(fill(), 0);
	assert_int_equal(rings->receive.producer_waits, 1);
	assert_null(kecho_port_apart(&port));
	assert_int_equal(fill(), 0);
	while (n--)
		assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL);
	assert_null(receive());
	assert_true(release());
	assert_int_equal(fill(), 1);
	assert_int_equal(receive()->flags, KECHO_FRAME_LOCAL | KECHO_FRAME_APART);
	msg = kecho_port_apart(&port);
	assert_non_null(msg);
	kecho_sink_consumed(port.sink, msg);
	assert_int_equal(port.sink->lost, 0);
}

static void lost(void **state)
{
	const struct kecho_frame *f;
	u32 n;

	attach("", RECEIVES, SIZE);
	assert_int_equal(set("kecho.queue=5\nkecho.overflow=drop-oldest"), 0);
	publish_n(1, 9);
	assert_int_equal(rings->receive.lost, 0);
	assert_int_equal(fill(), 5);
	assert_int_equal(rings->receive.lost, 4);
	for (n = 5; n <= 9; n++) {
		f = receive();
		assert_int_equal(f->seq, n);
		assert_int_equal(f->lost, 4);
	}
	/* None goes lost from the ring, and told is what has been up to each. */
	for (n = 10; fill() == 1 || n == 10; n++)
		publish_n(n, n);
	publish_n(n, n + 9);
	fill();
	assert_int_equal(port.sink->lost, rings->receive.lost);
	assert_int_equal(rings->receive.lost, 4 + 10 - (5 - 0));
	for (f = receive(), n = 10; f && f->lost == 4; f = receive(), n++)
		assert_int_equal(f->seq, n);
	assert_null(f);
	release();
	assert_int_equal(fill(), 6);
	assert_int_equal(receive()->lost, 9);
	/* The node's count, whatever the program writes there. */
	rings->receive.lost = 77;
	fill();
	assert_int_equal(rings->receive.lost, 9);
}

/* --- waking, and what poll tells --- */

static void wake_program(void **state)
{
	u32 i;

	attach("", PUBLISHES | RECEIVES, SIZE);
	/* It does not sleep. */
	publish("1");
	assert_int_equal(fill(), 1);
	assert_false(wakes);
	assert_receives("1");
	/* It does. */
	assert_true(kecho_ring_wait_data(&rx));
	assert_int_equal(fill(), 0);
	assert_false(wakes);
	publish("2");
	assert_int_equal(fill(), 1);
	assert_true(wakes);
	assert_int_equal(fill(), 0);
	assert_false(wakes);
	kecho_ring_awake_consumer(&rx);
	publish("3");
	assert_int_equal(fill(), 1);
	assert_false(wakes);
	assert_receives_n(2, 3);
	/* An event that is apart, too. */
	assert_true(kecho_ring_wait_data(&rx));
	publish_large("large", 10000);
	assert_int_equal(fill(), 1);
	assert_true(wakes);
	/* What it has is what was set before: only ever added to. */
	wakes = true;
	kecho_port_fill(&port, &wakes);
	assert_true(wakes);

	/* A publisher that waits for room: when half of it is there. */
	for (i = 0; !send("", "1"); i++)
		;
	assert_int_equal(i, SIZE / 56);
	assert_true(kecho_ring_wait_room(&tx));
	assert_int_equal(drain_max(i / 2 - 1), i / 2 - 1);
	assert_false(wakes);
	assert_int_equal(drain_max(2), 2);
	assert_true(wakes);
	kecho_ring_awake_producer(&tx);
	assert_true(drain() > 1);
	assert_false(wakes);
	/* Nothing was taken: nothing to wake for. */
	WRITE_ONCE(rings->publish.producer_waits, 1);
	assert_int_equal(drain(), 0);
	assert_false(wakes);
	assert_false(kecho_ring_wait_room(&tx));
	/* Nor does a publisher's room concern who receives. */
	assert_int_equal(send("", "2"), 0);
	kecho_ring_awake_consumer(&rx);
	assert_int_equal(drain(), 1);
	assert_false(wakes);
}

/* Whether the node is to be kicked. */
static void wake_node(void **state)
{
	void *p;

	attach("", PUBLISHES, SIZE);
	assert_int_equal(kecho_ring_reserve(&tx, 64, &p), 0);
	memset(p, 0, 64);
	*(struct kecho_frame *)p = (struct kecho_frame){ .size = 64, .header = HEAD };
	kecho_ring_commit(&tx, 64);
	assert_true(kecho_ring_submit(&tx));
	kecho_port_busy(&port);
	assert_int_equal(send("", "2"), 0);
	assert_int_equal(rings->publish.consumer_waits, 0);
	/* There is more: it does not sleep. */
	assert_false(kecho_port_idle(&port));
	assert_true(port.awake);
	assert_int_equal(drain(), 2);
	assert_true(kecho_port_idle(&port));
	assert_false(port.awake);
	assert_int_equal(rings->publish.consumer_waits, 1);
}

static void events(void **state)
{
	u32 i, n;

	attach("", RECEIVES, SIZE);
	assert_events(0);
	publish("1");
	assert_events(0);
	fill();
	assert_events(EPOLLIN);
	receive();
	/* Released it is what has been read. */
	assert_events(EPOLLIN);
	release();
	assert_events(0);
	publish_large("large", 10000);
	fill();
	assert_events(EPOLLIN);
	detach();

	attach("", PUBLISHES, SIZE);
	assert_events(EPOLLOUT);
	for (n = 1; !send("", "sixteen in all.."); n++)
		assert_events(64 * n <= SIZE / 2 ? EPOLLOUT : 0);
	for (i = 1; i < n; i++) {
		assert_int_equal(drain_max(1), 1);
		assert_events(SIZE - 64 * i <= SIZE / 2 ? EPOLLOUT : 0);
	}
	detach();

	attach("", PUBLISHES | RECEIVES, SIZE);
	publish("1");
	fill();
	assert_events(EPOLLIN | EPOLLOUT);
	rings->publish.head = 3;
	assert_int_equal(drain(), -EPROTO);
	assert_events(EPOLLIN | EPOLLOUT | EPOLLERR);
	detach();
}

/* --- what a program should not do --- */

static void broken(void **state)
{
	struct kecho_frame *f;
	u32 i;

	for (i = 0; i < 6; i++) {
		attach("", PUBLISHES | RECEIVES, SIZE);
		send_n(1, 3);
		assert_int_equal(drain_max(1), 1);
		publish_n(2, 200);
		f = (void *)(memory + 4096 + rings->publish.tail);
		switch (i) {
		case 0:
			f->size = HEAD - 1;
			break;
		case 1:
			f->size = LIMIT + 1;
			break;
		case 2:
			f->header = 0;
			break;
		case 3:
			rings->publish.head = 56 + SIZE + 8;
			port.publish.other = port.publish.pos;
			break;
		case 4:
			fill();
			rings->receive.tail = 4;
			break;
		default:
			fill();
			rings->receive.tail = rings->receive.head + 8;
		}
		if (i < 4) {
			assert_int_equal(drain(), -EPROTO);
			assert_int_equal(rings->publish.lost, 0);
		} else {
			assert_int_equal(fill(), -EPROTO);
		}
		assert_int_equal(rings->broken, KECHO_RINGS_BROKEN);
		assert_true(kecho_port_events(&port) & EPOLLERR);
		/* And what was to be given is there still, to be put. */
		assert_true(i < 4 || port.held);
		detach();
	}
	/* What was good before it goes out. */
	attach("", PUBLISHES | RECEIVES, SIZE);
	send_n(1, 3);
	((struct kecho_frame *)(memory + 4096 + 2 * 56))->size = 1;
	assert_int_equal(drain(), -EPROTO);
	assert_int_equal(ch->seq, 199 * 6 + 6 + 2);
	assert_int_equal(fill(), 2);
	assert_receives_n(1, 2);
	/* The program only reads this. */
	memset(rings, 0xff, offsetof(struct kecho_rings, publish));
	publish_n(3, 5);
	assert_int_equal(fill(), 3);
	assert_receives_n(3, 5);
}

static void exits(void **state)
{
	u32 i;

	for (i = 0; i < 4; i++) {
		attach("", RECEIVES, SIZE);
		if (i & 1)
			publish_n(1, i & 2 ? 20 : 200);
		if (i & 2)
			publish_large("large", 100000);
		if (i)
			publish_large("behind", 200000);
		fill();
		assert_int_equal(!!port.held, i == 1);
		assert_int_equal(!!port.apart, i >= 2);
		detach();
		assert_null(port.held);
		assert_null(port.apart);
	}
	/* A publisher that waits for it gets to know. */
	assert_int_equal(set("kecho.queue=100\nkecho.overflow=block"), 0);
	attach("", RECEIVES, SIZE);
	publish_n(1, 100);
	fill();
	while (publish("x") >= 0)
		;
	told_room = 0;
	kecho_port_exit(&port);
	detach();
	assert_true(told_room > 0);
	assert_int_equal(publish("y"), 0);
}

/* --- threads --- */

#define EACH (50000 / UNIT_SLOW)

/*
 * A publisher of its own and a program, whose records the node drains; the program receives both: what is queued is put into the
 * ring by whoever publishes, and after a kick.
 */
static struct {
	bool kicked, stop;
	u64 failed, wrong, apart, blocked;
} run;

static bool stopped(void)
{
	return __atomic_load_n(&run.failed, __ATOMIC_RELAXED) || __atomic_load_n(&run.wrong, __ATOMIC_RELAXED);
}

static void kick(void)
{
	pthread_mutex_lock(&lock);
	run.kicked = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
}

static u64 seen(u64 *count)
{
	u64 n;

	pthread_mutex_lock(&lock);
	n = *count;
	pthread_mutex_unlock(&lock);
	return n;
}

/* Until it has been told of once more: someone owes that. */
static void wait_told(u64 *count, u64 before)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&lock);
	while (*count == before && !pthread_cond_timedwait(&cond, &lock, &until))
		;
	if (*count == before)
		INC(run.failed);
	pthread_mutex_unlock(&lock);
}

/* Who published it, and as which; now and then one that is larger than the ring takes. */
struct payload {
	u32 who, n;
};

static u32 size_of(u32 n)
{
	return n % 701 == 700 ? MOST + 1 + n % 50 : sizeof(struct payload) + (n % 97 == 96 ? 8 * (n % 100) : n % 40);
}

static void *publish_ring(void *arg)
{
	struct kecho_frame f = { .header = HEAD };
	struct payload v = { .who = 0 };
	u64 before;
	u32 len;
	void *p;
	int err;

	for (v.n = 0; v.n < EACH && !stopped(); v.n++) {
		len = HEAD + min_t(u32, size_of(v.n), MOST);
		for (;;) {
			before = seen(&told_wake);
			err = kecho_ring_reserve(&tx, len, &p);
			if (err != -EAGAIN || stopped())
				break;
			if (kecho_ring_wait_room(&tx))
				wait_told(&told_wake, before);
			kecho_ring_awake_producer(&tx);
		}
		if (err) {
			INC(run.wrong);
			break;
		}
		f.size = len;
		memcpy(p, &f, sizeof(f));
		memset(p + HEAD, v.n, len - HEAD);
		memcpy(p + HEAD, &v, sizeof(v));
		kecho_ring_commit(&tx, len);
		if (kecho_ring_submit(&tx))
			kick();
	}
	return NULL;
}

static void *publish_direct(void *arg)
{
	struct payload v = { .who = 1 };
	struct kecho_msg *msg;
	u64 before;
	int n;

	for (v.n = 0; v.n < EACH && !stopped(); v.n++) {
		msg = kecho_event_alloc(v.n % 3 ? "" : "t", NULL, size_of(v.n), GFP_KERNEL);
		memset(kecho_event_payload(msg), v.n, size_of(v.n));
		memcpy(kecho_event_payload(msg), &v, sizeof(v));
		for (;;) {
			before = seen(&told_room);
			n = kecho_channel_publish(ch, msg, TIME, NULL);
			if (n != -EAGAIN || stopped())
				break;
			INC(run.blocked);
			wait_told(&told_room, before);
		}
		kecho_msg_put(msg);
	}
	return NULL;
}

/* What a home's worker does. */
static void *node_thread(void *arg)
{
	u64 rooms;
	struct timespec until;
	bool wake, sleeps;
	u32 n;
	int err;

	kecho_port_busy(&port);
	while (!__atomic_load_n(&run.stop, __ATOMIC_ACQUIRE)) {
		wake = false;
		rooms = seen(&told_room);
		err = kecho_port_drain(&port, TIME, 16, NULL, &n);
		kecho_port_release(&port, &wake);
		if (kecho_port_fill(&port, &wake) < 0)
			INC(run.wrong);
		if (wake)
			program_woken();
		if (err && err != -EAGAIN)
			INC(run.wrong);
		if (n || !kecho_port_idle(&port))
			continue;
		wake = false;
		kecho_port_fill(&port, &wake);
		if (wake)
			program_woken();
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 20;
		pthread_mutex_lock(&lock);
		sleeps = true;
		while (!run.kicked && !run.stop && (!err || told_room == rooms) && sleeps)
			sleeps = !pthread_cond_timedwait(&cond, &lock, &until);
		if (!sleeps)
			INC(run.failed);
		run.kicked = false;
		pthread_mutex_unlock(&lock);
		kecho_port_busy(&port);
	}
	return NULL;
}

static bool well(const struct payload *v, const u8 *all, u32 len, u32 next[2])
{
	u32 i, want;

	if (v->who > 1 || v->n != next[v->who]++)
		return false;
	want = v->who ? size_of(v->n) : min_t(u32, size_of(v->n), MOST);
	for (i = sizeof(*v); i < len; i++)
		if (all[i] != (u8)v->n)
			return false;
	return len == want;
}

static void *receive_all(void *arg)
{
	const struct kecho_frame *f;
	u32 next[2] = { 0 }, len;
	struct payload v;
	struct kecho_msg *msg;
	u64 before;
	bool wake;
	int ret;
	u8 *p;

	while (next[0] + next[1] < 2 * EACH && !stopped()) {
		before = seen(&told_wake);
		ret = kecho_ring_peek(&rx, &p, &len);
		if (!ret) {
			if (kecho_ring_release(&rx, rx.pos))
				kick();
			if (kecho_ring_wait_data(&rx))
				wait_told(&told_wake, before);
			kecho_ring_awake_consumer(&rx);
			continue;
		}
		f = (void *)p;
		if (ret < 0 || len < HEAD) {
			INC(run.wrong);
		} else if (f->flags & KECHO_FRAME_APART) {
			/* read(2) of the events file */
			msg = kecho_port_apart(&port);
			if (!msg) {
				INC(run.wrong);
				break;
			}
			memcpy(&v, kecho_event_payload(msg), sizeof(v));
			if (!well(&v, kecho_event_payload(msg), kecho_event_payload_len(msg), next))
				INC(run.wrong);
			kecho_sink_consumed(port.sink, msg);
			wake = false;
			kecho_port_fill(&port, &wake);
			run.apart++;
			kecho_ring_consume(&rx, len);
		} else {
			memcpy(&v, payload_of(f), sizeof(v));
			if (f->seq < v.n || f->lost || !well(&v, (u8 *)payload_of(f), payload_len(f), next))
				INC(run.wrong);
			kecho_ring_consume(&rx, len);
		}
		if ((next[0] + next[1]) % 5 == 0 && kecho_ring_release(&rx, rx.pos))
			kick();
	}
	return NULL;
}

/* poll */
static void *look(void *arg)
{
	while (!__atomic_load_n(&run.stop, __ATOMIC_ACQUIRE)) {
		if (kecho_port_events(&port) & (EPOLLERR | EPOLLHUP))
			INC(run.wrong);
		sched_yield();
	}
	return NULL;
}

static void threads(const char *settings)
{
	pthread_t t[5];

	assert_int_equal(set(settings), 0);
	attach("", PUBLISHES | RECEIVES, SIZE);
	memset(&run, 0, sizeof(run));
	ready_fills = true;
	pthread_create(&t[0], NULL, publish_ring, NULL);
	pthread_create(&t[1], NULL, publish_direct, NULL);
	pthread_create(&t[2], NULL, receive_all, NULL);
	pthread_create(&t[3], NULL, node_thread, NULL);
	pthread_create(&t[4], NULL, look, NULL);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	pthread_join(t[2], NULL);
	pthread_mutex_lock(&lock);
	__atomic_store_n(&run.stop, true, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	pthread_join(t[3], NULL);
	pthread_join(t[4], NULL);
	ready_fills = false;
	assert_int_equal(run.failed, 0);
	assert_int_equal(run.wrong, 0);
	assert_int_equal(rings->publish.lost, 0);
	assert_int_equal(rings->receive.lost, 0);
	assert_int_equal(ch->seq, 2 * EACH);
	assert_true(run.apart >= EACH / 701);
}

static void threads_take(void **state)
{
	takes = true;
	threads("kecho.queue=8\nkecho.overflow=block");
}

static void threads_block(void **state) { threads("kecho.queue=8\nkecho.overflow=block"); }
static void threads_block_one(void **state) { threads("kecho.queue=1\nkecho.overflow=block"); }

#ifndef __SANITIZE_THREAD__
static void *scribble(void *arg)
{
	u64 x = 88172645463325252ull;
	struct kecho_frame *f;
	u32 i, at;

	for (i = 0; !__atomic_load_n(&run.stop, __ATOMIC_ACQUIRE); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		at = (x >> 32) % (SIZE / 64) * 64;
		f = (void *)(memory + 4096 + at);
		switch (x >> 59) {
		case 0:
			WRITE_ONCE(rings->receive.tail, READ_ONCE(rings->receive.head) - at);
			break;
		case 1:
			WRITE_ONCE(f->size, at);
			break;
		case 2:
			WRITE_ONCE(f->header, at % 1000);
			break;
		case 3:
			WRITE_ONCE(f->prio, at % 1000);
			break;
		case 4:
			WRITE_ONCE(f->seq, at);
			break;
		case 5:
			WRITE_ONCE(f->header, 0);
			WRITE_ONCE(f->size, SIZE - at);
			break;
		case 6 ... 9:
			WRITE_ONCE(f->attrs_len, i % 3 * 6);
			WRITE_ONCE(f->type_len, i % 5);
			break;
		case 10 ... 12:
			/* A type, or the length of a name and no attribute. */
			WRITE_ONCE(*(u32 *)(f + 1), i % 2 ? 0x61616161 : i);
			break;
		case 13 ... 15:
			WRITE_ONCE(rings->publish.head, READ_ONCE(rings->publish.tail) + at);
			break;
		default:
			WRITE_ONCE(f->size, 64);
			WRITE_ONCE(f->header, HEAD);
			WRITE_ONCE(f->prio, 1);
			WRITE_ONCE(f->seq, 0);
		}
		if (!(i % 1024))
			sched_yield();
	}
	return NULL;
}

/* A program that writes while the node reads: what becomes an event is one. */
static void threads_scribble(void **state)
{
	struct kecho_sink *other;
	struct kecho_msg *msg;
	pthread_t t;
	u32 i, bad = 0, good = 0;

	attach("", PUBLISHES | RECEIVES, SIZE);
	other = open_sink("", NULL);
	memset(&run, 0, sizeof(run));
	pthread_create(&t, NULL, scribble, NULL);
	for (i = 0; (i < 200000 / UNIT_SLOW || good < 100) && !bad; i++) {
		drain_max(8);
		fill();
		while (kecho_sink_pop(other, U32_MAX, &msg) == 1) {
			bad += kecho_event_check(msg) != 0 || kecho_event_size(msg) > LIMIT;
			good += kecho_event(msg)->type_len;
			kecho_sink_consumed(other, msg);
		}
		/* On from where it met what cannot be. */
		port.publish.pos = port.publish.told = port.publish.other = (port.publish.pos + 64) & ~63;
		WRITE_ONCE(rings->publish.tail, port.publish.pos);
		if (!(i % 1024))
			sched_yield();
	}
	__atomic_store_n(&run.stop, true, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	assert_int_equal(bad, 0);
	kecho_sink_close(other, 0);
}
#endif

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(attachments), T(round_trip), T(flags), T(types), T(refused), T(blocks), T(goes), T(without_memory), T(ring_full), T(apart), T(taken),
	T(lost), T(wake_program), T(wake_node), T(events), T(broken), T(exits), T(threads_block), T(threads_block_one), T(threads_take),
#ifndef __SANITIZE_THREAD__
	T(threads_scribble),
#endif
};
UNIT_SUITE(port, tests)
