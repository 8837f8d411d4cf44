// SPDX-License-Identifier: GPL-2.0
/* Links: the wire format, handshakes, resuming, flows, timers. */
#include "sim.h"

#define EV 0x80000000u		/* what an event is among the numbers received */
#define NFLOWS 3

/* What node i knows of node j, whose id is j + 1 (or that plus 0x100 after a restart). */
static struct peer {
	u32 ups, downs, n;
	u32 got[8192];
	u64 rx_n[NFLOWS + 1];
	u64 gaps;
	struct kecho_link *link;
	struct kecho_flow flow[NFLOWS];
} peers[SIM_NODES][SIM_NODES];

static u32 script_more;		/* of the first kind, said later */
static void (*on_up)(int i, int j, struct kecho_link *link);
static int (*on_record)(int i, int j, u8 type, struct kecho_msg *msg);

static struct peer *peer_of(struct kecho_link *link, int *i, int *j)
{
	*i = container_of(link->cm, struct sim_node, node.cm)->i;
	*j = (link->peer_id & 0xff) - 1;
	check(*j >= 0 && *j < SIM_NODES);
	return &peers[*i][*j];
}

static void user_up(struct kecho_link *link, u64 now)
{
	int i, j, f;
	struct peer *p = peer_of(link, &i, &j);

	check(!p->link);
	p->ups++;
	p->link = link;
	p->n = 0;
	p->gaps = 0;
	memset(p->rx_n, 0, sizeof(p->rx_n));
	for (f = 0; f < NFLOWS; f++)
		kecho_flow_init(&p->flow[f], link);
	if (on_up)
		on_up(i, j, link);
}

static void user_down(struct kecho_link *link, u64 now)
{
	int i, j, f;
	struct peer *p = peer_of(link, &i, &j);

	check(p->link == link);
	p->downs++;
	p->link = NULL;
	for (f = 0; f < NFLOWS; f++)
		kecho_flow_destroy(&p->flow[f]);
}

static int user_record(struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	const struct kecho_event_prefix *e = (void *)msg->data;
	int i, j, ret = 0;
	struct peer *p = peer_of(link, &i, &j);
	__le32 v = 0;
	u64 n;

	check(p->link == link);
	if (on_record)
		ret = on_record(i, j, type, msg);
	if (!ret && type == KECHO_EVENT) {
		check(msg->len >= sizeof(*e) + sizeof(v) && le32_to_cpu(e->chan) <= NFLOWS);
		n = le64_to_cpu(e->n);
		check(n > p->rx_n[le32_to_cpu(e->chan)]);
		p->gaps += n - p->rx_n[le32_to_cpu(e->chan)] - 1;
		p->rx_n[le32_to_cpu(e->chan)] = n;
		memcpy(&v, e + 1, sizeof(v));
		check(p->n < ARRAY_SIZE(p->got));
		p->got[p->n++] = EV | le32_to_cpu(v);
	} else if (!ret) {
		check(msg->len >= sizeof(v));
		memcpy(&v, msg->data, sizeof(v));
		check(p->n < ARRAY_SIZE(p->got));
		p->got[p->n++] = le32_to_cpu(v);
	}
	kecho_msg_put(msg);
	return ret;
}

static const struct kecho_cm_user user = { user_up, user_down, user_record };

static struct kecho_msg *number(u32 v, u32 len)
{
	struct kecho_msg *msg = kecho_msg_alloc(max_t(u32, len, 4), GFP_KERNEL);
	__le32 w = cpu_to_le32(v);

	if (!msg)
		return NULL;
	memset(msg->data, 0xa5, msg->len);
	memcpy(msg->data, &w, 4);
	return msg;
}

static void say(struct kecho_link *link, u32 v, u32 len)
{
	kecho_link_send(link, KECHO_LEAVE, number(v, len));
}

static u32 push(int i, int j, int f, u32 v, u32 len, u32 max, enum kecho_overflow policy)
{
	struct kecho_msg *msg = number(v, len);
	u32 lost = msg ? kecho_flow_push(&peers[i][j].flow[f], f, 0, msg, max, policy) : 1;

	kecho_msg_put(msg);
	return lost;
}

static void start_id(int i, u64 id)
{
	memset(peers[i], 0, sizeof(peers[i]));
	sim_raw_start(i, id, &user);
}

static void start(int n)
{
	int i;

	for (i = 0; i < n; i++)
		start_id(i, i + 1);
}

static bool is_up(int i, int j)
{
	struct kecho_link *l = sim_link(i, j);

	return l && l->state == KECHO_LINK_UP && l->conn;
}

__attribute__((unused)) static void pair(void)
{
	start(2);
	sim_call(0, 1);
	sim_run(100 * SIM_MS);
	check(is_up(0, 1) && is_up(1, 0));
}

static int setup(void **state)
{
	sim_init(sim_seed(1));
	on_up = NULL;
	script_more = 0;
	on_record = NULL;
	kecho_fail_alloc = -1;
	return 0;
}

static int teardown(void **state)
{
	kecho_fail_alloc = -1;
	sim_exit();
	return 0;
}

static u64 stat(int i, size_t off)
{
	return atomic64_read((atomic64_t *)((u8 *)&sim.n[i].node.cm.stats + off));
}
#define STAT(i, field) stat(i, offsetof(struct kecho_cm_stats, field))

