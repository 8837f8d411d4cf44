// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "home.h"

static u64 clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

u64 home_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

u64 home_realtime(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int home_watch(struct home *h, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(h->epfd, EPOLL_CTL_ADD, w->fd, &ev) ? -errno : 0;
}

void home_rewatch(struct home *h, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	epoll_ctl(h->epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

void home_deafen(struct home *h, struct watch *w)
{
	epoll_ctl(h->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->deaf = h->deaf;
	h->deaf = w;
}

void home_hear(struct home *h)
{
	struct watch *w;

	while ((w = h->deaf)) {
		h->deaf = w->deaf;
		if (w->fd >= 0)
			home_watch(h, w, EPOLLIN);
	}
}

void home_due(struct kecho_cm *cm, u64 when)
{
	struct home *h = container_of(cm, struct home, node.cm);

	if (when < h->due)
		h->due = when;
}

void home_wake_at(struct home *h, u64 when)
{
	if (!h->tick_at || when < h->tick_at)
		h->tick_at = when;
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct home *h = container_of(w, struct home, signals);
	struct signalfd_siginfo si;

	(void)events;
	while (read(w->fd, &si, sizeof(si)) == sizeof(si))
		/* There is nothing to reopen or to read anew on SIGHUP, and it must not end the daemon. */
		if (si.ssi_signo != SIGHUP)
			h->stop = true;
}

static void on_timer(struct watch *w, uint32_t events)
{
	uint64_t n;

	(void)events;
	if (read(w->fd, &n, sizeof(n)) < 0)
		return;
	container_of(w, struct home, timer)->armed = 0;
}

static void raise_limits(void)
{
	struct rlimit rl;

	if (!getrlimit(RLIMIT_NOFILE, &rl)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int home_init(struct home *h, const char *name, u64 registry_lease, const struct kecho_node_ops *ops)
{
	sigset_t set;
	u64 rnd[2];
	int err;

	memset(h, 0, sizeof(*h));
	kecho_one_thread = true;
	raise_limits();
	INIT_LIST_HEAD(&h->conns);
	INIT_LIST_HEAD(&h->kicked);
	INIT_LIST_HEAD(&h->dead);
	h->due = h->rudp_at = U64_MAX;
	if (getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
		return -EIO;
	kecho_node_init(&h->node, rnd[0] ? rnd[0] : 1, name, registry_lease, ops, rnd[1]);
	h->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epfd < 0)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	h->signals = (struct watch){ .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .fn = on_signal };
	h->timer = (struct watch){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), .fn = on_timer };
	if (h->signals.fd < 0 || h->timer.fd < 0)
		return -errno;
	err = home_watch(h, &h->signals, EPOLLIN);
	if (!err)
		err = home_watch(h, &h->timer, EPOLLIN);
	return err ? err : net_init(h);
}

static void home_settle(struct home *h)
{
	while (h->settle && h->settle(h))
		;
	net_flush(h);
}

/* Runs what is due, and sets the timer for the rest; only a change costs a system call. */
static void home_timers(struct home *h)
{
	u64 now, when;

	while ((when = min(min(h->due, h->rudp_at), h->tick_at ? h->tick_at : U64_MAX)) != U64_MAX) {
		now = home_now();
		if (when > now)
			break;
		if (h->due <= now) {
			h->due = U64_MAX;
			kecho_node_tick(&h->node, now);
		}
		if (h->rudp_at <= now)
			rudp_tick(h, now);
		if (h->tick_at && h->tick_at <= now) {
			h->tick_at = 0;
			h->tick(h, now);
		}
		home_settle(h);
	}
	if (when != U64_MAX && (!h->armed || when < h->armed)) {
		struct itimerspec its = { .it_value = { when / 1000000000, when % 1000000000 } };

		timerfd_settime(h->timer.fd, TFD_TIMER_ABSTIME, &its, NULL);
		h->armed = when;
	}
}

void home_turn(struct home *h, int ms)
{
	struct epoll_event ev[64];
	int i, n;

	home_timers(h);
	if (h->busy && h->busy(h))
		ms = 0;
	n = epoll_wait(h->epfd, ev, ARRAY_SIZE(ev), ms);
	for (i = 0; i < n; i++) {
		struct watch *w = ev[i].data.ptr;

		/* A connection closed by an earlier handler of this turn lives until net_flush(), with no descriptor. */
		if (w->fd >= 0)
			w->fn(w, ev[i].events);
	}
	home_settle(h);
}

void home_run(struct home *h)
{
	while (!h->stop)
		home_turn(h, -1);
}

void home_exit(struct home *h)
{
	net_goodbye(h);
	kecho_node_exit(&h->node, home_now());
	net_exit(h);
	close(h->signals.fd);
	close(h->timer.fd);
	close(h->epfd);
}
