// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Members: who they are, how they come and go, what they tell each other. */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "internal.h"
#include <trace/events/kecho.h>

struct awaited {
	struct list_head node;
	u64 id;
};

/* --- joining --- */

static struct kecho_member *member_by_id(struct kecho_channel *ch, u64 id)
{
	struct kecho_member *m;

	lockdep_assert_held(&ch->node->cm.lock);
	list_for_each_entry(m, &ch->members, node)
		if (m->id == id)
			return m;
	return NULL;
}

void channel_await(struct kecho_channel *ch, u64 id)
{
	struct awaited *a;
	u32 n = 0;

	if (ch->joined || member_by_id(ch, id))
		return;
	list_for_each_entry(a, &ch->awaited, node) {
		if (a->id == id)
			return;
		n++;
	}
	a = n < KECHO_MEMBERS_MAX ? kmalloc(sizeof(*a), GFP_KERNEL) : NULL;
	if (!a)
		return;		/* mkdir then returns a little early */
	a->id = id;
	list_add_tail(&a->node, &ch->awaited);
}

static void say_contact(struct kecho_member *m);

void channel_joined(struct kecho_channel *ch)
{
	struct kecho_node *node = ch->node;
	struct awaited *a, *next;
	struct kecho_member *m;

	if (ch->joined)
		return;
	list_for_each_entry_safe(a, next, &ch->awaited, node) {
		list_del(&a->node);
		kfree(a);
	}
	ch->joined = true;
	if (ch->lease.contact != node->cm.id && !member_by_id(ch, ch->lease.contact))
		kecho_lease_claim(&ch->lease, node->cm.id, ch->lease.epoch);
	m = member_by_id(ch, ch->lease.contact);
	if (ch->lease.contact == node->cm.id) {
		channel_say_contact(ch);
		channel_due(node, 0);
	} else if (m) {
		/* It may be none, or have begun anew with a lower epoch than the server remembered. */
		say_contact(m);
	}
	node->ops->joined(ch);
}

void channel_awaited(struct kecho_channel *ch, u64 id)
{
	struct awaited *a, *next;

	list_for_each_entry_safe(a, next, &ch->awaited, node) {
		if (a->id != id)
			continue;
		list_del(&a->node);
		kfree(a);
	}
	if (list_empty(&ch->awaited))
		channel_joined(ch);
}

/* --- what is said --- */

u8 channel_role(struct kecho_channel *ch)
{
	return (ch->nsources ? KECHO_ROLE_PUBLISHES : 0) | (ch->nsinks ? KECHO_ROLE_SUBSCRIBES : 0);
}

static void put_attrs(struct kecho_enc *e, const struct kecho_attrs *attrs)
{
	kecho_enc_u16(e, attrs ? attrs->len : 0);
	if (attrs)
		kecho_enc_bytes(e, attrs->data, attrs->len);
}

static void put_advert(struct kecho_enc *e, struct kecho_channel *ch)
{
	u32 described = ch->nsinks - ch->plain, n = min_t(u32, described, KECHO_DESCRIBED_MAX);
	struct kecho_sink *sink;

	kecho_enc_u8(e, channel_role(ch));
	/* Those beyond the limit are counted as plain: they get what they want, and their node more than it needs. */
	kecho_enc_u32(e, ch->plain + described - n);
	put_attrs(e, ch->attrs);
	kecho_enc_u16(e, n);
	list_for_each_entry(sink, &ch->sinks, node) {
		if (!sink_described(sink) || !n)
			continue;
		kecho_enc_u32(e, sink->id);
		kecho_enc_name(e, sink->type);
		put_attrs(e, sink->attrs);
		n--;
	}
}

static void put_settings(struct kecho_enc *e, struct kecho_channel *ch)
{
	kecho_enc_u64(e, ch->settings_version);
	kecho_enc_u64(e, ch->setter);
	put_attrs(e, ch->settings_attrs);
}

static u32 attrs_bytes(const struct kecho_attrs *attrs)
{
	return attrs ? attrs->len : 0;
}

static u32 advert_bytes(struct kecho_channel *ch)
{
	u32 bytes = 16 + attrs_bytes(ch->attrs), n = KECHO_DESCRIBED_MAX;
	struct kecho_sink *sink;

	list_for_each_entry(sink, &ch->sinks, node)
		if (sink_described(sink) && n && n--)
			bytes += 8 + KECHO_NAME_MAX + attrs_bytes(sink->attrs);
	return bytes;
}

