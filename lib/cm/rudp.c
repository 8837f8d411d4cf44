// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "rudp.h"

#define MS(x) ((u64)(x) * NSEC_PER_MSEC)

#define VERSION 1
#define CALL_AGAIN MS(100)
#define SPAN_UNKNOWN U16_MAX

/* Sizes that paths have: Ethernet with tunnels, with IPv6 and IPv4, jumbo frames, the loopback device. */
static const u32 mtus[] = { 1392, 1452, 1472, 8952, KECHO_RUDP_MTU_MAX };
#define MTU_TRIES 3			/* RFC 8899, 5.1.2: MAX_PROBES */
#define MTU_AGAIN (600 * NSEC_PER_SEC)	/* PMTU_RAISE_TIMER */
#define MTU_SOON MS(500)
#define MTU_LOST 5
#define REPEATS 3
#define REPEAT_MIN MS(1)

static const u8 zeros[4096];

/* --- handshake --- */

void kecho_rudp_end_init(struct kecho_rudp_end *end, struct kecho_cm *cm)
{
	end->cm = cm;
	end->ids = 0;
	hash_init(end->conns);
	end->nconns = 0;
}
EXPORT_SYMBOL_GPL(kecho_rudp_end_init);

static struct kecho_rudp *rudp_find(struct kecho_rudp_end *end, u32 id)
{
	struct kecho_rudp *r;

	hash_for_each_possible(end->conns, r, hash, id)
		if (r->id == id)
			return r;
	return NULL;
}

/* By the peer's number of it. */
static struct kecho_rudp *rudp_find_peer(struct kecho_rudp_end *end, __le32 id, const struct kecho_addr *addr)
{
	struct kecho_rudp *r;
	unsigned int b;

	hash_for_each(end->conns, b, r, hash)
		if (r->peer_id == le32_to_cpu(id) && kecho_addr_equal(&r->addr, addr))
			return r;
	return NULL;
}

static void rudp_close(struct kecho_rudp *r)
{
	if (r->state == KECHO_RUDP_CLOSED)
		return;
	r->state = KECHO_RUDP_CLOSED;
	hash_del(&r->hash);
	r->end->nconns--;
}

static void rudp_init(struct kecho_rudp_end *end, struct kecho_rudp *r, const struct kecho_addr *to, u8 state, u64 now)
{
	r->end = end;
	r->addr = *to;
	r->state = state;
	do {
		end->ids++;
		r->id = siphash(&end->ids, sizeof(end->ids), &end->key);
	} while (!r->id || rudp_find(end, r->id));
	hash_add(end->conns, &r->hash, r->id);
	end->nconns++;
	r->conn.cm = end->cm;
	r->conn.peer = *to;
	r->conn.overtakes = true;
	r->called_at = r->call_at = now;
	r->ack_at = U64_MAX;
	r->mtu_next = mtus[0];
	r->mtu_at = now;
	kecho_recovery_init(&r->v, KECHO_RUDP_MTU_MIN, now);
	kecho_parts_init(&r->parts, &r->conn);
}

static u64 cookie_mac(const struct kecho_rudp_end *end, const struct kecho_addr *addr, __le32 from, __le32 time)
{
	struct {
		struct kecho_addr addr;
		__le32 from, time;
	} __packed what = { *addr, from, time };

	return siphash(&what, sizeof(what), &end->key);
}

static bool cookie_good(const struct kecho_rudp_end *end, const struct kecho_rudp_init *i, const struct kecho_addr *from, u64 now)
{
	u32 age = (u32)div_u64(now, NSEC_PER_SEC) - le32_to_cpu(i->time);

	return age < KECHO_RUDP_COOKIE_S && le64_to_cpu(i->mac) == cookie_mac(end, from, i->from, i->time);
}

static u32 init_build(struct kecho_rudp_init *i, u8 type, u32 conn, u32 from)
{
	memset(i, 0, sizeof(*i));
	i->head.conn = cpu_to_le32(conn);
	i->head.type = type;
	i->magic = cpu_to_le32(KECHO_MAGIC);
	i->version = VERSION;
	i->from = cpu_to_le32(from);
	return sizeof(*i);
}

static bool init_read(const struct kecho_packet *p, struct kecho_rudp_init *i)
{
	if (p->len < sizeof(*i))
		return false;
	p->copy(p, 0, i, sizeof(*i));
	return le32_to_cpu(i->magic) == KECHO_MAGIC && i->version == VERSION;
}

