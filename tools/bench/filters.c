// SPDX-License-Identifier: GPL-2.0
/* Filters, the paper's seventh figure: eight sinks, of which they leave eight, one or none. */
#include "ops.h"

static void run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	struct cost cost;

	ops_cost(t, e, p, &cost);
	figures[0] = cost.median;
	figures[1] = cost.cpu;
	figures[2] = cost.sinks_cpu;
	figures[3] = cost.filter;
}

static const struct kind filtered = {
	.figures = {
		{ "p50_ns", "submission, median, us", 1e-3 }, { "cpu_ns", "CPU us of the publisher and its node", 1e-3 },
		{ "sinks_cpu_ns", "CPU us of all receivers and their nodes", 1e-3 }, { "filter_ns", "the filter's own mean, ns", 1 },
	},
	.nfigures = 4,
	.run = run,
	.lacks = ops_lacks,
};

#define OF_100		.bytes = 100

/* @dir, @at: "in" here, "out" to as many hosts. The sinks say k=1 to k=8. */
#define EXPR(way, op, dir, at, left) ENTRY(way ", expr, " #left, NULL, \
	OP(op, .sinks = 8, .hosts = at, .filter = dir " expr expr='k <= " #left "'", .passed = left), dir " expr expr='k <= " #left "'", OF_100)
#define LEAST(way, op, dir, at, left) ENTRY(way ", least, " #left, NULL, \
	OP(op, .sinks = 8, .hosts = at, .filter = dir " least attr=k n=" #left, .passed = left), dir " least attr=k n=" #left, OF_100)
#define OTHER(way, op, at, its_name, its_filter, left) ENTRY(way ", " its_name ", " #left, NULL, \
	OP(op, .sinks = 8, .hosts = at, .filter = its_filter, .passed = left), its_filter, OF_100)
#define WAY(way, op, dir, at, settings) \
	ENTRY(way ", no filter", NULL, OP(op, .sinks = 8, .hosts = at), settings, OF_100, .base = true), \
	EXPR(way, op, dir, at, 8), EXPR(way, op, dir, at, 1), EXPR(way, op, dir, at, 0), \
	LEAST(way, op, dir, at, 8), LEAST(way, op, dir, at, 1), \
	OTHER(way, op, at, "type", dir " type not=other", 8), OTHER(way, op, at, "type", dir " type only=other", 0)

#define FILES		"write(2), O_DIRECT; subscribers that read(2)"
#define KERNEL		"the module kecho_bench: kecho_publish()"

static const struct entry in_entries[] = {
	WAY("files", submit_files, "in", 0, FILES),
	OTHER("files", submit_files, 0, "acl", "in acl deny=nobody", 8),
	OTHER("files", submit_files, 0, "acl", "in acl allow=nobody", 0),
	WAY("kernel", submit_kernel, "in", 0, KERNEL ", to handlers of its own"),
};

static const struct entry out_entries[] = {
	WAY("files", submit_files, "out", 8, FILES),
	WAY("kernel", submit_kernel, "out", 8, KERNEL),
};

static const struct table tables[] = {
	{
		.name = "in", .title = "Events of 100 bytes, to eight subscribers on this host, of which an IN filter leaves so many",
		.kind = &filtered, .ms = 200, .rate = 1000, .places = { [ONE_CPU] = true, [TWO_CPUS] = true }, ENTRIES(in_entries),
	},
	{
		.name = "out", .title = "Events of 100 bytes, to eight other hosts, of which an OUT filter leaves so many",
		.kind = &filtered, .ms = 200, .rate = 1000, .places = { [NETWORK] = true }, ENTRIES(out_entries),
	},
};

const struct part filters_part = {
	"filters", "What filters cost, and save: eight sinks, of which they leave eight, one or none", tables, ARRAY_SIZE(tables),
};
