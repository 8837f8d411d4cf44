// SPDX-License-Identifier: GPL-2.0
/* Members of channels on a network that delays, breaks and heals. */
#include "sim.h"
#include "../../lib/attr/text.h"

#define CHANNELS 2
#define SERVER (SIM_NODES - 1)
#define SEEN 128

struct payload {
	u64 id;
	u32 gen, num;
};

/* A channel that node [i] is on, with at most one sink, and what has arrived there from each time that a node was on it. */
static struct app {
	struct kecho_channel *ch;
	struct kecho_sink *sink;
	bool joined, room, ready, slow;
	u64 joined_at;
	u32 published, got, retained;
	struct seen {
		u64 id;
		u32 gen, last, count;
	} seen[SEEN];
	u32 nseen;
} apps[SIM_NODES][CHANNELS];

static const char * const names[CHANNELS] = { "alpha", "beta" };
static u32 gen, gens[SIM_NODES][CHANNELS];
static u32 nodes;

static struct app *ch_app(struct kecho_channel *ch)
{
	return ch->home;
}

static void hook_ready(struct kecho_sink *sink) { ((struct app *)sink->home)->ready = true; }
static void hook_room(struct kecho_channel *ch) { ch_app(ch)->room = true; }

static void hook_joined(struct kecho_channel *ch)
{
	ch_app(ch)->joined = true;
	ch_app(ch)->joined_at = sim.now;
}

static struct seen *seen_of(struct app *a, u64 id, u32 g)
{
	struct seen *s;

	for (s = a->seen; s < a->seen + a->nseen; s++)
		if (s->id == id && s->gen == g)
			return s;
	check(a->nseen < SEEN);
	a->nseen++;
	*s = (struct seen){ .id = id, .gen = g };
	return s;
}

static void take(struct app *a, const struct kecho_msg *msg)
{
	const struct kecho_event_wire *ev = kecho_event(msg);
	struct payload p;
	struct seen *s;

	check(kecho_event_payload_len(msg) >= sizeof(p));
	memcpy(&p, kecho_event_payload(msg), sizeof(p));
	check(p.id == le64_to_cpu(ev->origin));
	if (le64_to_cpu(ev->time_ns) < a->sink->since) {
		a->retained++;
		return;
	}
	/* At most once, and the events of one publisher in order. */
	s = seen_of(a, p.id, p.gen);
	check(p.num > s->last);
	s->last = p.num;
	s->count++;
	a->got++;
}

static void drain(struct app *a)
{
	struct kecho_msg *msg;

	a->ready = false;
	while (a->sink && !a->slow && kecho_sink_pop(a->sink, U32_MAX, &msg) == 1) {
		take(a, msg);
		kecho_sink_consumed(a->sink, msg);
	}
}

static void settle(void)
{
	u32 i, c;

	for (i = 0; i < nodes; i++)
		for (c = 0; c < CHANNELS; c++)
			if (apps[i][c].ready)
				drain(&apps[i][c]);
}

static void begin(u64 seed)
{
	sim_init(seed);
	memset(apps, 0, sizeof(apps));
	sim_hooks.ready = hook_ready;
	sim_hooks.room = hook_room;
	sim_hooks.joined = hook_joined;
	sim.settle = settle;
	nodes = 0;
}

static void node_on(int i, u64 lease_ms, int heartbeat_ms)
{
	char text[64];

	sim_node_start(i, lease_ms * SIM_MS);
	snprintf(text, sizeof(text), "heartbeat=%d\nqueue=1024\n", heartbeat_ms);
	check(!kecho_node_configure(&sim.n[i].node, text, strlen(text)));
	if (i != SERVER && (u32)i >= nodes)
		nodes = i + 1;
}

static void open_sink(int i, int c)
{
	struct app *a = &apps[i][c];

	a->sink = kecho_sink_open(a->ch, "", 0, 1, "test", a, sim_realtime(), sim.now);
	check(a->sink);
	drain(a);
}

static void close_sink(int i, int c)
{
	if (apps[i][c].sink)
		kecho_sink_close(apps[i][c].sink, sim.now);
	apps[i][c].sink = NULL;
}

