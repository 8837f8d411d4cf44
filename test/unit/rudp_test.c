// SPDX-License-Identifier: GPL-2.0
/* Reliable UDP on a network that does its worst: what is lost, late, doubled or damaged. */
#include "sim.h"

#define NFLOWS 3
#define STEADY_MS 20

/* What node @i knows of node @j, whose id is j + 1 (or that plus 0x100 after a restart). */
static struct peer {
	u32 ups, downs, others, events[NFLOWS], expired;
	u64 bytes, n[KECHO_PRIOS];
	struct kecho_link *link;
	struct kecho_flow flow[NFLOWS];
} peers[SIM_NODES][SIM_NODES];

static struct peer *peer_of(struct kecho_link *link)
{
	int i = container_of(link->cm, struct sim_node, node.cm)->i, j = (link->peer_id & 0xff) - 1;

	check(j >= 0 && j < SIM_NODES);
	return &peers[i][j];
}

static void user_up(struct kecho_link *link, u64 now)
{
	struct peer *p = peer_of(link);
	int f;

	check(!p->link);
	p->ups++;
	p->link = link;
	p->others = 0;
	memset(p->events, 0, sizeof(p->events));
	for (f = 0; f < NFLOWS; f++)
		kecho_flow_init(&p->flow[f], link);
}

static void user_down(struct kecho_link *link, u64 now)
{
	struct peer *p = peer_of(link);
	int f;

	check(p->link == link);
	p->downs++;
	sim_trace("%d: session with %d ends", container_of(link->cm, struct sim_node, node.cm)->i, (int)(p - peers[0]) % SIM_NODES);
	p->link = NULL;
	for (f = 0; f < NFLOWS; f++)
		kecho_flow_destroy(&p->flow[f]);
}

/* What stands at @off of record or event @v. */
static u8 pattern(u32 v, u32 off)
{
	return v * 31 + off * 7;
}

static struct kecho_msg *number(u32 v, u32 len)
{
	struct kecho_msg *msg = kecho_msg_alloc(max_t(u32, len, 4), GFP_KERNEL);
	__le32 w = cpu_to_le32(v);
	u32 i;

	for (i = 4; i < msg->len; i++)
		msg->data[i] = pattern(v, i);
	memcpy(msg->data, &w, 4);
	return msg;
}

static bool whole(const u8 *data, u32 len, u32 v)
{
	u32 i;

	for (i = 4; i < len; i++)
		if (data[i] != pattern(v, i))
			return false;
	return true;
}

static bool damaged;	/* the network changes bytes unseen: what arrives may be anything */
static bool deadlines;	/* events have some */

/* What has come, and what has not but expired, is all there is. */
static void deadline_record(struct peer *p, u8 type, const struct kecho_event_prefix *e, u32 v)
{
	u8 prio = type == KECHO_EVENT ? 3 * le32_to_cpu(e->chan) : le16_to_cpu(e->flags);
	u64 missing;

	check(prio <= KECHO_PRIO_MAX && le64_to_cpu(e->n) > p->n[prio]);
	missing = le64_to_cpu(e->n) - p->n[prio] - 1;
	check(missing == le32_to_cpu(e->expired));
	p->n[prio] = le64_to_cpu(e->n);
	p->expired += missing + (type == KECHO_EXPIRED);
	if (type == KECHO_EVENT)
		check(v + 1 == le64_to_cpu(e->n) && e->left_us);
}

static int user_record(struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now)
{
	const struct kecho_event_prefix *e = (void *)msg->data;
	struct peer *p = peer_of(link);
	const u8 *data = msg->data;
	u32 len = msg->len, f = 0, v;
	__le32 w = 0;

	check(p->link == link);
	p->bytes += len;
	if (damaged) {
		kecho_msg_put(msg);
		return 0;
	}
	if (deadlines && type != KECHO_LEAVE) {
		memcpy(&w, e + 1, type == KECHO_EVENT ? 4 : 0);
		deadline_record(p, type, e, le32_to_cpu(w));
		p->events[0] += type == KECHO_EVENT;
		kecho_msg_put(msg);
		return 0;
	}
	if (type == KECHO_EVENT) {
		f = le32_to_cpu(e->chan);
		data += sizeof(*e);
		len -= sizeof(*e);
	}
	memcpy(&w, data, 4);
	v = le32_to_cpu(w);
	check(f < NFLOWS && v == (type == KECHO_EVENT ? p->events[f]++ : p->others++));
	check(whole(data, len, v));
	kecho_msg_put(msg);
	return 0;
}

