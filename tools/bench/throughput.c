// SPDX-License-Identifier: GPL-2.0
/* As many events as there is room for, none of which may be lost. */
#include "bench.h"

/* Bytes, and events that one receives, between two looks at the clock. */
#define LOOK_BYTES	(1 << 20)
#define LOOK		64

static void send(struct trial *t)
{
	const struct entry *e = t->entry;
	unsigned int mask = e->batch ? e->batch - 1 : 0, look = LOOK_BYTES / e->bytes;
	uint64_t end = now() + t->table->ms * 1000000ull;
	struct payload p = { .seq = 1 };

	look = (look > LOOK ? LOOK : look) / e->subscribers;
	look = look ? look : 1;
	do {
		p.seq++;
		p.last = !(p.seq % look) && now() >= end;
		send_event(t, &p, p.seq & mask && !p.last);
	} while (!p.last);
	t->sent = p.seq - 1;
}

static void receive(struct trial *t)
{
	const struct payload *(*receive)(void) = t->entry->subject->receive;
	const struct payload *p;
	uint64_t began = 0;
	uint32_t seq = 1;

	do {
		p = receive();
		if (!p)
			continue;
		trial_expect(t, p, &seq);
		if (!began)
			began = now();
	} while (!p || !p->last);
	trial_received(t, seq - 1, began, now());
}

static void result(struct trial *t, double *figures)
{
	figures[0] = trial_events_per_s(t);
	figures[1] = trial_cpu_ns(t);
}

const struct kind throughput = {
	.figures = { { "events_per_s", "events/s, thousands", 1e-3 }, { "cpu_ns_per_event", "CPU ns/event", 1 } },
	.nfigures = 2,
	.send = send,
	.receive = receive,
	.result = result,
};