static void join(int i, int c)
{
	struct app *a = &apps[i][c];
	int err;

	memset(a, 0, sizeof(*a));
	gens[i][c] = ++gen;
	a->ch = kecho_channel_join(&sim.n[i].node, names[c], a, sim_realtime(), sim.now, &err);
	check(a->ch && !err);
}

static void leave(int i, int c)
{
	struct kecho_channel *ch = apps[i][c].ch;

	close_sink(i, c);
	apps[i][c].ch = NULL;
	kecho_channel_leave(ch, sim.now);
}

static void crash(int i, bool silent)
{
	u32 c;

	for (c = 0; c < CHANNELS; c++)
		close_sink(i, c);
	sim_node_stop(i, silent);
	for (c = 0; c < CHANNELS; c++)
		apps[i][c].ch = NULL;
}

static void goodbye(int i)
{
	u32 c;

	for (c = 0; c < CHANNELS; c++)
		if (apps[i][c].ch)
			leave(i, c);
	sim_run(0);
	kecho_cm_bye(&sim.n[i].node.cm);
	sim_run(0);
	sim_node_stop(i, false);
}

static int publish(int i, int c, u32 extra)
{
	struct app *a = &apps[i][c];
	struct kecho_msg *msg = kecho_event_alloc("", NULL, sizeof(struct payload) + extra, GFP_KERNEL);
	struct payload p = { sim.n[i].node.cm.id, gens[i][c], a->published + 1 };
	int ret;

	check(msg);
	memset(kecho_event_payload(msg), 'x', sizeof(p) + extra);
	memcpy(kecho_event_payload(msg), &p, sizeof(p));
	ret = kecho_channel_publish(a->ch, msg, sim_realtime(), NULL);
	kecho_msg_put(msg);
	if (ret >= 0)
		a->published++;
	return ret;
}

static void set_attrs(int i, int c, const char *text)
{
	check(!kecho_channel_write_attrs(apps[i][c].ch, text, strlen(text), true, sim.now));
}

static void finish(void)
{
	u32 i;

	for (i = 0; i < nodes; i++)
		if (sim.n[i].alive)
			crash(i, false);
	sim_exit();
}

static struct kecho_member *member(int i, int c, u64 id)
{
	struct kecho_member *m;

	list_for_each_entry(m, &apps[i][c].ch->members, node)
		if (m->id == id)
			return m;
	return NULL;
}

/* What the nodes of a channel disagree about, or NULL. */
static const char *disagree(int c)
{
	struct kecho_channel *ch, *first = NULL;
	static char why[200];
	struct kecho_member *m;
	u32 on = 0, i, j;
	bool contact = false;

	for (i = 0; i < nodes; i++)
		on += !!apps[i][c].ch;
	for (i = 0; i < nodes; i++) {
		ch = apps[i][c].ch;
		if (!ch)
			continue;
		first = first ? first : ch;
#define WHY(...) do { snprintf(why, sizeof(why), __VA_ARGS__); return why; } while (0)
		if (!apps[i][c].joined)
			WHY("%u has not joined %s", i, names[c]);
		if (ch->nmembers != on - 1)
			WHY("%u knows %u members of %s, not %u", i, ch->nmembers, names[c], on - 1);
		ch = apps[i][c].ch;
		if (ch->lease.contact != first->lease.contact || ch->lease.epoch != first->lease.epoch)
			WHY("%u takes %llx@%llu for the contact of %s, not %llx@%llu", i, ch->lease.contact, ch->lease.epoch,
			    names[c], first->lease.contact, first->lease.epoch);
		contact = contact || ch->lease.contact == ch->node->cm.id;
		if (ch->settings_version != first->settings_version || ch->setter != first->setter ||
		    ch->settings.queue != first->settings.queue || ch->settings.overflow != first->settings.overflow ||
		    !kecho_attrs_equal(ch->settings_attrs, first->settings_attrs))
			WHY("%u has other settings of %s", i, names[c]);
		for (j = 0; j < nodes; j++) {
			if (j == i || !apps[j][c].ch)
				continue;
			m = member(i, c, sim.n[j].node.cm.id);
			if (!m)
				WHY("%u does not know %u on %s", i, j, names[c]);
			if (m->plain != apps[j][c].ch->plain || m->rank != apps[j][c].ch->rank ||
			    !kecho_attrs_equal(m->attrs, apps[j][c].ch->attrs))
				WHY("%u has old news of %u on %s: %u plain sinks, not %u; rank %llu, not %llu", i, j, names[c],
				    m->plain, apps[j][c].ch->plain, m->rank, apps[j][c].ch->rank);
			if (m->link->state != KECHO_LINK_UP)
				WHY("%u has no link to %u", i, j);
		}
	}
	if (on && !contact)
		WHY("the contact of %s is not on it", names[c]);
	return NULL;
}

