// SPDX-License-Identifier: GPL-2.0
/* The report of all parts: what falls short, the paper's table and figures, and then everything. */
#include "report.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define NOT_AT_HAND	"not at hand"

/* A row of the paper's table. @paper: what it has itself */
static const struct call {
	const char *title, *table, *paper;
} calls[] = {
	{ "creation of a channel", "calls/create", NOT_AT_HAND },
	{ "opening of one that is on another host", "calls/join", "1.5 s" },
	{ "opening of one that is here, to publish", "calls/open", NOT_AT_HAND },
	{ "opening of one that is here, to receive", "calls/subscribe", NOT_AT_HAND },
	{ "submission to nobody", "calls/submit", NOT_AT_HAND },
	{ "submission to a local sink", "calls/submit-local", NOT_AT_HAND },
	{ "submission to a remote sink", "calls/submit-remote", NOT_AT_HAND },
	{ "polling, an event is there", "calls/poll", NOT_AT_HAND },
	{ "polling, nothing is there", "calls/poll-empty", NOT_AT_HAND },
};

static const char *const ways[] = { "files", "libkecho", "kernel" };

static void put_cell(FILE *f, const json_t *row)
{
	fputs(" | ", f);
	report_summary(f, results_figure(row, "p50_ns"), 1e-3);
	if (!row)
		return;
	fputs("; ", f);
	report_number(f, results_number(results_figure(row, "calls"), "median"));
}

/* What it is beside. */
static void put_bare(FILE *f, const json_t *table, const json_t *result)
{
	const char *base = json_string_value(json_array_get(json_object_get(table, "bases"), 0));

	if (!base) {
		fputs(" | -", f);
		return;
	}
	put_cell(f, results_row(result, base));
	fprintf(f, " (%s)", base);
}

static void paper_table(FILE *f, const json_t *parts, const char *node)
{
	const json_t *result, *table = NULL;
	bool any = false;
	size_t i, w;

	for (i = 0; i < ARRAY_SIZE(calls); i++)
		any |= !!results_find(parts, node, calls[i].table, NULL, NULL);
	if (!any)
		return;
	fprintf(f, "\n### Table 1: calls, the node is %s\n\n", strcmp(node, "kernel") ? "kechofsd's" : "the kernel's");
	fputs("Microseconds, and system calls behind the semicolon: medians, with the least and the greatest.\n\n", f);
	fputs("| | the files | libkecho | inside the kernel | beside | the paper |\n|---|---:|---:|---:|---:|---:|\n", f);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		result = results_find(parts, node, calls[i].table, NULL, &table);
		if (!result)
			continue;
		fprintf(f, "| %s", calls[i].title);
		for (w = 0; w < ARRAY_SIZE(ways); w++)
			put_cell(f, results_row(result, ways[w]));
		put_bare(f, table, result);
		fprintf(f, " | %s |\n", calls[i].paper);
	}
}

/* The cost of a filter itself, of which the paper has a number. */
static void paper_filter(FILE *f, const json_t *parts, const char *node)
{
	static const char *const rows[] = { "files, expr, 8", "files, expr, 0", "kernel, expr, 8", "kernel, expr, 0" };
	const json_t *result = results_find(parts, node, "filters/in", NULL, NULL), *row;
	size_t i;

	if (!result)
		return;
	fprintf(f, "\n### A filter over 8 sinks, the node is %s\n\n", strcmp(node, "kernel") ? "kechofsd's" : "the kernel's");
	fputs("| | its own time, us | the paper, on a machine of 200 MHz: a few if-else statements |\n|---|---:|---:|\n", f);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		row = results_row(result, rows[i]);
		if (!row)
			continue;
		fprintf(f, "| in, %s | ", rows[i]);
		report_summary(f, results_figure(row, "filter_ns"), 1e-3);
		fputs(" | 0.9-1 us |\n", f);
	}
}

static void put_part(FILE *f, const json_t *part)
{
	const json_t *tables = json_object_get(part, "tables"), *table, *result;
	size_t i, j;

	fputc('\n', f);
	report_part(f, part);
	json_array_foreach(tables, i, table) {
		report_table(f, table);
		json_array_foreach(json_object_get(part, "results"), j, result)
			if (!strcmp(results_string(result, "table"), results_string(table, "table")))
				report_result(f, table, result);
	}
}

/* Of each part, for they may have been measured at different times. */
static void put_machines(FILE *f, const json_t *parts)
{
	const json_t *part, *machine;
	size_t i;

	fputs("| part | node | machine | CPUs | Linux | KECho | when | alternations |\n|---|---|---|---:|---|---|---|---:|\n", f);
	json_array_foreach(parts, i, part) {
		machine = json_object_get(part, "machine");
		fprintf(f, "| %s | %s | %s | %.0f | %s | %s | %s | %.0f |\n", results_string(part, "part"), results_string(part, "node"),
			results_string(machine, "cpu"), results_number(machine, "cpus"), results_string(machine, "kernel"),
			results_string(part, "commit"), results_string(part, "date"), results_number(part, "alternations"));
	}
}

void document_write(const char *dir)
{
	json_t *parts = results_load(dir);
	char path[PATH_MAX];
	const json_t *part;
	FILE *f;
	size_t i;

	snprintf(path, sizeof(path), "%s/report.md", dir);
	f = fopen(path, "we");
	if (!f)
		die("%s: %m", path);
	fputs("# KECho, measured\n\n", f);
	fputs("Figures are medians of alternations, with the least and the greatest; ratios are of two rows of the same alternation. "
	      "How it is measured: kecho-bench(1).\n\n", f);
	put_machines(f, parts);
	goals_report(f, parts);
	fputs("\n## The paper's tables\n\nPoellabauer, Schwan et al., \"KECho: Event Communication for Distributed Kernel Services\" (ARCS "
	      "2002). Of its machine only the 200 MHz are at hand.\n", f);
	paper_table(f, parts, "fuse");
	paper_table(f, parts, "kernel");
	paper_filter(f, parts, "fuse");
	paper_filter(f, parts, "kernel");
	fputs("\n## Figures\n", f);
	plot_all(f, parts, dir);
	json_array_foreach(parts, i, part)
		put_part(f, part);
	json_decref(parts);
	if (ferror(f) || fclose(f))
		die("cannot write %s", path);
	printf("%s\n", path);
}
