// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "internal.h"
#include <trace/events/kecho.h>

struct kecho_channel *channel_find(struct kecho_node *node, const char *name)
{
	struct kecho_channel *ch;

	lockdep_assert_held(&node->cm.lock);
	hash_for_each_possible(node->channels, ch, hash, kecho_name_hash(name))
		if (!strcmp(ch->name, name))
			return ch;
	return NULL;
}

struct kecho_channel *kecho_channel_find(struct kecho_node *node, const char *name)
{
	struct kecho_channel *ch;

	mutex_lock(&node->cm.lock);
	ch = channel_find(node, name);
	if (ch)
		kecho_channel_get(ch);
	mutex_unlock(&node->cm.lock);
	return ch;
}
EXPORT_SYMBOL_GPL(kecho_channel_find);

struct kecho_channel *kecho_channel_get(struct kecho_channel *ch)
{
	refcount_inc(&ch->ref);
	return ch;
}
EXPORT_SYMBOL_GPL(kecho_channel_get);

void kecho_channel_put(struct kecho_channel *ch)
{
	if (!refcount_dec_and_test(&ch->ref))
		return;
	kecho_attrs_put(ch->attrs);
	kecho_attrs_put(ch->settings_attrs);
	kfree(ch->scratch);
	kfree(ch);
}
EXPORT_SYMBOL_GPL(kecho_channel_put);

struct kecho_channel *channel_new(struct kecho_node *node, const char *name, void *home, u64 rank)
{
	struct kecho_channel *ch = kzalloc(sizeof(*ch), GFP_KERNEL);

	if (!ch)
		return NULL;
	refcount_set(&ch->ref, 1);
	ch->node = node;
	strscpy(ch->name, name, sizeof(ch->name));
	ch->home = home;
	ch->rank = rank;
	ch->lease.name = ch->name;
	ch->settings.queue = node->queue;
	spin_lock_init(&ch->lock);
	INIT_LIST_HEAD(&ch->awaited);
	INIT_LIST_HEAD(&ch->members);
	INIT_LIST_HEAD(&ch->sinks);
	INIT_LIST_HEAD(&ch->retained);
	INIT_LIST_HEAD(&ch->filters);
	return ch;
}

struct kecho_channel *kecho_channel_join(struct kecho_node *node, const char *name, void *home, u64 rank, u64 now, int *err)
{
	struct kecho_channel *ch;

	mutex_lock(&node->cm.lock);
	*err = -EINVAL;
	if (!kecho_name_valid(name, strlen(name)))
		goto fail;
	*err = -EEXIST;
	if (channel_find(node, name))
		goto fail;
	*err = -ENOSPC;
	if (node->nchannels >= KECHO_CHANNELS_MAX)
		goto fail;
	*err = -ENOMEM;
	ch = channel_new(node, name, home, rank);
	if (!ch)
		goto fail;
	ch->chan = ++node->last_chan;
	hash_add(node->channels, &ch->hash, kecho_name_hash(name));
	node->nchannels++;
	trace_kecho_join(ch, node->cm.id);

	kecho_lease_claim(&ch->lease, node->cm.id, 0);
	ch->join_until = now + (u64)KECHO_JOIN_MS * NSEC_PER_MSEC;
	channel_announce(ch);
	if (kecho_group_known(&node->group)) {
		channel_await(ch, node->cm.id);
		kecho_group_register(&node->group, &ch->lease, now);
	}
	channel_due(node, ch->join_until);
	channel_awaited(ch, 0);
	*err = 0;
	mutex_unlock(&node->cm.lock);
	return ch;
fail:
	mutex_unlock(&node->cm.lock);
	return NULL;
}
EXPORT_SYMBOL_GPL(kecho_channel_join);

void kecho_channel_leave(struct kecho_channel *ch, u64 now)
{
	struct kecho_node *node = ch->node;
	struct kecho_sink *sink;

	channel_drop_filters(ch, now);
	mutex_lock(&node->cm.lock);
	hash_del(&ch->hash);
	node->nchannels--;
	trace_kecho_leave(ch, node->cm.id);
	/* With members left, the one that takes over registers it anew; a release would let go of the name between. */
	if (!ch->nmembers)
		kecho_group_release(&node->group, &ch->lease);
	channel_leave_members(ch, now);
	spin_lock_bh(&ch->lock);
	WRITE_ONCE(ch->gone, true);
	node->left_published += ch->seq;
	node->left_delivered += ch->delivered;
	ch->settings.retain = 0;
	channel_trim_retained(ch);
	/* A filter that watches has nobody to wake. */
	list_for_each_entry(sink, &ch->sinks, node)
		if (!sink->watch)
			node->ops->ready(sink);
	spin_unlock_bh(&ch->lock);
	channel_room_made(ch);
	channel_joined(ch);
	mutex_unlock(&node->cm.lock);
	kecho_channel_put(ch);
}
EXPORT_SYMBOL_GPL(kecho_channel_leave);

