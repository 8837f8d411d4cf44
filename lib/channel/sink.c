// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "internal.h"
#include <trace/events/kecho.h>

#define RING_FIRST 8

static struct kecho_user *user_get(struct kecho_node *node, u32 uid)
{
	struct kecho_user *u;

	lockdep_assert_held(&node->cm.lock);
	hash_for_each_possible(node->users, u, hash, uid)
		if (u->uid == uid)
			goto found;
	u = kzalloc(sizeof(*u), GFP_KERNEL);
	if (!u)
		return NULL;
	u->uid = uid;
	hash_add(node->users, &u->hash, uid);
found:
	u->sinks++;
	return u;
}

static void user_put(struct kecho_user *u)
{
	if (--u->sinks)
		return;
	hash_del(&u->hash);
	kfree(u);
}

struct kecho_sink *sink_open(struct kecho_channel *ch, struct chained *watch, const char *type, u32 uid, s32 pid, const char *comm,
			     void *home, u64 time_ns, u64 now)
{
	struct kecho_node *node = ch->node;
	struct kecho_sink *sink;
	struct retained *r;
	bool first;
	char *c;

	sink = kzalloc(sizeof(*sink), GFP_KERNEL_ACCOUNT);
	if (!sink)
		return NULL;
	mutex_lock(&node->cm.lock);
	sink->user = user_get(node, uid);
	if (!sink->user) {
		mutex_unlock(&node->cm.lock);
		kfree(sink);
		return NULL;
	}
	spin_lock_init(&sink->lock);
	sink->channel = kecho_channel_get(ch);
	sink->home = home;
	sink->watch = watch;
	sink->id = ++node->last_sink;
	sink->pid = pid;
	sink->since = time_ns;
	strscpy(sink->comm, comm, sizeof(sink->comm));
	/* A program names itself, and members is made of lines and tabs. */
	for (c = sink->comm; *c; c++)
		if ((u8)*c < ' ' || *c == 127)
			*c = '?';
	strscpy(sink->type, type, sizeof(sink->type));

	spin_lock_bh(&ch->lock);
	first = sink->type[0] || !ch->plain;
	ch->plain += !sink->type[0];
	ch->nsinks++;
	list_add_tail(&sink->node, &ch->sinks);
	list_for_each_entry(r, &ch->retained, node)
		if (!type[0] || kecho_event_is_type(r->msg, type))
			sink_push(sink, r->msg, &ch->settings);
	spin_unlock_bh(&ch->lock);
	/* Publishers must hear of the first at once; a count may wait for others. */
	channel_advert_soon(ch, first ? now : now + KECHO_ADVERT_MS * NSEC_PER_MSEC);
	node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
	mutex_unlock(&node->cm.lock);
	return sink;
}

struct kecho_sink *kecho_sink_open(struct kecho_channel *ch, const char *type, u32 uid, s32 pid, const char *comm,
				   void *home, u64 time_ns, u64 now)
{
	return sink_open(ch, NULL, type, uid, pid, comm, home, time_ns, now);
}
EXPORT_SYMBOL_GPL(kecho_sink_open);

int kecho_sink_write_attrs(struct kecho_sink *sink, const char *text, size_t len, u64 now)
{
	struct kecho_channel *ch = sink->channel;
	struct kecho_attrs *attrs, *old;
	int err;

	mutex_lock(&ch->node->cm.lock);
	err = kecho_attrs_merge_text(sink->attrs, text, len, GFP_KERNEL, &attrs);
	if (!err) {
		spin_lock_bh(&ch->lock);
		ch->plain -= !sink_described(sink);
		old = sink->attrs;
		sink->attrs = attrs;
		ch->plain += !sink_described(sink);
		spin_unlock_bh(&ch->lock);
		kecho_attrs_put(old);
		channel_advert_soon(ch, now);
		ch->node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
	}
	mutex_unlock(&ch->node->cm.lock);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_sink_write_attrs);

static void sink_uncount(struct kecho_sink *sink, const struct kecho_msg *msg)
{
	WRITE_ONCE(sink->count, sink->count - 1);
	sink->bytes -= kecho_event_size(msg);
	atomic64_sub(kecho_event_size(msg), &sink->user->bytes);
}

static struct kecho_msg *sink_take(struct kecho_sink *sink)
{
	struct kecho_msg *msg = sink->ring[sink->head];

