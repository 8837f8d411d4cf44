// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/ipv6.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "../../lib/cm/framer.h"
#include "../compat.h"
#include "tcp.h"

#define RXBUF (16u << 10)
#define RX_ROUNDS 16	/* reads before others of the workqueue get their turn */
#define TX_VECS 64
#define CONNECT_MS 3000
#define GOODBYE_MS 1000

static struct workqueue_struct *work_wq, *close_wq;

/**
 * struct tcp_conn - a connection
 * @link: whom it is being dialed for, until the core has the connection; a reference
 * @closed: closing has begun: no work is queued any more; @lock
 * @tx_lock: who holds it sends
 * @stalled: the socket takes no more; its monitor calls when it does
 * @senders: publishers that are about to send, besides @tx: closing waits for them
 */
struct tcp_conn {
	struct kecho_conn conn;
	struct kecho_tcp *tcp;
	struct socket *sock;
	struct nwmon monitor;
	struct kecho_framer framer;
	struct kecho_link *link;
	spinlock_t lock;
	bool closed;
	struct mutex tx_lock;
	bool stalled;
	atomic_t senders;
	struct work_struct dial, rx, tx, close;
	u8 *rxbuf;
};

union sock_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static u64 now_ns(void)
{
	return ktime_get_ns();
}

/* --- addresses --- */

static int addr_to_sock(const struct kecho_addr *a, union sock_addr *s)
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

static void addr_from_sock(struct kecho_addr *a, const union sock_addr *s)
{
	memset(a, 0, sizeof(*a));
	if (s->sa.sa_family == AF_INET6 && !ipv6_addr_v4mapped(&s->in6.sin6_addr)) {
		a->family = 6;
		a->port = s->in6.sin6_port;
		memcpy(a->ip, &s->in6.sin6_addr, 16);
	} else if (s->sa.sa_family == AF_INET6) {
		a->family = 4;
		a->port = s->in6.sin6_port;
		memcpy(a->ip, s->in6.sin6_addr.s6_addr + 12, 4);
	} else {
		a->family = 4;
		a->port = s->in.sin_port;
		memcpy(a->ip, &s->in.sin_addr, 4);
	}
}

/* IP, IP:PORT, [IPV6]:PORT; names are for user space to look up. */
static int addr_parse(const char *s, u16 port, struct kecho_addr *a)
{
	const char *end;

	memset(a, 0, sizeof(*a));
	if (!s[0] || s[0] == '*' || s[0] == ':') {
		a->family = 4;
		end = s + (s[0] == '*');
	} else if (in4_pton(s, -1, a->ip, ':', &end) || in4_pton(s, -1, a->ip, -1, &end)) {
		a->family = 4;
	} else if (s[0] == '[' && in6_pton(s + 1, -1, a->ip, ']', &end)) {
		a->family = 6;
		end++;
	} else if (in6_pton(s, -1, a->ip, -1, &end)) {
		a->family = 6;
	} else {
		return -EINVAL;
	}
	if (*end && (*end != ':' || kstrtou16(end + 1, 10, &port)))
		return -EINVAL;
	a->port = htons(port);
	return 0;
}

/* --- one connection --- */

static void conn_queue(struct tcp_conn *c, struct work_struct *work)
{
	spin_lock_bh(&c->lock);
	if (!c->closed)
		queue_work(work_wq, work);
	spin_unlock_bh(&c->lock);
}

static void conn_arrived(struct nwmon *w)
{
	struct tcp_conn *c = container_of(w, struct tcp_conn, monitor);

	conn_queue(c, &c->rx);
}

static void conn_room(struct nwmon *w)
{
	struct tcp_conn *c = container_of(w, struct tcp_conn, monitor);

	conn_queue(c, &c->tx);
}

void kecho_tcp_kick(struct kecho_conn *conn)
{
	struct tcp_conn *c = container_of(conn, struct tcp_conn, conn);

	conn_queue(c, &c->tx);
}
EXPORT_SYMBOL_GPL(kecho_tcp_kick);

void kecho_tcp_close(struct kecho_conn *conn)
{
	struct tcp_conn *c = container_of(conn, struct tcp_conn, conn);

	spin_lock_bh(&c->lock);
	if (!c->closed) {
		c->closed = true;
		queue_work(close_wq, &c->close);
	}
	spin_unlock_bh(&c->lock);
}
EXPORT_SYMBOL_GPL(kecho_tcp_close);

/* It broke, or the core wants no more of it. */
static void conn_broken(struct tcp_conn *c)
{
	kecho_cm_closed(&c->conn, now_ns());
	kecho_tcp_close(&c->conn);
}

