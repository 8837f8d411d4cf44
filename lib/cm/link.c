// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/bitmap.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "../attr/attr.h"
#include "link.h"
#include <trace/events/kecho_link.h>

#define MS(x) ((u64)(x) * NSEC_PER_MSEC)

/* HELLO's body. A later version may append; readers take what they know. */
struct hello {
	__le32 magic;
	u8 version_min, version_max;
	u8 flags;
	u8 roles;
	__le64 features;
	__le32 suites;		/* security suites offered, a bit each; 1: none */
	__le32 suite;		/* the one chosen (acceptor) */
	__le64 id, session, peer_session, rx_seq;
	__le32 max_body;
	struct kecho_addr listen;
	u8 name_len;
	u8 name[KECHO_NAME_MAX];
	__le16 auth_len;	/* bytes of the suite's own that follow */
} __packed;

#define HELLO_RESUMED 1
#define HELLO_BUSY 2	/* the acceptor has a connection that stays: this hello says who it is, and ends this one */
#define SUITE_NONE 1
#define FEATURE_UDP 1	/* this node takes calls by reliable UDP */

/* A record on its way out: its head, then msg->data from @off. */
struct out {
	struct list_head node;
	struct kecho_msg *msg;
	u32 off;
	u32 len;		/* of all of it, head included */
	u16 head_len;
	u8 prio;
	bool control;		/* counted in ctl_bytes */
	u8 head[];
};

static struct kecho_rec *out_rec(struct out *o)
{
	return (struct kecho_rec *)o->head;
}

/* @more bytes behind the prefix are the caller's to fill in. */
static struct out *out_alloc(u8 type, const void *prefix, u16 prefix_len, u32 more, struct kecho_msg *msg, u32 off)
{
	struct out *o = kmalloc(sizeof(*o) + sizeof(struct kecho_rec) + prefix_len + more, GFP_ATOMIC);
	struct kecho_rec *rec;

	if (!o)
		return NULL;
	o->msg = msg;
	o->off = off;
	o->control = false;
	o->head_len = sizeof(*rec) + prefix_len + more;
	o->len = o->head_len + msg->len - off;
	rec = out_rec(o);
	memset(rec, 0, sizeof(*rec));
	rec->len = cpu_to_le32(o->len - sizeof(*rec));
	rec->type = type;
	if (prefix_len)
		memcpy(rec + 1, prefix, prefix_len);
	return o;
}

static void out_free(struct out *o)
{
	kecho_msg_put(o->msg);
	kfree(o);
}

/* link->lock held. Frees it, or keeps it until the connection that may be reading it says that it is done. */
static void out_discard(struct kecho_link *link, struct out *o)
{
	if (link->fills)
		list_add_tail(&o->node, &link->trash);
	else
		out_free(o);
}

static void link_discard(struct kecho_link *link, struct list_head *list)
{
	struct out *o, *next;

	list_for_each_entry_safe(o, next, list, node) {
		list_del(&o->node);
		out_discard(link, o);
	}
}

/* link->lock held. */
static void link_reap(struct kecho_link *link)
{
	struct out *o;

	lockdep_assert_held(&link->lock);
	while (!list_empty(&link->out) && link->out.next != link->cur) {
		o = list_first_entry(&link->out, struct out, node);
		if (le64_to_cpu(out_rec(o)->seq) > link->acked)
			break;
		link->out_records--;
		link->out_bytes -= o->len;
		list_del(&o->node);
		out_discard(link, o);
	}
}

/* What is not acknowledged is all to be sent. */
static void link_rewind(struct kecho_link *link)
{
	link->cur = link->out.next;
	link->cur_off = 0;
	link->nbegun = 0;
	link->overtaken = false;
}

static void link_kick(struct kecho_link *link)
{
	if (link->conn && link->conn->up)
		link->cm->ops->kick(link->conn);
}

u64 kecho_cm_random(struct kecho_cm *cm)
{
	/* xorshift64*, Vigna 2016: unpredictable enough for jitter and for telling sessions apart. */
	cm->rng ^= cm->rng >> 12;
	cm->rng ^= cm->rng << 25;
	cm->rng ^= cm->rng >> 27;
	return cm->rng * 0x2545F4914F6CDD1Dull;
}
EXPORT_SYMBOL_GPL(kecho_cm_random);

static u64 new_session(struct kecho_cm *cm)
{
	u64 s;

	do
		s = kecho_cm_random(cm);
	while (!s);
	return s;
}

void kecho_cm_init(struct kecho_cm *cm, u64 id, const char *name, const struct kecho_cm_ops *ops,
		   const struct kecho_cm_user *user, u64 seed)
{
	memset(cm, 0, sizeof(*cm));
	mutex_init(&cm->lock);
	INIT_LIST_HEAD(&cm->links);
	INIT_LIST_HEAD(&cm->pending);
	cm->id = id;
	cm->rng = seed ? seed : 1;
	cm->heartbeat = MS(KECHO_HEARTBEAT_MS);
	cm->max_body = KECHO_RECORD_MAX;
	strscpy(cm->name, name, sizeof(cm->name));
	cm->ops = ops;
	cm->user = user;
}
EXPORT_SYMBOL_GPL(kecho_cm_init);

struct kecho_link *kecho_link_get(struct kecho_link *link)
{
	refcount_inc(&link->ref);
	return link;
}
EXPORT_SYMBOL_GPL(kecho_link_get);

void kecho_link_put(struct kecho_link *link)
{
	if (!refcount_dec_and_test(&link->ref))
		return;
	kfree(link->host);
	kfree(link);
}
EXPORT_SYMBOL_GPL(kecho_link_put);

static struct kecho_link *link_alloc(struct kecho_cm *cm)
{
	struct kecho_link *link;
	int i;

	if (cm->nlinks >= KECHO_LINKS_MAX)
		return NULL;
	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return NULL;
	refcount_set(&link->ref, 1);
	link->cm = cm;
	mutex_init(&link->rx_lock);
	spin_lock_init(&link->now_lock);
	spin_lock_init(&link->lock);
	INIT_LIST_HEAD(&link->out);
	INIT_LIST_HEAD(&link->ctl);
	for (i = 0; i < KECHO_PRIOS; i++)
		INIT_LIST_HEAD(&link->ready[i]);
	INIT_LIST_HEAD(&link->trash);
	link->cur = &link->out;
	link->session = new_session(cm);
	list_add_tail(&link->node, &cm->links);
	cm->nlinks++;
	return link;
}

struct kecho_link *kecho_cm_find(struct kecho_cm *cm, u64 id)
{
	struct kecho_link *link;

	lockdep_assert_held(&cm->lock);
	list_for_each_entry(link, &cm->links, node)
		if (link->peer_id == id)
			return link;
	return NULL;
}
EXPORT_SYMBOL_GPL(kecho_cm_find);

struct kecho_link *kecho_cm_call(struct kecho_cm *cm, const char *host, const struct kecho_addr *addr, u64 now)
{
	struct kecho_link *link;

	lockdep_assert_held(&cm->lock);
	list_for_each_entry(link, &cm->links, node)
		if (host ? link->host && !strcmp(link->host, host) : addr->port && kecho_addr_equal(&link->addr, addr))
			goto found;
	link = link_alloc(cm);
	if (!link)
		return NULL;
	if (host) {
		size_t len = strlen(host) + 1;

		link->host = kmalloc(len, GFP_KERNEL);
		if (!link->host) {
			list_del(&link->node);
			cm->nlinks--;
			kecho_link_put(link);
			return NULL;
		}
		memcpy(link->host, host, len);
	} else {
		link->addr = *addr;
	}
found:
	/* As long as one that was lost: two members may be kept apart from the start, and nobody names them to each other again. */
	link->redial_until = max(link->redial_until, now + MS(KECHO_REDIAL_MS));
	if (link->state != KECHO_LINK_UP && !link->dialing)
		link->redial_at = now;
	cm->ops->due(cm, now);
	return link;
}
EXPORT_SYMBOL_GPL(kecho_cm_call);

