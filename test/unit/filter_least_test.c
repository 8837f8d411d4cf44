// SPDX-License-Identifier: GPL-2.0
/* The filter least. */
#include "filters.h"
#include "../../filters/least.c"

/* How often each candidate was kept in @events events. */
static u32 share[FILTERS_MAX];

static void count(u32 events)
{
	u32 i;

	memset(share, 0, sizeof(share));
	while (events--) {
		filters_run();
		for (i = 0; i < filters.n; i++)
			share[i] += filters.kept[i];
	}
}

static void smallest(void **state)
{
	assert_int_equal(filters_write("out least attr=load"), 0);
	filters_event("", "", "");
	filters_candidates("2 load=0.7\n3 load=-0.5\n4 load=-1.5\n5 load=0.1\n6/3 load=0.2 | load=-9");
	assert_string_equal(filters_run(), "4");
	assert_int_equal(filters_write("=0 n=3"), 0);
	assert_string_equal(filters_run(), "3 4 5");
	assert_int_equal(filters_write("=0 n=1024"), 0);
	assert_string_equal(filters_run(), "2 3 4 5 6/3");
	assert_int_equal(filters_write("=0 n=2 attr=free"), 0);
	assert_string_equal(filters_run(), "");
}

static void without(void **state)
{
	assert_int_equal(filters_write("out least attr=load n=9"), 0);
	filters_event("", "", "");
	filters_candidates("");
	assert_string_equal(filters_run(), "");
	filters_candidates("2\n3 load=5\n4 load=busy\n5 load=\"1\"\n6/2 x=1 | load=7\n6/3 load=high | load=7\n7 loads=1\n8 loa=1");
	assert_string_equal(filters_run(), "3 6/2");
	filters_candidates("2\n4 load=busy");
	assert_string_equal(filters_run(), "");
}

static void extremes(void **state)
{
	assert_int_equal(filters_write("out least attr=v"), 0);
	filters_event("", "", "");
	filters_candidates("2 v=9223372036854775807\n3 v=9223372036854775806\n4 v=9223372036.854775807");
	assert_string_equal(filters_run(), "4");
	filters_candidates("2 v=9223372036854775807\n3 v=9223372036854775806");
	assert_string_equal(filters_run(), "3");
	filters_candidates("2 v=-9223372036854775807\n3 v=-9223372036.854775808\n4 v=-9223372036854775808\n5 v=0");
	assert_string_equal(filters_run(), "4");
	filters_candidates("2 v=16000000001\n3 v=16000000000\n4 v=16000000002");
	assert_string_equal(filters_run(), "3");
	filters_candidates("2 v=5\n3 v=4.999999999\n4 v=5.000000001");
	assert_string_equal(filters_run(), "3");
	filters_candidates("2 v=0.0\n3 v=-0.000000001\n4 v=0");
	assert_string_equal(filters_run(), "3");
}

static void n_of_event(void **state)
{
	static const struct {
		const char *attrs, *left;
	} cases[] = {
		{ "n=3", "2 4 5" }, { "n=1", "4" }, { "n=0", "4" }, { "n=-5", "4" }, { "n=-9223372036854775808", "4" },
		{ "n=9223372036854775807", "2 3 4 5" }, { "n=1025", "2 3 4 5" }, { "n=x", "2 4" }, { "n=3.0", "2 4" },
		{ "n=\"3\"", "2 4" }, { "m=3", "2 4" }, { "", "2 4" },
	};
	u32 i;

	assert_int_equal(filters_write("out least attr=load n=2"), 0);
	filters_candidates("2 load=2\n3 load=4\n4 load=1\n5 load=3");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		filters_event("", cases[i].attrs, "");
		assert_string_equal(filters_run(), cases[i].left);
	}
}