/* --- resuming --- */

#define SCRIPT 8	/* of each kind */

/* Both sides say this when a session begins: records of several sizes, and events of two flows. */
static void script_up(int i, int j, struct kecho_link *link)
{
	static const u32 sizes[] = { 4, 5, 20, 300, 4, 64, 4, 17 };
	int k;

	for (k = 0; k < SCRIPT; k++) {
		say(link, k, sizes[k % ARRAY_SIZE(sizes)]);
		push(i, j, 0, k, sizes[(k + 3) % ARRAY_SIZE(sizes)], 1000, KECHO_DROP_OLDEST);
		push(i, j, 1, 100 + k, 4, 1000, KECHO_BLOCK);
	}
}

/* Everything once and in order: the records, and each flow by itself. */
static bool script_done(int i, int j)
{
	struct peer *p = &peers[i][j];
	u32 next[3] = { 0, 0, 100 }, k, c;

	for (k = 0; k < p->n; k++) {
		c = !(p->got[k] & EV) ? 0 : (p->got[k] & ~EV) < 100 ? 1 : 2;
		check((p->got[k] & ~EV) == next[c]);
		next[c]++;
	}
	return p->link && p->n == 3 * SCRIPT + script_more && !p->gaps;
}

static bool both_done(void)
{
	return script_done(0, 1) && script_done(1, 0);
}

/* The first connection breaks after each number of bytes, seen from either side. */
static void resume_at_every_byte(void **state)
{
	int side, resumed = 0, anew = 0;
	bool cut = true;
	long k;

	on_up = script_up;
	for (side = 0; side < 2; side++) {
		for (k = 0, cut = true; cut; k++) {
			sim_init(sim.seed + 1);
			sim.chunk = 1 + k % 97;
			start(2);
			sim.cut_next[side] = k;
			sim_call(0, 1);
			check(sim_until(both_done, 3 * SIM_S));
			sim_run(300 * SIM_MS);
			cut = sim.cuts;
			check(both_done() && is_up(0, 1) && is_up(1, 0) && sim_conns(0, 1) == 1);
			check(peers[0][1].ups == peers[0][1].downs + 1 && peers[1][0].ups == peers[1][0].downs + 1);
			/* The opener's session begins when the acceptor's hello has come, so it never sees one end. */
			check(peers[0][1].ups == 1 && peers[1][0].ups <= 2);
			if (peers[1][0].ups == 2)
				anew++;
			else
				resumed += STAT(0, resumes) == 1 && STAT(1, resumes) == 1;
			check(!sim_link(0, 1)->out_bytes && !sim_link(0, 1)->out_records && !sim_link(0, 1)->ctl_bytes);
			check(!STAT(0, protocol_errors) && !STAT(1, protocol_errors));
			sim_exit();
		}
		check(k > 1500);
	}
	print_message("resumed %d times, began anew %d times\n", resumed, anew);
	check(resumed > 1000);
	sim_init(1);
}

/* Connections that break over and over, each after a random number of bytes. */
static void resume_over_and_over(void **state)
{
	u32 run, cuts, k, ups[2], runs = sim_runs(400);
	bool both, died, settled;

	on_up = script_up;
	for (run = 0; run < runs; run++) {
		sim_init(sim_seed(1000 + run));
		sim.chunk = sim_below(3) ? 1 + sim_below(200) : 0;
		sim.lat_max = sim.lat_min + sim_below(20) * SIM_MS;
		sim.sndbuf = 100 + sim_below(5000);
		start(2);
		sim_call(0, 1);
		settled = sim_below(2);
		script_more = settled ? 100 : 0;
		both = sim_below(2);
		died = false;
		if (both)
			sim_call(1, 0);
		if (settled)
			sim_run(SIM_S);
		ups[0] = peers[0][1].ups;
		ups[1] = peers[1][0].ups;
		for (k = 0; settled && k < 200; k++)
			say(peers[k & 1][~k & 1].link, SCRIPT + k / 2, 4 + sim_below(200));
		for (cuts = 0; cuts < 20 && !both_done(); cuts++) {
			sim.cut_next[sim_below(2)] = 150 + sim_below(1200);
			sim_run(sim_below(150) * SIM_MS);
			if (!sim_below(4))
				sim_cut(0, 1);
			if (!sim_below(6))
				died = true, sim_die(1, 0);
		}
		sim.cut_next[0] = sim.cut_next[1] = -1;
		if (settled && died && (peers[0][1].ups > ups[0] || peers[1][0].ups > ups[1])) {
			/* Gone for longer than a session waits: what was said later went with it. */
			script_more = 0;
		}
		check(sim_until(both_done, 20 * SIM_S));
		check(!STAT(0, protocol_errors) && !STAT(1, protocol_errors));
		/* A session outlives its connections. Before its end, one that the other side has not seen yet may not. */
		if (settled && !died)
			check(peers[0][1].ups == ups[0] && peers[1][0].ups == ups[1]);
		sim_run(6 * SIM_S);	/* a call that came to nothing is given up in five */
		check(both_done() && is_up(0, 1) && is_up(1, 0) && sim_conns(0, 1) == 1);
		sim_exit();
	}
	sim_init(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(resume_at_every_byte),
		T(resume_over_and_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
