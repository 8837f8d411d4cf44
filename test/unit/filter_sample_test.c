// SPDX-License-Identifier: GPL-2.0
/* The filter sample. */
#include "filters.h"
#include "../../filters/sample.c"

/* The clock of the bucket ticks so often. */
#define TICK	(1ull << TICK_SHIFT)

/* How many of @events, each @ns after the one before, pass. */
static u32 passed(u32 events, u64 ns)
{
	u32 n = 0;

	for (; events--; filters.now += ns) {
		filters_run();
		assert_true(!filters.pass.n || filters.pass.n == filters.n);
		n += !!filters.pass.n;
	}
	return n;
}

static int begin(const char *line)
{
	filters_event("", "", "");
	filters_candidates("1\n2\n3/1");
	return filters_write(line);
}

static void every(void **state)
{
	u32 i;

	assert_int_equal(begin("out sample every=3"), 0);
	for (i = 0; i < 30; i++)
		assert_string_equal(filters_run(), i % 3 ? "" : "1 2 3/1");
	assert_int_equal(passed(300, 0), 100);
	assert_int_equal(filters_write("=0 every=1"), 0);
	assert_int_equal(passed(10, 0), 10);
	assert_int_equal(filters_write("=0 every=9223372036854775807"), 0);
	assert_int_equal(passed(1000, 0), 1);
	/* It does not wait for what it was told before. */
	assert_int_equal(filters_write("=0 every=10"), 0);
	assert_int_equal(passed(100, 0), 10);
}

static void rate(void **state)
{
	assert_int_equal(begin("out sample rate=10"), 0);
	assert_int_equal(passed(50, 0), 10);
	filters.now += NSEC_PER_SEC + TICK;
	assert_int_equal(passed(50, 0), 10);
	/* 100 a second for 10 seconds, beginning with nothing in the bucket */
	assert_int_equal(passed(1000, NSEC_PER_SEC / 100), 99);
	/* fewer than it lets through */
	filters.now += NSEC_PER_SEC;
	assert_int_equal(passed(100, NSEC_PER_SEC / 9), 100);
	/* It does not save up. */
	filters.now += 1000 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(50, 0), 10);
	filters.now += ~0ull >> 2;
	assert_int_equal(passed(50, 0), 10);
	assert_int_equal(filters_write("=0 rate=3"), 0);
	filters.now += 1000 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(50, 0), 3);
}

static void burst(void **state)
{
	assert_int_equal(begin("out sample rate=10 burst=3"), 0);
	assert_int_equal(passed(50, 0), 3);
	filters.now += NSEC_PER_SEC / 10 - TICK;
	assert_int_equal(passed(5, 0), 0);
	filters.now += 2 * TICK;
	assert_int_equal(passed(5, 0), 1);
	assert_int_equal(filters_write("=0 burst=1"), 0);
	filters.now += 10 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(5, 0), 1);
	assert_int_equal(filters_write("=0 burst=2"), 0);
	/* Over a long time it is the rate, exactly. */
	assert_int_equal(passed(100000, NSEC_PER_MSEC), 999);
	assert_int_equal(filters_write("=0 burst=10000"), 0);
	filters.now += 1000 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(11000, 0), 10000);
}

static void slow_and_fast(void **state)
{
	u32 n;

	assert_int_equal(begin("in sample rate=0.1"), 0);
	assert_int_equal(passed(1000, NSEC_PER_SEC / 10), 10);
	filters.now += 10 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(10, 0), 1);
	assert_int_equal(filters_write("=0 rate=0.000000001"), 0);
	filters.now += 999999999 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(10, 0), 0);
	filters.now += 2 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(10, 0), 1);
	assert_int_equal(filters_write("=0 rate=2.5"), 0);
	filters.now += 10 * (u64)NSEC_PER_SEC;
	assert_int_equal(passed(10, 0), 2);
	assert_int_equal(filters_write("=0 rate=1000000 burst=1"), 0);
	filters.now += NSEC_PER_SEC;
	assert_int_equal(passed(1000, 1100), 1000);
	assert_int_equal(filters_write("=0 burst=2"), 0);
	filters.now += NSEC_PER_SEC;
	/* As fast as it can: never more than it may. */
	n = passed(10000, 100);
	assert_true(n > 990 && n <= 1001);
}

static void refused(void **state)
{
	assert_refused("out sample", "which events?");
	assert_refused("out sample every=2 rate=1", "which events?");
	assert_refused("out sample burst=1", "which events?");
	assert_refused("out sample every=2 burst=1", "which events?");
	assert_refused("out sample every=0", "every= takes");
	assert_refused("out sample every=-1", "every= takes");
	assert_refused("out sample every=1.5", "every= takes");
	assert_refused("out sample every=other", "every= takes");
	assert_refused("out sample rate=0", "rate= takes");
	assert_refused("out sample rate=0.0", "rate= takes");
	assert_refused("out sample rate=-1", "rate= takes");
	assert_refused("out sample rate=1000001", "rate= takes");
	assert_refused("out sample rate=9223372036854775807", "rate= takes");
	assert_refused("out sample rate=fast", "rate= takes");
	assert_refused("out sample rate=1 burst=0", "burst= takes");
	assert_refused("out sample rate=1 burst=10001", "burst= takes");
	assert_refused("out sample rate=1 burst=2.5", "burst= takes");
	assert_refused("out sample each=1", "takes every=K");
	assert_int_equal(begin("out sample every=2"), 0);
	assert_refused("=0 rate=1", "which events?");
	assert_int_equal(filters_write("=0 every= rate=1"), 0);
}

static const struct CMUnitTest tests[] = {
	filters_test(every),
	filters_test(rate),
	filters_test(burst),
	filters_test(slow_and_fast),
	filters_test(refused),
};

UNIT_SUITE(filter_sample, tests)
