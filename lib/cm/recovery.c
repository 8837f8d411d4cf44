// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <kecho/limits.h>
#include "recovery.h"

#define MS(x) ((u64)(x) * NSEC_PER_MSEC)

/* RFC 9002, 6.1.1, 6.1.2, 6.2.2, 7.2 */
#define REORDER		3
#define GRANULARITY	MS(1)
#define RTT_INITIAL	MS(100)		/* the RFC's 333 ms is for the Internet's worst; hosts of a cluster are nearer */
#define WINDOW_INITIAL	10		/* packets */
#define WINDOW_MIN	2
#define WINDOW_MAX	(2 * KECHO_HISTORY_BYTES)	/* there is never more to be sent */
#define PTO_SHIFT_MAX	6
/* A path may change, and its shortest round trip with it. */
#define MIN_RTT_AGE	(10 * NSEC_PER_SEC)
/* After a loss, so long what is small goes twice. */
#define LOSSY		(10 * NSEC_PER_SEC)
/* What may queue in the path while urgent events share it; what is not over after so many rounds is not of our making. */
#define YIELD_NS	MS(1)
#define YIELD_PACKETS	4
#define YIELD_ROUNDS	6
#define YIELD_PAUSE	(10 * NSEC_PER_SEC)
/* So much may leave at once whatever the pace: a timer is no finer, and a peer's buffer takes it. */
#define BURST_NS	MS(1)
#define BURST_PACKETS	10
#define PACE_MAX	(1ull << 33)	/* bytes a second: what the reckoning has room for */

void kecho_recovery_init(struct kecho_recovery *v, u32 mtu, u64 now)
{
	memset(v, 0, sizeof(*v));
	INIT_LIST_HEAD(&v->sent);
	INIT_LIST_HEAD(&v->lost);
	v->next = 1;
	v->mtu = mtu;
	v->cwnd = WINDOW_INITIAL * mtu;
	v->ssthresh = U32_MAX;
	v->srtt = RTT_INITIAL;
	v->round_rtt = U64_MAX;
	v->rttvar = RTT_INITIAL / 2;
	v->delivered_at = v->tokens_at = now;
	v->tokens = BURST_PACKETS * mtu;
}

static void list_free(struct list_head *list)
{
	struct kecho_sent *s, *next;

	list_for_each_entry_safe(s, next, list, node) {
		list_del(&s->node);
		kfree(s);
	}
}

void kecho_recovery_exit(struct kecho_recovery *v)
{
	list_free(&v->sent);
	list_free(&v->lost);
}

/* RFC 9002, 5 */
void kecho_recovery_rtt(struct kecho_recovery *v, u64 rtt, u64 delay, u64 now)
{
	u64 var;

	rtt = max_t(u64, rtt, 1);
	if (!v->min_rtt) {
		v->min_rtt = v->srtt = rtt;
		v->min_rtt_at = now;
		v->rttvar = rtt / 2;
		return;
	}
	v->round_rtt = min(v->round_rtt, rtt);
	if (rtt <= v->min_rtt || now > v->min_rtt_at + MIN_RTT_AGE) {
		v->stale = rtt > v->min_rtt;
		v->min_rtt = rtt;
		v->min_rtt_at = now;
	}
	if (rtt >= v->min_rtt + delay)
		rtt -= delay;
	var = rtt > v->srtt ? rtt - v->srtt : v->srtt - rtt;
	v->rttvar = v->rttvar - v->rttvar / 4 + var / 4;
	v->srtt = v->srtt - v->srtt / 8 + rtt / 8;
}

static u64 pto(const struct kecho_recovery *v)
{
	return (v->srtt + max_t(u64, 4 * v->rttvar, GRANULARITY) + MS(KECHO_RUDP_ACK_MS)) << min_t(u32, v->ptos, PTO_SHIFT_MAX);
}

/* Bytes a second: a quarter more than the window in a round trip; while it is still to double, twice as much (7.7). */
static u64 pace(const struct kecho_recovery *v)
{
	u64 bytes = v->cwnd < v->ssthresh ? 2ull * v->cwnd : v->cwnd + v->cwnd / 4;

	return clamp_t(u64, div64_u64(bytes * NSEC_PER_SEC, v->srtt), 1, PACE_MAX);
}