static bool sink_wants(const struct kecho_sink *sink, const char *type, size_t len)
{
	return !sink->type[0] || kecho_type_is(sink->type, type, len);
}

static u32 deliver(struct kecho_sink *sink, struct kecho_msg *msg)
{
	struct kecho_channel *ch = sink->channel;

	if (sink_push(sink, msg, &ch->settings))
		return 1;
	ch->lost++;
	atomic64_inc(&ch->node->stats.lost_sink);
	trace_kecho_lose(ch, 0, false, 1);
	return 0;
}

static bool is_one_of(u32 id, const __le32 *sinks, u16 nsinks)
{
	u16 i;

	for (i = 0; i < nsinks; i++)
		if (le32_to_cpu(sinks[i]) == id)
			return true;
	return false;
}

/* To those that the publisher's filters and ours have picked. False: ours have left none. */
static bool deliver_picked(struct kecho_channel *ch, struct kecho_msg *msg, const __le32 *sinks, u16 nsinks, u32 *n)
{
	struct kecho_msg *out = NULL;
	struct kecho_candidate *c;
	struct kecho_sink *sink;
	u32 described = 0, i;
	bool left = false;

	if (!scratch_begin(ch))
		goto lost;
	list_for_each_entry(sink, &ch->sinks, node) {
		bool own = sink_described(sink) && described++ < KECHO_DESCRIBED_MAX;

		if (!sink_wants(sink, kecho_event_type(msg), kecho_event(msg)->type_len) ||
		    (nsinks && !is_one_of(own ? sink->id : 0, sinks, nsinks)))
			continue;
		c = scratch_add(ch);
		if (!c)
			goto lost;
		c->node = ch->node->cm.id;
		c->sink = sink->id;
		c->attrs = sink->attrs ? sink->attrs->data : NULL;
		c->attrs_len = sink->attrs ? sink->attrs->len : 0;
		c->node_attrs = ch->attrs ? ch->attrs->data : NULL;
		c->node_attrs_len = ch->attrs ? ch->attrs->len : 0;
		c->owner = sink;
	}
	left = !ch->scratch->n;
	out = channel_filter(ch, false, msg);
	for (i = 0; i < ch->scratch->n; i++) {
		c = &ch->scratch->all[i];
		left = left || c->kept;
		*n += c->kept && deliver(c->owner, out);
	}
	kecho_msg_put(out);
	return left;
lost:
	ch->lost++;
	atomic64_inc(&ch->node->stats.lost_sink);
	trace_kecho_lose(ch, 0, false, 1);
	return false;
}

u32 channel_deliver(struct kecho_channel *ch, struct kecho_msg *msg, const __le32 *sinks, u16 nsinks)
{
	struct kecho_sink *sink;
	bool retain = true;
	u32 n = 0;

	lockdep_assert_held(&ch->lock);
	if (!ch->nin && !nsinks) {
		list_for_each_entry(sink, &ch->sinks, node)
			if (sink_wants(sink, kecho_event_type(msg), kecho_event(msg)->type_len))
				n += deliver(sink, msg);
	} else {
		retain = deliver_picked(ch, msg, sinks, nsinks, &n);
	}
	trace_kecho_deliver(ch, msg, n);
	ch->delivered += n;
	if (retain && ch->settings.retain)
		channel_retain(ch, msg);
	ch->node->ops->changed(ch, KECHO_FILE_EVENTS, msg);
	return n;
}

void channel_trim_retained(struct kecho_channel *ch)
{
	lockdep_assert_held(&ch->lock);
	while (ch->nretained > ch->settings.retain ||
	       (ch->nretained > 1 && ch->retained_bytes > KECHO_RETAIN_BYTES)) {
		struct retained *r = list_first_entry(&ch->retained, struct retained, node);

		list_del(&r->node);
		ch->nretained--;
		ch->retained_bytes -= kecho_event_size(r->msg);
		kecho_msg_put(r->msg);
		kfree(r);
	}
}

