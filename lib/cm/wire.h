/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: What travels on a link
 *
 * A link is a sequence of records: &struct kecho_rec and @len bytes of body. Everything is little-endian, ports and IP
 * addresses excepted (network order). Bodies other than an event's are read and written with &struct kecho_dec and
 * &struct kecho_enc, field by field as the comment at each type says; "name" is u8 length and bytes, "addr" is
 * u8 family (0 none, 4, 6), be16 port, 16 bytes. Fields may be added at the end of a body: readers ignore what they don't know.
 */
#ifndef KECHO_WIRE_H
#define KECHO_WIRE_H
#include <asm/byteorder.h>
#include <linux/types.h>
#include <kecho/limits.h>
#include "msg.h"

#define KECHO_MAGIC 0x4f48434b	/* "KCHO" */
#define KECHO_VERSION_MIN 1
#define KECHO_VERSION_MAX 1

enum kecho_rec_type {
	/* Not numbered (seq 0): they concern the connection that carries them. */
	KECHO_HELLO = 1,	/* see struct kecho_hello */
	KECHO_BYE = 2,		/* empty: the sender leaves, its members are gone */
	KECHO_PING = 3,		/* u64 the sender's clock */
	KECHO_PONG = 4,		/* the same back */
	KECHO_ACK = 5,		/* empty: the header says it */
	/* To and from the group server; numbered, like all below. See lib/group/group.h. */
	KECHO_REGISTER = 16,	/* name, u64 epoch */
	KECHO_RELEASE = 17,	/* name */
	KECHO_HOLDS = 18,	/* name, u64 contact, u64 epoch, addr, u32 lease_ms */
	KECHO_LIST = 19,	/* u32 request, name or empty (all) */
	KECHO_LISTING = 20,	/* u32 request, u8 more, u16 count, count x (name, u64 contact, u64 epoch, addr) */
	/* Between members; u32 chan is the sender's number of the channel. See lib/channel/member.c. */
	KECHO_JOIN = 32,	/* u32 chan, name, u8 reply, u64 rank, u64 epoch, u64 contact, advert, settings, u16 count,
				   count x (u64 id, addr) other members, u32 the receiver's chan if it is a reply */
	KECHO_LEAVE = 33,	/* u32 chan */
	KECHO_ADVERT = 34,	/* u32 chan, advert: u8 role, u32 plain sinks, u16 bytes attributes, u16 count,
				   count x (u32 sink, name type or empty, u16 bytes attributes) */
	KECHO_SETTINGS = 35,	/* u32 chan, settings: u64 version, u64 setter, u16 bytes attributes */
	KECHO_CONTACT = 36,	/* u32 chan, u64 epoch, u64 contact */
	KECHO_CREDIT = 37,	/* u32 chan, u64 events, u64 bytes: consumed since the join */
	KECHO_ABSENT = 38,	/* u32 chan of the asker: this node is not on that channel */
	KECHO_EVENT = 39,	/* struct kecho_event_prefix, sinks, struct kecho_event_wire, type, attributes, payload */
	KECHO_EXPIRED = 40,	/* struct kecho_event_prefix of an event that was past its deadline before it had arrived;
				   @flags its priority, @left_us its bytes without a prefix */
};

/**
 * struct kecho_rec - what stands before each record
 * @len: bytes of body
 * @after: of an event that may overtake others on a transport that keeps no order: it comes after record @seq - @after and those that
 *	that one comes after; 0: after all before
 * @seq: the session's number of this record, from 1; 0 where not numbered
 * @ack: the last record such that the sender has received it and all before
 */
struct kecho_rec {
	__le32 len;
	u8 type;
	u8 flags;
	__le16 after;
	__le64 seq;
	__le64 ack;
} __packed;

