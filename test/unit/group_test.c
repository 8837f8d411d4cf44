// SPDX-License-Identifier: GPL-2.0
/* The registry, its client, and the lease's state machine. */
#include "sim.h"
#include "../../lib/group/registry.h"

#define SERVER 0
#define LEASE_MS 3000
#define LEASE (LEASE_MS * SIM_MS)

/* --- the registry by itself --- */

static struct kecho_registry *registry;
static struct kecho_cm *cm;

static int setup(void **state)
{
	sim_init(sim_seed(1));
	kecho_fail_alloc = -1;
	return 0;
}

static int teardown(void **state)
{
	kecho_fail_alloc = -1;
	sim_exit();
	return 0;
}

static void server_start(int i, u64 lease)
{
	sim_node_start(i, lease);
	sim.n[i].node.cm.roles = KECHO_ROLE_REGISTRY;
}

static void server(void)
{
	server_start(SERVER, LEASE);
	registry = &sim.n[SERVER].node.registry;
	cm = &sim.n[SERVER].node.cm;
}

/* Asks, and says who holds it then. */
static u64 ask(const char *name, u64 contact, u64 epoch, u64 now, int want)
{
	struct kecho_holding h = { .contact = contact, .epoch = epoch };
	int err;

	mutex_lock(&cm->lock);
	err = kecho_registry_register(registry, name, &h, now);
	mutex_unlock(&cm->lock);
	check(err == want);
	return err ? 0 : h.contact * 1000 + h.epoch;
}

static void count_one(void *arg, const char *name, const struct kecho_holding *h)
{
	++*(u32 *)arg;
}

static u32 count(const char *name, u64 now)
{
	u32 n = 0;

	mutex_lock(&cm->lock);
	kecho_registry_walk(registry, name, now, count_one, &n);
	mutex_unlock(&cm->lock);
	return n;
}

static void release(const char *name, u64 contact)
{
	mutex_lock(&cm->lock);
	kecho_registry_release(registry, name, contact);
	mutex_unlock(&cm->lock);
}

static void rules(void **state)
{
	/* Who asks when with which epoch, and who holds it then. */
	static const struct { u64 at_ms, contact, epoch, holds; } t[] = {
		{ 0, 1, 1, 1001 },				/* free */
		{ 10, 2, 1, 1001 },				/* held */
		{ 20, 1, 1, 1001 },				/* renewed */
		{ 20 + LEASE_MS - 1, 2, 1, 1001 },		/* to the last moment */
		{ 20 + LEASE_MS, 2, 1, 2001 },			/* run out */
		{ 20 + LEASE_MS, 1, 1, 2001 },
		{ 30 + LEASE_MS, 1, 2, 1002 },			/* a higher epoch */
		{ 40 + LEASE_MS, 2, 1, 1002 },			/* a lower one */
		{ 50 + LEASE_MS, 2, 2, 1002 },			/* the same */
		{ 60 + LEASE_MS, 1, 7, 1007 },			/* the holder may go up */
		{ 70 + LEASE_MS, 1, 3, 1003 },			/* and begin anew */
	};
	u64 now = sim.now;
	u32 i;

	server();
	for (i = 0; i < ARRAY_SIZE(t); i++)
		check(ask("x", t[i].contact, t[i].epoch, now + t[i].at_ms * SIM_MS, 0) == t[i].holds);
	check(count("x", now) == 1 && count("", now) == 1 && !count("y", now));
	now += (70 + LEASE_MS) * SIM_MS;
	check(count("x", now + LEASE - 1) == 1 && !count("x", now + LEASE));
	release("x", 2);
	check(count("x", now) == 1);
	release("x", 1);
	check(!count("x", now) && !registry->count);
	check(ask("x", 2, 1, now, 0) == 2001);
}

static void expiry(void **state)
{
	char name[16];
	int i;

	server();
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		ask(name, 1, 1, sim.now, 0);
	}
	sim_run(LEASE / 2);
	ask("c7", 1, 1, sim.now, 0);
	check(registry->count == 100);
	sim_run(LEASE + LEASE / 2);
	check(registry->count <= 1 && !count("c7", sim.now));
	sim_run(2 * LEASE);
	check(!registry->count);
}

