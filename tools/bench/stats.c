// SPDX-License-Identifier: GPL-2.0
#include "bench.h"

#include <math.h>

#define EACH	128
#define BINS	(sizeof(((struct histogram *)0)->bins) / sizeof(unsigned int))

/* Below EACH they are exact; from there on each doubling has as many bins. */
static unsigned int bin_of(uint64_t ns)
{
	unsigned int shift = ns < EACH ? 0 : 63 - __builtin_clzll(ns) - 7, bin = shift * EACH + (ns >> shift);

	return bin < BINS ? bin : BINS - 1;
}

/* The middle of it. */
static double bin_value(unsigned int bin)
{
	unsigned int shift = bin < 2 * EACH ? 0 : bin / EACH - 1;

	return (double)((uint64_t)(bin - shift * EACH) << shift) + ((1ull << shift) - 1) / 2.0;
}

/* Of one process: nobody else adds to it. */
void histogram_add(struct histogram *h, uint64_t ns)
{
	atomic_uint *bin = &h->bins[bin_of(ns)];

	atomic_store_explicit(bin, atomic_load_explicit(bin, memory_order_relaxed) + 1, memory_order_relaxed);
	if (ns > atomic_load_explicit(&h->max, memory_order_relaxed))
		atomic_store_explicit(&h->max, ns, memory_order_relaxed);
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	unsigned long long max = to->max;
	unsigned int i;

	for (i = 0; i < BINS; i++)
		if (from->bins[i])
			to->bins[i] += from->bins[i];
	while (max < from->max && !atomic_compare_exchange_weak(&to->max, &max, from->max))
		;
}

/* By nearest rank. That one sample at least is greater is what tells a percentile from the greatest. */
double histogram_percentile(const struct histogram *h, double percent)
{
	uint64_t n = 0, rank, i;

	for (i = 0; i < BINS; i++)
		n += h->bins[i];
	rank = ceil(percent * n / 100 - 1e-6);
	if (!n || (percent < 100 && rank == n))
		return NAN;
	if (percent == 100)
		return h->max;
	for (i = 0; rank > h->bins[i]; i++)
		rank -= h->bins[i];
	return fmin(bin_value(i), h->max);
}

static int compare_values(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary stats_summary(const double *values, unsigned int n)
{
	double sorted[n];
	unsigned int i, there = 0;

	for (i = 0; i < n; i++)
		if (!isnan(values[i]))
			sorted[there++] = values[i];
	if (!there)
		return (struct summary){ NAN, NAN, NAN };
	qsort(sorted, there, sizeof(*sorted), compare_values);
	return (struct summary){ (sorted[(there - 1) / 2] + sorted[there / 2]) / 2, sorted[0], sorted[there - 1] };
}

double *result_values(const struct result *r, unsigned int row, unsigned int figure)
{
	return r->values + (row * FIGURES_MAX + figure) * r->alternations;
}

struct summary result_ratio(const struct result *r, unsigned int row, unsigned int base)
{
	const double *of = result_values(r, row, r->table->ratio), *to = result_values(r, base, r->table->ratio);
	double ratios[r->alternations];
	unsigned int i;

	for (i = 0; i < r->alternations; i++)
		ratios[i] = of[i] / to[i];
	return stats_summary(ratios, r->alternations);
}