void channel_say_join(struct kecho_channel *ch, struct kecho_link *link, enum join reply)
{
	u32 n = reply != JOIN_FIRST ? min_t(u32, ch->nmembers, KECHO_MEMBERS_MAX) : 0;
	struct kecho_member *m;
	struct kecho_enc e;

	kecho_enc_start(&e, 160 + advert_bytes(ch) + attrs_bytes(ch->settings_attrs) + n * 32, GFP_KERNEL);
	kecho_enc_u32(&e, ch->chan);
	kecho_enc_name(&e, ch->name);
	kecho_enc_u8(&e, reply);
	kecho_enc_u64(&e, ch->rank);
	/* One that is still joining has nothing to say about the contact. */
	kecho_enc_u64(&e, ch->joined ? ch->lease.epoch : 0);
	kecho_enc_u64(&e, ch->joined ? ch->lease.contact : 0);
	put_advert(&e, ch);
	put_settings(&e, ch);
	kecho_enc_u16(&e, n);
	list_for_each_entry(m, &ch->members, node) {
		if (!n--)
			break;
		kecho_enc_u64(&e, m->id);
		kecho_enc_addr(&e, &m->link->addr);
	}
	m = member_by_id(ch, link->peer_id);
	kecho_enc_u32(&e, reply != JOIN_FIRST && m ? m->chan : 0);
	kecho_link_send(link, KECHO_JOIN, kecho_enc_finish(&e));
}

void channel_announce(struct kecho_channel *ch)
{
	struct kecho_link *link;

	list_for_each_entry(link, &ch->node->cm.links, node) {
		if (link->state == KECHO_LINK_DOWN || !(link->roles & KECHO_ROLE_MEMBER))
			continue;
		channel_say_join(ch, link, JOIN_FIRST);
		if (link->state == KECHO_LINK_UP)
			channel_await(ch, link->peer_id);
	}
}

static void say_all(struct kecho_channel *ch, u8 type, struct kecho_enc *e)
{
	struct kecho_msg *msg = kecho_enc_finish(e);
	struct kecho_member *m;

	list_for_each_entry(m, &ch->members, node)
		kecho_link_send(m->link, type, msg ? kecho_msg_get(msg) : NULL);
	kecho_msg_put(msg);
}

void channel_advert_now(struct kecho_channel *ch)
{
	struct kecho_enc e;

	lockdep_assert_held(&ch->node->cm.lock);
	ch->advert_due = 0;
	if (list_empty(&ch->members))
		return;
	kecho_enc_start(&e, 4 + advert_bytes(ch), GFP_KERNEL);
	kecho_enc_u32(&e, ch->chan);
	put_advert(&e, ch);
	say_all(ch, KECHO_ADVERT, &e);
}

void channel_advert_soon(struct kecho_channel *ch, u64 when)
{
	lockdep_assert_held(&ch->node->cm.lock);
	if ((ch->advert_due && ch->advert_due <= when) || list_empty(&ch->members))
		return;
	ch->advert_due = when;
	channel_due(ch->node, when);
}

void channel_say_settings(struct kecho_channel *ch)
{
	struct kecho_enc e;

	kecho_enc_start(&e, 32 + attrs_bytes(ch->settings_attrs), GFP_KERNEL);
	kecho_enc_u32(&e, ch->chan);
	put_settings(&e, ch);
	say_all(ch, KECHO_SETTINGS, &e);
}

static void say_contact(struct kecho_member *m)
{
	struct kecho_channel *ch = m->channel;
	struct kecho_enc e;

	kecho_enc_start(&e, 20, GFP_KERNEL);
	kecho_enc_u32(&e, ch->chan);
	kecho_enc_u64(&e, ch->lease.epoch);
	kecho_enc_u64(&e, ch->lease.contact);
	kecho_link_send(m->link, KECHO_CONTACT, kecho_enc_finish(&e));
}

void channel_say_contact(struct kecho_channel *ch)
{
	struct kecho_enc e;

	kecho_enc_start(&e, 20, GFP_KERNEL);
	kecho_enc_u32(&e, ch->chan);
	kecho_enc_u64(&e, ch->lease.epoch);
	kecho_enc_u64(&e, ch->lease.contact);
	say_all(ch, KECHO_CONTACT, &e);
}

