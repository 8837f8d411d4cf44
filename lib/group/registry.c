// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "group.h"
#include "registry.h"

struct entry {
	struct hlist_node node;
	struct kecho_holding h;
	u64 expires;
	char name[KECHO_NAME_MAX + 1];
};

u32 kecho_name_hash(const char *name)
{
	u32 h = 2166136261u;	/* FNV-1a */

	while (*name)
		h = (h ^ (u8)*name++) * 16777619u;
	return h;
}
EXPORT_SYMBOL_GPL(kecho_name_hash);

void kecho_registry_init(struct kecho_registry *r, struct kecho_cm *cm, u64 lease)
{
	memset(r, 0, sizeof(*r));
	r->cm = cm;
	r->lease = lease;
	hash_init(r->names);
}
EXPORT_SYMBOL_GPL(kecho_registry_init);

static void entry_free(struct kecho_registry *r, struct entry *e)
{
	hash_del(&e->node);
	r->count--;
	kfree(e);
}

void kecho_registry_exit(struct kecho_registry *r)
{
	struct hlist_node *next;
	struct entry *e;
	int b;

	hash_for_each_safe(r->names, b, next, e, node)
		entry_free(r, e);
}
EXPORT_SYMBOL_GPL(kecho_registry_exit);

static struct entry *entry_find(struct kecho_registry *r, const char *name)
{
	struct entry *e;

	hash_for_each_possible(r->names, e, node, kecho_name_hash(name))
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

int kecho_registry_register(struct kecho_registry *r, const char *name, struct kecho_holding *h, u64 now)
{
	struct entry *e = entry_find(r, name);

	lockdep_assert_held(&r->cm->lock);
	if (!e) {
		if (r->count >= KECHO_REGISTRY_MAX)
			return -ENOSPC;
		e = kzalloc(sizeof(*e), GFP_KERNEL);
		if (!e)
			return -ENOMEM;
		strscpy(e->name, name, sizeof(e->name));
		hash_add(r->names, &e->node, kecho_name_hash(name));
		if (!r->count++)
			r->cm->ops->due(r->cm, now + r->lease);
		if (!r->sweep_at)
			r->sweep_at = now + r->lease;
	}
	if (e->h.contact == h->contact || now >= e->expires || h->epoch > e->h.epoch) {
		e->h = *h;
		e->expires = now + r->lease;
	}
	*h = e->h;
	return 0;
}

void kecho_registry_release(struct kecho_registry *r, const char *name, u64 contact)
{
	struct entry *e = entry_find(r, name);

	lockdep_assert_held(&r->cm->lock);
	if (e && e->h.contact == contact)
		entry_free(r, e);
}

void kecho_registry_walk(struct kecho_registry *r, const char *name, u64 now,
			 void (*fn)(void *arg, const char *name, const struct kecho_holding *h), void *arg)
{
	struct entry *e;
	int b;

	lockdep_assert_held(&r->cm->lock);
	hash_for_each(r->names, b, e, node)
		if (now < e->expires && (!name[0] || !strcmp(name, e->name)))
			fn(arg, e->name, &e->h);
}

/* One page of a listing. */
struct listing_page {
	struct kecho_link *link;
	struct kecho_enc e;
	u32 request;
	u16 count;
};

#define PAGE_BYTES 16384
#define PAGE_HEAD 7	/* u32 request, u8 more, u16 count */

static void page_start(struct listing_page *p)
{
	kecho_enc_start(&p->e, PAGE_BYTES, GFP_KERNEL);
	kecho_enc_u32(&p->e, p->request);
	kecho_enc_u8(&p->e, 0);
	kecho_enc_u16(&p->e, 0);
	p->count = 0;
}

static void page_send(struct listing_page *p, bool more)
{
	struct kecho_msg *msg = kecho_enc_finish(&p->e);
	__le16 count = cpu_to_le16(p->count);

	if (msg) {
		msg->data[4] = more;
		memcpy(msg->data + 5, &count, sizeof(count));
	}
	kecho_link_send(p->link, KECHO_LISTING, msg);
}

static void page_add(void *arg, const char *name, const struct kecho_holding *h)
{
	struct listing_page *p = arg;

	if (!p->e.err && p->e.msg->len + 1 + KECHO_NAME_MAX + 16 + sizeof(h->addr) > PAGE_BYTES) {
		page_send(p, true);
		page_start(p);
	}
	kecho_enc_name(&p->e, name);
	kecho_enc_u64(&p->e, h->contact);
	kecho_enc_u64(&p->e, h->epoch);
	kecho_enc_addr(&p->e, &h->addr);
	p->count++;
}

int kecho_registry_record(struct kecho_registry *r, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	char name[KECHO_NAME_MAX + 1];
	struct kecho_holding h = { 0 };
	struct kecho_enc e;
	struct kecho_dec d;
	struct listing_page page;
	int err = 0;

	mutex_lock(&r->cm->lock);
	kecho_dec_start(&d, msg->data, msg->len);
	switch (type) {
	case KECHO_REGISTER:
		kecho_dec_name(&d, name, false);
		h.epoch = kecho_dec_count(&d);
		h.contact = link->peer_id;
		h.addr = link->addr;
		if (d.bad)
			break;
		err = kecho_registry_register(r, name, &h, now);
		if (err) {
			/* It asks again when it would renew; the count is in the log of who runs the server. */
			pr_warn("cannot register channel %s of %s: %s\n", name, link->name,
				err == -ENOSPC ? "the registry is full" : "no memory");
			err = 0;
			break;
		}
		kecho_enc_start(&e, 128, GFP_KERNEL);
		kecho_enc_name(&e, name);
		kecho_enc_u64(&e, h.contact);
		kecho_enc_u64(&e, h.epoch);
		kecho_enc_addr(&e, &h.addr);
		kecho_enc_u32(&e, div_u64(r->lease, NSEC_PER_MSEC));
		kecho_link_send(link, KECHO_HOLDS, kecho_enc_finish(&e));
		break;
	case KECHO_RELEASE:
		kecho_dec_name(&d, name, false);
		if (!d.bad)
			kecho_registry_release(r, name, link->peer_id);
		break;
	case KECHO_LIST:
		page.link = link;
		page.request = kecho_dec_u32(&d);
		kecho_dec_name(&d, name, true);
		if (d.bad)
			break;
		page_start(&page);
		kecho_registry_walk(r, name, now, page_add, &page);
		page_send(&page, false);
		break;
	default:
		d.bad = true;
	}
	mutex_unlock(&r->cm->lock);
	return d.bad ? -EPROTO : err;
}
EXPORT_SYMBOL_GPL(kecho_registry_record);

void kecho_registry_tick(struct kecho_registry *r, u64 now)
{
	struct hlist_node *next;
	struct entry *e;
	int b;

	mutex_lock(&r->cm->lock);
	if (r->sweep_at && now >= r->sweep_at) {
		hash_for_each_safe(r->names, b, next, e, node)
			if (now >= e->expires)
				entry_free(r, e);
		r->sweep_at = r->count ? now + r->lease : 0;
	}
	if (r->sweep_at)
		r->cm->ops->due(r->cm, r->sweep_at);
	mutex_unlock(&r->cm->lock);
}
EXPORT_SYMBOL_GPL(kecho_registry_tick);
