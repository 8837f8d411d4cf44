/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Reliable UDP
 *
 * A connection that carries a link's records in datagrams instead of a byte stream, so that a lost packet holds back only what must come
 * after it. kecho-rudp(7) has the form of the packets. A packet holds *frames*: acknowledgements, and *spans* of records, that is
 * bytes of consecutive records from any offset. Each packet has a number of its own and is never sent again; what was in a lost one
 * goes out anew, read from where the link keeps its records until the peer has taken them. So nothing is copied on the way out, and
 * on the way in bytes go from the packet to the message that they are part of.
 *
 *	records of the link --- kecho_rudp_build() --> packet        recovery.h: what is lost, and when the next may leave
 *	packet --- kecho_rudp_take() --> parts.h: records, put together and in order --> kecho_cm_rx()
 *
 * Handshake. INIT, answered by COOKIE, INIT with the cookie, ACCEPT: whoever opens a connection has shown that it receives at its
 * address before anything is remembered of it, and no answer is longer than what it answers. Then come HELLO and records as on TCP.
 *
 * Order. An event comes after the events of its publisher that are as urgent, and after the control records sent before it; a control
 * record after all that was sent before it. kecho_rec.after says so. What is late keeps nothing else waiting.
 *
 * Path MTU. Packets begin at KECHO_RUDP_MTU_MIN; longer ones are tried, and used when one has been acknowledged (RFC 8899). When
 * several longer ones are lost and none arrives, packets are short again.
 *
 * No I/O and no clock. Locking: all functions of a connection under one lock of the home's, which may sleep. Order: that one, then the
 * link's. The endpoint belongs to the one thread that receives.
 */
#ifndef KECHO_RUDP_H
#define KECHO_RUDP_H
#include <linux/hashtable.h>
#include <linux/siphash.h>
#include "link.h"
#include "parts.h"
#include "recovery.h"

enum kecho_rudp_type {
	KECHO_RUDP_INIT = 1,	/* struct kecho_rudp_init */
	KECHO_RUDP_COOKIE = 2,
	KECHO_RUDP_ACCEPT = 3,
	KECHO_RUDP_DATA = 4,	/* struct kecho_rudp_head, frames */
	KECHO_RUDP_CLOSE = 5,	/* struct kecho_rudp_head; @number as in DATA, so that others cannot make it up */
	KECHO_RUDP_RESET = 6,	/* likewise, but the receiver's: there is no connection @conn here */
};

#define KECHO_RUDP_BYE 1	/* flag of CLOSE: the node leaves */

/**
 * struct kecho_rudp_head - what each packet begins with
 * @conn: the receiver's number of the connection; 0: it has none
 * @span: the sender does not ask any more for packets numbered @number - @span or less; 0 or 0xffff: nothing is said
 */
struct kecho_rudp_head {
	__le32 conn;
	u8 type;
	u8 flags;
	__le16 span;
	__le64 number;
} __packed;

/**
 * struct kecho_rudp_init - the handshake's packets
 * @from: the sender's number of the connection
 * @time, @mac: the cookie: the acceptor's clock in seconds, and SipHash of that, the opener's address and @from
 */
struct kecho_rudp_init {
	struct kecho_rudp_head head;
	__le32 magic;
	u8 version;
	u8 zero[3];
	__le32 from;
	__le32 time;
	__le64 mac;
} __packed;

enum kecho_rudp_frame {
	KECHO_FRAME_PADDING = 0,	/* up to the end of the packet */
	KECHO_FRAME_ACK = 1,		/* struct kecho_frame_ack, @n times struct kecho_frame_range */
	KECHO_FRAME_SPAN = 2,		/* struct kecho_frame_span, @len bytes */
	KECHO_FRAME_HELLO = 3,		/* struct kecho_frame_bytes, a HELLO record */
	KECHO_FRAME_BEAT = 4,		/* struct kecho_frame_bytes, records that are not numbered */
	KECHO_FRAME_PING = 5,		/* one byte; to be acknowledged */
};

/**
 * struct kecho_frame_ack - packets that have arrived
 * @delay_us: since @largest did
 * @done: the last record such that it and all before have been taken
 * Ranges go down from @largest: each is @gap packets that have not arrived (0 in the first), then @len that have.
 */
struct kecho_frame_ack {
	u8 type;
	u8 n;
	__le16 zero;
	__le32 delay_us;
	__le64 largest;
	__le64 done;
} __packed;

struct kecho_frame_range {
	__le32 gap;
	__le32 len;
} __packed;

/**
 * struct kecho_frame_span - bytes of records
 * @len: so many follow
 * @off: where they begin in record @seq, which is @total bytes long, its head included; then those of @seq + 1, and so on
 */
struct kecho_frame_span {
	u8 type;
	u8 zero;
	__le16 len;
	__le32 off;
	__le32 total;
	__le64 seq;
} __packed;

struct kecho_frame_bytes {
	u8 type;
	u8 zero;
	__le16 len;
} __packed;

/* All of a packet but what is in the link's records. */
#define KECHO_RUDP_HEADS (sizeof(struct kecho_rudp_head) + sizeof(struct kecho_frame_ack) + \
			  KECHO_RUDP_RANGES * sizeof(struct kecho_frame_range) + 8 * sizeof(struct kecho_frame_span) + \
			  2 * sizeof(struct kecho_frame_bytes) + KECHO_HELLO_ROOM + KECHO_BEAT_ROOM)
#define KECHO_RUDP_VECS 64

/**
 * struct kecho_rudp_out - a packet to be sent
 * @number: 0: nothing is remembered of it
 * @vec: into @heads and the link's records: valid until kecho_rudp_end()
 */