void member_tell_credit(struct kecho_member *m, bool now)
{
	u64 events = atomic64_read(&m->rx_consumed), bytes = atomic64_read(&m->rx_consumed_bytes);
	const struct kecho_settings *s = &m->channel->settings;
	struct kecho_enc e;

	if (READ_ONCE(m->gone) || READ_ONCE(s->overflow) != KECHO_BLOCK)
		return;
	/* In quarters of what it may have outstanding: seldom enough, and never so late that it stands still. */
	if (!now && events - atomic64_read(&m->rx_told) < max_t(u32, READ_ONCE(s->queue) / 4, 1) &&
	    bytes - atomic64_read(&m->rx_told_bytes) < KECHO_QUEUE_BYTES / 4)
		return;
	atomic64_set(&m->rx_told, events);
	atomic64_set(&m->rx_told_bytes, bytes);
	kecho_enc_start(&e, 20, GFP_ATOMIC);
	kecho_enc_u32(&e, m->channel->chan);
	kecho_enc_u64(&e, events);
	kecho_enc_u64(&e, bytes);
	kecho_link_send(m->link, KECHO_CREDIT, kecho_enc_finish(&e));
}

/* --- members --- */

static void described_free(struct list_head *list)
{
	struct kecho_described *d, *next;

	list_for_each_entry_safe(d, next, list, node) {
		list_del(&d->node);
		kecho_attrs_put(d->attrs);
		kfree(d);
	}
}

void member_put(struct kecho_member *m)
{
	if (!refcount_dec_and_test(&m->ref))
		return;
	described_free(&m->described);
	kecho_attrs_put(m->attrs);
	kecho_link_put(m->link);
	kecho_channel_put(m->channel);
	kfree(m);
}

static u64 member_key(const struct kecho_link *link, u32 chan)
{
	return (unsigned long)link + chan;
}

/* A reference, or NULL. */
static struct kecho_member *member_find(struct kecho_node *node, const struct kecho_link *link, u32 chan)
{
	struct kecho_member *m;

	spin_lock_bh(&node->map_lock);
	hash_for_each_possible(node->members, m, hash, member_key(link, chan)) {
		if (m->link == link && m->chan == chan) {
			refcount_inc(&m->ref);
			spin_unlock_bh(&node->map_lock);
			return m;
		}
	}
	spin_unlock_bh(&node->map_lock);
	return NULL;
}

bool member_wants(struct kecho_member *m, const char *type, size_t len)
{
	struct kecho_described *d;

	if (m->plain || m->channel->settings.retain)
		return true;
	list_for_each_entry(d, &m->described, node)
		if (!d->type[0] || kecho_type_is(d->type, type, len))
			return true;
	return false;
}

static struct kecho_member *member_add(struct kecho_channel *ch, struct kecho_link *link, u32 chan)
{
	struct kecho_node *node = ch->node;
	struct kecho_member *m;

	if (ch->nmembers >= KECHO_MEMBERS_MAX)
		return NULL;
	m = kzalloc(sizeof(*m), GFP_KERNEL);
	if (!m)
		return NULL;
	refcount_set(&m->ref, 1);
	m->channel = kecho_channel_get(ch);
	m->link = kecho_link_get(link);
	m->id = link->peer_id;
	strscpy(m->name, link->name, sizeof(m->name));
	m->chan = chan;
	m->gen = link->gen;
	INIT_LIST_HEAD(&m->described);
	kecho_flow_init(&m->flow, link);
	spin_lock_bh(&node->map_lock);
	hash_add(node->members, &m->hash, member_key(link, chan));
	spin_unlock_bh(&node->map_lock);
	spin_lock_bh(&ch->lock);
	list_add_tail(&m->node, &ch->members);
	trace_kecho_join(ch, m->id);
	ch->nmembers++;
	spin_unlock_bh(&ch->lock);
	if (ch->settings.rudp)
		kecho_link_want_rudp(link);
	return m;
}

