// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "parts.h"

/* Bytes of a record that have arrived, beyond those from its beginning. */
struct stretch {
	struct list_head node;
	u32 from, to;
};

/**
 * struct part - a record
 * @have: bytes from its beginning that are here; @stretches: others, ascending, neither touching nor overlapping
 */
struct part {
	struct hlist_node hash;
	struct list_head whole;
	u64 seq;
	u32 total, have;
	struct list_head stretches;
	struct kecho_rec rec;
	struct kecho_msg *msg;
};

void kecho_parts_init(struct kecho_parts *p, struct kecho_conn *conn)
{
	p->conn = conn;
	hash_init(p->table);
	INIT_LIST_HEAD(&p->whole);
	p->n = p->bytes = 0;
}

static struct part *part_find(struct kecho_parts *p, u64 seq)
{
	struct part *r;

	hash_for_each_possible(p->table, r, hash, seq)
		if (r->seq == seq)
			return r;
	return NULL;
}

static struct part *part_new(struct kecho_parts *p, u64 seq, u32 total)
{
	struct part *r;

	if (p->n >= KECHO_PARTS_MAX || p->bytes + total > KECHO_PARTS_BYTES)
		return NULL;
	r = kmalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return NULL;
	r->msg = kecho_msg_alloc(total - sizeof(r->rec), GFP_KERNEL);
	if (!r->msg) {
		kfree(r);
		return NULL;
	}
	r->seq = seq;
	r->total = total;
	r->have = 0;
	INIT_LIST_HEAD(&r->stretches);
	INIT_LIST_HEAD(&r->whole);
	hash_add(p->table, &r->hash, seq);
	p->n++;
	p->bytes += total;
	return r;
}

/* But for its message. */
static void part_free(struct kecho_parts *p, struct part *r)
{
	struct stretch *g, *next;

	list_for_each_entry_safe(g, next, &r->stretches, node)
		kfree(g);
	p->n--;
	p->bytes -= r->total;
	hash_del(&r->hash);
	list_del(&r->whole);
	kfree(r);
}

void kecho_parts_exit(struct kecho_parts *p)
{
	struct hlist_node *next;
	struct part *r;
	unsigned int b;

	hash_for_each_safe(p->table, b, next, r, hash) {
		kecho_msg_put(r->msg);
		part_free(p, r);
	}
}

/* Those that it touches become one with it. */
static int part_mark(struct part *r, u32 from, u32 to)
{
	struct stretch *g, *next, *at = NULL;
	struct list_head *before = &r->stretches;

	if (from <= r->have) {
		r->have = max(r->have, to);
		list_for_each_entry_safe(g, next, &r->stretches, node) {
			if (g->from > r->have)
				break;
			r->have = max(r->have, g->to);
			list_del(&g->node);
			kfree(g);
		}
		return 0;
	}
	list_for_each_entry_safe(g, next, &r->stretches, node) {
		if (g->to < from)
			continue;
		if (g->from > to) {
			before = &g->node;
			break;
		}
		if (!at) {
			at = g;
			g->from = min(g->from, from);
			g->to = max(g->to, to);
		} else {
			at->to = max(at->to, g->to);
			list_del(&g->node);
			kfree(g);
		}
	}
	if (at)
		return 0;
	g = kmalloc(sizeof(*g), GFP_KERNEL);
	if (!g)
		return -ENOMEM;
	g->from = from;
	g->to = to;
	list_add_tail(&g->node, before);
	return 0;
}

static void record_copy(struct kecho_rec *rec, struct kecho_msg *msg, u32 off, const struct kecho_packet *pkt, u32 pos, u32 len)
{
	u32 n = off < sizeof(*rec) ? min_t(u32, len, sizeof(*rec) - off) : 0;

	if (n)
		pkt->copy(pkt, pos, (u8 *)rec + off, n);
	if (len > n)
		pkt->copy(pkt, pos + n, msg->data + off + n - sizeof(*rec), len - n);
}

static int record_check(struct kecho_parts *p, const struct kecho_rec *rec, u64 seq, u32 total)
{
	int len = kecho_cm_rx_check(p->conn, rec);

	return len < 0 || len + sizeof(*rec) != total || le64_to_cpu(rec->seq) != seq ? -EPROTO : 0;
}

