// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The messages of res.h as events: a type each, attributes, and for who reads along these again as a line of text. */
#ifdef __KERNEL__
#include <linux/kernel.h>
#else
#include <stdio.h>
#endif
#include "res.h"

const char * const res_kinds[RES_KINDS] = {
	[RES_REQUEST] = "request", [RES_ACCEPT] = "accept", [RES_RENEW] = "renew", [RES_RELEASE] = "release", [RES_REVOKE] = "revoke",
	[RES_OFFER] = "offer", [RES_GRANT] = "grant", [RES_REFUSE] = "refuse", [RES_RELEASED] = "released", [RES_END] = "end",
	[RES_LIST] = "list", [RES_STATE] = "state", [RES_HELD_BY] = "held",
};

struct text {
	char *buf;
	size_t len;
};

#define put(t, ...) ((t)->len += snprintf((t)->buf + (t)->len, (t)->len < RES_TEXT_MAX ? RES_TEXT_MAX - (t)->len : 0, __VA_ARGS__))

/* In quotes: 16 digits without a letter would be a number. */
static void put_id(struct text *t, const char *name, __u64 id)
{
	if (id)
		put(t, "%s=\"%016llx\"\n", name, (unsigned long long)id);
}

static void put_number(struct text *t, const char *name, __u64 n)
{
	if (n)
		put(t, "%s=%llu\n", name, (unsigned long long)n);
}

int res_publish(struct res_port *port, const struct res_msg *msg)
{
	struct kecho_event event = { .data = port->text, .attrs = port->attrs, .type = res_kinds[msg->kind] };
	struct text t = { .buf = port->text };
	char *p;
	int n;

	/* First, so that none of them hides one of ours. */
	put(&t, "%s", msg->more ? msg->more : "");
	if (msg->kind == RES_OFFER || msg->kind == RES_STATE)
		put(&t, "free=%u\nload=%u.%03u\n", msg->free, msg->load / 1000, msg->load % 1000);
	put_id(&t, "id", msg->id);
	put_id(&t, "manager", msg->manager);
	put_id(&t, "to", msg->node);
	put_number(&t, "stamp", msg->stamp);
	if (msg->name_len)
		put(&t, "resource=\"%.*s\"\n", msg->name_len, msg->name);
	put_number(&t, "amount", msg->amount);
	put_number(&t, "ttl", msg->ttl);
	put_number(&t, "left", msg->left);
	put_id(&t, "lease", msg->lease);
	put_id(&t, "holder", msg->holder);
	put_number(&t, "state", msg->state);
	if (t.len >= RES_TEXT_MAX)
		return -E2BIG;
	n = kecho_attr_encode(port->text, port->attrs, sizeof(port->attrs));
	if (n < 0)
		return n;
	event.attrs_len = n;
	event.len = t.len - 1;
	event.type_len = strlen(event.type);
	for (p = port->text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	return kecho_publish(port->channel, &event, KECHO_NOWAIT);
}

static __u64 get_id(const struct kecho_event *event, const char *name)
{
	struct kecho_attr a;
	__u64 id = 0;
	int i;

	if (!kecho_attr_find(event->attrs, event->attrs_len, name, &a) || a.type != KECHO_ATTR_STRING || a.str_len != 16)
		return 0;
	for (i = 0; i < 16; i++) {
		if (a.str[i] >= '0' && a.str[i] <= '9')
			id = id << 4 | (__u64)(a.str[i] - '0');
		else if (a.str[i] >= 'a' && a.str[i] <= 'f')
			id = id << 4 | (__u64)(a.str[i] - 'a' + 10);
		else
			return 0;
	}
	return id;
}

/* What is too much is 0, which nothing is done with. */
static __u64 get_number(const struct kecho_event *event, const char *name, __u64 max)
{
	struct kecho_attr a;

	if (!kecho_attr_find(event->attrs, event->attrs_len, name, &a) || a.type != KECHO_ATTR_INT || a.num < 0 || (__u64)a.num > max)
		return 0;
	return a.num;
}

bool res_receive(const struct kecho_event *event, struct res_msg *msg)
{
	struct kecho_attr name = { 0 };
	int kind;

	for (kind = 0; kind < RES_KINDS; kind++)
		if (strlen(res_kinds[kind]) == event->type_len && !memcmp(res_kinds[kind], event->type, event->type_len))
			break;
	if (kind == RES_KINDS)
		return false;
	kecho_attr_find(event->attrs, event->attrs_len, "resource", &name);
	*msg = (struct res_msg) {
		.kind = kind, .id = get_id(event, "id"), .manager = get_id(event, "manager"), .node = event->publisher,
		.stamp = get_number(event, "stamp", ~0ull), .name = name.str,
		.name_len = name.type == KECHO_ATTR_STRING && name.str_len <= KECHO_NAME_MAX ? name.str_len : 0,
		.amount = get_number(event, "amount", 0xffffffff), .ttl = get_number(event, "ttl", RES_TTL_MAX),
		.free = get_number(event, "free", 0xffffffff), .left = get_number(event, "left", ~0ull),
		.lease = get_id(event, "lease"), .holder = get_id(event, "holder"),
		.state = get_number(event, "state", RES_ENDING), .attrs = event->attrs, .attrs_len = event->attrs_len,
	};
	return msg->id;
}
