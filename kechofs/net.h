/* SPDX-License-Identifier: GPL-2.0 */
/* Between net.c and the two transports. */
#ifndef KECHO_NET_H
#define KECHO_NET_H
#include <netinet/in.h>
#include <sys/socket.h>
#include "home.h"

union sock {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

void addr_from_sock(struct kecho_addr *a, const union sock *s);
socklen_t addr_to_sock(const struct kecho_addr *a, union sock *s);

/* tcp.c */
/** tcp_listen() - at @at, of which the port may be 0: it becomes the one that was found. 0 or -errno */
int tcp_listen(struct home *h, union sock *at, socklen_t len);
/** tcp_connect() - call for @link; failure is told to the core */
void tcp_connect(struct home *h, struct kecho_link *link, const union sock *to, socklen_t len);
void tcp_kick(struct kecho_conn *conn);
void tcp_close(struct kecho_conn *conn);
/** tcp_flush() - send what the kicked connections have, free the dead ones */
void tcp_flush(struct home *h);
/** tcp_hang_up() - nobody is called or taken any more */
void tcp_hang_up(struct home *h);

/* rudp.c */
/** rudp_open() - the node's one socket, at @at, or at any port if NULL. 0 or -errno */
int rudp_open(struct home *h, const union sock *at, socklen_t len);
void rudp_connect(struct home *h, struct kecho_link *link, const union sock *to);
void rudp_kick(struct kecho_conn *conn);
void rudp_close(struct kecho_conn *conn);
void rudp_flush(struct home *h);
void rudp_hang_up(struct home *h);
void rudp_exit(struct home *h);
#endif
