// SPDX-License-Identifier: GPL-2.0
#include "bench.h"

#include <math.h>
#include <string.h>

static int compare_samples(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* By nearest rank; sorts them. */
double stats_percentile(uint64_t *samples, unsigned int n, double percent)
{
	unsigned int rank = ceil(percent / 100 * n);

	qsort(samples, n, sizeof(*samples), compare_samples);
	return samples[rank ? rank - 1 : 0];
}

static int compare_values(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct summary stats_summary(const double *values, unsigned int n)
{
	double sorted[n];

	memcpy(sorted, values, sizeof(sorted));
	qsort(sorted, n, sizeof(*sorted), compare_values);
	return (struct summary){ (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0], sorted[n - 1] };
}

double *result_values(const struct result *r, unsigned int entry, unsigned int figure)
{
	return r->values + (entry * FIGURES_MAX + figure) * r->alternations;
}

struct summary result_ratio(const struct result *r, unsigned int entry, unsigned int base)
{
	const double *of = result_values(r, entry, r->table->ratio), *to = result_values(r, base, r->table->ratio);
	double ratios[r->alternations];
	unsigned int i;

	for (i = 0; i < r->alternations; i++)
		ratios[i] = of[i] / to[i];
	return stats_summary(ratios, r->alternations);
}