/* Takes @conn from cm; the home still has it. cm.lock held. */
static void conn_detach(struct kecho_conn *conn)
{
	struct kecho_link *link = conn->link;

	lockdep_assert_held(&conn->cm->lock);
	if (conn->dead)
		return;
	conn->dead = true;
	if (!list_empty(&conn->node)) {
		list_del_init(&conn->node);
		conn->cm->npending--;
		if (link)
			link->dialing = false;
	}
	if (!link)
		return;
	spin_lock_bh(&link->lock);
	if (link->conn == conn) {
		link->conn = NULL;
		link_rewind(link);
	}
	spin_unlock_bh(&link->lock);
}

static void conn_drop(struct kecho_conn *conn)
{
	if (conn->dead)
		return;
	conn_detach(conn);
	conn->cm->ops->close(conn);
}

/* The session is over: tell the user, forget all numbers. */
static void link_end(struct kecho_link *link, u64 now)
{
	struct kecho_cm *cm = link->cm;
	LIST_HEAD(gone);
	struct out *o;

	lockdep_assert_held(&cm->lock);
	if (link->state == KECHO_LINK_DOWN)
		return;
	link->state = KECHO_LINK_DOWN;
	trace_kecho_link_state(link, false);
	cm->user->down(link, now);
	spin_lock_bh(&link->lock);
	list_for_each_entry(o, &link->out, node)
		if (out_rec(o)->type == KECHO_EVENT)
			atomic64_inc(&cm->stats.lost_unacked);
	list_splice_tail_init(&link->out, &gone);
	list_splice_tail_init(&link->ctl, &gone);
	link->gen++;
	link_rewind(link);
	link->out_records = link->out_bytes = link->ctl_bytes = 0;
	link->tx_seq = link->acked = link->rx_seq = 0;
	memset(link->last, 0, sizeof(link->last));
	bitmap_zero(link->seen, KECHO_OVERTAKE_MAX);
	link->rx_unacked = link->rx_unacked_bytes = 0;
	link->ack_due = 0;
	link->want_ack = link->want_ping = link->want_pong = false;
	link->failed = false;
	link->peer_session = 0;
	link_discard(link, &gone);
	spin_unlock_bh(&link->lock);
	atomic64_inc(&cm->stats.resets);
}

/* The connection is gone, the session is not (yet). */
static void link_lost(struct kecho_link *link, u64 now)
{
	struct kecho_cm *cm = link->cm;

	if (link->state != KECHO_LINK_UP)
		return;
	link->state = KECHO_LINK_SUSPECT;
	trace_kecho_link_state(link, false);
	link->lost_at = now;
	link->tries = 0;
	/* The lower id calls first, so that they seldom meet half-way. */
	link->redial_at = now + (cm->id < link->peer_id ? 0 : MS(KECHO_BACKOFF_MIN_MS)) + MS((u32)kecho_cm_random(cm) % 10);
	cm->ops->due(cm, link->redial_at);
	cm->ops->due(cm, now + KECHO_GONE_BEATS * cm->heartbeat);
}

static void link_end_for_good(struct kecho_link *link, u64 now)
{
	link_end(link, now);
	link->session = new_session(link->cm);
	link->tries = 0;
	link->redial_at = now + MS(KECHO_BACKOFF_MIN_MS);
	link->cm->ops->due(link->cm, link->redial_at);
}

static u64 backoff(struct kecho_cm *cm, u32 tries)
{
	u32 ms = min_t(u32, KECHO_BACKOFF_MIN_MS << min_t(u32, tries, 10), KECHO_BACKOFF_MAX_MS) / 2;

	return MS(ms) + MS((u32)kecho_cm_random(cm) % ms);
}

static void hello_build(struct kecho_conn *conn, u8 flags)
{
	struct kecho_link *link = conn->link;
	struct kecho_cm *cm = conn->cm;
	struct kecho_rec *rec = (void *)conn->hello;
	struct hello *h = (void *)(rec + 1);

	BUILD_BUG_ON(sizeof(*rec) + sizeof(*h) > KECHO_HELLO_ROOM);
	memset(conn->hello, 0, sizeof(*rec) + sizeof(*h));
	rec->len = cpu_to_le32(sizeof(*h));
	rec->type = KECHO_HELLO;
	h->magic = cpu_to_le32(KECHO_MAGIC);
	h->version_min = KECHO_VERSION_MIN;
	h->version_max = KECHO_VERSION_MAX;
	h->flags = flags;
	h->roles = cm->roles;
	h->features = cpu_to_le64(cm->udp ? FEATURE_UDP : 0);
	h->suites = cpu_to_le32(SUITE_NONE);
	h->suite = cpu_to_le32(SUITE_NONE);
	h->id = cpu_to_le64(cm->id);
	h->max_body = cpu_to_le32(cm->max_body);
	h->listen = cm->listen;
	h->name_len = strlen(cm->name);
	memcpy(h->name, cm->name, h->name_len);
	h->session = cpu_to_le64(1);	/* of a refusal: not 0, and nobody's */
	if (link) {
		h->session = cpu_to_le64(link->session);
		h->peer_session = cpu_to_le64(link->peer_session);
		spin_lock_bh(&link->lock);
		h->rx_seq = cpu_to_le64(link->rx_seq);
		spin_unlock_bh(&link->lock);
	}
	conn->hello_off = 0;
	conn->hello_len = sizeof(*rec) + sizeof(*h);
	cm->ops->kick(conn);
}

static void conn_init(struct kecho_cm *cm, struct kecho_conn *conn, u64 now)
{
	conn->cm = cm;
	conn->since = now;
	list_add_tail(&conn->node, &cm->pending);
	cm->npending++;
	cm->ops->due(cm, now + MS(KECHO_HELLO_MS));
}

void kecho_cm_dialed(struct kecho_link *link, struct kecho_conn *conn, u64 now)
{
	struct kecho_cm *cm = link->cm;

	mutex_lock(&cm->lock);
	conn_init(cm, conn, now);
	conn->opener = true;
	conn->link = kecho_link_get(link);
	atomic64_inc(&cm->stats.connects);
	/* The peer's call may have come first. */
	if (link->conn && (!conn->overtakes || link->conn->overtakes))
		conn_drop(conn);
	else
		hello_build(conn, 0);
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_dialed);