static const struct kecho_cm_user user = { user_up, user_down, user_record };

static void say(struct kecho_link *link, u32 v, u32 len)
{
	kecho_link_send(link, KECHO_LEAVE, number(v, len));
}

/* Flow 0 is the least urgent. */
static void push(int i, int j, int f, u32 v, u32 len)
{
	struct kecho_msg *msg = number(v, len);
	struct kecho_push how = { .chan = f, .prio = 3 * f, .max = U32_MAX, .policy = KECHO_BLOCK };

	if (deadlines)
		msg->expires = sim.now + (10 + sim_below(200)) * SIM_MS;
	kecho_flow_push(&peers[i][j].flow[f], msg, &how);
	kecho_msg_put(msg);
}

static void start_id(int i, u64 id)
{
	memset(peers[i], 0, sizeof(peers[i]));
	sim_raw_start(i, id, &user);
}

static void start(int n)
{
	int i;

	sim.rudp = true;
	for (i = 0; i < n; i++)
		start_id(i, i + 1);
}

static bool is_up(int i, int j)
{
	struct kecho_link *l = sim_link(i, j);

	return l && l->state == KECHO_LINK_UP && l->conn;
}

static bool pair_up(void)
{
	return is_up(0, 1) && is_up(1, 0);
}

static void pair(void)
{
	start(2);
	sim_call(0, 1);
	check(sim_until(pair_up, 20 * SIM_S));
}

static int setup(void **state)
{
	sim_init(sim_seed(1));
	damaged = deadlines = false;
	return 0;
}

static int teardown(void **state)
{
	sim_exit();
	return 0;
}

/* --- delivery --- */

static u32 want_others, want_events;

static bool arrived(void)
{
	int i, f;

	for (i = 0; i < 2; i++) {
		if (peers[i][!i].others < want_others)
			return false;
		for (f = 0; f < NFLOWS; f++)
			if (peers[i][!i].events[f] < want_events)
				return false;
	}
	return true;
}

static u32 some_size(void)
{
	static const u32 sizes[] = { 4, 64, 300, 1400, 5000, 70000 };
	u32 most = sizes[sim_below(ARRAY_SIZE(sizes) - (sim_below(10) > 0))];

	return 4 + sim_below(most);
}

static void some_network(void)
{
	sim.lat_min = sim_below(20) * SIM_MS / 4;
	sim.lat_max = sim.lat_min + sim_below(3) * sim_below(20) * SIM_MS / 2;
	sim.net.loss = sim_below(4) ? sim_below(100000) : sim_below(300000);
	sim.net.dup = sim_below(3) ? 0 : sim_below(100000);
	sim.net.corrupt = sim_below(3) ? 0 : sim_below(20000);
	sim.net.mtu = 1200 + sim_below(3) * 300;
	sim.net.local_mtu = sim_below(2) ? sim.net.mtu : 1472;
	sim.net.rate = sim_below(2) ? 0 : 200000 + sim_below(10000000);
	sim.net.jump = sim_below(4) ? 0 : sim_below(200) * SIM_MS;
}

/* Both sides say much; connections are cut, and the path gets narrower, meanwhile. */
static void once_and_in_order(void **state)
{
	u32 runs = sim_runs(400), r, k, f, i;
	u64 seed = sim_seed(1), sent = 0, lost = 0, resumes = 0;

	for (r = 0; r < runs; r++, seed++) {
		if (r)
			sim_exit();
		sim_init(seed);
		some_network();
		pair();
		want_others = want_events = 0;
		for (k = 0; k < 12; k++) {
			for (i = 0; i < 2; i++) {
				say(peers[i][!i].link, k, min_t(u32, some_size(), KECHO_CONTROL_MAX));
				for (f = 0; f < NFLOWS; f++)
					push(i, !i, f, k, some_size());
			}
			want_others++;
			want_events++;
			sim_run(sim_below(3) * sim_below(100) * SIM_MS);
			if (!sim_below(30))
				sim_cut(0, 1);
			if (!sim_below(20))
				sim.net.mtu = 1200;
			check(peers[0][1].link && peers[1][0].link);
		}
		check(sim_until(arrived, 120 * SIM_S));
		sim_run(3 * SIM_S);
		/* Nothing came twice: that would have been seen; and no session ended. */
		check(peers[0][1].ups == 1 && peers[1][0].ups == 1);
		check(kecho_cm_drained(&sim.n[0].node.cm, sim.now) && kecho_cm_drained(&sim.n[1].node.cm, sim.now));
		/* On such a network it may be by TCP in the end. */
		check(!sim_rudp(0, 1) || !sim_rudp(0, 1)->parts.n);
		sent += sim.net.sent;
		lost += sim.net.lost;
		resumes += peers[0][1].link->resumes;
	}
	print_message("%u seeds: %llu packets, %llu lost, %llu resumes\n", runs, (unsigned long long)sent, (unsigned long long)lost,
		      (unsigned long long)resumes);
}

