// SPDX-License-Identifier: GPL-2.0
/* What people read: Markdown. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include <kecho/version.h>

void report_start(const struct part *part, unsigned int alternations)
{
	printf("# kecho-bench %s\n\n%s.\n\n", part->name, part->help);
	printf("KECho " KECHO_VERSION " (%s), %s; %s, %ld CPUs, Linux %s; the node is %s.\n", machine_commit(), machine_date(),
	       machine_cpu(), sysconf(_SC_NPROCESSORS_ONLN), machine_kernel(), node_is_kernel() ? "the kernel's" : "kechofsd's");
	printf("Medians of %u alternations, with the least and the greatest.\n", alternations);
}

/* Three digits, or all that are before the point. */
static void put(double v)
{
	if (isnan(v)) {
		putchar('-');
		return;
	}
	printf("%.*f", v >= 99.95 ? 0 : v >= 9.995 ? 1 : v >= 0.0995 ? 2 : 4, v);
}

static void put_summary(struct summary s, double scale)
{
	printf(" | ");
	put(s.median * scale);
	if (isnan(s.median))
		return;
	printf(" (");
	put(s.least * scale);
	putchar('-');
	put(s.greatest * scale);
	putchar(')');
}

static void put_ratio(const struct result *r, unsigned int row, const struct entry *base)
{
	int to = rows_base(r, row, base);

	if (to == (int)row)
		printf(" | 1");
	else if (to < 0)
		printf(" | -");
	else
		put_summary(result_ratio(r, row, to), 1);
}

static void put_row(const struct result *r, unsigned int row)
{
	const struct table *t = r->table;
	unsigned int i;

	printf("| %s", r->rows[row].name);
	if (t->axis)
		printf(" | %u", rows_value(t, &r->rows[row]));
	for (i = 0; i < t->kind->nfigures; i++)
		put_summary(stats_summary(result_values(r, row, i), r->alternations), t->kind->figures[i].scale);
	for (i = 0; i < t->nentries; i++)
		if (t->entries[i].base && !rows_lack(t, &t->entries[i]))
			put_ratio(r, row, &t->entries[i]);
	puts(" |");
}

void report_result(const struct result *r)
{
	static const char *const axes[] = { "", " | bytes", " | subscribers", " | events/s due" };
	const struct table *t = r->table;
	unsigned int i, columns = t->kind->nfigures + (t->axis != NO_AXIS);

	printf("\n%s\n\n|%s", r->place->title, axes[t->axis]);
	for (i = 0; i < t->kind->nfigures; i++)
		printf(" | %s", t->kind->figures[i].title);
	for (i = 0; i < t->nentries; i++) {
		if (!t->entries[i].base || rows_lack(t, &t->entries[i]))
			continue;
		printf(" | ratio to %s", t->entries[i].name);
		columns++;
	}
	printf(" |\n|---");
	while (columns--)
		printf("|---:");
	puts("|");
	for (i = 0; i < r->nrows; i++)
		put_row(r, i);
	fflush(stdout);
}

void report_table(const struct table *t)
{
	const char *lack;
	unsigned int i;

	printf("\n## %s\n\n", t->title);
	for (i = 0; i < t->nentries; i++) {
		lack = rows_lack(t, &t->entries[i]);
		printf("- %s: %s%s%s\n", t->entries[i].name, t->entries[i].settings, lack ? ". NOT MEASURED: " : "", lack ? lack : "");
	}
	putchar('\n');
	if (t->kind->run && t->rate)
		printf("One every %g ms. ", 1e3 / t->rate);
	printf("Ratios are of: %s.\n", t->kind->figures[t->ratio].title);
}