static bool agreed(void)
{
	u32 c;

	for (c = 0; c < CHANNELS; c++)
		if (disagree(c))
			return false;
	return true;
}

static void check_agreed(u64 ns)
{
	u32 c;

	sim_until(agreed, ns);
	for (c = 0; c < CHANNELS; c++)
		if (disagree(c))
			sim_failed(disagree(c), __FILE__, __LINE__);
	/* And stays so. */
	sim_run(5 * SIM_S);
	for (c = 0; c < CHANNELS; c++)
		if (disagree(c))
			sim_failed(disagree(c), __FILE__, __LINE__);
}

static int quiet_teardown(void **state)
{
	u32 i;

	for (i = 0; i < nodes; i++)
		if (sim.n[i].alive)
			crash(i, false);
	sim_exit();
	return 0;
}

/* --- one thing at a time --- */

static void server_on(void)
{
	node_on(SERVER, 2000, 100);
	sim.n[SERVER].node.cm.roles = KECHO_ROLE_REGISTRY;
}

/* @n nodes that know a group server, or, without one, each other. */
static void cluster(u64 seed, u32 n, bool server)
{
	u32 i, j;

	begin(seed);
	if (server)
		server_on();
	for (i = 0; i < n; i++)
		node_on(i, 0, 100);
	for (i = 0; i < n; i++) {
		if (server)
			sim_call(i, SERVER);
		for (j = 0; !server && j < i; j++)
			sim_call(i, j);
	}
	sim_run(SIM_S);
}

static u64 contact(int i)
{
	return apps[i][0].ch->lease.contact;
}

static u64 id(int i)
{
	return sim.n[i].node.cm.id;
}

static u32 known(void)
{
	return sim.n[SERVER].node.registry.count;
}

static void joining(void **state)
{
	int server, i;
	u64 since;

	for (server = 0; server < 2; server++) {
		cluster(1, 5, server);
		for (i = 0; i < 5; i++) {
			since = sim.now;
			join(i, 0);
			sim_run(100 * SIM_MS);
			/* A few times there and back, and all that are there are known by then. */
			check(apps[i][0].joined && apps[i][0].joined_at - since < 3 * SIM_MS);
			check(apps[i][0].ch->nmembers == (u32)i && contact(i) == id(0));
		}
		check_agreed(SIM_S);
		check(apps[0][0].ch->lease.epoch == 1 && (!server || known() == 1));
		leave(2, 0);
		check_agreed(SIM_S);
		finish();
	}
	/* Alone, it is joined when the call returns. */
	begin(1);
	node_on(0, 0, 100);
	join(0, 0);
	check(apps[0][0].joined && contact(0) == id(0));
}

/* The server names a contact that is no more. */
static void contact_is_dead(void **state)
{
	u64 since;

	cluster(1, 2, true);
	join(0, 0);
	sim_run(SIM_S);
	sim_block(0, 1, true);
	crash(0, true);
	sim.no_reset = true;
	since = sim.now;
	join(1, 0);
	sim_run(5 * SIM_S);
	check(apps[1][0].joined && apps[1][0].joined_at - since <= KECHO_JOIN_MS * SIM_MS && apps[1][0].joined_at - since > SIM_S);
	sim_run(5 * SIM_S);
	check(contact(1) == id(1) && apps[1][0].ch->lease.epoch > 1 && known() == 1);
}

static void succession(void **state)
{
	int how, i;
	u64 epoch;

	for (how = 0; how < 3; how++) {
		cluster(1 + how, 4, true);
		for (i = 0; i < 4; i++) {
			join(3 - i, 0);
			sim_run(100 * SIM_MS);
		}
		check_agreed(SIM_S);
		epoch = apps[0][0].ch->lease.epoch;
		check(contact(0) == id(3));
		if (how == 0)
			leave(3, 0);
		else if (how == 1)
			goodbye(3);
		else
			crash(3, true);
		check_agreed(30 * SIM_S);
		/* Who has been here longest, and everyone knows by a higher epoch. */
		check(contact(0) == id(2) && apps[0][0].ch->lease.epoch > epoch);
		crash(2, true);
		check_agreed(30 * SIM_S);
		check(contact(0) == id(1));
		finish();
	}
}