static void member_unlist(struct kecho_member *m)
{
	struct kecho_channel *ch = m->channel;
	struct kecho_node *node = ch->node;

	lockdep_assert_held(&node->cm.lock);
	spin_lock_bh(&node->map_lock);
	hash_del(&m->hash);
	spin_unlock_bh(&node->map_lock);
	spin_lock_bh(&ch->lock);
	WRITE_ONCE(m->gone, true);
	trace_kecho_leave(ch, m->id);
	list_del(&m->node);
	ch->nmembers--;
	spin_unlock_bh(&ch->lock);
	atomic64_add(kecho_flow_destroy(&m->flow), &node->stats.lost_link);
	node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
}

/* The member is gone: if it was the contact, the one that has been here longest takes over. */
static void member_remove(struct kecho_member *m)
{
	struct kecho_channel *ch = kecho_channel_get(m->channel);
	u64 self = ch->node->cm.id, next = self, rank = ch->rank;
	struct kecho_member *o;
	u64 id = m->id;

	member_unlist(m);
	member_put(m);
	channel_awaited(ch, id);
	/* A contact that only others have seen may have gone with them. */
	if (ch->lease.contact == id || (ch->joined && ch->lease.contact != self && !member_by_id(ch, ch->lease.contact))) {
		list_for_each_entry(o, &ch->members, node) {
			if (o->rank < rank || (o->rank == rank && o->id < next)) {
				rank = o->rank;
				next = o->id;
			}
		}
		if (kecho_lease_elect(&ch->lease, self, next)) {
			channel_say_contact(ch);
			channel_due(ch->node, 0);
		} else {
			say_contact(member_by_id(ch, next));
		}
	}
	channel_room_made(ch);
	kecho_channel_put(ch);
}

void channel_leave_members(struct kecho_channel *ch, u64 now)
{
	struct kecho_member *m, *next;
	struct kecho_enc e;

	list_for_each_entry_safe(m, next, &ch->members, node) {
		kecho_flow_drain(&m->flow);
		kecho_enc_start(&e, 4, GFP_KERNEL);
		kecho_enc_u32(&e, ch->chan);
		kecho_link_send(m->link, KECHO_LEAVE, kecho_enc_finish(&e));
		member_unlist(m);
		member_put(m);
	}
}

void members_link_up(struct kecho_node *node, struct kecho_link *link)
{
	struct kecho_channel *ch;
	int b;

	if (!(link->roles & KECHO_ROLE_MEMBER))
		return;
	hash_for_each(node->channels, b, ch, hash)
		channel_say_join(ch, link, JOIN_FIRST);
}

void members_link_down(struct kecho_node *node, struct kecho_link *link, u64 now)
{
	struct kecho_member *m;
	struct hlist_node *next;
	int b;

	/* Only cm.lock holders change the table, so it may be walked without map_lock. */
	lockdep_assert_held(&node->cm.lock);
	hash_for_each_safe(node->members, b, next, m, hash)
		if (m->link == link)
			member_remove(m);
}

/* --- what is heard --- */

static struct kecho_attrs *get_attrs(struct kecho_dec *d)
{
	u16 len = kecho_dec_u16(d);
	const void *p = kecho_dec_bytes(d, len);
	struct kecho_attrs *attrs = NULL;

	if (p && kecho_attrs_decode(p, len, GFP_KERNEL, &attrs))
		d->bad = true;
	return attrs;
}

struct advert {
	u8 role;
	u32 plain;
	u32 ndescribed;
	struct kecho_attrs *attrs;
	struct list_head described;
};

static void advert_free(struct advert *a)
{
	kecho_attrs_put(a->attrs);
	described_free(&a->described);
}

static void get_advert(struct kecho_dec *d, struct advert *a)
{
	struct kecho_described *s;
	u16 n;

	memset(a, 0, sizeof(*a));
	INIT_LIST_HEAD(&a->described);
	a->role = kecho_dec_u8(d);
	a->plain = kecho_dec_u32(d);
	a->attrs = get_attrs(d);
	n = kecho_dec_u16(d);
	if (n > KECHO_DESCRIBED_MAX)
		d->bad = true;
	while (n-- && !d->bad) {
		s = kzalloc(sizeof(*s), GFP_KERNEL);
		if (!s) {
			d->bad = true;
			return;
		}
		list_add_tail(&s->node, &a->described);
		s->sink = kecho_dec_u32(d);
		kecho_dec_name(d, s->type, true);
		s->attrs = get_attrs(d);
		a->ndescribed++;
	}
}

