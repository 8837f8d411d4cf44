/* SPDX-License-Identifier: GPL-2.0 */
/* What was measured, as JSON: what programs read, and what all that people read is made of. */
#ifndef TOOLS_BENCH_REPORT_H
#define TOOLS_BENCH_REPORT_H

#include "bench.h"

#include <jansson.h>
#include <stdio.h>

/* --- json.c: a part, while it is measured --- */

json_t *json_start(const struct part *part, unsigned int alternations);
/** json_table() - what its rows are; then come its results */
json_t *json_table(const struct table *t);
json_t *json_result(const struct result *r);
/** json_write() - to a file of @dir, unless that is NULL; the part ends */
void json_write(const char *dir, const char *name);

/* --- report.c: Markdown --- */

void report_part(FILE *f, const json_t *part);
void report_table(FILE *f, const json_t *table);
void report_result(FILE *f, const json_t *table, const json_t *result);
/** report_number() - three digits, or all that are before the point */
void report_number(FILE *f, double v);
/** report_summary() - a median and its spread, in the unit of which @scale are one of those that are stored; NULL: - */
void report_summary(FILE *f, const json_t *summary, double scale);

/* --- results.c: of all parts --- */

/** results_load() - what there is in @dir, and in its directory kernel: an array of parts */
json_t *results_load(const char *dir);
/**
 * results_find() - a table's result, the first
 * @node: "fuse" or "kernel"; NULL: any. @path: PART/TABLE. @place: NULL: any
 * Return: NULL: there is none. @table: what its rows are, if it is not NULL
 */
const json_t *results_find(const json_t *parts, const char *node, const char *path, const char *place, const json_t **table);
/** results_row() - of a table without an axis; NULL: there is none */
const json_t *results_row(const json_t *result, const char *name);
/** results_row_at() - likewise, of one with an axis: there; 0: it has none */
const json_t *results_row_at(const json_t *result, const char *name, unsigned int at);
/** results_figure() - likewise, of a row; what report_summary() takes */
const json_t *results_figure(const json_t *row, const char *figure);
/** results_ratio() - of two rows' figures, alternation by alternation. Median NAN: there is none */
struct summary results_ratio(const json_t *of, const json_t *to);
const char *results_string(const json_t *object, const char *key);
double results_number(const json_t *object, const char *key);

/* --- plot.c --- */

/** plot_all() - a PNG for each plot that there are results for, made by gnuplot in @dir, and a paragraph with it */
void plot_all(FILE *f, const json_t *parts, const char *dir);

/* --- goals.c --- */

/** goals_report() - what was to be reached, and what falls short of it */
void goals_report(FILE *f, const json_t *parts);

/* --- document.c --- */

/** document_write() - @dir/report.md, with its plots, of the results that are there */
void document_write(const char *dir);
#endif
