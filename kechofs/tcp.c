// SPDX-License-Identifier: GPL-2.0
/* Links over TCP: one non-blocking socket a connection. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "../lib/cm/framer.h"
#include "net.h"

#define RXBUF (256 << 10)
#define RX_ROUNDS 4	/* reads of one socket before the others get their turn */
#define TX_VECS 128

/**
 * struct tcp - a connection
 * @link: whom it was dialed for, until the core has the connection
 */
struct tcp {
	struct kecho_conn conn;
	struct watch w;
	struct home *home;
	struct list_head node, kick;
	struct kecho_link *link;
	bool want_out, kicked;
	struct kecho_framer framer;
};

static struct tcp *conn_tcp(struct kecho_conn *conn)
{
	return container_of(conn, struct tcp, conn);
}

/* --- one connection --- */

static void tcp_on(struct watch *w, uint32_t events);

static struct tcp *tcp_new(struct home *h, int fd, uint32_t events)
{
	struct tcp *t = calloc(1, sizeof(*t));
	int one = 1, unsent = KECHO_TCP_UNSENT;

	if (!h->rxbuf)
		h->rxbuf = malloc(RXBUF);
	if (!t || !h->rxbuf) {
		free(t);
		close(fd);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	t->home = h;
	t->w = (struct watch){ .fd = fd, .fn = tcp_on };
	INIT_LIST_HEAD(&t->kick);
	if (home_watch(h, &t->w, events)) {
		close(fd);
		free(t);
		return NULL;
	}
	list_add_tail(&t->node, &h->conns);
	return t;
}

static void tcp_bury(struct tcp *t)
{
	if (t->w.fd < 0)
		return;
	close(t->w.fd);
	t->w.fd = -1;
	list_move_tail(&t->node, &t->home->dead);
}

static void tcp_broken(struct tcp *t)
{
	if (t->w.fd < 0)
		return;
	if (t->link)
		kecho_cm_dial_failed(t->link, home_now());
	else
		kecho_cm_closed(&t->conn, home_now());
	t->link = NULL;
	tcp_bury(t);
}

void tcp_kick(struct kecho_conn *conn)
{
	struct tcp *t = conn_tcp(conn);

	if (!t->kicked && !t->want_out) {
		t->kicked = true;
		list_add_tail(&t->kick, &t->home->kicked);
	}
}

void tcp_close(struct kecho_conn *conn)
{
	tcp_bury(conn_tcp(conn));
}

static void tcp_send(struct tcp *t)
{
	struct kvec vec[TX_VECS];
	struct msghdr mh = { .msg_iov = vec };
	bool want_out = false, more = true;
	size_t bytes;
	ssize_t n;

	while (more && t->w.fd >= 0) {
		mh.msg_iovlen = kecho_cm_tx_fill(&t->conn, vec, TX_VECS, &bytes, home_now());
		if (!mh.msg_iovlen)
			break;
		n = sendmsg(t->w.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		more = kecho_cm_tx_done(&t->conn, n > 0 ? n : 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			tcp_broken(t);
			return;
		}
		if (n < (ssize_t)bytes) {
			want_out = true;
			break;
		}
	}
	if (t->conn.closing && !want_out) {
		tcp_broken(t);
		return;
	}
	if (want_out != t->want_out && t->w.fd >= 0) {
		t->want_out = want_out;
		home_rewatch(t->home, &t->w, EPOLLIN | (want_out ? EPOLLOUT : 0));
	}
}

static void tcp_recv(struct tcp *t)
{
	struct home *h = t->home;
	size_t want;
	ssize_t n;
	u64 now = home_now();
	void *room;
	int i, err;

	for (i = 0; i < RX_ROUNDS && t->w.fd >= 0; i++) {
		room = kecho_framer_room(&t->framer, RXBUF / 4, &want);
		if (!room)
			want = RXBUF;
		n = recv(t->w.fd, room ? room : h->rxbuf, want, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			tcp_broken(t);
			return;
		}
		err = room ? kecho_framer_filled(&t->framer, &t->conn, n, now) : kecho_framer_take(&t->framer, &t->conn, h->rxbuf, n, now);
		if (err) {
			tcp_broken(t);
			return;
		}
		if (n < (ssize_t)want)
			return;
	}
}

static void tcp_connected(struct tcp *t)
{
	struct kecho_link *link = t->link;
	socklen_t len = sizeof(int);
	union sock peer;
	int err = 0;

	getsockopt(t->w.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		pr_debug("connecting to %s: %s\n", link->host ? link->host : link->name, strerror(err));
		tcp_broken(t);
		return;
	}
	t->link = NULL;
	len = sizeof(peer);
	if (!getpeername(t->w.fd, &peer.sa, &len))
		addr_from_sock(&t->conn.peer, &peer);
	home_rewatch(t->home, &t->w, EPOLLIN);
	t->want_out = false;
	kecho_cm_dialed(link, &t->conn, home_now());
}

static void tcp_on(struct watch *w, uint32_t events)
{
	struct tcp *t = container_of(w, struct tcp, w);

	if (t->link) {
		tcp_connected(t);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		tcp_recv(t);
	if (t->w.fd >= 0 && (events & EPOLLOUT))
		tcp_send(t);
}

void tcp_flush(struct home *h)
{
	struct tcp *t;

	while (!list_empty(&h->kicked)) {
		t = list_first_entry(&h->kicked, struct tcp, kick);
		list_del_init(&t->kick);
		t->kicked = false;
		tcp_send(t);
	}
	while (!list_empty(&h->dead)) {
		t = list_first_entry(&h->dead, struct tcp, node);
		list_del(&t->node);
		if (!list_empty(&t->kick))
			list_del(&t->kick);
		kecho_framer_exit(&t->framer);
		kecho_cm_conn_exit(&t->conn);
		free(t);
		home_hear(h);
	}
}

/* --- calling --- */

void tcp_connect(struct home *h, struct kecho_link *link, const union sock *to, socklen_t len)
{
	int fd, one = 1;
	struct tcp *t;

	fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	/* A second SYN after a second, and after two more the next attempt, so that a healed network is found soon. */
	setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one));
	if (connect(fd, &to->sa, len) && errno != EINPROGRESS) {
		pr_debug("connecting to %s: %s\n", link->host ? link->host : link->name, strerror(errno));
		close(fd);
		goto fail;
	}
	t = tcp_new(h, fd, EPOLLOUT);
	if (!t)
		goto fail;
	t->link = link;
	t->want_out = true;
	return;
fail:
	kecho_cm_dial_failed(link, home_now());
}

/* --- being called --- */

static void tcp_accept(struct watch *w, uint32_t events)
{
	struct home *h = container_of(w, struct home, listener);
	union sock from;
	socklen_t len;
	struct tcp *t;
	int fd;

	(void)events;
	for (;;) {
		len = sizeof(from);
		fd = accept4(w->fd, &from.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EMFILE && errno != ENFILE)
				return;
			pr_warn("cannot accept a peer: %s\n", strerror(errno));
			home_deafen(h, w);
			return;
		}
		t = tcp_new(h, fd, EPOLLIN);
		if (!t)
			return;
		addr_from_sock(&t->conn.peer, &from);
		kecho_cm_accepted(&h->node.cm, &t->conn, home_now());
	}
}

int tcp_listen(struct home *h, union sock *at, socklen_t len)
{
	int fd, one = 1, err;

	fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &at->sa, len) || listen(fd, 128) || getsockname(fd, &at->sa, &len)) {
		err = -errno;
		close(fd);
		return err;
	}
	h->listener = (struct watch){ .fd = fd, .fn = tcp_accept };
	return home_watch(h, &h->listener, EPOLLIN);
}

void tcp_hang_up(struct home *h)
{
	struct tcp *t, *next;

	list_for_each_entry_safe(t, next, &h->conns, node)
		if (t->link)
			tcp_broken(t);
}
