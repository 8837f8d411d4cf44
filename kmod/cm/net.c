// SPDX-License-Identifier: GPL-2.0
/* A node's connections with others: whom to call, where to listen, by which transport; and its clock. */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/ipv6.h>
#include "transport.h"

#define GOODBYE_MS 1000

struct workqueue_struct *kecho_net_wq, *kecho_close_wq;

/* --- addresses --- */

int addr_to_sock(const struct kecho_addr *a, union sock_addr *s)
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

void addr_from_sock(struct kecho_addr *a, const union sock_addr *s)
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
int addr_parse(const char *s, u16 port, struct kecho_addr *a)
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

/* --- the core's kecho_cm_ops --- */

void kecho_net_dial(struct kecho_cm *cm, struct kecho_link *link)
{
	if (kecho_link_dials_rudp(link))
		kecho_udp_dial(cm->home, link);
	else
		kecho_tcp_dial(cm->home, link);
}
EXPORT_SYMBOL_GPL(kecho_net_dial);

void kecho_net_kick(struct kecho_conn *conn)
{
	if (conn->overtakes)
		kecho_udp_kick(conn);
	else
		kecho_tcp_kick(conn);
}
EXPORT_SYMBOL_GPL(kecho_net_kick);

void kecho_net_close(struct kecho_conn *conn)
{
	if (conn->overtakes)
		kecho_udp_close(conn);
	else
		kecho_tcp_close(conn);
}
EXPORT_SYMBOL_GPL(kecho_net_close);

void kecho_net_send(struct kecho_batch *batch)
{
	struct kecho_link *link;
	u32 i;

	for (i = 0; i < batch->n; i++) {
		link = batch->links[i];
		if (!kecho_tcp_send(link))
			kecho_udp_send(link);
		kecho_link_put(link);
	}
	batch->n = 0;
}
EXPORT_SYMBOL_GPL(kecho_net_send);

/* --- calling and being called --- */

int kecho_net_call(struct kecho_net *t, const char *host, u16 default_port)
{
	char full[KECHO_ADDR_STRLEN];
	struct kecho_addr addr;
	struct kecho_link *link;

	if (addr_parse(host, default_port, &addr))
		return -EINVAL;
	if (!t->rudp)
		t->cm->udp = !kecho_udp_open(t, NULL, 0);
	kecho_addr_str(&addr, full);
	mutex_lock(&t->cm->lock);
	link = kecho_cm_call(t->cm, full, NULL, now_ns());
	mutex_unlock(&t->cm->lock);
	return link ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(kecho_net_call);

static bool is_loopback(const struct kecho_addr *a)
{
	return a->family == 4 ? a->ip[0] == 127 : ipv6_addr_loopback((const struct in6_addr *)a->ip);
}

int kecho_net_listen(struct kecho_net *t, const char *addr, u16 default_port, bool insecure)
{
	struct kecho_addr *listen = &t->cm->listen;
	union sock_addr at;
	int err, len;

	if (addr_parse(addr, default_port, listen))
		return -EINVAL;
	if (!is_loopback(listen) && !insecure)
		return -EPERM;
	len = addr_to_sock(listen, &at);
	err = kecho_tcp_listen(t, &at, len);
	if (err)
		return err;
	addr_from_sock(listen, &at);
	err = kecho_udp_open(t, &at, len);
	if (err)
		pr_warn("no reliable UDP at %s: %d\n", addr, err);
	t->cm->udp = !err;
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_net_listen);

/* --- time --- */

void kecho_net_due(struct kecho_cm *cm, u64 when)
{
	struct kecho_net *t = cm->home;
	u64 due = READ_ONCE(t->due), now;

	/* Who ticks has cleared it before looking at what is due: whoever calls has said so where that looks, under the same lock. */
	if (due && due <= when)
		return;
	now = now_ns();
	spin_lock_bh(&t->due_lock);
	if (!t->stopping && (!t->due || when < t->due)) {
		t->due = max_t(u64, when, 1);
		mod_delayed_work(kecho_net_wq, &t->ticker, when > now ? nsecs_to_jiffies(when - now) + 1 : 0);
	}
	spin_unlock_bh(&t->due_lock);
}
EXPORT_SYMBOL_GPL(kecho_net_due);

static void tick_work(struct work_struct *work)
{
	struct kecho_net *t = container_of(to_delayed_work(work), struct kecho_net, ticker);

	spin_lock_bh(&t->due_lock);
	t->due = 0;
	spin_unlock_bh(&t->due_lock);
	t->tick(t->cm, now_ns());
}

/* --- beginning and end --- */

void kecho_net_init(struct kecho_net *t, struct kecho_cm *cm, struct net *ns, void (*tick)(struct kecho_cm *cm, u64 now))
{
	memset(t, 0, sizeof(*t));
	t->cm = cm;
	t->ns = ns;
	t->tick = tick;
	cm->home = t;
	kecho_tcp_init(t);
	INIT_DELAYED_WORK(&t->ticker, tick_work);
	spin_lock_init(&t->due_lock);
	init_waitqueue_head(&t->idle);
}
EXPORT_SYMBOL_GPL(kecho_net_init);

void kecho_net_goodbye(struct kecho_net *t)
{
	int ms;

	spin_lock_bh(&t->due_lock);
	t->stopping = true;
	spin_unlock_bh(&t->due_lock);
	kecho_tcp_hang_up(t);
	cancel_delayed_work_sync(&t->ticker);
	/* Calls that are under way end first: none comes to the core after this. */
	flush_workqueue(kecho_close_wq);
	kecho_udp_hang_up(t);
	/* To close on what a peer sends would take from it what is on its way. */
	for (ms = 0; ms < GOODBYE_MS && !kecho_cm_drained(t->cm, now_ns()); ms += 10)
		msleep(10);
	if (ms >= GOODBYE_MS)
		pr_warn("some peers did not take all that was published; it is lost to them\n");
	flush_workqueue(kecho_net_wq);
	kecho_cm_bye(t->cm);
	flush_workqueue(kecho_net_wq);
	kecho_udp_pass(t);
}
EXPORT_SYMBOL_GPL(kecho_net_goodbye);

void kecho_net_exit(struct kecho_net *t)
{
	kecho_udp_exit(t);
	wait_event(t->idle, !atomic_read(&t->conns));
	/* The last close work has woken us before it ended. */
	flush_workqueue(kecho_close_wq);
}
EXPORT_SYMBOL_GPL(kecho_net_exit);

static int __init cm_init(void)
{
	kecho_net_wq = alloc_workqueue("kecho", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	kecho_close_wq = alloc_workqueue("kecho_close", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (kecho_net_wq && kecho_close_wq)
		return 0;
	if (kecho_net_wq)
		destroy_workqueue(kecho_net_wq);
	if (kecho_close_wq)
		destroy_workqueue(kecho_close_wq);
	return -ENOMEM;
}

static void __exit cm_exit(void)
{
	destroy_workqueue(kecho_net_wq);
	destroy_workqueue(kecho_close_wq);
}

module_init(cm_init);
module_exit(cm_exit);
