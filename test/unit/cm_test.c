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
	long fail = kecho_fail_alloc;
	struct kecho_msg *msg;
	__le32 w = cpu_to_le32(v);

	/* The core's memory fails, not the test's. */
	kecho_fail_alloc = -1;
	msg = kecho_msg_alloc(max_t(u32, len, 4), GFP_KERNEL);
	kecho_fail_alloc = fail;
	check(msg);
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
	struct kecho_push how = { .chan = f, .max = max, .policy = policy };
	u32 lost = kecho_flow_push(&peers[i][j].flow[f], msg, &how);

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

static void pair(void)
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
		for (k = 0, cut = true; cut; k += UNIT_SLOW) {
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
	check(resumed > 1000 / UNIT_SLOW);
	sim_init(1);
}

/* Connections that break over and over, each after a random number of bytes. */
static void resume_over_and_over(void **state)
{
	u32 run, cuts, k, ups[2], taken = 0, runs = sim_runs(1000);
	bool both, died, settled;

	on_up = script_up;
	for (run = 0; run < runs; run++) {
		sim_init(sim_seed(1000 + run));
		sim.chunk = sim_below(3) ? 1 + sim_below(200) : 0;
		sim.lat_max = sim.lat_min + sim_below(sim_below(3) ? 20 : 150) * SIM_MS;
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
			sim_run(3 * SIM_S);
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
		sim_heal();
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
		taken += sim.taken;
		sim_exit();
	}
	check(taken > runs || runs < 100);
	sim_init(1);
}

/* --- the wire --- */

#define WORD64 0x0102030405060708ull

static void enc_all(struct kecho_enc *e, const struct kecho_addr *a)
{
	kecho_enc_u8(e, 0x12);
	kecho_enc_u16(e, 0x1234);
	kecho_enc_u32(e, 0x12345678);
	kecho_enc_u64(e, WORD64);
	kecho_enc_name(e, "a.name-1_X");
	kecho_enc_name(e, "");
	kecho_enc_addr(e, a);
	kecho_enc_bytes(e, "tail", 4);
}

static void dec_all(struct kecho_dec *d, const struct kecho_addr *a)
{
	char name[KECHO_NAME_MAX + 1], none[KECHO_NAME_MAX + 1];
	struct kecho_addr b;
	const void *tail;
	bool good;

	good = kecho_dec_u8(d) == 0x12;
	good = kecho_dec_u16(d) == 0x1234 && good;
	good = kecho_dec_u32(d) == 0x12345678 && good;
	good = kecho_dec_u64(d) == WORD64 && good;
	kecho_dec_name(d, name, false);
	kecho_dec_name(d, none, true);
	kecho_dec_addr(d, &b);
	tail = kecho_dec_bytes(d, 4);
	check(!none[0]);
	if (d->bad)
		check(!tail);
	else
		check(good && !strcmp(name, "a.name-1_X") && kecho_addr_equal(a, &b) && !memcmp(tail, "tail", 4));
}

static void wire_fields(void **state)
{
	static const u8 le[] = { 0x12, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1, 10, 'a' };
	struct kecho_addr a;
	struct kecho_msg *msg;
	struct kecho_enc e;
	struct kecho_dec d;
	u32 full, k;
	u8 *copy;

	sim_addr(7, &a);
	kecho_enc_start(&e, 1000, GFP_KERNEL);
	enc_all(&e, &a);
	msg = kecho_enc_finish(&e);
	check(msg && !memcmp(msg->data, le, sizeof(le)));
	full = msg->len;
	check(full == 15 + 11 + 1 + 19 + 4);
	for (k = 0; k <= full; k++) {
		/* Its own block, so that a read beyond it is seen by ASan. */
		copy = malloc(k ? k : 1);
		memcpy(copy, msg->data, k);
		kecho_dec_start(&d, copy, k);
		dec_all(&d, &a);
		check(d.bad == (k < full));
		check(!kecho_dec_u64(&d) && d.bad);
		free(copy);
	}
	kecho_msg_put(msg);
	for (k = 0; k <= full; k++) {
		kecho_enc_start(&e, k, GFP_KERNEL);
		enc_all(&e, &a);
		msg = kecho_enc_finish(&e);
		check(!!msg == (k == full) && e.err == (k == full ? 0 : -E2BIG));
		kecho_msg_put(msg);
	}
	kecho_fail_alloc = 0;
	kecho_enc_start(&e, 1000, GFP_KERNEL);
	enc_all(&e, &a);
	check(!kecho_enc_finish(&e) && e.err == -ENOMEM);
}

