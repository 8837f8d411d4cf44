// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "internal.h"

static struct kecho_node *cm_node(struct kecho_cm *cm)
{
	return container_of(cm, struct kecho_node, cm);
}

void channel_due(struct kecho_node *node, u64 when)
{
	lockdep_assert_held(&node->cm.lock);
	node->channel_due = min(node->channel_due, when);
	node->cm.ops->due(&node->cm, when);
}

struct kecho_channel *kecho_node_news(struct kecho_node *node, void *home)
{
	/* Taken where another channel's lock is held. */
	static struct lock_class_key key;
	struct kecho_channel *ch = channel_new(node, ".node", home, 0);

	if (!ch)
		return NULL;
	lockdep_set_class(&ch->lock, &key);
	mutex_lock(&node->cm.lock);
	node->news = kecho_channel_get(ch);
	mutex_unlock(&node->cm.lock);
	return ch;
}
EXPORT_SYMBOL_GPL(kecho_node_news);

void node_tell(struct kecho_node *node, const char *fmt, ...)
{
	struct kecho_channel *ch = node->news;
	struct kecho_msg *msg;
	char line[256];
	va_list args;
	int len;

	if (!ch)
		return;
	va_start(args, fmt);
	len = vscnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	msg = kecho_event_alloc("", NULL, len, GFP_ATOMIC);
	if (!msg) {
		atomic64_inc(&node->stats.lost_sink);
		return;
	}
	memcpy(kecho_event_payload(msg), line, len);
	spin_lock_bh(&ch->lock);
	channel_stamp(ch, msg, node->ops->realtime());
	channel_deliver(ch, msg, NULL, 0);
	spin_unlock_bh(&ch->lock);
	kecho_msg_put(msg);
}

static void peer_changed(const struct kecho_link *link, const char *state)
{
	node_tell(cm_node(link->cm), "peer\tid=%016llx\tnode=%s\tstate=%s", link->peer_id, link->name, state);
}

static void node_up(struct kecho_link *link, u64 now)
{
	struct kecho_node *node = cm_node(link->cm);
	struct kecho_channel *ch;
	int b;

	peer_changed(link, "up");
	members_link_up(node, link);
	if (!(link->roles & KECHO_ROLE_REGISTRY))
		return;
	/* A server that is new, or back: it is told of every channel that this node is the contact of. */
	hash_for_each(node->channels, b, ch, hash)
		ch->lease.renew_at = 0;
	channel_due(node, 0);
}

static void node_down(struct kecho_link *link, u64 now)
{
	members_link_down(cm_node(link->cm), link, now);
	peer_changed(link, "down");
}

static int node_record(struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	struct kecho_node *node = cm_node(link->cm);
	int err;

	switch (type) {
	case KECHO_REGISTER:
	case KECHO_RELEASE:
	case KECHO_LIST:
		err = node->serves ? kecho_registry_record(&node->registry, link, type, msg, now) : -EPROTO;
		kecho_msg_put(msg);
		return err;
	case KECHO_HOLDS:
	case KECHO_LISTING:
		err = kecho_group_record(&node->group, link, type, msg, now);
		kecho_msg_put(msg);
		return err;
	default:
		return channel_record(node, link, type, msg, now);
	}
}

static const struct kecho_cm_user node_cm_user = {
	.up = node_up,
	.down = node_down,
	.record = node_record,
};