/* Takes over what is in @a. */
static void member_set_advert(struct kecho_member *m, struct advert *a, u64 now)
{
	struct kecho_channel *ch = m->channel;
	LIST_HEAD(old);
	bool same;

	spin_lock_bh(&ch->lock);
	same = m->heard_at && m->role == a->role && m->plain == a->plain && !m->ndescribed && !a->ndescribed &&
	       kecho_attrs_equal(m->attrs, a->attrs);
	m->heard_at = now;
	m->role = a->role;
	m->plain = a->plain;
	m->ndescribed = a->ndescribed;
	swap(m->attrs, a->attrs);
	list_splice_init(&m->described, &old);
	list_splice_init(&a->described, &m->described);
	list_splice_init(&old, &a->described);
	spin_unlock_bh(&ch->lock);
	if (same)
		return;
	/* A blocked publisher may have waited for a sink that is no more. */
	channel_room_made(ch);
	ch->node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
}

static void heard_contact(struct kecho_channel *ch, u64 epoch, u64 contact)
{
	u64 self = ch->node->cm.id, before = ch->lease.contact, was = ch->lease.epoch;
	struct kecho_lease *l = &ch->lease;
	struct kecho_member *m;

	/* One that is joining has claimed nothing yet that it would defend, unless it has been elected meanwhile. */
	if (!ch->joined && before == self && was == 1 && contact && epoch >= was) {
		l->epoch = epoch;
		l->contact = contact;
	} else if (kecho_lease_hear(l, self, epoch, contact)) {
		channel_say_contact(ch);
		channel_due(ch->node, 0);
	} else if (contact && contact != before && epoch == was) {
		/* Two are believed in: who is to raise its epoch may not know. */
		m = member_by_id(ch, l->contact == self ? contact : l->contact);
		if (m)
			say_contact(m);
	}
}

static int heard_join(struct kecho_node *node, struct kecho_link *link, struct kecho_dec *d, u64 now)
{
	struct kecho_push retained = { .flags = KECHO_EVENT_RETAINED, .max = U32_MAX, .policy = KECHO_BLOCK };
	struct kecho_attrs *settings;
	char name[KECHO_NAME_MAX + 1];
	struct kecho_channel *ch;
	struct kecho_member *m;
	struct kecho_link *have;
	struct kecho_addr addr;
	struct retained *r;
	struct advert advert;
	struct kecho_enc e;
	u64 rank, epoch, contact, version, setter, id;
	struct kecho_dec tail;
	u32 chan, yours;
	bool met;
	u16 n;
	u8 reply;

	chan = kecho_dec_u32(d);
	kecho_dec_name(d, name, false);
	reply = kecho_dec_u8(d);
	rank = kecho_dec_u64(d);
	epoch = kecho_dec_count(d);
	contact = kecho_dec_u64(d);
	get_advert(d, &advert);
	version = kecho_dec_count(d);
	setter = kecho_dec_u64(d);
	settings = get_attrs(d);
	n = kecho_dec_u16(d);
	ch = d->bad ? NULL : channel_find(node, name);
	tail = *d;
	kecho_dec_bytes(&tail, (size_t)n * (sizeof(id) + sizeof(addr)));
	yours = kecho_dec_u32(&tail);
	/* A reply to what this node said before it left and came again: that to its coming is on its way. */
	if (ch && reply != JOIN_FIRST && yours != ch->chan) {
		kecho_attrs_put(settings);
		advert_free(&advert);
		return 0;
	}
	if (!ch) {
		kecho_attrs_put(settings);
		advert_free(&advert);
		if (d->bad)
			return -EPROTO;
		/* An answer too: this node has left since it asked, and could not tell one that it did not know yet. */
		kecho_enc_start(&e, 4, GFP_KERNEL);
		kecho_enc_u32(&e, chan);
		kecho_link_send(link, KECHO_ABSENT, kecho_enc_finish(&e));
		return 0;
	}

	m = member_by_id(ch, link->peer_id);
	if (m && m->chan != chan) {
		member_remove(m);
		m = NULL;
	}
	met = m;
	if (!m)
		m = member_add(ch, link, chan);
	if (!m) {
		kecho_attrs_put(settings);
		advert_free(&advert);
		pr_warn("channel %s: cannot take %s as a member: %u are the limit\n", name, link->name, KECHO_MEMBERS_MAX);
		return 0;
	}
	m->rank = rank;
	if (reply != JOIN_FIRST)
		WRITE_ONCE(m->welcome, true);
	member_set_advert(m, &advert, now);
	advert_free(&advert);
	if (settings_adopt(ch, version, setter, settings))
		channel_say_settings(ch);
	heard_contact(ch, epoch, contact);
	while (n-- && !d->bad) {
		id = kecho_dec_u64(d);
		kecho_dec_addr(d, &addr);
		kecho_addr_seen(&addr, link);
		if (d->bad || !id || id == node->cm.id || !addr.port || member_by_id(ch, id))
			continue;
		channel_await(ch, id);
		/* A link that is down may be about to be dropped. */
		have = kecho_cm_find(&node->cm, id);
		if (!have || have->state == KECHO_LINK_DOWN)
			kecho_cm_call(&node->cm, NULL, &addr, now);
	}
	if (reply == JOIN_ANSWER && !met)
		channel_say_join(ch, link, JOIN_AGAIN);
	if (reply == JOIN_FIRST) {
		channel_say_join(ch, link, JOIN_ANSWER);
		retained.chan = ch->chan;
		spin_lock_bh(&ch->lock);
		/* Once: these the flow's queue does not bound. */
		if (!met && ch->lease.contact == node->cm.id)
			list_for_each_entry(r, &ch->retained, node)
				kecho_flow_push(&m->flow, r->msg, &retained);
		spin_unlock_bh(&ch->lock);
	}
	channel_awaited(ch, link->peer_id);
	return d->bad ? -EPROTO : 0;
}

