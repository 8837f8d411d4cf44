// SPDX-License-Identifier: GPL-2.0
/* Links over reliable UDP: one socket for all of a node's connections. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>
#include "net.h"

#define BATCH 16		/* packets in one sendmmsg() */
#define BURST_BYTES 65000	/* that the kernel takes as one and cuts into packets (UDP_SEGMENT) */
#define BURST_PACKETS 64
#define SLOTS 8			/* datagrams, or trains of them, in one recvmmsg() */
#define SLOT_BYTES 65536
#define RX_ROUNDS 8		/* of those before the others get their turn */
#define SOCK_BUF (4 << 20)

/**
 * struct rudp - a connection
 * @link: whom it is calling for, until the core has the connection
 */
struct rudp {
	struct kecho_rudp r;
	struct home *home;
	struct list_head node, kick;
	struct kecho_link *link;
	bool kicked, dead;
};

/**
 * struct rudp_io - what the socket works with
 * @inet6: it is an IPv6 one, which has IPv4 addresses mapped
 * @full: it takes no more until it can be written again
 * @cuts: the kernel cuts bursts into packets
 */
struct rudp_io {
	struct list_head conns, kicked, dead;
	bool inet6, full, cuts;
	struct kecho_rudp_out out[BATCH];
	struct kvec vec[BATCH * KECHO_RUDP_VECS];
	u8 rx[SLOTS][SLOT_BYTES];
};

static struct rudp *conn_rudp(struct kecho_conn *conn)
{
	return container_of(container_of(conn, struct kecho_rudp, conn), struct rudp, r);
}

static socklen_t to_sock(const struct rudp_io *io, const struct kecho_addr *a, union sock *s)
{
	static const u8 mapped[12] = { [10] = 0xff, 0xff };

	if (!io->inet6 || a->family == 6)
		return addr_to_sock(a, s);
	memset(s, 0, sizeof(*s));
	s->in6.sin6_family = AF_INET6;
	s->in6.sin6_port = a->port;
	memcpy(&s->in6.sin6_addr, mapped, sizeof(mapped));
	memcpy(s->in6.sin6_addr.s6_addr + sizeof(mapped), a->ip, 4);
	return sizeof(s->in6);
}

/* --- connections --- */

static struct rudp *rudp_new(struct home *h)
{
	struct rudp *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->home = h;
	INIT_LIST_HEAD(&c->kick);
	list_add_tail(&c->node, &h->io->conns);
	return c;
}

static void rudp_kick_it(struct rudp *c)
{
	if (c->kicked || c->dead)
		return;
	c->kicked = true;
	list_add_tail(&c->kick, &c->home->io->kicked);
}

void rudp_kick(struct kecho_conn *conn)
{
	rudp_kick_it(conn_rudp(conn));
}

void rudp_close(struct kecho_conn *conn)
{
	struct rudp *c = conn_rudp(conn);

	if (c->dead)
		return;
	c->dead = true;
	list_move_tail(&c->node, &c->home->io->dead);
}

static void rudp_broken(struct rudp *c)
{
	struct kecho_link *link = c->link;

	if (c->dead)
		return;
	c->link = NULL;
	if (link)
		kecho_cm_dial_failed(link, home_now());
	else
		kecho_cm_closed(&c->r.conn, home_now());
	rudp_close(&c->r.conn);
}

void rudp_connect(struct home *h, struct kecho_link *link, const union sock *to)
{
	struct rudp *c = rudp_new(h);
	struct kecho_addr addr;

	if (!c) {
		kecho_cm_dial_failed(link, home_now());
		return;
	}
	addr_from_sock(&addr, to);
	c->link = link;
	kecho_rudp_call(&h->end, &c->r, &addr, home_now());
	rudp_kick_it(c);
}

/* --- sending --- */

/* As many of @n packets as make one burst: of one size but for the last, which may be shorter. */
static int burst(const struct rudp_io *io, const struct kecho_rudp_out *out, int n, size_t *iovs)
{
	u32 bytes = 0;
	int i = 0;

	*iovs = 0;
	do {
		bytes += out[i].len;
		*iovs += out[i].n;
	} while (++i < n && io->cuts && i < BURST_PACKETS && out[i - 1].len == out[0].len && out[i].len <= out[0].len &&
		 bytes + out[i].len <= BURST_BYTES);
	return i;
}