static enum kecho_rudp_verdict init_sort(struct kecho_rudp_end *end, const struct kecho_packet *p, const struct kecho_addr *from,
					 struct kecho_rudp_init *answer, u32 *answer_len, u64 now)
{
	struct kecho_rudp_init i;
	struct kecho_rudp *r;
	u32 time = div_u64(now, NSEC_PER_SEC);

	if (!init_read(p, &i) || !i.from)
		return KECHO_RUDP_DROP;
	if (!cookie_good(end, &i, from, now)) {
		*answer_len = init_build(answer, KECHO_RUDP_COOKIE, le32_to_cpu(i.from), 0);
		answer->time = cpu_to_le32(time);
		answer->mac = cpu_to_le64(cookie_mac(end, from, i.from, answer->time));
		return KECHO_RUDP_ANSWER;
	}
	r = rudp_find_peer(end, i.from, from);
	if (r && r->accepted) {
		/* Our ACCEPT was lost, or is on its way. */
		*answer_len = init_build(answer, KECHO_RUDP_ACCEPT, r->peer_id, r->id);
		return KECHO_RUDP_ANSWER;
	}
	return end->nconns < KECHO_LINKS_MAX + KECHO_PENDING_MAX ? KECHO_RUDP_NEW : KECHO_RUDP_DROP;
}

enum kecho_rudp_verdict kecho_rudp_sort(struct kecho_rudp_end *end, const struct kecho_packet *p, const struct kecho_addr *from,
					struct kecho_rudp **conn, struct kecho_rudp_init *answer, u32 *answer_len, u64 now)
{
	struct kecho_rudp_head h;

	if (p->len < sizeof(h))
		return KECHO_RUDP_DROP;
	p->copy(p, 0, &h, sizeof(h));
	if (h.type == KECHO_RUDP_INIT)
		return init_sort(end, p, from, answer, answer_len, now);
	/* By a peer that knows nothing of a connection; one who could not see our packets does not know such a number. */
	if (h.type == KECHO_RUDP_RESET) {
		*conn = rudp_find_peer(end, h.conn, from);
		return *conn ? KECHO_RUDP_TAKE : KECHO_RUDP_DROP;
	}
	*conn = rudp_find(end, le32_to_cpu(h.conn));
	if (*conn)
		return kecho_addr_equal(&(*conn)->addr, from) ? KECHO_RUDP_TAKE : KECHO_RUDP_DROP;
	if (h.type != KECHO_RUDP_DATA)
		return KECHO_RUDP_DROP;
	/* Perhaps of a node that was here before. */
	memset(answer, 0, sizeof(*answer));
	answer->head = h;
	answer->head.type = KECHO_RUDP_RESET;
	answer->head.flags = 0;
	*answer_len = sizeof(answer->head);
	return KECHO_RUDP_ANSWER;
}
EXPORT_SYMBOL_GPL(kecho_rudp_sort);

void kecho_rudp_call(struct kecho_rudp_end *end, struct kecho_rudp *r, const struct kecho_addr *to, u64 now)
{
	rudp_init(end, r, to, KECHO_RUDP_CALLING, now);
}
EXPORT_SYMBOL_GPL(kecho_rudp_call);

void kecho_rudp_accept(struct kecho_rudp_end *end, struct kecho_rudp *r, const struct kecho_packet *p, const struct kecho_addr *from,
		       u64 now)
{
	struct kecho_rudp_init i;

	p->copy(p, 0, &i, sizeof(i));
	rudp_init(end, r, from, KECHO_RUDP_OPEN, now);
	r->peer_id = le32_to_cpu(i.from);
	r->accepted = r->accept_out = true;
}
EXPORT_SYMBOL_GPL(kecho_rudp_accept);

void kecho_rudp_exit(struct kecho_rudp *r)
{
	rudp_close(r);
	kfree(r->spare);
	kecho_recovery_exit(&r->v);
	kecho_parts_exit(&r->parts);
}
EXPORT_SYMBOL_GPL(kecho_rudp_exit);

/* --- packets in --- */

/* Or has it been here, or is so old that nobody waits for it? */
static bool number_is_new(const struct kecho_rudp *r, u64 number)
{
	u32 i;

	if (number <= r->floor)
		return false;
	for (i = 0; i < r->narrived; i++)
		if (number >= r->arrived[i].from && number <= r->arrived[i].to)
			return false;
	return true;
}