static void one_large_record(void **state)
{
	sim.net.loss = 50000;
	pair();
	push(0, 1, 0, 0, 4 << 20);
	push(1, 0, 0, 0, 1 << 20);
	check(sim_until(pair_up, SIM_S));
	sim_run(120 * SIM_S);
	check(peers[1][0].events[0] == 1 && peers[0][1].events[0] == 1);
}

/* --- congestion --- */

/* Flow 0 of @i to @j has so much queued all the time. */
static void keep_busy(int i, int j, u32 *v)
{
	struct peer *p = &peers[i][j];

	while (p->flow[0].count < 200)
		push(i, j, 0, (*v)++, 1400);
}

/* A bottleneck of 10 Mbit/s: it is used, little is sent in vain, and two that share it get the same. */
static void fair(void **state)
{
	u32 v[2] = { 0, 0 }, i;
	u64 from[2] = { 0 }, got[2];

	sim.lat_min = sim.lat_max = 10 * SIM_MS;
	sim.net.rate = 1250000;
	sim.net.queue = 40000;
	start(3);
	sim_call(0, 2);
	sim_call(1, 2);
	sim_run(SIM_S);
	check(is_up(0, 2) && is_up(1, 2));
	/* The second comes later. */
	for (i = 0; i < 4000; i++) {
		keep_busy(0, 2, &v[0]);
		if (i >= 500)
			keep_busy(1, 2, &v[1]);
		if (i == 1000) {
			from[0] = peers[2][0].bytes;
			from[1] = peers[2][1].bytes;
			sim.net.lost = sim.net.sent = 0;
		}
		sim_run(10 * SIM_MS);
	}
	got[0] = (peers[2][0].bytes - from[0]) / 30;
	got[1] = (peers[2][1].bytes - from[1]) / 30;
	print_message("%llu and %llu bytes a second of %llu, %llu of %llu packets lost\n", (unsigned long long)got[0],
		      (unsigned long long)got[1], (unsigned long long)sim.net.rate, (unsigned long long)sim.net.lost,
		      (unsigned long long)sim.net.sent);
	check(got[0] * 10 < got[1] * 12 && got[1] * 10 < got[0] * 12);
	check((got[0] + got[1]) * 10 > sim.net.rate * 8);
	check(sim.net.lost * 20 < sim.net.sent);
}

static u64 spoken_at[4096];

/* A line of 10 Mbit/s, with room for 0.8 s in its queue: of urgent events 99 of 100 are not late, though others always wait. */
static void urgent_beside_bulk(void **state)
{
	static const u32 lens[] = { 1400, 1000000 };
	struct peer *p = &peers[1][0];
	u32 i, v, t, had, late;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		if (i) {
			sim_exit();
			sim_init(sim_seed(1));
		}
		sim.lat_min = sim.lat_max = 10 * SIM_MS;
		sim.net.rate = 1250000;
		sim.net.queue = 1000000;
		pair();
		v = had = late = 0;
		for (t = 0; t < 10000; t++) {
			while (peers[0][1].flow[0].bytes < 400000)
				push(0, 1, 0, v++, lens[i]);
			if (!(t % 5)) {
				spoken_at[t / 5] = sim.now;
				push(0, 1, 2, t / 5, 64);
			}
			sim_run(SIM_MS);
			/* On a line with nothing else it is 10 ms. In the first second the window is still to be found. */
			for (; had < p->events[2]; had++)
				late += t > 1000 && sim.now - spoken_at[had] > 20 * SIM_MS;
		}
		print_message("beside events of %u bytes: %u of %u late; %llu bytes a second of %llu, %llu lost\n", lens[i], late, had,
			      (unsigned long long)p->bytes / 10, (unsigned long long)sim.net.rate, (unsigned long long)sim.net.lost);
		check(had > 1990 && late * 100 < had);
		check(p->bytes > 8 * sim.net.rate);
	}
}

