// SPDX-License-Identifier: GPL-2.0
/* Chains of filters, on two nodes: who is picked, what is rewritten, heard and counted, and filters that take too long. */
#include "sim.h"
#include "../../lib/attr/text.h"
#include "../../lib/channel/internal.h"
#include <linux/err.h>

/* --- filters --- */

static u32 attached, detached, asked;

struct pick {
	u32 len;
	char names[KECHO_ATTR_VALUE_MAX];
};

/* pick who=A[B...]: candidates that say who=A */
static int pick_setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;
	struct pick *c = kecho_filter_alloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	*config = c;
	if (!kecho_attr_find(args, len, "who", &a) || a.type != KECHO_ATTR_STRING)
		return kecho_filter_refuse(f, "who=?");
	c->len = a.str_len;
	memcpy(c->names, a.str, a.str_len);
	return 0;
}

static void pick(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct pick *c = f->config;
	struct kecho_attr a;
	u32 i, n = 0;

	asked += p->n;
	for (i = 0; i < p->n; i++)
		if (kecho_candidate_attr(p->candidates[i], "who", &a) && memchr(c->names, a.str[0], c->len))
			p->candidates[n++] = p->candidates[i];
	p->n = n;
}

/* turn: the payload, turned round, of type "turned" */
static void turn(struct kecho_filter *f, struct kecho_pass *p)
{
	struct kecho_event ev = p->event;
	char payload[16];
	u32 i;

	assert_true(ev.len <= sizeof(payload));
	for (i = 0; i < ev.len; i++)
		payload[i] = ((const char *)ev.data)[ev.len - 1 - i];
	ev.data = payload;
	ev.type = "not a type";
	ev.type_len = 10;
	assert_int_equal(kecho_pass_rewrite(p, &ev), -EINVAL);
	ev.type = "turned";
	ev.type_len = 6;
	ev.prio = 7;
	ev.deadline_us = 99000000;
	if (kecho_pass_rewrite(p, &ev))
		return;
	assert_ptr_not_equal(p->event.data, payload);
	assert_memory_equal(p->event.data, payload, ev.len);
}

/* slow ns=N: takes so long */
static int slow_setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;

	*config = kecho_filter_alloc(sizeof(u64));
	if (!*config)
		return -ENOMEM;
	*(u64 *)*config = kecho_attr_find(args, len, "ns", &a) ? a.num : 0;
	return 0;
}

static void slow(struct kecho_filter *f, struct kecho_pass *p)
{
	sim.now += *(u64 *)f->config;
}

/* gate: passes what is published once "open" has been heard on the channel "gates" */
struct gate {
	void *taken;
	bool open;
	u32 heard;
};

static int gate_attached(struct kecho_filter *f)
{
	struct gate *g = f->state;

	attached++;
	g->taken = kecho_filter_alloc(1);
	return g->taken ? kecho_filter_watch(f, "gates") : -ENOMEM;
}

static void gate_detached(struct kecho_filter *f)
{
	struct gate *g = f->state;

	detached++;
	kecho_filter_free(g->taken);
}

static void gate_heard(struct kecho_filter *f, const struct kecho_event *ev)
{
	struct gate *g = f->state;

	kecho_filter_lock(f);
	g->open = ev->len == 4 && !memcmp(ev->data, "open", 4);
	g->heard++;
	kecho_filter_unlock(f);
}

static void gate(struct kecho_filter *f, struct kecho_pass *p)
{
	struct gate *g = f->state;

	kecho_filter_lock(f);
	if (!g->open)
		p->n = 0;
	kecho_filter_unlock(f);
}

static const struct kecho_filter_ops kinds[] = {
	{ .name = "pick", .setup = pick_setup, .run = pick },
	{ .name = "turn", .run = turn },
	{ .name = "slow", .setup = slow_setup, .run = slow },
	{ .name = "gate", .state = sizeof(struct gate), .attached = gate_attached, .detached = gate_detached, .run = gate,
	  .heard = gate_heard },
};

static const struct kecho_filter_ops *get(struct kecho_node *node, const char *name)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return ERR_PTR(-ENOENT);
}

/* --- two nodes on a channel --- */

static struct kecho_channel *ch[2];
static struct kecho_sink *sinks[2][8];
static u32 changes;
static char said[300];

static void on_changed(struct kecho_channel *c, enum kecho_file file, const struct kecho_msg *event)
{
	changes += c == ch[0] && file == KECHO_FILE_FILTER;
}