static void arrived_del(struct kecho_rudp *r, u32 i)
{
	r->narrived--;
	memmove(r->arrived + i, r->arrived + i + 1, (r->narrived - i) * sizeof(*r->arrived));
}

static void number_put(struct kecho_rudp *r, u64 number)
{
	struct kecho_acked *a = r->arrived;
	u32 i = r->narrived;

	while (i && a[i - 1].from > number)
		i--;
	if (i && a[i - 1].to + 1 == number) {
		a[i - 1].to = number;
		if (i < r->narrived && a[i].from == number + 1) {
			a[i - 1].to = a[i].to;
			arrived_del(r, i);
		}
		return;
	}
	if (i < r->narrived && a[i].from == number + 1) {
		a[i].from = number;
		return;
	}
	if (r->narrived == KECHO_RUDP_RANGES) {
		/* The lowest are forgotten: what was in them has been taken, or the peer has long sent it again. */
		r->floor = max(r->floor, a[0].to);
		if (!i)
			return;
		arrived_del(r, 0);
		i--;
	}
	memmove(a + i + 1, a + i, (r->narrived - i) * sizeof(*a));
	a[i] = (struct kecho_acked){ number, number };
	r->narrived++;
}

static void floor_set(struct kecho_rudp *r, u64 floor)
{
	r->floor = max(r->floor, floor);
	while (r->narrived && r->arrived[0].to <= r->floor)
		arrived_del(r, 0);
	if (r->narrived && r->arrived[0].from <= r->floor)
		r->arrived[0].from = r->floor + 1;
}

/* How far a packet has been read. */
struct reader {
	const struct kecho_packet *p;
	u32 pos;
};

static bool read_some(struct reader *rd, void *to, u32 len)
{
	if (rd->p->len - rd->pos < len)
		return false;
	rd->p->copy(rd->p, rd->pos, to, len);
	rd->pos += len;
	return true;
}

static void mtu_found(struct kecho_rudp *r, u32 size, u64 now)
{
	u32 i;

	if (size > r->v.mtu)
		r->v.mtu = size;
	for (i = 0; i < ARRAY_SIZE(mtus) && mtus[i] <= r->v.mtu; i++)
		;
	r->mtu_next = i < ARRAY_SIZE(mtus) ? mtus[i] : 0;
	r->mtu_tries = 0;
	r->mtu_at = now;
}

static void mtu_failed(struct kecho_rudp *r, u64 now)
{
	r->mtu_next = 0;
	r->mtu_tries = 0;
	r->mtu_at = now + MTU_AGAIN;
}

/* RFC 8899, 4.3: a black hole, perhaps. */
static void mtu_lost(struct kecho_rudp *r, u64 now)
{
	r->v.mtu = KECHO_RUDP_MTU_MIN;
	r->v.long_lost = 0;
	mtu_failed(r, now);
}

/* What settled packets were about. */
static void sent_settle(struct kecho_rudp *r, struct list_head *gone, u64 now)
{
	struct kecho_sent *s, *next;

	list_for_each_entry_safe(s, next, gone, node) {
		if (s->flags & KECHO_SENT_PROBE && s->size > r->v.mtu)
			mtu_found(r, s->size, now);
		if (s->flags & KECHO_SENT_HELLO)
			r->hello_acked = true;
		list_del(&s->node);
		kfree(s);
	}
}

static int ack_take(struct kecho_rudp *r, struct reader *rd, u64 now)
{
	struct kecho_acked acked[KECHO_RUDP_RANGES];
	struct kecho_frame_range g;
	struct kecho_frame_ack f;
	LIST_HEAD(gone);
	u64 to, gap, len;
	int err;
	u32 i;

	if (!read_some(rd, &f, sizeof(f)) || !f.n || f.n > ARRAY_SIZE(acked))
		return -EPROTO;
	to = le64_to_cpu(f.largest);
	for (i = 0; i < f.n; i++) {
		if (!read_some(rd, &g, sizeof(g)))
			return -EPROTO;
		gap = le32_to_cpu(g.gap);
		len = le32_to_cpu(g.len);
		if (!len || !gap != !i || to < gap + len)
			return -EPROTO;
		to -= gap;
		acked[i].to = to;
		to -= len;
		acked[i].from = to + 1;
	}
	err = kecho_recovery_acked(&r->v, acked, f.n, (u64)le32_to_cpu(f.delay_us) * NSEC_PER_USEC, &gone, now);
	sent_settle(r, &gone, now);
	if (err || !r->conn.up)
		return err;
	return kecho_cm_rx_acked(&r->conn, le64_to_cpu(f.done), min_t(u64, div_u64(r->v.srtt, NSEC_PER_USEC), U32_MAX),
				 r->v.loss >> 8, now);
}

