// SPDX-License-Identifier: GPL-2.0
/* Pictures: for each a script for gnuplot, with its data, and what gnuplot makes of it. */
#include "report.h"

#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define PANELS_MAX	4
#define SERIES_MAX	24
#define WIDTH		760	/* of a panel, in pixels */
#define HEIGHT		480

enum { LOG_X = 1, LOG_Y = 2 };

/**
 * struct panel - a diagram: a figure of a table's rows, by the table's axis, or by the number that their names end with
 * @place: NULL: the table's first
 * @scale: from the unit that is stored
 */
struct panel {
	const char *table, *place, *figure, *title, *x, *y;
	double scale;
	unsigned int flags;
};

struct plot {
	const char *name, *title, *caption;
	struct panel panels[PANELS_MAX];
};

#define US		1e-3

#define SUBMISSION(its_table, its_title) \
	{ "submission/" its_table, NULL, "p50_ns", its_title, "sinks", "submission, us", US, 0 }
#define RATES(its_figure, its_title) { "rates/sleeping", NULL, its_figure, its_title, "events a second that are due", "us", US, LOG_X | LOG_Y }
#define WEB(its_figure, its_title, its_y, its_scale) \
	{ "balance/uneven", NULL, its_figure, its_title, "requests a second to each of seven servers", its_y, its_scale, 0 }
#define UPDATES(its_table, its_figure, its_title, its_x, its_y, its_scale) \
	{ "updates/" its_table, NULL, its_figure, its_title, its_x, its_y, its_scale, 0 }

static const struct plot plots[] = {
	{
		"figure6", "Figure 6: submission to remote sinks",
		"What a publisher pays for an event to so many remote sinks. The paper's own figures are not at hand.",
		{
			SUBMISSION("one-host-100", "on one host, 100 bytes"), SUBMISSION("one-host-1024", "on one host, 1 KiB"),
			SUBMISSION("hosts-100", "a host each, 100 bytes"), SUBMISSION("hosts-1024", "a host each, 1 KiB"),
		},
	},
	{
		"figure7", "Figure 7: filters that leave 8, 1 or 0 of 8 sinks",
		"Above what the publisher pays, below the CPU time of all receivers. The paper's own figures are not at hand.",
		{
			{ "filters/in", NULL, "p50_ns", "IN, local sinks: submission", "sinks that are left", "us", US, 0 },
			{ "filters/out", NULL, "p50_ns", "OUT, remote sinks: submission", "sinks that are left", "us", US, 0 },
			{ "filters/in", NULL, "sinks_cpu_ns", "IN, local sinks: their CPU time", "sinks that are left", "us", US, 0 },
			{ "filters/out", NULL, "sinks_cpu_ns", "OUT, remote sinks: their CPU time", "sinks that are left", "us", US, 0 },
		},
	},
	{
		"rates", "Latency by rate",
		"From when an event was due until it was received. A percentile is shown if a sample is behind it.",
		{
			RATES("p50_ns", "median"), RATES("p99_ns", "99th percentile"), RATES("p99.9_ns", "99.9th percentile"),
			RATES("p99.99_ns", "99.99th percentile"),
		},
	},
	{
		"sizes", "Throughput and latency by size",
		"One publisher, one subscriber.",
		{
			{ "sizes/throughput", NULL, "events_per_s", "throughput", "bytes", "thousand events a second", 1e-3, LOG_X | LOG_Y },
			{ "sizes/sleeping", NULL, "p50_ns", "latency, median", "bytes", "us", US, LOG_X | LOG_Y },
		},
	},
	{
		"fanout", "Fan-out",
		"Each subscriber receives every event; the throughput is that of the slowest.",
		{
			{ "fanout/throughput", NULL, "events_per_s", "throughput", "subscribers", "thousand events a second", 1e-3, LOG_X | LOG_Y },
			{ "fanout/sleeping", NULL, "p50_ns", "latency, median", "subscribers", "us", US, LOG_X | LOG_Y },
		},
	},
	{
		"figure8", "Figure 8: response time of web servers with more requests than they can do",
		"By who moves requests to others. A request that was not answered counts as the 5 s after which nobody waits for it.",
		{
			WEB("mean_ns", "mean", "ms", 1e-6), WEB("p99_ns", "99th percentile", "ms", 1e-6),
			WEB("timed_out", "not answered", "%", 100), WEB("work", "executions of one that is answered", "", 1),
		},
	},
	{
		"figure9", "Figure 9: what it costs to be told of others' load",
		"Above by how often it is said, below by how many are told: CPU time of monitoring alone, and the response time of requests that "
		"go to others by it.",
		{
			UPDATES("often", "monitoring_ns_per_s", "eight hosts", "events in a second", "CPU us in a second at a host", 1e-3),
			UPDATES("often", "mean_ns", "eight hosts: response time", "events in a second", "ms", 1e-6),
			UPDATES("many", "monitoring_ns_per_s", "five events in a second", "receivers", "CPU us in a second at a host", 1e-3),
			UPDATES("many", "mean_ns", "five events in a second: response time", "receivers", "ms", 1e-6),
		},
	},
	{
		"scale", "How cost grows",
		"Publishing an event, by subscribers and channels of a host and by hosts; and joining.",
		{
			{ "scale/sinks", NULL, "publish_ns", "publishing to subscribers of a host", "subscribers", "us", US, LOG_X | LOG_Y },
			{ "scale/channels", NULL, "publish_ns", "publishing on one of many channels", "channels", "us", US, LOG_X | LOG_Y },
			{ "scale/hosts", NULL, "publish_ns", "publishing to a subscriber on each host", "hosts", "us", US, LOG_X | LOG_Y },
			{ "scale/hosts", NULL, "known_ns", "joining, until all know", "hosts", "ms", 1e-6, LOG_X | LOG_Y },
		},
	},
};

