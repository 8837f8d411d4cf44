// SPDX-License-Identifier: GPL-2.0
/*
 * Rings whose program writes what it likes where it likes: before each call of the node's side and, where that allocates, frees or
 * tells its home of something, during it. The node touches nothing else, keeps its senses, and publishes only what is an event. One
 * direction or the other may have an honest program: all that it sends is published, all that it reads is what was published.
 */
#include <linux/errno.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/asan_interface.h>
#include "../../lib/attr/text.h"
#include "../../lib/ecalls/port.h"
#include "fuzz.h"
#include <linux/err.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define SIZE ((u32)KECHO_RING_MIN)
#define FROM_RING 1	/* time_ns: where an event came from */
#define DIRECT 2

static struct kecho_node node;
static struct kecho_channel *ch;
static struct kecho_sink *ref;
static struct kecho_port port;
static struct kecho_rings *rings;
static u8 *memory;
static struct kecho_end tx, rx;		/* the program's */
static bool hostile_tx, hostile_rx, woken, asleep, kicked, ready_fills;
static struct in *in;

/* What has been sent honestly and not been published yet, and what has been published and not been read yet. */
static struct kecho_msg *sent[256], *expected[256];
static u32 sent_head, sent_tail, expected_head, expected_tail;
static u64 refused;

/* --- scribbling --- */

static bool inside;	/* the node's side is at work */

static void scribble(void)
{
	u8 kind = in_u8(in);
	bool which = hostile_tx && (!hostile_rx || kind & 1);
	struct kecho_ring *ring = which ? &rings->publish : &rings->receive;
	u8 *data = which ? port.publish.data : port.receive.data;
	u32 at, here = (which ? port.publish.pos : port.receive.pos) & (SIZE - 1);
	struct kecho_frame *f;
	size_t len;
	const u8 *p;

	if (!hostile_tx && !hostile_rx)
		return;
	at = in_u16(in);
	switch (kind >> 1 & 15) {
	case 0:
		ring->head = ring->tail + at;
		break;
	case 1:
		ring->head = ring->tail + at % (SIZE / 8 + 1) * 8;
		break;
	case 2:
		ring->tail = ring->head - at;
		break;
	case 3:
		ring->tail = ring->head - at % (SIZE / 8 + 1) * 8;
		break;
	case 4:
		((u8 *)ring)[at % sizeof(*ring)] = in_u8(in);
		break;
	case 5:
		((u8 *)rings)[at % offsetof(struct kecho_rings, publish)] = in_u8(in);
		break;
	case 6:
	case 7:
		/* The record that is looked at. */
		data[(here + at % 64) & (SIZE - 1)] = in_u8(in);
		break;
	case 8:
		*(u32 *)(data + here) = at % 2048;
		break;
	case 9:
		*(u32 *)(data + here) = SIZE - here;
		*(u16 *)(data + here + 4) = 0;
		break;
	case 10:
		f = (void *)(data + min(here, SIZE - (u32)sizeof(*f)) / 8 * 8);
		memset(f, 0, sizeof(*f));
		f->size = sizeof(*f) + at % 300;
		f->header = sizeof(*f) + at / 300 % 4;
		f->type_len = at / 1200 % 4;
		f->attrs_len = at / 4800;
		break;
	default:
		len = in_u8(in);
		p = in_bytes(in, &len);
		at = (at & 1 ? here : at) & (SIZE - 1);
		memcpy(data + at, p, min_t(size_t, len, SIZE - at));
	}
}

static void meanwhile(void)
{
	if (!inside)
		return;
	inside = false;
	if (in_u8(in) & 1)
		scribble();
	inside = true;
}

static void on_malloc(const volatile void *p, size_t size) { meanwhile(); }
static void on_free(const volatile void *p) { meanwhile(); }

/* --- the node --- */

static void on_ready(struct kecho_sink *sink)
{
	meanwhile();
	if (ready_fills && sink->home == &port)
		kecho_port_fill(&port, &woken);
}

static void on_channel(struct kecho_channel *c) { meanwhile(); }
static void on_changed(struct kecho_channel *c, enum kecho_file file, const struct kecho_msg *event) { meanwhile(); }
static void on_due(struct kecho_cm *cm, u64 when) { }

static u64 clock_stands(void)
{
	return 0;
}

static const struct kecho_filter_ops *no_filter(struct kecho_node *n, const char *name)
{
	return ERR_PTR(-ENOENT);
}

static const struct kecho_node_ops ops = {
	.cm = { .due = on_due }, .ready = on_ready, .room = on_channel, .changed = on_changed, .joined = on_channel,
	.clock = clock_stands, .filter_get = no_filter,
};