/* Records that are not numbered, whole. */
static int records_take(struct kecho_rudp *r, struct reader *rd, bool hello, u64 now)
{
	struct kecho_frame_bytes f;
	struct kecho_msg *msg;
	struct kecho_rec rec;
	int err = 0, len;
	u32 end;

	if (!read_some(rd, &f, sizeof(f)) || rd->p->len - rd->pos < le16_to_cpu(f.len))
		return -EPROTO;
	end = rd->pos + le16_to_cpu(f.len);
	if (hello ? r->hello_in : !r->conn.up)
		rd->pos = end;
	while (!err && rd->pos < end) {
		if (!read_some(rd, &rec, sizeof(rec)))
			return -EPROTO;
		len = kecho_cm_rx_check(&r->conn, &rec);
		if (len < 0 || (u32)len > end - min(end, rd->pos) || rec.seq || (rec.type == KECHO_HELLO) != hello)
			return -EPROTO;
		msg = kecho_msg_alloc(len, GFP_KERNEL);
		if (!msg)
			return -EAGAIN;
		if (len)
			read_some(rd, msg->data, len);
		r->hello_in |= hello;
		err = kecho_cm_rx(&r->conn, &rec, msg, now);
		if (hello)
			rd->pos = end;
	}
	return err;
}

static int span_take(struct kecho_rudp *r, struct reader *rd, u64 now)
{
	struct kecho_frame_span f;
	u32 len;
	int err;

	if (!read_some(rd, &f, sizeof(f)))
		return -EPROTO;
	len = le16_to_cpu(f.len);
	if (!len || rd->p->len - rd->pos < len || !f.seq)
		return -EPROTO;
	/* Before HELLO: as if it had not come. */
	if (!r->conn.up)
		return -EAGAIN;
	err = kecho_parts_take(&r->parts, le64_to_cpu(f.seq), le32_to_cpu(f.off), le32_to_cpu(f.total), rd->p, rd->pos, len, now);
	rd->pos += len;
	return err;
}

/* 1: it asks for an acknowledgement; 0: it does not; -EAGAIN: it is as if it had not come; other errors end the connection */
static int frames_take(struct kecho_rudp *r, const struct kecho_packet *p, u64 now)
{
	struct reader rd = { p, sizeof(struct kecho_rudp_head) };
	int err = 0, asks = 0;
	u8 type;

	while (!err && rd.pos < p->len) {
		p->copy(p, rd.pos, &type, 1);
		if (type == KECHO_FRAME_PADDING)
			break;
		asks |= type != KECHO_FRAME_ACK;
		switch (type) {
		case KECHO_FRAME_ACK:
			err = ack_take(r, &rd, now);
			break;
		case KECHO_FRAME_SPAN:
			err = span_take(r, &rd, now);
			break;
		case KECHO_FRAME_HELLO:
		case KECHO_FRAME_BEAT:
			err = records_take(r, &rd, type == KECHO_FRAME_HELLO, now);
			break;
		case KECHO_FRAME_PING:
			rd.pos++;
			break;
		default:
			return -EPROTO;
		}
	}
	return err ? err : asks;
}

static int data_take(struct kecho_rudp *r, const struct kecho_rudp_head *h, const struct kecho_packet *p, u64 now)
{
	u64 number = le64_to_cpu(h->number), last = r->narrived ? r->arrived[r->narrived - 1].to : r->floor;
	u16 span = le16_to_cpu(h->span);
	int ret;

	if (!number || number > last + (1u << 31))
		return -EPROTO;
	kecho_cm_rx_alive(&r->conn, now);
	if (!number_is_new(r, number)) {
		/* What we said of it may have been lost. */
		r->ack_now |= r->narrived > 0;
		return 0;
	}
	ret = frames_take(r, p, now);
	if (ret < 0)
		return ret == -EAGAIN ? 0 : ret;
	number_put(r, number);
	if (span && span != SPAN_UNKNOWN && span <= number)
		floor_set(r, number - span);
	if (number > last)
		r->largest_at = now;
	if (!ret)
		return 0;
	r->unacked++;
	/* RFC 9000, 13.2.1: at once when something is missing before it, or was. */
	if (r->unacked >= KECHO_RUDP_ACK_PACKETS || number != last + 1)
		r->ack_now = true;
	else
		r->ack_at = min(r->ack_at, now + MS(KECHO_RUDP_ACK_MS));
	return 0;
}

