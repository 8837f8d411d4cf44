// SPDX-License-Identifier: GPL-2.0
/* What was to be reached. It says whether it is; no test asks for it, for a machine that does other things meanwhile has other figures. */
#include "report.h"

#include <math.h>

enum bound { AT_MOST, AT_LEAST };

/**
 * struct goal - a row's figure, or its ratio to another row's
 * @node: "fuse" or "kernel"; NULL: whichever was measured
 * @place: NULL: the table's first
 * @at: the row on the table's axis; 0: it has none
 * @to: the other row; NULL: the figure itself
 * @value: of a figure in the unit that it is stored in
 * @scale, @unit: to that which is shown
 */
struct goal {
	const char *title, *node, *table, *place, *row;
	unsigned int at;
	const char *to, *figure;
	enum bound bound;
	double value, scale;
	const char *unit;
};

#define RATIO(its_title, its_node, its_table, its_place, its_row, its_to, its_figure, its_bound, its_value) \
	{ its_title, its_node, its_table, its_place, its_row, 0, its_to, its_figure, its_bound, its_value, 1, "" }
#define US(its_title, its_node, its_table, its_place, its_row, its_figure, us) \
	{ its_title, its_node, its_table, its_place, its_row, 0, NULL, its_figure, AT_MOST, (us) * 1e3, 1e-3, " us" }

