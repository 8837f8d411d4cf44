// SPDX-License-Identifier: GPL-2.0
/*
 * Connections by TCP. Events are taken where they arrive, in the softirq, so that their reader is woken at once and not by a worker
 * that must be woken first. That is for a few that come alone. A worker has what else there is: other records, which may have to
 * wait for something; events in pieces; streams, which it takes on another processor, many at a time; and what comes over a line
 * inside this machine while its other end is still sending: who publishes does not do what is the receivers' to do.
 */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>
#include "../../lib/cm/framer.h"
#include "../compat.h"
#include "transport.h"

#define RXBUF (16u << 10)
#define NOW_BYTES 4096u	/* what is more is a stream, */
#define NOW_APART 20000	/* and what follows within so many ns: several times what a small event costs, a part of a fast network's RTT */
#define RX_ROUNDS 16	/* reads before others of the workqueue get their turn */
#define TX_VECS 64
#define CONNECT_MS 3000

/**
 * struct tcp_conn - a connection
 * @link: whom it is being dialed for, until the core has the connection; a reference
 * @closed: closing has begun: no work is queued any more; @lock
 * @reading: what arrives is for @rx, which is queued, or runs, or waits for the rest of a record; @lock
 * @looked: when something last arrived that was not for @rx. @err: why an event was refused, which @rx is to see to
 * @tx_lock: who holds it sends
 * @stalled: the socket takes no more; its monitor calls when it does
 * @senders: publishers that are about to send, besides @tx: closing waits for them
 */
struct tcp_conn {
	struct kecho_conn conn;
	struct kecho_net *net;
	struct socket *sock;
	struct nwmon monitor;
	struct kecho_framer framer;
	struct kecho_link *link;
	spinlock_t lock;
	bool closed;
	bool reading;
	u64 looked;
	int err;
	struct mutex tx_lock;
	bool stalled;
	atomic_t senders;
	struct work_struct begin, rx, tx, close;
	struct kvec vec[TX_VECS];	/* whose @tx_lock has it */
	u8 *rxbuf;
};

/* Who sends here, or did before it came to another processor: a hint. */
static DEFINE_PER_CPU(struct task_struct *, sender);

/* --- one connection --- */

static void conn_queue(struct tcp_conn *c, struct work_struct *work)
{
	spin_lock_bh(&c->lock);
	/* What comes behind is left to it, too. */
	if (work == &c->rx)
		c->reading = true;
	if (!c->closed)
		queue_work(kecho_net_wq, work);
	spin_unlock_bh(&c->lock);
}

/* Takes whole events. Returns the bytes of them; context: that of mon_data_ready(), the socket is locked */
static int conn_take(read_descriptor_t *desc, struct sk_buff *skb, unsigned int off, size_t len)
{
	struct tcp_conn *c = desc->arg.data;
	struct kecho_msg *msg;
	struct kecho_rec rec;
	size_t used = 0;
	int n;

	while (!c->err && len - used >= sizeof(rec) && !skb_copy_bits(skb, off + used, &rec, sizeof(rec))) {
		n = rec.type == KECHO_EVENT ? kecho_cm_rx_check(&c->conn, &rec) : -EAGAIN;
		if (n < 0 || n > len - used - sizeof(rec))
			break;
		msg = kecho_msg_alloc(n, GFP_ATOMIC | __GFP_NOWARN);
		if (!msg)
			break;
		n = skb_copy_bits(skb, off + used + sizeof(rec), msg->data, n) ? -EAGAIN :
		    kecho_cm_rx_event(&c->conn, &rec, msg, c->looked);
		if (n == -EAGAIN) {
			kecho_msg_put(msg);
			break;
		}
		used += sizeof(rec) + le32_to_cpu(rec.len);
		c->err = n;
	}
	return used;
}

/* False: that, or some of it, is for the work. */
static bool conn_take_now(struct tcp_conn *c)
{
	read_descriptor_t desc = { .arg.data = c, .count = 1 };
	struct sock *sk = c->sock->sk;
	u64 now, apart;
	int len;

	/* Nobody else makes it true, and who makes it false has done with the framer. */
	if (smp_load_acquire(&c->reading))
		return false;
	if (sock_owned_by_user_nocheck(sk) || sk->sk_state != TCP_ESTABLISHED || tcp_sk(sk)->urg_data || this_cpu_read(sender) == current)
		return false;
	now = atomic64_read(&c->monitor.since) ?: now_ns();
	apart = now - c->looked;
	c->looked = now;
	len = tcp_inq(sk);
	if (len > NOW_BYTES || apart < NOW_APART)
		return false;
	nwmon_handled(&c->monitor, &c->net->stats);
	return tcp_read_sock(sk, &desc, conn_take) == len && !c->err;
}