/* Names that all panels of a plot have: their colours. */
struct series {
	char names[SERIES_MAX][64];
	unsigned int n;
};

/* Where a row belongs: the value on the axis, and the name of what it is one point of. False: nowhere. */
static bool point(const json_t *row, const char *axis, char *name, size_t size, double *x)
{
	const char *whole = results_string(row, "name"), *comma = strrchr(whole, ',');
	char *end;

	snprintf(name, size, "%s", whole);
	if (*axis) {
		*x = results_number(row, axis);
		return true;
	}
	if (!comma || (size_t)(comma - whole) >= size)
		return false;
	*x = strtod(comma + 1, &end);
	name[comma - whole] = '\0';
	return !*end;
}

static void collect(struct series *s, const json_t *result)
{
	const json_t *row;
	char name[64];
	unsigned int i;
	double x;
	size_t r;

	json_array_foreach(json_object_get(result, "entries"), r, row) {
		if (!point(row, results_string(result, "axis"), name, sizeof(name), &x))
			continue;
		for (i = 0; i < s->n && strcmp(s->names[i], name); i++)
			;
		if (i == s->n && s->n < SERIES_MAX)
			strcpy(s->names[s->n++], name);
	}
}

/* Returns how many points it has. */
static unsigned int put_data(FILE *script, const char *block, const struct panel *p, const json_t *result, const char *of)
{
	const json_t *row, *figure;
	unsigned int n = 0;
	char name[64];
	double x;
	size_t r;

	fprintf(script, "%s << END\n", block);
	json_array_foreach(json_object_get(result, "entries"), r, row) {
		figure = results_figure(row, p->figure);
		if (!figure || !point(row, results_string(result, "axis"), name, sizeof(name), &x) || strcmp(name, of))
			continue;
		fprintf(script, "%.9g %.9g %.9g %.9g\n", x, results_number(figure, "median") * p->scale,
			results_number(figure, "least") * p->scale, results_number(figure, "greatest") * p->scale);
		n++;
	}
	fputs("END\n", script);
	return n;
}

