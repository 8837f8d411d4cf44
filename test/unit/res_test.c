// SPDX-License-Identifier: GPL-2.0
/*
 * Leases on resources, on a network of their own: hosts with clocks of different speed, messages that are lost, repeated and late by
 * seconds, managers, askers and whole hosts that die at any step. A failed check prints the seed: KECHO_SEED=N res_test
 */
#include "sim.h"
#include "../../lib/services/res.c"
#include "../../lib/services/res_event.c"

#define HOSTS 3
#define ASKERS 6
#define LEASES 16
#define QUEUE 8192
#define TICK (5 * RES_MS)

/* A share of a million each; @late: comes seconds after others. @filtered: who a message is not to does not hear it */
struct net {
	u32 loss, dup, late, death;
	bool filtered;
};

struct host {
	bool alive;
	u32 speed;		/* of its clock, in millionths */
	u64 offset;
	u64 back;		/* when it, or its manager, is started again */
	u64 cut;		/* until then it hears nobody else, and nobody hears it */
	bool managed;
	u32 amount;
	char attrs[40];
	struct res_manager m;
	struct res_lease leases[LEASES];
};

struct party {
	bool alive;
	int host;
	u64 stop;		/* when it releases what it has, 0: not known yet; when it comes again, if it is not alive */
	bool stubborn;		/* what it loses it uses to the last */
	struct res_asker a;
};

struct flight {
	u64 at;
	int to;
	struct res_msg msg;
	struct kecho_attrs *attrs;
};

static struct {
	u64 seed, rng, now, ids;
	struct net net;
	struct host hosts[HOSTS];
	struct party parties[ASKERS];
	struct flight queue[QUEUE];	/* a heap */
	u32 n;
	u32 grants, losses;
	bool busy, ending;	/* they come, and come again; they come no more */
	enum res_state was[ASKERS];
} s;

