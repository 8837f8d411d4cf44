// SPDX-License-Identifier: GPL-2.0
/* kecho resmon: says on a channel how loaded this host is. kecho_resmon does it in the kernel. */
#include "kecho.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "measure.h"
#include "resmon.h"
#include "../now.h"

struct options {
	const char *channel;
	int64_t period_ms;
};

static const struct argp_option resmon_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "joined or created; load by default", 0 },
	{ "interval", 'i', "SECONDS", 0, "between two measurements, 1 by default; the attribute resmon.period goes before", 0 },
	{ 0 }
};

static error_t parse_resmon_opt(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		check_channel(arg);
		o->channel = arg;
		return 0;
	case 'i':
		o->period_ms = parse_seconds(state, arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp resmon_argp = {
	resmon_options, parse_resmon_opt, "",
	"Say on a channel how loaded this host is, as attributes and as events, until it is stopped. "
	"kecho-services(7) says what, and which attributes say when.",
	NULL, NULL, NULL
};

/* @arg: the file attrs, as an object. */
static int get(void *arg, const char *name, char *buf, size_t size)
{
	const char *value = json_string_value(json_object_get(arg, name));

	return value ? snprintf(buf, size, "%s", value) : -ENOENT;
}

/* The file is read once, not for each setting. */
static void settings(struct resmon *r, const struct options *o)
{
	char *text = read_file(o->channel, "attrs");
	json_t *attrs = parse_pairs(text, false);

	resmon_settings(r, o->period_ms * 1000000, get, attrs);
	json_decref(attrs);
	free(text);
}

static void report(struct resmon *r, const char *channel)
{
	struct load load;
	int err;

	measure(&load);
	err = resmon_measured(r, &load, now_ns(CLOCK_MONOTONIC));
	if (err >= 0)
		return;
	errno = -err;
	if (errno == EACCES)
		die_file(channel, "attrs");
	if (errno != E2BIG)
		die_node(channel);
	warning("%s: no room for the load: the attributes are more than 4096 bytes in all", channel);
}

int cmd_resmon(int argc, char **argv)
{
	struct kecho_options how = { .dir = node_dir() };
	struct options o = { .channel = "load", .period_ms = 1000 };
	struct resmon r = { 0 };
	struct timespec wait;
	sigset_t ends;
	uint64_t now, next;

	argp_parse(&resmon_argp, argc, argv, 0, NULL, &o);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	node_fd();	/* says what is wrong with it */
	r.channel = kecho_open_with(o.channel, KECHO_CREATE, &how);
	if (!r.channel)
		die_file(o.channel, "events");
	do {
		settings(&r, &o);
		if (resmon_due(&r, now_ns(CLOCK_MONOTONIC)))
			report(&r, o.channel);
		now = now_ns(CLOCK_MONOTONIC);
		next = resmon_next(&r, now);
		next = next > now ? next - now : 0;
		wait = (struct timespec) { next / 1000000000, next % 1000000000 };
	} while (sigtimedwait(&ends, NULL, &wait) < 0);
	resmon_stop(&r);
	kecho_close(r.channel);
	return EXIT_SUCCESS;
}
