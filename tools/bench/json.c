// SPDX-License-Identifier: GPL-2.0
/* What programs read: a file a part. */
#include "report.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/version.h>

static const char *const axes[] = { NULL, "event_bytes", "subscribers", "rate", "channels", "hosts" };
static json_t *part, *tables, *results;

json_t *json_start(const struct part *p, unsigned int alternations)
{
	tables = json_array();
	results = json_array();
	part = json_pack("{ss ss ss ss ss s{ss si ss} ss si so so}", "part", p->name, "help", p->help, "version", KECHO_VERSION,
			 "commit", machine_commit(), "date", machine_date(), "machine", "cpu", machine_cpu(),
			 "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", machine_kernel(), "node", node_is_kernel() ? "kernel" : "fuse",
			 "alternations", (int)alternations, "tables", tables, "results", results);
	if (!part)
		die("no memory");
	return part;
}

static json_t *table_figures(const struct kind *k)
{
	json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < k->nfigures; i++)
		json_array_append_new(all, json_pack("{ss ss sf}", "name", k->figures[i].name, "title", k->figures[i].title,
						     "scale", k->figures[i].scale));
	return all;
}

json_t *json_table(const struct table *t)
{
	json_t *entries = json_array(), *bases = json_array(), *table;
	const struct entry *e;
	const char *lack;
	unsigned int i;

	for (i = 0; i < t->nentries; i++) {
		e = &t->entries[i];
		lack = rows_lack(t, e);
		json_array_append_new(entries, json_pack("{ss ss ss*}", "name", e->name, "settings", e->settings, "lacks", lack));
		if (e->base && !lack)
			json_array_append_new(bases, json_string(e->name));
	}
	table = json_pack("{ss ss ss? ss so so so}", "table", t->name, "title", t->title, "axis", axes[t->axis],
			  "ratio_of", t->kind->figures[t->ratio].name, "figures", table_figures(t->kind), "entries", entries, "bases", bases);
	if (t->kind->run && t->rate)
		json_object_set_new(table, "period_ms", json_real(1e3 / t->rate));
	json_array_append_new(tables, table);
	return table;
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

json_t *json_result(const struct result *r)
{
	const struct table *t = r->table;
	const struct entry *e;
	json_t *rows = json_array(), *row, *result;
	unsigned int i;

	for (i = 0; i < r->nrows; i++) {
		e = &r->rows[i];
		row = json_pack("{ss ss si si si so* so so}", "name", e->name, "settings", e->settings, "event_bytes", (int)e->bytes,
				"subscribers", (int)e->subscribers, "rate", (int)e->rate, "paper", e->paper ? json_real(e->paper) : NULL,
				"figures", figures(r, i), "ratios", ratios(r, i));
		if (t->axis)
			json_object_set_new(row, axes[t->axis], json_integer(rows_value(t, e)));
		json_array_append_new(rows, row);
	}
	result = json_pack("{ss ss ss ss+ si si ss ss? so}", "table", t->name, "title", t->title, "place", r->place->name,
			   "where", r->place->title, line_note(), "trial_ms", (int)t->ms, "rate", (int)t->rate,
			   "ratio_of", t->kind->figures[t->ratio].name, "axis", axes[t->axis], "entries", rows);
	json_array_append_new(results, result);
	return result;
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