#ifndef __KERNEL__
static void on_log(int level, const char *fmt, va_list ap)
{
	vsnprintf(said, sizeof(said), fmt, ap);
}
#endif

static bool met(void)
{
	return ch[0]->nmembers == 1 && ch[1]->nmembers == 1;
}

static struct kecho_channel *join(int i, const char *name)
{
	struct kecho_channel *c;
	int err;

	c = kecho_channel_join(&sim.n[i].node, name, NULL, sim_realtime(), sim.now, &err);
	assert_non_null(c);
	return c;
}

static int setup(void **state)
{
	int i;

	sim_init(1);
	sim_hooks.filter_get = get;
	sim_hooks.changed = on_changed;
#ifndef __KERNEL__
	kecho_log = on_log;
#endif
	memset(sinks, 0, sizeof(sinks));
	said[0] = 0;
	attached = detached = asked = changes = 0;
	for (i = 0; i < 2; i++) {
		sim_node_start(i, 0);
		ch[i] = join(i, "c");
	}
	sim_call(1, 0);
	return !sim_until(met, 5 * SIM_S);
}

static void leave(int i)
{
	int k;

	for (k = 0; k < 8; k++)
		if (sinks[i][k])
			kecho_sink_close(sinks[i][k], sim.now);
	kecho_channel_leave(ch[i], sim.now);
}

static int teardown(void **state)
{
	kecho_fail_alloc = -1;
	leave(0);
	leave(1);
	assert_int_equal(attached, detached);
	sim_exit();
	return 0;
}

/* A sink of node @i; @who: what it says of itself, NULL: it is a plain one. */
static void sink(int i, int k, const char *who)
{
	char text[16];

	sinks[i][k] = kecho_sink_open(ch[i], "", 0, 1, "test", NULL, sim_realtime(), sim.now);
	assert_non_null(sinks[i][k]);
	snprintf(text, sizeof(text), "who=%s\n", who ? who : "");
	if (who)
		assert_int_equal(kecho_sink_write_attrs(sinks[i][k], text, strlen(text), sim.now), 0);
	sim_run(SIM_S);
}

static int write(int i, const char *line)
{
	return kecho_channel_write_filter(ch[i], line, strlen(line));
}

static int publish_to(struct kecho_channel *c, const char *payload)
{
	struct kecho_msg *msg = kecho_event_alloc("", NULL, strlen(payload), GFP_KERNEL);
	int n;

	if (!msg)
		return -ENOMEM;
	memcpy(kecho_event_payload(msg), payload, strlen(payload));
	n = kecho_channel_publish(c, msg, sim_realtime(), NULL);
	kecho_msg_put(msg);
	return n;
}

static int publish(int i, const char *payload)
{
	int n = publish_to(ch[i], payload);

	sim_run(SIM_S / 10);
	return n;
}

/* All that node @i's sink has, each followed by a space; of one that was rewritten its type before. */
static const char *got(int i, int k)
{
	static char text[200];
	struct kecho_msg *msg;
	size_t n = 0;

	text[0] = 0;
	while (kecho_sink_pop(sinks[i][k], U32_MAX, &msg) == 1) {
		n += snprintf(text + n, sizeof(text) - n, "%.*s%s%.*s ", kecho_event(msg)->type_len, kecho_event_type(msg),
			      kecho_event(msg)->type_len ? ":" : "", kecho_event_payload_len(msg), (char *)kecho_event_payload(msg));
		kecho_sink_consumed(sinks[i][k], msg);
	}
	return text;
}

/* The filter file, without the figures of time. */
static const char *shown(int i)
{
	static char text[2000];
	struct kecho_text t = { 0 };
	char *p, *q;

	kecho_show_filter(&t, ch[i]);
	kecho_text_append(&t, "", 1);
	assert_int_equal(t.err, 0);
	strscpy(text, t.buf, sizeof(text));
	kecho_text_free(&t);
	while ((p = strstr(text, "mean_ns="))) {
		q = strchr(p, '\t') + 1;
		memmove(p, q, strlen(q) + 1);
	}
	return text;
}

/* --- who is picked --- */