/* Two halves that make the same channel, each its own contact and the same epoch. */
static void split_heals(void **state)
{
	u32 i, j, run;

	for (run = 0; run < 40; run += UNIT_STEP) {
		cluster(100 + run, 4, run & 1);
		if (run & 1)
			sim_node_stop(SERVER, true);
		for (i = 0; i < 2; i++)
			for (j = 2; j < 4; j++)
				sim_block(i, j, true);
		sim_run((run % 4) * 3 * SIM_S);
		join(run & 2 ? 0 : 1, 0);
		join(run & 4 ? 3 : 2, 0);
		sim_run(10 * SIM_S);
		for (i = 0; i < 4; i++)
			if (!apps[i][0].ch)
				join(i, 0);
		sim_run(10 * SIM_S);
		sim_heal();
		if (run & 1)
			server_on();
		check_agreed(30 * SIM_S);
		check(!(run & 1) || known() == 1);
		finish();
	}
}

/* What node @i shows of @of in the file members. */
static u64 shown_age_ms(int i, int c, int of)
{
	struct kecho_text t = { 0 };
	char mark[] = "id=0123456789abcdef";
	const char *line, *age;
	u64 ms;

	snprintf(mark, sizeof(mark), "id=%016llx", (unsigned long long)id(of));
	kecho_show_members(&t, apps[i][c].ch, sim.now);
	kecho_text_append(&t, "", 1);
	line = strstr(t.buf, mark);
	age = line ? strstr(line, "\tage_ms=") : NULL;
	check(age);
	ms = strtoull(age + 8, NULL, 10);
	kecho_text_free(&t);
	return ms;
}

static void settings_and_attrs(void **state)
{
	struct kecho_attr a;
	int i;

	cluster(1, 3, false);
	for (i = 0; i < 3; i++)
		join(i, 0);
	sim_run(SIM_S);
	check(!kecho_channel_write_attrs(apps[1][0].ch, "load=3\n", 7, false, sim.now));
	check(kecho_channel_write_attrs(apps[1][0].ch, "kecho.queue=3\n", 14, false, sim.now) == -EPERM);
	set_attrs(1, 0, "kecho.queue=3\n");
	/* Two at the same time: one wins, everywhere the same. */
	set_attrs(0, 0, "kecho.overflow=block\n");
	set_attrs(2, 0, "kecho.overflow=drop-newest\n");
	open_sink(1, 0);
	check_agreed(SIM_S);
	check(member(0, 0, id(1))->plain == 1 && (member(0, 0, id(1))->role & KECHO_ROLE_SUBSCRIBES));
	check(kecho_attrs_find(member(2, 0, id(1))->attrs, "load", &a) && a.num == 3);
	close_sink(1, 0);
	set_attrs(1, 0, "load=\n");
	check_agreed(SIM_S);
	check(!member(0, 0, id(1))->plain && !kecho_attrs_find(member(2, 0, id(1))->attrs, "load", &a));
	/* Said again, it is heard again, though nothing has changed. */
	set_attrs(1, 0, "load=4\n");
	sim_run(5 * SIM_S);
	set_attrs(1, 0, "load=4\n");
	check(shown_age_ms(2, 0, 1) >= 4000);
	sim_run(1100 * SIM_MS);
	check(sim.now - member(2, 0, id(1))->heard_at < SIM_S);
	check(shown_age_ms(2, 0, 1) == (sim.now - member(2, 0, id(1))->heard_at) / SIM_MS);
	/* A later one wins over both, and one that joins gets it. */
	set_attrs(2, 0, "kecho.queue=77\n");
	leave(0, 0);
	sim_run(SIM_S);
	join(0, 0);
	check_agreed(SIM_S);
	check(apps[0][0].ch->settings.queue == 77);
}