static void maxage(void **state)
{
	assert_int_equal(filters_write("in least attr=load n=9 maxage=2"), 0);
	filters_event("", "", "");
	filters_candidates("1 load=1\n2 @2001 load=1\n3 @2000 load=1\n4 load=1");
	assert_string_equal(filters_run(), "1 3 4");
	filters.now++;
	assert_string_equal(filters_run(), "1 4");
	filters.now += 2 * (u64)NSEC_PER_SEC;
	assert_string_equal(filters_run(), "1");
	assert_int_equal(filters_write("=0 maxage=2.001000002"), 0);
	assert_string_equal(filters_run(), "1 4");
	assert_int_equal(filters_write("=0 maxage=9223372036"), 0);
	assert_string_equal(filters_run(), "1 2 3 4");
	assert_int_equal(filters_write("=0 maxage="), 0);
	filters.now += 1000000 * (u64)NSEC_PER_SEC;
	assert_string_equal(filters_run(), "1 2 3 4");
}

static void ties_rotate(void **state)
{
	u32 i;

	assert_int_equal(filters_write("out least attr=load"), 0);
	filters_event("", "", "");
	filters_candidates("2 load=0\n3 load=0.0\n4 load=1\n5/1 load=0\n5/2 load=0");
	for (i = 0; i < 25; i++) {
		count(4);
		assert_int_equal(share[0], 1);
		assert_int_equal(share[1], 1);
		assert_int_equal(share[2], 0);
		assert_int_equal(share[3], 1);
		assert_int_equal(share[4], 1);
	}
	/* Only the last place is shared. */
	filters_event("", "n=2", "");
	filters_candidates("2 load=3\n3 load=1\n4 load=3\n5 load=3\n6 load=4");
	count(300);
	assert_int_equal(share[1], 300);
	assert_int_equal(share[4], 0);
	for (i = 0; i < 4; i++)
		assert_true(i == 1 || (share[i] >= 99 && share[i] <= 101));
	/* Who was not picked last time is picked now; who else is drawn. */
	filters_candidates("2 load=3\n3 load=3\n4 load=3");
	count(300);
	assert_int_equal(share[0] + share[1] + share[2], 600);
	for (i = 0; i < 3; i++)
		assert_true(share[i] > 170 && share[i] < 230);
}

/* Who is equal changes from event to event; nobody is forgotten. */
static void ties_that_change(void **state)
{
	u32 total[5] = { 0 }, i, j;

	assert_int_equal(filters_write("out least attr=load"), 0);
	filters_event("", "", "");
	for (i = 0; i < 300; i++) {
		static const char * const loads[] = {
			"2 load=0\n3 load=0\n4 load=1\n5 load=1", "2 load=1\n3 load=1\n4 load=0\n5 load=0",
			"2 load=0\n3 load=1\n4 load=1\n5 load=1",
		};

		filters_candidates(loads[i % 3]);
		filters_run();
		for (j = 0; j < 4; j++)
			total[j] += filters.kept[j];
	}
	assert_int_equal(total[0] + total[1], 200);
	assert_true(total[1] > 40);
	assert_int_equal(total[2], 50);
	assert_int_equal(total[3], 50);
}

/* Two that share a place in the table of turns share what it gets. */
static void ties_of_a_place(void **state)
{
	struct kecho_candidate a = { .node = 2 }, b = { .node = 3 };
	struct state *s;
	char line[40];

	assert_int_equal(filters_write("out least attr=load"), 0);
	filters_event("", "", "");
	s = filters.f->state;
	while (picked(s, &a) != picked(s, &b))
		b.node++;
	filters_candidates("2 load=0");
	filters_candidate(line, snprintf(line, sizeof(line), "%llu load=0", (unsigned long long)b.node));
	count(1000);
	assert_int_equal(share[0] + share[1], 1000);
	assert_true(share[0] > 400 && share[1] > 400);
}

static u64 rng = 42;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 32) % n;
}

static void check_least(u32 n, u32 have)
{
	struct kecho_attr a, most = { 0 }, least = { 0 };
	u32 i, kept = 0;

	filters_run();
	for (i = 0; i < filters.n; i++) {
		if (!kecho_candidate_attr(&filters.all[i], "load", &a)) {
			assert_false(filters.kept[i]);
		} else if (filters.kept[i]) {
			if (!kept++ || kecho_attr_cmp(&a, &most) > 0)
				most = a;
		} else if (!least.type || kecho_attr_cmp(&a, &least) < 0) {
			least = a;
		}
	}
	assert_int_equal(kept, min(n, have));
	assert_true(!kept || !least.type || kecho_attr_cmp(&most, &least) <= 0);
}