static void conn_close_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, close);
	struct kecho_tcp *t = c->tcp;

	cancel_work_sync(&c->dial);
	if (c->sock) {
		nwmon_unwatch(&c->monitor);
		kernel_sock_shutdown(c->sock, SHUT_RDWR);
	}
	cancel_work_sync(&c->rx);
	cancel_work_sync(&c->tx);
	/* The link has let go of it, so that they become no more. */
	wait_event(t->idle, !atomic_read(&c->senders));
	if (c->sock)
		sock_release(c->sock);
	if (c->link)
		kecho_link_put(c->link);
	kecho_framer_exit(&c->framer);
	kecho_cm_conn_exit(&c->conn);
	kvfree(c->rxbuf);
	kfree(c);
	if (atomic_dec_and_test(&t->conns))
		wake_up(&t->idle);
}

static int conn_read(struct tcp_conn *c)
{
	struct msghdr mh = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	void *room;
	struct kvec vec;
	size_t want;
	int n, err;

	room = kecho_framer_room(&c->framer, RXBUF, &want);
	if (!room)
		want = RXBUF;
	vec.iov_base = room ? room : c->rxbuf;
	vec.iov_len = want;
	n = kernel_recvmsg(c->sock, &mh, &vec, 1, want, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n <= 0)
		return -ECONNRESET;
	if (room)
		err = kecho_framer_filled(&c->framer, &c->conn, n, now_ns());
	else
		err = kecho_framer_take(&c->framer, &c->conn, c->rxbuf, n, now_ns());
	return err ? -ECONNRESET : 0;
}

static void conn_rx_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, rx);
	int i, err;

	nwmon_handled(&c->monitor, &c->tcp->stats);
	for (i = 0; i < RX_ROUNDS; i++) {
		err = conn_read(c);
		if (err == -EAGAIN)
			return;
		if (err) {
			conn_broken(c);
			return;
		}
	}
	conn_queue(c, &c->rx);
}

/* All that waits, or what the socket takes. 0, or -errno: it broke */
static int conn_send(struct tcp_conn *c)
{
	struct kvec vec[TX_VECS];
	struct msghdr mh = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	size_t bytes;
	int count, n;

	lockdep_assert_held(&c->tx_lock);
	WRITE_ONCE(c->stalled, false);
	do {
		count = kecho_cm_tx_fill(&c->conn, vec, TX_VECS, &bytes);
		if (!count)
			return c->conn.closing ? -ESHUTDOWN : 0;
		n = kernel_sendmsg(c->sock, &mh, vec, count, bytes);
		if (n < (ssize_t)bytes)
			WRITE_ONCE(c->stalled, true);
		kecho_cm_tx_done(&c->conn, max(n, 0));
	} while (n == bytes);
	return n < 0 && n != -EAGAIN ? n : 0;
}

static void conn_tx_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, tx);
	int err;

	mutex_lock(&c->tx_lock);
	err = conn_send(c);
	mutex_unlock(&c->tx_lock);
	if (err)
		conn_broken(c);
}

/* In the publisher's context if nobody is sending; who is may have looked for more already, so the work follows it. */
static void conn_send_now(struct tcp_conn *c)
{
	int err = -EBUSY;

	if (mutex_trylock(&c->tx_lock)) {
		err = c->stalled ? 0 : conn_send(c);
		mutex_unlock(&c->tx_lock);
	}
	if (err)
		conn_queue(c, &c->tx);
}

void kecho_tcp_send(struct kecho_batch *batch)
{
	struct kecho_link *link;
	struct kecho_conn *conn;
	struct kecho_tcp *t;
	struct tcp_conn *c;
	u32 i;

	for (i = 0; i < batch->n; i++) {
		link = batch->links[i];
		t = link->cm->home;
		c = NULL;
		spin_lock_bh(&link->lock);
		conn = link->conn;
		if (conn && conn->up) {
			c = container_of(conn, struct tcp_conn, conn);
			atomic_inc(&c->senders);
		}
		spin_unlock_bh(&link->lock);
		if (c) {
			conn_send_now(c);
			if (atomic_dec_and_test(&c->senders))
				wake_up(&t->idle);
		}
		kecho_link_put(link);
	}
	batch->n = 0;
}
EXPORT_SYMBOL_GPL(kecho_tcp_send);

static void conn_dial_work(struct work_struct *work);

static struct tcp_conn *conn_new(struct kecho_tcp *t)
{
	struct tcp_conn *c = kzalloc(sizeof(*c), GFP_ATOMIC);

