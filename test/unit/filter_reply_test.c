// SPDX-License-Identifier: GPL-2.0
/* The filter reply. */
#include "filters.h"
#include "../../filters/reply.c"

static void to_whom(void **state)
{
	assert_int_equal(filters_write("out reply"), 0);
	filters_candidates("11\n11/3\n11/4\n12/3\n1234567890123456789");
	filters_event("", "to=000000000000000b", "");
	assert_string_equal(filters_run(), "11 11/3 11/4");
	filters_event("", "to=000000000000000b:4", "");
	assert_string_equal(filters_run(), "11/4");
	filters_event("", "to=000000000000000c:4", "");
	assert_string_equal(filters_run(), "");
	filters_event("", "to=112210f47de98115:0", "");
	assert_string_equal(filters_run(), "");
	filters_event("", "to=112210f47de98115", "");
	assert_string_equal(filters_run(), "1234567890123456789");
}

/* 16 digits without a letter are an integer to kecho(1), and lose their zeros. */
static void id_like_a_number(void **state)
{
	assert_int_equal(filters_write("out reply"), 0);
	filters_candidates("16\n1152921504606846975\n1311768467294899695");
	filters_event("", "to=0000000000000010", "");
	assert_int_equal(filters.event_attrs->data[1], KECHO_ATTR_INT);
	assert_string_equal(filters_run(), "16");
	filters_candidates("1311768465173141112");
	filters_event("", "to=1234567812345678", "");
	assert_string_equal(filters_run(), "1311768465173141112");
}

static void nobody(void **state)
{
	static const char * const bad[] = {
		"to=x", "to=00000000000000b", "to=000000000000000b0", "to=000000000000000g", "to=000000000000000B", "to=-11", "to=1.5",
		"to=12345678901234567", "to=\"\"", "to=000000000000000b:", "to=000000000000000b:0", "to=000000000000000b:3x",
		"to=000000000000000b:4294967299", "to=000000000000000b:18446744073709551619", "to=:3",
	};
	u32 i;

	assert_int_equal(filters_write("in reply"), 0);
	filters_candidates("11/3\n0/3");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		filters_event("", bad[i], "");
		assert_string_equal(filters_run(), "");
	}
}

static void without(void **state)
{
	assert_int_equal(filters_write("out reply"), 0);
	filters_candidates("11\n12");
	filters_event("", "too=000000000000000b", "");
	assert_string_equal(filters_run(), "11 12");
	assert_int_equal(filters_write("=0 strict=1"), 0);
	assert_string_equal(filters_run(), "");
	assert_int_equal(filters_write("=0 attr=too"), 0);
	assert_string_equal(filters_run(), "11");
	assert_int_equal(filters_write("=0 strict=0"), 0);
	filters_event("", "to=000000000000000b", "");
	assert_string_equal(filters_run(), "11 12");
}

static void refused(void **state)
{
	assert_refused("out reply strict=2", "takes attr=NAME");
	assert_refused("out reply strict=yes", "takes attr=NAME");
	assert_refused("out reply attr=1", "takes attr=NAME");
	assert_refused("out reply attr=''", "takes attr=NAME");
	assert_refused("out reply to=x", "takes attr=NAME");
	assert_null(filters.f);
}

static const struct CMUnitTest tests[] = {
	filters_test(to_whom),
	filters_test(id_like_a_number),
	filters_test(nobody),
	filters_test(without),
	filters_test(refused),
};

UNIT_SUITE(filter_reply, tests)