static void many(void **state)
{
	static const u32 ns[] = { 1, 2, 3, 7, 64, 239, 240, 241, 1024 };
	char line[80];
	u32 round, i;

	assert_int_equal(filters_write("out least attr=load"), 0);
	for (round = 0; round < 20; round++) {
		filters_candidates("");
		for (i = 0; i < 300; i++) {
			u32 values = round % 2 ? 10 : 1000000;
			int len = snprintf(line, sizeof(line), "%u/%u", 2 + i / 3, i % 3);

			if (i % 5)
				len += snprintf(line + len, sizeof(line) - len, " load=%d.%u", (int)rnd(values) - 5, rnd(2));
			filters_candidate(line, len);
		}
		for (i = 0; i < ARRAY_SIZE(ns); i++) {
			snprintf(line, sizeof(line), "n=%u", ns[i]);
			filters_event("", line, "");
			check_least(ns[i], 240);
		}
	}
}

static void refused(void **state)
{
	assert_refused("out least", "of what?");
	assert_refused("out least n=1", "of what?");
	assert_refused("out least attr=5", "attr= takes");
	assert_refused("out least attr=''", "attr= takes");
	assert_refused("out least attr=a2345678901234567890123456789012345678901234567890123456789012345", "attr= takes");
	assert_int_equal(filters_write("out least attr=a234567890123456789012345678901234567890123456789012345678901234"), 0);
	assert_refused("out least attr=load n=0", "n= takes");
	assert_refused("out least attr=load n=1025", "n= takes");
	assert_refused("out least attr=load n=1.0", "n= takes");
	assert_refused("out least attr=load n=two", "n= takes");
	assert_refused("out least attr=load maxage=0", "maxage= takes");
	assert_refused("out least attr=load maxage=-1.5", "maxage= takes");
	assert_refused("out least attr=load maxage=long", "maxage= takes");
	assert_refused("out least attr=load from=1", "from= takes");
	assert_refused("out least attr=load of=x", "takes attr=NAME");
	assert_refused("=0 n=0", "n= takes");
	assert_int_equal(filters_write("out least attr=load from=elsewhere"), -ENOENT);
}

/* --- from another channel --- */

static void publish(const char *attrs)
{
	struct kecho_attrs *a = filters_attrs(attrs, attrs + strlen(attrs));
	struct kecho_msg *msg = kecho_event_alloc("", a, 0, GFP_KERNEL);

	assert_non_null(msg);
	assert_int_equal(kecho_channel_publish(filters.other, msg, 1, NULL), 1);
	kecho_msg_put(msg);
	kecho_attrs_put(a);
}

static void from(void **state)
{
	filters_join("loads");
	assert_int_equal(filters_write("out least attr=load n=2 from=loads maxage=10"), 0);
	filters_event("", "", "");
	filters_candidates("1 load=0\n2 load=0\n3 load=0\n4/1 load=0\n4/2 load=0\n5 load=0");
	assert_string_equal(filters_run(), "");
	publish("load=0.5");
	assert_string_equal(filters_run(), "1");
	filters_hear(5, "load=0.3");
	filters_hear(3, "load=0.2");
	filters_hear(2, "load=0.4");
	assert_string_equal(filters_run(), "3 5");
	filters_hear(4, "load=0.1");
	assert_string_equal(filters_run(), "4/1 4/2");
	filters_hear(4, "loads=7");
	filters_hear(4, "load=idle");
	assert_string_equal(filters_run(), "4/1 4/2");
	filters.now += 10 * (u64)NSEC_PER_SEC;
	filters_hear(5, "load=6");
	assert_string_equal(filters_run(), "4/1 4/2");
	filters.now++;
	assert_string_equal(filters_run(), "5");
	publish("load=0.5");
	assert_string_equal(filters_run(), "1 5");
	assert_int_equal(filters_write("=0 n=1 maxage="), 0);
	assert_refused("=0 attr=free", "stay");
	assert_refused("=0 from=", "stay");
	assert_refused("=0 from=c", "stay");
	assert_true(!strcmp(filters_run(), "4/1") || !strcmp(filters.text, "4/2"));
	assert_int_equal(filters_write("-0"), 0);
	assert_int_equal(filters_write("out least attr=load"), 0);
	assert_refused("=0 from=loads", "stay");
}

