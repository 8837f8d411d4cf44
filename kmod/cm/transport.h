/* SPDX-License-Identifier: GPL-2.0 */
/* Between net.c and the two transports. */
#ifndef KECHO_TRANSPORT_H
#define KECHO_TRANSPORT_H
#include <linux/in6.h>
#include <linux/ktime.h>
#include "net.h"

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Works of connections; closing waits for those, so it has a workqueue of its own. */
extern struct workqueue_struct *kecho_net_wq, *kecho_close_wq;

static inline u64 now_ns(void)
{
	return ktime_get_ns();
}

int addr_to_sock(const struct kecho_addr *a, union sock_addr *s);
void addr_from_sock(struct kecho_addr *a, const union sock_addr *s);
int addr_parse(const char *s, u16 port, struct kecho_addr *a);

/* tcp.c */
void kecho_tcp_init(struct kecho_net *t);
/** kecho_tcp_listen() - at @at, of which the port may be 0: it becomes the one that was found. 0 or -errno */
int kecho_tcp_listen(struct kecho_net *t, union sock_addr *at, int len);
/** kecho_tcp_hang_up() - nobody is taken any more */
void kecho_tcp_hang_up(struct kecho_net *t);
/* Context: any. */
void kecho_tcp_dial(struct kecho_net *t, struct kecho_link *link);
void kecho_tcp_kick(struct kecho_conn *conn);
void kecho_tcp_close(struct kecho_conn *conn);
/**
 * kecho_tcp_send() - what waits on this link, as far as it can be done at once. Context: process; no lock held
 * Return: false: it does not go by TCP
 */
bool kecho_tcp_send(struct kecho_link *link);

/* rudp.c */
/** kecho_udp_open() - the node's one socket and its thread, at @at, or at any port if NULL. 0 or -errno */
int kecho_udp_open(struct kecho_net *t, const union sock_addr *at, int len);
void kecho_udp_hang_up(struct kecho_net *t);
void kecho_udp_exit(struct kecho_net *t);
void kecho_udp_dial(struct kecho_net *t, struct kecho_link *link);
void kecho_udp_kick(struct kecho_conn *conn);
void kecho_udp_close(struct kecho_conn *conn);
void kecho_udp_send(struct kecho_link *link);
/** kecho_udp_pass() - do at once what the thread would. Context: process; no lock held */
void kecho_udp_pass(struct kecho_net *t);
#endif
