// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "group.h"
#include "registry.h"

void kecho_group_init(struct kecho_group *g, struct kecho_cm *cm, struct kecho_registry *registry,
		      const struct kecho_group_user *user)
{
	g->cm = cm;
	g->registry = registry;
	g->user = user;
	g->lease = registry ? registry->lease : (u64)KECHO_LEASE_MS * NSEC_PER_MSEC;
}
EXPORT_SYMBOL_GPL(kecho_group_init);

/* A suspect one counts: what it is sent arrives when its session is resumed, which nobody hears of; if it ends, up() will tell. */
static bool is_server(const struct kecho_link *link)
{
	return link->state != KECHO_LINK_DOWN && (link->roles & KECHO_ROLE_REGISTRY);
}

bool kecho_group_known(struct kecho_group *g)
{
	struct kecho_link *link;

	lockdep_assert_held(&g->cm->lock);
	if (g->registry)
		return true;
	list_for_each_entry(link, &g->cm->links, node)
		if (is_server(link))
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(kecho_group_known);

void kecho_group_register(struct kecho_group *g, struct kecho_lease *l, u64 now)
{
	struct kecho_holding h = { .contact = g->cm->id, .epoch = l->epoch, .addr = g->cm->listen };
	struct kecho_link *link;
	struct kecho_enc e;

	lockdep_assert_held(&g->cm->lock);
	l->renew_at = now + g->lease / 3;
	if (g->registry && !kecho_registry_register(g->registry, l->name, &h, now))
		g->user->holds(g, l->name, &h, now);
	list_for_each_entry(link, &g->cm->links, node) {
		if (!is_server(link))
			continue;
		kecho_enc_start(&e, 96, GFP_KERNEL);
		kecho_enc_name(&e, l->name);
		kecho_enc_u64(&e, l->epoch);
		kecho_link_send(link, KECHO_REGISTER, kecho_enc_finish(&e));
	}
}
EXPORT_SYMBOL_GPL(kecho_group_register);

void kecho_group_release(struct kecho_group *g, struct kecho_lease *l)
{
	struct kecho_link *link;
	struct kecho_enc e;

	lockdep_assert_held(&g->cm->lock);
	if (l->contact != g->cm->id)
		return;
	if (g->registry)
		kecho_registry_release(g->registry, l->name, g->cm->id);
	list_for_each_entry(link, &g->cm->links, node) {
		if (!is_server(link))
			continue;
		kecho_enc_start(&e, 96, GFP_KERNEL);
		kecho_enc_name(&e, l->name);
		kecho_link_send(link, KECHO_RELEASE, kecho_enc_finish(&e));
	}
}
EXPORT_SYMBOL_GPL(kecho_group_release);

struct list_ctx {
	struct kecho_group *g;
	u32 request;
};

static void list_local(void *arg, const char *name, const struct kecho_holding *h)
{
	struct list_ctx *c = arg;

	c->g->user->listed(c->g, c->request, name, h);
}

bool kecho_group_list(struct kecho_group *g, u32 request, const char *name, u64 now)
{
	struct list_ctx ctx = { g, request };
	struct kecho_link *link;
	struct kecho_enc e;

	lockdep_assert_held(&g->cm->lock);
	if (g->registry) {
		kecho_registry_walk(g->registry, name, now, list_local, &ctx);
		g->user->listed(g, request, NULL, NULL);
		return true;
	}
	list_for_each_entry(link, &g->cm->links, node) {
		if (!is_server(link) || link->state != KECHO_LINK_UP)
			continue;
		kecho_enc_start(&e, 96, GFP_KERNEL);
		kecho_enc_u32(&e, request);
		kecho_enc_name(&e, name);
		kecho_link_send(link, KECHO_LIST, kecho_enc_finish(&e));
		return true;
	}
	return false;
}
EXPORT_SYMBOL_GPL(kecho_group_list);

void kecho_addr_seen(struct kecho_addr *a, const struct kecho_link *link)
{
	static const u8 any[16];
	__be16 port = a->port;

	if (a->family && !memcmp(a->ip, any, sizeof(any))) {
		*a = link->addr;
		a->port = port;
	}
}
EXPORT_SYMBOL_GPL(kecho_addr_seen);

int kecho_group_record(struct kecho_group *g, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	char name[KECHO_NAME_MAX + 1];
	struct kecho_holding h;
	struct kecho_dec d;
	u32 request, lease;
	u16 count;
	u8 more;

	mutex_lock(&g->cm->lock);
	kecho_dec_start(&d, msg->data, msg->len);
	switch (type) {
	case KECHO_HOLDS:
		kecho_dec_name(&d, name, false);
		h.contact = kecho_dec_u64(&d);
		h.epoch = kecho_dec_count(&d);
		kecho_dec_addr(&d, &h.addr);
		lease = kecho_dec_u32(&d);
		if (d.bad)
			break;
		g->lease = (u64)clamp_t(u32, lease, KECHO_LEASE_MIN_MS, KECHO_LEASE_MAX_MS) * NSEC_PER_MSEC;
		kecho_addr_seen(&h.addr, link);
		g->user->holds(g, name, &h, now);
		break;
	case KECHO_LISTING:
		request = kecho_dec_u32(&d);
		more = kecho_dec_u8(&d);
		count = kecho_dec_u16(&d);
		while (count-- && !d.bad) {
			kecho_dec_name(&d, name, false);
			h.contact = kecho_dec_u64(&d);
			h.epoch = kecho_dec_count(&d);
			kecho_dec_addr(&d, &h.addr);
			kecho_addr_seen(&h.addr, link);
			if (!d.bad)
				g->user->listed(g, request, name, &h);
		}
		if (!d.bad && !more)
			g->user->listed(g, request, NULL, NULL);
		break;
	default:
		d.bad = true;
	}
	mutex_unlock(&g->cm->lock);
	return d.bad ? -EPROTO : 0;
}
EXPORT_SYMBOL_GPL(kecho_group_record);

bool kecho_lease_claim(struct kecho_lease *l, u64 self, u64 above)
{
	l->epoch = max(l->epoch, above) + 1;
	l->contact = self;
	l->renew_at = 0;
	l->held = 0;
	return true;
}
EXPORT_SYMBOL_GPL(kecho_lease_claim);

bool kecho_lease_hear(struct kecho_lease *l, u64 self, u64 epoch, u64 contact)
{
	/* Elected by one that does not know this node's claim, or lost a contact that is still seen here. */
	if (contact == self && (epoch > l->epoch || (epoch == l->epoch && l->contact != self)))
		return kecho_lease_claim(l, self, epoch);
	if (!contact || contact == l->contact) {
		l->epoch = max(l->epoch, epoch);
		return false;
	}
	if (epoch > l->epoch) {
		l->epoch = epoch;
		l->contact = contact;
		l->held = 0;
		return false;
	}
	/* Equal epochs: the lower id goes above, the other hears of it. */
	if (epoch == l->epoch && l->contact == self && self < contact)
		return kecho_lease_claim(l, self, epoch);
	if (epoch == l->epoch && l->contact != self && contact < l->contact)
		l->contact = contact;
	/* A newcomer that knows no better is told by the contact, whose epoch is higher. */
	return false;
}
EXPORT_SYMBOL_GPL(kecho_lease_hear);

void kecho_lease_held(struct kecho_lease *l, const struct kecho_holding *h, u64 now)
{
	if (h->epoch < l->epoch)
		return;
	if (!l->held)
		l->held_until = now + (u64)KECHO_JOIN_MS * NSEC_PER_MSEC;
	l->held = h->epoch;
}
EXPORT_SYMBOL_GPL(kecho_lease_held);

bool kecho_lease_elect(struct kecho_lease *l, u64 self, u64 next)
{
	if (next == self)
		return kecho_lease_claim(l, self, l->epoch);
	l->contact = next;
	return false;
}
EXPORT_SYMBOL_GPL(kecho_lease_elect);

bool kecho_lease_tick(struct kecho_group *g, struct kecho_lease *l, u64 now, u64 *due)
{
	bool claimed = false;

	if (l->contact != g->cm->id)
		return false;
	if (l->held && now >= l->held_until)
		claimed = kecho_lease_claim(l, g->cm->id, l->held);
	if (!kecho_group_known(g))
		return claimed;
	if (now >= l->renew_at)
		kecho_group_register(g, l, now);
	*due = min(*due, l->renew_at);
	if (l->held)
		*due = min(*due, l->held_until);
	return claimed;
}
EXPORT_SYMBOL_GPL(kecho_lease_tick);