static void wire_names(void **state)
{
	char name[KECHO_NAME_MAX + 1], longest[KECHO_NAME_MAX + 2];
	const struct { const char *s; int len; bool empty, good; } t[] = {
		{ "a", 1, false, true }, { "A-b_c.9", 7, false, true }, { "", 0, false, false }, { "", 0, true, true },
		{ ".a", 2, false, false }, { "a/b", 3, false, false }, { "a b", 3, false, false }, { "a\0b", 3, false, false },
		{ "\xc3\xa4", 2, false, false }, { longest, KECHO_NAME_MAX, false, true },
		{ longest, KECHO_NAME_MAX + 1, false, false }, { "a\n", 2, true, false },
	};
	struct kecho_addr addr = { .family = 5 }, got;
	struct kecho_dec d;
	u8 buf[100];
	u32 i;

	memset(longest, 'x', sizeof(longest));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		buf[0] = t[i].len;
		memcpy(buf + 1, t[i].s, t[i].len);
		kecho_dec_start(&d, buf, 1 + t[i].len);
		kecho_dec_name(&d, name, t[i].empty);
		check(d.bad == !t[i].good);
		check(t[i].good ? (int)strlen(name) == t[i].len : !name[0]);
	}
	kecho_dec_start(&d, &addr, sizeof(addr));
	kecho_dec_addr(&d, &got);
	check(d.bad);
}

/* --- a peer that is not what it should be --- */

/* HELLO as the wire has it: written down a second time on purpose. */
struct wire_hello {
	struct kecho_rec rec;
	__le32 magic;
	u8 version_min, version_max, flags, roles;
	__le64 features;
	__le32 suites, suite;
	__le64 id, session, peer_session, rx_seq;
	__le32 max_body;
	struct kecho_addr listen;
	u8 name_len, name[KECHO_NAME_MAX];
	__le16 auth_len;
} __packed;

#define le16 cpu_to_le16
#define le32 cpu_to_le32
#define le64 cpu_to_le64
#define STRANGER (SIM_STRANGER + 1)	/* its id */

static struct wire_hello hello(void)
{
	return (struct wire_hello){
		.rec = { .len = le32(sizeof(struct wire_hello) - sizeof(struct kecho_rec)), .type = KECHO_HELLO },
		.magic = le32(KECHO_MAGIC), .version_min = 1, .version_max = 1, .roles = 1, .suites = le32(1), .suite = le32(1),
		.id = le64(STRANGER), .session = le64(77), .max_body = le32(KECHO_RECORD_MAX), .name_len = 8, .name = "stranger",
	};
}

static void stranger_says(const void *p, size_t len)
{
	if (len)
		check(sim_inject(0, SIM_STRANGER, p, len));
	sim_run(SIM_MS);
}

static void stranger_up(void)
{
	struct wire_hello h = hello();
	struct peer *p = &peers[0][SIM_STRANGER];
	u32 ups = p->ups;

	sim_stranger(0);
	stranger_says(&h, sizeof(h));
	check(p->link && p->ups == ups + 1);
}

static void hello_truncated(void **state)
{
	struct wire_hello h = hello();
	u32 k;

	pair();
	/* All but the last byte, then silence; then the record itself too short. */
	for (k = 0; k < sizeof(h); k++) {
		sim_stranger(0);
		stranger_says(&h, k);
		check(sim_conns(0, SIM_STRANGER) == 1 && !peers[0][SIM_STRANGER].ups);
		if (k % 16 == 0) {
			sim_run(KECHO_HELLO_MS * SIM_MS);
		} else {
			sim_die(0, SIM_STRANGER);
		}
		check(!sim_conns(0, SIM_STRANGER));
	}
	for (k = 0; k < sizeof(h) - sizeof(h.rec); k++) {
		h.rec.len = le32(k);
		sim_stranger(0);
		stranger_says(&h, sizeof(h.rec) + k);
		check(!sim_conns(0, SIM_STRANGER) && STAT(0, protocol_errors) == k + 1);
	}
	h = hello();
	sim_stranger(0);
	stranger_says(&h, sizeof(h));
	check(peers[0][SIM_STRANGER].ups == 1 && is_up(0, 1) && peers[0][1].ups == 1);
}