static void attach(const char *type)
{
	struct kecho_attach a = { .version = KECHO_RING_VERSION };

	CHECK(!kecho_port_sizes(&a, true, true));
	CHECK(a.publish_size == SIZE && a.receive_size == SIZE);
	memory = calloc(1, a.bytes);
	port = (struct kecho_port){ .channel = ch, .type = type, .publishes = true };
	port.sink = kecho_sink_open(ch, type, 0, 1, "fuzz", &port, 0, 0);
	kecho_port_init(&port, &a, memory);
	rings = (void *)memory;
	/* Each ring's bytes by themselves, so that none can be taken for the other's. */
	ASAN_POISON_MEMORY_REGION(rings + 1, a.bytes - sizeof(*rings));
	port.publish.data = calloc(1, SIZE);
	port.receive.data = calloc(1, SIZE);
	kecho_end_init(&tx, &rings->publish, port.publish.data, SIZE);
	kecho_end_init(&rx, &rings->receive, port.receive.data, SIZE);
	ref = kecho_sink_open(ch, type, 0, 1, "ref", NULL, 0, 0);
	asleep = woken = kicked = false;
	refused = 0;
}

static void detach(void)
{
	while (expected_tail != expected_head)
		kecho_msg_put(expected[expected_tail++ % ARRAY_SIZE(expected)]);
	while (sent_tail != sent_head)
		kecho_msg_put(sent[sent_tail++ % ARRAY_SIZE(sent)]);
	kecho_port_exit(&port);
	CHECK(!port.held && !port.apart);
	kecho_sink_close(port.sink, 0);
	kecho_sink_close(ref, 0);
	ASAN_UNPOISON_MEMORY_REGION(rings + 1, 4096 + 2 * SIZE - sizeof(*rings));
	free(port.publish.data);
	free(port.receive.data);
	free(memory);
}

/* What has been published since, and who it is from. */
static void published(void)
{
	const struct kecho_event_wire *ev, *want;
	struct kecho_msg *msg, *was;

	while (kecho_sink_pop(ref, U32_MAX, &msg) == 1) {
		ev = kecho_event(msg);
		CHECK(!kecho_event_check(msg));
		CHECK(kecho_event_payload_len(msg) <= node.max_event);
		CHECK(!port.type[0] || kecho_event_is_type(msg, port.type));
		if (!hostile_tx && le64_to_cpu(ev->time_ns) == FROM_RING) {
			CHECK(sent_tail != sent_head);
			was = sent[sent_tail++ % ARRAY_SIZE(sent)];
			want = kecho_event(was);
			CHECK(kecho_event_size(was) == kecho_event_size(msg));
			CHECK(ev->prio == want->prio && ev->deadline_us == want->deadline_us);
			CHECK(ev->type_len == want->type_len && ev->attrs_len == want->attrs_len);
			CHECK(!memcmp(ev->bytes, want->bytes, kecho_event_size(msg) - sizeof(*ev)));
			kecho_msg_put(was);
		}
		if (!hostile_rx) {
			CHECK(expected_head - expected_tail < ARRAY_SIZE(expected));
			expected[expected_head++ % ARRAY_SIZE(expected)] = kecho_msg_get(msg);
		}
		kecho_sink_consumed(ref, msg);
	}
	CHECK(!ref->lost);
}

static void sound(void)
{
	const struct kecho_end *w = &port.publish, *r = &port.receive;

	CHECK(!((w->pos | w->told | w->other | r->pos | r->told | r->other) & 7));
	CHECK(w->other - w->told <= SIZE && w->pos - w->told <= w->other - w->told);
	CHECK(r->pos - r->other <= SIZE && r->told == r->pos);
	CHECK(!port.apart || !port.held);
	CHECK(hostile_tx || hostile_rx || !rings->broken);
	published();
}

/* --- the node's calls --- */

static int drain(u32 max)
{
	u32 n;
	int err;

	inside = true;
	err = kecho_port_drain(&port, FROM_RING, max, NULL, &n);
	kecho_port_release(&port, &woken);
	inside = false;
	CHECK(n <= max && (!err || err == -EAGAIN || (err == -EPROTO && hostile_tx)));
	CHECK(hostile_tx || port.refused <= refused);
	sound();
	return err ? err : (int)n;
}

static int fill(void)
{
	int n;

	inside = true;
	n = kecho_port_fill(&port, &woken);
	inside = false;
	CHECK(n >= 0 || (n == -EPROTO && hostile_rx));
	sound();
	return n;
}

/* --- the program --- */

