// SPDX-License-Identifier: GPL-2.0
/* Links over TCP: one non-blocking socket a connection. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../lib/cm/framer.h"
#include "home.h"

#define RXBUF (256 << 10)
#define RX_ROUNDS 4	/* reads of one socket before the others get their turn */
#define TX_VECS 128
#define ROOM 28		/* of an address's port and brackets, beyond the host */

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

union sock {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_storage ss;
};

static struct tcp *conn_tcp(struct kecho_conn *conn)
{
	return container_of(conn, struct tcp, conn);
}

static void addr_from_sock(struct kecho_addr *a, const union sock *s)
{
	memset(a, 0, sizeof(*a));
	if (s->sa.sa_family == AF_INET) {
		a->family = 4;
		a->port = s->in.sin_port;
		memcpy(a->ip, &s->in.sin_addr, 4);
	} else if (s->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&s->in6.sin6_addr)) {
		a->family = 4;
		a->port = s->in6.sin6_port;
		memcpy(a->ip, s->in6.sin6_addr.s6_addr + 12, 4);
	} else if (s->sa.sa_family == AF_INET6) {
		a->family = 6;
		a->port = s->in6.sin6_port;
		memcpy(a->ip, &s->in6.sin6_addr, 16);
	}
}

static socklen_t addr_to_sock(const struct kecho_addr *a, union sock *s)
{
	memset(s, 0, sizeof(*s));
	if (a->family == 4) {
		s->in.sin_family = AF_INET;
		s->in.sin_port = a->port;
		memcpy(&s->in.sin_addr, a->ip, 4);
		return sizeof(s->in);
	}
	s->in6.sin6_family = AF_INET6;
	s->in6.sin6_port = a->port;
	memcpy(&s->in6.sin6_addr, a->ip, 16);
	return sizeof(s->in6);
}

/* --- one connection --- */

static void tcp_on(struct watch *w, uint32_t events);

static struct tcp *tcp_new(struct home *h, int fd, uint32_t events)
{
	struct tcp *t = calloc(1, sizeof(*t));
	int one = 1;

