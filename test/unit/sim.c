// SPDX-License-Identifier: GPL-2.0
#include "sim.h"
#include <linux/err.h>

struct sim sim;
struct sim_hooks sim_hooks;

struct seg {
	struct list_head node;
	u64 at;
	u32 len, off;
	u8 data[];
};

struct dial {
	struct list_head node;
	struct sim_node *n;
	struct kecho_link *link;
	u64 since, at;
};

u64 sim_seed(u64 def)
{
	const char *s = getenv("KECHO_SEED");

	return s ? strtoull(s, NULL, 0) : def;
}

u32 sim_runs(u32 def)
{
	const char *s = getenv("KECHO_RUNS");

	return getenv("KECHO_SEED") ? 1 : s ? strtoul(s, NULL, 0) : def / UNIT_SLOW;
}

static bool tracing;

/* KECHO_TRACE=1: what happens, for looking at one seed. */
void sim_trace(const char *fmt, ...)
{
	va_list ap;

	if (!tracing)
		return;
	fprintf(stderr, "%llu.%06llu ", (unsigned long long)(sim.now / SIM_MS), (unsigned long long)(sim.now % SIM_MS));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

#ifndef __KERNEL__
static void trace_log(int level, const char *fmt, va_list ap)
{
	if (tracing)
		vfprintf(stderr, fmt, ap);
}
#endif

u64 sim_random(void)
{
	/* splitmix64, Steele et al. 2014 */
	u64 z = sim.rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void sim_failed(const char *what, const char *file, int line)
{
	print_error("%s:%d: seed %llu, at %llu.%06llu ms: %s\n", file, line, (unsigned long long)sim.seed,
		    (unsigned long long)(sim.now / SIM_MS), (unsigned long long)(sim.now % SIM_MS), what);
	_fail(file, line);
}

u64 sim_latency(void)
{
	return sim.lat_min + (sim.lat_max > sim.lat_min ? sim_below(sim.lat_max - sim.lat_min) : 0);
}

static struct sim_end *conn_end(struct kecho_conn *conn)
{
	return container_of(conn, struct sim_end, conn);
}

static struct sim_node *cm_host(struct kecho_cm *cm)
{
	return container_of(cm, struct sim_node, node.cm);
}

/* --- the core's callbacks: these only note --- */

static void op_dial(struct kecho_cm *cm, struct kecho_link *link)
{
	struct dial *d;

	if (kecho_link_dials_rudp(link)) {
		cm_host(cm)->dials++;
		sim_net_dial(cm_host(cm), link);
		return;
	}
	d = calloc(1, sizeof(*d));

	d->n = cm_host(cm);
	d->n->dials++;
	sim_trace("%d dials %s", d->n->i, link->host ? link->host : link->name);
	d->link = kecho_link_get(link);
	d->since = sim.now;
	d->at = sim.now + sim_latency();
	list_add_tail(&d->node, &sim.dials);
}

static void op_kick(struct kecho_conn *conn)
{
	if (conn->overtakes)
		sim_net_kick(conn);
	else
		__atomic_store_n(&conn_end(conn)->kicked, 1, __ATOMIC_RELAXED);
}

static void end_bury(struct sim_end *e, bool silent)
{
	struct sim_end *p = e->peer;

	if (e->dead)
		return;
	e->dead = true;
	list_move_tail(&e->node, &sim.dead);
	if (!p)
		return;
	p->peer = e->peer = NULL;
	if (!silent)
		p->eof_at = max(p->last_at, sim.now + sim_latency());
}

static void op_close(struct kecho_conn *conn)
{
	if (conn->overtakes) {
		sim_net_close(conn);
		return;
	}
	sim_trace("%d: closes %p with %d", conn_end(conn)->n->i, (void *)conn_end(conn), conn_end(conn)->from);
	end_bury(conn_end(conn), false);
}

static void op_due(struct kecho_cm *cm, u64 when)
{
	struct sim_node *n = cm_host(cm);
	u64 old = __atomic_load_n(&n->due, __ATOMIC_RELAXED);

	while (when < old && !__atomic_compare_exchange_n(&n->due, &old, when, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void op_ready(struct kecho_sink *sink)
{
	if (sim_hooks.ready)
		sim_hooks.ready(sink);
}

static void op_room(struct kecho_channel *ch)
{
	if (sim_hooks.room)
		sim_hooks.room(ch);
}

static void op_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event)
{
	if (sim_hooks.changed)
		sim_hooks.changed(ch, file, event);
}

static void op_joined(struct kecho_channel *ch)
{
	if (sim_hooks.joined)
		sim_hooks.joined(ch);
}

static void op_listed(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h)
{
	if (sim_hooks.listed)
		sim_hooks.listed(node, request, name, h);
}

static u64 op_clock(void)
{
	return sim.now;
}

static const struct kecho_filter_ops *op_filter_get(struct kecho_node *node, const char *name)
{
	return sim_hooks.filter_get ? sim_hooks.filter_get(node, name) : ERR_PTR(-ENOENT);
}

static void op_filter_put(const struct kecho_filter_ops *ops)
{
}

static const struct kecho_node_ops node_ops = {
	.cm = { .dial = op_dial, .kick = op_kick, .close = op_close, .due = op_due },
	.ready = op_ready,
	.room = op_room,
	.changed = op_changed,
	.joined = op_joined,
	.listed = op_listed,
	.clock = op_clock,
	.realtime = sim_realtime,
	.filter_get = op_filter_get,
	.filter_put = op_filter_put,
};

/* --- connections --- */

static struct sim_end *end_new(struct sim_node *n, int from, long cut_after)
{
	struct sim_end *e = calloc(1, sizeof(*e));

	e->n = n;
	e->from = from;
	e->cut_after = cut_after;
	INIT_LIST_HEAD(&e->in);
	list_add_tail(&e->node, &sim.ends);
	return e;
}

static void end_free(struct sim_end *e)
{
	struct seg *s, *next;

	list_del(&e->node);
	list_for_each_entry_safe(s, next, &e->in, node)
		free(s);
	kecho_framer_exit(&e->framer);
	kecho_cm_conn_exit(&e->conn);
	free(e);
}

static void end_broken(struct sim_end *e, bool silent)
{
	struct kecho_link *link = e->link;

	if (e->dead)
		return;
	sim_trace("%d: connection %p with %d broken", e->n->i, (void *)e, e->from);
	e->link = NULL;
	if (link)
		kecho_cm_dial_failed(link, sim.now);
	else
		kecho_cm_closed(&e->conn, sim.now);
	end_bury(e, silent);
}

static void end_cut(struct sim_end *e)
{
	struct sim_end *p = e->peer;

	sim.cuts++;
	end_broken(e, true);
	if (p)
		end_broken(p, true);
}

static void end_put(struct sim_end *e, const void *data, size_t len)
{
	struct seg *s = malloc(sizeof(*s) + len);

	s->len = len;
	s->off = 0;
	memcpy(s->data, data, len);
	s->at = e->last_at = max(e->last_at, sim.now + sim_latency());
	list_add_tail(&s->node, &e->in);
	e->in_bytes += len;
}

static void end_send(struct sim_end *e)
{
	static u8 buf[1 << 20];
	struct kvec vec[16];
	size_t bytes, room, take, len, k;
	bool want_out = false;
	int i, n;

	while (!e->dead) {
		n = kecho_cm_tx_fill(&e->conn, vec, 6 + sim_below(11), &bytes, sim.now);
		if (!n)
			break;
		room = e->peer ? sim.sndbuf - min(sim.sndbuf, e->peer->in_bytes) : sim.sndbuf;
		take = min(min(bytes, room), sizeof(buf));
		if (sim.chunk)
			take = min_t(size_t, take, 1 + sim_below(sim.chunk));
		for (i = 0, len = 0; i < n && len < take; i++, len += k) {
			k = min(vec[i].iov_len, take - len);
			memcpy(buf + len, vec[i].iov_base, k);
		}
		kecho_cm_tx_done(&e->conn, take);
		if (take && e->peer)
			end_put(e->peer, buf, take);
		else if (take && !e->eof_at && !sim.no_reset)
			e->eof_at = max(e->last_at, sim.now + 2 * sim_latency());
		if (take < bytes) {
			want_out = true;
			break;
		}
	}
	if (e->conn.closing && !want_out) {
		end_broken(e, false);
		return;
	}
	e->want_out = want_out;
}

/* Whole events, as a home takes them where nothing may sleep. Returns the bytes of them; -1: one was refused */
static long end_take(struct sim_end *e, const u8 *data, size_t len)
{
	struct kecho_msg *msg;
	struct kecho_rec rec;
	size_t used = 0;
	int n, err;

	while (!kecho_framer_amid(&e->framer) && len - used >= sizeof(rec)) {
		memcpy(&rec, data + used, sizeof(rec));
		n = rec.type == KECHO_EVENT ? kecho_cm_rx_check(&e->conn, &rec) : -1;
		if (n < 0 || (size_t)n > len - used - sizeof(rec))
			break;
		msg = kecho_msg_alloc(n, GFP_ATOMIC);
		if (!msg)
			break;
		memcpy(msg->data, data + used + sizeof(rec), n);
		used += sizeof(rec) + n;
		err = kecho_cm_rx_event(&e->conn, &rec, msg, sim.now);
		if (err) {
			kecho_cm_rx_failed(&e->conn, rec.type, err, sim.now);
			return -1;
		}
		sim.taken++;
	}
	return used;
}

static void end_recv(struct sim_end *e)
{
	struct seg *s = list_first_entry(&e->in, struct seg, node);
	bool cut = e->cut_after >= 0 && e->cut_after <= (long)s->len;
	u32 len = cut ? (u32)e->cut_after : s->len;
	long used;

	list_del(&s->node);
	e->in_bytes -= s->len;
	if (e->cut_after >= 0)
		e->cut_after -= len;
	used = sim_below(2) ? 0 : end_take(e, s->data, len);
	if (used < 0 || kecho_framer_take(&e->framer, &e->conn, s->data + used, len - used, sim.now)) {
		kecho_cm_closed(&e->conn, sim.now);
		end_bury(e, false);
	} else if (cut) {
		end_cut(e);
	}
	free(s);
}

/* When something happens at this end next. */
static u64 end_next(struct sim_end *e)
{
	u64 at = U64_MAX;

	if (e->dead)
		return U64_MAX;
	if (e->link)
		at = e->connect_at;
	else if (!list_empty(&e->in))
		at = list_first_entry(&e->in, struct seg, node)->at;
	else if (e->eof_at)
		at = e->eof_at;
	if (sim.blocked[e->from][e->n->i])
		at = U64_MAX;
	if (e->want_out && !e->link && (!e->peer || e->peer->in_bytes < sim.sndbuf))
		at = min(at, sim.now);
	return max(at, sim.now);
}

static void end_step(struct sim_end *e)
{
	struct kecho_link *link = e->link;

	if (e->want_out && !link && (!e->peer || e->peer->in_bytes < sim.sndbuf)) {
		end_send(e);
		return;
	}
	if (link) {
		e->link = NULL;
		kecho_cm_dialed(link, &e->conn, sim.now);
	} else if (!list_empty(&e->in)) {
		end_recv(e);
	} else {
		end_broken(e, true);
	}
}

void sim_addr(int i, struct kecho_addr *a)
{
	*a = (struct kecho_addr){ .family = 4, .port = cpu_to_be16(1000 + i), .ip = { 10, 0, 0, i } };
}

static void dial_step(struct dial *d)
{
	struct kecho_link *link = d->link;
	struct sim_node *from = d->n, *to;
	struct sim_end *a, *b;
	int i;

	i = link->host ? atoi(link->host + 1) : be16_to_cpu(link->addr.port) - 1000;
	to = i >= 0 && i < SIM_NODES ? &sim.n[i] : NULL;
	if (to && (sim.blocked[from->i][i] || sim.blocked[i][from->i]) && sim.now < d->since + 3 * SIM_S) {
		/* A second SYN after a second, and given up after three, as tcp.c asks for. */
		d->at = d->since + (sim.now < d->since + SIM_S ? 1 : 3) * SIM_S;
		return;
	}
	list_del(&d->node);
	if (!to || !to->alive || to->refuse || sim.blocked[from->i][i] || sim.blocked[i][from->i]) {
		kecho_cm_dial_failed(link, sim.now);
	} else {
		a = end_new(from, i, sim.cut_next[0]);
		b = end_new(to, from->i, sim.cut_next[1]);
		sim.cut_next[0] = sim.cut_next[1] = -1;
		sim_trace("%d calls %d: %p to %p", from->i, i, (void *)a, (void *)b);
		a->peer = b;
		b->peer = a;
		a->link = link;		/* the core keeps it: it counts as dialing */
		a->connect_at = a->last_at = sim.now + sim_latency();
		b->conn.peer = (struct kecho_addr){ .family = 4, .port = cpu_to_be16(1), .ip = { 10, 0, 0, from->i } };
		kecho_cm_accepted(&to->node.cm, &b->conn, sim.now);
	}
	kecho_link_put(link);
	free(d);
}

/* --- nodes --- */

static struct sim_node *node_new(int i)
{
	struct sim_node *n = &sim.n[i];

	check(!n->alive);
	memset(n, 0, sizeof(*n));
	n->i = i;
	n->alive = true;
	n->due = U64_MAX;
	return n;
}

struct sim_node *sim_node_start(int i, u64 registry_lease)
{
	struct sim_node *n = node_new(i);
	char name[16];

	snprintf(name, sizeof(name), "n%d", i);
	kecho_node_init(&n->node, sim.ids++, name, registry_lease, &node_ops, sim_random());
	sim_addr(i, &n->node.cm.listen);
	sim_net_start(n);
	return n;
}

struct sim_node *sim_raw_start(int i, u64 id, const struct kecho_cm_user *user)
{
	struct sim_node *n = node_new(i);
	char name[16];

	snprintf(name, sizeof(name), "n%d", i);
	n->raw = true;
	kecho_cm_init(&n->node.cm, id, name, &node_ops.cm, user, sim_random());
	n->node.cm.roles = KECHO_ROLE_MEMBER;
	sim_addr(i, &n->node.cm.listen);
	sim_net_start(n);
	return n;
}

static void sim_flush(void);

static void sim_sweep(void)
{
	while (!list_empty(&sim.dead))
		end_free(list_first_entry(&sim.dead, struct sim_end, node));
}

void sim_node_stop(int i, bool silent)
{
	struct sim_node *n = &sim.n[i];
	struct sim_end *e, *ne;
	struct dial *d, *nd;

	check(n->alive);
	list_for_each_entry_safe(d, nd, &sim.dials, node) {
		if (d->n != n)
			continue;
		list_del(&d->node);
		kecho_link_put(d->link);
		free(d);
	}
	list_for_each_entry(e, &sim.ends, node) {
		if (e->n != n || !silent || !e->peer)
			continue;
		e->peer->peer = NULL;
		e->peer = NULL;
	}
	list_for_each_entry_safe(e, ne, &sim.ends, node)
		if (e->n == n && e->link)
			end_broken(e, silent);
	if (silent)
		sim_net_silence(n);
	if (n->raw)
		kecho_cm_exit(&n->node.cm, sim.now);
	else
		kecho_node_exit(&n->node, sim.now);
	sim_sweep();
	sim_net_stop(n);
	list_for_each_entry(e, &sim.ends, node)
		check(e->n != n);	/* cm closes all that it was given */
	n->alive = false;
}

void sim_init(u64 seed)
{
	memset(&sim, 0, sizeof(sim));
	memset(&sim_hooks, 0, sizeof(sim_hooks));
	tracing = getenv("KECHO_TRACE");
#ifndef __KERNEL__
	kecho_log = trace_log;
#endif
	INIT_LIST_HEAD(&sim.ends);
	INIT_LIST_HEAD(&sim.dead);
	INIT_LIST_HEAD(&sim.dials);
	sim.seed = sim.rng = seed;
	sim.now = SIM_S;
	sim.ids = 0x100;
	sim.lat_min = sim.lat_max = SIM_MS / 10;
	sim.sndbuf = 64 << 10;
	sim.cut_next[0] = sim.cut_next[1] = -1;
	sim_net_init();
}

void sim_exit(void)
{
	int i;

	for (i = 0; i < SIM_NODES; i++)
		if (sim.n[i].alive)
			sim_node_stop(i, false);
	sim_sweep();
	check(list_empty(&sim.ends));
	check(list_empty(&sim.dials));
	sim_net_exit();
}

static void sim_flush(void)
{
	struct sim_end *e, *next;
	bool again = true;

	while (again) {
		again = false;
		if (sim.settle)
			sim.settle();
		list_for_each_entry_safe(e, next, &sim.ends, node) {
			/* One that waits for room sends when there is, not when it is kicked; one that connects, then. */
			if (!__atomic_exchange_n(&e->kicked, 0, __ATOMIC_RELAXED) || e->want_out || e->link)
				continue;
			again = true;
			end_send(e);
			break;	/* it may have buried any other */
		}
		again |= sim_net_flush();
	}
	sim_sweep();
}

static bool sim_step(u64 until)
{
	struct sim_node *n, *tick = NULL;
	struct sim_end *e, *end = NULL;
	struct dial *d, *dial = NULL;
	u64 at = until, t;
	bool net = false;

	for (n = sim.n; n < sim.n + SIM_NODES; n++) {
		t = n->alive ? max(__atomic_load_n(&n->due, __ATOMIC_RELAXED), sim.now) : U64_MAX;
		if (t < at) {
			at = t;
			tick = n;
		}
	}
	list_for_each_entry(e, &sim.ends, node) {
		t = end_next(e);
		if (t < at) {
			at = t;
			end = e;
		}
	}
	list_for_each_entry(d, &sim.dials, node) {
		t = max(d->at, sim.now);
		if (t < at) {
			at = t;
			dial = d;
		}
	}
	t = sim_net_next();
	if (t < at) {
		at = max(t, sim.now);
		net = true;
	}
	sim.now = at;
	if (at == until)
		return false;
	sim.steps++;
	if (net) {
		sim_net_step();
	} else if (dial) {
		dial_step(dial);
	} else if (end) {
		end_step(end);
	} else {
		__atomic_store_n(&tick->due, U64_MAX, __ATOMIC_RELAXED);
		if (tick->raw)
			kecho_cm_tick(&tick->node.cm, sim.now);
		else
			kecho_node_tick(&tick->node, sim.now);
	}
	sim_flush();
	return true;
}

void sim_run(u64 ns)
{
	u64 until = sim.now + ns;

	sim_flush();
	while (sim_step(until))
		;
}

bool sim_until(bool (*cond)(void), u64 ns)
{
	u64 until = sim.now + ns;

	sim_flush();
	while (!cond())
		if (!sim_step(until))
			return cond();
	return true;
}

void sim_call(int from, int to)
{
	struct kecho_cm *cm = &sim.n[from].node.cm;
	char host[16];

	snprintf(host, sizeof(host), "n%d", to);
	mutex_lock(&cm->lock);
	kecho_cm_call(cm, host, NULL, sim.now);
	mutex_unlock(&cm->lock);
}

struct kecho_link *sim_link(int from, int to)
{
	struct kecho_cm *cm = &sim.n[from].node.cm;
	struct kecho_link *link;

	mutex_lock(&cm->lock);
	link = sim.n[from].alive ? kecho_cm_find(cm, sim.n[to].node.cm.id) : NULL;
	mutex_unlock(&cm->lock);
	return link;
}

static struct sim_end *end_between(int a, int b)
{
	struct sim_end *e;

	list_for_each_entry(e, &sim.ends, node)
		if (e->n->i == a && e->from == b && !e->dead)
			return e;
	return NULL;
}

u32 sim_conns(int a, int b)
{
	struct sim_end *e;
	u32 n = 0;

	list_for_each_entry(e, &sim.ends, node)
		n += e->n->i == a && e->from == b && !e->dead;
	return n;
}

u32 sim_cut(int a, int b)
{
	struct sim_end *e;
	u32 n = sim_net_die(a, b) + sim_net_die(b, a);

	for (; (e = end_between(a, b)); n++)
		end_cut(e);
	for (; (e = end_between(b, a)); n++)
		end_cut(e);
	sim_flush();
	return n;
}

u32 sim_die(int a, int b)
{
	struct sim_end *e;
	u32 n;

	for (n = sim_net_die(a, b); (e = end_between(a, b)); n++)
		end_broken(e, true);
	sim_flush();
	return n;
}

void sim_heal(void)
{
	struct sim_end *e;

	memset(sim.blocked, 0, sizeof(sim.blocked));
	sim.no_reset = false;
	sim.cut_next[0] = sim.cut_next[1] = -1;
	list_for_each_entry(e, &sim.ends, node)
		e->cut_after = -1;
}

void sim_block(int a, int b, bool blocked)
{
	sim.blocked[a][b] = sim.blocked[b][a] = blocked;
}

void sim_stranger(int i)
{
	struct sim_end *e = end_new(&sim.n[i], SIM_STRANGER, -1);

	sim.no_reset = true;
	kecho_cm_accepted(&sim.n[i].node.cm, &e->conn, sim.now);
	sim_flush();
}

bool sim_inject(int i, int from, const void *p, size_t len)
{
	struct sim_end *e, *last = NULL;

	list_for_each_entry(e, &sim.ends, node)
		if (e->n->i == i && e->from == from && !e->dead)
			last = e;
	if (last)
		end_put(last, p, len);
	return last;
}