/* What Reno would have at this loss and round trip: Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance
 * Algorithm", 1997: 1.22 segments / (RTT * sqrt(p)); here 12.2 packets a round trip. */
static void random_loss(void **state)
{
	u64 reno = 12 * 1472 * 50, got;
	u32 v = 0, i;

	sim.lat_min = sim.lat_max = 10 * SIM_MS;
	sim.net.loss = 10000;
	pair();
	for (i = 0; i < 3000; i++) {
		keep_busy(0, 1, &v);
		sim_run(10 * SIM_MS);
	}
	got = peers[1][0].bytes / 30;
	print_message("%llu bytes a second, Reno's %llu; %llu bytes sent for %llu\n", (unsigned long long)got, (unsigned long long)reno,
		      (unsigned long long)sim.net.bytes, (unsigned long long)peers[1][0].bytes);
	check(got * 2 > reno * 3);
	check(sim.net.bytes * 100 < peers[1][0].bytes * 115);
	check(sim_link(0, 1)->loss_ppm > 2000 && sim_link(0, 1)->loss_ppm < 50000);
}

/* A peer that vanishes, or a path that does, is not shouted at. */
static void no_storm(void **state)
{
	u32 v = 0;

	sim.n[0].node.cm.heartbeat = SIM_S;
	pair();
	keep_busy(0, 1, &v);
	sim_run(STEADY_MS * SIM_MS);
	sim.net.sent = 0;
	sim.net.loss = 1000000;
	sim_run(2 * SIM_S);
	check(sim.net.sent < 60);
	sim.net.loss = 0;
	keep_busy(0, 1, &v);
	sim_run(20 * SIM_S);
	check(peers[1][0].events[0] == v && peers[0][1].ups == 1);
}

/* A stream of small events: where packets get lost, the next one brings what was in them. */
static void small_events_twice(void **state)
{
	u32 v, had = 0, late = 0;
	u64 age, worst = 0;

	sim.lat_min = sim.lat_max = 10 * SIM_MS;
	sim.net.loss = 10000;
	pair();
	for (v = 0; v < 4000; v++) {
		push(0, 1, 0, v, 64);
		spoken_at[v] = sim.now;
		sim_run(SIM_MS);
		/* None is older than the way takes and half a round trip, but for one in a hundred. */
		for (; had < peers[1][0].events[0]; had++) {
			age = sim.now - spoken_at[had];
			late += age > 16 * SIM_MS;
			worst = max(worst, age);
		}
	}
	print_message("%u of %u late, the worst %llu us\n", late, had, (unsigned long long)worst / 1000);
	check(late * 100 < had);
}

/* A stream of events between which there is time: no next packet brings soon what was in a lost one. */
static void sparse_events_twice(void **state)
{
	static const u32 periods_ms[] = { 5, 60 };
	u32 i, v, t, had, late, sent = 0;
	u64 age, worst;

	for (i = 0; i < ARRAY_SIZE(periods_ms); i++) {
		if (i) {
			sim_exit();
			sim_init(sim_seed(1));
		}
		sim.lat_min = sim.lat_max = 10 * SIM_MS;
		sim.net.loss = 20000;
		pair();
		had = late = 0;
		worst = 0;
		for (v = 0; v < 2100; v++) {
			/* By then it is known that packets get lost. */
			if (v == 100)
				sent = sim.net.sent;
			push(0, 1, 0, v, 64);
			spoken_at[v] = sim.now;
			for (t = 0; t < 4 * periods_ms[i]; t++) {
				sim_run(SIM_MS / 4);
				for (; had < peers[1][0].events[0]; had++) {
					age = sim.now - spoken_at[had];
					if (had < 100)
						continue;
					late += age > 14 * SIM_MS;
					worst = max(worst, age);
				}
			}
		}
		sent = sim.net.sent - sent;
		print_message("each %u ms: %u of %u late, the worst %llu us; %u packets\n", periods_ms[i], late, had,
			      (unsigned long long)worst / 1000, sent);
		/* Two of a hundred are lost; few of those twice, and then what comes after them is late, too. */
		check(late * 100 < had);
		/* Each event's two, and what acknowledges them. */
		check(sent < 2000 * 7 / 2);
	}
}