static void limits(void **state)
{
	char name[16];
	u32 i;

	server();
	kecho_fail_alloc = 0;
	ask("x", 1, 1, sim.now, -ENOMEM);
	check(!registry->count);
	registry->count = KECHO_REGISTRY_MAX - 10;
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		ask(name, 1, 1, sim.now, 0);
	}
	ask("one-more", 1, 1, sim.now, -ENOSPC);
	check(ask("c5", 2, 1, sim.now, 0) == 1001);
	release("c5", 1);
	ask("one-more", 1, 1, sim.now, 0);
	registry->count -= KECHO_REGISTRY_MAX - 10;
}

/* --- the lease --- */

static void lease_hear(void **state)
{
	static const struct { u64 self, epoch, contact, heard, from; bool claims; u64 then, by; } t[] = {
		/* this node, what it holds to, what it hears: does it claim, and what it then holds to */
		{ 5, 3, 5, 4, 7, false, 4, 7 },		/* higher wins */
		{ 5, 3, 5, 2, 7, false, 3, 5 },		/* lower does not */
		{ 5, 3, 5, 3, 7, true, 4, 5 },		/* equal: the lower id goes above */
		{ 7, 3, 7, 3, 5, false, 3, 7 },		/* and the other waits to hear of it */
		{ 9, 3, 5, 3, 7, false, 3, 5 },		/* a third believes in the lower */
		{ 9, 3, 7, 3, 5, false, 3, 5 },
		{ 9, 3, 7, 4, 7, false, 4, 7 },		/* the same contact, later */
		{ 9, 3, 7, 2, 7, false, 3, 7 },
		{ 9, 3, 7, 9, 0, false, 9, 7 },		/* one that knows none */
		{ 9, 3, 7, 3, 9, true, 4, 9 },		/* elected by others */
		{ 9, 3, 7, 6, 9, true, 7, 9 },
		{ 9, 3, 7, 2, 9, false, 3, 7 },		/* long ago */
		{ 9, 3, 9, 5, 9, true, 6, 9 },		/* thought to have a higher epoch than it has */
		{ 9, 3, 9, 3, 9, false, 3, 9 },
	};
	struct kecho_lease l;
	bool claims;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		l = (struct kecho_lease){ .name = "x", .epoch = t[i].epoch, .contact = t[i].contact, .renew_at = 5 };
		claims = kecho_lease_hear(&l, t[i].self, t[i].heard, t[i].from);
		if (claims != t[i].claims || l.epoch != t[i].then || l.contact != t[i].by)
			print_error("line %u: %d %llu@%llu\n", i, claims, (unsigned long long)l.contact, (unsigned long long)l.epoch);
		check(claims == t[i].claims && l.epoch == t[i].then && l.contact == t[i].by);
		check(l.renew_at == (claims ? 0 : 5));	/* a claim is registered at once */
	}
}

/* Any two that hear each other's claims, in any order, end up with the same contact and epoch. */
static void lease_ties(void **state)
{
	static u64 q[3][64][2];
	u32 run, k, i, j;

	for (run = 0; run < 2000 / UNIT_SLOW; run++) {
		struct kecho_lease l[3];
		u32 head[3] = { 0 }, tail[3] = { 0 };

		sim_init(sim_seed(run + 1));
		for (i = 0; i < 3; i++) {
			l[i] = (struct kecho_lease){ .epoch = 1 + sim_below(3), .contact = i + 1 };
			for (j = 0; j < 3; j++) {
				if (i != j) {
					q[j][tail[j]][0] = l[i].epoch;
					q[j][tail[j]++][1] = i + 1;
				}
			}
		}
		for (k = 0; k < 1000; k++) {
			i = sim_below(3);
			if (head[i] == tail[i])
				continue;
			head[i]++;
			if (!kecho_lease_hear(&l[i], i + 1, q[i][head[i] - 1][0], q[i][head[i] - 1][1]))
				continue;
			for (j = 0; j < 3; j++) {
				if (i == j)
					continue;
				check(tail[j] < 64);
				q[j][tail[j]][0] = l[i].epoch;
				q[j][tail[j]++][1] = i + 1;
			}
		}
		for (i = 0; i < 3; i++)
			check(head[i] == tail[i] && l[i].contact == l[0].contact && l[i].epoch == l[0].epoch);
		check(l[l[0].contact - 1].contact == l[0].contact);
	}
	sim_init(1);
}

