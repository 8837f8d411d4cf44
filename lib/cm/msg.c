// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include "msg.h"

void kecho_msg_init(struct kecho_msg *msg, u32 len)
{
	refcount_set(&msg->ref, 1);
	msg->len = len;
	msg->off = 0;
	msg->expires = 0;
	msg->gen = 0;
	msg->release = NULL;
	msg->owner = NULL;
}
EXPORT_SYMBOL_GPL(kecho_msg_init);

struct kecho_msg *kecho_msg_alloc(u32 len, gfp_t gfp)
{
	struct kecho_msg *msg = kvmalloc(sizeof(*msg) + len, gfp | __GFP_NOWARN);

	if (msg)
		kecho_msg_init(msg, len);
	return msg;
}
EXPORT_SYMBOL_GPL(kecho_msg_alloc);

struct kecho_msg *kecho_msg_get(struct kecho_msg *msg)
{
	refcount_inc(&msg->ref);
	return msg;
}
EXPORT_SYMBOL_GPL(kecho_msg_get);

void kecho_msg_put(struct kecho_msg *msg)
{
	if (!msg || !refcount_dec_and_test(&msg->ref))
		return;
	if (msg->release)
		msg->release(msg);
	kvfree(msg);
}
EXPORT_SYMBOL_GPL(kecho_msg_put);
