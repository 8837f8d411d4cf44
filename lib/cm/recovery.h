/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Loss recovery and congestion control of reliable UDP
 *
 * What is known of the packets on their way: when each left and what was in it; from acknowledgements, the round trip time, what is
 * lost, and how much may be under way. RTT, loss detection and the probe timeout are RFC 9002's (sections 5 and 6), congestion control
 * is its NewReno (section 7) with one change: after a loss the window becomes what the path was seen to deliver in a round trip without
 * queues, as TCP Westwood+ does (Grieco, Mascolo, "Performance evaluation and comparison of Westwood+, New Reno, and Vegas TCP
 * congestion control", CCR 2004), though no less than NewReno's half: a loss without a queue does not empty the path.
 *
 * While events of several priorities go by the connection, the less urgent ones are to leave no queue in the path, in which the
 * others would wait. Then the window is held as by TCP Vegas (Brakmo, Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global
 * Internet", 1995): each round trip it is known from how much longer that took than the shortest how much has been queueing.
 * If that does not get less the queue is another's, and there is nothing to be gained.
 *
 * Locking: the connection's; no function here sleeps.
 */
#ifndef KECHO_RECOVERY_H
#define KECHO_RECOVERY_H
#include <linux/list.h>
#include <linux/types.h>

/** struct kecho_span - bytes of consecutive records: from byte @off of record @seq to before byte @end_off of record @end_seq */
struct kecho_span {
	u64 seq, end_seq;
	u32 off, end_off;
};

#define KECHO_SENT_SPANS 3

#define KECHO_SENT_HELLO	1	/* holds the hello */
#define KECHO_SENT_PROBE	2	/* tries a packet size: its loss says nothing of congestion */
#define KECHO_SENT_REPEATED	4	/* a later packet has the same again */

/**
 * struct kecho_sent - a packet that is to be acknowledged
 * @delivered, @delivered_at: kecho_recovery's when it left
 */
struct kecho_sent {
	struct list_head node;
	u64 number, time, delivered, delivered_at;
	u32 size;
	u8 flags, nspans;
	struct kecho_span span[KECHO_SENT_SPANS];
};

/** struct kecho_acked - a range of packet numbers, both ends included */
struct kecho_acked {
	u64 from, to;
};

/**
 * struct kecho_recovery - what is under way
 * @sent: &struct kecho_sent, in the order of their numbers; @lost: those whose content is to be sent again
 * @next: the number of the next packet
 * @flight: bytes of @sent that count
 * @recovery_until: packets numbered below were sent before the window was last made smaller
 * @delivered: bytes acknowledged; @delivered_at when that last changed
 * @path: bytes that the path delivered in a minimal round trip, the most of this round [0] and of the last [1]; @round ends it
 * @round_rtt: the shortest of this round; @round_full: the window, and not the application, limited it
 * @yield_until: events of several priorities share the connection; @yields: rounds in a row in which the window was made smaller for
 *	their sake, @yield_at: when that may be tried again; @stale: @min_rtt is of a path with a queue, perhaps
 * @loss_at: when the oldest packet counts as lost, 0: it may be reordered no longer; @last_at: when the last packet left
 * @limited: the window, and not the application, held something back since the last acknowledgement
 * @probes: packets that may be sent although the window is full (RFC 9002, 6.2.4)
 * @tokens, @tokens_at: bytes that may be sent at once, paced (7.7)
 * @lossy_until: there was a loss not long ago
 * @long_lost: packets longer than KECHO_RUDP_MTU_MIN lost since one arrived
 * @packets, @losses: counters; @loss: of 256 million packets so many get lost, by the last few hundred
 */
struct kecho_recovery {
	struct list_head sent, lost;
	u64 next, largest_acked;
	u64 srtt, rttvar, min_rtt, min_rtt_at;
	u32 flight, cwnd, ssthresh, mtu;
	u64 recovery_until;
	u64 delivered, delivered_at;
	u64 path[2], round;
	u64 round_rtt;
	bool round_full, stale;
	u64 yield_until, yield_at;
	u32 yields;
	u64 loss_at, last_at;
	u32 ptos;
	u32 probes;
	u32 long_lost;
	bool limited;
	s64 tokens;
	u64 tokens_at;
	u64 lossy_until;
	u64 packets, losses;
	u32 loss;
};

void kecho_recovery_init(struct kecho_recovery *v, u32 mtu, u64 now);
void kecho_recovery_exit(struct kecho_recovery *v);
/** kecho_recovery_rtt() - a measured round trip, of which the peer says that it held the packet for @delay. Nanoseconds */
void kecho_recovery_rtt(struct kecho_recovery *v, u64 rtt, u64 delay, u64 now);
/** kecho_recovery_wait() - 0: a packet may leave now; when it may, for pacing's sake; U64_MAX: after an acknowledgement */
u64 kecho_recovery_wait(struct kecho_recovery *v, u64 now);
/** kecho_recovery_sent() - @s leaves: it gets its number; owned from now on */
void kecho_recovery_sent(struct kecho_recovery *v, struct kecho_sent *s, u64 now);
/** kecho_recovery_unsent() - it did not leave after all: what it held is to be sent again, and no loss */
void kecho_recovery_unsent(struct kecho_recovery *v, u64 number);
/**
 * kecho_recovery_acked() - the peer has these
 * @acked: descending, disjoint
 * @gone: gets what is settled, for the caller to look at and free
 * Return: 0, or -EPROTO: it acknowledges what was not sent
 */
int kecho_recovery_acked(struct kecho_recovery *v, const struct kecho_acked *acked, u32 n, u64 delay, struct list_head *gone, u64 now);
/** kecho_recovery_due() - when kecho_recovery_tick() is wanted, or U64_MAX */
u64 kecho_recovery_due(const struct kecho_recovery *v);
void kecho_recovery_tick(struct kecho_recovery *v, u64 now);
#endif
