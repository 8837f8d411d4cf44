// SPDX-License-Identifier: GPL-2.0
/* What programs read: a file a part. */
#include "bench.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/version.h>

static json_t *part, *results;

void json_start(const struct part *p, unsigned int alternations)
{
	results = json_array();
	part = json_pack("{ss ss ss ss s{ss si ss} ss si so}", "part", p->name, "version", KECHO_VERSION, "commit", machine_commit(),
			 "date", machine_date(), "machine", "cpu", machine_cpu(), "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "kernel", machine_kernel(), "node", node_is_kernel() ? "kernel" : "fuse", "alternations", (int)alternations,
			 "results", results);
	if (!part)
		die("no memory");
}

/* NULL: there is none. */
static json_t *summary(struct summary s)
{
	return isfinite(s.median) ? json_pack("{sf sf sf}", "median", s.median, "least", s.least, "greatest", s.greatest) : NULL;
}

static json_t *figures(const struct result *r, unsigned int row)
{
	const struct kind *k = r->table->kind;
	json_t *all = json_object(), *figure, *each;
	unsigned int i, j;
	double *values;

	for (i = 0; i < k->nfigures; i++) {
		values = result_values(r, row, i);
		figure = summary(stats_summary(values, r->alternations));
		if (!figure)
			continue;
		each = json_array();
		for (j = 0; j < r->alternations; j++)
			json_array_append_new(each, isnan(values[j]) ? json_null() : json_real(values[j]));
		json_object_set_new(figure, "each", each);
		json_object_set_new(all, k->figures[i].name, figure);
	}
	return all;
}

static json_t *ratios(const struct result *r, unsigned int row)
{
	json_t *all = json_object();
	unsigned int i;
	int to;

	for (i = 0; i < r->table->nentries; i++) {
		to = r->table->entries[i].base ? rows_base(r, row, &r->table->entries[i]) : -1;
		if (to >= 0 && to != (int)row)
			json_object_set_new(all, r->table->entries[i].name, summary(result_ratio(r, row, to)));
	}
	return all;
}

void json_result(const struct result *r)
{
	static const char *const axes[] = { NULL, "event_bytes", "subscribers", "rate" };
	const struct table *t = r->table;
	const struct entry *e;
	json_t *rows = json_array();
	unsigned int i;

	for (i = 0; i < r->nrows; i++) {
		e = &r->rows[i];
		json_array_append_new(rows, json_pack("{ss ss si si si so* so so}", "name", e->name, "settings", e->settings,
						      "event_bytes", (int)e->bytes, "subscribers", (int)e->subscribers,
						      "rate", (int)e->rate, "paper", e->paper ? json_real(e->paper) : NULL,
						      "figures", figures(r, i), "ratios", ratios(r, i)));
	}
	json_array_append_new(results, json_pack("{ss ss ss ss si si ss ss? so}", "table", t->name, "title", t->title,
						 "place", r->place->name, "where", r->place->title, "trial_ms", (int)t->ms,
						 "rate", (int)t->rate, "ratio_of", t->kind->figures[t->ratio].name,
						 "axis", axes[t->axis], "entries", rows));
}

void json_write(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (dir) {
		snprintf(path, sizeof(path), "%s/%s.json", dir, name);
		if (mkdir(dir, 0777) && errno != EEXIST)
			die("%s: %m", dir);
		if (json_dump_file(part, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)))
			die("cannot write %s", path);
	}
	json_decref(part);
}