/* A sink opened while the answer to a JOIN is on its way is known all the same. */
static void sink_while_joining(void **state)
{
	u32 at;

	for (at = 0; at < 100; at += UNIT_STEP) {
		begin(1);
		node_on(0, 0, 1000);
		node_on(1, 0, 1000);
		sim.lat_min = sim.lat_max = 10 * SIM_MS;
		join(0, 0);
		sim_run(0);
		sim_call(0, 1);
		sim_run(SIM_S);
		join(1, 0);
		sim_run(at * SIM_MS / 2);
		open_sink(1, 0);
		sim_run(at % 7 * SIM_MS);
		set_attrs(0, 0, "kecho.queue=9\n");
		check_agreed(SIM_S);
		check(publish(0, 0, 0) == 1);
		sim_run(SIM_S);
		check(apps[1][0].got == 1);
		finish();
	}
}

/* Left before the answer came, and come again: nobody keeps a member that is not there, nor are numbers mixed up. */
static void leave_while_joining(void **state)
{
	u32 at;

	for (at = 0; at < 60; at += UNIT_STEP) {
		begin(1);
		node_on(0, 0, 1000);
		node_on(1, 0, 1000);
		sim.lat_min = sim.lat_max = 10 * SIM_MS;
		sim_call(0, 1);
		sim_run(SIM_S);
		join(0, 0);
		sim_run(SIM_S);
		set_attrs(0, 0, "kecho.retain=5\n");	/* so that it sends to all */
		join(1, 0);
		sim_run(at % 30 * SIM_MS);
		leave(1, 0);
		if (at >= 30) {
			join(1, 0);
			open_sink(1, 0);
		}
		for (u32 k = 0; k < 50; k++) {
			publish(0, 0, 0);
			sim_run(SIM_MS);
		}
		check_agreed(SIM_S);
		check(apps[0][0].ch->nmembers == (at >= 30));
		check(!atomic64_read(&sim.n[1].node.cm.stats.protocol_errors));
		finish();
	}
}

static void retained(void **state)
{
	int i;

	cluster(1, 3, true);
	join(0, 0);
	sim_run(SIM_S);
	set_attrs(0, 0, "kecho.retain=5\n");
	join(1, 0);
	sim_run(SIM_S);
	for (i = 0; i < 10; i++) {
		publish(i & 1, 0, 0);
		sim_run(10 * SIM_MS);
	}
	join(2, 0);
	sim_run(SIM_S);
	check(apps[2][0].ch->nretained == 5);
	open_sink(2, 0);
	check(apps[2][0].retained == 5 && !apps[2][0].got);
	publish(0, 0, 0);
	sim_run(SIM_S);
	check(apps[2][0].retained == 5 && apps[2][0].got == 1);
}

/* kecho.overflow=block: no more than the queue is outstanding, and all arrives. */
static void block_credit(void **state)
{
	struct kecho_member *m;
	u64 events, bytes;
	int i, sent = 0, ret, turn;

	cluster(1, 3, false);
	for (i = 0; i < 3; i++)
		join(i, 0);
	sim_run(SIM_S);
	open_sink(1, 0);
	open_sink(2, 0);
	set_attrs(0, 0, "kecho.overflow=block\nkecho.queue=8\n");
	sim_run(SIM_S);
	apps[1][0].slow = true;
	for (turn = 0; sent < 500 && turn < 10000; turn++) {
		while ((ret = publish(0, 0, 100)) >= 0)
			sent++;
		check(ret == -EAGAIN);
		list_for_each_entry(m, &apps[0][0].ch->members, node) {
			kecho_flow_given(&m->flow, &events, &bytes);
			check(events - m->consumed <= 8);
		}
		check(apps[1][0].sink->count <= 8 && apps[2][0].sink->count <= 8);
		check(sent - (int)apps[1][0].got <= 8);
		apps[0][0].room = false;
		sim_run(10 * SIM_MS);
		if (turn % 5 == 4) {
			apps[1][0].slow = false;
			apps[1][0].ready = true;
			sim_run(5 * SIM_MS);
			check(apps[0][0].room);
			apps[1][0].slow = true;
		}
		if (turn % 50 == 49)
			sim_cut(0, 1);
	}
	apps[1][0].slow = false;
	apps[1][0].ready = true;
	sim_run(SIM_S);
	check(sent >= 500 && apps[1][0].got == (u32)sent && apps[2][0].got == (u32)sent);
	check(!apps[1][0].ch->lost && !member(1, 0, id(0))->lost && !member(0, 0, id(1))->lost);
	/* One that goes while it is waited for is waited for no more. */
	apps[1][0].slow = true;
	while (publish(0, 0, 0) >= 0)
		;
	sim_run(SIM_S);
	while (publish(0, 0, 0) >= 0)
		;
	apps[0][0].room = false;
	crash(1, false);
	sim_run(SIM_S);
	check(apps[0][0].room && publish(0, 0, 0) == 1);
}