#define SUBMIT_EVPATH(sinks, us) \
	US("submission to sinks on other hosts: " #sinks ", below EVPath's", "fuse", "submission/hosts-100", NULL, "libkecho, " #sinks, "p50_ns", us)

#define RINGS(place) \
	RATIO("events a second by rings, each by itself, to ZeroMQ's over ipc, " place, NULL, "ring/throughput", place, \
	      "kecho, rings", "ZeroMQ", "events_per_s", AT_LEAST, 3), \
	RATIO("events a second by rings, 64 at once, to ZeroMQ's over ipc, " place, NULL, "ring/throughput", place, \
	      "kecho, rings, 64 at once", "ZeroMQ", "events_per_s", AT_LEAST, 3), \
	RATIO("latency by rings, the subscriber sleeps, to an eventfd's, " place, NULL, "ring/sleeping", place, \
	      "kecho, rings", "eventfd", "p50_ns", AT_MOST, 1.5)

#define HALF(title, place, its_row) \
	RATIO("one way between hosts " title ", to half of TCP's way there and back", NULL, "delivery/half", place, \
	      its_row, "TCP", "half_p50_ns", AT_MOST, 1.3)

#define BALANCE(its_title, its_table, at, its_row, its_to, its_figure, its_bound, its_value, its_scale, its_unit) \
	{ its_title, NULL, "balance/" its_table, NULL, its_row, at, its_to, its_figure, its_bound, its_value, its_scale, its_unit }

static const struct goal goals[] = {
	RATIO("publish from kernel code to 8 sinks on one host, to one to 1 sink", "kernel", "submission/one-host-100", NULL,
	      "kernel, 8", "kernel, 1", "p50_ns", AT_MOST, 1.3),
	RATIO("publish from kernel code to 8 hosts, to eight kernel_sendmsg()", "kernel", "submission/hosts-100", NULL,
	      "kernel, 8", "kernel_sendmsg, 8", "p50_ns", AT_MOST, 1.2),
	HALF("by libkecho", "network", "libkecho"), HALF("by the files", "network", "files"),
	HALF("by libkecho, on a line of 20 us", "rack", "libkecho"), HALF("by the files, on a line of 20 us", "rack", "files"),
	RATIO("latency through the kernel's files, to a pipe's", "kernel", "peers/sleeping", "one CPU",
	      "kecho, files", "pipe", "p50_ns", AT_MOST, 1.5),
	RATIO("latency through FUSE, to the smallest libfuse program's", "fuse", "peers/sleeping", "one CPU",
	      "kecho, files", "FUSE", "p50_ns", AT_MOST, 1.2),
	RATIO("throughput through FUSE, to the smallest libfuse program's", "fuse", "peers/throughput", "one CPU",
	      "kecho, files", "FUSE", "events_per_s", AT_LEAST, 1 / 1.2),
	{ "opening of a channel on another host, without a link to it", NULL, "calls/join", NULL, "files, no link yet", 0, NULL, "p50_ns",
	  AT_MOST, 5e6, 1e-6, " ms" },
	SUBMIT_EVPATH(1, 10), SUBMIT_EVPATH(2, 29), SUBMIT_EVPATH(4, 56), SUBMIT_EVPATH(8, 98),
	US("latency between hosts, below EVPath's at one sink", NULL, "delivery/one-way", NULL, "libkecho", "p50_ns", 19),
	{ "events a second to one sink, above EVPath's", NULL, "peers/throughput", "two CPUs", "kecho, rings", 0, NULL, "events_per_s",
	  AT_LEAST, 517e3, 1e-3, " thousand" },
	US("a filter that rejects 8 sinks, below EVPath's 0.29 us and 0.13 us a further sink", NULL, "filters/in", NULL,
	   "files, expr, 0", "filter_ns", 1.2),
	RINGS("one CPU"), RINGS("two CPUs"),
	RATIO("latency by rings, the subscriber sleeps, the node does not, to an eventfd's", NULL, "ring/sleeping", "two CPUs",
	      "kecho, rings, node awake", "eventfd", "p50_ns", AT_MOST, 1.5),
	US("latency by rings, the subscriber spins, the node sleeps", NULL, "ring/spinning", NULL, "kecho, rings", "p50_ns", 1),
	US("latency by rings, the subscriber and the node spin", NULL, "ring/awake", NULL, "kecho, rings, node awake", "p50_ns", 1),
	RATIO("99th percentile with a busy CPU and the boost (nice), to none", NULL, "ring/boost", NULL,
	      "nice -10", "no boost", "p99_ns", AT_MOST, 0.1),
	RATIO("99th percentile with a busy CPU and the boost (fifo), to none", NULL, "ring/boost", NULL,
	      "fifo", "no boost", "p99_ns", AT_MOST, 0.1),
	RATIO("throughput of a link, 1 KiB: rudp to tcp", NULL, "links/stream", NULL, "kecho, rudp", "kecho, tcp", "events_per_s", AT_LEAST, 0.7),
	RATIO("throughput of a link, 64 KiB: rudp to tcp", NULL, "links/large", NULL, "kecho, rudp", "kecho, tcp", "events_per_s", AT_LEAST, 0.7),
	RATIO("latency of a link: rudp to tcp", NULL, "links/latency", NULL, "kecho, rudp", "kecho, tcp", "p50_ns", AT_MOST, 1.2),
	RATIO("throughput of a lossy line: rudp to tcp", NULL, "links/lossy-stream", NULL, "kecho, rudp", "kecho, tcp", "events_per_s",
	      AT_LEAST, 1.5),
	RATIO("99th percentile on a lossy line: rudp to tcp", NULL, "links/lossy-latency", NULL, "kecho, rudp", "kecho, tcp", "p99_ns",
	      AT_MOST, 0.5),
	RATIO("99th percentile of urgent events on a full line, to an idle one: rudp", NULL, "links/urgent", NULL,
	      "rudp, bulk beside", "rudp, idle", "p99_ns", AT_MOST, 3),
	RATIO("99th percentile of urgent events on a full line, to an idle one: tcp", NULL, "links/urgent", NULL,
	      "tcp, bulk beside", "tcp, idle", "p99_ns", AT_MOST, 3),
	BALANCE("of requests that another web server has answered, those in 2.558 s, one of eight asked 40 times a second", "one", 40,
		"kecho, n=1", NULL, "in_time", AT_LEAST, 1, 100, " %"),
	BALANCE("of requests that another web server has answered, those in 2.558 s, seven of eight asked 33 times a second", "uneven", 33,
		"kecho, n=1", NULL, "in_time", AT_LEAST, 1, 100, " %"),
	BALANCE("99th percentile of response times, one of eight asked 40 times a second, the others half of it, when two more are asked, "
		"to one more", "half", 40,
		"kecho, n=2", "kecho, n=1", "p99_ns", AT_MOST, 1, 1, ""),
	BALANCE("response time of web servers, seven of eight asked 20 times a second, to HAProxy's with leastconn", "uneven", 20,
		"kecho, soon", "HAProxy, leastconn", "mean_ns", AT_MOST, 1, 1, ""),
	BALANCE("response time of web servers that are asked as much, to HAProxy's with leastconn", "even", 22,
		"kecho, soon", "HAProxy, leastconn", "mean_ns", AT_MOST, 1, 1, ""),
	BALANCE("response time of web servers whose times vary, seven of eight asked 22 times a second, to HAProxy's with leastconn", "varied",
		22, "kecho, soon, seven of eight", "HAProxy, leastconn, seven of eight", "mean_ns", AT_MOST, 1, 1, ""),
	BALANCE("response time of web servers whose times vary and that are asked as much, to HAProxy's with leastconn", "varied", 22,
		"kecho, soon", "HAProxy, leastconn", "mean_ns", AT_MOST, 1, 1, ""),
	BALANCE("CPU time of monitoring, handling of events and filtering, seven of eight web servers asked 50 times a second", "uneven", 50,
		"kecho, n=1", NULL, "cpu", AT_MOST, 0.01, 100, " % of a CPU a host"),
	{ "CPU time of being told of eight hosts' load, five times a second each", NULL, "updates/often", NULL, "kecho", 5, NULL,
	  "monitoring_ns_per_s", AT_MOST, 1e7, 1e-7, " % of a CPU a host" },
};

/* Median NAN: it was not measured. */
static struct summary reached(const json_t *parts, const struct goal *g)
{
	const json_t *result = results_find(parts, g->node, g->table, g->place, NULL);
	const json_t *of = results_figure(results_row_at(result, g->row, g->at), g->figure);

	if (g->to)
		return results_ratio(of, results_figure(results_row_at(result, g->to, g->at), g->figure));
	return (struct summary){ results_number(of, "median"), results_number(of, "least"), results_number(of, "greatest") };
}

static void put(FILE *f, const struct goal *g, double value)
{
	report_number(f, value * g->scale);
	fputs(g->unit, f);
}

static bool falls_short(const struct goal *g, double value)
{
	return g->bound == AT_MOST ? value > g->value : value < g->value;
}

static void put_goal(FILE *f, const struct goal *g, const struct summary *s)
{
	fprintf(f, "| %s | %s ", g->title, g->bound == AT_MOST ? "at most" : "at least");
	put(f, g, g->value);
	if (isnan(s->median)) {
		fputs(" | - | not measured |\n", f);
		return;
	}
	fputs(" | ", f);
	put(f, g, s->median);
	fputs(" (", f);
	report_number(f, s->least * g->scale);
	fputc('-', f);
	report_number(f, s->greatest * g->scale);
	fprintf(f, ") | %s |\n", falls_short(g, s->median) ? "**falls short**" : "reached");
}

void goals_report(FILE *f, const json_t *parts)
{
	unsigned int i, measured = 0, missed = 0;
	struct summary s[ARRAY_SIZE(goals)];

	for (i = 0; i < ARRAY_SIZE(goals); i++) {
		s[i] = reached(parts, &goals[i]);
		measured += !isnan(s[i].median);
	}
	fputs("\n## What falls short\n\n", f);
	for (i = 0; i < ARRAY_SIZE(goals); i++) {
		if (isnan(s[i].median) || !falls_short(&goals[i], s[i].median))
			continue;
		fprintf(f, "%s%s: ", missed++ ? "; " : "Short of what they were to be are ", goals[i].title);
		put(f, &goals[i], s[i].median);
		fprintf(f, ", not %s ", goals[i].bound == AT_MOST ? "at most" : "at least");
		put(f, &goals[i], goals[i].value);
	}
	fprintf(f, "%sOf %u goals that were measured %u are not reached; %zu were not measured.\n\n", missed ? ". " : "", measured, missed,
		ARRAY_SIZE(goals) - measured);
	fputs("| goal | bound | measured | |\n|---|---:|---:|---|\n", f);
	for (i = 0; i < ARRAY_SIZE(goals); i++)
		put_goal(f, &goals[i], &s[i]);
	fputs("\nEVPath was measured on another machine with two virtual CPUs: a process a sink, an event of 100 bytes each millisecond, by TCP.\n", f);
}