static void hello_wrong(void **state)
{
#define F(f) offsetof(struct wire_hello, f)
	static const struct { u32 at; u8 with; bool refused; } t[] = {
		{ F(magic), 'X', false }, { F(version_min), 2, true }, { F(version_max), 0, true }, { F(suites), 2, true },
		{ F(id), 0, false }, { F(session), 0, false }, { F(name_len), 0, false }, { F(name_len), 65, false },
		{ F(name), '.', false }, { F(name_len), 255, false }, { F(rec.type), KECHO_PING, false },
		{ F(rec.type), KECHO_LEAVE, false }, { F(rec.seq), 1, false }, { F(rec.flags), 1, false },
		{ F(rec.after), 1, false }, { F(rec.len) + 2, 1, false },
	};
	struct wire_hello h;
	u64 errors, refused;
	u32 i;

	pair();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		h = hello();
		((u8 *)&h)[t[i].at] = t[i].with;
		errors = STAT(0, protocol_errors);
		refused = STAT(0, refused);
		sim_stranger(0);
		stranger_says(&h, sizeof(h));
		check(!sim_conns(0, SIM_STRANGER) && !peers[0][SIM_STRANGER].ups);
		check(STAT(0, protocol_errors) == errors + !t[i].refused && STAT(0, refused) == refused + t[i].refused);
	}
	/* A second one on a connection that is up. */
	stranger_up();
	h = hello();
	stranger_says(&h, sizeof(h));
	check(peers[0][SIM_STRANGER].downs == 1 && !sim_conns(0, SIM_STRANGER));
	/* One that comes again with the same session and no memory of ours has forgotten all; one connection stays. */
	stranger_up();
	sim_stranger(0);
	stranger_says(&h, sizeof(h));
	check(peers[0][SIM_STRANGER].ups == 3 && peers[0][SIM_STRANGER].downs == 2 && sim_conns(0, SIM_STRANGER) == 1);
	check(is_up(0, 1) && peers[0][1].ups == 1 && peers[0][1].downs == 0);
}

/* Records that must end the session, and do no harm to another. */
static void bad_records(void **state)
{
	static const struct { struct kecho_rec rec; u32 bytes; bool more; } t[] = {
		{ { .type = KECHO_LEAVE, .len = le32(4), .seq = le64(2) }, 4, false },		/* not the next */
		{ { .type = KECHO_LEAVE, .len = le32(4) }, 4, false },			/* not numbered */
		{ { .type = KECHO_PING, .len = le32(8), .seq = le64(1) }, 8, false },		/* numbered */
		{ { .type = KECHO_PING, .len = le32(7) }, 7, false },
		{ { .type = KECHO_PONG, .len = le32(0) }, 0, false },
		{ { .type = 6, .len = le32(0) }, 0, false },
		{ { .type = 0, .len = le32(0) }, 0, false },
		{ { .type = KECHO_ACK, .ack = le64(1000) }, 0, false },			/* never sent */
		{ { .type = KECHO_LEAVE, .len = le32(4), .seq = le64(1), .ack = le64(~0ull) }, 4, false },
		{ { .type = KECHO_LEAVE, .len = le32(4), .seq = le64(1), .flags = 1 }, 4, false },
		{ { .type = KECHO_LEAVE, .len = le32(4), .seq = le64(1), .after = le16(1) }, 4, false },
		{ { .type = KECHO_LEAVE, .len = le32(KECHO_CONTROL_MAX + 1), .seq = le64(1) }, 0, false },
		{ { .type = KECHO_EVENT, .len = le32(KECHO_RECORD_MAX + 1), .seq = le64(1) }, 0, false },
		{ { .type = KECHO_EVENT, .len = le32(~0u), .seq = le64(1) }, 0, false },
	};
	struct peer *p = &peers[0][SIM_STRANGER];
	u8 buf[100];
	u64 errors;
	u32 i;

	on_up = NULL;
	pair();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		stranger_up();
		errors = STAT(0, protocol_errors);
		memset(buf, 0, sizeof(buf));
		memcpy(buf, &t[i].rec, sizeof(t[i].rec));
		stranger_says(buf, sizeof(t[i].rec) + t[i].bytes);
		check(STAT(0, protocol_errors) == errors + 1);
		check(p->downs == i + 1 && !p->link && !sim_conns(0, SIM_STRANGER));
		say(peers[1][0].link, i, 4);
		sim_run(10 * SIM_MS);
		check(peers[0][1].n == i + 1 && peers[0][1].downs == 0);
	}
}

