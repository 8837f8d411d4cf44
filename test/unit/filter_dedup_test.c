// SPDX-License-Identifier: GPL-2.0
/* The filter dedup. */
#include "filters.h"
#include "../../filters/dedup.c"

/* An answer with re=@re: does it pass? */
static bool first(const char *re)
{
	char attrs[300];

	snprintf(attrs, sizeof(attrs), "re=%s", re);
	filters_event("", attrs, "");
	return filters_run()[0];
}

static bool first_number(u32 n)
{
	char re[16];

	snprintf(re, sizeof(re), "%u", n);
	return first(re);
}

static void first_passes(void **state)
{
	assert_int_equal(filters_write("in dedup"), 0);
	filters_candidates("1/2\n1/3");
	assert_true(first("a.1"));
	assert_string_equal(filters.text, "1/2 1/3");
	assert_false(first("a.1"));
	assert_true(first("a.2"));
	assert_true(first("b.1"));
	assert_false(first("a.1"));
	assert_false(first("a.2"));
	filters_event("", "ree=1", "");
	assert_string_equal(filters_run(), "1/2 1/3");
	assert_string_equal(filters_run(), "1/2 1/3");
}

/* What differs by type, by the last byte or by length is different. */
static void values(void **state)
{
	static const char * const all[] = {
		"1", "1.0", "\"1\"", "-1", "0", "\"0\"", "\"\"", "12345678", "\"12345678\"", "a", "aa", "aaaaaaaa", "aaaaaaaaa", "aaaaaaab",
		"aaaaaaaab", "9223372036854775807", "-9223372036854775808",
	};
	u32 i;

	assert_int_equal(filters_write("out dedup"), 0);
	filters_candidates("2");
	for (i = 0; i < ARRAY_SIZE(all); i++)
		assert_true(first(all[i]));
	for (i = 0; i < ARRAY_SIZE(all); i++)
		assert_false(first(all[i]));
}

static void most_recent(void **state)
{
	u32 i;

	assert_int_equal(filters_write("in dedup size=3"), 0);
	filters_candidates("1/2");
	for (i = 0; i < 3; i++)
		assert_true(first_number(i));
	assert_false(first_number(0));
	assert_true(first_number(3));
	/* The first is forgotten, and being asked for did not help it; and so it comes in place of the second. */
	assert_true(first_number(0));
	assert_false(first_number(2));
	assert_false(first_number(3));
	assert_true(first_number(1));
}

static void all_that_it_can_hold(void **state)
{
	u32 i;

	assert_int_equal(filters_write("in dedup size=8192"), 0);
	filters_candidates("1/2");
	for (i = 0; i < 20000; i++)
		assert_true(first_number(i));
	for (i = 20000 - 8192; i < 20000; i++)
		assert_false(first_number(i));
	assert_true(first_number(20000 - 8193));
}

static void forgets(void **state)
{
	assert_int_equal(filters_write("in dedup forget=0.5"), 0);
	filters_candidates("1/2");
	assert_true(first("a"));
	filters.now += 300 * NSEC_PER_MSEC;
	assert_true(first("b"));
	filters.now += 199 * NSEC_PER_MSEC;
	assert_false(first("a"));
	filters.now += NSEC_PER_MSEC;
	assert_true(first("a"));
	assert_false(first("b"));
}

/* New parameters, and it still knows. */
static void remembers(void **state)
{
	u32 i;

	assert_int_equal(filters_write("in dedup size=4"), 0);
	filters_candidates("1/2");
	for (i = 0; i < 4; i++)
		assert_true(first_number(i));
	assert_int_equal(filters_write("=0 size=100 forget=1000000"), 0);
	for (i = 0; i < 4; i++)
		assert_false(first_number(i));
	assert_int_equal(filters_write("=0 size=2"), 0);
	assert_true(first_number(4));
	assert_false(first_number(3));
	assert_true(first_number(2));
	assert_int_equal(filters_write("=0 attr=id"), 0);
	assert_true(first_number(4));
	filters_event("", "id=4", "");
	assert_string_equal(filters_run(), "");
}

static void refused(void **state)
{
	assert_refused("in dedup size=0", "takes attr=NAME");
	assert_refused("in dedup size=8193", "size=1 to 8192");
	assert_refused("in dedup size=1.5", "takes attr=NAME");
	assert_refused("in dedup forget=0", "takes attr=NAME");
	assert_refused("in dedup forget=-1", "takes attr=NAME");
	assert_refused("in dedup forget=1000000001", "takes attr=NAME");
	assert_refused("in dedup forget=never", "takes attr=NAME");
	assert_refused("in dedup attr=1", "takes attr=NAME");
	assert_refused("in dedup nothing=1", "takes attr=NAME");
	assert_null(filters.f);
}

static const struct CMUnitTest tests[] = {
	filters_test(first_passes),
	filters_test(values),
	filters_test(most_recent),
	filters_test(all_that_it_can_hold),
	filters_test(forgets),
	filters_test(remembers),
	filters_test(refused),
};

UNIT_SUITE(filter_dedup, tests)