u64 kecho_recovery_wait(struct kecho_recovery *v, u64 now)
{
	u64 rate, most;

	if (v->probes)
		return 0;
	if (v->flight >= v->cwnd) {
		v->limited = true;
		return U64_MAX;
	}
	rate = pace(v);
	most = max_t(u64, BURST_PACKETS * v->mtu, div64_u64(rate * BURST_NS, NSEC_PER_SEC));
	/* Beyond a second nothing is to be reckoned: the bucket is full. */
	v->tokens += div64_u64(min_t(u64, now - v->tokens_at, NSEC_PER_SEC) * rate, NSEC_PER_SEC);
	v->tokens_at = now;
	if (v->tokens > (s64)most)
		v->tokens = most;
	if (v->tokens > 0)
		return 0;
	v->limited = true;
	return now + div64_u64((u64)(v->mtu - v->tokens) * NSEC_PER_SEC, rate) + 1;
}

void kecho_recovery_sent(struct kecho_recovery *v, struct kecho_sent *s, u64 now)
{
	if (list_empty(&v->sent))
		v->delivered_at = now;
	s->number = v->next++;
	s->time = v->last_at = now;
	s->delivered = v->delivered;
	s->delivered_at = v->delivered_at;
	list_add_tail(&s->node, &v->sent);
	v->packets++;
	if (s->flags & KECHO_SENT_PROBE)
		return;
	v->flight += s->size;
	v->tokens -= s->size;
	if (v->probes)
		v->probes--;
}

static void flight_out(struct kecho_recovery *v, const struct kecho_sent *s)
{
	if (!(s->flags & KECHO_SENT_PROBE))
		v->flight -= min(s->size, v->flight);
}

void kecho_recovery_unsent(struct kecho_recovery *v, u64 number)
{
	struct kecho_sent *s;

	list_for_each_entry_reverse(s, &v->sent, node) {
		if (s->number != number)
			continue;
		flight_out(v, s);
		list_move_tail(&s->node, &v->lost);
		return;
	}
}

/* What the path holds when no queue has formed (Westwood+); bounded by NewReno's half, and by a tenth less, so that it yields. */
static void window_reduce(struct kecho_recovery *v)
{
	u64 path = max(v->path[0], v->path[1]), cwnd = v->cwnd;

	v->recovery_until = v->next;
	cwnd = clamp_t(u64, path, cwnd / 2, cwnd - cwnd / 10);
	v->ssthresh = v->cwnd = max_t(u64, cwnd, WINDOW_MIN * v->mtu);
}

/* A moving average. */
static void loss_sample(struct kecho_recovery *v, bool lost)
{
	v->loss = v->loss - v->loss / 256 + (lost ? 1000000 : 0);
}

static void lost(struct kecho_recovery *v, struct kecho_sent *s, u64 now)
{
	flight_out(v, s);
	list_move_tail(&s->node, &v->lost);
	if (s->flags & KECHO_SENT_PROBE)
		return;
	v->losses++;
	loss_sample(v, true);
	v->long_lost += s->size > KECHO_RUDP_MTU_MIN;
	v->lossy_until = now + LOSSY;
}

/* RFC 9002, 6.1: lost is what left well before something that has arrived. */
static void detect(struct kecho_recovery *v, u64 now)
{
	u64 delay = max_t(u64, v->srtt + v->srtt / 8, GRANULARITY);
	struct kecho_sent *s, *next;

	v->loss_at = 0;
	list_for_each_entry_safe(s, next, &v->sent, node) {
		if (s->number > v->largest_acked)
			break;
		if (s->number + REORDER <= v->largest_acked || now >= s->time + delay) {
			if (s->number >= v->recovery_until && !(s->flags & KECHO_SENT_PROBE))
				window_reduce(v);
			lost(v, s, now);
		} else {
			v->loss_at = s->time + delay;
			break;
		}
	}
}

/* At the end of a round trip. */
static void window_yield(struct kecho_recovery *v, u64 now)
{
	u64 most, queue;

	if (now >= v->yield_until || now < v->yield_at || !v->round_full || v->round_rtt == U64_MAX)
		return;
	most = max_t(u64, YIELD_PACKETS * v->mtu, div64_u64(v->cwnd * YIELD_NS, v->round_rtt));
	queue = div64_u64(v->cwnd * (v->round_rtt - min(v->min_rtt, v->round_rtt)), v->round_rtt);
	if (v->stale) {
		/* For a moment none: what the path is like without is to be seen. */
		v->stale = false;
		queue = min_t(u64, queue + most, v->cwnd / 4);
	} else if (queue <= most) {
		v->yields = 0;
		return;
	} else if (++v->yields > YIELD_ROUNDS) {
		v->yields = 0;
		v->yield_at = now + YIELD_PAUSE;
		return;
	} else {
		queue -= most / 2;
	}
	v->ssthresh = v->cwnd = max_t(u64, v->cwnd - queue, WINDOW_MIN * v->mtu);
}

