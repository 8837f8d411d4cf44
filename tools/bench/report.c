// SPDX-License-Identifier: GPL-2.0
/* What people read of a part: Markdown. */
#include "report.h"

#include <math.h>
#include <string.h>

void report_part(FILE *f, const json_t *part)
{
	const json_t *machine = json_object_get(part, "machine");

	fprintf(f, "# kecho-bench %s\n\n%s.\n\n", results_string(part, "part"), results_string(part, "help"));
	fprintf(f, "KECho %s (%s), %s; %s, %.0f CPUs, Linux %s; the node is %s.\n", results_string(part, "version"),
		results_string(part, "commit"), results_string(part, "date"), results_string(machine, "cpu"), results_number(machine, "cpus"),
		results_string(machine, "kernel"), strcmp(results_string(part, "node"), "kernel") ? "kechofsd's" : "the kernel's");
	fprintf(f, "Medians of %.0f alternations, with the least and the greatest.\n", results_number(part, "alternations"));
}

void report_number(FILE *f, double v)
{
	if (isnan(v))
		fputc('-', f);
	else
		fprintf(f, "%.*f", !v || v >= 99.95 ? 0 : v >= 9.995 ? 1 : v >= 0.0995 ? 2 : 4, v);
}

void report_summary(FILE *f, const json_t *summary, double scale)
{
	report_number(f, results_number(summary, "median") * scale);
	if (!summary)
		return;
	fputs(" (", f);
	report_number(f, results_number(summary, "least") * scale);
	fputc('-', f);
	report_number(f, results_number(summary, "greatest") * scale);
	fputc(')', f);
}

static void put_row(FILE *f, const json_t *table, const char *axis, const json_t *row)
{
	const json_t *figures = json_object_get(table, "figures"), *figure, *bases = json_object_get(table, "bases"), *base;
	const char *name = results_string(row, "name");
	size_t i;

	fprintf(f, "| %s", name);
	if (*axis)
		fprintf(f, " | %.0f", results_number(row, axis));
	json_array_foreach(figures, i, figure) {
		fputs(" | ", f);
		report_summary(f, results_figure(row, results_string(figure, "name")), results_number(figure, "scale"));
	}
	json_array_foreach(bases, i, base) {
		fputs(" | ", f);
		if (!strcmp(name, json_string_value(base)))
			fputc('1', f);
		else
			report_summary(f, json_object_get(json_object_get(row, "ratios"), json_string_value(base)), 1);
	}
	fputs(" |\n", f);
}

static const char *axis_title(const char *axis)
{
	return !strcmp(axis, "event_bytes") ? "bytes" : !strcmp(axis, "rate") ? "events/s due" : axis;
}

void report_result(FILE *f, const json_t *table, const json_t *result)
{
	const json_t *figures = json_object_get(table, "figures"), *bases = json_object_get(table, "bases"), *each;
	const char *axis = results_string(table, "axis");
	size_t i, columns = json_array_size(figures) + json_array_size(bases) + !!*axis;

	fprintf(f, "\n%s\n\n|%s%s", results_string(result, "where"), *axis ? " | " : "", axis_title(axis));
	json_array_foreach(figures, i, each)
		fprintf(f, " | %s", results_string(each, "title"));
	json_array_foreach(bases, i, each)
		fprintf(f, " | ratio to %s", json_string_value(each));
	fprintf(f, " |\n|---");
	while (columns--)
		fprintf(f, "|---:");
	fputs("|\n", f);
	json_array_foreach(json_object_get(result, "entries"), i, each)
		put_row(f, table, axis, each);
	fflush(f);
}

void report_table(FILE *f, const json_t *table)
{
	const char *ratio_of = results_string(table, "ratio_of"), *lacks;
	const json_t *each;
	size_t i;

	fprintf(f, "\n## %s\n\n", results_string(table, "title"));
	json_array_foreach(json_object_get(table, "entries"), i, each) {
		lacks = results_string(each, "lacks");
		fprintf(f, "- %s: %s%s%s\n", results_string(each, "name"), results_string(each, "settings"),
			*lacks ? ". NOT MEASURED: " : "", lacks);
	}
	fputc('\n', f);
	if (json_object_get(table, "period_ms"))
		fprintf(f, "One every %g ms. ", results_number(table, "period_ms"));
	json_array_foreach(json_object_get(table, "figures"), i, each)
		if (json_array_size(json_object_get(table, "bases")) && !strcmp(results_string(each, "name"), ratio_of))
			fprintf(f, "Ratios are of: %s.\n", results_string(each, "title"));
}