	sink->head = (sink->head + 1) & (sink->cap - 1);
	sink_uncount(sink, msg);
	return msg;
}

/* The first of the queue if it is past its deadline, taken from it. Context: sink->lock held */
static struct kecho_msg *sink_late(struct kecho_sink *sink)
{
	u64 expires = sink->count ? sink->ring[sink->head]->expires : 0;
	struct kecho_node *node = sink->channel->node;

	if (!expires || node->ops->clock() < expires)
		return NULL;
	sink->expired++;
	atomic64_inc(&node->stats.expired_sink);
	return sink_take(sink);
}

void kecho_sink_close(struct kecho_sink *sink, u64 now)
{
	struct kecho_channel *ch = sink->channel;
	struct kecho_node *node = ch->node;

	mutex_lock(&node->cm.lock);
	spin_lock_bh(&ch->lock);
	list_del(&sink->node);
	ch->nsinks--;
	ch->plain -= !sink_described(sink);
	spin_unlock_bh(&ch->lock);
	/* No publisher finds it any more. */
	while (sink->count)
		kecho_msg_put(sink_take(sink));
	channel_advert_soon(ch, sink_described(sink) || !ch->plain ? now : now + KECHO_ADVERT_MS * NSEC_PER_MSEC);
	node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
	user_put(sink->user);
	channel_room_made(ch);
	mutex_unlock(&node->cm.lock);
	kecho_attrs_put(sink->attrs);
	kfree(sink->ring);
	kfree(sink);
	kecho_channel_put(ch);
}
EXPORT_SYMBOL_GPL(kecho_sink_close);

static bool sink_full(struct kecho_sink *sink, u32 max, u32 size)
{
	return sink->count && (sink->count >= max || sink->bytes + size > KECHO_QUEUE_BYTES ||
			       atomic64_read(&sink->user->bytes) + size > KECHO_USER_BYTES);
}

bool sink_room(struct kecho_sink *sink, u32 max)
{
	bool room;

	spin_lock(&sink->lock);
	room = !sink_full(sink, max, 0);
	spin_unlock(&sink->lock);
	return room;
}

/* kecho.overflow=block: publishers wait for room. A member that does not must not fill the memory. */
static bool sink_overrun(struct kecho_sink *sink, u32 size)
{
	return sink->count >= 2 * KECHO_QUEUE_MAX || atomic64_read(&sink->user->bytes) + size > 2ll * KECHO_USER_BYTES;
}

static bool ring_grow(struct kecho_sink *sink)
{
	u32 cap = sink->cap ? 2 * sink->cap : RING_FIRST, i;
	struct kecho_msg **ring = kmalloc(cap * sizeof(*ring), GFP_ATOMIC | __GFP_NOWARN);

	if (!ring)
		return false;
	for (i = 0; i < sink->count; i++)
		ring[i] = sink->ring[(sink->head + i) & (sink->cap - 1)];
	kfree(sink->ring);
	sink->ring = ring;
	sink->cap = cap;
	sink->head = 0;
	return true;
}

/* Does @a go before @b, which is queued already? */
static bool goes_before(const struct kecho_msg *a, const struct kecho_msg *b, enum kecho_order order)
{
	if (order == KECHO_FIFO)
		return false;
	if (order == KECHO_PRIORITY)
		return kecho_event(a)->prio > kecho_event(b)->prio;
	return (a->expires ? a->expires : U64_MAX) < (b->expires ? b->expires : U64_MAX);
}

/* What a full queue loses: with an order it is the least urgent, which may be @msg itself, as with drop-newest: NULL. */
static struct kecho_msg *sink_victim(struct kecho_sink *sink, const struct kecho_msg *msg, const struct kecho_settings *s)
{
	struct kecho_msg *last;

	if (s->overflow != KECHO_DROP_OLDEST)
		return NULL;
	if (s->order == KECHO_FIFO)
		return sink_take(sink);
	last = sink->ring[(sink->head + sink->count - 1) & (sink->cap - 1)];
	if (!goes_before(msg, last, s->order))
		return NULL;
	sink_uncount(sink, last);
	return last;
}

/* Without the queue, if that is empty: nobody else puts anything there, for channel->lock is held. */
static bool sink_give(struct kecho_sink *sink, struct kecho_msg *msg)
{
	const struct kecho_node_ops *ops = sink->channel->node->ops;

	return ops->take && !READ_ONCE(sink->count) && !msg->expires && ops->take(sink, msg);
}