static void lease_steps(void **state)
{
	struct kecho_lease l = { .name = "x" };
	struct kecho_holding h = { .contact = 2, .epoch = 4 };
	struct kecho_group *g;
	u64 self, due = U64_MAX;

	server();
	g = &sim.n[SERVER].node.group;
	self = cm->id;
	check(kecho_lease_claim(&l, self, 0) && l.epoch == 1 && l.contact == self);
	check(kecho_lease_claim(&l, self, 9) && l.epoch == 10);
	check(!kecho_lease_elect(&l, self, 77) && l.contact == 77 && l.epoch == 10);
	check(kecho_lease_elect(&l, self, self) && l.contact == self && l.epoch == 11);
	mutex_lock(&cm->lock);
	check(!kecho_lease_tick(g, &l, sim.now, &due));
	mutex_unlock(&cm->lock);
	check(due == sim.now + LEASE / 3);
	/* A holder with a lower epoch is no threat. */
	kecho_lease_held(&l, &h, sim.now);
	check(!l.held);
	h.epoch = 11;
	kecho_lease_held(&l, &h, sim.now);
	check(l.held == 11 && l.held_until == sim.now + KECHO_JOIN_MS * SIM_MS);
	mutex_lock(&cm->lock);
	check(!kecho_lease_tick(g, &l, l.held_until - 1, &due));
	check(kecho_lease_tick(g, &l, l.held_until, &due) && l.epoch == 12 && !l.held);
	/* One that is not the contact does nothing. */
	l.contact = 5;
	due = U64_MAX;
	check(!kecho_lease_tick(g, &l, sim.now + 100 * LEASE, &due) && due == U64_MAX);
	mutex_unlock(&cm->lock);
}

/* --- client and server over the network --- */

static u32 listed, ends, request_seen;
static u8 seen[5001];
static const char *only;

static void on_listed(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h)
{
	int i;

	request_seen = request;
	if (!name) {
		ends++;
		return;
	}
	check(!ends);
	listed++;
	check(!only || !strcmp(only, name));
	check(h->contact == 0x1234 && h->epoch == 3 && h->addr.family == 4);
	if (sscanf(name, "c%d", &i) == 1) {
		check(i >= 0 && i < 5001 && !seen[i]);
		seen[i] = 1;
	}
}

static void list(int i, const char *name)
{
	struct kecho_node *node = &sim.n[i].node;

	listed = ends = 0;
	memset(seen, 0, sizeof(seen));
	mutex_lock(&node->cm.lock);
	check(kecho_group_list(&node->group, 42, name, sim.now));
	mutex_unlock(&node->cm.lock);
	sim_run(SIM_S);
	check(ends == 1 && request_seen == 42);
}

static void listing(void **state)
{
	static const u32 sizes[] = { 0, 1, 2, 50, 388, 389, 390, 1000, 5000 };
	struct kecho_holding h = { .contact = 0x1234, .epoch = 3 };
	struct kecho_node *node;
	char name[KECHO_NAME_MAX + 1];
	u32 i, n = 0;

	server();
	registry->lease = 3600 * SIM_S;
	sim_node_start(1, 0);
	sim_hooks.listed = on_listed;
	node = &sim.n[1].node;
	mutex_lock(&node->cm.lock);
	check(!kecho_group_known(&node->group) && !kecho_group_list(&node->group, 1, "", sim.now));
	mutex_unlock(&node->cm.lock);
	sim_call(1, SERVER);
	sim_run(SIM_S);
	sim_addr(7, &h.addr);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (; n < sizes[i]; n++) {
			/* Long names and short ones, so that pages break anywhere. */
			snprintf(name, sizeof(name), "c%u%s", n, n % 3 ? "" : ".a-name-that-is-as-long-as-a-name-may-be.....");
			mutex_lock(&cm->lock);
			check(!kecho_registry_register(registry, name, &h, sim.now));
			mutex_unlock(&cm->lock);
		}
		only = NULL;
		list(1, "");
		check(listed == n);
		/* The server itself, without a network. */
		sim_hooks.listed = on_listed;
		list(SERVER, "");
		check(listed == n);
		only = "c1";
		list(1, "c1");
		check(listed == (n > 1));
		only = "unknown";
		list(1, "unknown");
		check(!listed);
	}
	check(n == 5000);
}

