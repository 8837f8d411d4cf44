// SPDX-License-Identifier: GPL-2.0
/* Datagrams, and connections by reliable UDP as a home runs them. */
#include "sim.h"

struct dgram {
	struct list_head node;
	int from, to;
	u64 at;
	struct kecho_packet p;
	u8 data[];
};

/**
 * struct net_conn - an end of a connection
 * @link: whom it is calling for
 * @silent: it ends without a word
 */
struct net_conn {
	struct kecho_rudp r;
	struct list_head node;
	struct sim_node *n;
	struct kecho_link *link;
	int kicked;
	bool dead, silent;
};

static struct list_head dgrams, conns, dead;
static u64 busy_until[SIM_NODES], late;
static struct kecho_rudp_out out;	/* too much for a kernel's stack */

void sim_net_init(void)
{
	INIT_LIST_HEAD(&dgrams);
	INIT_LIST_HEAD(&conns);
	INIT_LIST_HEAD(&dead);
	memset(busy_until, 0, sizeof(busy_until));
	late = 0;
	sim.net.mtu = sim.net.local_mtu = 1472;
	sim.net.queue = 100000;
}

void sim_net_exit(void)
{
	struct dgram *d, *next;

	list_for_each_entry_safe(d, next, &dgrams, node)
		free(d);
	check(list_empty(&conns) && list_empty(&dead));
}

void sim_net_start(struct sim_node *n)
{
	kecho_rudp_end_init(&n->end, &n->node.cm);
	n->node.cm.udp = n->node.cm.rudp = sim.rudp;
	n->end.key = (siphash_key_t){ { 1, 2 } };
}

static struct net_conn *conn_of(struct kecho_conn *conn)
{
	return container_of(container_of(conn, struct kecho_rudp, conn), struct net_conn, r);
}

static struct net_conn *conn_new(struct sim_node *n)
{
	struct net_conn *c = calloc(1, sizeof(*c));

	c->n = n;
	c->kicked = 1;
	list_add_tail(&c->node, &conns);
	return c;
}

static void dgram_copy(const struct kecho_packet *p, u32 off, void *to, u32 len)
{
	check(off + len <= p->len);
	memcpy(to, container_of(p, struct dgram, p)->data + off, len);
}

static void dgram_queue(int from, int to, const void *data, u32 len)
{
	struct dgram *d = malloc(sizeof(*d) + len), *at;
	u64 start = max(busy_until[to], sim.now);

	if (sim.net.rate) {
		if ((start - sim.now) * sim.net.rate / SIM_S + len > sim.net.queue) {
			sim.net.lost++;
			free(d);
			return;
		}
		start += len * SIM_S / sim.net.rate;
		busy_until[to] = start;
	}
	if (sim.net.jump && !sim_below(500))
		late = sim_below(2) ? sim.net.jump : 0;
	d->from = from;
	d->to = to;
	d->at = start + sim_latency() + late;
	d->p = (struct kecho_packet){ .len = len, .copy = dgram_copy };
	memcpy(d->data, data, len);
	list_for_each_entry_reverse(at, &dgrams, node)
		if (at->at <= d->at)
			break;
	list_add(&d->node, &at->node);
}

/* 0, or -EMSGSIZE */
static int net_send(int from, const struct kecho_addr *addr, const struct kvec *vec, int n)
{
	static u8 buf[1 << 16];
	int to = be16_to_cpu(addr->port) - 1000, i;
	u32 len = 0;

	for (i = 0; i < n; i++) {
		check(len + vec[i].iov_len <= sizeof(buf));
		memcpy(buf + len, vec[i].iov_base, vec[i].iov_len);
		len += vec[i].iov_len;
	}
	if (len > sim.net.local_mtu)
		return -EMSGSIZE;
	sim.net.sent++;
	sim.net.bytes += len;
	sim_trace("%d sends %d packet %llu type %u, %u bytes", from, to,
		  (unsigned long long)le64_to_cpu(((struct kecho_rudp_head *)buf)->number), buf[4], len);
	if (len > sim.net.mtu || to < 0 || to >= SIM_NODES || sim_below(1000000) < sim.net.loss) {
		sim.net.lost++;
		return 0;
	}
	if (sim_below(1000000) < sim.net.corrupt) {
		if (!sim.net.unchecked) {
			sim.net.lost++;
			return 0;
		}
		/* But for HELLO, which would make it another node. */
		for (i = sim_below(8); i >= 0 && buf[4] == KECHO_RUDP_DATA && buf[16] != KECHO_FRAME_HELLO; i--)
			buf[sim_below(len)] ^= 1 << sim_below(8);
	}
	dgram_queue(from, to, buf, len);
	if (sim_below(1000000) < sim.net.dup)
		dgram_queue(from, to, buf, len);
	return 0;
}

static void conn_bury(struct net_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	kecho_rudp_close(&c->r, &out);
	if (out.len && !c->silent)
		net_send(c->n->i, &c->r.addr, out.vec, out.n);
	list_move_tail(&c->node, &dead);
}

static void conn_broken(struct net_conn *c, int err)
{
	struct kecho_link *link = c->link;

	if (c->dead)
		return;
	sim_trace("%d: rudp %p broken: %d", c->n->i, (void *)c, err);
	c->link = NULL;
	if (link) {
		kecho_cm_dial_failed(link, sim.now);
		kecho_link_put(link);
	} else {
		kecho_cm_closed(&c->r.conn, sim.now);
	}
	conn_bury(c);
}

