// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kthread.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/ipv6.h>
#include <net/udp.h>
#include "../../lib/cm/rudp.h"
#include "../compat.h"
#include "transport.h"

#define BATCH 16		/* packets that are built before they are sent */
#define BURST_BYTES 65000	/* that leave as one, to be cut into packets (UDP_SEGMENT) */
#define BURST_PACKETS 64
#define RX_PACKETS 64		/* taken before something is sent */
#define SOCK_BUF (4 << 20)
#define FULL_NS (10 * NSEC_PER_MSEC)

/**
 * struct rudp_conn - a connection
 * @link: whom it is being called for, until the core has the connection; a reference
 * @kick, @kicked: in rudp_end.kicked; @dead: in rudp_end.dead or about to be, nothing is done with it any more
 */
struct rudp_conn {
	struct kecho_rudp r;
	struct rudp_end *end;
	struct list_head node, kick;
	struct kecho_link *link;
	bool kicked, dead;
};

/**
 * struct rudp_end - the socket, its thread and its connections
 * @lock: what the core's rudp.h asks for: all that is done with connections. @conns, @out
 * @note_lock: what is noted in any context: @dials, @kicked, @dead, rudp_conn.kicked and .dead
 * @work: the thread has something to do; it sleeps on @wait
 * @due: when, else; @armed: until when it sleeps. @lock
 * @full: the socket took no more; it is tried again when its monitor calls, and every FULL_NS
 */
struct rudp_end {
	struct kecho_net *net;
	struct kecho_rudp_end end;
	struct socket *sock;
	struct nwmon monitor;
	bool inet6, full, cuts;
	struct mutex lock;
	spinlock_t note_lock;
	struct list_head conns, dials, kicked, dead;
	struct task_struct *thread;
	wait_queue_head_t wait;
	atomic_t work;
	u64 due, armed;
	struct kecho_rudp_out out[BATCH];
	struct kvec vec[BATCH * KECHO_RUDP_VECS];
};

static void end_wake(struct rudp_end *e)
{
	if (!atomic_xchg(&e->work, 1))
		wake_up(&e->wait);
}

static struct rudp_conn *conn_rudp(struct kecho_conn *conn)
{
	return container_of(container_of(conn, struct kecho_rudp, conn), struct rudp_conn, r);
}

/* --- notes: any context --- */

static struct rudp_conn *conn_new(struct rudp_end *e)
{
	struct rudp_conn *c = kzalloc(sizeof(*c), GFP_ATOMIC);

	if (!c)
		return NULL;
	c->end = e;
	INIT_LIST_HEAD(&c->node);
	INIT_LIST_HEAD(&c->kick);
	return c;
}

static void conn_kick(struct rudp_conn *c)
{
	struct rudp_end *e = c->end;

	spin_lock_bh(&e->note_lock);
	if (!c->kicked && !c->dead) {
		c->kicked = true;
		list_add_tail(&c->kick, &e->kicked);
	}
	spin_unlock_bh(&e->note_lock);
}

void kecho_udp_kick(struct kecho_conn *conn)
{
	conn_kick(conn_rudp(conn));
	end_wake(conn_rudp(conn)->end);
}

void kecho_udp_close(struct kecho_conn *conn)
{
	struct rudp_conn *c = conn_rudp(conn);
	struct rudp_end *e = c->end;

	spin_lock_bh(&e->note_lock);
	if (!c->dead) {
		c->dead = true;
		list_move_tail(&c->kick, &e->dead);
	}
	spin_unlock_bh(&e->note_lock);
	end_wake(e);
}

void kecho_udp_dial(struct kecho_net *t, struct kecho_link *link)
{
	struct rudp_conn *c = READ_ONCE(t->stopping) || !t->rudp ? NULL : conn_new(t->rudp);

	if (!c) {
		/* Tried again when it is next due. */
		link->dialing = false;
		return;
	}
	c->link = kecho_link_get(link);
	spin_lock_bh(&t->rudp->note_lock);
	list_add_tail(&c->kick, &t->rudp->dials);
	spin_unlock_bh(&t->rudp->note_lock);
	end_wake(t->rudp);
}

