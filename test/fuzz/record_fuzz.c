// SPDX-License-Identifier: GPL-2.0
/*
 * What a peer may send: connections that a node with a channel, sinks and retained events has accepted, their bytes taken as
 * kechofs/tcp.c takes them. Some of the input is records whose heads are put in order, so that they get as far as they can.
 * Whatever comes, the node lives, holds a bounded amount of memory, and in the end none.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/time64.h>
#include <sanitizer/allocator_interface.h>
#include "../../lib/attr/text.h"
#include "../../lib/channel/channel.h"
#include "../../lib/cm/framer.h"
#include "fuzz.h"
#include <linux/err.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define ID 100
#define BOUND (24u << 20)	/* of what one peer may make the node hold, beyond what users and links are charged for */

struct peer {
	struct kecho_conn conn;
	bool closed;
	struct kecho_framer framer;
};

static struct kecho_node node;
static struct kecho_channel *ch;
static struct kecho_sink *sinks[2];
static struct peer *peer;
static struct kecho_link *dials[64];
static u32 ndials;
static u64 now, tx, session, events;

static void on_dial(struct kecho_cm *cm, struct kecho_link *link)
{
	if (ndials < ARRAY_SIZE(dials))
		dials[ndials++] = kecho_link_get(link);
}

static void on_close(struct kecho_conn *conn) { container_of(conn, struct peer, conn)->closed = true; }
static void on_conn(struct kecho_conn *conn) { }
static void on_due(struct kecho_cm *cm, u64 when) { }
static void on_sink(struct kecho_sink *sink) { }
static void on_channel(struct kecho_channel *c) { }
static void on_changed(struct kecho_channel *c, enum kecho_file file, const struct kecho_msg *event) { }
static void on_listed(struct kecho_node *n, u32 request, const char *name, const struct kecho_holding *h) { }

static u64 clock_stands(void)
{
	return 0;
}

static const struct kecho_filter_ops *no_filter(struct kecho_node *n, const char *name)
{
	return ERR_PTR(-ENOENT);
}

static const struct kecho_node_ops ops = {
	.cm = { .dial = on_dial, .kick = on_conn, .close = on_close, .due = on_due },
	.ready = on_sink, .room = on_channel, .changed = on_changed, .joined = on_channel, .listed = on_listed,
	.clock = clock_stands, .filter_get = no_filter,
};

static void hang_up(void)
{
	if (!peer)
		return;
	kecho_cm_closed(&peer->conn, now);
	kecho_framer_exit(&peer->framer);
	kecho_cm_conn_exit(&peer->conn);
	free(peer);
	peer = NULL;
}

static void feed(const u8 *p, size_t len)
{
	u8 *copy;
	bool ok;

	if (!peer || peer->closed)
		return;
	copy = malloc(len ? len : 1);
	memcpy(copy, p, len);
	ok = !kecho_framer_take(&peer->framer, &peer->conn, copy, len, now);
	CHECK(!peer->framer.msg || peer->framer.msg->len <= node.cm.max_body);
	free(copy);
	if (!ok || peer->closed)
		hang_up();
}

static void record(u8 type, u64 seq, const u8 *body, size_t len)
{
	struct kecho_rec rec = { .len = cpu_to_le32(len), .type = type, .seq = cpu_to_le64(seq) };
	u8 buf[sizeof(rec) + 4096];

	len = min_t(size_t, len, 4096);
	/* Now and then what we sent is acknowledged. */
	if (peer && peer->conn.link && seq % 3 == 0)
		rec.ack = cpu_to_le64(peer->conn.link->cur == &peer->conn.link->out ? peer->conn.link->tx_seq : 0);
	memcpy(buf, &rec, sizeof(rec));
	if (len)
		memcpy(buf + sizeof(rec), body, len);
	feed(buf, sizeof(rec) + len);
}

/* A connection, and a hello that is right but for what @in changes in it. */
static void call(struct in *in, bool resume, u8 changes)
{
	struct kecho_addr addr = { .family = 4, .port = cpu_to_be16(7000), .ip = { 10, 0, 0, 2 } };
	u64 ours = 0, had = 0;
	struct kecho_enc e;
	struct kecho_msg *msg;
	u8 name[KECHO_NAME_MAX] = "peer", at;

	if (peer && peer->conn.link) {
		ours = peer->conn.link->session;
		had = peer->conn.link->acked;
	}
	hang_up();
	if (!resume) {
		session++;
		tx = events = 0;
	}
	peer = calloc(1, sizeof(*peer));
	peer->conn.peer = addr;
	INIT_LIST_HEAD(&peer->conn.node);
	kecho_cm_accepted(&node.cm, &peer->conn, now);
	kecho_enc_start(&e, 400, GFP_KERNEL);
	kecho_enc_u32(&e, KECHO_MAGIC);
	kecho_enc_u8(&e, KECHO_VERSION_MIN);
	kecho_enc_u8(&e, KECHO_VERSION_MAX);
	kecho_enc_u8(&e, 0);
	kecho_enc_u8(&e, KECHO_ROLE_MEMBER | KECHO_ROLE_REGISTRY);
	kecho_enc_u64(&e, 0);
	kecho_enc_u32(&e, 1);
	kecho_enc_u32(&e, 1);
	kecho_enc_u64(&e, 200);
	kecho_enc_u64(&e, session);
	kecho_enc_u64(&e, resume ? ours : 0);
	kecho_enc_u64(&e, resume ? had : 0);
	kecho_enc_u32(&e, KECHO_RECORD_MAX);
	kecho_enc_addr(&e, &addr);
	kecho_enc_u8(&e, 4);
	kecho_enc_bytes(&e, name, sizeof(name));
	kecho_enc_u16(&e, 0);
	msg = kecho_enc_finish(&e);
	while (changes--) {
		at = in_u8(in);
		msg->data[at % msg->len] = in_u8(in);
	}
	record(KECHO_HELLO, 0, msg->data, msg->len);
	kecho_msg_put(msg);
}