static void window_grow(struct kecho_recovery *v, const struct kecho_sent *s, bool full, u64 now)
{
	if (s->number < v->recovery_until || !full)
		return;
	/* That a queue begins to form shows before the round ends (RFC 9406, 4.2), and by then there may be twice as much in it. */
	if (v->cwnd < v->ssthresh && now < v->yield_until && v->round_rtt != U64_MAX &&
	    v->round_rtt > v->min_rtt + max_t(u64, YIELD_NS, v->min_rtt / 8))
		v->ssthresh = v->cwnd;
	if (v->cwnd < v->ssthresh)
		v->cwnd += s->size;
	else
		v->cwnd += max_t(u32, div_u64((u64)v->mtu * s->size, v->cwnd), 1);
	v->cwnd = min_t(u32, v->cwnd, WINDOW_MAX);
}

/* How much the path delivers in its shortest round trip, from what was acknowledged since @s left. */
static void path_sample(struct kecho_recovery *v, const struct kecho_sent *s, u64 now)
{
	u64 took = now - s->delivered_at;

	if (s->number >= v->round) {
		window_yield(v, now);
		v->path[1] = v->path[0];
		v->path[0] = 0;
		v->round = v->next;
		v->round_rtt = U64_MAX;
		v->round_full = false;
	}
	if (took >= v->min_rtt && v->min_rtt)
		v->path[0] = max(v->path[0], div64_u64((v->delivered - s->delivered) * v->min_rtt, took));
}

int kecho_recovery_acked(struct kecho_recovery *v, const struct kecho_acked *acked, u32 n, u64 delay, struct list_head *gone, u64 now)
{
	struct kecho_sent *s, *next, *last = NULL;
	bool full = v->limited || 2 * v->flight >= v->cwnd;
	u32 i = n;

	if (!n)
		return 0;
	if (acked[0].to >= v->next)
		return -EPROTO;
	v->largest_acked = max(v->largest_acked, acked[0].to);
	list_for_each_entry_safe(s, next, &v->sent, node) {
		while (i && s->number > acked[i - 1].to)
			i--;
		if (!i)
			break;
		if (s->number < acked[i - 1].from)
			continue;
		flight_out(v, s);
		v->delivered += s->size;
		loss_sample(v, false);
		if (s->size > KECHO_RUDP_MTU_MIN)
			v->long_lost = 0;
		window_grow(v, s, full, now);
		list_move_tail(&s->node, gone);
		last = s;
	}
	if (last) {
		v->delivered_at = now;
		if (last->number == acked[0].to)
			kecho_recovery_rtt(v, now - last->time, delay, now);
		v->round_full |= full;
		path_sample(v, last, now);
		v->ptos = 0;
		v->limited = false;
	}
	detect(v, now);
	return 0;
}

u64 kecho_recovery_due(const struct kecho_recovery *v)
{
	if (v->loss_at)
		return v->loss_at;
	return list_empty(&v->sent) ? U64_MAX : v->last_at + pto(v);
}

void kecho_recovery_tick(struct kecho_recovery *v, u64 now)
{
	struct kecho_sent *s;

	if (now < kecho_recovery_due(v))
		return;
	if (v->loss_at) {
		detect(v, now);
		return;
	}
	/* 6.2: nothing has come back for long. Two packets ask again; the oldest is what the peer waits for. */
	v->ptos++;
	v->probes = 2;
	v->last_at = now;
	/* 7.6: so long that whatever was known of the path is worth nothing. */
	if (v->ptos == 3) {
		v->ssthresh = max_t(u32, v->cwnd / 2, WINDOW_MIN * v->mtu);
		v->cwnd = WINDOW_MIN * v->mtu;
		v->recovery_until = v->next;
	}
	list_for_each_entry(s, &v->sent, node) {
		if (s->flags & KECHO_SENT_PROBE)
			continue;
		lost(v, s, now);
		break;
	}
}
