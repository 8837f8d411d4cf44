// SPDX-License-Identifier: GPL-2.0
/*
 * From when an event was to be sent until it is received: at a steady rate, whether or not the one before has arrived. So what holds
 * up the sender counts, too. What it has not got to send when the time is over is not sent, if one has been that counts.
 */
#include "bench.h"

#include <math.h>

/*
 * The sender wakes up so long before an event is due, and then spins: its own waking is not to be measured. Until the end of that it
 * lets others have the CPU.
 */
#define LEAD_NS	200000
#define SPIN_NS	3000
/* The first ones, 1/SKIP of them, do not count, nor do more than SKIP_MOST. */
#define SKIP		20
#define SKIP_MOST	200

static unsigned int events(const struct trial *t)
{
	uint64_t n = (uint64_t)t->entry->rate * t->table->ms / 1000;

	return n < SKIP ? SKIP : n;
}

static unsigned int skipped(const struct trial *t)
{
	unsigned int n = events(t) / SKIP;

	return n < SKIP_MOST ? n : SKIP_MOST;
}

static void sleep_until(uint64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* Returns the time; what of the CPU it has used itself is not the event's. */
static uint64_t wait_until(struct trial *t, uint64_t due)
{
	uint64_t at = now(), used, began;

	if (at + SPIN_NS < due) {
		used = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		sleep_until(due - LEAD_NS);
		while (now() + SPIN_NS < due)
			sched_yield();
		t->cpu_ns -= clock_ns(CLOCK_THREAD_CPUTIME_ID) - used;
	}
	for (began = at = now(); at < due; at = now())
		;
	t->cpu_ns -= at - began;
	return at;
}

static void send(struct trial *t)
{
	uint64_t start = now() + LEAD_NS, n = events(t), end = start + n * 1000000000 / t->entry->rate, skip = skipped(t), at, i;
	struct payload p = { .seq = 1 };

	do {
		i = p.seq++ - 1;
		p.due = start + i * 1000000000 / t->entry->rate;
		at = wait_until(t, p.due);
		p.last = i == n - 1 || (at >= end && i >= skip);
		send_event(t, &p, false);
		if (i >= skip) {
			histogram_add(&t->late, at - p.due);
			histogram_add(&t->call, now() - at);
		}
	} while (!p.last);
	t->sent = p.seq - 1;
}

static void receive(struct trial *t)
{
	const struct payload *(*receive)(void) = t->entry->subject->receive;
	uint64_t skip = 1 + skipped(t), at = 0, began = 0, n = 0;
	static struct histogram latency;
	const struct payload *p;
	uint32_t seq = 1;

	do {
		p = receive();
		if (!p || !p->due)
			continue;
		at = now();
		trial_expect(t, p, &seq);
		if (!n++)
			began = at;
		if (seq > skip)
			histogram_add(&latency, at - p->due);
	} while (!p || !p->last);
	histogram_merge(&t->latency, &latency);
	trial_received(t, n, began, at);
}

static void result(struct trial *t, double *figures)
{
	figures[0] = histogram_percentile(&t->latency, 50);
	figures[1] = histogram_percentile(&t->latency, 99);
	figures[2] = histogram_percentile(&t->latency, 100);
	figures[3] = histogram_percentile(&t->late, 99);
	figures[4] = histogram_percentile(&t->call, 50);
}

const struct kind latency = {
	.figures = {
		{ "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99th percentile, us", 1e-3 }, { "max_ns", "greatest, us", 1e-3 },
		{ "sent_late_p99_ns", "sent late, 99th percentile, us", 1e-3 }, { "call_p50_ns", "sending, median, us", 1e-3 },
	},
	.nfigures = 5,
	.send = send,
	.receive = receive,
	.result = result,
};

static void load_result(struct trial *t, double *figures)
{
	figures[0] = trial_events_per_s(t);
	figures[1] = histogram_percentile(&t->latency, 50);
	figures[2] = histogram_percentile(&t->latency, 99);
	figures[3] = histogram_percentile(&t->latency, 99.9);
	figures[4] = histogram_percentile(&t->latency, 99.99);
	figures[5] = histogram_percentile(&t->latency, 100);
	figures[6] = 1 - (double)t->received / t->sent / t->entry->subscribers;
	figures[7] = trial_cpu_ns(t);
}

const struct kind load = {
	.figures = {
		{ "events_per_s", "events/s, thousands", 1e-3 }, { "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99%, us", 1e-3 },
		{ "p99.9_ns", "99.9%, us", 1e-3 }, { "p99.99_ns", "99.99%, us", 1e-3 }, { "max_ns", "greatest, us", 1e-3 },
		{ "lost", "lost, %", 100 }, { "cpu_ns_per_event", "CPU ns/event", 1 },
	},
	.nfigures = 8,
	.send = send,
	.receive = receive,
	.result = load_result,
};