#define CHAN 7

/* A JOIN as a member would say it. */
static void join(u32 chan, bool reply)
{
	struct kecho_enc e;
	struct kecho_msg *msg;

	kecho_enc_start(&e, 400, GFP_KERNEL);
	kecho_enc_u32(&e, chan);
	kecho_enc_name(&e, "c");
	kecho_enc_u8(&e, reply);
	kecho_enc_u64(&e, 2);		/* rank */
	kecho_enc_u64(&e, 0);		/* epoch, contact */
	kecho_enc_u64(&e, 0);
	kecho_enc_u8(&e, KECHO_ROLE_SUBSCRIBES);
	kecho_enc_u32(&e, 1);
	kecho_enc_u16(&e, 0);
	kecho_enc_u16(&e, 0);
	kecho_enc_u64(&e, 0);		/* settings */
	kecho_enc_u64(&e, 0);
	kecho_enc_u16(&e, 0);
	kecho_enc_u16(&e, 0);		/* others */
	kecho_enc_u32(&e, 1);		/* the receiver's number of the channel, of a reply */
	msg = kecho_enc_finish(&e);
	CHECK(msg);
	record(KECHO_JOIN, ++tx, msg->data, msg->len);
	kecho_msg_put(msg);
}

/* Events, one after another, or retained ones. */
static void event(u32 chan, u64 *n, u16 flags, u32 len)
{
	struct kecho_event_prefix prefix = { cpu_to_le32(chan), 0, cpu_to_le16(flags), cpu_to_le64(flags ? 0 : ++*n), 0, 0 };
	struct kecho_msg *msg = kecho_event_alloc(len & 1 ? "t" : "", NULL, len, GFP_KERNEL);
	u8 body[sizeof(prefix) + 600];

	memset(kecho_event_payload(msg), 'e', len);
	kecho_event(msg)->seq = cpu_to_le64(tx);
	kecho_event(msg)->time_ns = cpu_to_le64(now - len % 4);
	memcpy(body, &prefix, sizeof(prefix));
	memcpy(body + sizeof(prefix), msg->data, msg->len);
	record(KECHO_EVENT, ++tx, body, sizeof(prefix) + msg->len);
	kecho_msg_put(msg);
}

static void send_some(size_t some)
{
	struct kvec vec[16];
	size_t bytes, i, n;
	int max;

	while (peer && !peer->closed) {
		max = kecho_cm_tx_fill(&peer->conn, vec, 16, &bytes, now);
		if (!max)
			break;
		for (i = n = 0; i < (size_t)max; i++) {
			u8 sum = 0;

			n += vec[i].iov_len;
			/* Read it, for ASan. */
			while (vec[i].iov_len)
				sum += ((u8 *)vec[i].iov_base)[--vec[i].iov_len];
			(void)*(volatile u8 *)&sum;
		}
		CHECK(n == bytes);
		kecho_cm_tx_done(&peer->conn, min(some, bytes));
		if (some < bytes)
			break;
		some -= bytes;
	}
}

static void tick(u64 ms)
{
	now += ms * NSEC_PER_MSEC;
	kecho_node_tick(&node, now);
	if (peer && peer->closed)
		hang_up();
	while (ndials) {
		struct kecho_link *link = dials[--ndials];

		kecho_cm_dial_failed(link, now);
		kecho_link_put(link);
	}
}

static void publish(const char *type, u32 len)
{
	struct kecho_msg *msg = kecho_event_alloc(type, NULL, len, GFP_KERNEL);

	memset(kecho_event_payload(msg), 'p', len);
	kecho_channel_publish(ch, msg, now, NULL);
	kecho_msg_put(msg);
}

static void read_one(struct kecho_sink *sink)
{
	struct kecho_msg *msg;

	if (kecho_sink_pop(sink, U32_MAX, &msg) == 1) {
		CHECK(!kecho_event_check(msg));
		kecho_sink_consumed(sink, msg);
	}
}