/* More than the way takes, with losses, resets and a narrowing path: every event comes or is known to have expired, in the end. */
static void past_deadlines(void **state)
{
	u32 runs = sim_runs(100), r, k, f, got, expired, all_got = 0, all = 0;
	u64 seed = sim_seed(1);

	for (r = 0; r < runs; r++, seed++) {
		if (r)
			sim_exit();
		sim_init(seed);
		some_network();
		sim.rudp = true;
		pair();
		deadlines = true;
		sim.net.rate = 100000 + sim_below(300000);
		for (k = 0; k < 100; k++) {
			for (f = 0; f < NFLOWS; f++)
				push(0, 1, f, k, 4 + sim_below(3000));
			sim_run(sim_below(20) * SIM_MS);
			if (!sim_below(100))
				sim_cut(0, 1);
		}
		sim_run(20 * SIM_S);
		/* What expired last is told with what comes next. */
		sim.net.rate = 0;
		sim.net.loss = 0;
		for (f = 0; f < NFLOWS; f++)
			push(0, 1, f, k, 4);
		sim_run(20 * SIM_S);
		got = peers[1][0].events[0];
		expired = peers[1][0].expired;
		check(peers[1][0].ups == 1 && got + expired == NFLOWS * 101);
		check(kecho_cm_drained(&sim.n[0].node.cm, sim.now));
		all_got += got;
		all += got + expired;
		deadlines = false;
	}
	print_message("%u of %u events came in time\n", all_got, all);
}

/* --- path MTU --- */

static void mtu(void **state)
{
	u32 v = 0;

	sim.net.mtu = sim.net.local_mtu = 9000;
	pair();
	sim_run(3 * SIM_S);
	check(sim_rudp(0, 1)->v.mtu == 8952 && sim_rudp(1, 0)->v.mtu == 8952);
	/* The path gets narrower, and says nothing. */
	sim.net.mtu = 1280;
	keep_busy(0, 1, &v);
	sim_run(5 * SIM_S);
	check(sim_rudp(0, 1)->v.mtu == KECHO_RUDP_MTU_MIN && peers[1][0].events[0] == v);
	/* And says so at once. */
	sim.net.mtu = 9000;
	sim_run(610 * SIM_S);
	check(sim_rudp(0, 1)->v.mtu == 8952);
	sim.net.local_mtu = 1280;
	keep_busy(0, 1, &v);
	sim_run(SIM_S);
	check(sim_rudp(0, 1)->v.mtu == KECHO_RUDP_MTU_MIN && peers[1][0].events[0] == v && peers[0][1].ups == 1);
}

/* --- handshake --- */

struct flat {
	struct kecho_packet p;
	u8 data[64];
};

static void flat_copy(const struct kecho_packet *p, u32 off, void *to, u32 len)
{
	check(off + len <= p->len);
	memcpy(to, container_of(p, struct flat, p)->data + off, len);
}

/* The test vectors of kecho-rudp(7). */
static void vectors(void **state)
{
	static const u8 init[] = {
		0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x4b, 0x43, 0x48, 0x4f, 1, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
	}, ack[] = {
		7, 0, 0, 0, 4, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0xfa, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
	}, span[] = {
		7, 0, 0, 0, 4, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x1c, 0, 0, 0, 0, 0, 0x1c, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0,
		4, 0, 0, 0, 33, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0,
	};
	static struct kecho_rudp_out out;	/* too much for a kernel's stack */
	struct kecho_addr to;
	struct kecho_link *link;
	struct kecho_rudp *r;
	u8 got[100];
	int i, n;

#define BUILT(want) do {										\
		kecho_rudp_begin(r);									\
		check(kecho_rudp_build(r, &out, sim.now) == 1);						\
		for (i = n = 0; i < out.n; n += out.vec[i++].iov_len)					\
			memcpy(got + n, out.vec[i].iov_base, out.vec[i].iov_len);			\
		check(n == sizeof(want) && !memcmp(got, want, n));					\
		kecho_rudp_end(r);									\
	} while (0)
	pair();
	sim_run(SIM_S / 2);
	sim_addr(9, &to);
	r = calloc(1, sizeof(*r));
	kecho_rudp_call(&sim.n[0].end, r, &to, sim.now);
	r->id = 0x11223344;
	BUILT(init);
	kecho_rudp_exit(r);
	free(r);

	r = sim_rudp(0, 1);
	link = sim_link(0, 1);
	r->peer_id = 7;
	r->v.next = 3;
	r->arrived[0] = (struct kecho_acked){ 1, 1 };
	r->arrived[1] = (struct kecho_acked){ 3, 3 };
	r->narrived = 2;
	r->largest_at = sim.now - 250000;
	r->mtu_at = U64_MAX;
	r->ack_now = true;
	link->rx_seq = 9;
	link->tx_seq = link->acked = 9;
	BUILT(ack);
	say(link, 5, 4);
	BUILT(span);
}