/* What was noted first in @list, or NULL. */
static struct rudp_conn *noted(struct rudp_end *e, struct list_head *list)
{
	struct rudp_conn *c;

	spin_lock_bh(&e->note_lock);
	c = list_first_entry_or_null(list, struct rudp_conn, kick);
	if (c) {
		list_del_init(&c->kick);
		c->kicked = false;
	}
	spin_unlock_bh(&e->note_lock);
	return c;
}

static void conn_broken(struct rudp_conn *c)
{
	struct kecho_link *link = c->link;

	c->link = NULL;
	if (link) {
		kecho_cm_dial_failed(link, now_ns());
		kecho_link_put(link);
	} else {
		kecho_cm_closed(&c->r.conn, now_ns());
	}
	kecho_udp_close(&c->r.conn);
}

/* --- sending --- */

static int to_sock(const struct rudp_end *e, const struct kecho_addr *a, union sock_addr *s)
{
	__be32 v4;

	if (!e->inet6 || a->family == 6)
		return addr_to_sock(a, s);
	memset(s, 0, sizeof(*s));
	s->in6.sin6_family = AF_INET6;
	s->in6.sin6_port = a->port;
	memcpy(&v4, a->ip, sizeof(v4));
	ipv6_addr_set_v4mapped(v4, &s->in6.sin6_addr);
	return sizeof(s->in6);
}

/* @size: of each packet, 0: there is but one */
static int packets_put(struct rudp_end *e, const struct kecho_addr *to, struct kvec *vec, size_t n, size_t bytes, u16 size)
{
	union {
		char room[CMSG_SPACE(sizeof(u16))];
		struct cmsghdr head;
	} cmsg;
	union sock_addr at;
	struct msghdr mh = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL, .msg_name = &at };
	int ret;

	mh.msg_namelen = to_sock(e, to, &at);
	if (size) {
		cmsg.head = (struct cmsghdr){ .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(u16)) };
		*(u16 *)CMSG_DATA(&cmsg.head) = size;
		mh.msg_control = &cmsg;
		mh.msg_controllen = sizeof(cmsg.room);
	}
	ret = kernel_sendmsg(e->sock, &mh, vec, n, bytes);
	return ret < 0 ? ret : 0;
}

/* As many of @n packets as make one burst: of one size but for the last, which may be shorter. */
static int burst_put(struct rudp_end *e, const struct kecho_addr *to, int from, int n, int *err)
{
	const struct kecho_rudp_out *out = e->out + from;
	struct kvec *vec = e->vec;
	u32 bytes = 0;
	int i = 0;

	do {
		memcpy(vec, out[i].vec, out[i].n * sizeof(*vec));
		vec += out[i].n;
		bytes += out[i].len;
	} while (++i < n && e->cuts && i < BURST_PACKETS && out[i - 1].len == out[0].len && out[i].len <= out[0].len &&
		 bytes + out[i].len <= BURST_BYTES);
	*err = e->full ? -EAGAIN : packets_put(e, to, e->vec, vec - e->vec, bytes, i > 1 ? out[0].len : 0);
	if (*err == -ENOBUFS || *err == -EAGAIN) {
		e->full = true;
		*err = -EAGAIN;
	} else if (i > 1 && (*err == -EIO || *err == -EINVAL)) {
		/* The device cannot. */
		e->cuts = false;
		*err = -EAGAIN;
	} else if (*err != -EMSGSIZE) {
		/* Other errors are the network's: it does with packets what it wants. */
		*err = 0;
	}
	return i;
}