	if (!c)
		return NULL;
	c->tcp = t;
	INIT_LIST_HEAD(&c->conn.node);
	spin_lock_init(&c->lock);
	mutex_init(&c->tx_lock);
	INIT_WORK(&c->dial, conn_dial_work);
	INIT_WORK(&c->rx, conn_rx_work);
	INIT_WORK(&c->tx, conn_tx_work);
	INIT_WORK(&c->close, conn_close_work);
	atomic_inc(&t->conns);
	return c;
}

static int conn_begin(struct tcp_conn *c, struct socket *sock)
{
	c->rxbuf = kvmalloc(RXBUF, GFP_KERNEL);
	if (!c->rxbuf)
		return -ENOMEM;
	tcp_sock_set_nodelay(sock->sk);
	sock->sk->sk_allocation = GFP_NOIO;
	return 0;
}

/* --- calling --- */

static int dial(struct tcp_conn *c)
{
	struct kecho_link *link = c->link;
	struct kecho_addr addr = link->addr;
	union sock_addr to;
	int err, len;

	if (link->host) {
		err = addr_parse(link->host, KECHO_PORT, &addr);
		if (err)
			return err;
	}
	len = addr_to_sock(&addr, &to);
	err = sock_create_kern(c->tcp->net, to.sa.sa_family, SOCK_STREAM, IPPROTO_TCP, &c->sock);
	if (err)
		return err;
	sk_net_refcnt_upgrade(c->sock->sk);
	err = conn_begin(c, c->sock);
	if (err)
		return err;
	c->conn.peer = addr;
	c->sock->sk->sk_sndtimeo = msecs_to_jiffies(CONNECT_MS);
	return kernel_connect(c->sock, &to.sa, len, 0);
}

static void conn_dial_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, dial);
	struct kecho_link *link = c->link;
	int err = READ_ONCE(c->tcp->stopping) ? -ESHUTDOWN : dial(c);

	if (err) {
		pr_debug("connecting to %s: %d\n", link->host ? link->host : link->name, err);
		kecho_cm_dial_failed(link, now_ns());
		kecho_tcp_close(&c->conn);
		return;
	}
	nwmon_watch(&c->monitor, c->sock, NULL, conn_arrived, conn_room);
	kecho_cm_dialed(link, &c->conn, now_ns());
	conn_queue(c, &c->rx);
}

void kecho_tcp_dial(struct kecho_cm *cm, struct kecho_link *link)
{
	struct kecho_tcp *t = cm->home;
	struct tcp_conn *c = READ_ONCE(t->stopping) ? NULL : conn_new(t);

	if (!c) {
		/* Tried again when it is next due. */
		link->dialing = false;
		return;
	}
	c->link = kecho_link_get(link);
	queue_work(close_wq, &c->dial);
}
EXPORT_SYMBOL_GPL(kecho_tcp_dial);