/* To @c, what has been built. Bursts that were not sent are told to it. */
static void packets_send(struct rudp *c, int n, u64 now)
{
	union {
		char room[CMSG_SPACE(sizeof(u16))];
		struct cmsghdr align;
	} cmsg[BATCH];
	struct rudp_io *io = c->home->io;
	struct mmsghdr mm[BATCH];
	int size[BATCH], bursts = 0, i, j, done, err;
	struct kvec *vec = io->vec;
	union sock to;
	socklen_t to_len = to_sock(io, &c->r.addr, &to);
	struct cmsghdr *cm;
	size_t iovs;

	for (i = 0; i < n; i += size[bursts++]) {
		size[bursts] = burst(io, io->out + i, n - i, &iovs);
		mm[bursts] = (struct mmsghdr){ .msg_hdr = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = vec, .msg_iovlen = iovs } };
		for (j = i; j < i + size[bursts]; j++)
			vec = mempcpy(vec, io->out[j].vec, io->out[j].n * sizeof(*vec));
		if (size[bursts] == 1)
			continue;
		mm[bursts].msg_hdr.msg_control = &cmsg[bursts];
		mm[bursts].msg_hdr.msg_controllen = sizeof(cmsg[bursts].room);
		cm = CMSG_FIRSTHDR(&mm[bursts].msg_hdr);
		*cm = (struct cmsghdr){ .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(u16)) };
		*(u16 *)CMSG_DATA(cm) = io->out[i].len;
	}
	for (i = 0, j = 0, done = 0; i < bursts; ) {
		err = 0;
		if (!io->full)
			done = sendmmsg(c->home->udp.fd, mm + i, bursts - i, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (io->full || (done < 0 && (errno == EAGAIN || errno == ENOBUFS))) {
			io->full = true;
			err = -EAGAIN;
		} else if (done < 0 && errno == EMSGSIZE) {
			err = -EMSGSIZE;
		} else if (done < 0 && size[i] > 1 && (errno == EIO || errno == EINVAL)) {
			/* There is no UDP_SEGMENT here. */
			io->cuts = false;
			err = -EAGAIN;
		}
		/* Other errors are the network's: it does with packets what it wants. */
		for (done = max(done, 1); done; done--, i++)
			for (; size[i]; size[i]--)
				kecho_rudp_built(&c->r, &io->out[j++], err, now);
	}
}

static void rudp_send(struct rudp *c)
{
	struct home *h = c->home;
	struct rudp_io *io = h->io;
	u64 now = home_now();
	int n, err;

	do {
		kecho_rudp_begin(&c->r);
		for (n = 0; n < BATCH && (err = kecho_rudp_build(&c->r, &io->out[n], now)) > 0; )
			n++;
		packets_send(c, n, now);
		kecho_rudp_end(&c->r);
	} while (err >= 0 && n && !io->full);
	if (err < 0)
		rudp_broken(c);
	else
		h->rudp_at = min(h->rudp_at, kecho_rudp_due(&c->r));
}

static void answer(struct home *h, const struct kecho_addr *to, void *data, size_t len)
{
	union sock s;
	socklen_t s_len = to_sock(h->io, to, &s);

	/* If it does not go, the peer asks again. */
	if (sendto(h->udp.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, &s.sa, s_len) < 0)
		return;
}

void rudp_flush(struct home *h)
{
	struct rudp_io *io = h->io;
	struct rudp *c;

	if (!io)
		return;
	while (!list_empty(&io->kicked) && !io->full) {
		c = list_first_entry(&io->kicked, struct rudp, kick);
		list_del_init(&c->kick);
		c->kicked = false;
		if (!c->dead)
			rudp_send(c);
	}
	if (io->full)
		home_rewatch(h, &h->udp, EPOLLIN | EPOLLOUT);
	while (!list_empty(&io->dead)) {
		c = list_first_entry(&io->dead, struct rudp, node);
		list_del(&c->node);
		list_del_init(&c->kick);
		kecho_rudp_close(&c->r, &io->out[0]);
		if (io->out[0].len)
			answer(h, &c->r.addr, io->out[0].heads, io->out[0].len);
		kecho_rudp_exit(&c->r);
		kecho_cm_conn_exit(&c->r.conn);
		free(c);
	}
}

void rudp_tick(struct home *h, u64 now)
{
	struct rudp *c;
	u64 due;

	h->rudp_at = U64_MAX;
	list_for_each_entry(c, &h->io->conns, node) {
		due = kecho_rudp_due(&c->r);
		if (due <= now)
			rudp_kick_it(c);
		else
			h->rudp_at = min(h->rudp_at, due);
	}
}

/* --- receiving --- */

struct flat {
	struct kecho_packet p;
	const u8 *data;
};

static void flat_copy(const struct kecho_packet *p, u32 off, void *to, u32 len)
{
	memcpy(to, container_of(p, struct flat, p)->data + off, len);
}