static void out(void **state)
{
	sink(1, 0, "a");
	sink(1, 1, "b");
	sink(1, 2, NULL);
	sink(0, 0, "x");
	assert_int_equal(write(0, "pick who=ac"), 0);
	assert_int_equal(publish(0, "1"), 2);	/* a member, and the sink here */
	assert_string_equal(got(1, 0), "1 ");
	assert_string_equal(got(1, 1), "");
	assert_string_equal(got(1, 2), "");
	assert_string_equal(got(0, 0), "1 ");
	assert_int_equal(asked, 3);
	/* None of them: nothing is sent. */
	assert_int_equal(write(0, "=0 who=z"), 0);
	assert_int_equal(publish(0, "2"), 1);
	assert_int_equal(atomic64_read(&sim.n[0].node.stats.sent), 1);
	assert_int_equal(atomic64_read(&sim.n[0].node.stats.unsent), 1);
	assert_int_equal(atomic64_read(&sim.n[0].node.stats.filtered), 1);
	assert_string_equal(shown(0), "index=0\tdir=out\tname=pick\tseen=2\tpassed=1\tdisabled=0\twho=z\n");
	/* Both, but not the plain one, and all of them. */
	assert_int_equal(write(0, "=0 who=ab"), 0);
	publish(0, "3");
	assert_int_equal(write(0, "-0"), 0);
	publish(0, "4");
	assert_string_equal(got(1, 0), "3 4 ");
	assert_string_equal(got(1, 1), "3 4 ");
	assert_string_equal(got(1, 2), "4 ");
	assert_string_equal(shown(0), "");
	/* What the other publishes is not for this chain. */
	assert_int_equal(write(0, "out pick who=z"), 0);
	publish(1, "5");
	assert_string_equal(got(0, 0), "2 3 4 5 ");
	assert_int_equal(asked, 9);
}

static void in(void **state)
{
	sink(1, 0, "a");
	sink(1, 1, "b");
	sink(1, 2, NULL);
	assert_int_equal(write(1, "in pick who=ab"), 0);
	publish(0, "1");
	assert_int_equal(publish(1, "2"), 2);
	assert_int_equal(write(0, "out pick who=b"), 0);
	publish(0, "3");
	assert_int_equal(write(1, "=0 who=a"), 0);
	publish(0, "4");
	assert_string_equal(got(1, 0), "1 2 ");
	assert_string_equal(got(1, 1), "1 2 3 ");
	assert_string_equal(got(1, 2), "");
	assert_string_equal(shown(1), "index=0\tdir=in\tname=pick\tseen=4\tpassed=3\tdisabled=0\twho=a\n");
	/* Whoever is not asked for by the publisher is no candidate: 3, 3, 1, 1. */
	assert_int_equal(asked, 3 + 3 + 2 * (3 + 1));
}

static void several(void **state)
{
	sink(1, 0, "a");
	sink(1, 1, "b");
	assert_int_equal(write(0, "pick who=a"), 0);
	assert_int_equal(write(0, "in pick who=q"), 0);
	assert_int_equal(write(0, "out pick who=ab"), 0);
	assert_int_equal(publish(0, "1"), 1);
	/* The second was shown what the first had left; the IN chain had nobody. */
	assert_int_equal(asked, 2 + 1);
	assert_int_equal(write(0, "=0 who=z"), 0);
	assert_int_equal(publish(0, "2"), 0);
	assert_int_equal(asked, 3 + 2);
	assert_string_equal(shown(0), "index=0\tdir=out\tname=pick\tseen=2\tpassed=1\tdisabled=0\twho=z\n"
				      "index=1\tdir=in\tname=pick\tseen=0\tpassed=0\tdisabled=0\twho=q\n"
				      "index=2\tdir=out\tname=pick\tseen=1\tpassed=1\tdisabled=0\twho=ab\n");
	assert_int_equal(write(0, "-pick"), 0);
	assert_int_equal(publish(0, "3"), 1);
	assert_string_equal(got(1, 0), "1 3 ");
	assert_string_equal(got(1, 1), "3 ");
	assert_int_equal(ch[0]->nin, 1);
	assert_int_equal(ch[0]->nout, 1);
}

static void sink_gone(void **state)
{
	sink(1, 0, "a");
	sink(1, 1, "b");
	sink(1, 2, "c");
	assert_int_equal(write(0, "pick who=ab"), 0);
	assert_int_equal(publish_to(ch[0], "1"), 1);
	/* It has been named in what is on its way. */
	kecho_sink_close(sinks[1][0], sim.now);
	sinks[1][0] = NULL;
	sim_run(SIM_S);
	assert_string_equal(got(1, 1), "1 ");
	assert_string_equal(got(1, 2), "");
	assert_int_equal(publish(0, "2"), 1);
	assert_string_equal(got(1, 1), "2 ");
}

/* --- what is rewritten --- */

