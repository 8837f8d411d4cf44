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
	ret = kecho_publish(a->ch, msg, sim_realtime());
	if (ret < 0)
		kecho_msg_put(msg);
	else
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
				check(to->flow.n == from->rx_n);
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
	finish();
}

static void soak(void **state)
{
	u32 run, runs = sim_runs(500);

	for (run = 0; run < runs; run++)
		soak_run(sim_seed(1 + run));
	begin(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, quiet_teardown)
		T(soak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