/**
 * struct kecho_event_prefix - the part of an event that differs from link to link
 * @chan: the sender's number of the channel
 * @nsinks: so many __le32 numbers of described sinks follow; 0: all that the event's type suits
 * @flags: KECHO_EVENT_RETAINED
 * @n: the number of this event among those of its priority meant for this member, so that a gap is a loss
 * @left_us: microseconds left to its deadline when it was numbered, 0: it has none
 * @expired: how many of those that a gap before @n is of were past their deadlines: the others are lost
 */
struct kecho_event_prefix {
	__le32 chan;
	__le16 nsinks;
	__le16 flags;
	__le64 n;
	__le32 left_us;
	__le32 expired;
} __packed;

#define KECHO_EVENT_RETAINED 1	/* from a member's retained events, to one that joins: stored, not delivered; @n is 0 */

/**
 * struct kecho_event_wire - an event, encoded once and the same on all links; type, attributes and payload follow
 * @origin: the publisher's node
 * @seq: its number of this event on the channel, from 1
 * @time_ns: CLOCK_REALTIME when it was published
 * @deadline_us: after that, or 0
 */
struct kecho_event_wire {
	__le64 origin;
	__le64 seq;
	__le64 time_ns;
	__le32 deadline_us;
	u8 prio;
	u8 type_len;
	__le16 attrs_len;
	u8 bytes[];
} __packed;

/**
 * struct kecho_addr - where a node listens
 * @family: 0 (none), 4 or 6
 * @port: network order
 */
struct kecho_addr {
	u8 family;
	__be16 port;
	u8 ip[16];
} __packed;

#define KECHO_ADDR_STRLEN 56
/** kecho_addr_str() - "1.2.3.4:7325", "[1:2:..]:7325", "-"; returns @buf, of KECHO_ADDR_STRLEN bytes */
const char *kecho_addr_str(const struct kecho_addr *a, char *buf);
bool kecho_addr_equal(const struct kecho_addr *a, const struct kecho_addr *b);

/**
 * struct kecho_enc - writes a body
 * @err: -ENOMEM or -E2BIG once something failed; looked at once, by kecho_enc_finish()
 */
struct kecho_enc {
	struct kecho_msg *msg;
	u32 cap;
	int err;
};

/* @cap: the most bytes it may get. Context: as @gfp says. */
void kecho_enc_start(struct kecho_enc *e, u32 cap, gfp_t gfp);
/** kecho_enc_finish() - the body, a new reference; NULL if anything failed */
struct kecho_msg *kecho_enc_finish(struct kecho_enc *e);
void kecho_enc_bytes(struct kecho_enc *e, const void *p, size_t len);
void kecho_enc_u8(struct kecho_enc *e, u8 v);
void kecho_enc_u16(struct kecho_enc *e, u16 v);
void kecho_enc_u32(struct kecho_enc *e, u32 v);
void kecho_enc_u64(struct kecho_enc *e, u64 v);
void kecho_enc_name(struct kecho_enc *e, const char *name);
void kecho_enc_addr(struct kecho_enc *e, const struct kecho_addr *a);

/**
 * struct kecho_dec - reads a body
 * @bad: something was missing or malformed; what is read after that is 0 or empty
 */
struct kecho_dec {
	const u8 *p, *end;
	bool bad;
};

void kecho_dec_start(struct kecho_dec *d, const void *p, size_t len);
const void *kecho_dec_bytes(struct kecho_dec *d, size_t len);
u8 kecho_dec_u8(struct kecho_dec *d);
u16 kecho_dec_u16(struct kecho_dec *d);
u32 kecho_dec_u32(struct kecho_dec *d);
u64 kecho_dec_u64(struct kecho_dec *d);
/** kecho_dec_count() - a u64 that is counted up from: one so large that it would wrap is malformed */
u64 kecho_dec_count(struct kecho_dec *d);
/** kecho_dec_name() - a valid name into @name (KECHO_NAME_MAX + 1 bytes); an empty one only if @empty */
void kecho_dec_name(struct kecho_dec *d, char *name, bool empty);
void kecho_dec_addr(struct kecho_dec *d, struct kecho_addr *a);
#endif