static void conn_arrived(struct nwmon *w)
{
	struct tcp_conn *c = container_of(w, struct tcp_conn, monitor);

	if (!conn_take_now(c))
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

void kecho_tcp_close(struct kecho_conn *conn)
{
	struct tcp_conn *c = container_of(conn, struct tcp_conn, conn);
	bool was;

	spin_lock_bh(&c->lock);
	was = c->closed;
	c->closed = true;
	spin_unlock_bh(&c->lock);
	/* The work frees it, lock and all. */
	if (!was)
		queue_work(kecho_close_wq, &c->close);
}

/* It broke, or the core wants no more of it. */
static void conn_broken(struct tcp_conn *c)
{
	kecho_cm_closed(&c->conn, now_ns());
	kecho_tcp_close(&c->conn);
}

static void conn_close_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, close);
	struct kecho_net *t = c->net;

	cancel_work_sync(&c->begin);
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
	if (err)
		return -ECONNRESET;
	/* That was all; what arrives from now on is told of. An end that has arrived is told of no more. */
	return n < want && !(READ_ONCE(c->sock->sk->sk_shutdown) & RCV_SHUTDOWN) && !READ_ONCE(c->sock->sk->sk_err) ? -EAGAIN : 0;
}

/* All that had arrived has been read. What has arrived since has queued the work. */
static void conn_rest(struct tcp_conn *c)
{
	spin_lock_bh(&c->lock);
	smp_store_release(&c->reading, kecho_framer_amid(&c->framer) || work_pending(&c->rx));
	spin_unlock_bh(&c->lock);
}

static void conn_rx_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, rx);
	int i, err = xchg(&c->err, 0);

	nwmon_handled(&c->monitor, &c->net->stats);
	if (err)
		kecho_cm_rx_failed(&c->conn, KECHO_EVENT, err, now_ns());
	for (i = 0; !err && i < RX_ROUNDS; i++)
		err = conn_read(c);
	if (!err)
		conn_queue(c, &c->rx);
	else if (err == -EAGAIN)
		conn_rest(c);
	else
		conn_broken(c);
}

