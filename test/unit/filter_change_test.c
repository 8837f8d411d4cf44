// SPDX-License-Identifier: GPL-2.0
/* The filter change. */
#include "filters.h"
#include "../../lib/attr/attr.h"
#include "../../filters/change.c"

static bool passes(const char *attrs)
{
	filters_event("", attrs, "");
	filters_run();
	assert_true(!filters.pass.n || filters.pass.n == filters.n);
	return filters.pass.n;
}

static void moves(void **state)
{
	assert_int_equal(filters_write("out change attr=load by=0.25"), 0);
	filters_candidates("2\n3/1");
	assert_true(passes("load=1"));
	assert_false(passes("load=1"));
	assert_false(passes("load=1.249999999"));
	assert_false(passes("load=0.750000001"));
	/* Not by little steps either: what counts is the last that passed. */
	assert_false(passes("load=1.2"));
	assert_true(passes("load=1.25"));
	assert_false(passes("load=1.0001"));
	assert_true(passes("load=1"));
	assert_true(passes("load=-10"));
	assert_false(passes("load=-10.2"));
	assert_true(passes("load=-10.250"));
	assert_int_equal(filters_write("=0 by=1"), 0);
	assert_false(passes("load=-9.26"));
	assert_true(passes("load=-9.25"));
	filters_candidates("");
	passes("load=100");
}

static void passes_unasked(void **state)
{
	assert_int_equal(filters_write("in change attr=load by=1"), 0);
	filters_candidates("1/4");
	assert_true(passes(""));
	assert_true(passes("load=5"));
	assert_true(passes(""));
	assert_true(passes("load=high"));
	assert_true(passes("load=\"9\""));
	assert_true(passes("loads=9"));
	assert_false(passes("load=5"));
	assert_true(passes("load=6"));
}

static void each_publisher(void **state)
{
	assert_int_equal(filters_write("in change attr=load by=1"), 0);
	filters_candidates("1/4");
	filters.publisher = 7;
	assert_true(passes("load=5"));
	filters.publisher = 3;
	assert_true(passes("load=5"));
	assert_false(passes("load=5.5"));
	filters.publisher = 7;
	assert_false(passes("load=5.9"));
	assert_true(passes("load=6"));
	filters.publisher = 3;
	assert_false(passes("load=5.9"));
}

static void by_how_much(void **state)
{
	static const struct {
		const char *by, *from, *to;
		bool passes;
	} cases[] = {
		{ "1", "9223372036854775806", "9223372036854775807", true },
		{ "2", "9223372036854775806", "9223372036854775807", false },
		{ "9223372036854775807", "-9223372036854775808", "9223372036854775807", true },
		{ "9223372036854775807", "9223372036854775807", "-9223372036854775808", true },
		{ "9223372036854775807", "1", "-9223372036854775807", true },
		{ "9223372036854775807", "0", "-9223372036854775806", false },
		{ "9223372036854775807", "0", "-9223372036854775807", true },
		{ "0.000000001", "9223372036854775806", "9223372036854775807", true },
		{ "1.000000001", "9223372036854775806", "9223372036854775807", false },
		{ "9223372036.854775807", "0", "9223372036", false },
		{ "9223372036.854775807", "0", "9223372037", true },
		{ "9223372036.854775807", "0", "9223372036854775807", true },
		{ "9223372036.854775807", "-9223372036.854775808", "9223372036.854775807", true },
		{ "18446744073", "-9223372036.854775808", "9223372036.854775807", true },
		{ "18446744074", "-9223372036.854775808", "9223372036.854775807", false },
		{ "9223372036854775807", "-9223372036.854775808", "9223372036.854775807", false },
		{ "1", "1.5", "2", false },
		{ "1", "1.5", "2.5", true },
		{ "1", "2", "1.000000001", false },
		{ "1", "2", "1.0", true },
		{ "0.5", "2", "1.5", true },
		{ "0.500000001", "1.5", "2", false },
		/* An integer too large for a decimal stands for the largest. */
		{ "1", "9223372036.0", "9223372037", false },
		{ "1", "9223372035.0", "9223372036854775807", true },
		{ "1000000000", "-9223372036854775808", "0.5", true },
	};
	struct kecho_attr by, a, b;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		kecho_attr_parse_value(&by, cases[i].by, strlen(cases[i].by));
		kecho_attr_parse_value(&a, cases[i].from, strlen(cases[i].from));
		kecho_attr_parse_value(&b, cases[i].to, strlen(cases[i].to));
		if (moved(&a, &b, &by) != cases[i].passes || moved(&b, &a, &by) != cases[i].passes)
			fail_msg("from %s to %s by %s", cases[i].from, cases[i].to, cases[i].by);
	}
}

/* More publishers than are remembered: the first of one is passed again, and nobody else's is. */
static void many(void **state)
{
	struct state *s;
	u32 i;

	assert_int_equal(filters_write("in change attr=load by=1"), 0);
	filters_candidates("");
	for (i = 0; i < 300; i++)
		filters_candidate("1/4", 3);
	for (i = 0; i < KECHO_MEMBERS_MAX; i++) {
		filters.now++;
		filters.publisher = 5000 - (i * 7) % 2048;
		assert_true(passes("load=5"));
		assert_false(passes("load=5.5"));
	}
	filters.publisher = 1;
	assert_true(passes("load=5"));
	filters.publisher = 9999;
	assert_true(passes("load=5"));
	s = filters.f->state;
	assert_int_equal(s->n, KECHO_MEMBERS_MAX);
	for (i = 1; i < s->n; i++)
		assert_true(s->last[i - 1].node < s->last[i].node);
	for (i = 2; i < KECHO_MEMBERS_MAX; i++) {
		filters.publisher = 5000 - (i * 7) % 2048;
		assert_false(passes("load=5.5"));
	}
	filters.publisher = 5000;
	assert_true(passes("load=5"));
}

static void refused(void **state)
{
	assert_refused("out change", "the change of what");
	assert_refused("out change attr=load", "by how much?");
	assert_refused("out change by=1", "the change of what");
	assert_refused("out change attr=1 by=1", "attr= takes");
	assert_refused("out change attr='' by=1", "attr= takes");
	assert_refused("out change attr=load by=0", "by= takes");
	assert_refused("out change attr=load by=0.0", "by= takes");
	assert_refused("out change attr=load by=-1", "by= takes");
	assert_refused("out change attr=load by=much", "by= takes");
	assert_refused("out change attr=load by=1 n=1", "takes attr=NAME by=D");
	assert_int_equal(filters_write("out change attr=load by=1"), 0);
	assert_refused("=0 attr=free", "stays as it is");
	assert_refused("=0 by=0", "by= takes");
}

static const struct CMUnitTest tests[] = {
	filters_test(moves),
	filters_test(passes_unasked),
	filters_test(each_publisher),
	filters_test(by_how_much),
	filters_test(many),
	filters_test(refused),
};

UNIT_SUITE(filter_change, tests)