static int refuse_some(int i, int j, u8 type, struct kecho_msg *msg)
{
	return j == SIM_STRANGER ? -EBADMSG : 0;
}

static void refused_and_repeated(void **state)
{
	struct kecho_rec rec = { .type = KECHO_LEAVE, .len = le32(4), .seq = le64(1) };
	struct peer *p = &peers[0][SIM_STRANGER];
	u8 buf[24] = { 0 };

	pair();
	stranger_up();
	memcpy(buf, &rec, sizeof(rec));
	stranger_says(buf, sizeof(buf));
	stranger_says(buf, sizeof(buf));	/* seen before: taken once */
	check(p->n == 1 && p->link);
	on_record = refuse_some;
	rec.seq = le64(2);
	memcpy(buf, &rec, sizeof(rec));
	stranger_says(buf, sizeof(buf));
	check(p->downs == 1 && STAT(0, protocol_errors) == 1 && is_up(0, 1));
}

static void rx_check_limits(void **state)
{
	struct kecho_rec rec = { .type = KECHO_EVENT, .seq = le64(1) };
	struct kecho_conn *conn;
	u32 i;
	static const struct { u8 type; u32 len; u64 seq; int ret; } t[] = {
		{ KECHO_EVENT, 0, 1, 0 }, { KECHO_EVENT, KECHO_RECORD_MAX, 1, KECHO_RECORD_MAX },
		{ KECHO_EVENT, KECHO_RECORD_MAX + 1, 1, -EPROTO }, { KECHO_EVENT, 0, 0, -EPROTO },
		{ KECHO_JOIN, KECHO_CONTROL_MAX, 1, KECHO_CONTROL_MAX }, { KECHO_JOIN, KECHO_CONTROL_MAX + 1, 1, -EPROTO },
		{ KECHO_HELLO, 10, 0, -EPROTO }, { KECHO_ACK, 0, 0, 0 }, { KECHO_ACK, 0, 1, -EPROTO },
		{ KECHO_REGISTER, 0, ~0ull, 0 }, { 255, 3, 1, 3 }, { KECHO_BYE, 0, 0, 0 },
	};

	pair();
	conn = sim_link(0, 1)->conn;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		rec = (struct kecho_rec){ .type = t[i].type, .len = le32(t[i].len), .seq = le64(t[i].seq) };
		check(kecho_cm_rx_check(conn, &rec) == t[i].ret);
	}
	conn->cm->max_body = 100;
	rec = (struct kecho_rec){ .type = KECHO_EVENT, .len = le32(101), .seq = le64(1) };
	check(kecho_cm_rx_check(conn, &rec) == -EPROTO);
}

static void too_many_strangers(void **state)
{
	u32 i;

	pair();
	for (i = 0; i < KECHO_PENDING_MAX + 5; i++)
		sim_stranger(0);
	check(sim_conns(0, SIM_STRANGER) == KECHO_PENDING_MAX && STAT(0, refused) == 5);
	sim_run(KECHO_HELLO_MS * SIM_MS + SIM_MS);
	check(!sim_conns(0, SIM_STRANGER) && is_up(0, 1) && !sim.n[0].node.cm.npending);
}

/* --- who calls whom --- */

static void self_call(void **state)
{
	start(1);
	sim_call(0, 0);
	sim_run(60 * SIM_S);
	check(sim.n[0].dials == 1 && !sim_conns(0, 0) && !peers[0][0].ups);
}

