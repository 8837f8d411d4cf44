// SPDX-License-Identifier: GPL-2.0
/*
 * The lines of the node's files, as JSON and as columns: aligned under a header on a terminal,
 * tab-separated and without header in a pipe.
 */
#include "kecho.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A string of JSON is UTF-8; every other byte becomes U+FFFD. */
json_t *json_text(const char *s, size_t len)
{
	json_t *text = json_stringn(s, len);
	char *fixed, *p;
	size_t i;

	if (text)
		return text;
	p = fixed = malloc(3 * len + 1);
	if (!fixed)
		die("%m");
	for (i = 0; i < len; i++) {
		if (isascii((unsigned char)s[i]))
			*p++ = s[i];
		else
			p = mempcpy(p, "\xef\xbf\xbd", 3);
	}
	text = json_stringn(fixed, p - fixed);
	free(fixed);
	return text;
}

/* An attribute as the node writes it: integer, decimal, or string ("quoted" is one in any case). */
json_t *attr_json(const char *value)
{
	size_t len = strlen(value), sign = value[0] == '-', whole, places;
	long long n;
	char *end;

	if (len >= 2 && value[0] == '"' && value[len - 1] == '"')
		return json_text(value + 1, len - 2);

	whole = strspn(value + sign, "0123456789");
	errno = 0;
	n = strtoll(value, &end, 10);
	if (whole && !*end && !errno)
		return json_integer(n);
	if (whole && value[sign + whole] == '.') {
		places = strspn(value + sign + whole + 1, "0123456789");
		if (places && places <= 9 && !value[sign + whole + 1 + places])
			return json_real(strtod(value, NULL));
	}
	return json_text(value, len);
}

static json_t *cell_json(const char *value, enum column_kind kind)
{
	json_t *number;

	if (!strcmp(value, "-"))
		return json_null();
	switch (kind) {
	case NUMBER:
		number = attr_json(value);
		if (json_is_integer(number))
			return number;
		json_decref(number);
		return json_null();
	case FLAG:
		return json_boolean(!strcmp(value, "1"));
	default:
		return json_text(value, strlen(value));
	}
}

static json_t *pair_json(const char *value, bool typed)
{
	return typed ? attr_json(value) : json_text(value, strlen(value));
}

static const struct column *find_column(const struct column *columns, const char *key)
{
	for (; columns->key; columns++)
		if (!strcmp(columns->key, key))
			return columns;
	return NULL;
}

/* key=value, separated by tabs. @typed: what is behind the columns is typed as attributes are. */
json_t *parse_line(char *line, const struct column *columns, bool typed)
{
	json_t *row = json_object(), *rest = NULL;
	const struct column *c;
	char *key, *value;

	while ((key = strsep(&line, "\t"))) {
		value = strchr(key, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (rest) {
			json_object_set_new(rest, key, pair_json(value, typed));
			continue;
		}
		c = find_column(columns, key);
		json_object_set_new(row, key, cell_json(value, c ? c->kind : TEXT));
		if (c && c[1].key && c[1].kind == REST) {
			rest = json_object();
			json_object_set_new(row, c[1].key, rest);
		}
	}
	return row;
}

/* One object a line. */
json_t *parse_lines(char *text, const struct column *columns, bool typed)
{
	json_t *rows = json_array();
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line)
			json_array_append_new(rows, parse_line(line, columns, typed));
	return rows;
}

/* name=value lines, as one object. */
json_t *parse_pairs(char *text, bool typed)
{
	json_t *pairs = json_object();
	char *name, *value;

	while ((name = strsep(&text, "\n"))) {
		value = strchr(name, '=');
		if (!value)
			continue;
		*value++ = '\0';
		json_object_set_new(pairs, name, pair_json(value, typed));
	}
	return pairs;
}

/* For people: 0.25, 12, 3.4M. */
static void print_amount(FILE *out, double n)
{
	static const char letters[] = "\0kMGTPE";
	int i = 0;

	for (; n >= 1000 && letters[i + 1]; i++)
		n /= 1000;
	fprintf(out, "%.*f", i ? 1 : n == (int64_t)n ? 0 : 2, n);
	if (i)
		fputc(letters[i], out);
}