static struct kecho_channel *join(int i, const char *name)
{
	struct kecho_channel *ch;
	int err;

	ch = kecho_channel_join(&sim.n[i].node, name, NULL, sim_realtime(), sim.now, &err);
	check(ch);
	return ch;
}

static u64 holder(const char *name)
{
	struct kecho_holding h = { 0 };

	/* Asking with epoch 0 takes nothing that is held. */
	if (!count(name, sim.now))
		return 0;
	h.contact = ~0ull;
	mutex_lock(&cm->lock);
	kecho_registry_register(registry, name, &h, sim.now);
	mutex_unlock(&cm->lock);
	return h.contact;
}

static void renewals(void **state)
{
	u64 records;
	int i;

	server();
	sim_node_start(1, 0);
	sim_call(1, SERVER);
	sim_run(SIM_S);
	join(1, "x");
	sim_run(100 * SIM_MS);
	check(sim.n[1].node.group.lease == LEASE);	/* as the server says */
	records = atomic64_read(&cm->stats.rx_records);
	for (i = 0; i < 100; i++) {
		sim_run(LEASE / 10);
		check(holder("x") == sim.n[1].node.cm.id);
	}
	/* Three renewals a lease, and what keeps the link alive. */
	records = atomic64_read(&cm->stats.rx_records) - records;
	check(records >= 30 && records <= 31 + 3 * 31 + 10);
}

/* The lease falls due just while the link to the server is being resumed: the registration must not lapse. */
static void renewal_while_suspect(void **state)
{
	int i;

	server();
	sim_node_start(1, 0);
	sim_call(1, SERVER);
	sim_run(SIM_S);
	join(1, "x");
	sim_run(100 * SIM_MS);
	for (i = 0; i < 20; i++) {
		sim.n[SERVER].refuse = true;
		sim.n[1].refuse = true;
		sim_cut(1, SERVER);
		sim_run(LEASE / 3 + sim_below(500) * SIM_MS);
		sim.n[SERVER].refuse = false;
		sim.n[1].refuse = false;
		sim_run(2 * SIM_S);
		check(holder("x") == sim.n[1].node.cm.id);
		sim_run(LEASE);
		check(holder("x") == sim.n[1].node.cm.id);
	}
}

static void left_channel(void **state)
{
	struct kecho_channel *ch;

	server();
	sim_node_start(1, 0);
	sim_call(1, SERVER);
	sim_run(SIM_S);
	ch = join(1, "x");
	sim_run(100 * SIM_MS);
	check(holder("x"));
	kecho_channel_leave(ch, sim.now);
	sim_run(100 * SIM_MS);
	check(!registry->count);
	/* And before the server has answered. */
	ch = join(1, "x");
	kecho_channel_leave(ch, sim.now);
	sim_run(SIM_S);
	check(!registry->count);
}