#define must(x) do { \
		if (!(x)) { \
			print_message("seed %llu: at %llu ms: %s\n", (unsigned long long)s.seed, (unsigned long long)(s.now / RES_MS), #x); \
			fail_msg("%s", #x); \
		} \
	} while (0)

static u64 random_u64(void)
{
	s.rng ^= s.rng << 13;
	s.rng ^= s.rng >> 7;
	s.rng ^= s.rng << 17;
	return s.rng * 0x2545f4914f6cdd1dull;
}

static u64 below(u64 n)
{
	return (random_u64() >> 16) % n;
}

static bool chance(u32 millionths)
{
	return below(1000000) < millionths;
}

static u64 clock_of(const struct host *h)
{
	return h->offset + s.now / 1000000 * h->speed + s.now % 1000000 * h->speed / 1000000;
}

/* --- the network --- */

static void push(struct flight f)
{
	u32 i = s.n++;

	must(s.n <= QUEUE);
	for (; i && s.queue[(i - 1) / 2].at > f.at; i = (i - 1) / 2)
		s.queue[i] = s.queue[(i - 1) / 2];
	s.queue[i] = f;
}

static struct flight pop(void)
{
	struct flight top = s.queue[0], last = s.queue[--s.n];
	u32 i = 0, child;

	for (; (child = 2 * i + 1) < s.n; i = child) {
		child += child + 1 < s.n && s.queue[child + 1].at < s.queue[child].at;
		if (last.at <= s.queue[child].at)
			break;
		s.queue[i] = s.queue[child];
	}
	s.queue[i] = last;
	return top;
}

static struct kecho_attrs *encode(const char *lines)
{
	struct kecho_attrs *attrs = NULL;

	must(!kecho_attrs_merge_text(NULL, lines, strlen(lines), false, &attrs));
	return attrs;
}

static void fly(int from, int to, const struct res_msg *msg)
{
	struct flight f = { .to = to, .msg = *msg };
	int copies = 1 + chance(s.net.dup);

	for (; copies && !chance(s.net.loss); copies--) {
		f.at = s.now + below(RES_MS) + (from == to || chance(500000) ? 0 : below(20 * RES_MS));
		if (chance(s.net.late))
			f.at += below((chance(500000) ? 800 : 4000) * RES_MS);
		f.attrs = msg->more ? encode(msg->more) : NULL;
		f.msg.node = from + 1;
		push(f);
	}
}

static void send(const struct res_msg *msg, void *arg)
{
	struct host *h = arg;
	int i;

	for (i = 0; i < HOSTS; i++)
		if (!s.net.filtered || !msg->node || msg->node == (u64)i + 1)
			fly(h - s.hosts, i, msg);
}

/* --- hosts --- */

static void manager_start(struct host *h, bool fresh)
{
	memset(h->leases, 0, sizeof(h->leases));
	snprintf(h->attrs, sizeof(h->attrs), "load=0.%d\nsize=%u\n", 3 - (int)(h - s.hosts), h->amount);
	h->m = (struct res_manager) {
		.id = (++s.ids << 8) | (u64)(h - s.hosts), .name = "cpu", .amount = h->amount, .ttl = 1000, .attrs = h->attrs,
		.leases = h->leases, .max = LEASES, .send = send, .arg = h,
	};
	h->managed = true;
	res_manager_start(&h->m, fresh, clock_of(h));
}

static void user_start(struct party *u, u32 amount, u32 ttl, enum res_by by, const char *attr)
{
	struct host *h = &s.hosts[u->host];

	u->alive = true;
	u->stop = 0;
	u->a = (struct res_asker) {
		.id = (++s.ids << 8) | 0xff, .name = "cpu", .amount = amount, .ttl = ttl, .by = by, .attr = attr, .send = send, .arg = h,
	};
	res_asker_start(&u->a, clock_of(h));
}

static bool holds(const struct party *u)
{
	return u->alive && (u->a.state == RES_HELD || u->a.state == RES_LOST) && clock_of(&s.hosts[u->host]) < u->a.until;
}

/* Its manager knows that it is used, or gives nothing. */
static void check_known(const struct party *u)
{
	struct host *h = &s.hosts[u->a.manager & 0xff];
	const struct res_lease *l;

	if (!h->alive || !h->managed)
		return;
	res_manager_run(&h->m, clock_of(h));
	l = find(&h->m, u->a.id);
	if (h->m.id == u->a.manager)
		must(l && l->state >= RES_GRANTED && l->amount == u->a.amount);
	else
		must(clock_of(h) < h->m.ready);
}

/* What this is about. */
static void check_all(void)
{
	u64 used[HOSTS] = { 0 };
	int i;

	for (i = 0; i < ASKERS; i++) {
		if (!holds(&s.parties[i]))
			continue;
		used[s.parties[i].a.manager & 0xff] += s.parties[i].a.amount;
		check_known(&s.parties[i]);
	}
	for (i = 0; i < HOSTS; i++)
		must(used[i] <= s.hosts[i].amount);
}

static void deliver(void)
{
	struct flight f = pop();
	struct host *h = &s.hosts[f.to];
	int i;

	s.now = f.at;
	if (f.msg.node != (u64)f.to + 1 && (s.now < h->cut || s.now < s.hosts[f.msg.node - 1].cut)) {
		kecho_attrs_put(f.attrs);
		return;
	}
	if (f.attrs) {
		f.msg.attrs = f.attrs->data;
		f.msg.attrs_len = f.attrs->len;
	}
	if (h->alive && h->managed)
		res_manager_recv(&h->m, &f.msg, clock_of(h));
	for (i = 0; h->alive && i < ASKERS; i++)
		if (s.parties[i].alive && s.parties[i].host == f.to)
			res_asker_recv(&s.parties[i].a, &f.msg, clock_of(h));
	kecho_attrs_put(f.attrs);
}

static void die(void)
{
	struct host *h = &s.hosts[below(HOSTS)];
	struct party *u = &s.parties[below(ASKERS)];
	u64 what = below(4);
	int i;

	if (what == 3) {
		h->cut = s.now + below(2000 * RES_MS);
		return;
	}
	u->alive = u->alive && what != 0;
	if (what == 0)
		u->stop = s.now + below(2000 * RES_MS);
	if (what != 0)
		h->managed = false;
	if (what == 2) {
		h->alive = false;
		for (i = 0; i < ASKERS; i++)
			if (s.parties[i].host == h - s.hosts)
				s.parties[i].alive = false;
	}
	if (what != 0)
		h->back = s.now + below(1500 * RES_MS);
}

/* A user's own mind: it holds what it has for a while, and stops in time when that is lost. */
static void user_run(struct party *u)
{
	static const char * const attrs[] = { "load", "size" };
	struct host *h = &s.hosts[u->host];
	u64 now = clock_of(h);

	if (!u->alive) {
		if (h->alive && s.busy && !s.ending && s.now >= u->stop)
			user_start(u, 2 + below(2), 200 + below(1500), below(3), attrs[below(2)]);
		u->stubborn = s.busy && chance(500000);
		return;
	}
	/* Impatient, so that what is free is taken at once. */
	if (s.busy && u->a.state == RES_ASKING && chance(250000))
		u->a.next = now;
	res_asker_run(&u->a, now);
	if (u->a.state == RES_HELD && !u->stop) {
		u->stop = s.now + below(2000 * RES_MS) + (u->stubborn ? 1500 * RES_MS : 0);
		s.grants++;
	} else if (u->a.state == RES_LOST) {
		s.losses += s.was[u - s.parties] != RES_LOST;
		if (now >= u->a.until || (!u->stubborn && chance(30000)))
			res_asker_release(&u->a, now);
	} else if (u->a.state == RES_ENDED) {
		u->alive = false;
		u->stop = s.now + below(200 * RES_MS);
	}
	if ((u->stop && s.now >= u->stop) || (s.ending && u->a.state < RES_HELD))
		res_asker_release(&u->a, now);
	s.was[u - s.parties] = u->a.state;
}

static void run(u64 ns)
{
	u64 until = s.now + ns, tick = s.now;
	struct host *h;
	int i;

	while (s.now < until) {
		if (s.n && s.queue[0].at <= tick) {
			deliver();
			check_all();
			if (chance(s.net.death))
				die();
			continue;
		}
		s.now = tick;
		tick += TICK;
		for (i = 0; i < HOSTS; i++) {
			h = &s.hosts[i];
			if (!h->managed && s.now >= h->back) {
				h->alive = true;
				manager_start(h, false);
			}
			if (h->alive && h->managed)
				res_manager_run(&h->m, clock_of(h));
		}
		check_all();
		for (i = 0; i < ASKERS; i++)
			user_run(&s.parties[i]);
		check_all();
	}
}

static void start(u64 seed, const struct net *net)
{
	int i;

	memset(&s, 0, sizeof(s));
	s.seed = seed;
	s.rng = seed * 0x9e3779b97f4a7c15ull + 1;
	s.net = *net;
	for (i = 0; i < HOSTS; i++) {
		s.hosts[i].alive = true;
		s.hosts[i].speed = 980000 + below(40001);
		s.hosts[i].offset = below(1000) * 1000000 * RES_MS;
		s.hosts[i].amount = 3;
		manager_start(&s.hosts[i], true);
	}
	for (i = 0; i < ASKERS; i++) {
		s.parties[i].host = i % HOSTS;
	}
}

static void stop(void)
{
	while (s.n)
		kecho_attrs_put(pop().attrs);
}

/* --- tests --- */

/* All die, are cut off, all is lost, all is late: nothing is granted twice, and in the end all is free. */
static void never_doubled(void **state)
{
	u32 i, runs = sim_runs(2000), h, grants = 0, losses = 0;
	u64 seed = sim_seed(1);
	struct net net;

	for (i = 0; i < runs; i++) {
		net = (struct net) { .loss = (seed + i) % 4 * 60000, .dup = (seed + i) % 3 * 100000, .late = (seed + i) % 5 * 20000,
				     .death = (seed + i) % 7 * 3000, .filtered = (seed + i) & 1 };
		start(seed + i, &net);
		s.busy = true;
		run(8000 * RES_MS);
		s.ending = true;
		run(4000 * RES_MS);
		/* What has been late comes, and is of no use any more: then only a reservation, or a lease of nobody's. */
		s.net = (struct net) { .filtered = net.filtered };
		run(7000 * RES_MS);
		for (h = 0; h < HOSTS; h++)
			must(s.hosts[h].m.used == 0);
		for (h = 0; h < ASKERS; h++)
			must(!s.parties[h].alive);
		grants += s.grants;
		losses += s.losses;
		stop();
	}
	print_message("%u seeds: %u leases, %u lost\n", runs, grants, losses);
	must(grants > 4 * runs && losses);
}

static const struct net good;

/* Six of two each, in three times four: all have theirs; the seventh has to wait. */
static void granted_if_there_is_room(void **state)
{
	u32 i, k, runs = sim_runs(200);
	u64 seed = sim_seed(1), used;

	for (i = 0; i < runs; i++) {
		start(seed + i, &good);
		for (k = 0; k < HOSTS; k++) {
			s.hosts[k].amount = 4;
			manager_start(&s.hosts[k], true);
		}
		for (k = 0; k < ASKERS; k++) {
			user_start(&s.parties[k], 2, 400, k % 3, "load");
			s.parties[k].stop = RES_NEVER;
		}
		run(5000 * RES_MS);
		for (k = 0, used = 0; k < HOSTS; k++)
			used += s.hosts[k].m.used;
		must(used == 12);
		for (k = 0; k < ASKERS; k++)
			must(s.parties[k].a.state == RES_HELD);
		res_asker_release(&s.parties[0].a, clock_of(&s.hosts[0]));
		run(100 * RES_MS);
		user_start(&s.parties[0], 4, 400, RES_FIRST, NULL);
		s.parties[0].stop = RES_NEVER;
		run(1000 * RES_MS);
		must(s.parties[0].a.state == RES_ASKING);
		for (k = 1; k < ASKERS; k++)
			res_asker_release(&s.parties[k].a, clock_of(&s.hosts[s.parties[k].host]));
		run(1000 * RES_MS);
		must(s.parties[0].a.state == RES_HELD);
		stop();
	}
}

static u64 chosen(enum res_by by, const char *attr)
{
	struct party *u = &s.parties[0];

	user_start(u, 1, 1000, by, attr);
	u->stop = RES_NEVER;
	run(600 * RES_MS);
	must(u->a.state == RES_HELD);
	res_asker_release(&u->a, clock_of(&s.hosts[0]));
	run(100 * RES_MS);
	must(!u->alive && !s.hosts[0].m.used && !s.hosts[1].m.used && !s.hosts[2].m.used);
	return u->a.manager & 0xff;
}

/* The load of host 2 is the least. */
static void the_best_is_taken(void **state)
{
	start(1, &good);
	must(chosen(RES_LEAST, "load") == 2);
	must(chosen(RES_MOST, "load") == 0);
	s.hosts[0].attrs[0] = 0;	/* says nothing of itself */
	must(chosen(RES_MOST, "load") == 1);
	s.hosts[1].m.amount = 0;
	s.hosts[2].m.attrs = NULL;
	must(chosen(RES_MOST, "load") != 1);
	chosen(RES_FIRST, NULL);
	stop();
}

static void a_manager_comes_again(void **state)
{
	struct party *u = &s.parties[0];
	int i;

	start(1, &good);
	for (i = 1; i < HOSTS; i++) {
		s.hosts[i].managed = false;
		s.hosts[i].back = RES_NEVER;
	}
	user_start(u, 1, 1000, RES_FIRST, NULL);
	u->stop = RES_NEVER;
	run(2500 * RES_MS);
	must(u->a.state == RES_HELD && s.hosts[0].m.used == 1);	/* it has been renewed */
	s.hosts[0].managed = false;
	run(10 * RES_MS);
	must(s.hosts[0].managed && s.hosts[0].m.used == 0 && holds(u));
	user_start(&s.parties[1], s.hosts[0].amount, 1000, RES_FIRST, NULL);
	s.parties[1].stop = RES_NEVER;
	run(900 * RES_MS);
	must(s.parties[1].a.state == RES_ASKING && !holds(u));
	run(1000 * RES_MS);
	must(s.parties[1].a.state == RES_HELD);
	stop();
}

static void revoked(void **state)
{
	struct party *u = &s.parties[0];
	struct res_msg msg = { .kind = RES_REVOKE };
	u64 left;

	start(1, &good);
	user_start(u, 1, 1000, RES_FIRST, NULL);
	u->stop = RES_NEVER;
	run(500 * RES_MS);
	msg.id = u->a.id;
	msg.manager = u->a.manager;
	send(&msg, &s.hosts[1]);
	run(2000 * RES_MS);
	must(!u->alive && !s.hosts[u->a.manager & 0xff].m.used);

	/* One who does not hear of it is not given more time. */
	user_start(u, 1, 1000, RES_FIRST, NULL);
	u->stop = RES_NEVER;
	run(500 * RES_MS);
	s.net.loss = 1000000;
	res_manager_leave(&s.hosts[u->a.manager & 0xff].m, clock_of(&s.hosts[u->a.manager & 0xff]));
	s.net.loss = 0;
	must(u->a.state == RES_HELD);
	left = u->a.until;
	run(500 * RES_MS);
	must(u->a.until == left && u->a.state > RES_HELD);
	run(1000 * RES_MS);
	must(!s.hosts[u->a.manager & 0xff].m.used);
	user_start(u, 1, 1000, RES_FIRST, NULL);
	left = u->a.manager;
	run(500 * RES_MS);
	must(u->a.state == RES_HELD && u->a.manager != left);
	stop();
}

/* Who has the lease is not harmed by what he sent before it. */
static void a_manager_ignores_what_is_late(void **state)
{
	struct party *u = &s.parties[0];
	struct res_msg msg = { .kind = RES_RELEASE, .node = 1, .name = "cpu", .name_len = 3, .amount = 1, .ttl = 1000 };
	struct host *h;

	start(1, &good);
	user_start(u, 1, 1000, RES_FIRST, NULL);
	u->stop = RES_NEVER;
	run(500 * RES_MS);
	h = &s.hosts[u->a.manager & 0xff];
	msg.id = u->a.id;
	msg.manager = u->a.manager;
	msg.stamp = u->a.since - 1;
	res_manager_recv(&h->m, &msg, clock_of(h));
	must(h->m.used == 1);
	msg.kind = RES_REQUEST;
	msg.stamp = u->a.stamp;
	res_manager_recv(&h->m, &msg, clock_of(h));
	must(find(&h->m, msg.id)->state == RES_GRANTED);
	msg.kind = RES_RELEASE;
	res_manager_recv(&h->m, &msg, clock_of(h));
	must(h->m.used == 0);
	msg.kind = RES_ACCEPT;		/* nothing is reserved */
	res_manager_recv(&h->m, &msg, clock_of(h));
	must(h->m.used == 0);
	stop();
}

static void an_asker_ignores_what_is_late(void **state)
{
	struct party *u = &s.parties[0];
	struct res_asker *a = &u->a;
	struct res_msg msg = { .kind = RES_OFFER, .manager = 7, .node = 1, .amount = 1, .ttl = 1600 };
	u64 now;

	start(1, &good);
	s.net.loss = 1000000;
	user_start(u, 1, 1600, RES_FIRST, NULL);
	run(20 * RES_MS);
	now = clock_of(&s.hosts[0]);
	msg.id = a->id;
	res_asker_recv(a, &msg, now);
	must(a->state == RES_ACCEPTING);
	msg.kind = RES_GRANT;
	msg.stamp = a->since - 1;
	res_asker_recv(a, &msg, now);
	msg.kind = RES_REFUSE;
	res_asker_recv(a, &msg, now);
	must(a->state == RES_ACCEPTING);
	msg.kind = RES_GRANT;
	msg.stamp = a->stamp + 1;	/* it has not sent that */
	res_asker_recv(a, &msg, now);
	must(a->state == RES_ACCEPTING);
	msg.stamp = a->since;
	res_asker_recv(a, &msg, now + 150 * RES_MS);
	must(a->state == RES_HELD && a->until == msg.stamp + 1500 * RES_MS);
	msg.kind = RES_REFUSE;
	msg.stamp = a->since - 1;
	res_asker_recv(a, &msg, now + 160 * RES_MS);
	must(a->state == RES_HELD && res_asker_run(a, msg.stamp + 1000 * RES_MS) <= msg.stamp + 1101 * RES_MS);
	res_asker_run(a, msg.stamp + 1101 * RES_MS);
	must(a->state == RES_LOST);
	stop();
}

static struct kecho_event published;

int kecho_publish(struct kecho *k, const struct kecho_event *event, unsigned int flags)
{
	published = *event;
	published.publisher = 3;
	return 0;
}

static void as_events(void **state)
{
	static struct res_port port;
	struct res_msg msg = {
		.kind = RES_OFFER, .id = 0x1234567812345678, .manager = ~0ull, .node = 16, .stamp = 1ull << 60, .name = "123", .name_len = 3,
		.amount = 0xffffffff, .ttl = RES_TTL_MAX, .free = 7, .load = 1, .left = 5, .lease = 9, .holder = 10, .state = RES_ENDING,
		.more = "zone=a\nid=other\nload=high\n",
	}, got;
	struct kecho_attr a;

	assert_int_equal(res_publish(&port, &msg), 0);
	assert_true(res_receive(&published, &got));
	assert_true(got.kind == msg.kind && got.id == msg.id && got.manager == msg.manager && got.node == 3 && got.stamp == msg.stamp);
	assert_true(got.amount == msg.amount && got.ttl == msg.ttl && got.free == 7 && got.left == 5 && got.lease == 9);
	assert_true(got.holder == 10 && got.state == RES_ENDING && got.name_len == 3 && !memcmp(got.name, "123", 3));
	assert_true(kecho_attr_find(got.attrs, got.attrs_len, "to", &a) && a.str_len == 16 && !memcmp(a.str, "0000000000000010", 16));
	assert_true(kecho_attr_find(got.attrs, got.attrs_len, "load", &a) && a.type == KECHO_ATTR_DECIMAL && a.num == 1000000);
	assert_true(kecho_attr_find(got.attrs, got.attrs_len, "zone", &a) && a.str_len == 1);
	assert_true(published.len > 30 && !memchr(published.data, '\n', published.len));

	/* Of somebody else's making. */
	published.attrs_len = kecho_attr_encode("id=1\namount=-1\n", port.attrs, sizeof(port.attrs));
	assert_false(res_receive(&published, &got));
	published.attrs_len = kecho_attr_encode("id=\"00000000000000aa\"\namount=4294967296\nresource=7\nstate=9\n", port.attrs,
						sizeof(port.attrs));
	assert_true(res_receive(&published, &got));
	assert_true(got.id == 0xaa && !got.amount && !got.name_len && !got.state && !got.manager);
	published.type = "offers";
	published.type_len = 6;
	assert_false(res_receive(&published, &got));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(granted_if_there_is_room),
	cmocka_unit_test(the_best_is_taken),
	cmocka_unit_test(a_manager_comes_again),
	cmocka_unit_test(revoked),
	cmocka_unit_test(a_manager_ignores_what_is_late),
	cmocka_unit_test(an_asker_ignores_what_is_late),
	cmocka_unit_test(as_events),
	cmocka_unit_test(never_doubled),
};

UNIT_SUITE(res, tests)