int kecho_rudp_take(struct kecho_rudp *r, const struct kecho_packet *p, u64 now)
{
	struct kecho_msg *msg;
	struct kecho_rudp_head h;
	struct kecho_rudp_init i;
	u64 number;

	if (r->state == KECHO_RUDP_CLOSED)
		return 0;
	p->copy(p, 0, &h, sizeof(h));
	number = le64_to_cpu(h.number);
	switch (h.type) {
	case KECHO_RUDP_COOKIE:
	case KECHO_RUDP_ACCEPT:
		if (r->state != KECHO_RUDP_CALLING || !init_read(p, &i))
			return 0;
		if (h.type == KECHO_RUDP_COOKIE) {
			if (!r->cookie_time)
				r->call_at = now;
			r->cookie_time = i.time;
			r->cookie_mac = i.mac;
			return 0;
		}
		if (!i.from)
			return 0;
		r->peer_id = le32_to_cpu(i.from);
		r->state = KECHO_RUDP_OPEN;
		return 1;
	case KECHO_RUDP_DATA:
		return r->state == KECHO_RUDP_OPEN ? data_take(r, &h, p, now) : 0;
	case KECHO_RUDP_CLOSE:
		if (r->state != KECHO_RUDP_OPEN || !number_is_new(r, number))
			return 0;
		if (h.flags & KECHO_RUDP_BYE && r->conn.up) {
			struct kecho_rec bye = { .type = KECHO_BYE };

			msg = kecho_msg_alloc(0, GFP_KERNEL);
			if (msg)
				return kecho_cm_rx(&r->conn, &bye, msg, now);
		}
		return -ECONNRESET;
	case KECHO_RUDP_RESET:
		return r->state == KECHO_RUDP_OPEN && number > r->v.largest_acked && number < r->v.next ? -ECONNRESET : 0;
	default:
		return 0;
	}
}
EXPORT_SYMBOL_GPL(kecho_rudp_take);

/* --- packets out --- */

static void *heads_put(struct kecho_rudp_out *out, u32 len)
{
	u8 *p = out->heads + out->heads_len;
	struct kvec *v = out->n ? &out->vec[out->n - 1] : NULL;

	if (v && (u8 *)v->iov_base + v->iov_len == p) {
		v->iov_len += len;
	} else {
		out->vec[out->n].iov_base = p;
		out->vec[out->n++].iov_len = len;
	}
	out->heads_len += len;
	out->len += len;
	return p;
}

static void out_start(struct kecho_rudp_out *out)
{
	out->number = 0;
	out->len = out->heads_len = 0;
	out->n = 0;
}

static struct kecho_rudp_head *head_put(struct kecho_rudp *r, struct kecho_rudp_out *out, u8 type)
{
	struct kecho_rudp_head *h;

	out_start(out);
	h = heads_put(out, sizeof(*h));
	memset(h, 0, sizeof(*h));
	h->conn = cpu_to_le32(r->peer_id);
	h->type = type;
	h->number = cpu_to_le64(r->v.next);
	h->span = cpu_to_le16(SPAN_UNKNOWN);
	return h;
}

static void ack_put(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now)
{
	struct kecho_frame_range *g;
	struct kecho_frame_ack *f;
	u32 i = r->narrived;

	f = heads_put(out, sizeof(*f));
	*f = (struct kecho_frame_ack){
		.type = KECHO_FRAME_ACK,
		.n = i,
		.delay_us = cpu_to_le32(min_t(u64, div_u64(now - r->largest_at, NSEC_PER_USEC), U32_MAX)),
		.largest = cpu_to_le64(r->arrived[i - 1].to),
		.done = cpu_to_le64(kecho_cm_rx_done(&r->conn)),
	};
	while (i--) {
		g = heads_put(out, sizeof(*g));
		g->gap = cpu_to_le32(i + 1 < r->narrived ? r->arrived[i + 1].from - r->arrived[i].to - 1 : 0);
		g->len = cpu_to_le32(r->arrived[i].to - r->arrived[i].from + 1);
	}
	r->unacked = 0;
	r->ack_now = false;
	r->ack_at = U64_MAX;
}

