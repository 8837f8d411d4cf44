// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#else
#include <stdio.h>
#include <string.h>
#endif
#include "resmon.h"

#define SECOND_NS	1000000000ull
#define RELATIVE_ONE	1000

/**
 * struct measure - how it is said
 * @flows: it is counted, and said by the second
 * @places: decimals
 * @least: change that counts, if nothing else is set, in units of the last place
 */
static const struct measure {
	const char *name;
	bool flows;
	__u8 places;
	__u32 least;
} measures[LOAD_MEASURES] = {
	[LOAD_1] = { "load", false, 2, 5 },
	[LOAD_5] = { "load5", false, 2, 5 },
	[LOAD_CPUS] = { "cpus", false, 0, 1 },
	[LOAD_CPU] = { "cpu", true, 3, 50 },
	[LOAD_MEM_TOTAL] = { "mem_total", false, 0, 1 },
	[LOAD_MEM_AVAILABLE] = { "mem_available", false, 0, 16 << 20 },
	[LOAD_DISK] = { "disk", true, 0, 1000000 },
	[LOAD_NET_RX] = { "net_rx", true, 0, 100000 },
	[LOAD_NET_TX] = { "net_tx", true, 0, 100000 },
	[LOAD_PSI_CPU] = { "psi_cpu", false, 4, 500 },
	[LOAD_PSI_MEM] = { "psi_mem", false, 4, 500 },
	[LOAD_PSI_IO] = { "psi_io", false, 4, 500 },
	[LOAD_ON_BATTERY] = { "on_battery", false, 0, 1 },
	[LOAD_BATTERY] = { "battery", false, 2, 1 },
};

static const __u32 power10[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };

static __u64 divide(__u64 n, __u32 by)
{
#ifdef __KERNEL__
	return div_u64(n, by);
#else
	return n / by;
#endif
}

/* --- settings --- */

/* Of a number that is not negative, in units of its @places' decimal; what is none is not set. */
static __u64 setting(int (*get)(void *arg, const char *name, char *buf, size_t size), void *arg, const char *name, unsigned int places,
		     __u64 unset)
{
	char line[48] = "n=", list[64];
	struct kecho_attr a;
	int len;

	len = get(arg, name, line + 2, sizeof(line) - 2);
	if (len <= 0 || len > (int)sizeof(line) - 3)
		return unset;
	len = kecho_attr_encode(line, list, sizeof(list));
	if (len <= 0 || !kecho_attr_find(list, len, "n", &a) || a.type == KECHO_ATTR_STRING || a.num < 0)
		return unset;
	if (a.type == KECHO_ATTR_DECIMAL)
		return divide(a.num, power10[9 - places]);
	return (__u64)a.num > divide(~0ull, power10[places]) ? ~0ull : (__u64)a.num * power10[places];
}

static __u64 between(__u64 min, __u64 n, __u64 max)
{
	return n < min ? min : n > max ? max : n;
}

void resmon_settings(struct resmon *r, __u64 period_ns, int (*get)(void *arg, const char *name, char *buf, size_t size), void *arg)
{
	char name[32];
	int i;

	r->period_ns = between(RESMON_PERIOD_MIN_NS, setting(get, arg, "resmon.period", 9, period_ns), RESMON_PERIOD_MAX_NS);
	r->again_ns = between(r->period_ns, setting(get, arg, "resmon.again", 9, 5 * SECOND_NS), RESMON_PERIOD_MAX_NS);
	r->relative = between(0, setting(get, arg, "resmon.min", 3, RELATIVE_ONE / 20), 1000 * RELATIVE_ONE);
	for (i = 0; i < LOAD_MEASURES; i++) {
		snprintf(name, sizeof(name), "resmon.min.%s", measures[i].name);
		r->least[i] = setting(get, arg, name, measures[i].places, measures[i].least);
	}
}

/* --- what is measured --- */

