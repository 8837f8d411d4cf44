// SPDX-License-Identifier: GPL-2.0
/* The filter roundrobin. */
#include "filters.h"
#include "../../filters/roundrobin.c"

#define assert_turns(...) do { \
		static const char * const want[] = { __VA_ARGS__ }; \
		u32 w; \
		for (w = 0; w < ARRAY_SIZE(want); w++) \
			assert_string_equal(filters_run(), want[w]); \
	} while (0)

static void in_turn(void **state)
{
	assert_int_equal(filters_write("out roundrobin"), 0);
	filters_event("", "", "");
	filters_candidates("");
	assert_turns("", "");
	/* By node and sink, in whatever order they come. */
	filters_candidates("9\n5/2\n5/10\n7\n18446744073709551615/4294967295");
	assert_turns("5/2", "5/10", "7", "9", "18446744073709551615/4294967295", "5/2", "5/10");
	filters_candidates("7\n9\n5/10\n5/2");
	assert_turns("7", "9", "5/2", "5/10", "7");
}

static void come_and_go(void **state)
{
	assert_int_equal(filters_write("out roundrobin"), 0);
	filters_event("", "", "");
	filters_candidates("3\n5\n7");
	assert_turns("3", "5");
	filters_candidates("3\n7");	/* 5, the last, has gone */
	assert_turns("7", "3");
	filters_candidates("3\n4\n7");
	assert_turns("4", "7");
	filters_candidates("");
	assert_turns("");
	filters_candidates("3\n4\n7\n8");
	assert_turns("8", "3");
	filters_candidates("2");
	assert_turns("2", "2");
	filters_candidates("2\n2/1");
	assert_turns("2/1", "2");
}

static void several(void **state)
{
	assert_int_equal(filters_write("in roundrobin n=2"), 0);
	filters_event("", "", "");
	filters_candidates("1/6\n1/4\n1/5\n1/8\n1/7");
	assert_turns("1/4 1/5", "1/6 1/7", "1/4 1/8", "1/6 1/5");
	assert_int_equal(filters_write("=0 n=1"), 0);
	assert_turns("1/7", "1/8", "1/4");
	assert_int_equal(filters_write("=0 n=64"), 0);
	assert_turns("1/6 1/4 1/5 1/8 1/7");
	filters_candidates("1/6");
	assert_turns("1/6", "1/6");
}

static void many(void **state)
{
	static u32 share[300];
	char line[40];
	u32 i, j;

	assert_int_equal(filters_write("out roundrobin n=7"), 0);
	filters_event("", "", "");
	filters_candidates("");
	memset(share, 0, sizeof(share));
	for (i = 0; i < 300; i++)
		filters_candidate(line, snprintf(line, sizeof(line), "%u/%u", 2 + (i * 7) % 100, i / 100));
	for (i = 0; i < 300; i++) {
		filters_run();
		assert_int_equal(filters.pass.n, 7);
		for (j = 0; j < 300; j++)
			share[j] += filters.kept[j];
	}
	for (j = 0; j < 300; j++)
		assert_int_equal(share[j], 7);
}

static void refused(void **state)
{
	assert_refused("out roundrobin n=0", "takes n=");
	assert_refused("out roundrobin n=65", "takes n=");
	assert_refused("out roundrobin n=1.0", "takes n=");
	assert_refused("out roundrobin n=all", "takes n=");
	assert_refused("out roundrobin m=1", "takes n=");
	assert_refused("out roundrobin n=1 num=1", "takes n=");
}

static const struct CMUnitTest tests[] = {
	filters_test(in_turn),
	filters_test(come_and_go),
	filters_test(several),
	filters_test(many),
	filters_test(refused),
};

UNIT_SUITE(filter_roundrobin, tests)
