/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The network monitor
 *
 * Watches sockets: takes over sk_data_ready and calls back the moment data arrives, in the softirq that brought it. It counts
 * arrivals, and how long after one its handler runs: at once, or when the callback has woken it.
 */
#ifndef KECHO_NWMON_H
#define KECHO_NWMON_H
#include <linux/ktime.h>
#include <net/sock.h>

/* Bucket n counts times of 2^n to 2^(n+1) - 1 ns; the last one all that took longer. */
#define NWMON_BUCKETS 32

/**
 * struct nwmon - a watched socket; embedded by its owner
 * @arrived: data has arrived, or the socket's state has changed; softirq context, sk_callback_lock held for reading, the socket locked
 * @since: when the arrival came that no handler has looked at yet; 0: there is none
 */
struct nwmon {
	struct sock *sk;
	void (*arrived)(struct nwmon *w);
	void (*data_ready)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*room)(struct nwmon *w);
	atomic64_t since;
};

/** struct nwmon_stats - of one network namespace's sockets together, as its owner keeps it */
struct nwmon_stats {
	atomic64_t arrivals;
	atomic64_t latency[NWMON_BUCKETS];
};

/**
 * nwmon_watch() - begin to watch; what came before that is not reported
 * @sock: its sk_user_data is the monitor's from now on
 * @listener: the monitor of the socket that it was accepted from, whose callbacks it has inherited; or NULL
 * @arrived: see struct nwmon
 * @room: the socket takes more to send; same context
 */
void nwmon_watch(struct nwmon *w, struct socket *sock, const struct nwmon *listener, void (*arrived)(struct nwmon *w),
		 void (*room)(struct nwmon *w));
/** nwmon_unwatch() - after it returns no callback runs */
void nwmon_unwatch(struct nwmon *w);
/** nwmon_handled() - the handler begins: counts the time since the arrival into @stats */
void nwmon_handled(struct nwmon *w, struct nwmon_stats *stats);
#endif