static void simultaneous(void **state)
{
	u32 run, runs = sim_runs(300);

	for (run = 0; run < runs; run++) {
		sim_init(sim_seed(5000 + run));
		sim.lat_max = sim.lat_min + sim_below(30) * SIM_MS;
		start(2);
		if (sim_below(2)) {
			sim_call(1, 0);
			sim_run(sim_below(100) * SIM_MS);
			sim_call(0, 1);
		} else {
			sim_call(0, 1);
			sim_call(1, 0);
		}
		sim_run(20 * SIM_S);
		check(is_up(0, 1) && is_up(1, 0) && sim_conns(0, 1) == 1 && sim_conns(1, 0) == 1);
		/* Nobody goes on calling, and both names are the same link. */
		check(sim.n[0].dials <= 2 && sim.n[1].dials <= 2);
		/* That of the lower id, unless the higher one's was there long before. */
		check(sim_link(0, 1)->conn->opener || sim.n[0].dials == 1);
		check(peers[0][1].ups == peers[0][1].downs + 1 && peers[1][0].ups == peers[1][0].downs + 1);
		sim_exit();
	}
	sim_init(1);
}

static void two_names(void **state)
{
	struct kecho_link *link;
	u32 n = 0;

	start(2);
	sim_call(0, 1);
	mutex_lock(&sim.n[0].node.cm.lock);
	check(kecho_cm_call(&sim.n[0].node.cm, "n01", NULL, sim.now));
	mutex_unlock(&sim.n[0].node.cm.lock);
	sim_run(120 * SIM_S);
	check(is_up(0, 1) && sim_conns(0, 1) == 1 && STAT(0, connects) <= 3 && peers[0][1].ups - peers[0][1].downs == 1);
	list_for_each_entry(link, &sim.n[0].node.cm.links, node)
		n += link->state == KECHO_LINK_UP;
	check(n == 1);
	/* The other name is called again when that one has gone. */
	n = sim.n[0].dials;
	sim_node_stop(1, false);
	sim_run(60 * SIM_S);
	check(sim.n[0].dials > n + 10);
}

static void half_open(void **state)
{
	pair();
	say(peers[0][1].link, 1, 4);
	sim_run(500 * SIM_MS);
	check(sim_link(0, 1)->conn->opener);
	sim_die(1, 0);
	check(is_up(0, 1) && !is_up(1, 0));
	say(peers[1][0].link, 2, 4);
	/* Node 1 calls, node 0 prefers its own, pings it, and is told that it is no more: no need to wait for silence. */
	sim_run(400 * SIM_MS);
	check(is_up(0, 1) && is_up(1, 0) && peers[0][1].n == 1 && peers[1][0].n == 1);
	check(!peers[0][1].downs && !peers[1][0].downs && STAT(0, resumes) == 1);
}

static void silence(void **state)
{
	pair();
	say(peers[0][1].link, 1, 4);
	sim_block(0, 1, true);
	sim_run(2500 * SIM_MS);
	check(is_up(0, 1) && is_up(1, 0));
	sim_run(1200 * SIM_MS);
	check(sim_link(0, 1)->state == KECHO_LINK_SUSPECT && sim_link(1, 0)->state == KECHO_LINK_SUSPECT);
	check(!peers[0][1].downs && !peers[1][0].downs && STAT(0, timeouts) >= 1);
	sim_run(4000 * SIM_MS);
	check(!peers[0][1].downs);
	sim_run(1500 * SIM_MS);
	check(peers[0][1].downs == 1 && peers[1][0].downs == 1);
	sim_run(60 * SIM_S);
	check(peers[0][1].downs == 1 && peers[1][0].downs == 1 && peers[0][1].ups == 1);
	sim_block(0, 1, false);
	sim_run(12 * SIM_S);
	check(is_up(0, 1) && is_up(1, 0) && peers[0][1].ups == 2 && peers[1][0].ups == 2);
	/* Short of that it is the same session. */
	sim_block(0, 1, true);
	sim_run(6 * SIM_S);
	say(peers[0][1].link, 2, 4);
	sim_block(0, 1, false);
	sim_run(8 * SIM_S);
	check(peers[0][1].ups == 2 && peers[1][0].ups == 2 && peers[1][0].n == 1 && is_up(0, 1));
}

