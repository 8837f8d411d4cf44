/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Messages
 *
 * The one buffer that bytes live in, from where they enter the node to where they leave it: a record's body as it arrived,
 * or an event as it was published. All links and sinks share it by reference. Filled by whoever made it, then never changed.
 */
#ifndef KECHO_MSG_H
#define KECHO_MSG_H
#include <asm/barrier.h>
#include <linux/refcount.h>
#include <linux/types.h>

/**
 * struct kecho_msg - a message
 * @len: bytes in @data
 * @off: where the part that all links share begins: behind what an event that arrived had for this link only
 * @expires: by the home's clock, when an event with a deadline is worth nothing any more; 0: it has none
 * @gen: of a record: kecho_link.gen of the session that it came in
 * @release: called when the last reference goes, before the memory does; for the owner's accounting
 * @owner: for @release
 */
struct kecho_msg {
	refcount_t ref;
	u32 len;
	u32 off;
	u64 expires;
	u32 gen;
	void (*release)(struct kecho_msg *msg);
	void *owner;
	u8 data[];
};

/** kecho_msg_alloc() - a message of @len bytes, not filled, one reference. NULL without memory. */
struct kecho_msg *kecho_msg_alloc(u32 len, gfp_t gfp);
/** kecho_msg_init() - what was allocated for as much or more is a new message; nobody has a reference */
static inline void kecho_msg_init(struct kecho_msg *msg, u32 len)
{
	refcount_set(&msg->ref, 1);
	msg->len = len;
	msg->off = 0;
	msg->expires = 0;
	msg->gen = 0;
	msg->release = NULL;
	msg->owner = NULL;
}

static inline struct kecho_msg *kecho_msg_get(struct kecho_msg *msg)
{
	refcount_inc(&msg->ref);
	return msg;
}

/* Is the caller's reference the last one? What others have read of it they have read before. */
static inline bool kecho_msg_unshared(const struct kecho_msg *msg)
{
	bool last = refcount_read(&msg->ref) == 1;

	smp_acquire__after_ctrl_dep();	/* what they have read, then who writes it anew: pairs with their kecho_msg_put() */
	return last;
}

/* For kecho_msg_put(). */
void kecho_msg_free(struct kecho_msg *msg);

/* Context: any that @release allows. */
static inline void kecho_msg_put(struct kecho_msg *msg)
{
	if (msg && refcount_dec_and_test(&msg->ref))
		kecho_msg_free(msg);
}
#endif
