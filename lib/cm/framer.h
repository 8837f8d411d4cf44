/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Records out of a byte stream
 *
 * What a stream transport has read goes in here and comes out as records at kecho_cm_rx(). The rest of a long record can be
 * read straight to where it will stay: one copy from the socket to the queue.
 */
#ifndef KECHO_FRAMER_H
#define KECHO_FRAMER_H
#include "link.h"

/** struct kecho_framer - the record that is arriving: @rec_have bytes of its head, then @msg_have bytes of its body */
struct kecho_framer {
	struct kecho_rec rec;
	u32 rec_have;
	struct kecho_msg *msg;
	u32 msg_have;
};

/**
 * kecho_framer_take() - bytes have been read
 * Return: 0; otherwise the connection is to be closed. Context: process
 */
int kecho_framer_take(struct kecho_framer *f, struct kecho_conn *conn, const void *data, size_t len, u64 now);
/** kecho_framer_room() - where to read the rest of the current record to, or NULL if less than @least bytes of it are missing */
void *kecho_framer_room(struct kecho_framer *f, size_t least, size_t *len);
/** kecho_framer_filled() - @len bytes have been read to kecho_framer_room(). Return: like kecho_framer_take() */
int kecho_framer_filled(struct kecho_framer *f, struct kecho_conn *conn, size_t len, u64 now);
/** kecho_framer_amid() - has a part of a record been read? */
static inline bool kecho_framer_amid(const struct kecho_framer *f)
{
	return f->msg || f->rec_have;
}
void kecho_framer_exit(struct kecho_framer *f);
#endif
