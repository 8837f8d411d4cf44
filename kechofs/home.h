/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The user-space home of a node
 *
 * One thread, one epoll loop: sockets, timers, signals and, in kechofsd, the FUSE device. The core's callbacks only note what is to
 * be done; home_run() does it when the handler that caused them has returned (settle), then sends, then sleeps. So nothing re-enters.
 */
#ifndef KECHO_HOME_H
#define KECHO_HOME_H
#include "../lib/channel/channel.h"
#include "../lib/cm/rudp.h"

struct home;
struct rudp_io;

/** struct watch - a file descriptor in the loop; @fn gets epoll's events; @deaf: the next one of home->deaf */
struct watch {
	int fd;
	void (*fn)(struct watch *w, uint32_t events);
	struct watch *deaf;
};

/**
 * struct home - a node and what it runs on
 * @settle: does what the core's callbacks have noted; true if there may be more
 * @busy: does what needs no waking; true: there may be more at any moment, do not sleep
 * @tick: called when its time @tick_at has come, 0: not wanted
 * @due: when the core wants a tick
 * @deaf: listeners that are not watched: there was no descriptor for one more connection
 * @kicked, @dead: TCP connections with something to send, and to be freed
 * @end, @io: of reliable UDP; @rudp_at: when it next wants rudp_tick()
 */
struct home {
	struct kecho_node node;
	bool (*settle)(struct home *h);
	bool (*busy)(struct home *h);
	void (*tick)(struct home *h, u64 now);
	u64 tick_at;
	int epfd, timerfd;
	struct watch signals, timer, listener, udp, resolved;
	u64 due, armed;
	struct list_head conns, kicked, dead;
	struct kecho_rudp_end end;
	struct rudp_io *io;
	u64 rudp_at;
	bool insecure;
	struct watch *deaf;
	bool stop;
	u8 *rxbuf;
};

u64 home_now(void);		/* CLOCK_MONOTONIC, ns: the core's time */
u64 home_realtime(void);	/* CLOCK_REALTIME, ns: events' time */

/** home_init() - @h->node is ready, nothing is listening. Returns 0 or -errno */
int home_init(struct home *h, const char *name, u64 registry_lease, const struct kecho_node_ops *ops);
/** home_run() - until @stop */
void home_run(struct home *h);
/** home_turn() - one turn of the loop, sleeping at most @ms */
void home_turn(struct home *h, int ms);
/** home_exit() - says goodbye to the peers, ends the node */
void home_exit(struct home *h);
int home_watch(struct home *h, struct watch *w, uint32_t events);
void home_rewatch(struct home *h, struct watch *w, uint32_t events);
/** home_deafen() - a listener that there is no descriptor for: it would be told again and again. Until home_hear() */
void home_deafen(struct home *h, struct watch *w);
/** home_hear() - a descriptor has been closed */
void home_hear(struct home *h);
/** home_wake_at() - @tick at @when, if not earlier */
void home_wake_at(struct home *h, u64 when);

/* net.c: the core's kecho_cm_ops */
void net_dial(struct kecho_cm *cm, struct kecho_link *link);
void net_kick(struct kecho_conn *conn);
void net_close(struct kecho_conn *conn);
void home_due(struct kecho_cm *cm, u64 when);
#define HOME_CM_OPS { .dial = net_dial, .kick = net_kick, .close = net_close, .due = home_due }

/**
 * net_listen() - accept peers at ADDR[:PORT], by TCP and by reliable UDP
 * Says what is wrong on the log. Return: 0 or -errno
 */
int net_listen(struct home *h, const char *addr, u16 default_port);
/** net_call() - want a link to HOST[:PORT], for ever */
int net_call(struct home *h, const char *host, u16 default_port);
int net_init(struct home *h);
/** net_goodbye() - nobody is accepted any more; what is queued is sent, then the peers are told that this node leaves */
void net_goodbye(struct home *h);
void net_exit(struct home *h);
/** net_flush() - make the calls that the core wants, send what the kicked connections have, free the dead ones */
void net_flush(struct home *h);

/** rudp_tick() - kick the connections whose time has come */
void rudp_tick(struct home *h, u64 now);

/* log.c */
void log_open(const char *ident, bool foreground, bool debug);
void log_to_syslog(void);
/** fail() - a message for who started the program, and the end of it */
void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* daemon.c */
/** daemon_fork() - the parent waits until daemon_ready(), and exits with its verdict */
void daemon_fork(void);
/** daemon_ready() - tell the parent, or systemd (sd_notify's protocol) */
void daemon_ready(bool forked);
/** daemon_hostname() - a node's name by default: the host's, cut to what a name may have */
void daemon_hostname(char *name);
#endif