static void conn_send(struct rudp_conn *c)
{
	struct rudp_end *e = c->end;
	u64 now = now_ns();
	int n, i, end, sent, err;

	lockdep_assert_held(&e->lock);
	if (READ_ONCE(c->dead))
		return;
	do {
		kecho_rudp_begin(&c->r);
		for (n = 0; n < BATCH && (err = kecho_rudp_build(&c->r, &e->out[n], now)) > 0; )
			n++;
		for (i = 0; i < n; ) {
			end = i + burst_put(e, &c->r.addr, i, n - i, &sent);
			for (; i < end; i++)
				kecho_rudp_built(&c->r, &e->out[i], sent, now);
		}
		kecho_rudp_end(&c->r);
	} while (err >= 0 && n && !e->full);
	if (err < 0)
		conn_broken(c);
	else
		e->due = min(e->due, kecho_rudp_due(&c->r));
}

void kecho_udp_send(struct kecho_link *link)
{
	struct kecho_net *t = link->cm->home;
	struct rudp_end *e = t->rudp;
	struct kecho_conn *conn;
	bool mine = false, wake;

	if (!e)
		return;
	spin_lock_bh(&link->lock);
	conn = link->conn;
	if (conn && conn->up && conn->overtakes) {
		/* It is freed by who holds that lock. */
		mine = mutex_trylock(&e->lock);
		if (!mine)
			kecho_udp_kick(conn);
	}
	spin_unlock_bh(&link->lock);
	if (!mine)
		return;
	conn_send(conn_rudp(conn));
	wake = e->due < e->armed || e->full;
	mutex_unlock(&e->lock);
	if (wake)
		end_wake(e);
}

/* --- receiving --- */

struct skb_packet {
	struct kecho_packet p;
	struct sk_buff *skb;
	u32 at;
};

static void skb_packet_copy(const struct kecho_packet *p, u32 off, void *to, u32 len)
{
	const struct skb_packet *s = container_of(p, struct skb_packet, p);

	WARN_ON_ONCE(skb_copy_bits(s->skb, s->at + off, to, len));
}

static void packet_take(struct rudp_end *e, struct kecho_packet *p, const struct kecho_addr *from, u64 now)
{
	struct kecho_net *t = e->net;
	struct kecho_rudp_init reply;
	struct kecho_rudp *r;
	struct rudp_conn *c;
	struct kvec vec;
	u32 reply_len;
	int err;

	switch (kecho_rudp_sort(&e->end, p, from, &r, &reply, &reply_len, now)) {
	case KECHO_RUDP_DROP:
		break;
	case KECHO_RUDP_ANSWER:
		vec.iov_base = &reply;
		vec.iov_len = reply_len;
		/* If it does not go, the peer asks again. */
		packets_put(e, from, &vec, 1, reply_len, 0);
		break;
	case KECHO_RUDP_NEW:
		c = READ_ONCE(t->stopping) ? NULL : conn_new(e);
		if (!c)
			break;
		list_add_tail(&c->node, &e->conns);
		kecho_rudp_accept(&e->end, &c->r, p, from, now);
		kecho_cm_accepted(t->cm, &c->r.conn, now);
		conn_kick(c);
		break;
	case KECHO_RUDP_TAKE:
		c = container_of(r, struct rudp_conn, r);
		if (READ_ONCE(c->dead))
			break;
		err = kecho_rudp_take(r, p, now);
		conn_kick(c);
		if (err == 1) {
			struct kecho_link *link = c->link;

			c->link = NULL;
			kecho_cm_dialed(link, &r->conn, now);
			kecho_link_put(link);
		} else if (err) {
			conn_broken(c);
		}
	}
}

static void from_skb(struct kecho_addr *a, const struct sk_buff *skb)
{
	memset(a, 0, sizeof(*a));
	a->port = udp_hdr(skb)->source;
	if (skb->protocol == htons(ETH_P_IP)) {
		a->family = 4;
		memcpy(a->ip, &ip_hdr(skb)->saddr, 4);
	} else {
		a->family = 6;
		memcpy(a->ip, &ipv6_hdr(skb)->saddr, 16);
	}
}