static void bye(void **state)
{
	u32 dials;

	pair();
	kecho_cm_bye(&sim.n[0].node.cm);
	sim_run(SIM_MS);
	check(peers[1][0].downs == 1 && peers[1][0].ups == 1);
	sim_node_stop(0, false);
	dials = sim.n[1].dials;
	sim_run(60 * SIM_S);
	/* Who was called does not call back one that has said goodbye. */
	check(sim.n[1].dials == dials && !sim.n[1].node.cm.nlinks);
}

static void restart(void **state)
{
	int silent;

	pair();
	for (silent = 0; silent < 2; silent++) {
		sim_node_stop(1, silent);
		sim_run(silent * 100 * SIM_MS);
		peers[1][0] = (struct peer){ 0 };
		start_id(1, 0x102 + silent * 0x100);
		sim_run(15 * SIM_S);
		check(is_up(0, 1) && is_up(1, 0) && sim_conns(0, 1) == 1 && sim.n[0].node.cm.nlinks == 1);
		check(peers[0][1].ups == 2u + silent && peers[0][1].downs == 1u + silent && peers[1][0].ups == 1);
	}
}

static void backoff(void **state)
{
	u32 dials;

	start(2);
	sim.n[1].refuse = true;
	sim_call(0, 1);
	sim_run(2 * SIM_S);
	check(sim.n[0].dials >= 4);	/* eager at first */
	dials = sim.n[0].dials;
	sim_run(600 * SIM_S);
	/* Between half of and the whole of the longest pause. */
	check(sim.n[0].dials - dials >= 600 / 5 && sim.n[0].dials - dials <= 2 * 600 / 5 + 10);
	sim.n[1].refuse = false;
	sim_run(KECHO_BACKOFF_MAX_MS * SIM_MS + SIM_S);
	check(is_up(0, 1));
}

static void heartbeat(void **state)
{
	u64 records;

	sim.lat_min = sim.lat_max = 5 * SIM_MS;
	pair();
	sim_run(30 * SIM_S);
	check(sim_link(0, 1)->rtt_us >= 10000 && sim_link(0, 1)->rtt_us < 11000);
	records = STAT(0, rx_records);
	sim_run(100 * SIM_S);
	check(peers[0][1].downs == 0 && is_up(0, 1));
	/* A ping and its answer each second, from one side or both. */
	check(STAT(0, rx_records) - records >= 90 && STAT(0, rx_records) - records <= 220);
}

/* --- flows and bounds --- */

static void flow_policies(void **state)
{
	struct peer *in = &peers[1][0];
	u32 i, lost[2] = { 0, 0 };

	pair();
	sim_block(0, 1, true);
	sim.sndbuf = 1;
	/* What the socket takes is numbered: so first something that fills it. */
	for (i = 0; i < 8000; i++)
		say(peers[0][1].link, i, 4);
	sim_run(SIM_MS);
	for (i = 0; i < 100; i++) {
		lost[0] += push(0, 1, 0, i, 4, 10, KECHO_DROP_OLDEST);
		lost[1] += push(0, 1, 1, 1000 + i, 4, 10, KECHO_DROP_NEWEST);
		check(!push(0, 1, 2, 2000 + i, 4, 10, KECHO_BLOCK));
	}
	check(lost[0] == 90 && lost[1] == 90 && peers[0][1].flow[0].lost == 90 && peers[0][1].flow[1].lost == 90);
	sim_block(0, 1, false);
	sim.sndbuf = 64 << 10;
	sim_run(SIM_S);
	check(in->n == 8000 + 10 + 10 + 100);
	/* In turn, while all three have something. */
	for (i = 0; i < 10; i++) {
		check(in->got[8000 + 3 * i] == (EV | (90 + i)));
		check(in->got[8000 + 3 * i + 1] == (EV | (1000 + i)));
		check(in->got[8000 + 3 * i + 2] == (EV | (2000 + i)));
	}
	check(in->gaps == 90);
	/* The newest that were dropped show with the next. */
	push(0, 1, 1, 1, 4, 10, KECHO_DROP_NEWEST);
	sim_run(SIM_S);
	check(in->gaps == 180);
}

