// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/export.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "event.h"

struct kecho_msg *kecho_event_make(const char *type, u8 type_len, const void *attrs, u16 attrs_len, u32 len, gfp_t gfp)
{
	struct kecho_msg *msg = kecho_msg_alloc(sizeof(struct kecho_event_wire) + type_len + attrs_len + len, gfp);

	if (msg)
		kecho_event_begin(msg, type, type_len, attrs, attrs_len);
	return msg;
}
EXPORT_SYMBOL_GPL(kecho_event_make);

struct kecho_msg *kecho_event_alloc(const char *type, const struct kecho_attrs *attrs, u32 len, gfp_t gfp)
{
	return kecho_event_make(type, strlen(type), attrs ? attrs->data : NULL, attrs ? attrs->len : 0, len, gfp);
}
EXPORT_SYMBOL_GPL(kecho_event_alloc);

void kecho_event_view(struct kecho_event *ev, struct kecho_msg *msg)
{
	const struct kecho_event_wire *w = kecho_event(msg);

	*ev = (struct kecho_event) {
		.data = kecho_event_payload(msg),
		.type = kecho_event_type(msg),
		.attrs = kecho_event_attrs(msg),
		.len = kecho_event_payload_len(msg),
		.attrs_len = le16_to_cpu(w->attrs_len),
		.type_len = w->type_len,
		.prio = w->prio,
		.deadline_us = le32_to_cpu(w->deadline_us),
		.publisher = le64_to_cpu(w->origin),
		.seq = le64_to_cpu(w->seq),
		.time_ns = le64_to_cpu(w->time_ns),
		.msg = msg,
	};
}
EXPORT_SYMBOL_GPL(kecho_event_view);