void channel_retain(struct kecho_channel *ch, struct kecho_msg *msg)
{
	struct list_head *after = ch->retained.prev;
	struct retained *r, *old;

	lockdep_assert_held(&ch->lock);
	r = kmalloc(sizeof(*r), GFP_ATOMIC);
	if (!r)
		goto none;
	if (msg->release) {
		/* Its publisher waits for it to be consumed, which must not take as long as it is retained. */
		r->msg = kecho_msg_alloc(kecho_event_size(msg), GFP_ATOMIC);
		if (!r->msg)
			goto none;
		memcpy(r->msg->data, kecho_event(msg), kecho_event_size(msg));
	} else {
		r->msg = kecho_msg_get(msg);
	}
	/* By time, and once: one that joins may get an event both from its publisher and among those that another retained. */
	list_for_each_entry_reverse(old, &ch->retained, node) {
		const struct kecho_event_wire *a = kecho_event(old->msg), *b = kecho_event(msg);

		if (a->origin == b->origin && a->seq == b->seq) {
			kecho_msg_put(r->msg);
			kfree(r);
			return;
		}
		/* The lines of one write have one time. */
		if (le64_to_cpu(a->time_ns) < le64_to_cpu(b->time_ns))
			break;
		if (le64_to_cpu(a->time_ns) > le64_to_cpu(b->time_ns))
			after = old->node.prev;
	}
	list_add(&r->node, after);
	ch->nretained++;
	ch->retained_bytes += kecho_event_size(msg);
	channel_trim_retained(ch);
	return;
none:
	kfree(r);
	atomic64_inc(&ch->node->stats.unretained);
}

void channel_room_made(struct kecho_channel *ch)
{
	if (!READ_ONCE(ch->blocked))
		return;
	WRITE_ONCE(ch->blocked, false);
	ch->node->ops->room(ch);
}

/* May the member get one more without being asked to hold more than its queue? */
static bool member_room(struct kecho_member *m)
{
	u64 events, bytes;

	kecho_flow_given(&m->flow, &events, &bytes);
	return events - m->consumed < m->channel->settings.queue &&
	       (events == m->consumed || bytes - m->consumed_bytes < KECHO_QUEUE_BYTES);
}

static inline bool all_have_room(struct kecho_channel *ch, const char *type, size_t len)
{
	struct kecho_member *m;
	struct kecho_sink *sink;

	list_for_each_entry(sink, &ch->sinks, node)
		/* What is empty now remains so: nobody else puts anything there. */
		if (READ_ONCE(sink->count) && sink_wants(sink, type, len) && !sink_room(sink, ch->settings.queue))
			return false;
	list_for_each_entry(m, &ch->members, node)
		if (member_wants(m, type, len) && !member_room(m))
			return false;
	return true;
}

/* kecho.overflow=block: has every one that wants such events room for one? channel->lock held. */
static inline bool channel_has_room(struct kecho_channel *ch, const char *type, size_t len)
{
	lockdep_assert_held(&ch->lock);
	if (ch->settings.overflow != KECHO_BLOCK || all_have_room(ch, type, len))
		return true;
	/* Again: a reader that took an event before it could see @blocked tells nobody. */
	WRITE_ONCE(ch->blocked, true);
	return all_have_room(ch, type, len);
}

bool kecho_channel_room(struct kecho_channel *ch, const char *type)
{
	bool room;

	spin_lock_bh(&ch->lock);
	room = channel_has_room(ch, type, strlen(type));
	spin_unlock_bh(&ch->lock);
	return room;
}
EXPORT_SYMBOL_GPL(kecho_channel_room);

static u32 unsent(struct kecho_node *node)
{
	atomic64_inc(&node->stats.unsent);
	return 0;
}

static u32 send(struct kecho_member *m, struct kecho_msg *msg, const struct kecho_push *how)
{
	struct kecho_node *node = m->channel->node;
	u32 lost = kecho_flow_push(&m->flow, msg, how);

	if (lost)
		trace_kecho_lose(m->channel, m->id, true, lost);
	m->lost += lost;
	atomic64_add(lost, &node->stats.lost_link);
	atomic64_inc(&node->stats.sent);
	return 1;
}