/* What is lost is counted where it should have arrived, once something arrives again. */
static void drop_counted(void **state)
{
	static const char * const how[] = {
		"kecho.overflow=drop-oldest\nkecho.queue=16\n", "kecho.overflow=drop-newest\nkecho.queue=16\n",
	};
	struct kecho_member *m;
	int k, i, n;

	for (k = 0; k < 2; k++) {
		cluster(1, 2, false);
		join(0, 0);
		join(1, 0);
		sim_run(SIM_S);
		open_sink(1, 0);
		set_attrs(0, 0, how[k]);
		sim_run(SIM_S);
		sim.sndbuf = 300;
		sim_block(0, 1, true);
		for (n = 0; n < 300; n++)
			check(publish(0, 0, 50) == 1);
		sim_run(50 * SIM_MS);
		sim_heal();
		for (i = 0; i < 10; i++, n++) {
			sim_run(SIM_S);
			publish(0, 0, 50);
		}
		sim_run(SIM_S);
		m = member(1, 0, id(0));
		check(m->lost > 200 && m->received + m->lost == (u64)n && member(0, 0, id(1))->lost == m->lost);
		check(apps[1][0].got == m->received && !apps[1][0].ch->lost);
		check(apps[1][0].seen[0].last == (u32)n);
		/* A slow reader behind a fast link: the sink counts. */
		apps[1][0].slow = true;
		for (i = 0; i < 100; i++, n++) {
			publish(0, 0, 0);
			sim_run(20 * SIM_MS);
		}
		sim_run(SIM_S);
		check(apps[1][0].ch->lost == 84 && apps[1][0].sink->lost == 84 && apps[1][0].sink->count == 16);
		check(m->received + m->lost == (u64)n);
		finish();
	}
}

/* --- a soak --- */

static bool with_server;

static void soak_node(int i)
{
	u32 j;

	node_on(i, 0, 100);
	if (with_server)
		sim_call(i, SERVER);
	else
		for (j = 0; j < nodes; j++)
			if ((int)j != i)
				sim_call(i, j);
}

static void soak_server(void)
{
	node_on(SERVER, 2000, 100);
	sim.n[SERVER].node.cm.roles = KECHO_ROLE_REGISTRY;
}

static void soak_act(void)
{
	static const char * const settings[] = {
		"kecho.overflow=drop-oldest\n", "kecho.overflow=drop-newest\n", "kecho.overflow=block\n", "kecho.queue=4\n",
		"kecho.queue=100\n",
	};
	int i = sim_below(nodes), j = sim_below(nodes + with_server), c = sim_below(CHANNELS);
	struct app *a = &apps[i][c];
	char text[64];
	u32 n;

	if (j == (int)nodes)
		j = SERVER;
	n = sim_below(20);
	sim_trace("act %u: node %d, %d, %s", n, i, j, names[c]);
	switch (n) {
	case 0 ... 4:
		if (sim.n[i].alive && !a->ch)
			join(i, c);
		break;
	case 5:
		if (a->ch)
			leave(i, c);
		break;
	case 6: case 7:
		if (a->ch && !a->sink)
			open_sink(i, c);
		else if (a->ch)
			close_sink(i, c);
		break;
	case 8 ... 11:
		for (n = sim_below(30); a->ch && n; n--)
			publish(i, c, sim_below(40));
		break;
	case 12:
		if (i != j)
			sim_cut(i, j);
		break;
	case 13:
		if (i != j)
			sim_die(i, j);
		break;
	case 14:
		if (i != j)
			sim_block(i, j, sim_below(2));
		break;
	case 15:
		if (i != j)
			sim.blocked[i][j] = sim_below(2);
		break;
	case 16:
		if (j == SERVER && sim.n[SERVER].alive)
			sim_node_stop(SERVER, sim_below(2));
		else if (j == SERVER)
			soak_server();
		else if (!sim.n[i].alive)
			soak_node(i);
		else if (sim_below(2))
			crash(i, sim_below(2));
		else
			goodbye(i);
		break;
	case 17:
		if (a->ch && sim_below(2)) {
			snprintf(text, sizeof(text), "load=%d\n", (int)sim_below(100));
			set_attrs(i, c, text);
		} else if (a->ch) {
			set_attrs(i, c, settings[sim_below(ARRAY_SIZE(settings))]);
		}
		break;
	case 18:
		a->slow = !a->slow;
		a->ready = true;
		break;
	case 19:
		if (a->ch && sim_below(2)) {
			leave(i, c);
			join(i, c);
		}
		break;
	}
}