static void flow_drain(void **state)
{
	struct peer *in = &peers[1][0];
	u64 events, bytes;
	u32 i;

	pair();
	for (i = 0; i < 20; i++)
		push(0, 1, 0, i, 4, 100, KECHO_DROP_OLDEST);
	kecho_flow_drain(&peers[0][1].flow[0]);
	say(peers[0][1].link, 99, 4);
	kecho_flow_given(&peers[0][1].flow[0], &events, &bytes);
	check(events == 20 && bytes == 80 && !kecho_flow_destroy(&peers[0][1].flow[0]));
	sim_run(SIM_S);
	check(in->n == 21 && in->got[20] == 99 && in->got[19] == (EV | 19));
	for (i = 0; i < 20; i++)
		push(0, 1, 0, i, 4, 100, KECHO_DROP_OLDEST);
	check(kecho_flow_destroy(&peers[0][1].flow[0]) == 20);
	sim_run(SIM_S);
	check(in->n == 21);
}

/* A peer that never acknowledges is sent no more events than may have to be sent again. */
static void history(void **state)
{
	struct { struct kecho_rec rec; } ack = { { .type = KECHO_ACK } };
	struct kecho_link *link;
	u32 i;

	start(1);
	stranger_up();
	link = peers[0][SIM_STRANGER].link;
	for (i = 0; i < 3 * KECHO_HISTORY_RECORDS; i++)
		check(!push(0, SIM_STRANGER, 0, i, 4, U32_MAX, KECHO_BLOCK));
	sim_run(SIM_MS);
	check(link->out_records == KECHO_HISTORY_RECORDS && link->tx_seq == KECHO_HISTORY_RECORDS);
	ack.rec.ack = le64(100);
	stranger_says(&ack, sizeof(ack));
	check(link->out_records == KECHO_HISTORY_RECORDS && link->tx_seq == KECHO_HISTORY_RECORDS + 100);
	/* By bytes as well. */
	ack.rec.ack = le64(link->tx_seq);
	kecho_flow_destroy(&peers[0][SIM_STRANGER].flow[0]);
	stranger_says(&ack, sizeof(ack));
	check(!link->out_records && !link->out_bytes);
	for (i = 0; i < 100; i++)
		push(0, SIM_STRANGER, 0, i, 256 << 10, U32_MAX, KECHO_BLOCK);
	sim_run(SIM_MS);
	check(link->out_bytes >= KECHO_HISTORY_BYTES && link->out_bytes < KECHO_HISTORY_BYTES + (300 << 10));
}

static void control_overflow(void **state)
{
	u32 i;

	pair();
	sim_block(0, 1, true);
	sim.sndbuf = 1000;
	for (i = 0; i < KECHO_CONTROL_QUEUE / 10000 * 2; i++) {
		say(peers[0][1].link, i, 10000);
		sim_run(SIM_MS / 10);
		if (!peers[0][1].link)
			break;
	}
	check(i >= KECHO_CONTROL_QUEUE / 10100 && i < KECHO_CONTROL_QUEUE / 10000 * 2 && peers[0][1].downs == 1);
	sim_block(0, 1, false);
	sim.sndbuf = 64 << 10;
	sim_run(2 * SIM_S);
	check(is_up(0, 1) && is_up(1, 0) && peers[0][1].ups == 2 && peers[1][0].ups == 2 && peers[1][0].downs == 1);
	/* No memory for a record: the same. */
	kecho_link_send(peers[0][1].link, KECHO_LEAVE, NULL);
	say(peers[0][1].link, 1, 4);
	sim_run(2 * SIM_S);
	check(is_up(0, 1) && peers[0][1].ups == 3 && peers[1][0].ups == 3);
	say(peers[0][1].link, 2, 4);
	sim_run(SIM_S);
	check(peers[1][0].got[peers[1][0].n - 1] == 2);
}