/* All that waits, or what the socket takes. 0, or -errno: it broke */
static int conn_send(struct tcp_conn *c)
{
	struct msghdr mh = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	size_t bytes;
	int count, n;
	bool more;

	lockdep_assert_held(&c->tx_lock);
	WRITE_ONCE(c->stalled, false);
	do {
		count = kecho_cm_tx_fill(&c->conn, c->vec, TX_VECS, &bytes, now_ns());
		if (!count)
			break;
		raw_cpu_write(sender, current);
		n = kernel_sendmsg(c->sock, &mh, c->vec, count, bytes);
		raw_cpu_write(sender, NULL);
		more = kecho_cm_tx_done(&c->conn, max(n, 0));
		if (n < (ssize_t)bytes) {
			WRITE_ONCE(c->stalled, true);
			return n < 0 && n != -EAGAIN ? n : 0;
		}
	} while (more);
	return c->conn.closing ? -ESHUTDOWN : 0;
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

bool kecho_tcp_send(struct kecho_link *link)
{
	struct wait_queue_head *idle;
	struct tcp_conn *c = NULL;
	struct kecho_conn *conn;

	spin_lock_bh(&link->lock);
	conn = link->conn;
	if (conn && conn->up && !conn->overtakes) {
		c = container_of(conn, struct tcp_conn, conn);
		atomic_inc(&c->senders);
	}
	spin_unlock_bh(&link->lock);
	if (!c)
		return false;
	conn_send_now(c);
	/* Closing may free it now. */
	idle = &c->net->idle;
	if (atomic_dec_and_test(&c->senders) && waitqueue_active(idle))
		wake_up(idle);
	return true;
}

static void conn_begin_work(struct work_struct *work);

static struct tcp_conn *conn_new(struct kecho_net *t)
{
	struct tcp_conn *c = kzalloc(sizeof(*c), GFP_ATOMIC);

	if (!c)
		return NULL;
	c->net = t;
	c->reading = true;
	INIT_LIST_HEAD(&c->conn.node);
	spin_lock_init(&c->lock);
	mutex_init(&c->tx_lock);
	INIT_WORK(&c->begin, conn_begin_work);
	INIT_WORK(&c->rx, conn_rx_work);
	INIT_WORK(&c->tx, conn_tx_work);
	INIT_WORK(&c->close, conn_close_work);
	atomic_inc(&t->conns);
	return c;
}

static int conn_setup(struct tcp_conn *c, struct socket *sock)
{
	c->rxbuf = kvmalloc(RXBUF, GFP_KERNEL);
	if (!c->rxbuf)
		return -ENOMEM;
	tcp_sock_set_nodelay(sock->sk);
	WRITE_ONCE(tcp_sk(sock->sk)->notsent_lowat, KECHO_TCP_UNSENT);
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
	err = sock_create_kern(c->net->ns, to.sa.sa_family, SOCK_STREAM, IPPROTO_TCP, &c->sock);
	if (err)
		return err;
	sk_net_refcnt_upgrade(c->sock->sk);
	err = conn_setup(c, c->sock);
	if (err)
		return err;
	c->conn.peer = addr;
	c->sock->sk->sk_sndtimeo = msecs_to_jiffies(CONNECT_MS);
	return kernel_connect(c->sock, &to.sa, len, 0);
}

static void conn_call(struct tcp_conn *c)
{
	struct kecho_link *link = c->link;
	int err = READ_ONCE(c->net->stopping) ? -ESHUTDOWN : dial(c);

	if (err) {
		pr_debug("connecting to %s: %d\n", link->host ? link->host : link->name, err);
		kecho_cm_dial_failed(link, now_ns());
		kecho_tcp_close(&c->conn);
		return;
	}
	/* What arrives before it is watched is read all the same. */
	kecho_cm_dialed(link, &c->conn, now_ns());
	nwmon_watch(&c->monitor, c->sock, NULL, conn_arrived, conn_room);
	conn_queue(c, &c->rx);
}

static void conn_accepted(struct tcp_conn *c)
{
	union sock_addr from;

	if (kernel_getpeername(c->sock, &from.sa) < 0 || conn_setup(c, c->sock)) {
		kecho_tcp_close(&c->conn);
		return;
	}
	addr_from_sock(&c->conn.peer, &from);
	kecho_cm_accepted(c->net->cm, &c->conn, now_ns());
	nwmon_watch(&c->monitor, c->sock, &c->net->monitor, conn_arrived, conn_room);
	conn_queue(c, &c->rx);
}

/* Closing waits for it: the core may have enough of a connection as soon as it knows it. */
static void conn_begin_work(struct work_struct *work)
{
	struct tcp_conn *c = container_of(work, struct tcp_conn, begin);

	if (c->link)
		conn_call(c);
	else
		conn_accepted(c);
}

void kecho_tcp_dial(struct kecho_net *t, struct kecho_link *link)
{
	struct tcp_conn *c = READ_ONCE(t->stopping) ? NULL : conn_new(t);

	if (!c) {
		/* Tried again when it is next due. */
		link->dialing = false;
		return;
	}
	c->link = kecho_link_get(link);
	queue_work(kecho_close_wq, &c->begin);
}
/* --- being called --- */

static void accept_work(struct work_struct *work)
{
	struct kecho_net *t = container_of(work, struct kecho_net, accept);
	struct socket *sock;
	struct tcp_conn *c;

	while (!READ_ONCE(t->stopping) && !kernel_accept(t->listener, &sock, O_NONBLOCK)) {
		sk_net_refcnt_upgrade(sock->sk);
		c = conn_new(t);
		if (!c) {
			sock_release(sock);
			continue;
		}
		c->sock = sock;
		queue_work(kecho_close_wq, &c->begin);
	}
}

static void listener_arrived(struct nwmon *w)
{
	struct kecho_net *t = container_of(w, struct kecho_net, monitor);

	if (!READ_ONCE(t->stopping))
		queue_work(kecho_net_wq, &t->accept);
}

int kecho_tcp_listen(struct kecho_net *t, union sock_addr *at, int len)
{
	int err = sock_create_kern(t->ns, at->sa.sa_family, SOCK_STREAM, IPPROTO_TCP, &t->listener);

	if (err)
		return err;
	sock_set_reuseaddr(t->listener->sk);
	err = kernel_bind(t->listener, &at->sa, len);
	if (!err)
		err = kernel_getsockname(t->listener, &at->sa);
	if (err < 0)
		return err;
	nwmon_watch(&t->monitor, t->listener, NULL, listener_arrived, listener_arrived);
	return kernel_listen(t->listener, 128);
}

void kecho_tcp_hang_up(struct kecho_net *t)
{
	if (!t->listener)
		return;
	nwmon_unwatch(&t->monitor);
	cancel_work_sync(&t->accept);
	sock_release(t->listener);
	t->listener = NULL;
}

void kecho_tcp_init(struct kecho_net *t)
{
	INIT_WORK(&t->accept, accept_work);
}
