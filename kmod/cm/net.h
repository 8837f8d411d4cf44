/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: Links over the kernel's sockets
 *
 * TCP (tcp.c): the monitor (kecho_nwmon) wakes a connection's receive work the moment data arrives; that reads the socket straight into
 * messages. A publisher who may sleep sends itself if nobody else is sending on that connection; otherwise a work of the connection
 * does. Works run on this module's workqueue; closing happens on another one, for it waits for them.
 *
 * Reliable UDP (rudp.c): a socket and a thread a node. The thread, which the monitor and the connections' timers wake, does all but
 * what a publisher who finds nobody at it does himself.
 */
#ifndef KECHO_NET_H
#define KECHO_NET_H
#include <linux/workqueue.h>
#include "../../lib/cm/link.h"
#include "../nwmon/nwmon.h"

/**
 * struct kecho_net - what carries the connections of a node
 * @tick: the node's
 * @due: when the tick work runs, 0: it does not; @due_lock
 * @conns: how many TCP connections exist
 * @idle: woken when there is none left, and when a connection has no sender left
 * @rudp: NULL: there is none
 */
struct kecho_net {
	struct kecho_cm *cm;
	struct net *ns;
	void (*tick)(struct kecho_cm *cm, u64 now);
	struct socket *listener;
	struct nwmon monitor;
	struct work_struct accept;
	struct delayed_work ticker;
	spinlock_t due_lock;
	u64 due;
	bool stopping;
	atomic_t conns;
	wait_queue_head_t idle;
	struct nwmon_stats stats;
	struct rudp_end *rudp;
};

/* The core's kecho_cm_ops; kecho_cm.home is the struct kecho_net. */
void kecho_net_dial(struct kecho_cm *cm, struct kecho_link *link);
void kecho_net_kick(struct kecho_conn *conn);
void kecho_net_close(struct kecho_conn *conn);
void kecho_net_due(struct kecho_cm *cm, u64 when);
#define KECHO_NET_OPS { .dial = kecho_net_dial, .kick = kecho_net_kick, .close = kecho_net_close, .due = kecho_net_due }

/**
 * kecho_net_send() - send what waits on these links, as far as it can be done at once; their workers do the rest. Puts the links.
 * Context: process; holds no lock. The node stays: its caller has a channel of it open.
 */
void kecho_net_send(struct kecho_batch *batch);

void kecho_net_init(struct kecho_net *t, struct kecho_cm *cm, struct net *ns, void (*tick)(struct kecho_cm *cm, u64 now));
/**
 * kecho_net_listen() - be called by others
 * @addr: an IP address, with or without a port
 * Return: 0; -EINVAL: no such address; -EPERM: not a loopback one, and not @insecure; or the socket's error
 */
int kecho_net_listen(struct kecho_net *t, const char *addr, u16 default_port, bool insecure);
/** kecho_net_call() - want a link to an IP address, for ever. -EINVAL: no such address; -ENOMEM */
int kecho_net_call(struct kecho_net *t, const char *host, u16 default_port);
/** kecho_net_goodbye() - nobody is accepted any more; what is queued is sent, then the peers are told that this node leaves */
void kecho_net_goodbye(struct kecho_net *t);
/** kecho_net_exit() - after kecho_cm_exit(): waits until no connection is left */
void kecho_net_exit(struct kecho_net *t);
#endif
