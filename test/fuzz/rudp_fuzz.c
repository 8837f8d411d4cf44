// SPDX-License-Identifier: GPL-2.0
/*
 * What anyone may send to a node's UDP port: packets to the endpoint, and packets of a connection that has said hello, whose heads are
 * put in order so that they get as far as they can. Whatever comes, nothing is remembered of those who show no cookie, memory is
 * bounded, and in the end none is held.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include <linux/time64.h>
#include "../../lib/cm/rudp.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct flat {
	struct kecho_packet p;
	u8 data[2048];
};

static struct kecho_cm cm;
static struct kecho_rudp_end end;
static struct kecho_rudp *conn;
static struct kecho_flow flow;
static struct kecho_link *linked;
static u64 now, records;

static void on_dial(struct kecho_cm *c, struct kecho_link *link) { }
static void on_kick(struct kecho_conn *c) { }
static void on_close(struct kecho_conn *c) { }
static void on_due(struct kecho_cm *c, u64 when) { }
static const struct kecho_cm_ops ops = { .dial = on_dial, .kick = on_kick, .close = on_close, .due = on_due };

static void on_up(struct kecho_link *link, u64 t)
{
	kecho_flow_init(&flow, link);
	linked = link;
}

static void on_down(struct kecho_link *link, u64 t)
{
	kecho_flow_destroy(&flow);
	linked = NULL;
}

static int on_record(struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 t)
{
	u32 i;

	/* All of it is there. */
	for (i = 0; i < msg->len; i++)
		records += msg->data[i];
	kecho_msg_put(msg);
	return 0;
}

static const struct kecho_cm_user user = { on_up, on_down, on_record };

static void flat_copy(const struct kecho_packet *p, u32 off, void *to, u32 len)
{
	CHECK(off <= p->len && len <= p->len - off);
	memcpy(to, container_of(p, struct flat, p)->data + off, len);
}

static void hang_up(void)
{
	struct kecho_rudp_out out;

	kecho_cm_closed(&conn->conn, now);
	kecho_rudp_close(conn, &out);
	kecho_rudp_exit(conn);
	kecho_cm_conn_exit(&conn->conn);
	free(conn);
	conn = NULL;
}

static void send_all(void)
{
	struct kecho_rudp_out out;
	int n, i, err = 0;
	u32 len;

	kecho_rudp_begin(conn);
	for (n = 0; n < 1000 && (err = kecho_rudp_build(conn, &out, now)) > 0; n++) {
		for (i = 0, len = 0; i < out.n; i++)
			len += out.vec[i].iov_len;
		CHECK(len == out.len && len && out.n <= KECHO_RUDP_VECS);
		kecho_rudp_built(conn, &out, 0, now);
	}
	CHECK(n < 1000);
	kecho_rudp_end(conn);
	if (err < 0)
		hang_up();
}

static void feed(struct flat *f, const struct kecho_addr *from)
{
	struct kecho_rudp_init answer;
	struct kecho_rudp *r = NULL;
	u32 len = 0;

	switch (kecho_rudp_sort(&end, &f->p, from, &r, &answer, &len, now)) {
	case KECHO_RUDP_ANSWER:
		CHECK(len <= f->p.len && len <= sizeof(answer));
		break;
	case KECHO_RUDP_TAKE:
		CHECK(r == conn);
		if (kecho_rudp_take(r, &f->p, now))
			hang_up();
		else
			send_all();
		break;
	case KECHO_RUDP_NEW:
	case KECHO_RUDP_DROP:
		break;
	}
}

/* As the peer would: HELLO's fields where lib/cm/link.c has them. */
static void say_hello(struct flat *f, const struct kecho_addr *from)
{
	struct kecho_rec *rec = (void *)(f->data + sizeof(struct kecho_rudp_head) + sizeof(struct kecho_frame_bytes));
	u8 *h = (u8 *)(rec + 1);
	u32 len = 4 + 4 + 8 + 8 + 32 + 4 + sizeof(struct kecho_addr) + 1 + KECHO_NAME_MAX + 2;
	__le32 magic = cpu_to_le32(KECHO_MAGIC);

	memset(f->data, 0, sizeof(f->data));
	*(struct kecho_rudp_head *)f->data = (struct kecho_rudp_head){
		.conn = cpu_to_le32(conn->id), .type = KECHO_RUDP_DATA, .number = cpu_to_le64(1),
	};
	*(struct kecho_frame_bytes *)((u8 *)rec - sizeof(struct kecho_frame_bytes)) = (struct kecho_frame_bytes){
		.type = KECHO_FRAME_HELLO, .len = cpu_to_le16(sizeof(*rec) + len),
	};
	rec->len = cpu_to_le32(len);
	rec->type = KECHO_HELLO;
	memcpy(h, &magic, 4);
	h[4] = h[5] = 1;	/* versions */
	h[16] = 1;		/* suites */
	h[24] = 9;		/* id */
	h[32] = 7;		/* session */
	h[60 + sizeof(struct kecho_addr)] = 1;
	h[61 + sizeof(struct kecho_addr)] = 'p';
	f->p.len = sizeof(struct kecho_rudp_head) + sizeof(struct kecho_frame_bytes) + sizeof(*rec) + len;
	feed(f, from);
	CHECK(conn && conn->conn.up);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct in in = { data, data + size };
	struct kecho_addr from = { .family = 4, .port = 1, .ip = { 10, 0, 0, 9 } };
	struct flat f = { .p.copy = flat_copy };
	struct kecho_push how = { .max = 100 };
	struct kecho_rudp_head *h = (void *)f.data;
	struct kecho_msg *msg;
	u64 number = 2;
	size_t len;
	u8 what;

	now = NSEC_PER_SEC;
	records = 0;
	kecho_cm_init(&cm, 5, "fuzz", &ops, &user, 1);
	kecho_rudp_end_init(&end, &cm);
	conn = calloc(1, sizeof(*conn));
	f.p.len = sizeof(struct kecho_rudp_init);
	kecho_rudp_accept(&end, conn, &f.p, &from, now);
	kecho_cm_accepted(&cm, &conn->conn, now);
	say_hello(&f, &from);
	while (conn && in.p < in.end) {
		what = in_u8(&in);
		len = in_u16(&in) % (sizeof(f.data) - sizeof(*h));
		if (what & 1 && linked) {
			msg = kecho_msg_alloc(len + 1, GFP_KERNEL);
			memset(msg->data, 1, msg->len);
			how.prio = what >> 5;
			kecho_flow_push(&flow, msg, &how);
			kecho_msg_put(msg);
		}
		now += (u64)(what >> 1 & 7) * 10 * NSEC_PER_MSEC;
		memcpy(f.data, in_bytes(&in, &len), len);
		if (what & 16) {
			memmove(f.data + sizeof(*h), f.data, len);
			*h = (struct kecho_rudp_head){
				.conn = cpu_to_le32(conn->id), .type = KECHO_RUDP_DATA, .number = cpu_to_le64(number++), .span = 0xffff,
			};
			len += sizeof(*h);
		}
		f.p.len = len;
		feed(&f, &from);
		CHECK(end.nconns <= 1);
		CHECK(!conn || conn->parts.bytes <= KECHO_PARTS_BYTES);
	}
	if (conn)
		hang_up();
	kecho_cm_exit(&cm, now);
	CHECK(!linked);
	return 0;
}