/* After all has healed, every one that listens gets every event of each member, as long as there is room. */
static void soak_traffic(void)
{
	u32 before[SIM_NODES][CHANNELS], i, j, c, k, on;

	for (i = 0; i < nodes; i++) {
		for (c = 0; c < CHANNELS; c++) {
			apps[i][c].slow = false;
			apps[i][c].ready = true;
			if (apps[i][c].ch && !apps[i][c].sink)
				open_sink(i, c);
		}
	}
	sim_run(5 * SIM_S);
	for (i = 0; i < nodes; i++)
		for (c = 0; c < CHANNELS; c++)
			before[i][c] = apps[i][c].got;
	for (k = 0; k < 20; k++) {
		for (i = 0; i < nodes; i++)
			for (c = 0; c < CHANNELS; c++)
				if (apps[i][c].ch)
					check(publish(i, c, 10) >= 0);
		sim_run(300 * SIM_MS);
	}
	sim_run(SIM_S);
	for (c = 0; c < CHANNELS; c++) {
		for (i = 0, on = 0; i < nodes; i++)
			on += !!apps[i][c].ch;
		for (i = 0; i < nodes; i++)
			if (apps[i][c].ch)
				check(apps[i][c].got - before[i][c] == 20 * on);
	}
	/* What did not arrive is accounted for: numbered by the sender, received or lost here. */
	for (i = 0; i < nodes; i++) {
		for (j = 0; j < nodes; j++) {
			for (c = 0; c < CHANNELS; c++) {
				struct kecho_member *to, *from;

				if (i == j || !apps[i][c].ch || !apps[j][c].ch)
					continue;
				to = member(i, c, sim.n[j].node.cm.id);
				from = member(j, c, sim.n[i].node.cm.id);
				check(!memcmp(to->flow.n, from->rx_n, sizeof(to->flow.n)));
			}
		}
	}
}

static void soak_run(u64 seed)
{
	u32 i, k, n;

	begin(seed);
	with_server = sim_below(3);
	sim.lat_max = sim.lat_min + sim_below(4) * sim_below(20) * SIM_MS;
	sim.chunk = sim_below(2) ? 1 + sim_below(500) : 0;
	sim.sndbuf = sim_below(2) ? 64 << 10 : 200 + sim_below(2000);
	n = 2 + sim_below(4);
	nodes = n;
	if (with_server)
		soak_server();
	for (i = 0; i < n; i++)
		soak_node(i);
	sim_run(sim_below(400) * SIM_MS);
	for (k = 20 + sim_below(40); k; k--) {
		soak_act();
		sim_run(sim_below(2) ? 0 : sim_below(sim_below(4) ? 100 : 1500) * SIM_MS);
	}
	sim_heal();
	if (with_server && !sim.n[SERVER].alive)
		soak_server();
	check_agreed(60 * SIM_S);
	soak_traffic();
	for (i = 0; i < n; i++)
		check(!sim.n[i].alive || !atomic64_read(&sim.n[i].node.cm.stats.protocol_errors));
	finish();
}

static void soak(void **state)
{
	u32 run, runs = sim_runs(1500);

	for (run = 0; run < runs; run++)
		soak_run(sim_seed(1 + run));
	begin(1);
}

#define T(f) cmocka_unit_test_teardown(f, quiet_teardown)
static const struct CMUnitTest tests[] = {
	T(joining), T(contact_is_dead), T(succession), T(split_heals), T(settings_and_attrs), T(sink_while_joining),
	T(leave_while_joining), T(retained), T(block_credit), T(drop_counted), T(soak),
};
UNIT_SUITE(member, tests)
