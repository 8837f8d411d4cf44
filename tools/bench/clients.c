// SPDX-License-Identifier: GPL-2.0
/*
 * Clients that do not wait for anybody: when each request is due is known from the beginning, the same for all who are compared, and its
 * time is counted from then on.
 */
#include "balance.h"

#include <math.h>

#define REQUESTS_MAX	(1 << 16)
#define BEGIN_MS	20
/* As soon as can be: once it has waited, and is then served at once. */
#define IN_TIME_MS	(FORWARD_MS + SERVICE_MS + 20)

static struct request requests[REQUESTS_MAX];
static unsigned int nrequests;

/* Of those that are to come, by host. */
static struct {
	uint64_t due;
	unsigned short seed[3];
	unsigned int backlog;
} streams[WEB_HOSTS];

/* Clients are many, and know nothing of each other: the time between two is of an exponential distribution. */
static void step(const struct scene *s, unsigned int i)
{
	if (streams[i].backlog) {
		streams[i].backlog--;
		return;
	}
	streams[i].due += -log(1 - erand48(streams[i].seed)) * 1e9 / s->rates[i];
}

void clients_begin(struct scene *s)
{
	uint64_t begin = now() + BEGIN_MS * 1000000ull;
	unsigned int i;

	for (i = 0; i < s->hosts; i++) {
		streams[i].due = begin;
		streams[i].seed[0] = i + 1;
		if (s->rates[i] * SERVICE_MS > 1000)
			streams[i].backlog = s->backlog;
		step(s, i);
	}
	s->from = begin + s->warm_ns;
	s->until = s->from + s->window_ns;
	s->begin = begin;
}

static unsigned int first(const struct scene *s)
{
	unsigned int i, least = 0;

	for (i = 1; i < s->hosts; i++)
		if (streams[i].due < streams[least].due)
			least = i;
	return least;
}

uint64_t clients_next(const struct scene *s)
{
	uint64_t due = streams[first(s)].due;

	return due < s->until ? due : UINT64_MAX;
}

struct request *clients_take(struct scene *s)
{
	unsigned int i = first(s);
	struct request *r = &requests[nrequests++];

	if (nrequests > REQUESTS_MAX)
		die("too many requests");
	r->due = streams[i].due;
	r->asked = i;
	r->served = -1;
	step(s, i);
	return r;
}

void clients_end(struct scene *s, bool own)
{
	const uint64_t timeout = TIMEOUT_MS * 1000000ull;
	const struct request *r;
	uint64_t ns;

	for (r = requests; r < requests + nrequests; r++) {
		ns = r->ended && r->served >= 0 ? r->ended - r->due : timeout;
		ns = ns < timeout ? ns : timeout;
		if (r->due + ns < s->from || r->due + ns >= s->until)
			continue;
		s->ended++;
		s->total_ns += ns;
		histogram_add(&s->times, ns);
		if (ns == timeout)
			continue;
		s->answered++;
		if (!own || r->served == r->asked)
			continue;
		s->forwarded++;
		s->in_time += ns <= IN_TIME_MS * 1000000ull;
	}
}
