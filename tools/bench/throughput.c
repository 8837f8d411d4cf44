// SPDX-License-Identifier: GPL-2.0
/* As many events as there is room for, none of which may be lost. */
#include "bench.h"

/* Events between two looks at the clock. */
#define LOOK 64

static void send(struct trial *t)
{
	unsigned int mask = t->entry->batch ? t->entry->batch - 1 : 0;
	uint64_t end = now() + t->table->ms * 1000000ull;
	struct payload p = { .seq = 1 };

	do {
		p.seq++;
		p.last = !(p.seq % LOOK) && now() >= end;
		send_event(t, &p, p.seq & mask && !p.last);
	} while (!p.last);
}

static void receive(struct trial *t)
{
	const struct payload *(*receive)(void) = t->entry->subject->receive;
	const struct payload *p;
	uint64_t seq = 1;

	do {
		p = receive();
		if (!p)
			continue;
		if (p->seq != ++seq)
			die("%s: event %llu instead of %llu", t->entry->name, (unsigned long long)p->seq, (unsigned long long)seq);
		if (seq == 2)
			t->began = now();
	} while (!p || !p->last);
	t->ended = now();
	t->events = seq - 2;
}

static void result(struct trial *t, double *figures)
{
	figures[0] = t->events * 1e9 / (t->ended - t->began);
	figures[1] = (double)t->cpu_ns / t->events;
}

const struct kind throughput = {
	.figures = { { "events_per_s", "events/s, thousands", 1e-3 }, { "cpu_ns_per_event", "CPU ns/event", 1 } },
	.nfigures = 2,
	.send = send,
	.receive = receive,
	.result = result,
};
