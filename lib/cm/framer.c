// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "framer.h"

static int framer_done(struct kecho_framer *f, struct kecho_conn *conn, u64 now)
{
	struct kecho_msg *msg = f->msg;

	f->msg = NULL;
	f->rec_have = 0;
	return kecho_cm_rx(conn, &f->rec, msg, now);
}

static int framer_begin(struct kecho_framer *f, struct kecho_conn *conn)
{
	int len = kecho_cm_rx_check(conn, &f->rec);

	if (len < 0) {
		/* As a record of no type, so that the core counts and says what the peer did. */
		f->rec.type = 0;
		f->rec.seq = 0;
		len = 0;
	}
	f->msg = kecho_msg_alloc(len, GFP_KERNEL);
	f->msg_have = 0;
	return f->msg ? 0 : -ENOMEM;
}

int kecho_framer_take(struct kecho_framer *f, struct kecho_conn *conn, const void *data, size_t len, u64 now)
{
	const u8 *p = data;
	size_t n;
	int err;

	kecho_cm_rx_alive(conn, now);
	while (len) {
		if (!f->msg) {
			n = min_t(size_t, len, sizeof(f->rec) - f->rec_have);
			memcpy((u8 *)&f->rec + f->rec_have, p, n);
			f->rec_have += n;
			p += n;
			len -= n;
			if (f->rec_have < sizeof(f->rec))
				break;
			err = framer_begin(f, conn);
			if (err)
				return err;
		}
		n = min_t(size_t, len, f->msg->len - f->msg_have);
		memcpy(f->msg->data + f->msg_have, p, n);
		f->msg_have += n;
		p += n;
		len -= n;
		if (f->msg_have == f->msg->len) {
			err = framer_done(f, conn, now);
			if (err)
				return err;
		}
	}
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_framer_take);

void *kecho_framer_room(struct kecho_framer *f, size_t least, size_t *len)
{
	if (!f->msg || f->msg->len - f->msg_have < least)
		return NULL;
	*len = f->msg->len - f->msg_have;
	return f->msg->data + f->msg_have;
}
EXPORT_SYMBOL_GPL(kecho_framer_room);

int kecho_framer_filled(struct kecho_framer *f, struct kecho_conn *conn, size_t len, u64 now)
{
	kecho_cm_rx_alive(conn, now);
	f->msg_have += len;
	return f->msg_have == f->msg->len ? framer_done(f, conn, now) : 0;
}
EXPORT_SYMBOL_GPL(kecho_framer_filled);

void kecho_framer_exit(struct kecho_framer *f)
{
	kecho_msg_put(f->msg);
	f->msg = NULL;
}
EXPORT_SYMBOL_GPL(kecho_framer_exit);