bool sink_push(struct kecho_sink *sink, struct kecho_msg *msg, const struct kecho_settings *s)
{
	u32 size = kecho_event_size(msg), i, mask;
	struct kecho_msg *victim;

	if (sink->watch) {
		filter_heard(sink->watch, msg);
		return true;
	}
	if (sink_give(sink, msg))
		return true;
	for (;;) {
		spin_lock(&sink->lock);
		if (s->overflow == KECHO_BLOCK ? !sink_overrun(sink, size) : !sink_full(sink, s->queue, size))
			break;
		victim = sink_late(sink);
		if (victim) {
			spin_unlock(&sink->lock);
			kecho_msg_put(victim);
			continue;
		}
		WRITE_ONCE(sink->lost, sink->lost + 1);
		victim = sink_victim(sink, msg, s);
		spin_unlock(&sink->lock);
		if (!victim)
			return false;
		/* Outside of the lock: its release may have credit to tell. */
		kecho_msg_put(victim);
		sink->channel->lost++;
		trace_kecho_lose(sink->channel, 0, false, 1);
		atomic64_inc(&sink->channel->node->stats.lost_sink);
	}
	if (sink->count == sink->cap && !ring_grow(sink)) {
		WRITE_ONCE(sink->lost, sink->lost + 1);
		spin_unlock(&sink->lock);
		return false;
	}
	mask = sink->cap - 1;
	for (i = sink->count; i && goes_before(msg, sink->ring[(sink->head + i - 1) & mask], s->order); i--)
		sink->ring[(sink->head + i) & mask] = sink->ring[(sink->head + i - 1) & mask];
	sink->ring[(sink->head + i) & mask] = kecho_msg_get(msg);
	WRITE_ONCE(sink->count, sink->count + 1);
	sink->bytes += size;
	atomic64_add(size, &sink->user->bytes);
	spin_unlock(&sink->lock);
	sink->channel->node->ops->ready(sink);
	return true;
}

int kecho_sink_pop(struct kecho_sink *sink, u32 max, struct kecho_msg **msg)
{
	struct kecho_msg *late;
	int ret = 0;

	spin_lock_bh(&sink->lock);
	while ((late = sink_late(sink))) {
		/* Its release may have credit to tell. */
		spin_unlock_bh(&sink->lock);
		kecho_msg_put(late);
		spin_lock_bh(&sink->lock);
	}
	if (sink->count) {
		ret = -EMSGSIZE;
		if (kecho_event_payload_len(sink->ring[sink->head]) <= max) {
			*msg = sink_take(sink);
			ret = 1;
		}
	}
	spin_unlock_bh(&sink->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_sink_pop);

int kecho_boost_check(struct kecho_boost *b)
{
	if (b->policy > KECHO_BOOST_FIFO || b->nice < -20 || b->nice > 19)
		return -EINVAL;
	b->max_us = b->max_us ? min_t(u32, b->max_us, KECHO_BOOST_MAX_US) : 10000;
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_boost_check);

void kecho_sink_show_boost(struct kecho_sink *sink, const struct kecho_boost *b)
{
	struct kecho_node *node = sink->channel->node;

	mutex_lock(&node->cm.lock);
	sink->boost[0] = 0;
	if (b->policy == KECHO_BOOST_NICE)
		scnprintf(sink->boost, sizeof(sink->boost), "nice:%d", b->nice);
	else if (b->policy == KECHO_BOOST_FIFO)
		strscpy(sink->boost, "fifo", sizeof(sink->boost));
	node->ops->changed(sink->channel, KECHO_FILE_MEMBERS, NULL);
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_sink_show_boost);

/* Who waits is woken for half a queue, not for each event: or the two would take turns. Who has found none has seen more than that. */
void kecho_sink_consumed(struct kecho_sink *sink, struct kecho_msg *msg)
{
	struct kecho_channel *ch = sink->channel;

	kecho_msg_put(msg);
	if (READ_ONCE(ch->blocked) && READ_ONCE(sink->count) <= READ_ONCE(ch->settings.queue) / 2)
		channel_room_made(ch);
}
EXPORT_SYMBOL_GPL(kecho_sink_consumed);