/* From addresses where nobody is: nothing is remembered, no answer is longer than what it answers, and another's cookie is worth nothing. */
static void no_state_without_cookie(void **state)
{
	struct kecho_rudp_end *end = &sim.n[0].end;
	struct kecho_rudp_init answer, *i;
	struct kecho_addr from, other;
	struct kecho_rudp *r;
	struct flat f;
	u32 len, k;

	start(1);
	sim_addr(5, &other);
	for (k = 0; k < 1000; k++) {
		sim_addr(6 + k, &from);
		f.p = (struct kecho_packet){ .len = sizeof(*i), .copy = flat_copy };
		i = memset(f.data, 0, sizeof(f.data));
		i->head.type = KECHO_RUDP_INIT;
		i->magic = cpu_to_le32(KECHO_MAGIC);
		i->version = 1;
		i->from = cpu_to_le32(77);
		check(kecho_rudp_sort(end, &f.p, &from, &r, &answer, &len, sim.now) == KECHO_RUDP_ANSWER);
		check(len <= f.p.len && answer.head.type == KECHO_RUDP_COOKIE && le32_to_cpu(answer.head.conn) == 77);
		i->time = answer.time;
		i->mac = answer.mac;
		check(kecho_rudp_sort(end, &f.p, &other, &r, &answer, &len, sim.now) == KECHO_RUDP_ANSWER);
		check(answer.head.type == KECHO_RUDP_COOKIE);
		check(kecho_rudp_sort(end, &f.p, &from, &r, &answer, &len, sim.now) == KECHO_RUDP_NEW);
		i->from = cpu_to_le32(78);
		check(kecho_rudp_sort(end, &f.p, &from, &r, &answer, &len, sim.now) == KECHO_RUDP_ANSWER);
		i->from = cpu_to_le32(77);
		sim_run(KECHO_RUDP_COOKIE_S * SIM_S + SIM_S);
		check(kecho_rudp_sort(end, &f.p, &from, &r, &answer, &len, sim.now) == KECHO_RUDP_ANSWER);
		for (len = 0; len < sizeof(*i); len++) {
			f.p.len = len;
			check(kecho_rudp_sort(end, &f.p, &from, &r, &answer, &len, sim.now) == KECHO_RUDP_DROP);
		}
	}
	check(!end->nconns);
}

static void nobody_there(void **state)
{
	start(2);
	sim.n[1].refuse = true;
	sim_call(0, 1);
	sim_run(KECHO_RUDP_CALL_MS * SIM_MS + 100 * SIM_MS);
	check(!is_up(0, 1) && sim.n[0].dials > 1 && sim.n[0].end.nconns <= 1);
	sim.n[1].refuse = false;
	check(sim_until(pair_up, 10 * SIM_S));
}

static bool gone(void)
{
	return !is_up(1, 0);
}

/* Killed and back at once: the first packet for the one that was before is answered, so that nothing waits for a time to pass. */
static void restart(void **state)
{
	pair();
	sim_node_stop(0, true);
	start_id(0, 0x101);
	push(1, 0, 0, 0, 10);
	check(sim_until(gone, 300 * SIM_MS));
	check(sim_until(pair_up, 2 * SIM_S));
	check(peers[1][0].ups == 2 && peers[1][0].downs == 1);
}

/* Nobody is there any more, and nobody says so. */
static void silence(void **state)
{
	pair();
	sim_node_stop(0, true);
	sim_run(10 * SIM_S);
	check(peers[1][0].downs == 1);
}

static void bye(void **state)
{
	pair();
	kecho_cm_bye(&sim.n[0].node.cm);
	sim_run(10 * SIM_MS);
	check(peers[1][0].downs == 1 && !sim_conns(1, 0));
}

