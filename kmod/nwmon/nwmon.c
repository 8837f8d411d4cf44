// SPDX-License-Identifier: GPL-2.0
#include <linux/log2.h>
#include <linux/module.h>
#include <kecho/version.h>
#include "nwmon.h"

/* Whose socket this is may only be looked at under sk_callback_lock: nwmon_unwatch() takes it back. */
#define WITH_MON(sk, w, call) do {						\
	struct nwmon *w;							\
	read_lock_bh(&(sk)->sk_callback_lock);					\
	w = __locked_read_sk_user_data_with_flags(sk, 0);			\
	if (w)									\
		call;								\
	read_unlock_bh(&(sk)->sk_callback_lock);				\
} while (0)

static void mon_arrived(struct nwmon *w)
{
	atomic64_cmpxchg(&w->since, 0, ktime_get_ns());
	w->arrived(w);
}

static void mon_data_ready(struct sock *sk)
{
	WITH_MON(sk, w, mon_arrived(w));
}

static void mon_state_change(struct sock *sk)
{
	WITH_MON(sk, w, w->arrived(w));
}

static void mon_write_space(struct sock *sk)
{
	WITH_MON(sk, w, if (sk_stream_is_writeable(sk)) w->room(w));
}

void nwmon_watch(struct nwmon *w, struct socket *sock, const struct nwmon *listener, void (*arrived)(struct nwmon *w),
		 void (*room)(struct nwmon *w))
{
	struct sock *sk = sock->sk;

	atomic64_set(&w->since, 0);
	w->sk = sk;
	w->arrived = arrived;
	w->room = room;
	write_lock_bh(&sk->sk_callback_lock);
	w->data_ready = listener ? listener->data_ready : sk->sk_data_ready;
	w->state_change = listener ? listener->state_change : sk->sk_state_change;
	w->write_space = listener ? listener->write_space : sk->sk_write_space;
	/* Not for those that it accepts: they have monitors of their own. */
	__rcu_assign_sk_user_data_with_flags(sk, w, SK_USER_DATA_NOCOPY);
	sk->sk_data_ready = mon_data_ready;
	sk->sk_state_change = mon_state_change;
	sk->sk_write_space = mon_write_space;
	write_unlock_bh(&sk->sk_callback_lock);
}
EXPORT_SYMBOL_GPL(nwmon_watch);

void nwmon_unwatch(struct nwmon *w)
{
	struct sock *sk = w->sk;

	if (!sk)
		return;
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, NULL);
	sk->sk_data_ready = w->data_ready;
	sk->sk_state_change = w->state_change;
	sk->sk_write_space = w->write_space;
	write_unlock_bh(&sk->sk_callback_lock);
	w->sk = NULL;
}
EXPORT_SYMBOL_GPL(nwmon_unwatch);

void nwmon_handled(struct nwmon *w, struct nwmon_stats *stats)
{
	u64 since = atomic64_xchg(&w->since, 0), ns;

	if (!since)
		return;
	ns = ktime_get_ns() - since;
	atomic64_inc(&stats->arrivals);
	atomic64_inc(&stats->latency[min_t(u32, ns ? ilog2(ns) : 0, NWMON_BUCKETS - 1)]);
}
EXPORT_SYMBOL_GPL(nwmon_handled);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: watches sockets, calls back when data arrives");