/* In the time since the last measurement; true if it can be said. */
static bool by_second(const struct resmon *r, const struct load *load, int i, __u64 us, __u64 *rate)
{
	__u64 n = load->value[i] - r->counted.value[i];

	/* What counts less than before has been taken out, or reset. */
	if (!load_knows(&r->counted, i) || load->value[i] < r->counted.value[i] || !us || us > ~0u)
		return false;
	if (i == LOAD_CPU) {
		if (!load_knows(load, LOAD_CPUS) || !load->value[LOAD_CPUS])
			return false;
		n = divide(divide(n, load->value[LOAD_CPUS]) * 1000, us);
		*rate = n < 1000 ? 1000 - n : 0;
	} else {
		*rate = divide(n * 1000000, us);
	}
	return true;
}

/* What flows keeps its rate where there is no new one. */
static void take(struct resmon *r, const struct load *load, __u64 now_ns)
{
	__u64 us = divide(now_ns - r->measured_ns, 1000), rate;
	int i;

	for (i = 0; i < LOAD_MEASURES; i++) {
		if (!load_knows(load, i))
			r->load.known &= ~(1u << i);
		else if (!measures[i].flows)
			load_set(&r->load, i, load->value[i]);
		else if (by_second(r, load, i, us, &rate))
			load_set(&r->load, i, rate);
	}
	r->counted = *load;
	r->measured_ns = now_ns;
}

static bool changed(const struct resmon *r, int i)
{
	__u64 a = r->said.value[i], b = r->load.value[i], d = a < b ? b - a : a - b, whole = divide(a, RELATIVE_ONE);

	return d && d >= r->least[i] && d >= whole * r->relative + divide((a - whole * RELATIVE_ONE) * r->relative, RELATIVE_ONE);
}

static bool news(const struct resmon *r)
{
	int i;

	if (r->load.known != r->said.known)
		return true;
	for (i = 0; i < LOAD_MEASURES; i++)
		if (load_knows(&r->load, i) && changed(r, i))
			return true;
	return false;
}

/* --- what is said --- */

static int print(char *buf, size_t size, int i, __u64 value)
{
	__u32 one = power10[measures[i].places];
	__u64 whole = divide(value, one);

	if (!measures[i].places)
		return snprintf(buf, size, "%s=%llu\n", measures[i].name, value);
	return snprintf(buf, size, "%s=%llu.%0*u\n", measures[i].name, whole, measures[i].places, (__u32)(value - whole * one));
}

static int say(struct resmon *r)
{
	struct kecho_event event = { .data = r->lines, .attrs = r->attrs };
	__u32 gone = r->said.known & ~r->load.known;
	int i, n = 0, all, err;
	char *p;

	for (i = 0; i < LOAD_MEASURES; i++)
		if (load_knows(&r->load, i))
			n += print(r->lines + n, sizeof(r->lines) - n, i, r->load.value[i]);
	all = n;
	r->lines[n] = 0;
	for (i = 0; i < LOAD_MEASURES; i++)
		if (gone & 1u << i)
			n += snprintf(r->lines + n, sizeof(r->lines) - n, "%s=\n", measures[i].name);
	r->said = r->load;
	err = n ? kecho_attr_set(r->channel, r->lines) : 0;
	if (err || !all)
		return err;
	r->lines[all] = 0;
	err = kecho_attr_encode(r->lines, r->attrs, sizeof(r->attrs));
	if (err < 0)
		return err;
	event.attrs_len = err;
	/* One line, for `while read -r line`. */
	event.len = all - 1;
	for (p = r->lines; (p = strchr(p, '\n'));)
		*p = ' ';
	err = kecho_publish(r->channel, &event, KECHO_NOWAIT);
	return err < 0 && err != -EAGAIN ? err : 1;
}

int resmon_measured(struct resmon *r, const struct load *load, __u64 now_ns)
{
	take(r, load, now_ns);
	if (r->began && !news(r) && now_ns - r->said_ns < r->again_ns)
		return 0;
	r->began = true;
	r->said_ns = now_ns;
	return say(r);
}

/* --- when --- */

bool resmon_due(const struct resmon *r, __u64 now_ns)
{
	return !r->began || now_ns - r->measured_ns >= r->period_ns;
}

__u64 resmon_next(const struct resmon *r, __u64 now_ns)
{
	__u64 due = r->measured_ns + r->period_ns, look = now_ns + RESMON_LOOK_NS;

	return due < look ? due : look;
}

void resmon_stop(struct resmon *r)
{
	r->load.known = 0;
	say(r);
}