static void rewrite(void **state)
{
	struct kecho_msg *msg;
	struct retained *r;

	assert_int_equal(kecho_channel_write_attrs(ch[1], "kecho.retain=2\n", 15, true, sim.now), 0);
	sim_run(SIM_S);
	sink(1, 0, "a");
	sink(0, 0, "b");
	assert_int_equal(write(0, "out turn"), 0);
	assert_int_equal(publish(0, "abc"), 2);
	assert_string_equal(got(0, 0), "abc ");
	assert_int_equal(kecho_sink_pop(sinks[1][0], U32_MAX, &msg), 1);
	assert_memory_equal(kecho_event_payload(msg), "cba", 3);
	assert_true(kecho_event_is_type(msg, "turned"));
	assert_int_equal(kecho_event(msg)->prio, 7);
	assert_int_equal(le32_to_cpu(kecho_event(msg)->deadline_us), 99000000);
	assert_true(le64_to_cpu(kecho_event(msg)->origin) == sim.n[0].node.cm.id);
	assert_int_equal(le64_to_cpu(kecho_event(msg)->seq), 1);
	kecho_sink_consumed(sinks[1][0], msg);
	/* Each rewrites what the one before has made; what is retained is what arrived. */
	assert_int_equal(write(1, "in turn"), 0);
	assert_int_equal(write(1, "in turn"), 0);
	assert_int_equal(write(1, "in turn"), 0);
	publish(0, "def");
	assert_string_equal(got(1, 0), "turned:def ");
	r = list_last_entry(&ch[1]->retained, struct retained, node);
	assert_memory_equal(kecho_event_payload(r->msg), "fed", 3);
}

/* Without memory the event stays as it was: two of three do it. */
static void rewrite_fails(void **state)
{
	int i;

	sink(1, 0, NULL);
	for (i = 0; i < 3; i++)
		assert_int_equal(write(1, "in turn"), 0);
	publish(1, "abc");
	kecho_fail_alloc = 1;	/* behind the event itself */
	publish(1, "def");
	assert_int_equal(kecho_fail_alloc, -1);
	assert_string_equal(got(1, 0), "turned:cba turned:def ");
}

/* The publisher's room is what has been consumed, also of events that were copied on the way. */
static void rewrite_block(void **state)
{
	static const char settings[] = "kecho.overflow=block\nkecho.queue=2\n";
	int i;

	assert_int_equal(kecho_channel_write_attrs(ch[0], settings, strlen(settings), true, sim.now), 0);
	sim_run(SIM_S);
	sink(1, 0, NULL);
	assert_int_equal(write(0, "out turn"), 0);
	assert_int_equal(write(1, "in turn"), 0);
	for (i = 0; i < 5; i++) {
		assert_int_equal(publish(0, "a"), 1);
		assert_int_equal(publish(0, "b"), 1);
		assert_int_equal(publish(0, "c"), -EAGAIN);
		assert_string_equal(got(1, 0), "turned:a turned:b ");
		sim_run(SIM_S);
	}
}

/* --- what is heard --- */

static void watch(void **state)
{
	struct kecho_channel *gates;

	sink(1, 0, NULL);
	sink(0, 0, NULL);
	assert_int_equal(write(0, "in gate"), -ENOENT);
	assert_int_equal(detached, 1);
	gates = join(0, "gates");
	assert_int_equal(kecho_channel_write_attrs(gates, "kecho.retain=1\n", 15, true, sim.now), 0);
	assert_int_equal(write(0, "in gate"), 0);
	assert_int_equal(gates->nsinks, 1);
	publish(0, "1");
	publish_to(gates, "open");
	publish(1, "2");
	publish_to(gates, "close");
	publish(0, "3");
	assert_string_equal(got(0, 0), "2 ");
	assert_string_equal(got(1, 0), "1 2 3 ");
	/* What the channel retains is heard by one that comes later. */
	publish_to(gates, "open");
	assert_int_equal(write(0, "-gate"), 0);
	assert_int_equal(gates->nsinks, 0);
	assert_int_equal(write(0, "in gate"), 0);
	publish(0, "4");
	assert_string_equal(got(0, 0), "4 ");
	/* The watched channel is left: it hears nothing more, and can still be removed. */
	kecho_channel_leave(gates, sim.now);
	publish(0, "5");
	assert_string_equal(got(0, 0), "5 ");
	assert_int_equal(attached, 3);
}

/* --- the file --- */

