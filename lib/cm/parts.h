/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Records out of datagrams
 *
 * Bytes of records come in any order, some of them twice. Here records are put together, straight into the message that they will
 * be, and handed to kecho_cm_rx() when what must come before them has. Memory is bounded by KECHO_PARTS_MAX and KECHO_PARTS_BYTES, which
 * hold all that a link may have unacknowledged.
 */
#ifndef KECHO_PARTS_H
#define KECHO_PARTS_H
#include <linux/hashtable.h>
#include "link.h"

/**
 * struct kecho_packet - a datagram that has arrived
 * @copy: @len bytes at @off of it, which are there, to @to
 */
struct kecho_packet {
	u32 len;
	void (*copy)(const struct kecho_packet *p, u32 off, void *to, u32 len);
};

/**
 * struct kecho_parts - records that wait for a part of themselves, or for another record
 * @whole: the latter, by their numbers
 */
struct kecho_parts {
	struct kecho_conn *conn;
	DECLARE_HASHTABLE(table, 8);
	struct list_head whole;
	u32 n, bytes;
};

void kecho_parts_init(struct kecho_parts *p, struct kecho_conn *conn);
void kecho_parts_exit(struct kecho_parts *p);
/**
 * kecho_parts_take() - bytes of records
 * @seq, @off, @total: of the first; the others begin at their heads
 * @pos, @len: where they are in @pkt
 * Return: 0; -EAGAIN: there is no room, the packet has not been received; -EPROTO: malformed; or what kecho_cm_rx() says
 */
int kecho_parts_take(struct kecho_parts *p, u64 seq, u32 off, u32 total, const struct kecho_packet *pkt, u32 pos, u32 len, u64 now);
#endif
