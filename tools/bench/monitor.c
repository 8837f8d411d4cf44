// SPDX-License-Identifier: GPL-2.0
/* Monitoring: a host says how many requests its server has. */
#include "balance.h"

#include <kecho/kecho.h>
#include <stdio.h>
#include <string.h>

static void check(int err)
{
	if (err < 0)
		die("kecho: %s", strerror(-err));
}

static void say(struct kecho *k, unsigned int load, bool event)
{
	struct kecho_event e = { 0 };
	char line[32], attrs[64];
	int len;

	snprintf(line, sizeof(line), "load=%u\n", load);
	if (!event) {
		check(kecho_attr_set(k, line));
		return;
	}
	len = kecho_attr_encode(line, attrs, sizeof(attrs));
	check(len);
	e.attrs = attrs;
	e.attrs_len = len;
	check(kecho_publish(k, &e, 0));
}

void monitor_run(void *arg, unsigned int host)
{
	const struct monitor *m = arg;
	struct kecho_options options = { .dir = node_at(host) };
	struct kecho *k = kecho_open_with(m->channel, KECHO_CREATE, &options);
	uint64_t period = 1000000000 / m->rate, due = now() + period * host / m->scene->hosts;
	struct timespec t;

	check(kecho_error(k));
	for (;; due += period) {
		t = (struct timespec){ due / 1000000000, due % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		say(k, m->scene->here[host], m->event);
	}
}
