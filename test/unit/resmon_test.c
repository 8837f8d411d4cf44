// SPDX-License-Identifier: GPL-2.0
/* What a host says of its load, and when. */
#include "unit.h"
#include <kecho/kecho.h>

/* The channel: what was said there. */
static struct {
	char attrs[512];	/* all lines that were written since the last look */
	char event[512];
	int nevents, fail_set, fail_publish;
	struct kecho_attr load;
	const char *settings;	/* name=value, each with a newline */
} said;

static int said_attrs(struct kecho *k, const char *lines);
static int said_event(struct kecho *k, const struct kecho_event *event, unsigned int flags);
#define kecho_attr_set said_attrs
#define kecho_publish said_event
#include "../../lib/services/resmon.c"
#undef kecho_attr_set
#undef kecho_publish

static int said_attrs(struct kecho *k, const char *lines)
{
	assert_true(strlen(lines) < sizeof(said.attrs));
	strcpy(said.attrs, lines);
	return said.fail_set;
}

static int said_event(struct kecho *k, const struct kecho_event *event, unsigned int flags)
{
	assert_true(event->len < sizeof(said.event));
	memcpy(said.event, event->data, event->len);
	said.event[event->len] = 0;
	assert_int_equal(flags, KECHO_NOWAIT);
	if (!kecho_attr_find(event->attrs, event->attrs_len, "load", &said.load))
		said.load.type = 0;
	said.nevents++;
	return said.fail_publish;
}

static int get(void *arg, const char *name, char *buf, size_t size)
{
	const char *p = said.settings, *end;
	size_t len = strlen(name);

	for (; p && *p; p = end + 1) {
		end = strchr(p, '\n');
		if (strncmp(p, name, len) || p[len] != '=')
			continue;
		p += len + 1;
		len = end - p;
		memcpy(buf, p, min(len, size - 1));
		buf[min(len, size - 1)] = 0;
		return len;
	}
	return -ENOENT;
}

#define MS 1000000ull
#define SEC (1000 * MS)

static struct resmon r;
static struct load now_load;
static u64 now;

static void begin(const char *settings)
{
	memset(&r, 0, sizeof(r));
	memset(&said, 0, sizeof(said));
	memset(&now_load, 0, sizeof(now_load));
	said.settings = settings;
	now = 5000 * SEC;
	resmon_settings(&r, SEC, get, NULL);
}

/* A period later: is it said? */
static int later(u64 ns)
{
	now += ns;
	said.attrs[0] = said.event[0] = 0;
	return resmon_measured(&r, &now_load, now);
}