static void node_holds(struct kecho_group *g, const char *name, const struct kecho_holding *h, u64 now)
{
	struct kecho_node *node = container_of(g, struct kecho_node, group);
	struct kecho_channel *ch = channel_find(node, name);
	struct kecho_link *link;
	u64 self = node->cm.id;

	if (!ch) {
		/* Left while the server was being asked. */
		struct kecho_lease l = { .name = name, .contact = h->contact };

		kecho_group_release(g, &l);
		return;
	}
	if (h->contact == self) {
		ch->lease.held = 0;
		/* The first answer tells how long a lease is: it may be shorter than was thought when it was asked for. */
		ch->lease.renew_at = min(ch->lease.renew_at, now + g->lease / 3);
		channel_due(node, ch->lease.renew_at);
		channel_awaited(ch, self);
		return;
	}
	if (h->addr.port)
		kecho_cm_call(&node->cm, NULL, &h->addr, now);
	if (!ch->joined) {
		/* What members have said meanwhile is newer, unless the server knows of a later epoch. */
		if (ch->lease.contact == self || h->epoch > ch->lease.epoch) {
			ch->lease.epoch = h->epoch;
			ch->lease.contact = h->contact;
		}
		channel_await(ch, h->contact);
		/* It may have said that it is absent just before it came; a second JOIN does no harm. */
		link = kecho_cm_find(&node->cm, h->contact);
		if (link && link->state == KECHO_LINK_UP)
			channel_say_join(ch, link, JOIN_FIRST);
		channel_awaited(ch, self);
	} else if (ch->lease.contact == self) {
		kecho_lease_held(&ch->lease, h, now);
		channel_due(node, ch->lease.held_until);
	}
}

static void node_listed(struct kecho_group *g, u32 request, const char *name, const struct kecho_holding *h)
{
	struct kecho_node *node = container_of(g, struct kecho_node, group);

	node->ops->listed(node, request, name, h);
}

static const struct kecho_group_user node_group_user = {
	.holds = node_holds,
	.listed = node_listed,
};

void kecho_node_init(struct kecho_node *node, u64 id, const char *name, u64 registry_lease,
		     const struct kecho_node_ops *ops, u64 seed)
{
	memset(node, 0, sizeof(*node));
	kecho_cm_init(&node->cm, id, name, &ops->cm, &node_cm_user, seed);
	node->ops = ops;
	node->serves = registry_lease;
	node->cm.roles = KECHO_ROLE_MEMBER | (registry_lease ? KECHO_ROLE_REGISTRY : 0);
	kecho_registry_init(&node->registry, &node->cm, registry_lease ? registry_lease : (u64)KECHO_LEASE_MS * NSEC_PER_MSEC);
	kecho_group_init(&node->group, &node->cm, registry_lease ? &node->registry : NULL, &node_group_user);
	spin_lock_init(&node->map_lock);
	hash_init(node->channels);
	hash_init(node->members);
	hash_init(node->users);
	node->queue = KECHO_QUEUE_DEFAULT;
	node->max_event = KECHO_EVENT_DEFAULT;
	node->channel_due = U64_MAX;
}
EXPORT_SYMBOL_GPL(kecho_node_init);

void kecho_node_exit(struct kecho_node *node, u64 now)
{
	struct kecho_channel *ch;
	struct hlist_node *next;
	int b;

	hash_for_each_safe(node->channels, b, next, ch, hash)
		kecho_channel_leave(ch, now);
	kecho_cm_exit(&node->cm, now);
	kecho_registry_exit(&node->registry);
	if (node->news)
		kecho_channel_put(node->news);
}
EXPORT_SYMBOL_GPL(kecho_node_exit);

/* Returns when the channel next wants a tick. */
static u64 channel_tick(struct kecho_channel *ch, u64 now)
{
	struct kecho_node *node = ch->node;
	u64 due = U64_MAX;

	if (ch->advert_due && now >= ch->advert_due)
		channel_advert_now(ch);
	else if (ch->advert_due)
		due = ch->advert_due;
	if (!ch->joined && now >= ch->join_until)
		channel_joined(ch);
	if (!ch->joined)
		return min(due, ch->join_until);
	if (kecho_lease_tick(&node->group, &ch->lease, now, &due))
		channel_say_contact(ch);
	return due;
}

void kecho_node_tick(struct kecho_node *node, u64 now)
{
	struct kecho_channel *ch;
	u64 due = U64_MAX;
	int b;

	kecho_cm_tick(&node->cm, now);
	if (node->serves)
		kecho_registry_tick(&node->registry, now);
	mutex_lock(&node->cm.lock);
	if (now >= node->channel_due) {
		node->channel_due = U64_MAX;
		hash_for_each(node->channels, b, ch, hash)
			due = min(due, channel_tick(ch, now));
	}
	due = min(due, node->channel_due);
	if (due != U64_MAX)
		channel_due(node, due);
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_node_tick);
