/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Events
 *
 * An event is a &struct kecho_msg whose shared part (from msg->off) is a &struct kecho_event_wire with its type, attributes and
 * payload behind it: the form in which it is published, queued, sent, received and read. Immutable once published.
 */
#ifndef KECHO_EVENT_H
#define KECHO_EVENT_H
#include <linux/errno.h>
#include <linux/string.h>
#include "../attr/attr.h"
#include "../cm/wire.h"

static inline struct kecho_event_wire *kecho_event(const struct kecho_msg *msg)
{
	return (struct kecho_event_wire *)(msg->data + msg->off);
}

static inline const char *kecho_event_type(const struct kecho_msg *msg)
{
	return (const char *)kecho_event(msg)->bytes;
}

static inline const u8 *kecho_event_attrs(const struct kecho_msg *msg)
{
	return kecho_event(msg)->bytes + kecho_event(msg)->type_len;
}

static inline u8 *kecho_event_payload(const struct kecho_msg *msg)
{
	return kecho_event(msg)->bytes + kecho_event(msg)->type_len + le16_to_cpu(kecho_event(msg)->attrs_len);
}

static inline u32 kecho_event_payload_len(const struct kecho_msg *msg)
{
	return msg->data + msg->len - kecho_event_payload(msg);
}

/* What links and sinks count of it. */
static inline u32 kecho_event_size(const struct kecho_msg *msg)
{
	return msg->len - msg->off;
}

static inline bool kecho_type_is(const char *name, const char *type, size_t len)
{
	return !strncmp(type, name, len) && !name[len];
}

static inline bool kecho_event_is_type(const struct kecho_msg *msg, const char *name)
{
	return kecho_type_is(name, kecho_event_type(msg), kecho_event(msg)->type_len);
}

/**
 * kecho_event_alloc() - an event to be filled in and published
 * @type: a name, or "" for none
 * @attrs: its attributes or NULL; not kept
 * @len: bytes of payload, to be written to kecho_event_payload()
 * Return: one reference, or NULL without memory. Context: as @gfp says.
 */
struct kecho_msg *kecho_event_alloc(const char *type, const struct kecho_attrs *attrs, u32 len, gfp_t gfp);

/** kecho_event_make() - likewise, of a type that is not terminated, and of encoded attributes */
struct kecho_msg *kecho_event_make(const char *type, u8 type_len, const void *attrs, u16 attrs_len, u32 len, gfp_t gfp);
/** kecho_event_begin() - likewise, in a message of the length of all of it */
static inline void kecho_event_begin(struct kecho_msg *msg, const char *type, u8 type_len, const void *attrs, u16 attrs_len)
{
	struct kecho_event_wire *ev = kecho_event(msg);

	memset(ev, 0, sizeof(*ev));
	ev->type_len = type_len;
	ev->attrs_len = cpu_to_le16(attrs_len);
	if (type_len)
		memcpy(ev->bytes, type, type_len);
	if (attrs_len)
		memcpy(ev->bytes + type_len, attrs, attrs_len);
}

/** kecho_event_view() - what the API shows of it; @lost and @flags are left 0 */
void kecho_event_view(struct kecho_event *ev, struct kecho_msg *msg);

/** kecho_event_check() - is this a well-formed event, from msg->off on? -EBADMSG, -E2BIG. Context: any */
static inline int kecho_event_check(const struct kecho_msg *msg)
{
	const struct kecho_event_wire *ev;
	u32 left = msg->len - msg->off;

	if (msg->off > msg->len || left < sizeof(*ev))
		return -EBADMSG;
	ev = kecho_event(msg);
	left -= sizeof(*ev);
	if (ev->prio > KECHO_PRIO_MAX || ev->type_len > left || le16_to_cpu(ev->attrs_len) > left - ev->type_len)
		return -EBADMSG;
	if (ev->type_len && !kecho_name_valid((const char *)ev->bytes, ev->type_len))
		return -EBADMSG;
	return kecho_attrs_check(kecho_event_attrs(msg), le16_to_cpu(ev->attrs_len));
}
#endif