/* A server that is started anew knows nothing; the contacts tell it. */
static void server_restart(void **state)
{
	struct kecho_channel *ch;
	int silent, i;

	server();
	for (i = 1; i <= 3; i++) {
		sim_node_start(i, 0);
		sim_call(i, SERVER);
	}
	sim_run(SIM_S);
	join(1, "x");
	sim_run(SIM_S);
	join(2, "x");
	join(3, "y");
	sim_run(SIM_S);
	for (silent = 0; silent < 2; silent++) {
		sim_node_stop(SERVER, silent);
		sim_run(20 * SIM_S);
		server();
		sim_run(10 * SIM_S);
		check(holder("x") == sim.n[1].node.cm.id && holder("y") == sim.n[3].node.cm.id && registry->count == 2);
	}
	/* A joiner finds what it knew before. */
	sim_node_start(4, 0);
	sim_call(4, SERVER);
	sim_run(SIM_S);
	ch = join(4, "x");
	sim_run(SIM_S);
	check(ch->nmembers == 2 && ch->lease.contact == sim.n[1].node.cm.id && holder("x") == sim.n[1].node.cm.id);
}

/* Each name is registered with both; when one goes, the other goes on. */
static void two_servers(void **state)
{
	struct kecho_channel *ch[3];
	int i;

	server();
	server_start(5, LEASE);
	for (i = 1; i <= 2; i++) {
		sim_node_start(i, 0);
		sim_call(i, SERVER);
		sim_call(i, 5);
	}
	sim_run(SIM_S);
	ch[1] = join(1, "x");
	sim_run(SIM_S);
	check(holder("x") == sim.n[1].node.cm.id && sim.n[5].node.registry.count == 1);
	sim_node_stop(SERVER, true);
	sim_run(20 * SIM_S);
	ch[2] = join(2, "x");
	sim_run(SIM_S);
	check(ch[1]->nmembers == 1 && ch[2]->nmembers == 1 && ch[2]->lease.contact == sim.n[1].node.cm.id);
	check(sim.n[5].node.registry.count == 1);
}

/* What a client must not say to a server, and a server not to a client. */
static void malformed(void **state)
{
	static const struct { u8 type, len, body[20]; } t[] = {
		{ KECHO_REGISTER, 0, { 0 } }, { KECHO_REGISTER, 5, { 1, 'x' } }, { KECHO_REGISTER, 10, { 0 } },
		{ KECHO_REGISTER, 10, { 1, '/' } }, { KECHO_RELEASE, 0, { 0 } }, { KECHO_RELEASE, 1, { 9 } },
		{ KECHO_LIST, 3, { 0 } }, { KECHO_LIST, 5, { 0, 0, 0, 0, 2 } }, { KECHO_HOLDS, 4, { 1, 'x' } },
		{ KECHO_LISTING, 7, { 0, 0, 0, 0, 0, 1, 0 } }, { KECHO_LISTING, 2, { 0 } },
	};
	struct kecho_link *link;
	struct kecho_msg *msg;
	u32 i;

	server();
	sim_node_start(1, 0);
	sim_node_start(2, 0);
	sim_call(1, SERVER);
	sim_call(2, SERVER);
	sim_run(SIM_S);
	join(2, "kept");
	sim_run(SIM_S);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		link = sim_link(1, SERVER);
		msg = kecho_msg_alloc(t[i].len, GFP_KERNEL);
		memcpy(msg->data, t[i].body, t[i].len);
		kecho_link_send(link, t[i].type, msg);
		sim_run(SIM_S);
		check(atomic64_read(&cm->stats.protocol_errors) == i + 1);
		sim_run(10 * SIM_S);
		check(sim_link(1, SERVER) && sim_link(1, SERVER)->state == KECHO_LINK_UP);
	}
	/* A node that is no server is not to be asked. */
	sim_call(1, 2);
	sim_run(SIM_S);
	link = sim_link(1, 2);
	msg = kecho_msg_alloc(5, GFP_KERNEL);
	memset(msg->data, 0, 5);
	kecho_link_send(link, KECHO_LIST, msg);
	sim_run(SIM_S);
	check(atomic64_read(&sim.n[2].node.cm.stats.protocol_errors) == 1);
	check(holder("kept") == sim.n[2].node.cm.id);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
static const struct CMUnitTest tests[] = {
	T(rules), T(expiry), T(limits), T(lease_hear), T(lease_ties), T(lease_steps), T(listing), T(renewals),
	T(renewal_while_suspect), T(left_channel), T(server_restart), T(two_servers), T(malformed),
};
UNIT_SUITE(group, tests)