struct kecho_rudp_out {
	u64 number;
	u32 len;
	int n;
	u32 heads_len;
	struct kvec vec[KECHO_RUDP_VECS];
	u8 heads[KECHO_RUDP_HEADS];
};

/** struct kecho_rudp_end - a node's endpoint; @key is the home's to fill with random bytes; @ids: connections there have been */
struct kecho_rudp_end {
	struct kecho_cm *cm;
	siphash_key_t key;
	DECLARE_HASHTABLE(conns, 8);
	u32 nconns;
	u64 ids;
};

enum kecho_rudp_state {
	KECHO_RUDP_CALLING,	/* INIT goes out until ACCEPT comes */
	KECHO_RUDP_OPEN,
	KECHO_RUDP_CLOSED,	/* not in the endpoint's table any more */
};

/**
 * struct kecho_rudp - a connection, embedded in the home's own structure
 * @id, @peer_id: its numbers, ours and the peer's
 * @accepted: by us; @accept_out: ACCEPT is to be sent
 * @called_at, @call_at, @calls: the opener's INIT, first and next, and how many there have been
 * @arrived: packets received, ranges in ascending order; @floor: those up to here count as received
 * @largest_at: when the last of them did
 * @unacked: packets to be acknowledged; @ack_now: at once, @ack_at: else when; U64_MAX: there is none
 * @wait: what kecho_recovery_wait() said, 0: nothing was held back
 * @mtu_next: the size to be tried next, 0: none; @mtu_at: when; @mtu_tries
 * @hello_in, @hello_acked: HELLO has come; the peer has ours
 * @out_bytes: sent since kecho_rudp_begin()
 * @spare: for the next packet that is to be acknowledged: most calls of kecho_rudp_build() find nothing to send
 */
struct kecho_rudp {
	struct kecho_conn conn;
	struct hlist_node hash;
	struct kecho_rudp_end *end;
	struct kecho_addr addr;
	u32 id, peer_id;
	u8 state;
	bool accepted, accept_out;
	u64 called_at, call_at;
	u32 calls;
	__le32 cookie_time;
	__le64 cookie_mac;
	struct kecho_acked arrived[KECHO_RUDP_RANGES];
	u32 narrived;
	u64 floor, largest_at;
	u32 unacked;
	bool ack_now;
	u64 ack_at;
	u64 wait;
	u32 mtu_next, mtu_tries;
	u64 mtu_at;
	bool hello_in, hello_acked;
	u64 out_bytes;
	struct kecho_sent *spare;
	struct kecho_recovery v;
	struct kecho_parts parts;
};

void kecho_rudp_end_init(struct kecho_rudp_end *end, struct kecho_cm *cm);

/** enum kecho_rudp_verdict - what is to be done with a packet that has arrived at the endpoint */
enum kecho_rudp_verdict {
	KECHO_RUDP_DROP,
	KECHO_RUDP_ANSWER,	/* send the answer to where it came from */
	KECHO_RUDP_NEW,		/* kecho_rudp_accept() a new connection, kecho_cm_accepted() */
	KECHO_RUDP_TAKE,	/* kecho_rudp_take() by *@conn */
};

/**
 * kecho_rudp_sort() - whose is it?
 * @p: the packet, @from: who sent it
 * @answer: filled for KECHO_RUDP_ANSWER, with its length in @answer_len: never more than came
 */
enum kecho_rudp_verdict kecho_rudp_sort(struct kecho_rudp_end *end, const struct kecho_packet *p, const struct kecho_addr *from,
					struct kecho_rudp **conn, struct kecho_rudp_init *answer, u32 *answer_len, u64 now);
/** kecho_rudp_call() - a connection to @to is to be opened; @r is filled with zeros */
void kecho_rudp_call(struct kecho_rudp_end *end, struct kecho_rudp *r, const struct kecho_addr *to, u64 now);
/** kecho_rudp_accept() - the connection that @p asks for */
void kecho_rudp_accept(struct kecho_rudp_end *end, struct kecho_rudp *r, const struct kecho_packet *p, const struct kecho_addr *from,
		       u64 now);
/** kecho_rudp_exit() - frees all but @r; kecho_cm has let go of it */
void kecho_rudp_exit(struct kecho_rudp *r);

/**
 * kecho_rudp_take() - a packet for this connection
 * Return: 0; 1: it is open now, kecho_cm_dialed() it; or -errno: it is over, and the home closes it. Of a connection that cm knows,
 * the home calls kecho_cm_closed() then.
 */
int kecho_rudp_take(struct kecho_rudp *r, const struct kecho_packet *p, u64 now);
/** kecho_rudp_begin() - packets are to be built; what they point to is valid until kecho_rudp_end() */
void kecho_rudp_begin(struct kecho_rudp *r);
void kecho_rudp_end(struct kecho_rudp *r);
/**
 * kecho_rudp_build() - the next packet
 * Return: 1: send it, then kecho_rudp_built(); 0: there is none now; -ETIMEDOUT: nobody answers the call; -ESHUTDOWN: all that was to
 * be said has been, close it
 */
int kecho_rudp_build(struct kecho_rudp *r, struct kecho_rudp_out *out, u64 now);
/**
 * kecho_rudp_built() - it has been sent
 * @err: or not: -EMSGSIZE: it was too long for the path; another: the socket took no more, kecho_rudp_build() again when it does
 */
void kecho_rudp_built(struct kecho_rudp *r, const struct kecho_rudp_out *out, int err, u64 now);
/** kecho_rudp_close() - the packet that tells the peer; none if @out->len is 0 */
void kecho_rudp_close(struct kecho_rudp *r, struct kecho_rudp_out *out);
/** kecho_rudp_due() - when kecho_rudp_build() is wanted if nothing happens before, or U64_MAX */
u64 kecho_rudp_due(const struct kecho_rudp *r);
#endif