/* The head of a span, of which the bytes are to follow; taken back if there are none. */
static struct kecho_frame_span *span_begin(struct kecho_rudp *r, struct kecho_rudp_out *out, u32 *room)
{
	u32 used = out->len + sizeof(struct kecho_frame_span);

	if (r->unacked)
		used += sizeof(struct kecho_frame_ack) + r->narrived * sizeof(struct kecho_frame_range);
	/* The acknowledgement takes an entry, too. */
	if (out->n + 4 > KECHO_RUDP_VECS || used + sizeof(struct kecho_rec) > r->v.mtu)
		return NULL;
	*room = r->v.mtu - used;
	return heads_put(out, sizeof(struct kecho_frame_span));
}

static bool span_end(struct kecho_rudp_out *out, struct kecho_frame_span *f, const struct kecho_span *span, u32 total, u32 bytes)
{
	struct kvec *v;

	if (!bytes) {
		v = &out->vec[out->n - 1];
		v->iov_len -= sizeof(*f);
		out->n -= !v->iov_len;
		out->heads_len -= sizeof(*f);
		out->len -= sizeof(*f);
		return false;
	}
	*f = (struct kecho_frame_span){
		.type = KECHO_FRAME_SPAN, .len = cpu_to_le16(bytes), .off = cpu_to_le32(span->off), .total = cpu_to_le32(total),
		.seq = cpu_to_le64(span->seq),
	};
	out->len += bytes;
	return true;
}

/* Part of @want, which loses it; NULL: of what has not been sent. */
static bool span_put(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_span *want, struct kecho_span *span, u64 now)
{
	struct kecho_frame_span *f;
	u32 room, bytes, total;

	f = span_begin(r, out, &room);
	if (!f)
		return false;
	if (want)
		bytes = kecho_cm_tx_again(&r->conn, room, out->vec, KECHO_RUDP_VECS - 1, &out->n, want, span, &total, now);
	else
		bytes = kecho_cm_tx_next(&r->conn, room, out->vec, KECHO_RUDP_VECS - 1, &out->n, span, &total, now);
	return span_end(out, f, span, total, bytes);
}

static void bytes_put(struct kecho_rudp_out *out, u8 type, const void *p, u32 len)
{
	struct kecho_frame_bytes *f = heads_put(out, sizeof(*f));

	*f = (struct kecho_frame_bytes){ .type = type, .len = cpu_to_le16(len) };
	memcpy(heads_put(out, len), p, len);
}

/* What was in lost packets. */
static void lost_put(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_sent *s, u64 now)
{
	struct kecho_sent *old;
	struct kecho_span *want;

	while (!list_empty(&r->v.lost)) {
		old = list_first_entry(&r->v.lost, struct kecho_sent, node);
		while (old->nspans) {
			want = &old->span[old->nspans - 1];
			if (want->seq > want->end_seq) {
				old->nspans--;
				continue;
			}
			if (s->nspans == KECHO_SENT_SPANS)
				return;
			if (span_put(r, out, want, &s->span[s->nspans], now))
				s->nspans++;
			else if (want->seq <= want->end_seq)
				return;
		}
		list_del(&old->node);
		kfree(old);
	}
}

/* If nothing leaves before, the last packet is repeated alone; not while nothing comes back: then probes are enough. */
static u64 repeat_due(const struct kecho_rudp *r)
{
	const struct kecho_sent *s;

	if (r->v.lossy_until <= r->v.last_at || r->v.ptos || list_empty(&r->v.sent))
		return U64_MAX;
	s = list_last_entry(&r->v.sent, struct kecho_sent, node);
	if (s->flags & KECHO_SENT_REPEATED || s->nspans != 1 || s->size > r->v.mtu / 2)
		return U64_MAX;
	return s->time + max_t(u64, r->v.srtt / 8, REPEAT_MIN);
}

/*
 * Where packets get lost, what is small goes twice: so its loss costs no round trip. In room of the next packet that would be empty
 * (Evensen et al., "Redundant bundling in TCP to reduce perceived latency for time-dependent thin streams", 2008), or by itself.
 */
static void repeat_put(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now)
{
	struct kecho_span want, span;
	struct kecho_sent *s;
	int n = 0;

	list_for_each_entry_reverse(s, &r->v.sent, node) {
		if (s->flags & KECHO_SENT_REPEATED || s->nspans != 1 || s->size > r->v.mtu - out->len || n++ == REPEATS)
			break;
		want = s->span[0];
		s->flags |= KECHO_SENT_REPEATED;
		if (!span_put(r, out, &want, &span, now))
			break;
	}
}