static int heard_absent(struct kecho_node *node, struct kecho_link *link, u32 chan)
{
	struct kecho_channel *ch;
	struct kecho_member *m;
	int b;

	hash_for_each(node->channels, b, ch, hash) {
		if (ch->chan == chan) {
			m = member_by_id(ch, link->peer_id);
			if (m)
				member_remove(m);
			channel_awaited(ch, link->peer_id);
			return 0;
		}
	}
	return 0;
}

static int heard_control(struct kecho_node *node, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	struct kecho_attrs *settings;
	struct kecho_channel *ch;
	struct kecho_member *m;
	struct advert advert;
	struct kecho_dec d;
	u64 a, b, events, bytes;
	u32 chan;

	lockdep_assert_held(&node->cm.lock);
	kecho_dec_start(&d, msg->data, msg->len);
	if (type == KECHO_JOIN)
		return heard_join(node, link, &d, now);
	chan = kecho_dec_u32(&d);
	if (type == KECHO_ABSENT)
		return d.bad ? -EPROTO : heard_absent(node, link, chan);
	m = member_find(node, link, chan);
	/* Unknown ones are no error: our LEAVE may have crossed with this. */
	if (!m)
		return d.bad ? -EPROTO : 0;
	ch = m->channel;
	switch (type) {
	case KECHO_LEAVE:
		member_remove(m);
		break;
	case KECHO_ADVERT:
		get_advert(&d, &advert);
		if (!d.bad)
			member_set_advert(m, &advert, now);
		advert_free(&advert);
		break;
	case KECHO_SETTINGS:
		a = kecho_dec_count(&d);
		b = kecho_dec_u64(&d);
		settings = get_attrs(&d);
		/* Who set them may be out of reach of some member: so everyone says on what is new to it. */
		if (d.bad)
			kecho_attrs_put(settings);
		else if (settings_adopt(ch, a, b, settings))
			channel_say_settings(ch);
		break;
	case KECHO_CONTACT:
		a = kecho_dec_count(&d);
		b = kecho_dec_u64(&d);
		if (!d.bad)
			heard_contact(ch, a, b);
		/* The sender has missed something. */
		if (!d.bad && ch->joined && a < ch->lease.epoch)
			say_contact(m);
		break;
	case KECHO_CREDIT:
		a = kecho_dec_u64(&d);
		b = kecho_dec_u64(&d);
		kecho_flow_given(&m->flow, &events, &bytes);
		if (a > events || b > bytes) {
			d.bad = true;
			break;
		}
		spin_lock_bh(&ch->lock);
		m->consumed = max(m->consumed, a);
		m->consumed_bytes = max(m->consumed_bytes, b);
		spin_unlock_bh(&ch->lock);
		channel_room_made(ch);
		break;
	default:
		d.bad = true;
	}
	member_put(m);
	return d.bad ? -EPROTO : 0;
}

