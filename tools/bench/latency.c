// SPDX-License-Identifier: GPL-2.0
/*
 * From when an event was to be sent until it is received: at a steady rate, whether or not the one before has arrived. So what holds
 * up the sender counts, too.
 */
#include "bench.h"

/* The sender wakes up so long before an event is due, and then spins: its own waking is not to be measured. */
#define LEAD_NS	200000
/* Of the samples the first ones, 1/SKIP of them, do not count. */
#define SKIP	20

static unsigned int events(const struct table *t)
{
	uint64_t n = (uint64_t)t->rate * t->ms / 1000;

	return n < SKIP ? SKIP : n > SAMPLES_MAX ? SAMPLES_MAX : n;
}

static void sleep_until(uint64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void send(struct trial *t)
{
	uint64_t period = 1000000000 / t->table->rate, at;
	unsigned int i, n = events(t->table);
	struct payload p = { .due = now() };

	for (i = 0; i < n; i++) {
		p.seq = i + 2;
		p.last = i == n - 1;
		p.due += period;
		sleep_until(p.due - LEAD_NS);
		while ((at = now()) < p.due)
			;
		t->late[i] = at - p.due;
		send_event(t, &p, false);
	}
}

static void receive(struct trial *t)
{
	const struct payload *(*receive)(void) = t->entry->subject->receive;
	unsigned int i, n = events(t->table);
	const struct payload *p;

	for (i = 0; i < n; i++) {
		while (!(p = receive()))
			;
		t->latency[i] = now() - p->due;
		if (p->seq != i + 2)
			die("%s: event %llu instead of %u", t->entry->name, (unsigned long long)p->seq, i + 2);
	}
	t->nsamples = n;
}

static void result(struct trial *t, double *figures)
{
	unsigned int skip = t->nsamples / SKIP, n = t->nsamples - skip;

	figures[0] = stats_percentile(t->latency + skip, n, 50);
	figures[1] = stats_percentile(t->latency + skip, n, 99);
	figures[2] = stats_percentile(t->latency + skip, n, 100);
	figures[3] = stats_percentile(t->late + skip, n, 99);
}

const struct kind latency = {
	.figures = {
		{ "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99th percentile, us", 1e-3 }, { "max_ns", "greatest, us", 1e-3 },
		{ "sent_late_p99_ns", "sent late, 99th percentile, us", 1e-3 },
	},
	.nfigures = 4,
	.send = send,
	.receive = receive,
	.result = result,
};
