// SPDX-License-Identifier: GPL-2.0
/* The results of all parts, as they were written: to be looked up. */
#include "report.h"

#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* "": there is none. */
const char *results_string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

double results_number(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);

	return json_is_number(n) ? json_number_value(n) : NAN;
}

static int is_json(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return len > 5 && !strcmp(d->d_name + len - 5, ".json");
}

static void load_parts(json_t *parts, const char *dir)
{
	char path[PATH_MAX];
	struct dirent **files;
	json_error_t error;
	json_t *part;
	int n = scandir(dir, &files, is_json, alphasort), i;

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]->d_name);
		part = json_load_file(path, 0, &error);
		if (!part)
			die("%s: line %d: %s", path, error.line, error.text);
		if (json_object_get(part, "tables"))
			json_array_append(parts, part);
		json_decref(part);
		free(files[i]);
	}
	if (n >= 0)
		free(files);
}

json_t *results_load(const char *dir)
{
	json_t *parts = json_array();
	char path[PATH_MAX];

	load_parts(parts, dir);
	snprintf(path, sizeof(path), "%s/kernel", dir);
	load_parts(parts, path);
	if (!json_array_size(parts))
		die("%s: no results", dir);
	return parts;
}

static const json_t *named(const json_t *array, const char *key, const char *name)
{
	const json_t *each;
	size_t i;

	json_array_foreach(array, i, each)
		if (!strcmp(results_string(each, key), name))
			return each;
	return NULL;
}

static const json_t *find(const json_t *part, const char *name, const char *place)
{
	const json_t *result;
	size_t i;

	json_array_foreach(json_object_get(part, "results"), i, result)
		if (!strcmp(results_string(result, "table"), name) && (!place || !strcmp(results_string(result, "place"), place)))
			return result;
	return NULL;
}

const json_t *results_find(const json_t *parts, const char *node, const char *path, const char *place, const json_t **table)
{
	const char *name = strchr(path, '/') + 1, *of;
	const json_t *part, *result;
	size_t i;

	json_array_foreach(parts, i, part) {
		of = results_string(part, "part");
		if (strlen(of) != (size_t)(name - 1 - path) || strncmp(of, path, strlen(of)) ||
		    (node && strcmp(results_string(part, "node"), node)))
			continue;
		result = find(part, name, place);
		if (!result)
			continue;
		if (table)
			*table = named(json_object_get(part, "tables"), "table", name);
		return result;
	}
	return NULL;
}

const json_t *results_row(const json_t *result, const char *name)
{
	return named(json_object_get(result, "entries"), "name", name);
}

const json_t *results_row_at(const json_t *result, const char *name, unsigned int at)
{
	const json_t *row;
	size_t i;

	if (!at)
		return results_row(result, name);
	json_array_foreach(json_object_get(result, "entries"), i, row)
		if (!strcmp(results_string(row, "name"), name) && results_number(row, results_string(result, "axis")) == at)
			return row;
	return NULL;
}

const json_t *results_figure(const json_t *row, const char *figure)
{
	return json_object_get(json_object_get(row, "figures"), figure);
}

struct summary results_ratio(const json_t *of, const json_t *to)
{
	const json_t *dividends = json_object_get(of, "each"), *divisors = json_object_get(to, "each"), *a, *b;
	size_t n = json_array_size(dividends), i;
	double ratios[n + 1];

	if (!n)
		return (struct summary){ NAN, NAN, NAN };
	for (i = 0; i < n; i++) {
		a = json_array_get(dividends, i);
		b = json_array_get(divisors, i);
		ratios[i] = json_is_number(a) && json_is_number(b) ? json_number_value(a) / json_number_value(b) : NAN;
	}
	return stats_summary(ratios, n);
}
