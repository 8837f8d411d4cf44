// SPDX-License-Identifier: GPL-2.0
/* What people read: Markdown. */
#include "bench.h"

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
	printf("%.*f", v >= 99.95 ? 0 : v >= 9.995 ? 1 : v >= 0.0995 ? 2 : 4, v);
}

static void put_summary(struct summary s, double scale)
{
	printf(" | ");
	put(s.median * scale);
	printf(" (");
	put(s.least * scale);
	putchar('-');
	put(s.greatest * scale);
	putchar(')');
}

static void put_row(const struct result *r, unsigned int entry)
{
	const struct table *t = r->table;
	unsigned int i;

	printf("| %s", t->entries[entry].name);
	for (i = 0; i < t->kind->nfigures; i++)
		put_summary(stats_summary(result_values(r, entry, i), r->alternations), t->kind->figures[i].scale);
	for (i = 0; i < t->nentries; i++) {
		if (!t->entries[i].base)
			continue;
		if (i == entry)
			printf(" | 1");
		else
			put_summary(result_ratio(r, entry, i), 1);
	}
	puts(" |");
}

void report_result(const struct result *r)
{
	const struct table *t = r->table;
	unsigned int i, columns = t->kind->nfigures;

	printf("\n%s\n\n|", r->place->title);
	for (i = 0; i < t->kind->nfigures; i++)
		printf(" | %s", t->kind->figures[i].title);
	for (i = 0; i < t->nentries; i++) {
		if (!t->entries[i].base)
			continue;
		printf(" | ratio to %s", t->entries[i].name);
		columns++;
	}
	printf(" |\n|---");
	while (columns--)
		printf("|---:");
	puts("|");
	for (i = 0; i < t->nentries; i++)
		put_row(r, i);
	fflush(stdout);
}

void report_table(const struct table *t)
{
	unsigned int i;

	printf("\n## %s\n\n", t->title);
	for (i = 0; i < t->nentries; i++)
		printf("- %s: %s\n", t->entries[i].name, t->entries[i].settings);
	putchar('\n');
	if (t->kind->run && t->rate)
		printf("One every %g ms. ", 1e3 / t->rate);
	printf("Ratios are of: %s.\n", t->kind->figures[t->ratio].title);
}