static void whole_add(struct kecho_parts *p, struct part *r)
{
	struct part *q;

	list_for_each_entry_reverse(q, &p->whole, whole)
		if (q->seq < r->seq)
			break;
	list_add(&r->whole, &q->whole);
}

/* What waited for a record that has just come may itself be what another waits for: those are behind it. */
static int whole_release(struct kecho_parts *p, u64 now)
{
	struct kecho_msg *msg;
	struct kecho_rec rec;
	struct part *r, *next;
	int err;

	list_for_each_entry_safe(r, next, &p->whole, whole) {
		if (!kecho_cm_rx_ready(p->conn, &r->rec))
			continue;
		rec = r->rec;
		msg = r->msg;
		part_free(p, r);
		err = kecho_cm_rx(p->conn, &rec, msg, now);
		if (err)
			return err;
	}
	return 0;
}

/* All of a record, nothing of which has come before. */
static int record_take(struct kecho_parts *p, const struct kecho_rec *rec, u64 seq, u32 total, const struct kecho_packet *pkt, u32 pos,
		       u64 now)
{
	struct kecho_msg *msg;
	struct part *r;
	int err;

	if (kecho_cm_rx_ready(p->conn, rec)) {
		msg = kecho_msg_alloc(total - sizeof(*rec), GFP_KERNEL);
		if (!msg)
			return -EAGAIN;
		if (msg->len)
			pkt->copy(pkt, pos + sizeof(*rec), msg->data, msg->len);
		err = kecho_cm_rx(p->conn, rec, msg, now);
		return err ? err : whole_release(p, now);
	}
	r = part_new(p, seq, total);
	if (!r)
		return -EAGAIN;
	r->rec = *rec;
	r->have = total;
	if (r->msg->len)
		pkt->copy(pkt, pos + sizeof(*rec), r->msg->data, r->msg->len);
	whole_add(p, r);
	return 0;
}

static int part_take(struct kecho_parts *p, struct part *r, u64 seq, u32 off, u32 total, const struct kecho_packet *pkt, u32 pos, u32 len,
		     u64 now)
{
	if (r && r->total != total)
		return -EPROTO;
	if (!r)
		r = part_new(p, seq, total);
	if (!r || part_mark(r, off, off + len))
		return -EAGAIN;
	record_copy(&r->rec, r->msg, off, pkt, pos, len);
	if (r->have < total)
		return 0;
	if (record_check(p, &r->rec, seq, total))
		return -EPROTO;
	whole_add(p, r);
	return whole_release(p, now);
}

int kecho_parts_take(struct kecho_parts *p, u64 seq, u32 off, u32 total, const struct kecho_packet *pkt, u32 pos, u32 len, u64 now)
{
	struct kecho_rec rec;
	struct part *r;
	int err = 0;
	u32 n;

	for (; len && !err; seq++, off = 0, total = 0, pos += n, len -= n) {
		if (!off) {
			/* A head is never cut. */
			if (len < sizeof(rec))
				return -EPROTO;
			pkt->copy(pkt, pos, &rec, sizeof(rec));
			if (total && total != le32_to_cpu(rec.len) + sizeof(rec))
				return -EPROTO;
			total = le32_to_cpu(rec.len) + sizeof(rec);
			if (record_check(p, &rec, seq, total))
				return -EPROTO;
		} else if (off < sizeof(rec) || total <= off || total > KECHO_RECORD_MAX + sizeof(rec)) {
			return -EPROTO;
		}
		n = min(len, total - off);
		switch (kecho_cm_rx_seen(p->conn, seq)) {
		case 0:
			break;
		case 1:
			continue;
		default:
			return -EAGAIN;
		}
		r = part_find(p, seq);
		if (r && r->have == r->total)
			continue;
		/* It has expired: what there is of it is not wanted. */
		if (r && !off && n == total && rec.type == KECHO_EXPIRED) {
			kecho_msg_put(r->msg);
			part_free(p, r);
			r = NULL;
		}
		if (!off && n == total && !r)
			err = record_take(p, &rec, seq, total, pkt, pos, now);
		else
			err = part_take(p, r, seq, off, total, pkt, pos, n, now);
	}
	return err;
}
