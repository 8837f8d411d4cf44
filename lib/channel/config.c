// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* .node/config: a node's settings. */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "../attr/text.h"
#include "channel.h"

static u32 get_queue(struct kecho_node *n) { return n->queue; }
static void set_queue(struct kecho_node *n, u32 v) { n->queue = v; }
static u32 get_max_event(struct kecho_node *n) { return n->max_event; }
static void set_max_event(struct kecho_node *n, u32 v) { WRITE_ONCE(n->max_event, v); }
static u32 get_heartbeat(struct kecho_node *n) { return div_u64(n->cm.heartbeat, NSEC_PER_MSEC); }
static void set_heartbeat(struct kecho_node *n, u32 v) { n->cm.heartbeat = (u64)v * NSEC_PER_MSEC; }
static u32 get_lease(struct kecho_node *n) { return div_u64(n->registry.lease, NSEC_PER_MSEC); }
static void set_lease(struct kecho_node *n, u32 v) { n->registry.lease = n->group.lease = (u64)v * NSEC_PER_MSEC; }

static const struct number {
	const char *name;
	u32 least, most;
	u32 (*get)(struct kecho_node *node);
	void (*set)(struct kecho_node *node, u32 v);
} numbers[] = {
	{ "queue", 1, KECHO_QUEUE_MAX, get_queue, set_queue },
	{ "max_event", KECHO_EVENT_MIN, KECHO_EVENT_MAX, get_max_event, set_max_event },
	{ "heartbeat", KECHO_HEARTBEAT_MIN_MS, KECHO_HEARTBEAT_MAX_MS, get_heartbeat, set_heartbeat },
	{ "lease", KECHO_LEASE_MIN_MS, KECHO_LEASE_MAX_MS, get_lease, set_lease },
};

static const struct number *number_find(const struct kecho_attr *a)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (strlen(numbers[i].name) == a->name_len && !memcmp(numbers[i].name, a->name, a->name_len))
			return &numbers[i];
	return NULL;
}

int kecho_node_configure(struct kecho_node *node, const char *text, size_t len)
{
	const struct number *n;
	struct kecho_attrs *attrs;
	struct kecho_attr a;
	u32 pos = 0;
	size_t i;
	int err;

	/* Nothing can be removed here. */
	for (i = 0; i < len; i++)
		if (text[i] == '=' && (i + 1 == len || text[i + 1] == '\n'))
			return -EINVAL;
	err = kecho_attrs_merge_text(NULL, text, len, GFP_KERNEL, &attrs);
	while (!err && kecho_attrs_next(attrs, &pos, &a)) {
		n = number_find(&a);
		if (!n) {
			pr_warn_ratelimited("%.*s cannot be set while the node runs\n", a.name_len, a.name);
			err = -EINVAL;
		} else if (a.type != KECHO_ATTR_INT || a.num < n->least || a.num > n->most) {
			pr_warn_ratelimited("%s takes a number from %u to %u\n", n->name, n->least, n->most);
			err = -EINVAL;
		}
	}
	mutex_lock(&node->cm.lock);
	for (pos = 0; !err && kecho_attrs_next(attrs, &pos, &a); )
		number_find(&a)->set(node, a.num);
	if (!err)
		node->cm.ops->due(&node->cm, 0);
	mutex_unlock(&node->cm.lock);
	kecho_attrs_put(attrs);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_node_configure);

void kecho_show_config(struct kecho_text *t, struct kecho_node *node)
{
	char addr[KECHO_ADDR_STRLEN];
	struct kecho_link *link;
	u32 i;

	mutex_lock(&node->cm.lock);
	kecho_text_printf(t, "name=%s\nid=%016llx\nlisten=%s\nregistry=%d\n", node->cm.name, node->cm.id,
			  kecho_addr_str(&node->cm.listen, addr), node->serves);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		kecho_text_printf(t, "%s=%u\n", numbers[i].name, numbers[i].get(node));
	kecho_text_printf(t, "transport=%s\n", node->cm.rudp ? "rudp" : "tcp");
	list_for_each_entry(link, &node->cm.links, node)
		if (link->host)
			kecho_text_printf(t, "%s=%s\n", link->roles & KECHO_ROLE_REGISTRY ? "group" : "peer", link->host);
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_config);
