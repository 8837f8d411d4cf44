// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* lb.h's messages as events: a type, and attributes that filters can use (least: n; reply: to; dedup: re). */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <stdio.h>
#include <string.h>
#endif
#include "lb.h"

static const char *const types[LB_TYPES] = {
	[LB_ASK] = "ask",
	[LB_REQUEST] = "request",
	[LB_TAKEN] = "taken",
	[LB_STARTED] = "started",
	[LB_READY] = "ready",
	[LB_DECLINED] = "declined",
	[LB_ANSWER] = "answer",
	[LB_FAILED] = "failed",
	[LB_GO] = "go",
	[LB_STOP] = "stop",
};

/* An answer says what it is to by a name of its own: only the first of those is to pass dedup. */
static const char *id_name(enum lb_type type)
{
	return type <= LB_REQUEST ? "id" : type == LB_ANSWER ? "re" : "of";
}

int lb_encode(const struct lb_msg *msg, void *attrs, struct kecho_event *event)
{
	char lines[LB_ATTRS_MAX];
	int n, len;

	n = snprintf(lines, sizeof(lines), "%s=%lld\n", id_name(msg->type), (long long)msg->id);
	if (msg->by)
		n += snprintf(lines + n, sizeof(lines) - n, "by=%lld\n", (long long)msg->by);
	if (msg->node)
		n += snprintf(lines + n, sizeof(lines) - n, "to=\"%016llx\"\n", (unsigned long long)msg->node);
	if (msg->at)
		n += snprintf(lines + n, sizeof(lines) - n, "at=%lld\n", (long long)msg->at);
	if (msg->attempt)
		n += snprintf(lines + n, sizeof(lines) - n, "attempt=%u\n", msg->attempt);
	if (msg->n)
		n += snprintf(lines + n, sizeof(lines) - n, "n=%u\n", msg->n);
	if (msg->status)
		n += snprintf(lines + n, sizeof(lines) - n, "status=%d\n", msg->status);
	if (msg->once)
		n += snprintf(lines + n, sizeof(lines) - n, "once=1\n");
	if (msg->ready)
		n += snprintf(lines + n, sizeof(lines) - n, "ready=1\n");
	if (msg->cancel)
		n += snprintf(lines + n, sizeof(lines) - n, "cancel=1\n");
	len = kecho_attr_encode(lines, attrs, LB_ATTRS_MAX);
	if (len < 0)
		return len;
	memset(event, 0, sizeof(*event));
	event->type = types[msg->type];
	event->type_len = strlen(event->type);
	event->attrs = attrs;
	event->attrs_len = len;
	event->data = msg->data;
	event->len = msg->len;
	return 0;
}

static __s64 number(const struct kecho_event *event, const char *name)
{
	struct kecho_attr attr;

	if (!kecho_attr_find(event->attrs, event->attrs_len, name, &attr) || attr.type != KECHO_ATTR_INT)
		return 0;
	return attr.num;
}

static __u32 small(const struct kecho_event *event, const char *name)
{
	__s64 num = number(event, name);

	return num < 0 ? 0 : num > 0x7fffffff ? 0x7fffffff : num;
}

bool lb_decode(const struct kecho_event *event, struct lb_msg *msg)
{
	memset(msg, 0, sizeof(*msg));
	while (msg->type < LB_TYPES && (strlen(types[msg->type]) != event->type_len ||
					memcmp(types[msg->type], event->type, event->type_len)))
		msg->type++;
	if (msg->type == LB_TYPES)
		return false;
	msg->id = number(event, id_name(msg->type));
	msg->by = number(event, "by");
	msg->node = event->publisher;
	msg->at = number(event, "at");
	msg->attempt = small(event, "attempt");
	msg->n = small(event, "n");
	msg->status = number(event, "status");
	msg->once = number(event, "once") == 1;
	msg->ready = number(event, "ready") == 1;
	msg->cancel = number(event, "cancel") == 1;
	msg->local = event->flags & KECHO_FRAME_LOCAL;
	msg->data = event->data;
	msg->len = event->len;
	return msg->id;
}