/* The text of a cell, the caller's. */
static char *cell_text(const json_t *cell, enum column_kind kind, bool terminal)
{
	const char *key, *before = "";
	char *text = NULL;
	size_t size;
	json_t *value;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die("%m");
	switch (cell ? json_typeof(cell) : JSON_NULL) {
	case JSON_STRING:
		fputs(json_string_value(cell), out);
		break;
	case JSON_REAL:
	case JSON_INTEGER:
		if (kind == AMOUNT && terminal)
			print_amount(out, json_number_value(cell));
		else if (json_is_real(cell))
			fprintf(out, "%.15g", json_real_value(cell));
		else
			fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(cell));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		fputs(json_is_true(cell) ? "yes" : "no", out);
		break;
	case JSON_OBJECT:
		json_object_foreach((json_t *)cell, key, value) {
			fprintf(out, "%s%s=%s", before, key, json_string_value(value));
			before = terminal ? " " : "\t";
		}
		break;
	default:
		fputc('-', out);
	}
	if (fclose(out))
		die("%m");
	return text;
}

static size_t column_width(const json_t *rows, const struct column *c)
{
	size_t width = strlen(c->key), len, i;
	json_t *row;
	char *text;

	json_array_foreach(rows, i, row) {
		text = cell_text(json_object_get(row, c->key), c->kind, true);
		len = strlen(text);
		free(text);
		if (len > width)
			width = len;
	}
	return width;
}

/* The last column is not padded. */
static int padding(const struct column *columns, const int *widths, size_t i)
{
	int width = columns[i + 1].key ? widths[i] : 0;

	return columns[i].kind == NUMBER || columns[i].kind == AMOUNT ? width : -width;
}

/* @terminal: for people; else each line begins with @prefix. */
void print_table(FILE *out, const json_t *rows, const struct column *columns, bool terminal, const char *prefix)
{
	int widths[16] = { 0 };
	char title[32], *text;
	size_t i, j, k;
	json_t *row;

	if (terminal) {
		for (i = 0; columns[i].key; i++) {
			widths[i] = column_width(rows, &columns[i]);
			for (k = 0; columns[i].key[k]; k++)
				title[k] = toupper((unsigned char)columns[i].key[k]);
			title[k] = '\0';
			fprintf(out, "%s%*s", i ? "  " : "", padding(columns, widths, i), title);
		}
		fputc('\n', out);
	}
	json_array_foreach(rows, j, row) {
		if (!terminal)
			fputs(prefix, out);
		for (i = 0; columns[i].key; i++) {
			text = cell_text(json_object_get(row, columns[i].key), columns[i].kind, terminal);
			if (i)
				fputs(terminal ? "  " : "\t", out);
			fprintf(out, "%*s", padding(columns, widths, i), text);
			free(text);
		}
		fputc('\n', out);
	}
}

/* An object of strings, as lines of name and value. */
static void print_pairs(const json_t *pairs)
{
	static const struct column columns[] = { { "name", TEXT }, { "value", TEXT }, { 0 } };
	json_t *rows = json_array(), *value;
	const char *name;

	json_object_foreach((json_t *)pairs, name, value)
		json_array_append_new(rows, json_pack("{ss sO}", "name", name, "value", value));
	print_table(stdout, rows, columns, isatty(STDOUT_FILENO), "");
	json_decref(rows);
}

/* @columns NULL: one object, not rows. */
void show(json_t *rows, const struct column *columns, bool json)
{
	if (json) {
		json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		putchar('\n');
	} else if (columns) {
		print_table(stdout, rows, columns, isatty(STDOUT_FILENO), "");
	} else {
		print_pairs(rows);
	}
}

/* One after the other on a terminal. In a pipe, which has no headers, only one of them. */
void show_both(json_t *rows, const struct column *columns, json_t *more,
	       const struct column *more_columns, bool only_more)
{
	bool both = isatty(STDOUT_FILENO) && json_array_size(more) && !only_more;

	if (!only_more)
		show(rows, columns, false);
	if (both)
		putchar('\n');
	if (both || only_more)
		show(more, more_columns, false);
}
