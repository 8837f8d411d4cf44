// SPDX-License-Identifier: GPL-2.0
/* What programs read: a file a part. */
#include "bench.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
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

static json_t *summary(struct summary s)
{
	return json_pack("{sf sf sf}", "median", s.median, "least", s.least, "greatest", s.greatest);
}

static json_t *figures(const struct result *r, unsigned int entry)
{
	const struct kind *k = r->table->kind;
	json_t *all = json_object(), *figure, *each;
	unsigned int i, j;
	double *values;

	for (i = 0; i < k->nfigures; i++) {
		values = result_values(r, entry, i);
		figure = summary(stats_summary(values, r->alternations));
		each = json_array();
		for (j = 0; j < r->alternations; j++)
			json_array_append_new(each, json_real(values[j]));
		json_object_set_new(figure, "each", each);
		json_object_set_new(all, k->figures[i].name, figure);
	}
	return all;
}

static json_t *ratios(const struct result *r, unsigned int entry)
{
	json_t *all = json_object();
	unsigned int i;

	for (i = 0; i < r->table->nentries; i++)
		if (r->table->entries[i].base && i != entry)
			json_object_set_new(all, r->table->entries[i].name, summary(result_ratio(r, entry, i)));
	return all;
}

void json_result(const struct result *r)
{
	const struct table *t = r->table;
	json_t *rows = json_array();
	const struct entry *e;
	unsigned int i;

	for (i = 0; i < t->nentries; i++) {
		e = &t->entries[i];
		json_array_append_new(rows, json_pack("{ss ss si so* so so}", "name", e->name, "settings", e->settings,
						      "event_bytes", (int)entry_bytes(e), "paper", e->paper ? json_real(e->paper) : NULL,
						      "figures", figures(r, i), "ratios", ratios(r, i)));
	}
	json_array_append_new(results, json_pack("{ss ss ss ss si si ss so}", "table", t->name, "title", t->title,
						 "place", r->place->name, "where", r->place->title, "trial_ms", (int)t->ms,
						 "rate", (int)t->rate,
						 "ratio_of", t->kind->figures[t->ratio].name, "entries", rows));
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