static void put_hostile(void)
{
	struct kecho_frame f = { 0 };
	u32 kind = in_u8(in);
	size_t len = in_u8(in);
	const u8 *p = in_bytes(in, &len);
	void *to;

	if (kecho_ring_reserve(&tx, sizeof(f) + len, &to))
		return;
	f.size = sizeof(f) + len;
	f.header = sizeof(f) + (kind & 32 ? kind & 3 : 0);
	f.prio = kind & 7;
	f.type_len = kind & 8 && len ? p[0] % 8 : 0;
	f.attrs_len = kind & 16 && len > 1 ? p[1] % (len + 2) : 0;
	if (kind & 64 && len)
		((u8 *)&f)[p[len - 1] % sizeof(f)] = kind;
	memcpy(to, &f, sizeof(f));
	memcpy(to + sizeof(f), p, len);
	kecho_ring_commit(&tx, sizeof(f) + len);
	if (in_u8(in) & 3)
		kecho_ring_submit(&tx);
}

/* With @bad, what will be refused. */
static void put(bool bad)
{
	static const char * const lines[] = { "", "a=1", "a=1\nb=text", "load=0.5" };
	u32 kind = in_u8(in), len = in_u16(in) % (SIZE / 4);
	const char *type = kind & 8 ? "typ" : "";
	struct kecho_attrs *attrs;
	struct kecho_frame f = { .header = sizeof(f), .prio = kind & 7, .type_len = strlen(type), .deadline_us = kind };
	struct kecho_msg *msg;
	void *to;
	int err;

	if (sent_head - sent_tail == ARRAY_SIZE(sent))
		return;
	CHECK(!kecho_attrs_merge_text(NULL, lines[kind >> 4 & 3], strlen(lines[kind >> 4 & 3]), GFP_KERNEL, &attrs));
	f.attrs_len = attrs ? attrs->len : 0;
	bad = bad || len > node.max_event;
	f.size = sizeof(f) + f.type_len + f.attrs_len + len;
	err = kecho_ring_reserve(&tx, f.size, &to);
	CHECK(!err || err == -EAGAIN || (err == -EMSGSIZE && f.size > SIZE / 4));
	if (err) {
		kecho_attrs_put(attrs);
		return;
	}
	msg = kecho_event_alloc(type[0] ? type : port.type, attrs, len, GFP_KERNEL);
	kecho_attrs_put(attrs);
	kecho_event(msg)->prio = f.prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(f.deadline_us);
	memset(kecho_event_payload(msg), kind + len, len);
	memcpy(to + sizeof(f), type, f.type_len);
	memcpy(to + sizeof(f) + f.type_len, kecho_event_attrs(msg), f.attrs_len + len);
	if (bad && len <= node.max_event) {
		if (kind & 64)
			f.prio = 8;
		else
			f.flags = 1;
	}
	memcpy(to, &f, sizeof(f));
	if (bad) {
		kecho_msg_put(msg);
		refused++;
	} else {
		sent[sent_head++ % ARRAY_SIZE(sent)] = msg;
	}
	kecho_ring_commit(&tx, f.size);
	if (kind & 128)
		kecho_ring_submit(&tx);
}

static bool read_one(void)
{
	struct kecho_frame *f;
	struct kecho_msg *want, *msg;
	const struct kecho_event_wire *ev;
	u32 len;
	u8 *p;
	int ret = kecho_ring_peek(&rx, &p, &len);

	CHECK(ret >= 0);
	if (!ret)
		return false;
	asleep = false;
	kecho_ring_awake_consumer(&rx);
	CHECK(expected_tail != expected_head);
	want = expected[expected_tail++ % ARRAY_SIZE(expected)];
	ev = kecho_event(want);
	f = (void *)p;
	CHECK(f->size == len && f->header == sizeof(*f) && f->seq == le64_to_cpu(ev->seq) && f->time_ns == le64_to_cpu(ev->time_ns));
	CHECK(f->publisher == 9 && !f->lost && f->prio == ev->prio && f->deadline_us == le32_to_cpu(ev->deadline_us));
	if (f->flags == (KECHO_FRAME_LOCAL | KECHO_FRAME_APART)) {
		CHECK(len == sizeof(*f) && !f->type_len && !f->attrs_len);
		CHECK(sizeof(*f) + kecho_event_size(want) - sizeof(*ev) > SIZE / 4);
		CHECK(!kecho_ring_peek(&rx, &p, &len) || p == (u8 *)f);
		msg = kecho_port_apart(&port);
		CHECK(msg == want);
		kecho_sink_consumed(port.sink, msg);
		kicked = true;
	} else {
		CHECK(f->flags == KECHO_FRAME_LOCAL && f->type_len == ev->type_len && f->attrs_len == le16_to_cpu(ev->attrs_len));
		CHECK(len == sizeof(*f) + kecho_event_size(want) - sizeof(*ev));
		CHECK(!memcmp(f + 1, ev->bytes, len - sizeof(*f)));
	}
	kecho_ring_consume(&rx, len);
	kecho_msg_put(want);
	return true;
}