int kecho_tcp_call(struct kecho_tcp *t, const char *host, u16 default_port)
{
	char full[KECHO_ADDR_STRLEN];
	struct kecho_addr addr;
	struct kecho_link *link;

	if (addr_parse(host, default_port, &addr))
		return -EINVAL;
	kecho_addr_str(&addr, full);
	mutex_lock(&t->cm->lock);
	link = kecho_cm_call(t->cm, full, NULL, now_ns());
	mutex_unlock(&t->cm->lock);
	return link ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(kecho_tcp_call);

/* --- being called --- */

static void accept_one(struct kecho_tcp *t, struct socket *sock)
{
	struct tcp_conn *c = conn_new(t);
	union sock_addr from;

	if (!c) {
		sock_release(sock);
		return;
	}
	c->sock = sock;
	if (kernel_getpeername(sock, &from.sa) < 0 || conn_begin(c, sock)) {
		kecho_tcp_close(&c->conn);
		return;
	}
	addr_from_sock(&c->conn.peer, &from);
	kecho_cm_accepted(t->cm, &c->conn, now_ns());
	nwmon_watch(&c->monitor, sock, &t->monitor, conn_arrived, conn_room);
	conn_queue(c, &c->rx);
}

static void accept_work(struct work_struct *work)
{
	struct kecho_tcp *t = container_of(work, struct kecho_tcp, accept);
	struct socket *sock;

	while (!READ_ONCE(t->stopping) && !kernel_accept(t->listener, &sock, O_NONBLOCK)) {
		sk_net_refcnt_upgrade(sock->sk);
		accept_one(t, sock);
	}
}

static void listener_arrived(struct nwmon *w)
{
	struct kecho_tcp *t = container_of(w, struct kecho_tcp, monitor);

	if (!READ_ONCE(t->stopping))
		queue_work(work_wq, &t->accept);
}

static bool is_loopback(const struct kecho_addr *a)
{
	return a->family == 4 ? a->ip[0] == 127 : ipv6_addr_loopback((const struct in6_addr *)a->ip);
}

int kecho_tcp_listen(struct kecho_tcp *t, const char *addr, u16 default_port, bool insecure)
{
	struct kecho_cm *cm = t->cm;
	union sock_addr at;
	int err, len;

	if (addr_parse(addr, default_port, &cm->listen))
		return -EINVAL;
	if (!is_loopback(&cm->listen) && !insecure)
		return -EPERM;
	len = addr_to_sock(&cm->listen, &at);
	err = sock_create_kern(t->net, at.sa.sa_family, SOCK_STREAM, IPPROTO_TCP, &t->listener);
	if (err)
		return err;
	sock_set_reuseaddr(t->listener->sk);
	err = kernel_bind(t->listener, &at.sa, len);
	if (!err)
		err = kernel_getsockname(t->listener, &at.sa);
	if (err < 0)
		return err;
	addr_from_sock(&cm->listen, &at);
	nwmon_watch(&t->monitor, t->listener, NULL, listener_arrived, listener_arrived);
	return kernel_listen(t->listener, 128);
}
EXPORT_SYMBOL_GPL(kecho_tcp_listen);

/* --- time --- */

void kecho_tcp_due(struct kecho_cm *cm, u64 when)
{
	struct kecho_tcp *t = cm->home;
	u64 now = now_ns();

	spin_lock_bh(&t->due_lock);
	if (!t->stopping && (!t->due || when < t->due)) {
		t->due = max_t(u64, when, 1);
		mod_delayed_work(work_wq, &t->ticker, when > now ? nsecs_to_jiffies(when - now) + 1 : 0);
	}
	spin_unlock_bh(&t->due_lock);
}
EXPORT_SYMBOL_GPL(kecho_tcp_due);

static void tick_work(struct work_struct *work)
{
	struct kecho_tcp *t = container_of(to_delayed_work(work), struct kecho_tcp, ticker);

	spin_lock_bh(&t->due_lock);
	t->due = 0;
	spin_unlock_bh(&t->due_lock);
	t->tick(t->cm, now_ns());
}

/* --- beginning and end --- */

void kecho_tcp_init(struct kecho_tcp *t, struct kecho_cm *cm, struct net *net, void (*tick)(struct kecho_cm *cm, u64 now))
{
	memset(t, 0, sizeof(*t));
	t->cm = cm;
	t->net = net;
	t->tick = tick;
	cm->home = t;
	INIT_WORK(&t->accept, accept_work);
	INIT_DELAYED_WORK(&t->ticker, tick_work);
	spin_lock_init(&t->due_lock);
	init_waitqueue_head(&t->idle);
}
EXPORT_SYMBOL_GPL(kecho_tcp_init);

void kecho_tcp_goodbye(struct kecho_tcp *t)
{
	int ms;

	spin_lock_bh(&t->due_lock);
	t->stopping = true;
	spin_unlock_bh(&t->due_lock);
	if (t->listener) {
		nwmon_unwatch(&t->monitor);
		cancel_work_sync(&t->accept);
		sock_release(t->listener);
		t->listener = NULL;
	}
	cancel_delayed_work_sync(&t->ticker);
	/* Calls that are under way end first: none comes to the core after this. */
	flush_workqueue(close_wq);
	/* To close on what a peer sends would take from it what is on its way. */
	for (ms = 0; ms < GOODBYE_MS && !kecho_cm_drained(t->cm); ms += 10)
		msleep(10);
	if (ms >= GOODBYE_MS)
		pr_warn("some peers did not take all that was published; it is lost to them\n");
	flush_workqueue(work_wq);
	kecho_cm_bye(t->cm);
	flush_workqueue(work_wq);
}
EXPORT_SYMBOL_GPL(kecho_tcp_goodbye);

void kecho_tcp_exit(struct kecho_tcp *t)
{
	wait_event(t->idle, !atomic_read(&t->conns));
	/* The last close work has woken us before it ended. */
	flush_workqueue(close_wq);
}
EXPORT_SYMBOL_GPL(kecho_tcp_exit);

static int __init cm_init(void)
{
	work_wq = alloc_workqueue("kecho", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	close_wq = alloc_workqueue("kecho_close", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (work_wq && close_wq)
		return 0;
	if (work_wq)
		destroy_workqueue(work_wq);
	if (close_wq)
		destroy_workqueue(close_wq);
	return -ENOMEM;
}

static void __exit cm_exit(void)
{
	destroy_workqueue(work_wq);
	destroy_workqueue(close_wq);
}

module_init(cm_init);
module_exit(cm_exit);
