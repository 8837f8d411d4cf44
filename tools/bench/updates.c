// SPDX-License-Identifier: GPL-2.0
/* The paper's ninth figure: what it costs to be told of others' load, by how often, and by how many are told. */
#include "balance.h"

#include <stdio.h>
#include <string.h>

#define REQUESTS	24	/* a second, to all servers but one */
#define IDLE_PARTS	2	/* without requests for one in so many of the trial's time */
#define SETTLE_MS	100

static const char *const options[] = { "-n", "1", "-q", "2", "-w", "0.1", NULL };
static char channel[64], filter[128];
static const struct balancing balancing = { .by = &kecho_balancer, .options = options, .filter = filter };

static uint64_t total(struct spent spent)
{
	return spent.fronts + spent.nodes;
}

/* A host that is told is one that tells. */
static void run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	struct monitor monitor = { .channel = channel, .rate = e->rate, .event = true };
	uint64_t idle_ns = t->ms * 1000000ull / IDLE_PARTS, used;
	struct scene *s;
	unsigned int i;

	(void)p;
	snprintf(channel, sizeof(channel), "load%s", server_topic());
	snprintf(filter, sizeof(filter), "out least attr=load from=%s\n", channel);
	balance_join(channel, e->subscribers + 1);
	s = balance_up(&balancing, e->subscribers + 1);
	monitor.scene = s;
	for (i = 0; i < s->hosts; i++)
		crew_run(i, true, monitor_run, &monitor);
	balance_wait(now() + SETTLE_MS * 1000000ull);
	used = total(balance_used(s, &balancing));
	balance_wait(now() + idle_ns);
	figures[0] = (double)(total(balance_used(s, &balancing)) - used) * 1e9 / idle_ns / s->hosts;
	balance_rates(s, &balancing, REQUESTS, t->ms);
	used = total(balance_measure(s, &balancing));
	figures[1] = (double)s->total_ns / s->ended;
	figures[2] = histogram_percentile(&s->times, 99);
	figures[3] = (double)s->forwarded / s->ended;
	figures[4] = (double)used / s->window_ns / s->hosts;
	balance_down(s, &balancing);
	balance_leave(channel, e->subscribers + 1);
}

static const struct kind told = {
	.figures = {
		{ "monitoring_ns_per_s", "without requests, CPU us in a second at a host", 1e-3 }, { "mean_ns", "mean, ms", 1e-6 },
		{ "p99_ns", "99%, ms", 1e-6 }, { "forwarded", "by another server, %", 100 }, { "cpu", "balancing, % of a CPU a host", 100 },
	},
	.nfigures = 5,
	.lacks = balance_lacks,
	.run = run,
};

#define SAYS	"kecho-httpd-lb at each host; a request that has waited 0.1 s, or finds two waiting, goes to that one with the least load, as " \
		"the events of another channel have it; 24 requests a second to each server but one, that has a tenth of it"

static const struct entry often_entries[] = { ENTRY("kecho", NULL, &balancing, SAYS "; eight hosts", .subscribers = WEB_HOSTS - 1) };
static const struct entry many_entries[] = { ENTRY("kecho", NULL, &balancing, SAYS "; five events a second", .rate = LOAD_RATE) };
static const unsigned int values[] = { 1, 2, 3, 4, 5 };

static const struct table tables[] = {
	{
		.alternations = 1,
		.name = "often", .title = "By events in a second, from each host to all others", .kind = &told, .ms = 1500,
		.places = { [WEB] = true }, ENTRIES(often_entries), .axis = AXIS_RATE, .values = values, .nvalues = ARRAY_SIZE(values),
	},
	{
		.name = "many", .title = "By receivers of each host's events", .kind = &told, .ms = 1500,
		.places = { [WEB] = true }, ENTRIES(many_entries), .axis = AXIS_SUBSCRIBERS, .values = values, .nvalues = ARRAY_SIZE(values),
	},
};

const struct part updates_part = {
	"updates", "What it costs to be told of others' load, and what comes of it: CPU time, response time of balanced requests", tables,
	ARRAY_SIZE(tables),
};