static void sweep(void)
{
	struct net_conn *c, *next;

	list_for_each_entry_safe(c, next, &dead, node) {
		list_del(&c->node);
		kecho_rudp_exit(&c->r);
		kecho_cm_conn_exit(&c->r.conn);
		free(c);
	}
}

void sim_net_dial(struct sim_node *from, struct kecho_link *link)
{
	struct net_conn *c = conn_new(from);
	struct kecho_addr to = link->addr;

	if (link->host)
		sim_addr(atoi(link->host + 1), &to);
	c->link = kecho_link_get(link);
	kecho_rudp_call(&from->end, &c->r, &to, sim.now);
}

void sim_net_kick(struct kecho_conn *conn)
{
	__atomic_store_n(&conn_of(conn)->kicked, 1, __ATOMIC_RELAXED);
}

void sim_net_close(struct kecho_conn *conn)
{
	conn_bury(conn_of(conn));
}

void sim_net_silence(struct sim_node *n)
{
	struct net_conn *c;

	list_for_each_entry(c, &conns, node)
		c->silent |= c->n == n;
}

void sim_net_stop(struct sim_node *n)
{
	struct net_conn *c, *next;

	list_for_each_entry_safe(c, next, &conns, node)
		if (c->n == n && c->link) {
			kecho_link_put(c->link);
			c->link = NULL;
			conn_bury(c);
		}
	list_for_each_entry(c, &conns, node)
		check(c->n != n);
	sweep();
}

static void conn_send(struct net_conn *c)
{
	int err = 0;

	kecho_rudp_begin(&c->r);
	while (!c->dead && (err = kecho_rudp_build(&c->r, &out, sim.now)) > 0)
		kecho_rudp_built(&c->r, &out, net_send(c->n->i, &c->r.addr, out.vec, out.n), sim.now);
	kecho_rudp_end(&c->r);
	if (err < 0)
		conn_broken(c, err);
}

bool sim_net_flush(void)
{
	struct net_conn *c;

	list_for_each_entry(c, &conns, node)
		if (__atomic_exchange_n(&c->kicked, 0, __ATOMIC_RELAXED)) {
			conn_send(c);
			return true;
		}
	sweep();
	return false;
}

static void dgram_take(struct sim_node *n, struct dgram *d)
{
	struct kecho_rudp_init answer;
	struct kecho_addr from;
	struct kecho_link *link;
	struct kecho_rudp *r;
	struct net_conn *c;
	struct kvec vec;
	u32 len;
	int err;

	sim_addr(d->from, &from);
	switch (kecho_rudp_sort(&n->end, &d->p, &from, &r, &answer, &len, sim.now)) {
	case KECHO_RUDP_DROP:
		break;
	case KECHO_RUDP_ANSWER:
		check(len <= d->p.len);
		vec = (struct kvec){ &answer, len };
		net_send(n->i, &from, &vec, 1);
		break;
	case KECHO_RUDP_NEW:
		if (n->refuse)
			break;
		c = conn_new(n);
		kecho_rudp_accept(&n->end, &c->r, &d->p, &from, sim.now);
		kecho_cm_accepted(&n->node.cm, &c->r.conn, sim.now);
		break;
	case KECHO_RUDP_TAKE:
		c = container_of(r, struct net_conn, r);
		err = kecho_rudp_take(r, &d->p, sim.now);
		c->kicked = 1;
		if (err == 1) {
			link = c->link;
			c->link = NULL;
			kecho_cm_dialed(link, &r->conn, sim.now);
			kecho_link_put(link);
		} else if (err) {
			conn_broken(c, err);
		}
	}
}

u64 sim_net_next(void)
{
	u64 at = list_empty(&dgrams) ? U64_MAX : list_first_entry(&dgrams, struct dgram, node)->at;
	struct net_conn *c;

	list_for_each_entry(c, &conns, node)
		at = min(at, kecho_rudp_due(&c->r));
	return at;
}

void sim_net_step(void)
{
	struct net_conn *c;
	struct dgram *d;

	list_for_each_entry(c, &conns, node)
		if (kecho_rudp_due(&c->r) <= sim.now)
			c->kicked = 1;
	if (list_empty(&dgrams) || list_first_entry(&dgrams, struct dgram, node)->at > sim.now)
		return;
	d = list_first_entry(&dgrams, struct dgram, node);
	list_del(&d->node);
	if (sim.n[d->to].alive && sim.n[d->to].node.cm.udp && !sim.blocked[d->from][d->to])
		dgram_take(&sim.n[d->to], d);
	free(d);
}

u32 sim_net_die(int a, int b)
{
	struct net_conn *c, *next;
	u32 n = 0;

	list_for_each_entry_safe(c, next, &conns, node)
		if (c->n->i == a && be16_to_cpu(c->r.addr.port) - 1000 == b) {
			n++;
			c->silent = true;
			conn_broken(c, 0);
		}
	return n;
}

struct kecho_rudp *sim_rudp(int a, int b)
{
	struct net_conn *c;

	list_for_each_entry(c, &conns, node)
		if (c->n->i == a && be16_to_cpu(c->r.addr.port) - 1000 == b)
			return &c->r;
	return NULL;
}