/* An event of a member's has been read, or is as good as read: its publisher's credit. Puts the member. */
static void member_consumed(struct kecho_member *m, u32 bytes)
{
	atomic64_inc(&m->rx_consumed);
	atomic64_add(bytes, &m->rx_consumed_bytes);
	member_tell_credit(m, false);
	member_put(m);
}

/* The last sink has read an event that came from a member. */
static void event_release(struct kecho_msg *msg)
{
	member_consumed(msg->owner, kecho_event_size(msg));
}

/* The next of a member's events of a priority has come, or has expired. -EPROTO: it is none. Context: ch->lock held */
static int member_counts(struct kecho_member *m, const struct kecho_event_prefix *p, u8 prio)
{
	u64 n = le64_to_cpu(p->n), missing, expired;

	if (n <= m->rx_n[prio])
		return -EPROTO;
	missing = n - m->rx_n[prio] - 1;
	expired = min_t(u64, le32_to_cpu(p->expired), missing);
	missing -= expired;
	if (missing)
		trace_kecho_lose(m->channel, m->id, false, missing);
	m->lost += missing;
	m->expired += expired;
	atomic64_add(missing, &m->channel->node->stats.lost_link);
	m->rx_n[prio] = n;
	return 0;
}

static int heard_expired(struct kecho_node *node, struct kecho_link *link, struct kecho_msg *msg)
{
	const struct kecho_event_prefix *p = (const void *)msg->data;
	struct kecho_member *m;
	int err = 0;
	u16 prio;

	if (msg->len < sizeof(*p) || le16_to_cpu(p->flags) > KECHO_PRIO_MAX)
		return -EPROTO;
	prio = le16_to_cpu(p->flags);
	m = member_find(node, link, le32_to_cpu(p->chan));
	if (!m)
		return 0;
	spin_lock_bh(&m->channel->lock);
	/* A retained one has no number, and nobody counts it. */
	if (!m->gone && m->welcome && m->gen == msg->gen && p->n) {
		err = member_counts(m, p, prio);
		m->expired += !err;
	}
	spin_unlock_bh(&m->channel->lock);
	member_consumed(m, le32_to_cpu(p->left_us));
	return err;
}

static int heard_event(struct kecho_node *node, struct kecho_link *link, struct kecho_msg *msg, u64 now)
{
	struct kecho_event_prefix *p = (void *)msg->data;
	struct kecho_channel *ch;
	struct kecho_member *m;
	int err = -EPROTO;

	if (msg->len < sizeof(*p))
		goto out;
	msg->off = sizeof(*p) + le16_to_cpu(p->nsinks) * sizeof(__le32);
	if (kecho_event_check(msg))
		goto out;
	err = 0;
	m = member_find(node, link, le32_to_cpu(p->chan));
	if (!m)
		goto out;
	msg->owner = m;
	msg->release = event_release;
	ch = m->channel;
	if (p->left_us)
		msg->expires = now + (u64)le32_to_cpu(p->left_us) * NSEC_PER_USEC;
	spin_lock_bh(&ch->lock);
	if (m->gone || !m->welcome || m->gen != msg->gen) {
		;
	} else if (le16_to_cpu(p->flags) & KECHO_EVENT_RETAINED) {
		if (ch->settings.retain)
			channel_retain(ch, msg);
	} else {
		err = member_counts(m, p, kecho_event(msg)->prio);
		if (!err) {
			m->received++;
			atomic64_inc(&node->stats.received);
			channel_deliver(ch, msg, (const __le32 *)(p + 1), le16_to_cpu(p->nsinks));
		}
	}
	spin_unlock_bh(&ch->lock);
out:
	kecho_msg_put(msg);
	return err;
}

int channel_record(struct kecho_node *node, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	int err = 0;

	if (type == KECHO_EVENT)
		return heard_event(node, link, msg, now);
	if (type == KECHO_EXPIRED) {
		err = heard_expired(node, link, msg);
		kecho_msg_put(msg);
		return err;
	}
	mutex_lock(&node->cm.lock);
	if (msg->gen == link->gen)
		err = heard_control(node, link, type, msg, now);
	mutex_unlock(&node->cm.lock);
	kecho_msg_put(msg);
	return err;
}