static bool candidate_add(struct kecho_member *m, u32 sink, const struct kecho_attrs *attrs)
{
	struct kecho_candidate *c = scratch_add(m->channel);

	if (!c)
		return false;
	c->node = m->id;
	c->sink = sink;
	c->attrs = attrs ? attrs->data : NULL;
	c->attrs_len = attrs ? attrs->len : 0;
	c->node_attrs = m->attrs ? m->attrs->data : NULL;
	c->node_attrs_len = m->attrs ? m->attrs->len : 0;
	c->heard_ns = m->heard_at;
	c->owner = m;
	return true;
}

static bool candidates_add(struct kecho_member *m, const char *type, size_t len)
{
	struct kecho_described *d;

	if ((m->plain || m->channel->settings.retain) && !candidate_add(m, 0, NULL))
		return false;
	list_for_each_entry(d, &m->described, node)
		if ((!d->type[0] || kecho_type_is(d->type, type, len)) && !candidate_add(m, d->sink, d->attrs))
			return false;
	return true;
}

/* To those that the filters pick, one message to each member. */
static u32 send_picked(struct kecho_channel *ch, struct kecho_msg *msg, struct kecho_push *how)
{
	const struct kecho_event_wire *ev = kecho_event(msg);
	struct kecho_candidate *c, *end;
	struct kecho_scratch *s;
	struct kecho_member *m;
	struct kecho_msg *out;
	u32 n = 0, all;

	if (!scratch_begin(ch))
		goto lost;
	list_for_each_entry(m, &ch->members, node)
		if (!candidates_add(m, kecho_event_type(msg), ev->type_len))
			goto lost;
	out = channel_filter(ch, true, msg);
	s = ch->scratch;
	how->prio = kecho_event(out)->prio;
	how->sinks = s->ids;
	for (c = s->all, end = c + s->n; c < end; ) {
		m = c->owner;
		how->nsinks = 0;
		for (all = 0; c < end && c->owner == m; c++, all++)
			if (c->kept)
				s->ids[how->nsinks++] = cpu_to_le32(c->sink);
		if (!how->nsinks) {
			unsent(ch->node);
			continue;
		}
		/* All of them: it need not be said which. */
		if (how->nsinks == all)
			how->nsinks = 0;
		n += send(m, out, how);
	}
	kecho_msg_put(out);
	return n;
lost:
	list_for_each_entry(m, &ch->members, node)
		m->lost++;
	atomic64_add(ch->nmembers, &ch->node->stats.lost_link);
	return 0;
}

int kecho_channel_publish(struct kecho_channel *ch, struct kecho_msg *msg, u64 time_ns, struct kecho_batch *batch)
{
	struct kecho_event_wire *ev = kecho_event(msg);
	struct kecho_node *node = ch->node;
	struct kecho_push how = { .chan = ch->chan, .prio = ev->prio, .batch = batch };
	struct kecho_member *m;
	u32 n = 0;
	bool gone;

	if (kecho_event_payload_len(msg) > READ_ONCE(node->max_event))
		return -EMSGSIZE;
	spin_lock_bh(&ch->lock);
	gone = ch->gone;
	if (gone || !channel_has_room(ch, kecho_event_type(msg), ev->type_len)) {
		spin_unlock_bh(&ch->lock);
		return gone ? -ENODEV : -EAGAIN;
	}
	channel_stamp(ch, msg, time_ns);
	how.max = ch->settings.queue;
	how.policy = ch->settings.overflow;
	if (ch->nout)
		n = send_picked(ch, msg, &how);
	else
		list_for_each_entry(m, &ch->members, node)
			n += member_wants(m, kecho_event_type(msg), ev->type_len) ? send(m, msg, &how) : unsent(node);
	n += channel_deliver(ch, msg, NULL, 0);
	trace_kecho_publish(ch, msg, n);
	spin_unlock_bh(&ch->lock);
	return n;
}
EXPORT_SYMBOL_GPL(kecho_channel_publish);

void kecho_source_open(struct kecho_channel *ch, u64 now)
{
	mutex_lock(&ch->node->cm.lock);
	if (!ch->nsources++)
		channel_advert_soon(ch, now + KECHO_ADVERT_MS * NSEC_PER_MSEC);
	mutex_unlock(&ch->node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_source_open);

void kecho_source_close(struct kecho_channel *ch, u64 now)
{
	mutex_lock(&ch->node->cm.lock);
	if (!--ch->nsources)
		channel_advert_soon(ch, now + KECHO_ADVERT_MS * NSEC_PER_MSEC);
	mutex_unlock(&ch->node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_source_close);