static void show(void)
{
	struct kecho_text t = { 0 };

	kecho_show_members(&t, ch, 0);
	kecho_show_attrs(&t, ch);
	kecho_show_peers(&t, &node);
	kecho_show_stats(&t, &node);
	kecho_show_channels(&t, &node);
	CHECK(!t.err && t.len == strnlen(t.buf, t.len));
	kecho_text_free(&t);
}

static void set(const char *text)
{
	CHECK(!kecho_channel_write_attrs(ch, text, strlen(text), true, now));
}

static void one(struct in *in)
{
	static const char * const settings[] = {
		"kecho.overflow=block", "kecho.overflow=drop-oldest", "kecho.overflow=drop-newest", "kecho.order=priority",
		"kecho.order=deadline", "kecho.order=", "kecho.retain=0", "kecho.retain=128", "a=1", "kecho.queue=3", "kecho.queue=16",
	};
	u8 op = in_u8(in), body[1024];
	size_t len;
	u32 times = 1;
	const u8 *p;

	switch (op) {
	case 0xff:
		tick(in_u8(in) * 50);
		return;
	case 0xfe:
		send_some(in_u8(in) < 128 ? in_u16(in) : ~0u);
		return;
	case 0xfd:
		read_one(sinks[in_u8(in) % 2]);
		return;
	case 0xfc:
		op = in_u8(in);
		publish(op & 1 ? "t" : "", op);
		return;
	case 0xfb:
		op = in_u8(in);
		call(in, op & 1, op >> 4);
		return;
	case 0xfa:
		set(settings[in_u8(in) % ARRAY_SIZE(settings)]);
		return;
	case 0xf9:
		show();
		return;
	case 0xf8:
		len = in_u8(in);
		p = in_bytes(in, &len);
		feed(p, len);
		return;
	case 0xf7:
		times = 1 + in_u8(in) * 16;
		op = in_u8(in);
		break;
	case 0xf6:
		for (times = 1 + in_u8(in) * 8, op = in_u8(in); times--; )
			join(CHAN + (op & 2 ? times & 1 : 0), op & 1);
		return;
	case 0xf5:
		for (times = 1 + in_u8(in) * 8, op = in_u8(in); times--; )
			event(CHAN, &events, op & 1, op * 2 + (times & 1));
		return;
	}
	/* Types are close together: 1-5, 16-20, 32-39. */
	op = op % 18 < 5 ? 1 + op % 18 : op % 18 < 10 ? 16 + op % 18 - 5 : 32 + op % 18 - 10;
	len = in_u16(in) % 1024;
	p = in_bytes(in, &len);
	memcpy(body, p, len);
	/* Mostly of the channel that there is. */
	if (op > KECHO_JOIN && len > 4 && body[3] < 200)
		memcpy(body, (u8[]){ CHAN, 0, 0, 0 }, 4);
	while (times--)
		record(op, op < KECHO_REGISTER ? 0 : ++tx, body, len);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct in in = { data, data + size };
	size_t before = __sanitizer_get_current_allocated_bytes(), charged;
	u8 kind = in_u8(&in);
	int err, i, ops_left = 100;
	struct kecho_link *link;

	now = 1000 * NSEC_PER_SEC;
	tx = session = ndials = 0;
	kecho_node_init(&node, kind & 1 ? ID : 300, "n", kind & 2 ? NSEC_PER_SEC : 0, &ops, 5);
	ch = kecho_channel_join(&node, "c", NULL, kind & 4 ? 1 : ~0ull, now, &err);
	CHECK(ch);
	set("kecho.queue=16\nkecho.retain=128\na=1");
	sinks[0] = kecho_sink_open(ch, "", 0, 1, "one", NULL, now, now);
	sinks[1] = kecho_sink_open(ch, "t", 1, 2, "two", NULL, now, now);
	for (i = 0; i < 128; i++)
		publish("", 4);
	call(&in, false, kind >> 5);
	if (kind & 16)
		join(CHAN, kind & 8);
	while (in.p < in.end && ops_left--) {
		one(&in);
		for (i = 0, charged = 0; i < 2; i++) {
			CHECK(atomic64_read(&sinks[i]->user->bytes) <= 2ll * KECHO_USER_BYTES);
			charged += 2 * sinks[i]->bytes + 256ul * sinks[i]->count;
		}
		list_for_each_entry(link, &node.cm.links, node)
			charged += 6ul * link->ctl_bytes;
		CHECK(__sanitizer_get_current_allocated_bytes() < before + BOUND + charged);
	}
	show();
	hang_up();
	if (kind & 8)
		tick(100000);
	kecho_sink_close(sinks[0], now);
	kecho_sink_close(sinks[1], now);
	kecho_channel_leave(ch, now);
	for (; ndials; ndials--)
		kecho_link_put(dials[ndials - 1]);
	kecho_node_exit(&node, now);
	return 0;
}