static void says_all(void **state)
{
	begin(NULL);
	load_set(&now_load, LOAD_1, 7);
	load_set(&now_load, LOAD_5, 12345);
	load_set(&now_load, LOAD_CPUS, 4);
	load_set(&now_load, LOAD_CPU, 1000000);
	load_set(&now_load, LOAD_MEM_TOTAL, 1ull << 40);
	load_set(&now_load, LOAD_MEM_AVAILABLE, 1ull << 39);
	load_set(&now_load, LOAD_DISK, 1ull << 60);
	load_set(&now_load, LOAD_NET_RX, 500);
	load_set(&now_load, LOAD_NET_TX, 600);
	load_set(&now_load, LOAD_PSI_CPU, 5065);
	load_set(&now_load, LOAD_PSI_MEM, 0);
	load_set(&now_load, LOAD_PSI_IO, 10000);
	load_set(&now_load, LOAD_ON_BATTERY, 1);
	load_set(&now_load, LOAD_BATTERY, 100);
	assert_true(resmon_due(&r, now));
	assert_int_equal(later(0), 1);
	assert_string_equal(said.attrs, "load=0.07\nload5=123.45\ncpus=4\nmem_total=1099511627776\nmem_available=549755813888\n"
			    "psi_cpu=0.5065\npsi_mem=0.0000\npsi_io=1.0000\non_battery=1\nbattery=1.00\n");
	assert_int_equal(said.nevents, 1);
	assert_string_equal(said.event, "load=0.07 load5=123.45 cpus=4 mem_total=1099511627776 mem_available=549755813888 "
			    "psi_cpu=0.5065 psi_mem=0.0000 psi_io=1.0000 on_battery=1 battery=1.00");
	assert_true(said.load.type == KECHO_ATTR_DECIMAL && said.load.num == 70000000);
	/* Rates are there with the second measurement: two of four were idle for two seconds, the others for one. */
	now_load.value[LOAD_CPU] += 6000000;
	now_load.value[LOAD_DISK] += 3000;
	now_load.value[LOAD_NET_RX] += 1ull << 33;
	assert_int_equal(later(2 * SEC), 1);
	assert_string_equal(said.attrs, "load=0.07\nload5=123.45\ncpus=4\ncpu=0.250\nmem_total=1099511627776\nmem_available=549755813888\n"
			    "disk=1500\nnet_rx=4294967296\nnet_tx=0\npsi_cpu=0.5065\npsi_mem=0.0000\npsi_io=1.0000\non_battery=1\n"
			    "battery=1.00\n");
	/* All at its longest has room. */
	memset(now_load.value, 0xff, sizeof(now_load.value));
	assert_int_equal(later(1), 1);
	memset(r.load.value, 0xff, sizeof(r.load.value));
	assert_int_equal(later(100 * SEC), 1);
	assert_true(strlen(said.attrs) < sizeof(r.lines) - 1);
	/* The end: nothing is left behind, and nothing is said that has no value. */
	said.nevents = 0;
	resmon_stop(&r);
	assert_string_equal(said.attrs, "load=\nload5=\ncpus=\ncpu=\nmem_total=\nmem_available=\ndisk=\nnet_rx=\nnet_tx=\npsi_cpu=\n"
			    "psi_mem=\npsi_io=\non_battery=\nbattery=\n");
	assert_int_equal(said.nevents, 0);
}

static void quiet(void **state)
{
	int i;

	begin(NULL);
	load_set(&now_load, LOAD_1, 100);
	assert_int_equal(later(0), 1);
	for (i = 1; i < 20; i++)
		assert_int_equal(later(SEC), i % 5 == 0);
	assert_string_equal(said.attrs, "");
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.event, "load=1.00");
	/* Small steps add up: what counts is what was said. */
	now_load.value[LOAD_1] = 104;
	assert_int_equal(later(SEC), 0);
	now_load.value[LOAD_1] = 105;
	assert_int_equal(later(SEC), 1);
	/* Of much, more: a twentieth. */
	now_load.value[LOAD_1] = 1000;
	assert_int_equal(later(SEC), 1);
	now_load.value[LOAD_1] = 951;
	assert_int_equal(later(SEC), 0);
	now_load.value[LOAD_1] = 950;
	assert_int_equal(later(SEC), 1);
	/* What comes and goes is news. */
	load_set(&now_load, LOAD_BATTERY, 50);
	assert_int_equal(later(SEC), 1);
	now_load.known &= ~(1u << LOAD_BATTERY);
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.attrs, "load=9.50\nbattery=\n");
	assert_string_equal(said.event, "load=9.50");
}