static void grammar(void **state)
{
	static const char * const bad[] = {
		"", " ", "in", "out ", "pick", "pick who", "pick who=", "pick who=1", "pick who=a b", "pick who='a", "pick =a", "in =0 who=a",
		"=0", "=9 who=a b", "=x who=a", "-", "- pick", "-0 x", "pick/ who=a", "turn x=1", "pick who=a budget_us=0",
		"pick who=a budget_us=1000001", "pick who=a budget_us=x", "pick who=a\nturn\n", "=0 who=1", "=0 who=", "bpf:", "pick who=a\tb\1",
	};
	static const char line[] = "index=0\tdir=out\tname=pick\tseen=0\tpassed=0\tdisabled=0\tbudget_us=5\twho=a b\n";
	char name[KECHO_FILTER_NAME_MAX + 8];
	u32 i;

	assert_int_equal(write(0, " pick\twho='a b'  budget_us=5\n"), 0);
	assert_int_equal(changes, 1);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (write(0, bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_string_equal(shown(0), line);
	assert_int_equal(write(0, "nothing"), -ENOENT);
	assert_int_equal(write(0, "out bpf:/nothing"), -ENOENT);
	assert_int_equal(write(0, "-1"), -ENOENT);
	assert_int_equal(write(0, "-nothing"), -ENOENT);
	assert_int_equal(write(0, "-bpf:/nothing"), -ENOENT);
	assert_int_equal(write(0, "=1 who=a"), -ENOENT);
	memset(name, 'x', sizeof(name));
	memcpy(name, "bpf:/", 5);
	name[KECHO_FILTER_NAME_MAX] = 0;
	assert_int_equal(write(0, name), -ENOENT);
	name[KECHO_FILTER_NAME_MAX] = 'x';
	name[KECHO_FILTER_NAME_MAX + 1] = 0;
	assert_int_equal(write(0, name), -EINVAL);
	assert_int_equal(changes, 1);
	for (i = 1; i < KECHO_FILTERS_MAX; i++)
		assert_int_equal(write(0, i % 2 ? "in turn" : "turn"), 0);
	assert_int_equal(write(0, "turn"), -ENOSPC);
	assert_int_equal(ch[0]->nin, 32);
	assert_int_equal(ch[0]->nout, 32);
	assert_int_equal(write(0, "-63"), 0);
	assert_int_equal(write(0, "turn"), 0);
	assert_int_equal(write(0, "-63"), 0);
	assert_int_equal(write(0, "-63"), -ENOENT);
}

/* --- those that take too long --- */

static void budget(void **state)
{
	u32 i;

	sink(0, 0, NULL);
	assert_int_equal(write(0, "in slow ns=10000000"), 0);
	assert_int_equal(write(0, "in pick who=a"), 0);
	for (i = 0; i < 2 * KECHO_BUDGET_OVERRUNS; i++)
		publish(0, "in time");
	assert_int_equal(changes, 2);
	/* Not three times in a row. */
	for (i = 0; i < 10; i++) {
		assert_int_equal(write(0, i % KECHO_BUDGET_OVERRUNS ? "=0 ns=10000001" : "=0 ns=0"), 0);
		publish(0, "sometimes");
	}
	assert_int_equal(changes, 2 + 10);
	assert_int_equal(write(0, "=0 ns=10000001"), 0);
	for (i = 1; i < KECHO_BUDGET_OVERRUNS; i++)
		publish(0, "late");
	said[0] = 0;
	assert_string_equal(shown(0), "index=0\tdir=in\tname=slow\tseen=18\tpassed=18\tdisabled=0\tns=10000001\n"
				      "index=1\tdir=in\tname=pick\tseen=18\tpassed=0\tdisabled=0\twho=a\n");
	assert_int_equal(changes, 2 + 11);
	publish(0, "late once too often");
	assert_int_equal(changes, 2 + 12);
#ifndef __KERNEL__
	assert_non_null(strstr(said, "channel c: filter slow took 10000001 ns of the 10000 us it has, and too long 3 times in a row: disabled"));
#endif
	/* It is not run any more, the others are. */
	publish(0, "without it");
	assert_string_equal(shown(0), "index=0\tdir=in\tname=slow\tseen=19\tpassed=19\tdisabled=1\tns=10000001\n"
				      "index=1\tdir=in\tname=pick\tseen=20\tpassed=0\tdisabled=0\twho=a\n");
	/* New arguments are a new chance. */
	assert_int_equal(write(0, "=0 budget_us=10001"), 0);
	for (i = 0; i < KECHO_BUDGET_OVERRUNS; i++)
		publish(0, "in time again");
	assert_string_equal(shown(0), "index=0\tdir=in\tname=slow\tseen=22\tpassed=22\tdisabled=0\tbudget_us=10001\tns=10000001\n"
				      "index=1\tdir=in\tname=pick\tseen=23\tpassed=0\tdisabled=0\twho=a\n");
	assert_int_equal(write(0, "=0 ns=10001001"), 0);
	for (i = 0; i < KECHO_BUDGET_OVERRUNS; i++)
		publish(0, "late again");
	assert_non_null(strstr(shown(0), "seen=25\tpassed=25\tdisabled=1\tbudget_us=10001\tns=10001001\n"));
	assert_string_equal(got(0, 0), "");
	/* The only one, disabled, passes everything. */
	assert_int_equal(write(0, "-1"), 0);
	publish(0, "all");
	assert_string_equal(got(0, 0), "all ");
}

static void mean(void **state)
{
	struct kecho_text t = { 0 };

	sink(1, 0, NULL);
	assert_int_equal(write(0, "slow ns=3000"), 0);
	publish(0, "x");
	assert_int_equal(write(0, "=0 ns=1000"), 0);
	publish(0, "x");
	kecho_show_filter(&t, ch[0]);
	kecho_text_append(&t, "", 1);
	assert_string_equal(t.buf, "index=0\tdir=out\tname=slow\tseen=2\tpassed=2\tmean_ns=2000\tdisabled=0\tns=1000\n");
	kecho_text_free(&t);
	assert_string_equal(got(1, 0), "x x ");
}

/* --- without memory --- */

/* What is added is there or is not; each event comes as it would with the filters that are there, or is lost, and counted. */
static void scenario(struct kecho_channel *gates)
{
	bool picks, turns, gated;
	u64 lost = ch[1]->lost;
	const char *is;
	int n;

	picks = !write(1, "in pick who=a");
	turns = !write(1, "in turn");
	gated = !write(1, "in gate");
	assert_int_equal(ch[1]->nin, picks + turns + gated);
	assert_int_equal(gates->nsinks, gated);
	n = publish_to(ch[1], "ab");
	is = got(1, 0);
	assert_true(!strcmp(is, "") || !strcmp(is, "ab ") || (turns && !strcmp(is, "turned:ba ")));
	assert_true(gated ? !*is : *is || n < 0 || ch[1]->lost == lost + 1);
	is = got(1, 1);
	assert_true(!*is || !picks);
	if (picks && write(1, "=0 who=b"))
		assert_non_null(strstr(shown(1), "who=a\n"));
	assert_int_equal(write(1, "-pick"), picks ? 0 : -ENOENT);
	assert_int_equal(write(1, "-turn"), turns ? 0 : -ENOENT);
	assert_int_equal(write(1, "-gate"), gated ? 0 : -ENOENT);
	assert_int_equal(ch[1]->nin, 0);
	assert_int_equal(gates->nsinks, 0);
	assert_int_equal(attached, detached);
}

static void without_memory(void **state)
{
	struct kecho_channel *gates = join(1, "gates");
	int n;

	sink(1, 0, "a");
	sink(1, 1, NULL);
	for (n = 0; ; n++) {
		kecho_fail_alloc = n;
		scenario(gates);
		if (kecho_fail_alloc >= 0)
			break;
	}
	kecho_fail_alloc = -1;
	print_message("%d allocations\n", n);
	assert_true(n > 20);
	kecho_channel_leave(gates, sim.now);
}

/* Nor is there any for who may receive an event: it is lost for all, and counted. */
static void without_scratch(void **state)
{
	sink(1, 0, "a");
	sink(0, 0, "a");
	assert_int_equal(write(0, "in pick who=a"), 0);
	assert_int_equal(write(0, "out pick who=a"), 0);
	kecho_fail_alloc = 1;
	assert_int_equal(publish(0, "1"), 1);	/* those here, with the second try */
	assert_int_equal(atomic64_read(&sim.n[0].node.stats.lost_link), 1);
	assert_int_equal(publish(0, "2"), 2);
	assert_string_equal(got(0, 0), "1 2 ");
	assert_string_equal(got(1, 0), "2 ");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
	T(out), T(in), T(several), T(sink_gone), T(rewrite), T(rewrite_fails), T(rewrite_block), T(watch), T(grammar),
	T(budget), T(mean), T(without_memory), T(without_scratch),
};
UNIT_SUITE(filter_chain, tests)
