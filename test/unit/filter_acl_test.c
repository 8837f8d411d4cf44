// SPDX-License-Identifier: GPL-2.0
/* The filter acl. */
#include "filters.h"
#include "../../filters/acl.c"

static bool passes_from(u64 publisher)
{
	filters.publisher = publisher;
	return filters_run()[0];
}

static void allow(void **state)
{
	assert_int_equal(filters_write("in acl allow=000000000000000b,ffffffffffffffff"), 0);
	filters_candidates("1/2\n1/3");
	assert_true(passes_from(11));
	assert_string_equal(filters.text, "1/2 1/3");
	assert_true(passes_from(U64_MAX));
	assert_false(passes_from(12));
	assert_false(passes_from(FILTERS_SELF));
}

static void deny(void **state)
{
	assert_int_equal(filters_write("in acl deny=000000000000000b"), 0);
	filters_candidates("1/2");
	assert_false(passes_from(11));
	assert_true(passes_from(12));
	assert_true(passes_from(FILTERS_SELF));
	assert_int_equal(filters_write("=0 deny= allow=000000000000000b"), 0);
	assert_true(passes_from(11));
	assert_false(passes_from(12));
}

/* Nobody is on the channel but this node: its name is "here". */
static void names(void **state)
{
	assert_int_equal(filters_write("in acl allow=there,here,000000000000000b"), 0);
	filters_candidates("1/2");
	assert_true(passes_from(FILTERS_SELF));
	assert_true(passes_from(11));
	assert_false(passes_from(12));
	assert_int_equal(filters_write("=0 allow=her,ere,here."), 0);
	assert_false(passes_from(FILTERS_SELF));
	assert_int_equal(filters_write("=0 allow= deny=there,000000000000000b"), 0);
	assert_true(passes_from(FILTERS_SELF));
	assert_false(passes_from(11));
	/* Who has left may have been there. */
	assert_false(passes_from(12));
	assert_int_equal(filters_write("=0 deny=here"), 0);
	assert_false(passes_from(FILTERS_SELF));
}

static void as_many_as_fit(void **state)
{
	char line[300] = "in acl allow=";
	u32 i;

	filters_candidates("1/2");
	for (i = 0; i < 15; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%016x", i ? "," : "", 100 + i);
	assert_int_equal(filters_write(line), 0);
	for (i = 0; i < 15; i++)
		assert_true(passes_from(100 + i));
	assert_false(passes_from(99));
	assert_false(passes_from(115));
	strcpy(line, "=0 allow=");
	for (i = 0; i < 127; i++)
		strcat(line, "a,");
	strcat(line, "b");
	assert_int_equal(filters_write(line), 0);
	assert_false(passes_from(100));
}

static void refused(void **state)
{
	assert_refused("in acl", "which nodes?");
	assert_refused("in acl allow=here deny=there", "takes allow=");
	assert_refused("in acl only=here", "takes allow=");
	assert_refused("in acl allow=1234567890123456", "quotes");
	assert_refused("in acl allow=here,", "a NODE is");
	assert_refused("in acl allow=,here", "a NODE is");
	assert_refused("in acl allow=''", "a NODE is");
	assert_refused("in acl allow='here, there'", "a NODE is");
	assert_refused("in acl allow='\"here\"'", "a NODE is");
	assert_refused("in acl allow=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a NODE is");
	assert_refused("out acl allow=here", "in acl");
	assert_null(filters.f);
	/* As it is told. */
	assert_int_equal(filters_write("in acl allow='1234567890123456'"), 0);
	filters_candidates("1/2");
	assert_true(passes_from(0x1234567890123456));
}

static const struct CMUnitTest tests[] = {
	filters_test(allow),
	filters_test(deny),
	filters_test(names),
	filters_test(as_many_as_fit),
	filters_test(refused),
};

UNIT_SUITE(filter_acl, tests)