static void settings(void **state)
{
	begin("resmon.period=0.5\nresmon.again=2.5\nresmon.min=0\nresmon.min.load=0.2\nresmon.min.mem_available=1000\n");
	assert_int_equal(r.period_ns, 500 * MS);
	load_set(&now_load, LOAD_1, 1000);
	load_set(&now_load, LOAD_MEM_AVAILABLE, 1ull << 30);
	assert_int_equal(later(0), 1);
	assert_false(resmon_due(&r, now + 500 * MS - 1));
	assert_true(resmon_due(&r, now + 500 * MS));
	assert_true(resmon_next(&r, now) == now + 500 * MS);
	now_load.value[LOAD_1] = 1019;
	now_load.value[LOAD_MEM_AVAILABLE] -= 999;
	assert_int_equal(later(500 * MS), 0);
	now_load.value[LOAD_1] = 1020;
	assert_int_equal(later(500 * MS), 1);
	now_load.value[LOAD_MEM_AVAILABLE] -= 1000;
	assert_int_equal(later(500 * MS), 1);
	assert_int_equal(later(2400 * MS), 0);
	assert_int_equal(later(100 * MS), 1);
	/* While it runs. A long period is not longer than the next setting. */
	said.settings = "resmon.period=3000\nresmon.min.load=9223372036854775807\n";
	resmon_settings(&r, SEC, get, NULL);
	assert_true(resmon_next(&r, now) == now + RESMON_LOOK_NS);
	assert_false(resmon_due(&r, now + 2999 * SEC));
	assert_true(resmon_due(&r, now + 3000 * SEC));
	now_load.value[LOAD_1] = 1;
	assert_int_equal(later(2999 * SEC), 0);
	/* What is no such number is not set, what is too little or too much is the least or the most. */
	said.settings = "resmon.period=soon\nresmon.again=-1\nresmon.min=\nresmon.min.load=1234567890123456789012345678901234567890123456789\n";
	resmon_settings(&r, 2 * SEC, get, NULL);
	assert_true(r.period_ns == 2 * SEC && r.again_ns == 5 * SEC && r.relative == 50 && r.least[LOAD_1] == 5);
	said.settings = "resmon.period=0\nresmon.again=0\nresmon.min=1000000\n";
	resmon_settings(&r, 2 * SEC, get, NULL);
	assert_true(r.period_ns == 10 * MS && r.again_ns == 10 * MS && r.relative == 1000000);
	said.settings = "resmon.period=99999999999\n";
	resmon_settings(&r, 2 * SEC, get, NULL);
	assert_true(r.period_ns == 3600 * SEC && r.again_ns == 3600 * SEC);
}

static void rates(void **state)
{
	begin("resmon.min=0\nresmon.min.net_rx=1\nresmon.min.cpu=0.001\n");
	load_set(&now_load, LOAD_NET_RX, 10000);
	load_set(&now_load, LOAD_CPU, 0);
	/* Nothing can be said yet; and of how many processors nobody knows. */
	assert_int_equal(later(0), 0);
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.event, "net_rx=0");
	load_set(&now_load, LOAD_CPUS, 2);
	now_load.value[LOAD_CPU] += 2000000;
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.event, "cpus=2 cpu=0.000 net_rx=0");
	/* Idle for longer than there was time, by rounding; not at all. */
	now_load.value[LOAD_CPU] += 2010000;
	assert_int_equal(later(SEC), 0);
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.event, "cpus=2 cpu=1.000 net_rx=0");
	/* A device that has been taken out: its rate is what it was. */
	now_load.value[LOAD_NET_RX] += 5000;
	assert_int_equal(later(SEC), 1);
	assert_string_equal(said.event, "cpus=2 cpu=1.000 net_rx=5000");
	now_load.value[LOAD_NET_RX] = 3;
	assert_int_equal(later(SEC), 0);
	now_load.value[LOAD_NET_RX] = 1003;
	assert_int_equal(later(100 * MS), 1);
	assert_string_equal(said.event, "cpus=2 cpu=1.000 net_rx=10000");
	/* No time in between, and much. */
	assert_int_equal(later(0), 0);
	now_load.value[LOAD_NET_RX] += 1ull << 40;
	assert_int_equal(later(10000 * SEC), 1);
	assert_string_equal(said.event, "cpus=2 cpu=1.000 net_rx=10000");
}

static void refused(void **state)
{
	begin(NULL);
	load_set(&now_load, LOAD_1, 100);
	said.fail_set = -E2BIG;
	assert_int_equal(later(0), -E2BIG);
	assert_int_equal(said.nevents, 0);
	/* Not at once again. */
	said.fail_set = 0;
	assert_int_equal(later(SEC), 0);
	said.fail_publish = -EAGAIN;
	assert_int_equal(later(4 * SEC), 1);
	said.fail_publish = -ENOMEM;
	now_load.value[LOAD_1] = 200;
	assert_int_equal(later(SEC), -ENOMEM);
	/* Nothing was ever said, nothing is taken back. */
	begin(NULL);
	strcpy(said.attrs, "as before");
	resmon_stop(&r);
	assert_string_equal(said.attrs, "as before");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(says_all),
	cmocka_unit_test(quiet),
	cmocka_unit_test(settings),
	cmocka_unit_test(rates),
	cmocka_unit_test(refused),
};
UNIT_SUITE(resmon, tests)