static void put_panel(FILE *script, const struct panel *p, const json_t *result, const struct series *s, unsigned int nth)
{
	const char *separator = "plot ";
	unsigned int i, n[SERIES_MAX];
	char block[32];

	for (i = 0; i < s->n; i++) {
		snprintf(block, sizeof(block), "$panel%u_%u", nth, i);
		n[i] = put_data(script, block, p, result, s->names[i]);
	}
	fprintf(script, "set title \"%s\"\nset xlabel \"%s\"\nset ylabel \"%s\"\n", p->title, p->x, p->y);
	fputs(p->flags & LOG_X ? "set format x \"%.0s%c\"\n" :
	      "set format x \"%g\"\nset offsets graph 0.03, graph 0.03, 0, 0\nset autoscale xfix\n", script);
	fprintf(script, "unset logscale\nset yrange [%s:*]\n", p->flags & LOG_Y ? "*" : "0");
	fprintf(script, "%s%s", p->flags & LOG_X ? "set logscale x\n" : "", p->flags & LOG_Y ? "set logscale y\n" : "");
	for (i = 0; i < s->n; i++) {
		if (!n[i])
			continue;
		fprintf(script, "%s$panel%u_%u with yerrorlines linetype %u pointsize 0.8 title \"%s\"", separator, nth, i, i + 1, s->names[i]);
		separator = ", ";
	}
	fputc('\n', script);
}

/* Colours that differ for as many series as there are, in pairs of line and dashes. */
static const char style[] =
	"set encoding utf8\nset grid\nset format y \"%g\"\nset bars small\n"
	"set key outside right top vertical reverse Left samplen 2\n"
	"colours = \"#d62728 #1f77b4 #2ca02c #ff7f0e #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf #000000 #ffbb00\"\n"
	"do for [i = 1:24] { set linetype i linecolor rgb word(colours, (i - 1) % 12 + 1) linewidth 1.5 pointtype (i - 1) % 13 + 1 }\n";

static void put_script(FILE *script, const struct plot *p, const json_t *const *results, unsigned int n, const char *node, const char *png)
{
	unsigned int columns = n > 1 ? 2 : 1, rows = (n + 1) / 2, i, nth = 0;
	struct series s = { .n = 0 };

	for (i = 0; i < PANELS_MAX; i++)
		collect(&s, results[i]);
	fprintf(script, "set terminal pngcairo size %u,%u font \"sans,10\" noenhanced\nset output \"%s\"\n%s", columns * WIDTH,
		rows * HEIGHT + 40, png, style);
	fprintf(script, "set multiplot layout %u,%u title \"%s (the node is %s)\" font \"sans,14\"\n", rows, columns, p->title,
		strcmp(node, "kernel") ? "kechofsd's" : "the kernel's");
	for (i = 0; i < PANELS_MAX; i++)
		if (results[i])
			put_panel(script, &p->panels[i], results[i], &s, nth++);
	fputs("unset multiplot\n", script);
}

static bool gnuplot(const char *dir, const char *script)
{
	pid_t pid = process_start(SIGTERM);

	if (!pid) {
		if (!chdir(dir))
			execlp("gnuplot", "gnuplot", script, NULL);
		_exit(EXIT_FAILURE);
	}
	return !process_wait(pid);
}

/* Beside the PNG, so that somebody can make another one. */
static void plot_one(FILE *f, const struct plot *p, const json_t *parts, const char *node, const char *dir)
{
	const json_t *results[PANELS_MAX] = { NULL };
	char base[128], name[160], png[160], path[PATH_MAX];
	unsigned int i, n = 0;
	FILE *script;

	for (i = 0; i < PANELS_MAX && p->panels[i].table; i++) {
		results[i] = results_find(parts, node, p->panels[i].table, p->panels[i].place, NULL);
		if (results[i] && json_array_size(json_object_get(results[i], "entries")))
			n++;
		else
			results[i] = NULL;
	}
	if (!n)
		return;
	snprintf(base, sizeof(base), "%s%s", p->name, strcmp(node, "kernel") ? "" : "-kernel");
	snprintf(name, sizeof(name), "%s.gnuplot", base);
	snprintf(png, sizeof(png), "%s.png", base);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	script = fopen(path, "we");
	if (!script)
		die("%s: %m", path);
	put_script(script, p, results, n, node, png);
	if (fclose(script))
		die("%s: %m", path);
	if (!gnuplot(dir, name)) {
		warning("%s: no picture: gnuplot (gnuplot-nox) is not there, or has failed", path);
		return;
	}
	fprintf(f, "\n### %s%s\n\n![%s](%s)\n\n%s\n", p->title, strcmp(node, "kernel") ? "" : ", the kernel's node", p->title, png, p->caption);
}

void plot_all(FILE *f, const json_t *parts, const char *dir)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(plots); i++) {
		plot_one(f, &plots[i], parts, "fuse", dir);
		plot_one(f, &plots[i], parts, "kernel", dir);
	}
}