/* RESET and CLOSE by one who sees nothing of the connection. */
static void forged(void **state)
{
	struct kecho_rudp *r;
	struct kecho_rudp_head h = { 0 };
	struct flat f = { .p = { .len = sizeof(h), .copy = flat_copy } };
	u32 k;

	pair();
	sim_run(SIM_S);
	r = sim_rudp(0, 1);
	for (k = 0; k < 100; k++) {
		h.type = k & 1 ? KECHO_RUDP_RESET : KECHO_RUDP_CLOSE;
		h.conn = cpu_to_le32(r->id);
		h.number = k & 1 ? cpu_to_le64(sim_random() % r->v.largest_acked) : cpu_to_le64(sim_random() % r->floor);
		memcpy(f.data, &h, sizeof(h));
		check(!kecho_rudp_take(r, &f.p, sim.now));
	}
	check(pair_up());
}

/* Bytes change on the way, and nothing notices: sessions may end, but both sides go on, and nothing is read or written beyond bounds. */
static void damage(void **state)
{
	u32 runs = sim_runs(100), r, k, i, f;
	u64 seed = sim_seed(1);

	for (r = 0; r < runs; r++, seed++) {
		if (r)
			sim_exit();
		sim_init(seed);
		damaged = true;
		pair();
		sim.net.corrupt = 50000;
		sim.net.unchecked = true;
		for (k = 0; k < 30; k++) {
			for (i = 0; i < 2; i++) {
				if (!peers[i][!i].link)
					continue;
				say(peers[i][!i].link, k, min_t(u32, some_size(), KECHO_CONTROL_MAX));
				for (f = 0; f < NFLOWS; f++)
					push(i, !i, f, k, some_size());
			}
			sim_run(sim_below(100) * SIM_MS);
		}
		sim.net.corrupt = 0;
		check(sim_until(pair_up, 30 * SIM_S));
	}
}

/* --- beside TCP --- */

static void without(int i)
{
	sim.n[i].node.cm.udp = sim.n[i].node.cm.rudp = false;
}

static bool via_rudp(void)
{
	return pair_up() && sim_link(0, 1)->conn->overtakes && sim_link(1, 0)->conn->overtakes;
}

static void peer_without(void **state)
{
	u32 k;

	start(2);
	without(1);
	sim_call(0, 1);
	for (k = 0; k < 20; k++) {
		sim_run(SIM_S);
		check(!sim_rudp(0, 1) || !pair_up());
	}
	check(pair_up() && peers[0][1].ups == 1);
}

/* A link by TCP, then one node wishes rudp, or both do at once, in the midst of traffic. */
static void improved(void **state)
{
	u32 runs = sim_runs(40), r, k, i, f;
	u64 seed = sim_seed(1);

	for (r = 0; r < runs; r++, seed++) {
		if (r)
			sim_exit();
		sim_init(seed);
		start(2);
		for (i = 0; i < 2; i++)
			sim.n[i].node.cm.rudp = false;
		sim_call(0, 1);
		check(sim_until(pair_up, SIM_S));
		sim_run(100 * SIM_MS);
		check(!via_rudp());
		want_others = want_events = 0;
		for (k = 0; k < 40; k++) {
			for (i = 0; i < 2; i++) {
				say(peers[i][!i].link, k, min_t(u32, some_size(), KECHO_CONTROL_MAX));
				for (f = 0; f < NFLOWS; f++)
					push(i, !i, f, k, some_size());
				if (k == 20 && (i == 0 || r & 1))
					kecho_link_want_rudp(sim_link(i, !i));
			}
			want_others++;
			want_events++;
			sim_run(sim_below(20) * SIM_MS / 10);
		}
		check(sim_until(arrived, 10 * SIM_S));
		check(sim_until(via_rudp, SIM_S));
		sim_run(15 * SIM_S);
		check(via_rudp() && peers[0][1].ups == 1 && peers[1][0].ups == 1);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(once_and_in_order),
	T(one_large_record),
	T(fair),
	T(random_loss),
	T(urgent_beside_bulk),
	T(no_storm),
	T(small_events_twice),
	T(sparse_events_twice),
	T(past_deadlines),
	T(mtu),
	T(vectors),
	T(no_state_without_cookie),
	T(nobody_there),
	T(restart),
	T(silence),
	T(bye),
	T(forged),
	T(damage),
	T(peer_without),
	T(improved),
};

UNIT_SUITE(rudp, tests)
