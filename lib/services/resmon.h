/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: resmon
 *
 * Says on a channel how loaded this host is: as attributes of its node, and as an event that has them, too, and as its payload the
 * same in a line. It says so when something has changed enough, and else so often that it is not taken for old. What is enough and
 * how often is measured are attributes that the operator sets: kecho-services(7).
 *
 * The home measures and has the clock:
 *
 *	struct resmon r = { .channel = channel };
 *	while (...) {
 *		resmon_settings(&r, period_ns, get, arg);
 *		if (resmon_due(&r, now))
 *			resmon_measured(&r, &load, now);
 *		... until resmon_next(&r, now)
 *	}
 *	resmon_stop(&r);
 *
 * Context: may sleep; one caller at a time.
 */
#ifndef SERVICES_RESMON_H
#define SERVICES_RESMON_H
#include <kecho/kecho.h>
#include "load.h"

#define RESMON_PERIOD_MIN_NS	10000000ull
#define RESMON_PERIOD_MAX_NS	(3600 * 1000000000ull)
/* So often the settings are looked at, however long the period is. */
#define RESMON_LOOK_NS		1000000000ull

/**
 * struct resmon - the caller's, zeroed but for
 * @channel: open, the caller's
 * @period_ns, @again_ns: how often is measured; how often said, whatever it is
 * @relative: 1/1000 of what was said last, @least: in the units of what is said: a smaller change is none
 * @counted: the last measurement, at @measured_ns; @load: what it has come to, rates by the second; @said: likewise, at @said_ns
 * @lines, @attrs: to say it
 */
struct resmon {
	struct kecho *channel;
	__u64 period_ns;
	__u64 again_ns;
	__u64 relative;
	__u64 least[LOAD_MEASURES];
	__u64 measured_ns;
	__u64 said_ns;
	bool began;
	struct load counted;
	struct load load;
	struct load said;
	char lines[512];
	char attrs[512];
};

/** resmon_stop() - the node says nothing of its load any more */
void resmon_stop(struct resmon *r);

/**
 * resmon_settings() - what the operator has set
 * @period_ns: if nothing else is set
 * @get: looks an attribute up, as kecho_attr_get() does
 */
void resmon_settings(struct resmon *r, __u64 period_ns, int (*get)(void *arg, const char *name, char *buf, size_t size), void *arg);

/** resmon_due() - it is time to measure; @now_ns: CLOCK_MONOTONIC */
bool resmon_due(const struct resmon *r, __u64 now_ns);

/**
 * resmon_measured() - say it, if there is something to say
 * Return: 1: it was said; 0; or the error of kecho_attr_set() or kecho_publish(). An event for which the channel has no room is left
 * out: the next one says more than a late one.
 */
int resmon_measured(struct resmon *r, const struct load *load, __u64 now_ns);

/** resmon_next() - when to come again */
__u64 resmon_next(const struct resmon *r, __u64 now_ns);
#endif