static void hello_put(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_sent *s)
{
	struct kecho_conn *c = &r->conn;
	struct kecho_sent *old;

	list_for_each_entry(old, &r->v.lost, node) {
		if (old->flags & KECHO_SENT_HELLO && !r->hello_acked)
			c->hello_off = 0;
		old->flags &= ~KECHO_SENT_HELLO;
	}
	/* Nothing can be taken without it, so it is in every packet that asks whether anything arrives. */
	if (r->v.probes && !r->hello_acked)
		c->hello_off = 0;
	if (c->hello_off == c->hello_len)
		return;
	bytes_put(out, KECHO_FRAME_HELLO, c->hello, c->hello_len);
	c->hello_off = c->hello_len;
	s->flags |= KECHO_SENT_HELLO;
}

static void beat_put(struct kecho_rudp *r, struct kecho_rudp_out *out)
{
	u32 len = kecho_cm_tx_beat(&r->conn);

	if (len)
		bytes_put(out, KECHO_FRAME_BEAT, r->conn.beat, len);
}

/* The packet leaves, and is to be acknowledged. */
static void spare_send(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now)
{
	out->number = r->v.next;
	kecho_recovery_sent(&r->v, r->spare, now);
	r->spare = NULL;
}

/* A packet of a size that has not been tried, with nothing in it that must arrive. */
static int mtu_build(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_sent *s, u64 now)
{
	u32 n;

	if (!r->mtu_next)
		mtu_found(r, r->v.mtu, now);
	else if (r->mtu_tries >= MTU_TRIES)
		mtu_failed(r, now);
	if (!r->mtu_next) {
		r->mtu_at = now + MTU_AGAIN;
		return 0;
	}
	head_put(r, out, KECHO_RUDP_DATA);
	*(u8 *)heads_put(out, 1) = KECHO_FRAME_PING;
	while (out->len < r->mtu_next) {
		n = min_t(u32, r->mtu_next - out->len, sizeof(zeros));
		out->vec[out->n].iov_base = (void *)zeros;
		out->vec[out->n++].iov_len = n;
		out->len += n;
	}
	s->flags = KECHO_SENT_PROBE;
	s->size = out->len;
	r->mtu_tries++;
	r->mtu_at = now + max_t(u64, 2 * r->v.srtt, MTU_SOON);
	spare_send(r, out, now);
	return 1;
}

static int call_build(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now)
{
	struct kecho_rudp_init *i;

	if (now >= r->called_at + MS(KECHO_RUDP_CALL_MS))
		return -ETIMEDOUT;
	if (now < r->call_at)
		return 0;
	out_start(out);
	i = heads_put(out, sizeof(*i));
	init_build(i, KECHO_RUDP_INIT, 0, r->id);
	i->time = r->cookie_time;
	i->mac = r->cookie_mac;
	r->call_at = now + (CALL_AGAIN << min_t(u32, r->calls++, 4));
	return 1;
}

static int accept_build(struct kecho_rudp *r, struct kecho_rudp_out *out)
{
	out_start(out);
	init_build(heads_put(out, sizeof(struct kecho_rudp_init)), KECHO_RUDP_ACCEPT, r->peer_id, r->id);
	r->accept_out = false;
	return 1;
}

void kecho_rudp_close(struct kecho_rudp *r, struct kecho_rudp_out *out)
{
	out_start(out);
	if (r->peer_id)
		head_put(r, out, KECHO_RUDP_CLOSE);
	rudp_close(r);
}
EXPORT_SYMBOL_GPL(kecho_rudp_close);

/* What asks for an acknowledgement. */
static void data_put(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_sent *s, u64 now)
{
	hello_put(r, out, s);
	if (!r->conn.up)
		return;
	beat_put(r, out);
	lost_put(r, out, s, now);
	while (s->nspans < KECHO_SENT_SPANS && span_put(r, out, NULL, &s->span[s->nspans], now))
		s->nspans++;
	if (s->nspans ? s->nspans == 1 && r->v.lossy_until > r->v.last_at : now >= repeat_due(r))
		repeat_put(r, out, now);
}

static int bye_build(struct kecho_rudp *r, struct kecho_rudp_out *out)
{
	r->conn.hello_off = r->conn.hello_len;
	head_put(r, out, KECHO_RUDP_CLOSE)->flags = KECHO_RUDP_BYE;
	return 1;
}