/* As many nodes as a channel can have, then others: who has said nothing for the longest time is forgotten. */
static void from_many(void **state)
{
	struct state *s;
	char line[40];
	u32 i;

	filters_join("loads");
	assert_int_equal(filters_write("out least attr=load from=loads"), 0);
	s = filters.f->state;
	for (i = 0; i < KECHO_MEMBERS_MAX + 100; i++) {
		filters.now++;
		snprintf(line, sizeof(line), "load=%u", i);
		filters_hear(5000 - (i * 7) % 2048, line);
	}
	assert_int_equal(s->nsaid, KECHO_MEMBERS_MAX);
	for (i = 1; i < s->nsaid; i++)
		assert_true(s->said[i - 1].node < s->said[i].node);
	filters_event("", "n=1024", "");
	filters_candidates("");
	for (i = 0; i < KECHO_MEMBERS_MAX + 100; i++)
		filters_candidate(line, snprintf(line, sizeof(line), "%u", 5000 - (i * 7) % 2048));
	filters_run();
	for (i = 0; i < filters.n; i++)
		assert_int_equal(filters.kept[i], i >= 100);
	filters_event("", "", "");
	filters_run();
	assert_true(filters.kept[100]);
	assert_int_equal(filters.pass.n, 1);
}

static bool heard_enough;

static void *hears(void *arg)
{
	struct kecho_event ev;
	u32 i;

	kecho_event_view(&ev, arg);
	for (i = 0; !READ_ONCE(heard_enough); i++) {
		ev.publisher = 2 + i % 8;
		filters.f->ops->heard(filters.f, &ev);
	}
	return NULL;
}

/* For TSan: events are heard while others pass and the arguments change. */
static void from_at_once(void **state)
{
	static const char load[] = "load=1";
	struct kecho_attrs *a = filters_attrs(load, load + strlen(load));
	struct kecho_msg *msg;
	pthread_t thread;
	char line[20];
	u32 i;

	filters_join("loads");
	assert_int_equal(filters_write("out least attr=load from=loads n=1"), 0);
	filters_event("", "", "");
	filters_candidates("2\n3\n4\n5\n6\n7\n8\n9");
	WRITE_ONCE(heard_enough, false);
	msg = filters_make(2, a);
	assert_int_equal(pthread_create(&thread, NULL, hears, msg), 0);
	for (i = 0; i < 200; i++) {
		filters_run();
		assert_true(filters.pass.n <= 1 + (i + 7) % 8);
		snprintf(line, sizeof(line), "=0 n=%u", 1 + i % 8);
		assert_int_equal(filters_write(line), 0);
	}
	/* Until all have been heard, too. */
	while (filters.pass.n < 8) {
		sched_yield();
		filters_run();
	}
	WRITE_ONCE(heard_enough, true);
	pthread_join(thread, NULL);
	kecho_msg_put(msg);
	kecho_attrs_put(a);
}

static void without_memory(void **state)
{
	long i;
	int err;

	filters_join("loads");
	for (i = 0; ; i++) {
		kecho_fail_alloc = i;
		err = filters_write("out least attr=load from=loads");
		if (kecho_fail_alloc >= 0)
			break;
		assert_int_equal(err, -ENOMEM);
	}
	kecho_fail_alloc = -1;
	assert_int_equal(err, 0);
	assert_true(i > 4);
}

static const struct CMUnitTest tests[] = {
	filters_test(smallest),
	filters_test(without),
	filters_test(extremes),
	filters_test(n_of_event),
	filters_test(maxage),
	filters_test(ties_rotate),
	filters_test(ties_that_change),
	filters_test(ties_of_a_place),
	filters_test(many),
	filters_test(refused),
	filters_test(from),
	filters_test(from_many),
	filters_test(from_at_once),
	filters_test(without_memory),
};

UNIT_SUITE(filter_least, tests)