static void release(void)
{
	if (kecho_ring_release(&rx, rx.pos))
		kicked = true;
}

/* All that there is; who sleeps then has the right to be woken. */
static void read_all(void)
{
	while (read_one())
		;
	release();
	/* Half of the ring is free: whoever waits for that knows. */
	CHECK(kicked || port.awake || !port.held);
	if (kicked) {
		kicked = false;
		fill();
	}
	woken = false;
	asleep = kecho_ring_wait_data(&rx);
}

static void read_hostile(void)
{
	struct kecho_msg *msg = kecho_port_apart(&port);

	if (msg) {
		CHECK(!kecho_event_check(msg));
		kecho_sink_consumed(port.sink, msg);
	}
	/* As a program does that does not look at what it gets. */
	rings->receive.tail = rings->receive.head;
}

static void publish(void)
{
	u32 len = in_u16(in) % 3000;
	struct kecho_msg *msg = kecho_event_alloc(len & 1 ? port.type : "typ", NULL, len, GFP_KERNEL);
	int n;

	memset(kecho_event_payload(msg), len, len);
	inside = true;
	n = kecho_channel_publish(ch, msg, DIRECT, NULL);
	kecho_msg_put(msg);
	inside = false;
	CHECK(n >= 0 || n == -EAGAIN || n == -EMSGSIZE);
	sound();
}

static void rest(void)
{
	int n;

	kecho_ring_submit(&tx);
	release();
	do {
		n = drain(64);
		n = (n > 0 ? n : 0) + fill();
		while (read_one())
			n++;
		release();
	} while (n);
	CHECK(sent_tail == sent_head && expected_tail == expected_head);
	CHECK(!port.held && !port.apart && !port.sink->count && !port.sink->lost);
	CHECK(rings->publish.lost == refused && rings->publish.tail == rings->publish.head);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct in input = { data, data + size };
	static bool hooked;
	const char *type;
	char set[64];
	int err, n;
	u8 kind;

	if (!hooked)
		hooked = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
	in = &input;
	kind = in_u8(in);
	hostile_tx = kind & 1;
	hostile_rx = kind & 2;
	type = kind & 4 ? "typ" : "";
	ready_fills = kind & 8;
	kecho_node_init(&node, 9, "n", 0, &ops, 1);
	node.max_event = kind & 16 ? 200 : 2500;
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
	CHECK(ch);
	n = sprintf(set, "kecho.overflow=block\nkecho.queue=%d", 1 + kind / 32 * 4);
	CHECK(!kecho_channel_write_attrs(ch, set, n, true, 0));
	attach(type);
	while (in->p < in->end) {
		err = 0;
		switch (in_u8(in) & 15) {
		case 0:
		case 1:
			if (hostile_tx)
				put_hostile();
			else
				put(false);
			break;
		case 2:
			if (hostile_tx)
				scribble();
			else
				put(true);
			break;
		case 3:
		case 4:
			err = drain(in_u8(in) % 64);
			break;
		case 5:
		case 6:
			err = fill();
			break;
		case 7:
		case 8:
			publish();
			break;
		case 9:
			if (hostile_rx)
				read_hostile();
			else
				read_one();
			break;
		case 10:
			if (hostile_rx)
				read_hostile();
			else
				read_all();
			break;
		case 11:
			kecho_port_busy(&port);
			break;
		case 12:
			if (kecho_port_idle(&port))
				err = fill();
			break;
		case 13:
			CHECK(!((u32)kecho_port_events(&port) & ~(u32)(EPOLLIN | EPOLLOUT | EPOLLERR)));
			break;
		default:
			scribble();
		}
		CHECK(hostile_rx || !asleep || woken || READ_ONCE(rings->receive.head) == rx.pos);
		if (err == -EPROTO || rings->broken == KECHO_RINGS_BROKEN) {
			/* The home lets go of them; the program attaches anew. */
			detach();
			attach(type);
		}
	}
	if (!hostile_tx && !hostile_rx)
		rest();
	detach();
	kecho_channel_leave(ch, 0);
	kecho_node_exit(&node, 0);
	return 0;
}