	if (!t) {
		close(fd);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
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
	bool want_out = false;
	size_t bytes;
	ssize_t n;

	while (t->w.fd >= 0) {
		mh.msg_iovlen = kecho_cm_tx_fill(&t->conn, vec, TX_VECS, &bytes);
		if (!mh.msg_iovlen)
			break;
		n = sendmsg(t->w.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		kecho_cm_tx_done(&t->conn, n > 0 ? n : 0);
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

static void tcp_dials(struct home *h);

void tcp_flush(struct home *h)
{
	struct tcp *t;

	tcp_dials(h);
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

static void tcp_connect(struct home *h, struct kecho_link *link, const union sock *to, socklen_t len)
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

/* Looking a name up may take long, so a thread of its own does it, and hands the answer in by a pipe. */
struct lookup {
	struct kecho_link *link;
	int pipe;
	int err;
	socklen_t len;
	union sock to;
	char host[256];
	char port[8];
};

static int lookup_now(struct lookup *l, int flags)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *ai;
	int err = getaddrinfo(l->host, l->port, &hints, &ai);

	if (err)
		return err;
	memcpy(&l->to, ai->ai_addr, ai->ai_addrlen);
	l->len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

static void *lookup_run(void *arg)
{
	struct lookup *l = arg;

	l->err = lookup_now(l, 0);
	if (write(l->pipe, &l, sizeof(l)) != sizeof(l))
		free(l);
	return NULL;
}

static int resolver_pipe = -1;

static void on_resolved(struct watch *w, uint32_t events)
{
	struct home *h = container_of(w, struct home, resolved);
	struct lookup *l;

	(void)events;
	while (read(w->fd, &l, sizeof(l)) == sizeof(l)) {
		if (l->err) {
			pr_warn("cannot find the address of %s: %s\n", l->host, gai_strerror(l->err));
			kecho_cm_dial_failed(l->link, home_now());
		} else {
			tcp_connect(h, l->link, &l->to, l->len);
		}
		kecho_link_put(l->link);
		free(l);
	}
}

/* HOST, HOST:PORT, [V6], [V6]:PORT */
static int split_host(const char *s, u16 default_port, char *host, size_t size, char port[8])
{
	const char *colon = strrchr(s, ':'), *end = s + strlen(s);
	unsigned long v = default_port;
	char *rest;

	if (s[0] == '[') {
		const char *close = strchr(s, ']');

		if (!close || (close[1] && close[1] != ':'))
			return -EINVAL;
		colon = close[1] ? close + 1 : NULL;
		s++;
		end = close;
	} else if (colon && strchr(s, ':') != colon) {
		colon = NULL;	/* a bare IPv6 address */
	} else if (colon) {
		end = colon;
	}
	if (colon) {
		v = strtoul(colon + 1, &rest, 10);
		if (!colon[1] || *rest || v > 65535)
			return -EINVAL;
	}
	if ((size_t)(end - s) >= size)
		return -EINVAL;
	memcpy(host, s, end - s);
	host[end - s] = 0;
	snprintf(port, 8, "%lu", v);
	return 0;
}

/* The core holds a lock: nothing but starting is done here, and what fails at once is told from the loop. */
struct dial {
	struct list_head node;
	struct kecho_link *link;
};

static LIST_HEAD(dials);

void tcp_dial(struct kecho_cm *cm, struct kecho_link *link)
{
	struct dial *d = calloc(1, sizeof(*d));

	(void)cm;
	if (!d) {
		/* Tried again when it is next due. */
		link->dialing = false;
		return;
	}
	d->link = kecho_link_get(link);
	list_add_tail(&d->node, &dials);
}

static void tcp_dial_host(struct home *h, struct kecho_link *link)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_attr_t attr;
	pthread_t thread;

	if (!l)
		goto fail;
	if (split_host(link->host, KECHO_PORT, l->host, sizeof(l->host), l->port))
		goto fail;
	if (!lookup_now(l, AI_NUMERICHOST | AI_NUMERICSERV)) {
		tcp_connect(h, link, &l->to, l->len);
		free(l);
		return;
	}
	l->link = kecho_link_get(link);
	l->pipe = resolver_pipe;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (!pthread_create(&thread, &attr, lookup_run, l))
		return;
	kecho_link_put(link);
fail:
	free(l);
	kecho_cm_dial_failed(link, home_now());
}

static void tcp_dials(struct home *h)
{
	union sock to;
	socklen_t len;

	while (!list_empty(&dials)) {
		struct dial *d = list_first_entry(&dials, struct dial, node);

		list_del(&d->node);
		if (d->link->host) {
			tcp_dial_host(h, d->link);
		} else {
			len = addr_to_sock(&d->link->addr, &to);
			tcp_connect(h, d->link, &to, len);
		}
		kecho_link_put(d->link);
		free(d);
	}
}

int tcp_call(struct home *h, const char *host, u16 default_port)
{
	char name[256], port[8], full[256 + ROOM];
	struct kecho_link *link;

	if (split_host(host, default_port, name, sizeof(name), port) || !name[0])
		return -EINVAL;
	snprintf(full, sizeof(full), strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
	mutex_lock(&h->node.cm.lock);
	link = kecho_cm_call(&h->node.cm, full, NULL, home_now());
	mutex_unlock(&h->node.cm.lock);
	return link ? 0 : -ENOMEM;
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

static bool is_loopback(const struct kecho_addr *a)
{
	static const u8 one[16] = { [15] = 1 };

	return a->family == 4 ? a->ip[0] == 127 : !memcmp(a->ip, one, 16);
}

int tcp_listen(struct home *h, const char *addr, u16 default_port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *ai;
	char host[256], port[8];
	int fd, one = 1, err;
	union sock at;
	socklen_t len = sizeof(at);

	if (split_host(addr, default_port, host, sizeof(host), port)) {
		pr_err("listen=%s: give ADDRESS or ADDRESS:PORT\n", addr);
		return -EINVAL;
	}
	err = getaddrinfo(host[0] && strcmp(host, "*") ? host : NULL, port, &hints, &ai);
	if (err) {
		pr_err("listen=%s: %s\n", addr, gai_strerror(err));
		return -EINVAL;
	}
	memcpy(&at, ai->ai_addr, ai->ai_addrlen);
	len = ai->ai_addrlen;
	freeaddrinfo(ai);
	addr_from_sock(&h->node.cm.listen, &at);
	if (!is_loopback(&h->node.cm.listen) && !h->insecure) {
		pr_err("listen=%s: links are not encrypted, and anyone who reaches that address could join; "
		       "listen on 127.0.0.1, or say 'insecure' if the network is trusted\n", addr);
		return -EPERM;
	}
	fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &at.sa, len) || listen(fd, 128) || getsockname(fd, &at.sa, &len))
		goto fail;
	addr_from_sock(&h->node.cm.listen, &at);
	h->listener = (struct watch){ .fd = fd, .fn = tcp_accept };
	return home_watch(h, &h->listener, EPOLLIN);
fail:
	err = -errno;
	pr_err("listen=%s: %s\n", addr, strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

int tcp_init(struct home *h)
{
	int fds[2];

	h->listener.fd = -1;
	h->rxbuf = malloc(RXBUF);
	if (!h->rxbuf)
		return -ENOMEM;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	resolver_pipe = fds[1];
	h->resolved = (struct watch){ .fd = fds[0], .fn = on_resolved };
	return home_watch(h, &h->resolved, EPOLLIN);
}

/* What is queued goes out, for at most a second, then goodbye: to close on what a peer sends would take the rest from it. */
void tcp_exit(struct home *h)
{
	u64 until = home_now() + 1000000000ull;
	struct tcp *t, *next;
	bool busy;

	if (h->listener.fd >= 0)
		close(h->listener.fd);
	h->listener.fd = -1;
	do {
		home_turn(h, 10);
		busy = !kecho_cm_drained(&h->node.cm);
	} while (busy && home_now() < until);
	if (busy)
		pr_warn("some peers did not take all that was published; it is lost to them\n");
	kecho_cm_bye(&h->node.cm);
	tcp_flush(h);
	list_for_each_entry_safe(t, next, &h->conns, node)
		if (t->link)
			tcp_broken(t);
	tcp_flush(h);
}