/* One datagram, or several of one size that the kernel has put together. */
static void skb_take(struct rudp_end *e, struct sk_buff *skb, u64 now)
{
	u32 size = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : skb->len;
	struct skb_packet s = { .p.copy = skb_packet_copy, .skb = skb };
	struct kecho_addr from;

	if (udp_lib_checksum_complete(skb))
		return;
	from_skb(&from, skb);
	for (; size && s.at < skb->len; s.at += s.p.len) {
		s.p.len = min(size, skb->len - s.at);
		packet_take(e, &s.p, &from, now);
	}
}

/* Returns whether there may be more. */
static bool end_receive(struct rudp_end *e)
{
	u64 now = now_ns();
	struct sk_buff *skb;
	int i, err;

	for (i = 0; i < RX_PACKETS; i++) {
		skb = skb_recv_udp(e->sock->sk, MSG_DONTWAIT, &err);
		if (!skb)
			return false;
		skb_take(e, skb, now);
		consume_skb(skb);
	}
	return true;
}

/* --- the thread --- */

static void conn_dial(struct rudp_conn *c)
{
	struct kecho_addr addr = c->link->addr;

	/* It has been looked at when it was configured. */
	if (c->link->host)
		addr_parse(c->link->host, KECHO_PORT, &addr);
	list_add_tail(&c->node, &c->end->conns);
	kecho_rudp_call(&c->end->end, &c->r, &addr, now_ns());
	conn_kick(c);
}

static void conn_free(struct rudp_conn *c)
{
	struct rudp_end *e = c->end;
	struct kvec vec;

	kecho_rudp_close(&c->r, &e->out[0]);
	if (e->out[0].len) {
		vec = e->out[0].vec[0];
		packets_put(e, &c->r.addr, &vec, 1, e->out[0].len, 0);
	}
	list_del(&c->node);
	kecho_rudp_exit(&c->r);
	kecho_cm_conn_exit(&c->r.conn);
	if (c->link)
		kecho_link_put(c->link);
	kfree(c);
}

static void end_timers(struct rudp_end *e, u64 now)
{
	struct rudp_conn *c;
	u64 due;

	if (now < e->due)
		return;
	e->due = U64_MAX;
	list_for_each_entry(c, &e->conns, node) {
		due = kecho_rudp_due(&c->r);
		if (due <= now)
			conn_kick(c);
		else
			e->due = min(e->due, due);
	}
}

static bool end_pass(struct rudp_end *e)
{
	struct rudp_conn *c;
	bool more;

	mutex_lock(&e->lock);
	if (e->full && sock_writeable(e->sock->sk))
		e->full = false;
	more = end_receive(e);
	while ((c = noted(e, &e->dials)))
		conn_dial(c);
	end_timers(e, now_ns());
	while (!e->full && (c = noted(e, &e->kicked)))
		conn_send(c);
	while ((c = noted(e, &e->dead)))
		conn_free(c);
	e->armed = e->full ? min(e->due, now_ns() + FULL_NS) : e->due;
	mutex_unlock(&e->lock);
	return more;
}

static int end_thread(void *data)
{
	struct rudp_end *e = data;
	u64 due, now;

	while (!kthread_should_stop()) {
		due = READ_ONCE(e->armed);
		now = now_ns();
		if (due > now)
			wait_event_interruptible_hrtimeout(e->wait, atomic_read(&e->work) || kthread_should_stop(),
							   due == U64_MAX ? KTIME_MAX : ns_to_ktime(due - now));
		atomic_set(&e->work, 0);
		nwmon_handled(&e->monitor, &e->net->stats);
		while (end_pass(e))
			cond_resched();
		cond_resched();
	}
	return 0;
}

void kecho_udp_pass(struct kecho_net *t)
{
	if (t->rudp)
		end_pass(t->rudp);
}

static void end_arrived(struct nwmon *w)
{
	end_wake(container_of(w, struct rudp_end, monitor));
}

static void end_room(struct nwmon *w)
{
	struct rudp_end *e = container_of(w, struct rudp_end, monitor);

	/* After every packet that has left: no news if nothing waits. */
	if (!READ_ONCE(e->full))
		return;
	WRITE_ONCE(e->full, false);
	end_wake(e);
}

/* --- the socket --- */

