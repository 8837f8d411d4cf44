/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: Links over the kernel's TCP sockets
 *
 * The monitor (kecho_nwmon) wakes a connection's receive work the moment data arrives; that reads the socket straight into
 * messages. A publisher who may sleep sends itself if nobody else is sending on that connection; otherwise a work of the connection
 * does. Works run on this module's workqueue; closing happens on another one, for it waits for them.
 */
#ifndef KECHO_TCP_H
#define KECHO_TCP_H
#include <linux/workqueue.h>
#include "../../lib/cm/link.h"
#include "../nwmon/nwmon.h"

/**
 * struct kecho_tcp - what carries the connections of a node
 * @tick: the node's
 * @due: when the tick work runs, 0: it does not; @due_lock
 * @conns: how many connections exist
 * @idle: woken when there is none left, and when a connection has no sender left
 */
struct kecho_tcp {
	struct kecho_cm *cm;
	struct net *net;
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
};

/* The core's kecho_cm_ops; kecho_cm.home is the struct kecho_tcp. */
void kecho_tcp_dial(struct kecho_cm *cm, struct kecho_link *link);
void kecho_tcp_kick(struct kecho_conn *conn);
void kecho_tcp_close(struct kecho_conn *conn);
void kecho_tcp_due(struct kecho_cm *cm, u64 when);
#define KECHO_TCP_OPS { .dial = kecho_tcp_dial, .kick = kecho_tcp_kick, .close = kecho_tcp_close, .due = kecho_tcp_due }

/**
 * kecho_tcp_send() - send what waits on these links, as far as it can be done at once; their workers do the rest. Puts the links.
 * Context: process; holds no lock. The node stays: its caller has a channel of it open.
 */
void kecho_tcp_send(struct kecho_batch *batch);

void kecho_tcp_init(struct kecho_tcp *t, struct kecho_cm *cm, struct net *net, void (*tick)(struct kecho_cm *cm, u64 now));
/**
 * kecho_tcp_listen() - be called by others
 * @addr: an IP address, with or without a port
 * Return: 0; -EINVAL: no such address; -EPERM: not a loopback one, and not @insecure; or the socket's error
 */
int kecho_tcp_listen(struct kecho_tcp *t, const char *addr, u16 default_port, bool insecure);
/** kecho_tcp_call() - want a link to an IP address, for ever. -EINVAL: no such address; -ENOMEM */
int kecho_tcp_call(struct kecho_tcp *t, const char *host, u16 default_port);
/** kecho_tcp_goodbye() - nobody is accepted any more; what is queued is sent, then the peers are told that this node leaves */
void kecho_tcp_goodbye(struct kecho_tcp *t);
/** kecho_tcp_exit() - after kecho_cm_exit(): waits until no connection is left */
void kecho_tcp_exit(struct kecho_tcp *t);
#endif
