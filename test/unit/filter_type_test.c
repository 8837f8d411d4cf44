// SPDX-License-Identifier: GPL-2.0
/* The filter type. */
#include "filters.h"
#include "../../filters/type.c"

static void only(void **state)
{
	assert_int_equal(filters_write("out type only=alarm,error"), 0);
	filters_candidates("1 load=0.5\n2\n2/7 @300 zone=a | load=1");
	filters_event("alarm", "x=1", "payload");
	assert_string_equal(filters_run(), "1 2 2/7");
	filters_event("error", "", "");
	assert_string_equal(filters_run(), "1 2 2/7");
	filters_event("alar", "", "");
	assert_string_equal(filters_run(), "");
	filters_event("", "", "");
	assert_string_equal(filters_run(), "");
	assert_int_equal(filters_write("=0 only=none"), 0);
	assert_string_equal(filters_run(), "1 2 2/7");
}

static void not(void **state)
{
	assert_int_equal(filters_write("in type not=alarm,none"), 0);
	filters_candidates("1/4");
	filters_event("debug", "", "");
	assert_string_equal(filters_run(), "1/4");
	filters_event("alarm", "", "");
	assert_string_equal(filters_run(), "");
	filters_event("", "", "");
	assert_string_equal(filters_run(), "");
}

static void refused(void **state)
{
	assert_refused("out type", "which types?");
	assert_refused("out type only=a not=b", "takes only=");
	assert_refused("out type only=5", "takes only=");
	assert_refused("out type types=a", "takes only=");
	assert_null(filters.f);
}

static const struct CMUnitTest tests[] = {
	filters_test(only),
	filters_test(not),
	filters_test(refused),
};

UNIT_SUITE(filter_type, tests)