static void sock_set(struct socket *sock, int level, int opt, int v)
{
	/* What a kernel does not know is done without. */
	sock->ops->setsockopt(sock, level, opt, KERNEL_SOCKPTR(&v), sizeof(v));
}

static int sock_open(struct rudp_end *e, const union sock_addr *at, int len)
{
	int err;

	e->inet6 = !at || at->sa.sa_family == AF_INET6;
	err = sock_create_kern(e->net->ns, e->inet6 ? AF_INET6 : AF_INET, SOCK_DGRAM, IPPROTO_UDP, &e->sock);
	if (err && !at) {
		e->inet6 = false;
		err = sock_create_kern(e->net->ns, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &e->sock);
	}
	if (err)
		return err;
	sk_net_refcnt_upgrade(e->sock->sk);
	if (e->inet6) {
		sock_set(e->sock, SOL_IPV6, IPV6_V6ONLY, 0);
		sock_set(e->sock, SOL_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	}
	/* No packet is cut by IP, and how long one may be is found out by trying. */
	sock_set(e->sock, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	sock_set(e->sock, SOL_UDP, UDP_GRO, 1);
	e->sock->sk->sk_allocation = GFP_NOIO;
	WRITE_ONCE(e->sock->sk->sk_rcvbuf, SOCK_BUF);
	WRITE_ONCE(e->sock->sk->sk_sndbuf, SOCK_BUF);
	e->sock->sk->sk_userlocks |= SOCK_RCVBUF_LOCK | SOCK_SNDBUF_LOCK;
	if (!at) {
		union sock_addr any = { .sa.sa_family = e->inet6 ? AF_INET6 : AF_INET };

		return kernel_bind(e->sock, &any.sa, e->inet6 ? sizeof(any.in6) : sizeof(any.in));
	}
	return kernel_bind(e->sock, (struct sockaddr *)&at->sa, len);
}

int kecho_udp_open(struct kecho_net *t, const union sock_addr *at, int len)
{
	struct rudp_end *e = kvzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	int err;

	if (!e)
		return -ENOMEM;
	e->net = t;
	e->cuts = true;
	e->due = e->armed = U64_MAX;
	mutex_init(&e->lock);
	spin_lock_init(&e->note_lock);
	INIT_LIST_HEAD(&e->conns);
	INIT_LIST_HEAD(&e->dials);
	INIT_LIST_HEAD(&e->kicked);
	INIT_LIST_HEAD(&e->dead);
	init_waitqueue_head(&e->wait);
	kecho_rudp_end_init(&e->end, t->cm);
	get_random_bytes(&e->end.key, sizeof(e->end.key));
	err = sock_open(e, at, len);
	if (err)
		goto err_sock;
	e->thread = kthread_create(end_thread, e, "kecho_rudp");
	if (IS_ERR(e->thread)) {
		err = PTR_ERR(e->thread);
		goto err_sock;
	}
	t->rudp = e;
	nwmon_watch(&e->monitor, e->sock, NULL, end_arrived, end_room);
	wake_up_process(e->thread);
	return 0;
err_sock:
	if (e->sock)
		sock_release(e->sock);
	kvfree(e);
	return err;
}

void kecho_udp_hang_up(struct kecho_net *t)
{
	struct rudp_end *e = t->rudp;
	struct rudp_conn *c;

	if (!e)
		return;
	mutex_lock(&e->lock);
	while ((c = noted(e, &e->dials)))
		conn_dial(c);
	list_for_each_entry(c, &e->conns, node)
		if (c->link)
			conn_broken(c);
	mutex_unlock(&e->lock);
	end_wake(e);
}

void kecho_udp_exit(struct kecho_net *t)
{
	struct rudp_end *e = t->rudp;

	if (!e)
		return;
	t->rudp = NULL;
	kthread_stop(e->thread);
	nwmon_unwatch(&e->monitor);
	end_pass(e);
	WARN_ON_ONCE(!list_empty(&e->conns));
	sock_release(e->sock);
	kvfree(e);
}