static bool wants_bye(const struct kecho_rudp *r)
{
	return r->conn.up && r->conn.hello_off < r->conn.hello_len && ((const struct kecho_rec *)r->conn.hello)->type == KECHO_BYE;
}

static int data_build(struct kecho_rudp *r, struct kecho_rudp_out *out, struct kecho_sent *s, u64 now)
{
	bool acks = r->ack_now || now >= r->ack_at;
	struct kecho_rudp_head *h = head_put(r, out, KECHO_RUDP_DATA);
	u64 gap;

	if (!list_empty(&r->v.sent))
		gap = r->v.next + 1 - list_first_entry(&r->v.sent, struct kecho_sent, node)->number;
	else
		gap = 1;
	if (gap < SPAN_UNKNOWN)
		h->span = cpu_to_le16(gap);
	r->wait = kecho_recovery_wait(&r->v, now);
	if (!r->wait)
		data_put(r, out, s, now);
	/* Nothing that would be acknowledged is left, but whether anything arrives is to be known. */
	if (out->len == sizeof(*h) && r->v.probes && !list_empty(&r->v.sent))
		*(u8 *)heads_put(out, 1) = KECHO_FRAME_PING;
	s->size = out->len;
	if (out->len == sizeof(*h) && !acks)
		return 0;
	if (acks || r->unacked)
		ack_put(r, out, now);
	if (s->size > sizeof(*h)) {
		s->size = out->len;
		spare_send(r, out, now);
	} else {
		r->v.next++;
		r->v.packets++;
	}
	return 1;
}

int kecho_rudp_build(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now)
{
	struct kecho_sent *s;

	if (r->state == KECHO_RUDP_CALLING)
		return call_build(r, out, now);
	if (r->state == KECHO_RUDP_CLOSED)
		return 0;
	if (r->accept_out)
		return accept_build(r, out);
	if (wants_bye(r))
		return bye_build(r, out);
	kecho_recovery_tick(&r->v, now);
	if (r->v.mtu > KECHO_RUDP_MTU_MIN && r->v.long_lost >= MTU_LOST)
		mtu_lost(r, now);
	if (r->conn.closing && r->hello_acked)
		return -ESHUTDOWN;
	if (!r->spare)
		r->spare = kmalloc(sizeof(*s), GFP_KERNEL);
	s = r->spare;
	if (!s)
		return 0;
	memset(s, 0, sizeof(*s));
	return r->conn.up && now >= r->mtu_at && mtu_build(r, out, s, now) ? 1 : data_build(r, out, s, now);
}
EXPORT_SYMBOL_GPL(kecho_rudp_build);

void kecho_rudp_begin(struct kecho_rudp *r)
{
	r->out_bytes = 0;
	r->v.yield_until = kecho_cm_tx_begin(&r->conn);
}
EXPORT_SYMBOL_GPL(kecho_rudp_begin);

void kecho_rudp_end(struct kecho_rudp *r)
{
	kecho_cm_tx_end(&r->conn, r->out_bytes);
}
EXPORT_SYMBOL_GPL(kecho_rudp_end);

void kecho_rudp_built(struct kecho_rudp *r, const struct kecho_rudp_out *out, int err, u64 now)
{
	if (!err) {
		r->out_bytes += out->len;
		return;
	}
	if (err == -EMSGSIZE && out->len <= r->v.mtu)
		mtu_lost(r, now);
	else if (err == -EMSGSIZE)
		mtu_failed(r, now);
	if (out->number)
		kecho_recovery_unsent(&r->v, out->number);
}
EXPORT_SYMBOL_GPL(kecho_rudp_built);

u64 kecho_rudp_due(const struct kecho_rudp *r)
{
	u64 due;

	if (r->state != KECHO_RUDP_OPEN)
		return r->state == KECHO_RUDP_CALLING ? min(r->call_at, r->called_at + MS(KECHO_RUDP_CALL_MS)) : U64_MAX;
	if (r->ack_now || r->accept_out)
		return 0;
	due = min(kecho_recovery_due(&r->v), r->ack_at);
	if (r->conn.up)
		due = min(due, r->mtu_at);
	if (r->wait)
		due = min(due, r->wait);
	else if (r->conn.up)
		due = min(due, repeat_due(r));
	return due;
}
EXPORT_SYMBOL_GPL(kecho_rudp_due);
