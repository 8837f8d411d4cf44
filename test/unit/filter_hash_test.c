// SPDX-License-Identifier: GPL-2.0
/* The filter hash. */
#include "filters.h"
#include "../../filters/hash.c"

#define KEYS	1000

/* Which candidate each key goes to: its id. */
static u64 goes_to[2][KEYS];

static void give_all(u64 *to)
{
	char attrs[40];
	u32 i;

	for (i = 0; i < KEYS; i++) {
		snprintf(attrs, sizeof(attrs), "key=user-%u", i);
		filters_event("", attrs, "");
		filters_run();
		assert_int_equal(filters.pass.n, 1);
		to[i] = filters.pass.candidates[0]->node;
	}
}

static void fair_and_stable(void **state)
{
	u32 i, share[5] = { 0 }, moved = 0;

	assert_int_equal(filters_write("out hash key=key"), 0);
	filters_candidates("2\n3\n4\n5\n6");
	give_all(goes_to[0]);
	for (i = 0; i < KEYS; i++)
		share[goes_to[0][i] - 2]++;
	for (i = 0; i < 5; i++)
		assert_true(share[i] > KEYS / 5 * 3 / 4 && share[i] < KEYS / 5 * 5 / 4);

	/* The same, whatever their order and what they say. */
	filters_candidates("6 load=1\n4\n5\n2\n3");
	give_all(goes_to[1]);
	assert_memory_equal(goes_to[0], goes_to[1], sizeof(goes_to[0]));

	/* One that goes moves its own keys only. */
	filters_candidates("2\n3\n5\n6");
	give_all(goes_to[1]);
	for (i = 0; i < KEYS; i++) {
		assert_true(goes_to[1][i] != 4);
		assert_true(goes_to[0][i] == 4 || goes_to[0][i] == goes_to[1][i]);
	}

	/* One that comes takes its share, and nothing moves between the others. */
	filters_candidates("2\n3\n4\n5\n6\n7");
	give_all(goes_to[1]);
	for (i = 0; i < KEYS; i++) {
		assert_true(goes_to[1][i] == 7 || goes_to[0][i] == goes_to[1][i]);
		moved += goes_to[1][i] == 7;
	}
	assert_true(moved > KEYS / 6 * 3 / 4 && moved < KEYS / 6 * 5 / 4);
}

/* All publishers, on whatever machine, choose the same: what is chosen here is fixed. */
static void the_same_everywhere(void **state)
{
	struct kecho_candidate c = { .node = 77, .sink = 3 };

	assert_int_equal(digest((const u8 *)"", 0), 0);
	assert_true(digest((const u8 *)"abcdefghijk", 11) == 0xdddc8ab26b41f38eull);
	assert_true(weight(digest((const u8 *)"abc", 3), &c) == 0xd645a8ee0964ce58ull);
}

/* The candidate of an event with these attributes and payload. */
static u32 of(const char *attrs, const char *payload, u32 len)
{
	filters_event_bytes("", attrs, payload, len);
	filters_run();
	assert_int_equal(filters.pass.n, 1);
	return filters.pass.candidates[0] - filters.all;
}

static void candidates_300(void)
{
	char line[40];
	u32 i;

	filters_candidates("");
	for (i = 0; i < 300; i++)
		filters_candidate(line, snprintf(line, sizeof(line), "%u/%u", 2 + i / 3, i % 3));
}

static void keys(void **state)
{
	u32 a;

	assert_int_equal(filters_write("out hash key=k"), 0);
	candidates_300();
	a = of("k=5", "", 0);
	assert_int_equal(of("k=5 other=1", "payload", 7), a);
	assert_true(of("k=6", "", 0) != a);
	assert_true(of("k=-5", "", 0) != a);
	assert_true(of("k=5.0", "", 0) != a);
	assert_true(of("k=\"5\"", "", 0) != a);
	assert_true(of("k=9223372036854775807", "", 0) != of("k=-9223372036854775808", "", 0));
	assert_true(of("k=ab", "", 0) != of("k=abc", "", 0));
	assert_true(of("k=12345678x", "", 0) != of("k=12345678y", "", 0));
	assert_true(of("k=x2345678y", "", 0) != of("k=z2345678y", "", 0));
	/* Those without the key stay together. */
	a = of("", "", 0);
	assert_int_equal(of("kk=1", "x", 1), a);
	assert_int_equal(of("kk=2", "y", 1), a);
}

static void payload(void **state)
{
	static char big[100000];
	u32 a;

	assert_int_equal(filters_write("out hash key=payload"), 0);
	candidates_300();
	memset(big, 'x', sizeof(big));
	a = of("k=1", "12345678abcdefgh", 16);
	assert_int_equal(of("payload=2", "12345678abcdefgh", 16), a);
	assert_true(of("", "12345678abcdefgi", 16) != a);
	assert_true(of("", "12345678abcdefg", 15) != a);
	assert_true(of("", "", 0) != a);
	assert_true(of("", "\0", 1) != of("", "\0\0", 2));
	a = of("", big, sizeof(big));
	big[50001] = 'y';
	assert_true(of("", big, sizeof(big)) != a);
}

static void several(void **state)
{
	static bool one[300];
	u32 i;

	assert_int_equal(filters_write("out hash key=k n=1"), 0);
	candidates_300();
	of("k=5", "", 0);
	memcpy(one, filters.kept, sizeof(one));
	assert_int_equal(filters_write("=0 n=3"), 0);
	filters_run();
	assert_int_equal(filters.pass.n, 3);
	for (i = 0; i < 300; i++)
		assert_true(filters.kept[i] || !one[i]);
	assert_int_equal(filters_write("=0 n=64"), 0);
	filters_run();
	assert_int_equal(filters.pass.n, 64);
	filters_candidates("2\n3");
	assert_string_equal(filters_run(), "2 3");
	filters_candidates("");
	assert_string_equal(filters_run(), "");
}

static void refused(void **state)
{
	assert_refused("out hash", "by which key?");
	assert_refused("out hash n=2", "by which key?");
	assert_refused("out hash key=3", "key= takes");
	assert_refused("out hash key=''", "key= takes");
	assert_refused("out hash key=k n=0", "n= takes");
	assert_refused("out hash key=k n=65", "n= takes");
	assert_refused("out hash key=k n=two", "n= takes");
	assert_refused("out hash key=k of=3", "takes key=");
}

static const struct CMUnitTest tests[] = {
	filters_test(fair_and_stable),
	filters_test(the_same_everywhere),
	filters_test(keys),
	filters_test(payload),
	filters_test(several),
	filters_test(refused),
};

UNIT_SUITE(filter_hash, tests)
