// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include "msg.h"

struct kecho_msg *kecho_msg_alloc(u32 len, gfp_t gfp)
{
	struct kecho_msg *msg = kvmalloc(sizeof(*msg) + len, gfp | __GFP_NOWARN);

	if (msg)
		kecho_msg_init(msg, len);
	return msg;
}
EXPORT_SYMBOL_GPL(kecho_msg_alloc);

void kecho_msg_free(struct kecho_msg *msg)
{
	if (msg->release)
		msg->release(msg);
	kvfree(msg);
}
EXPORT_SYMBOL_GPL(kecho_msg_free);
