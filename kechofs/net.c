// SPDX-License-Identifier: GPL-2.0
/* A node's connections with others: whom to call, where to listen, and by which transport. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "net.h"

#define ROOM 28		/* of an address's port and brackets, beyond the host */

void addr_from_sock(struct kecho_addr *a, const union sock *s)
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

socklen_t addr_to_sock(const struct kecho_addr *a, union sock *s)
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

/* --- the core's kecho_cm_ops --- */

void net_kick(struct kecho_conn *conn)
{
	if (conn->overtakes)
		rudp_kick(conn);
	else
		tcp_kick(conn);
}

void net_close(struct kecho_conn *conn)
{
	if (conn->overtakes)
		rudp_close(conn);
	else
		tcp_close(conn);
}

/* --- calling --- */

static void net_connect(struct home *h, struct kecho_link *link, const union sock *to, socklen_t len)
{
	if (kecho_link_dials_rudp(link))
		rudp_connect(h, link, to);
	else
		tcp_connect(h, link, to, len);
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
			net_connect(h, l->link, &l->to, l->len);
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

void net_dial(struct kecho_cm *cm, struct kecho_link *link)
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

static void net_dial_host(struct home *h, struct kecho_link *link)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_attr_t attr;
	pthread_t thread;

	if (!l)
		goto fail;
	if (split_host(link->host, KECHO_PORT, l->host, sizeof(l->host), l->port))
		goto fail;
	if (!lookup_now(l, AI_NUMERICHOST | AI_NUMERICSERV)) {
		net_connect(h, link, &l->to, l->len);
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

static void net_dials(struct home *h)
{
	union sock to;
	socklen_t len;

	while (!list_empty(&dials)) {
		struct dial *d = list_first_entry(&dials, struct dial, node);

		list_del(&d->node);
		if (d->link->host) {
			net_dial_host(h, d->link);
		} else {
			len = addr_to_sock(&d->link->addr, &to);
			net_connect(h, d->link, &to, len);
		}
		kecho_link_put(d->link);
		free(d);
	}
}

int net_call(struct home *h, const char *host, u16 default_port)
{
	char name[256], port[8], full[256 + ROOM];
	struct kecho_link *link;

	if (split_host(host, default_port, name, sizeof(name), port) || !name[0])
		return -EINVAL;
	if (h->udp.fd < 0)
		h->node.cm.udp = !rudp_open(h, NULL, 0);
	snprintf(full, sizeof(full), strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
	mutex_lock(&h->node.cm.lock);
	link = kecho_cm_call(&h->node.cm, full, NULL, home_now());
	mutex_unlock(&h->node.cm.lock);
	return link ? 0 : -ENOMEM;
}

/* --- being called --- */

static bool is_loopback(const struct kecho_addr *a)
{
	static const u8 one[16] = { [15] = 1 };

	return a->family == 4 ? a->ip[0] == 127 : !memcmp(a->ip, one, 16);
}

int net_listen(struct home *h, const char *addr, u16 default_port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *ai;
	struct kecho_addr *listen = &h->node.cm.listen;
	char host[256], port[8];
	union sock at;
	socklen_t len;
	int err;

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
	addr_from_sock(listen, &at);
	if (!is_loopback(listen) && !h->insecure) {
		pr_err("listen=%s: links are not encrypted, and anyone who reaches that address could join; "
		       "listen on 127.0.0.1, or say 'insecure' if the network is trusted\n", addr);
		return -EPERM;
	}
	err = tcp_listen(h, &at, len);
	if (err) {
		pr_err("listen=%s: %s\n", addr, strerror(-err));
		return err;
	}
	addr_from_sock(listen, &at);
	err = rudp_open(h, &at, len);
	if (err)
		pr_warn("listen=%s: no reliable UDP there: %s\n", addr, strerror(-err));
	h->node.cm.udp = !err;
	return 0;
}

void net_flush(struct home *h)
{
	net_dials(h);
	tcp_flush(h);
	rudp_flush(h);
}

int net_init(struct home *h)
{
	int fds[2];

	h->listener.fd = h->udp.fd = -1;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC))
		return -errno;
	resolver_pipe = fds[1];
	h->resolved = (struct watch){ .fd = fds[0], .fn = on_resolved };
	return home_watch(h, &h->resolved, EPOLLIN);
}

/* What is queued goes out, for at most a second, then goodbye: to close on what a peer sends would take the rest from it. */
void net_goodbye(struct home *h)
{
	u64 until = home_now() + 1000000000ull;
	bool busy;

	if (h->listener.fd >= 0)
		close(h->listener.fd);
	h->listener.fd = -1;
	do {
		home_turn(h, 10);
		busy = !kecho_cm_drained(&h->node.cm, home_now());
	} while (busy && home_now() < until);
	if (busy)
		pr_warn("some peers did not take all that was published; it is lost to them\n");
	kecho_cm_bye(&h->node.cm);
	net_flush(h);
	tcp_hang_up(h);
	rudp_hang_up(h);
	net_flush(h);
}

void net_exit(struct home *h)
{
	net_flush(h);
	rudp_exit(h);
	free(h->rxbuf);
}