static void packet_take(struct home *h, const u8 *data, u32 len, const struct kecho_addr *from, u64 now)
{
	struct flat f = { { .len = len, .copy = flat_copy }, data };
	struct kecho_rudp_init reply;
	struct kecho_link *link;
	struct kecho_rudp *r;
	struct rudp *c;
	u32 reply_len;
	int err;

	switch (kecho_rudp_sort(&h->end, &f.p, from, &r, &reply, &reply_len, now)) {
	case KECHO_RUDP_DROP:
		break;
	case KECHO_RUDP_ANSWER:
		answer(h, from, &reply, reply_len);
		break;
	case KECHO_RUDP_NEW:
		/* While this node leaves, nobody is taken. */
		c = h->listener.fd >= 0 ? rudp_new(h) : NULL;
		if (!c)
			break;
		kecho_rudp_accept(&h->end, &c->r, &f.p, from, now);
		kecho_cm_accepted(&h->node.cm, &c->r.conn, now);
		rudp_kick_it(c);
		break;
	case KECHO_RUDP_TAKE:
		c = container_of(r, struct rudp, r);
		if (c->dead)
			break;
		err = kecho_rudp_take(r, &f.p, now);
		rudp_kick_it(c);
		if (err == 1) {
			link = c->link;
			c->link = NULL;
			kecho_cm_dialed(link, &r->conn, now);
		} else if (err) {
			rudp_broken(c);
		}
	}
}

/* One datagram, or several of one size that the kernel has put together. */
static void train_take(struct home *h, const u8 *data, u32 len, struct msghdr *mh, u64 now)
{
	struct kecho_addr from;
	struct cmsghdr *cm;
	u32 size = len, n;

	addr_from_sock(&from, mh->msg_name);
	for (cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm))
		if (cm->cmsg_level == SOL_UDP && cm->cmsg_type == UDP_GRO)
			size = *(int *)CMSG_DATA(cm);
	for (; len && size; data += n, len -= n) {
		n = min(size, len);
		packet_take(h, data, n, &from, now);
	}
}

static void on_socket(struct watch *w, uint32_t events)
{
	struct home *h = container_of(w, struct home, udp);
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} cmsg[SLOTS];
	struct rudp_io *io = h->io;
	struct mmsghdr mm[SLOTS];
	struct kvec vec[SLOTS];
	union sock from[SLOTS];
	int i, n, rounds;
	u64 now = home_now();

	if (events & EPOLLOUT) {
		io->full = false;
		home_rewatch(h, w, EPOLLIN);
	}
	for (rounds = 0; rounds < RX_ROUNDS; rounds++) {
		for (i = 0; i < SLOTS; i++) {
			vec[i] = (struct kvec){ io->rx[i], SLOT_BYTES };
			mm[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &vec[i], .msg_iovlen = 1,
							 .msg_control = &cmsg[i], .msg_controllen = sizeof(cmsg[i].room) };
		}
		n = recvmmsg(w->fd, mm, SLOTS, MSG_DONTWAIT, NULL);
		for (i = 0; i < n; i++)
			if (!(mm[i].msg_hdr.msg_flags & MSG_TRUNC))
				train_take(h, io->rx[i], mm[i].msg_len, &mm[i].msg_hdr, now);
		if (n < SLOTS)
			break;
	}
}

/* --- the socket --- */

static int sock_open(struct rudp_io *io, const union sock *at, socklen_t len)
{
	int fd, zero = 0, one = 1, probe, size = SOCK_BUF;

	fd = socket(at ? at->sa.sa_family : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	io->inet6 = fd >= 0 && (!at || at->sa.sa_family == AF_INET6);
	if (fd < 0 && !at)
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!at && io->inet6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	/* No packet is cut by IP, and how long one may be is found out by trying. */
	probe = IP_PMTUDISC_PROBE;
	setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe));
	probe = IPV6_PMTUDISC_PROBE;
	if (io->inet6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
	if (at && bind(fd, &at->sa, len)) {
		zero = -errno;
		close(fd);
		return zero;
	}
	return fd;
}

int rudp_open(struct home *h, const union sock *at, socklen_t len)
{
	struct rudp_io *io = calloc(1, sizeof(*io));
	int fd, err;

	if (!io)
		return -ENOMEM;
	INIT_LIST_HEAD(&io->conns);
	INIT_LIST_HEAD(&io->kicked);
	INIT_LIST_HEAD(&io->dead);
	io->cuts = true;
	fd = sock_open(io, at, len);
	if (fd < 0) {
		free(io);
		return fd;
	}
	kecho_rudp_end_init(&h->end, &h->node.cm);
	if (getrandom(&h->end.key, sizeof(h->end.key), 0) != sizeof(h->end.key)) {
		close(fd);
		free(io);
		return -EIO;
	}
	h->io = io;
	h->udp = (struct watch){ .fd = fd, .fn = on_socket };
	err = home_watch(h, &h->udp, EPOLLIN);
	if (err)
		rudp_exit(h);
	return err;
}

void rudp_hang_up(struct home *h)
{
	struct rudp *c, *next;

	if (!h->io)
		return;
	list_for_each_entry_safe(c, next, &h->io->conns, node)
		if (c->link)
			rudp_broken(c);
}

void rudp_exit(struct home *h)
{
	if (!h->io)
		return;
	close(h->udp.fd);
	h->udp.fd = -1;
	free(h->io);
	h->io = NULL;
}