void kecho_cm_dial_failed(struct kecho_link *link, u64 now)
{
	mutex_lock(&link->cm->lock);
	link->dialing = false;
	link->cm->ops->due(link->cm, max(now, link->redial_at));
	mutex_unlock(&link->cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_dial_failed);

void kecho_cm_accepted(struct kecho_cm *cm, struct kecho_conn *conn, u64 now)
{
	mutex_lock(&cm->lock);
	if (cm->npending >= KECHO_PENDING_MAX) {
		struct kecho_conn *old;

		/* The oldest that called goes: a peer that is real says hello at once, one that only holds a place does not. */
		list_for_each_entry(old, &cm->pending, node) {
			if (!old->opener) {
				atomic64_inc(&cm->stats.refused);
				conn_drop(old);
				break;
			}
		}
	}
	conn_init(cm, conn, now);
	atomic64_inc(&cm->stats.accepts);
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_accepted);

void kecho_cm_closed(struct kecho_conn *conn, u64 now)
{
	struct kecho_cm *cm = conn->cm;

	mutex_lock(&cm->lock);
	if (!conn->dead) {
		conn_detach(conn);
		if (conn->up)
			link_lost(conn->link, now);
		else
			cm->ops->due(cm, now);
	}
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_closed);

void kecho_cm_conn_exit(struct kecho_conn *conn)
{
	if (conn->link)
		kecho_link_put(conn->link);
	if (conn->old_link)
		kecho_link_put(conn->old_link);
	conn->link = conn->old_link = NULL;
}
EXPORT_SYMBOL_GPL(kecho_cm_conn_exit);

static void conn_set_link(struct kecho_conn *conn, struct kecho_link *link)
{
	struct kecho_link *old = conn->link;

	if (old == link)
		return;
	conn->link = kecho_link_get(link);
	/* Whoever sends on it may be looking at that one. */
	conn->old_link = old;
}

/* Which link does a peer that said hello belong to? Two names for one node become one link. */
static struct kecho_link *hello_link(struct kecho_conn *conn, u64 id, u64 now)
{
	struct kecho_link *link = conn->link, *have = kecho_cm_find(conn->cm, id);

	if (!link) {
		link = have ? have : link_alloc(conn->cm);
	} else if (have && have != link) {
		if (link->conn)
			conn_drop(link->conn);
		link_end(link, now);
		if (!have->host)
			swap(have->host, link->host);
		link->peer_id = 0;
		link->alias = id;
		link->session = new_session(conn->cm);
		link->redial_until = 0;
		link = have;
	} else if (link->peer_id && link->peer_id != id) {
		/* Another node at the same address: it was started anew. */
		if (link->conn)
			conn_drop(link->conn);
		link_end_for_good(link, now);
	}
	if (link) {
		link->peer_id = id;
		link->alias = 0;
	}
	return link;
}

static bool hello_stays(struct kecho_conn *conn, struct kecho_link *link, u64 now)
{
	struct kecho_conn *have = link->conn;
	bool mine = conn->cm->id < link->peer_id;

	if (!have || !have->up || have->opener == conn->opener)
		return true;
	if (have->overtakes != conn->overtakes ? conn->overtakes : mine == conn->opener)
		return true;
	spin_lock_bh(&link->lock);
	link->want_ping = true;
	link->last_ping = now;
	spin_unlock_bh(&link->lock);
	link_kick(link);
	return false;
}

static int hello_rx(struct kecho_conn *conn, const struct kecho_msg *msg, u64 now)
{
	const struct hello *h = (const void *)msg->data;
	struct kecho_cm *cm = conn->cm;
	struct kecho_link *link;
	char name[KECHO_NAME_MAX + 1];
	u64 id, session, mine, rx_seq;
	bool resume;

	lockdep_assert_held(&cm->lock);
	if (conn->up || conn->closing)
		return -EPROTO;
	if (msg->len < sizeof(*h) || le32_to_cpu(h->magic) != KECHO_MAGIC || !h->id || !h->session ||
	    h->name_len > KECHO_NAME_MAX || !kecho_name_valid((const char *)h->name, h->name_len))
		return -EPROTO;
	memcpy(name, h->name, h->name_len);
	name[h->name_len] = 0;
	if (h->version_min > KECHO_VERSION_MAX || h->version_max < KECHO_VERSION_MIN ||
	    !(le32_to_cpu(h->suites) & SUITE_NONE)) {
		pr_warn_ratelimited("%s speaks versions %u-%u, suites %#x; this node speaks %u-%u, suites %#x\n", name, h->version_min,
			h->version_max, le32_to_cpu(h->suites), KECHO_VERSION_MIN, KECHO_VERSION_MAX, SUITE_NONE);
		atomic64_inc(&cm->stats.refused);
		if (conn->opener)
			return -EPROTONOSUPPORT;
		conn->closing = true;
		hello_build(conn, 0);
		return 0;
	}
	id = le64_to_cpu(h->id);
	session = le64_to_cpu(h->session);
	rx_seq = le64_to_cpu(h->rx_seq);
	if (id == cm->id) {
		if (conn->opener) {
			conn->link->self = true;
			return -ELOOP;
		}
		conn->closing = true;
		hello_build(conn, 0);
		return 0;
	}
	link = hello_link(conn, id, now);
	if (!link) {
		atomic64_inc(&cm->stats.refused);
		return -ENOMEM;
	}
	if (conn->opener && (h->flags & HELLO_BUSY))
		return -EALREADY;
	if (!hello_stays(conn, link, now)) {
		atomic64_inc(&cm->stats.refused);
		if (conn->opener)
			return -EALREADY;
		/* The peer must learn whom it called: a link that does not know its peer would begin another session. */
		conn->closing = true;
		hello_build(conn, HELLO_BUSY);
		return 0;
	}
	if (link->conn && link->conn != conn)
		conn_drop(link->conn);
	list_del_init(&conn->node);
	cm->npending--;
	if (conn->link)
		conn->link->dialing = false;
	conn_set_link(conn, link);

	resume = link->state != KECHO_LINK_DOWN && link->peer_session == session && rx_seq <= link->tx_seq;
	/* The session that the peer was told of: the link may have begun another since it called, or may be another link. */
	mine = conn->opener ? le64_to_cpu(((struct hello *)(conn->hello + sizeof(struct kecho_rec)))->session) : link->session;
	if (conn->opener)
		resume = resume && (h->flags & HELLO_RESUMED) && mine == link->session;
	else
		resume = resume && le64_to_cpu(h->peer_session) == link->session;
	if (conn->opener && !resume && (h->flags & HELLO_RESUMED)) {
		/* What it resumes ended here meanwhile, by a call that crossed this one: no fault of the peer's. Start anew. */
		link_end_for_good(link, now);
		return -ESTALE;
	}
	if (!resume) {
		link_end(link, now);
		/* Never the number of one that has ended: a hello that still names it must not match. */
		link->session = conn->opener ? mine : new_session(cm);
		rx_seq = 0;
	}
	link->peer_session = session;
	link->roles = h->roles;
	link->no_udp = !(le64_to_cpu(h->features) & FEATURE_UDP);
	strscpy(link->name, name, sizeof(link->name));
	if (h->listen.port && (h->listen.family == 4 || h->listen.family == 6)) {
		static const u8 any[16];

		link->addr = h->listen;
		if (!memcmp(h->listen.ip, any, sizeof(any))) {
			link->addr = conn->peer;
			link->addr.port = h->listen.port;
		}
	}
	link->state = KECHO_LINK_UP;
	trace_kecho_link_state(link, resume);
	link->tries = 0;
	link->redial_at = now;
	link->redial_until = now + MS(KECHO_REDIAL_MS);
	if (!conn->opener)
		hello_build(conn, resume ? HELLO_RESUMED : 0);

	spin_lock_bh(&link->lock);
	link->conn = conn;
	conn->up = true;
	/* A hello that another connection has overtaken tells less than is known. */
	link->acked = resume ? max(link->acked, rx_seq) : 0;
	link->cur = &link->out;
	link_reap(link);
	link_rewind(link);
	link->last_rx = link->last_ping = now;
	link->want_ping = true;
	if (resume)
		link->resumes++;
	spin_unlock_bh(&link->lock);

	if (resume)
		atomic64_inc(&cm->stats.resumes);
	else
		cm->user->up(link, now);
	link_kick(link);
	cm->ops->due(cm, now + cm->heartbeat);
	return 0;
}

int kecho_cm_rx_check(struct kecho_conn *conn, const struct kecho_rec *rec)
{
	u32 len = le32_to_cpu(rec->len);

	if (rec->flags || (rec->after && rec->type != KECHO_EVENT && rec->type != KECHO_EXPIRED) ||
	    len > conn->cm->max_body || (rec->type != KECHO_EVENT && len > KECHO_CONTROL_MAX) ||
	    (rec->type == KECHO_HELLO) == conn->up || (rec->type < KECHO_REGISTER) != !rec->seq)
		return -EPROTO;
	return len;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_check);

static int beat_rx(struct kecho_link *link, u8 type, const struct kecho_msg *msg, u64 now)
{
	struct kecho_dec d;
	u64 stamp;

	lockdep_assert_held(&link->lock);
	kecho_dec_start(&d, msg->data, msg->len);
	switch (type) {
	case KECHO_PING:
		link->pong_stamp = kecho_dec_u64(&d);
		link->want_pong = true;
		link_kick(link);
		break;
	case KECHO_PONG:
		stamp = kecho_dec_u64(&d);
		/* A transport that measures it knows better. */
		if (stamp && stamp <= now && !link->conn->overtakes) {
			u32 rtt = min_t(u64, div_u64(now - stamp, NSEC_PER_USEC), U32_MAX);

			/* RFC 6298's SRTT with alpha 1/8 */
			link->rtt_us = link->rtt_us ? link->rtt_us - link->rtt_us / 8 + rtt / 8 : max_t(u32, rtt, 1);
		}
		break;
	case KECHO_ACK:
		break;
	default:
		return -EPROTO;
	}
	return d.bad ? -EPROTO : 0;
}

void kecho_cm_rx_alive(struct kecho_conn *conn, u64 now)
{
	struct kecho_link *link = conn->link;

	if (!link)
		return;
	spin_lock_bh(&link->lock);
	if (link->conn == conn)
		link->last_rx = now;
	spin_unlock_bh(&link->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_alive);

/* link->lock held */
static int link_acked(struct kecho_link *link, u64 ack)
{
	bool full;

	lockdep_assert_held(&link->lock);
	if (ack > link->tx_seq)
		return -EPROTO;
	if (ack <= link->acked)
		return 0;
	full = link->out_records >= KECHO_HISTORY_RECORDS || link->out_bytes >= KECHO_HISTORY_BYTES;
	link->acked = ack;
	link_reap(link);
	if (full)
		link_kick(link);
	return 0;
}

static bool link_seen(const struct kecho_link *link, u64 seq)
{
	return seq <= link->rx_seq || (seq - link->rx_seq <= KECHO_OVERTAKE_MAX && test_bit(seq % KECHO_OVERTAKE_MAX, link->seen));
}

static void link_see(struct kecho_link *link, u64 seq)
{
	__set_bit(seq % KECHO_OVERTAKE_MAX, link->seen);
	while (__test_and_clear_bit((link->rx_seq + 1) % KECHO_OVERTAKE_MAX, link->seen))
		link->rx_seq++;
}

/* An acknowledgement and, for a numbered record, its number. 1: new; 0: seen before. */
static int link_rx(struct kecho_link *link, struct kecho_conn *conn, const struct kecho_rec *rec,
		   struct kecho_msg *msg, u64 now)
{
	u64 seq = le64_to_cpu(rec->seq);
	int ret = 0;

	spin_lock_bh(&link->lock);
	if (link->conn != conn) {
		ret = -ESTALE;
		goto out;
	}
	trace_kecho_link_receive(link, rec);
	link->last_rx = now;
	msg->gen = link->gen;
	link->received++;
	link->bytes_received += sizeof(*rec) + msg->len;
	ret = link_acked(link, le64_to_cpu(rec->ack));
	if (ret)
		goto out;
	if (!seq) {
		ret = beat_rx(link, rec->type, msg, now);
		goto out;
	}
	ret = !link_seen(link, seq);
	if (ret && seq - link->rx_seq > (conn->overtakes ? KECHO_OVERTAKE_MAX : 1)) {
		ret = -EPROTO;
		goto out;
	}
	if (ret)
		link_see(link, seq);
	link->rx_unacked++;
	link->rx_unacked_bytes += msg->len;
	if (link->rx_unacked >= KECHO_ACK_RECORDS || link->rx_unacked_bytes >= KECHO_ACK_BYTES) {
		link->want_ack = true;
		link_kick(link);
	} else if (!link->ack_due) {
		link->ack_due = now + MS(KECHO_ACK_MS);
		link->cm->ops->due(link->cm, link->ack_due);
	}
out:
	spin_unlock_bh(&link->lock);
	return ret;
}

/* One that came by a connection which has broken goes before those of the next. */
static int link_take(struct kecho_link *link, struct kecho_conn *conn, const struct kecho_rec *rec, struct kecho_msg *msg, u64 now)
{
	int ret = rec->type == KECHO_BYE ? -ECONNRESET : link_rx(link, conn, rec, msg, now);

	if (ret > 0)
		return conn->cm->user->record(link, rec->type, msg, now);
	kecho_msg_put(msg);
	return ret;
}

static void count_rx(struct kecho_cm *cm, const struct kecho_rec *rec, const struct kecho_msg *msg)
{
	atomic64_inc(&cm->stats.rx_records);
	atomic64_add(sizeof(*rec) + msg->len, &cm->stats.rx_bytes);
}

int kecho_cm_rx_event(struct kecho_conn *conn, const struct kecho_rec *rec, struct kecho_msg *msg, u64 now)
{
	struct kecho_link *link = conn->link;
	int ret = -EAGAIN;

	spin_lock(&link->now_lock);
	if (!link->taking) {
		count_rx(conn->cm, rec, msg);
		ret = link_take(link, conn, rec, msg, now);
	}
	spin_unlock(&link->now_lock);
	/* It has its number: should the connection go before kecho_cm_rx_failed() comes, the next one must not go on behind it. */
	if (ret && ret != -EAGAIN && ret != -ESTALE) {
		spin_lock_bh(&link->lock);
		link->failed = true;
		conn->cm->ops->due(conn->cm, 0);
		spin_unlock_bh(&link->lock);
	}
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_event);

static void link_taking(struct kecho_link *link, bool taking)
{
	spin_lock_bh(&link->now_lock);
	link->taking = taking;
	spin_unlock_bh(&link->now_lock);
}

int kecho_cm_rx(struct kecho_conn *conn, const struct kecho_rec *rec, struct kecho_msg *msg, u64 now)
{
	struct kecho_cm *cm = conn->cm;
	struct kecho_link *link;
	int ret;

	count_rx(cm, rec, msg);
	if (rec->type == KECHO_HELLO) {
		mutex_lock(&cm->lock);
		ret = conn->dead ? -ESTALE : hello_rx(conn, msg, now);
		mutex_unlock(&cm->lock);
		kecho_msg_put(msg);
	} else if (!conn->up || !rec->type) {
		/* 0: what kecho_cm_rx_check() refused */
		ret = -EPROTO;
		kecho_msg_put(msg);
	} else {
		link = conn->link;
		mutex_lock(&link->rx_lock);
		link_taking(link, true);
		ret = link_take(link, conn, rec, msg, now);
		link_taking(link, false);
		mutex_unlock(&link->rx_lock);
	}
	if (ret)
		kecho_cm_rx_failed(conn, rec->type, ret, now);
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx);

void kecho_cm_rx_failed(struct kecho_conn *conn, u8 type, int ret, u64 now)
{
	struct kecho_cm *cm = conn->cm;
	struct kecho_link *link;

	mutex_lock(&cm->lock);
	link = conn->link;
	if (ret == -EPROTO || ret == -EBADMSG || ret == -E2BIG) {
		atomic64_inc(&cm->stats.protocol_errors);
		pr_warn_ratelimited("%s broke the protocol (record type %u): cut off\n", link && link->name[0] ? link->name : "a peer", type);
	}
	if (!conn->dead) {
		bool current_conn = link && link->conn == conn;

		conn_detach(conn);
		if (current_conn) {
			if (ret == -ECONNRESET)
				link->redial_until = 0;
			link_end_for_good(link, now);
		}
		cm->ops->due(cm, now);
	}
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_failed);

static u8 *beat_put(u8 *p, u8 type, u64 ack, const u64 *stamp)
{
	struct kecho_rec *rec = (void *)p;
	__le64 v;

	memset(rec, 0, sizeof(*rec));
	rec->type = type;
	rec->ack = cpu_to_le64(ack);
	p += sizeof(*rec);
	if (stamp) {
		rec->len = cpu_to_le32(sizeof(v));
		v = cpu_to_le64(*stamp);
		memcpy(p, &v, sizeof(v));
		p += sizeof(v);
	}
	return p;
}

static void beat_build(struct kecho_link *link, struct kecho_conn *conn)
{
	u8 *p = conn->beat;

	if (link->want_ping)
		p = beat_put(p, KECHO_PING, link->rx_seq, &link->last_ping);
	if (link->want_pong)
		p = beat_put(p, KECHO_PONG, link->rx_seq, &link->pong_stamp);
	if (link->want_ack)
		p = beat_put(p, KECHO_ACK, link->rx_seq, NULL);
	conn->beat_off = 0;
	conn->beat_len = p - conn->beat;
	link->want_ping = link->want_pong = link->want_ack = false;
}

/* An event comes after those that are as urgent, and after the last record of another kind; such a one after all. */
static void out_number(struct kecho_link *link, struct out *o)
{
	struct kecho_rec *rec = out_rec(o);
	u64 *other = &link->last[KECHO_PRIOS], *last = other, seq = ++link->tx_seq;

	rec->seq = cpu_to_le64(seq);
	if (rec->type == KECHO_EVENT) {
		last = &link->last[o->prio];
		rec->after = cpu_to_le16(min_t(u64, seq - max(*last, *other), U16_MAX));
	}
	*last = seq;
}

/* The flow is listed by its most urgent event; if that is of another priority than before, behind those that have waited longer. */
static void flow_ready(struct kecho_flow *flow)
{
	int top = fls(flow->prios);

	if (top == flow->top)
		return;
	if (flow->top)
		list_del(&flow->ready);
	if (top)
		list_add_tail(&flow->ready, &flow->link->ready[top - 1]);
	flow->link->nready += !!top - !!flow->top;
	flow->top = top;
}

static void flow_put(struct kecho_flow *flow, struct out *o)
{
	list_add_tail(&o->node, &flow->q[o->prio]);
	flow->prios |= BIT(o->prio);
	flow->bytes += o->msg->len - o->off;
	flow->count++;
	flow_ready(flow);
}

/* The oldest event of a priority that has some. The caller lists the flow anew. */
static struct out *flow_take(struct kecho_flow *flow, u8 prio)
{
	struct out *o = list_first_entry(&flow->q[prio], struct out, node);

	flow->count--;
	flow->bytes -= o->msg->len - o->off;
	if (list_is_singular(&flow->q[prio]))
		flow->prios &= ~BIT(prio);
	return o;
}

static bool out_is_late(struct out *o, u64 now)
{
	return o->msg->expires && now >= o->msg->expires && out_rec(o)->type == KECHO_EVENT;
}

static struct kecho_event_prefix *out_prefix(struct out *o)
{
	return (struct kecho_event_prefix *)(out_rec(o) + 1);
}

/*
 * What has a number stays if it is late, but its content does not. @fills: the caller's own of link->fills: what another connection's
 * sender may be at is sent as it is.
 */
static void out_expire(struct kecho_link *link, struct out *o, u32 fills, u64 now)
{
	struct kecho_rec *rec = out_rec(o);
	u32 i;

	if (!out_is_late(o, now) || link->fills != fills)
		return;
	link->out_bytes -= o->len;
	rec->type = KECHO_EXPIRED;
	out_prefix(o)->flags = cpu_to_le16(o->prio);
	out_prefix(o)->nsinks = 0;
	out_prefix(o)->left_us = cpu_to_le32(o->msg->len - o->off);
	o->head_len = o->len = sizeof(*rec) + sizeof(struct kecho_event_prefix);
	o->off = o->msg->len;
	rec->len = cpu_to_le32(o->len - sizeof(*rec));
	link->out_bytes += o->len;
	/* What has been sent of it counts no more. */
	if (link->cur == &o->node)
		link->cur_off = 0;
	for (i = 0; i < link->nbegun; i++)
		if (link->begun[i].o == o)
			link->begun[i].off = 0;
	atomic64_inc(&link->cm->stats.expired);
}

static struct kecho_flow *link_first(struct kecho_link *link)
{
	int p;

	for (p = KECHO_PRIO_MAX; link->nready && p >= 0; p--)
		if (!list_empty(&link->ready[p]))
			return list_first_entry(&link->ready[p], struct kecho_flow, ready);
	return NULL;
}

/* The most urgent event of a flow that is not past its deadline, of priority @least or more; those that are past go to @late. */
static struct out *flow_next(struct kecho_flow *flow, int least, struct list_head *late, u64 now)
{
	struct out *o;

	while (fls(flow->prios) > least) {
		o = flow_take(flow, fls(flow->prios) - 1);
		if (!out_is_late(o, now))
			return o;
		list_move_tail(&o->node, late);
		flow->expired++;
		if (out_prefix(o)->n)
			flow->untold[o->prio]++;
		atomic64_inc(&flow->link->cm->stats.expired);
	}
	return NULL;
}

static struct out *link_pull_event(struct kecho_link *link, int least, u64 now)
{
	struct kecho_event_prefix *prefix;
	struct kecho_flow *flow;
	struct out *o = NULL;
	LIST_HEAD(late);

	while (!o && (flow = link_first(link)) && flow->top > least) {
		o = flow_next(flow, least, &late, now);
		/* Behind those of the same priority. */
		flow->top = U8_MAX;
		flow_ready(flow);
	}
	link_discard(link, &late);
	if (!o)
		return NULL;
	if (o->prio != link->prio) {
		link->prio = o->prio;
		link->mixed_until = now + MS(KECHO_MIXED_MS);
	}
	flow->sent++;
	flow->sent_bytes += o->msg->len - o->off;
	prefix = out_prefix(o);
	if (prefix->n) {
		prefix->expired = cpu_to_le32(flow->untold[o->prio]);
		flow->untold[o->prio] = 0;
	}
	return o;
}

/* Takes the next record from the control queue or, the most urgent first, from a flow, and numbers it. @least: of an event's priority */
static struct out *link_pull(struct kecho_link *link, int least, u64 now)
{
	struct out *o;
	u64 left;

	if (!list_empty(&link->ctl)) {
		/* A peer that acknowledges nothing gets no more; what waits then fills the control queue, which ends the session. */
		if (link->out_records >= 4 * KECHO_HISTORY_RECORDS || link->out_bytes >= 4 * KECHO_HISTORY_BYTES)
			return NULL;
		o = list_first_entry(&link->ctl, struct out, node);
		if (o->control)
			link->ctl_bytes -= o->len;
	} else if (link->out_records < KECHO_HISTORY_RECORDS && link->out_bytes < KECHO_HISTORY_BYTES) {
		o = link_pull_event(link, least, now);
		if (!o)
			return NULL;
	} else {
		return NULL;
	}
	if (out_rec(o)->type == KECHO_EVENT && o->msg->expires) {
		left = o->msg->expires > now ? div_u64(o->msg->expires - now, NSEC_PER_USEC) : 0;
		out_prefix(o)->left_us = cpu_to_le32(clamp_t(u64, left, 1, U32_MAX));
	}
	list_move_tail(&o->node, &link->out);
	out_number(link, o);
	link->out_records++;
	link->out_bytes += o->len;
	if (link->cur == &link->out)
		link->cur = &o->node;
	return o;
}

static int vec_put(struct kvec *vec, int n, const void *base, size_t len, size_t *bytes)
{
	if (!len)
		return n;
	vec[n].iov_base = (void *)base;
	vec[n].iov_len = len;
	*bytes += len;
	return n + 1;
}

static int vec_put_out(struct kvec *vec, int n, struct out *o, u32 skip, u32 len, size_t *bytes)
{
	u32 head = skip < o->head_len ? min(len, o->head_len - skip) : 0;

	n = vec_put(vec, n, o->head + skip, head, bytes);
	if (len == head)
		return n;
	return vec_put(vec, n, o->msg->data + o->off + (skip + head - o->head_len), len - head, bytes);
}

/* What the link has received is acknowledged by what is being sent. */
static u64 link_says_acked(struct kecho_link *link)
{
	lockdep_assert_held(&link->lock);
	link->rx_unacked = link->rx_unacked_bytes = 0;
	link->ack_due = 0;
	link->want_ack = false;
	return link->rx_seq;
}

static void out_begin(struct kecho_link *link, struct out *o)
{
	out_rec(o)->ack = cpu_to_le64(link_says_acked(link));
	trace_kecho_link_send(link, out_rec(o));
}

static void link_sent(struct kecho_link *link)
{
	if (link->nbegun) {
		link->nbegun--;
	} else {
		link->cur = link->overtaken ? &link->out : link->cur->next;
		link->cur_off = 0;
		link->overtaken = false;
	}
	link->sent++;
	atomic64_inc(&link->cm->stats.tx_records);
}

/* link->lock held. What was filled, or begun, is done with. */
static void tx_unpin(struct kecho_link *link, struct kecho_conn *conn)
{
	LIST_HEAD(trash);

	lockdep_assert_held(&link->lock);
	if (conn->filled)
		link->fills--;
	conn->filled = false;
	if (link->conn == conn)
		link_reap(link);
	if (!link->fills && !list_empty(&link->trash)) {
		list_splice_init(&link->trash, &trash);
		link_discard(link, &trash);
	}
}

int kecho_cm_tx_fill(struct kecho_conn *conn, struct kvec *vec, int max, size_t *bytes, u64 now)
{
	struct kecho_link *link = conn->link;
	struct list_head *p;
	struct out *o;
	int n = 0;

	*bytes = 0;
	n = vec_put(vec, n, conn->hello + conn->hello_off, conn->hello_len - conn->hello_off, bytes);
	if (!link || !conn->up)
		return n;
	spin_lock_bh(&link->lock);
	if (link->conn != conn) {
		spin_unlock_bh(&link->lock);
		return 0;
	}
	p = link->cur;
	if (link->cur_off) {
		o = list_entry(p, struct out, node);
		n = vec_put_out(vec, n, o, link->cur_off, o->len - link->cur_off, bytes);
		p = p->next;
	}
	if (conn->beat_off == conn->beat_len)
		beat_build(link, conn);
	n = vec_put(vec, n, conn->beat + conn->beat_off, conn->beat_len - conn->beat_off, bytes);
	while (n + 2 <= max && *bytes < KECHO_TCP_FILL) {
		if (p == &link->out) {
			o = link_pull(link, 0, now);
			if (!o)
				break;
		} else {
			o = list_entry(p, struct out, node);
			p = p->next;
			out_expire(link, o, 0, now);
		}
		out_begin(link, o);
		n = vec_put_out(vec, n, o, 0, o->len, bytes);
	}
	if (conn->beat_len > conn->beat_off)
		link_says_acked(link);
	if (n) {
		link->fills++;
		conn->filled = true;
	}
	spin_unlock_bh(&link->lock);
	return n;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_fill);

bool kecho_cm_tx_done(struct kecho_conn *conn, size_t bytes)
{
	struct kecho_link *link = conn->link;
	bool mid, more = false;
	size_t n;

	atomic64_add(bytes, &conn->cm->stats.tx_bytes);
	n = min_t(size_t, bytes, conn->hello_len - conn->hello_off);
	conn->hello_off += n;
	bytes -= n;
	if (!link || !conn->up)
		return conn->hello_off < conn->hello_len;
	spin_lock_bh(&link->lock);
	if (link->conn != conn)
		goto out;
	link->bytes_sent += bytes;
	for (mid = link->cur_off; ; mid = false) {
		if (!mid) {
			n = min_t(size_t, bytes, conn->beat_len - conn->beat_off);
			conn->beat_off += n;
			bytes -= n;
		}
		if (!bytes || link->cur == &link->out)
			break;
		n = min_t(size_t, bytes, list_entry(link->cur, struct out, node)->len - link->cur_off);
		link->cur_off += n;
		bytes -= n;
		if (link->cur_off < list_entry(link->cur, struct out, node)->len)
			break;
		link_sent(link);
	}
	more = conn->beat_off < conn->beat_len || link->want_ping || link->want_pong || link->want_ack ||
	       link->cur != &link->out || !list_empty(&link->ctl) || link_first(link);
out:
	tx_unpin(link, conn);
	spin_unlock_bh(&link->lock);
	return more;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_done);

u64 kecho_cm_tx_begin(struct kecho_conn *conn)
{
	struct kecho_link *link = conn->link;
	u64 mixed_until;

	if (!link || !conn->up)
		return 0;
	spin_lock_bh(&link->lock);
	link->fills++;
	conn->filled = true;
	mixed_until = link->mixed_until;
	spin_unlock_bh(&link->lock);
	return mixed_until;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_begin);

void kecho_cm_tx_end(struct kecho_conn *conn, size_t bytes)
{
	struct kecho_link *link = conn->link;

	atomic64_add(bytes, &conn->cm->stats.tx_bytes);
	if (!link || !conn->up)
		return;
	spin_lock_bh(&link->lock);
	if (link->conn == conn)
		link->bytes_sent += bytes;
	tx_unpin(link, conn);
	spin_unlock_bh(&link->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_end);

/* Bytes of @o from @off, as many as there is room for. 0: the next packet. */
static u32 span_put(struct kecho_span *span, u32 *total, struct out *o, u32 off, u32 end, u32 room, struct kvec *vec, int max, int *n)
{
	u32 len = min(end - off, room);
	size_t bytes = 0;

	if (*n + 2 > max || !len || (!off && len < sizeof(struct kecho_rec)))
		return 0;
	span->end_seq = le64_to_cpu(out_rec(o)->seq);
	span->end_off = off + len;
	if (!*total) {
		span->seq = span->end_seq;
		span->off = off;
		*total = o->len;
	}
	*n = vec_put_out(vec, *n, o, off, len, &bytes);
	return len;
}

/* Records that are no events come before all. */
static int out_urgency(struct out *o)
{
	return out_rec(o)->type == KECHO_EVENT || out_rec(o)->type == KECHO_EXPIRED ? o->prio : KECHO_PRIOS;
}

static int link_urgency(struct kecho_link *link)
{
	struct kecho_flow *flow;

	if (!list_empty(&link->ctl))
		return out_urgency(list_first_entry(&link->ctl, struct out, node));
	flow = link_first(link);
	return flow ? flow->top - 1 : -1;
}

/*
 * The record to go on with, and how far it has got, @off: the last of those begun, or a new one that is more urgent. Only what has
 * nothing unsent behind it is overtaken.
 */
static struct out *link_next(struct kecho_link *link, u32 **off, u64 now)
{
	struct out *o, *more;

	*off = &link->cur_off;
	if (link->cur == &link->out)
		return link_pull(link, 0, now);
	o = list_entry(link->cur, struct out, node);
	if (link->nbegun) {
		o = link->begun[link->nbegun - 1].o;
		*off = &link->begun[link->nbegun - 1].off;
	}
	if (!**off || !(link->overtaken || link->cur->next == &link->out) || link_urgency(link) <= out_urgency(o) ||
	    WARN_ON_ONCE(link->nbegun == ARRAY_SIZE(link->begun)))
		return o;
	more = link_pull(link, out_urgency(o) + 1, now);
	if (!more)
		return o;
	link->overtaken = true;
	link->begun[link->nbegun].o = more;
	link->begun[link->nbegun].off = 0;
	*off = &link->begun[link->nbegun++].off;
	return more;
}

u32 kecho_cm_tx_next(struct kecho_conn *conn, u32 room, struct kvec *vec, int max, int *n, struct kecho_span *span, u32 *total, u64 now)
{
	struct kecho_link *link = conn->link;
	u32 bytes = 0, len, *off;
	struct out *o;

	*total = 0;
	spin_lock_bh(&link->lock);
	while (link->conn == conn && room - bytes >= sizeof(struct kecho_rec)) {
		o = link_next(link, &off, now);
		if (!o)
			break;
		out_expire(link, o, 1, now);
		if (*total && (*off || le64_to_cpu(out_rec(o)->seq) != span->end_seq + 1))
			break;
		len = span_put(span, total, o, *off, o->len, room - bytes, vec, max, n);
		if (len && !*off)
			out_begin(link, o);
		bytes += len;
		*off += len;
		if (*off < o->len)
			break;
		link_sent(link);
	}
	spin_unlock_bh(&link->lock);
	return bytes;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_next);

u32 kecho_cm_tx_again(struct kecho_conn *conn, u32 room, struct kvec *vec, int max, int *n, struct kecho_span *want,
		      struct kecho_span *span, u32 *total, u64 now)
{
	struct kecho_link *link = conn->link;
	u32 bytes = 0, len, end;
	struct out *o;
	u64 seq;

	*total = 0;
	spin_lock_bh(&link->lock);
	if (link->conn != conn)
		want->seq = want->end_seq + 1;
	/* What is lost is among the oldest, so it is soon found. */
	list_for_each_entry(o, &link->out, node) {
		seq = le64_to_cpu(out_rec(o)->seq);
		if (seq < want->seq)
			continue;
		if (want->seq > want->end_seq)
			break;
		if (seq > want->seq) {
			/* That one has been taken. */
			want->seq = seq;
			want->off = 0;
			if (seq > want->end_seq)
				break;
		}
		out_expire(link, o, 1, now);
		/* Instead of any part of an event that has expired, all that is left of it. */
		if (out_rec(o)->type == KECHO_EXPIRED)
			want->off = 0;
		end = seq == want->end_seq && out_rec(o)->type != KECHO_EXPIRED ? want->end_off : o->len;
		len = span_put(span, total, o, want->off, end, room - bytes, vec, max, n);
		bytes += len;
		want->off += len;
		if (want->off < end)
			goto out;
		want->seq++;
		want->off = 0;
	}
	want->seq = want->end_seq + 1;
out:
	spin_unlock_bh(&link->lock);
	return bytes;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_again);

u32 kecho_cm_tx_beat(struct kecho_conn *conn)
{
	struct kecho_link *link = conn->link;

	spin_lock_bh(&link->lock);
	/* Every acknowledgement of packets has it. */
	link->want_ack = false;
	beat_build(link, conn);
	conn->beat_off = conn->beat_len;
	spin_unlock_bh(&link->lock);
	return conn->beat_len;
}
EXPORT_SYMBOL_GPL(kecho_cm_tx_beat);

int kecho_cm_rx_seen(struct kecho_conn *conn, u64 seq)
{
	struct kecho_link *link = conn->link;
	int ret;

	spin_lock_bh(&link->lock);
	ret = seq > link->rx_seq + KECHO_PARTS_MAX ? -ERANGE : link_seen(link, seq);
	spin_unlock_bh(&link->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_seen);

bool kecho_cm_rx_ready(struct kecho_conn *conn, const struct kecho_rec *rec)
{
	u64 seq = le64_to_cpu(rec->seq), after = le16_to_cpu(rec->after);
	struct kecho_link *link = conn->link;
	bool ready;

	spin_lock_bh(&link->lock);
	if (!after)
		ready = seq <= link->rx_seq + 1;
	else
		ready = seq <= link->rx_seq + KECHO_OVERTAKE_MAX && (after >= seq || link_seen(link, seq - after));
	spin_unlock_bh(&link->lock);
	return ready;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_ready);

u64 kecho_cm_rx_done(struct kecho_conn *conn)
{
	struct kecho_link *link = conn->link;
	u64 done;

	if (!link || !conn->up)
		return 0;
	spin_lock_bh(&link->lock);
	done = link->conn == conn ? link_says_acked(link) : 0;
	spin_unlock_bh(&link->lock);
	return done;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_done);

int kecho_cm_rx_acked(struct kecho_conn *conn, u64 done, u32 rtt_us, u32 loss_ppm, u64 now)
{
	struct kecho_link *link = conn->link;
	int err;

	spin_lock_bh(&link->lock);
	if (link->conn == conn) {
		link->last_rx = now;
		link->rtt_us = max_t(u32, rtt_us, 1);
		link->loss_ppm = loss_ppm;
		err = link_acked(link, done);
	} else {
		err = -ESTALE;
	}
	spin_unlock_bh(&link->lock);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_cm_rx_acked);

void kecho_link_send(struct kecho_link *link, u8 type, struct kecho_msg *msg)
{
	struct out *o = msg ? out_alloc(type, NULL, 0, 0, msg, 0) : NULL;

	spin_lock_bh(&link->lock);
	if (o && link->ctl_bytes <= KECHO_CONTROL_QUEUE) {
		list_add_tail(&o->node, &link->ctl);
		o->control = true;
		link->ctl_bytes += o->len;
		link_kick(link);
		spin_unlock_bh(&link->lock);
		return;
	}
	link->failed = true;
	link->cm->ops->due(link->cm, 0);
	spin_unlock_bh(&link->lock);
	if (o)
		out_free(o);
	else
		kecho_msg_put(msg);
}
EXPORT_SYMBOL_GPL(kecho_link_send);

void kecho_flow_given(struct kecho_flow *flow, u64 *events, u64 *bytes)
{
	spin_lock_bh(&flow->link->lock);
	*events = flow->sent + flow->count;
	*bytes = flow->sent_bytes + flow->bytes;
	spin_unlock_bh(&flow->link->lock);
}
EXPORT_SYMBOL_GPL(kecho_flow_given);

void kecho_flow_init(struct kecho_flow *flow, struct kecho_link *link)
{
	int i;

	memset(flow, 0, sizeof(*flow));
	flow->link = link;
	for (i = 0; i < KECHO_PRIOS; i++)
		INIT_LIST_HEAD(&flow->q[i]);
}
EXPORT_SYMBOL_GPL(kecho_flow_init);

/* link->lock held. Empties the flow, the most urgent first, to @list. */
static void flow_empty(struct kecho_flow *flow, struct list_head *list)
{
	int i;

	for (i = KECHO_PRIO_MAX; i >= 0; i--)
		list_splice_tail_init(&flow->q[i], list);
	flow->prios = 0;
	flow->count = flow->bytes = 0;
	flow_ready(flow);
}

u32 kecho_flow_destroy(struct kecho_flow *flow)
{
	struct kecho_link *link = flow->link;
	LIST_HEAD(gone);
	u32 count;

	spin_lock_bh(&link->lock);
	count = flow->count;
	flow_empty(flow, &gone);
	link_discard(link, &gone);
	spin_unlock_bh(&link->lock);
	return count;
}
EXPORT_SYMBOL_GPL(kecho_flow_destroy);

void kecho_flow_drain(struct kecho_flow *flow)
{
	struct kecho_link *link = flow->link;

	spin_lock_bh(&link->lock);
	flow->sent += flow->count;
	flow->sent_bytes += flow->bytes;
	flow_empty(flow, &link->ctl);
	link_kick(link);
	spin_unlock_bh(&link->lock);
}
EXPORT_SYMBOL_GPL(kecho_flow_drain);

static void batch_add(struct kecho_batch *batch, struct kecho_link *link)
{
	u32 i;

	for (i = 0; i < batch->n; i++)
		if (batch->links[i] == link)
			return;
	if (i < ARRAY_SIZE(batch->links))
		batch->links[batch->n++] = kecho_link_get(link);
	else
		link_kick(link);
}

u32 kecho_flow_push(struct kecho_flow *flow, struct kecho_msg *msg, const struct kecho_push *how)
{
	struct kecho_event_prefix prefix = {
		.chan = cpu_to_le32(how->chan), .nsinks = cpu_to_le16(how->nsinks), .flags = cpu_to_le16(how->flags),
	};
	u32 sinks_len = how->nsinks * sizeof(*how->sinks);
	struct kecho_link *link = flow->link;
	u32 size = msg->len - msg->off, lost = 0;
	struct out *o, *old;
	u8 prio = how->prio, least;
	LIST_HEAD(gone);

	spin_lock_bh(&link->lock);
	if (!(how->flags & KECHO_EVENT_RETAINED))
		prefix.n = cpu_to_le64(flow->n[prio] + flow->gap[prio] + 1);
	o = out_alloc(KECHO_EVENT, &prefix, sizeof(prefix), sinks_len, msg, msg->off);
	if (!o) {
		flow->gap[prio]++;
		lost = 1;
		goto out;
	}
	o->prio = prio;
	if (sinks_len)
		memcpy(o->head + o->head_len - sinks_len, how->sinks, sinks_len);
	kecho_msg_get(msg);
	while (how->policy != KECHO_BLOCK && flow->count &&
	       (flow->count >= how->max || flow->bytes + size > KECHO_QUEUE_BYTES)) {
		lost++;
		/* The least urgent goes first, which may be this one. */
		least = ffs(flow->prios) - 1;
		if (how->policy == KECHO_DROP_NEWEST || least > prio) {
			flow->gap[prio]++;
			list_add_tail(&o->node, &gone);
			goto out;
		}
		old = flow_take(flow, least);
		list_move_tail(&old->node, &gone);
	}
	if (prefix.n) {
		flow->n[prio] += flow->gap[prio] + 1;
		flow->gap[prio] = 0;
	}
	flow_put(flow, o);
	if (how->batch)
		batch_add(how->batch, link);
	else
		link_kick(link);
out:
	flow->lost += lost;
	link_discard(link, &gone);
	spin_unlock_bh(&link->lock);
	return lost;
}
EXPORT_SYMBOL_GPL(kecho_flow_push);

static bool link_wants_rudp(const struct kecho_link *link)
{
	return link->cm->udp && !link->no_udp && (link->cm->rudp || link->rudp);
}

bool kecho_link_dials_rudp(const struct kecho_link *link)
{
	return link_wants_rudp(link) && link->tries & 1;
}
EXPORT_SYMBOL_GPL(kecho_link_dials_rudp);

void kecho_link_want_rudp(struct kecho_link *link)
{
	if (link->rudp)
		return;
	link->rudp = true;
	link->cm->ops->due(link->cm, 0);
}
EXPORT_SYMBOL_GPL(kecho_link_want_rudp);

const char *kecho_link_via(const struct kecho_link *link)
{
	return link->conn && link->conn->overtakes ? "rudp" : "tcp";
}
EXPORT_SYMBOL_GPL(kecho_link_via);

/* Up, but by TCP. Returns when to try again. */
static u64 link_improve(struct kecho_link *link, u64 now)
{
	if (link->dialing || !(link->host || link->addr.port))
		return U64_MAX;
	if (now >= link->redial_at) {
		link->tries = 1;
		link->dialing = true;
		link->redial_at = now + MS(KECHO_RUDP_AGAIN_MS);
		link->cm->ops->dial(link->cm, link);
	}
	return link->redial_at;
}

/* Returns when the link next wants a tick. */
static u64 link_tick(struct kecho_link *link, u64 now)
{
	struct kecho_cm *cm = link->cm;
	u64 due = now + cm->heartbeat;
	struct kecho_link *other;
	bool silent = false, failed;

	spin_lock_bh(&link->lock);
	failed = link->failed;
	if (link->conn && link->state == KECHO_LINK_UP) {
		silent = now >= link->last_rx + KECHO_SUSPECT_BEATS * cm->heartbeat;
		if (link->ack_due && now >= link->ack_due) {
			link->want_ack = true;
			link->ack_due = 0;
		} else if (link->ack_due) {
			due = min(due, link->ack_due);
		}
		if (now >= max(link->last_rx, link->last_ping) + cm->heartbeat) {
			link->want_ping = true;
			link->last_ping = now;
		}
		due = min(due, max(link->last_rx, link->last_ping) + cm->heartbeat);
		due = min(due, link->last_rx + KECHO_SUSPECT_BEATS * cm->heartbeat);
		if (link->want_ack || link->want_ping)
			link_kick(link);
	}
	spin_unlock_bh(&link->lock);

	if (silent) {
		atomic64_inc(&cm->stats.timeouts);
		conn_drop(link->conn);
		link_lost(link, now);
	}
	if (failed) {
		if (link->conn)
			conn_drop(link->conn);
		link_end_for_good(link, now);
	}
	if (link->state == KECHO_LINK_SUSPECT && now >= link->lost_at + KECHO_GONE_BEATS * cm->heartbeat) {
		link->redial_until = now + MS(KECHO_REDIAL_MS);
		link_end_for_good(link, now);
	}
	if (link->state == KECHO_LINK_UP)
		return link_wants_rudp(link) && link->conn && !link->conn->overtakes ? min(due, link_improve(link, now)) : due;
	due = link->state == KECHO_LINK_SUSPECT ? link->lost_at + KECHO_GONE_BEATS * cm->heartbeat : U64_MAX;
	if (link->dialing || link->self || !(link->host || link->addr.port))
		return due;
	if (!link->host && link->state == KECHO_LINK_DOWN && now >= link->redial_until)
		return due;
	other = link->alias ? kecho_cm_find(cm, link->alias) : NULL;
	if (other && other->state != KECHO_LINK_DOWN)
		return due;
	if (now >= link->redial_at) {
		link->dialing = true;
		link->redial_at = now + backoff(cm, link->tries++);
		cm->ops->dial(cm, link);
	}
	return min(due, link->redial_at);
}

void kecho_cm_tick(struct kecho_cm *cm, u64 now)
{
	struct kecho_link *link, *next;
	struct kecho_conn *conn, *nconn;
	u64 due = U64_MAX;

	mutex_lock(&cm->lock);
	list_for_each_entry_safe(conn, nconn, &cm->pending, node) {
		if (now >= conn->since + MS(KECHO_HELLO_MS)) {
			atomic64_inc(&cm->stats.timeouts);
			conn_drop(conn);
		} else {
			due = min(due, conn->since + MS(KECHO_HELLO_MS));
		}
	}
	list_for_each_entry_safe(link, next, &cm->links, node) {
		due = min(due, link_tick(link, now));
		if (link->state == KECHO_LINK_DOWN && !link->host && !link->dialing && !link->conn &&
		    now >= link->redial_until) {
			list_del(&link->node);
			cm->nlinks--;
			kecho_link_put(link);
		}
	}
	if (due != U64_MAX)
		cm->ops->due(cm, due);
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_tick);

bool kecho_cm_settled(struct kecho_cm *cm)
{
	struct kecho_link *link;
	bool settled = true;

	mutex_lock(&cm->lock);
	list_for_each_entry(link, &cm->links, node)
		if (link->host && !link->self && link->state == KECHO_LINK_DOWN && (link->dialing || !link->tries))
			settled = false;
	mutex_unlock(&cm->lock);
	return settled;
}
EXPORT_SYMBOL_GPL(kecho_cm_settled);

bool kecho_cm_drained(struct kecho_cm *cm, u64 now)
{
	struct kecho_link *link;
	bool busy, drained = true;

	mutex_lock(&cm->lock);
	list_for_each_entry(link, &cm->links, node) {
		spin_lock_bh(&link->lock);
		busy = link->conn && link->conn->up &&
		       (link->out_records || !list_empty(&link->ctl) || link_first(link));
		/* An acknowledgement may wait for a record to travel with; a ping's answer has it, too. */
		if (busy) {
			link->want_ping = true;
			link->last_ping = now;
			link_kick(link);
			drained = false;
		}
		spin_unlock_bh(&link->lock);
	}
	mutex_unlock(&cm->lock);
	return drained;
}
EXPORT_SYMBOL_GPL(kecho_cm_drained);

void kecho_cm_bye(struct kecho_cm *cm)
{
	struct kecho_link *link;

	mutex_lock(&cm->lock);
	list_for_each_entry(link, &cm->links, node) {
		struct kecho_rec *rec;
		struct kecho_conn *conn;

		spin_lock_bh(&link->lock);
		conn = link->conn;
		/* In place of the hello, which has long gone, so it goes out between two records. */
		if (conn && conn->up && conn->hello_off == conn->hello_len && !link->cur_off && !link->fills &&
		    conn->beat_off == conn->beat_len) {
			rec = (void *)conn->hello;
			memset(rec, 0, sizeof(*rec));
			rec->type = KECHO_BYE;
			conn->hello_off = 0;
			conn->hello_len = sizeof(*rec);
			cm->ops->kick(conn);
		}
		spin_unlock_bh(&link->lock);
	}
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_bye);

void kecho_cm_exit(struct kecho_cm *cm, u64 now)
{
	struct kecho_link *link, *next;
	struct kecho_conn *conn, *nconn;

	mutex_lock(&cm->lock);
	list_for_each_entry_safe(conn, nconn, &cm->pending, node)
		conn_drop(conn);
	list_for_each_entry_safe(link, next, &cm->links, node) {
		if (link->conn)
			conn_drop(link->conn);
		link_end(link, now);
		list_del(&link->node);
		cm->nlinks--;
		kecho_link_put(link);
	}
	mutex_unlock(&cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_cm_exit);