/* Each allocation of a whole story fails once. */
static void fail_sweep(void **state)
{
	long n;

	on_up = script_up;
	for (n = 0; ; n += UNIT_STEP) {
		sim_init(42);
		start(2);
		kecho_fail_alloc = n;
		sim_call(0, 1);
		sim_run(500 * SIM_MS);
		sim_call(0, 1);		/* the first may have had no memory */
		sim_cut(0, 1);
		sim_run(10 * SIM_S);
		check(is_up(0, 1) && is_up(1, 0));
		/* An event that found no memory is a gap that shows with the next; control records are all there, or it began anew. */
		if (peers[0][1].n != 3 * SCRIPT || peers[1][0].n != 3 * SCRIPT) {
			int i, f;

			for (i = 0; i < 2; i++)
				for (f = 0; f < 2; f++)
					push(i, !i, f, 50 + 100 * f, 4, 100, KECHO_BLOCK);
			sim_run(SIM_S);
			for (i = 0; i < 2; i++)
				check(peers[i][!i].n + peers[i][!i].gaps == 3 * SCRIPT + 2);
		}
		sim_exit();
		if (kecho_fail_alloc >= 0)
			break;
	}
	kecho_fail_alloc = -1;
	print_message("%ld allocations\n", n);
	check(n > 60);
	sim_init(1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
/* --- two connections at once --- */

/* The first record of the old connection is still being taken when the next one comes by a new connection. */
static bool first_begun, second_taken;

static int slow_first(int i, int j, u8 type, struct kecho_msg *msg)
{
	struct timespec begun, now;

	if (msg->data[0] == 2) {
		__atomic_store_n(&second_taken, true, __ATOMIC_RELEASE);
		return 0;
	}
	__atomic_store_n(&first_begun, true, __ATOMIC_RELEASE);
	clock_gettime(CLOCK_REALTIME, &begun);
	do {
		sched_yield();
		clock_gettime(CLOCK_REALTIME, &now);
	} while (now.tv_sec - begun.tv_sec < 2 && !__atomic_load_n(&second_taken, __ATOMIC_ACQUIRE));
	return 0;
}

static void *take_first(void *arg)
{
	struct kecho_conn *conn = arg;
	struct kecho_rec rec = { .type = KECHO_LEAVE, .len = cpu_to_le32(4), .seq = cpu_to_le64(conn->link->rx_seq + 1) };

	kecho_cm_rx(conn, &rec, number(1, 4), 0);
	return NULL;
}

static void old_and_new_connection(void **state)
{
	struct kecho_rec rec = { .type = KECHO_LEAVE, .len = cpu_to_le32(4) };
	struct kecho_conn *old, new = { 0 };
	struct kecho_link *link;
	struct kecho_rec event;
	struct kecho_msg *msg;
	pthread_t thread;

	pair();
	link = sim_link(0, 1);
	old = link->conn;
	new.cm = link->cm;
	new.link = link;
	new.up = true;
	rec.seq = cpu_to_le64(link->rx_seq + 2);
	first_begun = second_taken = false;
	on_record = slow_first;
	pthread_create(&thread, NULL, take_first, old);
	while (!__atomic_load_n(&first_begun, __ATOMIC_ACQUIRE))
		sched_yield();
	spin_lock_bh(&link->lock);
	link->conn = &new;
	spin_unlock_bh(&link->lock);
	/* Where nothing may sleep it is not waited for. */
	msg = number(2, 4);
	event = rec;
	event.type = KECHO_EVENT;
	assert_int_equal(kecho_cm_rx_event(&new, &event, msg, 0), -EAGAIN);
	assert_int_equal(kecho_cm_rx(&new, &rec, msg, 0), 0);
	pthread_join(thread, NULL);
	spin_lock_bh(&link->lock);
	link->conn = old;
	spin_unlock_bh(&link->lock);
	assert_int_equal(peers[0][1].n, 2);
	assert_int_equal(peers[0][1].got[0], 1);
	assert_int_equal(peers[0][1].got[1], 2);
}

static const struct CMUnitTest tests[] = {
	T(wire_fields), T(wire_names), T(rx_check_limits),
	T(hello_truncated), T(hello_wrong), T(bad_records), T(refused_and_repeated), T(too_many_strangers),
	T(self_call), T(simultaneous), T(two_names), T(half_open), T(silence), T(bye), T(restart), T(backoff),
	T(heartbeat), T(flow_policies), T(flow_drain), T(history), T(control_overflow), T(fail_sweep), T(old_and_new_connection),
	T(resume_at_every_byte),
	T(resume_over_and_over),
};
UNIT_SUITE(cm, tests)
