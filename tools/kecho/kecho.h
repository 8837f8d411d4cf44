/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands of kecho share. Included first, for _GNU_SOURCE. */
#ifndef TOOLS_KECHO_H
#define TOOLS_KECHO_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <kecho/version.h>
#include "../name.h"

/* Besides EXIT_SUCCESS and EXIT_FAILURE; the same as timeout(1). */
#define EXIT_USAGE	2
#define EXIT_TIMEOUT	124

/* Nothing that kecho reads or publishes in one piece is larger. */
#define SIZE_LIMIT	(64u << 20)

int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_join(int argc, char **argv);
int cmd_leave(int argc, char **argv);
int cmd_pub(int argc, char **argv);
int cmd_sub(int argc, char **argv);
int cmd_members(int argc, char **argv);
int cmd_attrs(int argc, char **argv);
int cmd_filter(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_req(int argc, char **argv);
int cmd_resmon(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_res(int argc, char **argv);
int cmd_agent(int argc, char **argv);

/* main.c: messages */
void warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define die_with(status, ...)	(warning(__VA_ARGS__), exit(status))
#define die(...)		die_with(EXIT_FAILURE, __VA_ARGS__)

/* options.c: the command line */
struct simple_args {
	bool	json;
	bool	only;		/* -s or -p: the second table only */
	char	**args;
	int	nargs;
};

extern const struct argp_option json_option[];
void parse_simple(struct simple_args *out, int argc, char **argv, const struct argp_option *options,
		  const char *args_doc, const char *doc, int min, int max);
long parse_number(struct argp_state *state, const char *what, const char *arg, long min, long max);
int64_t parse_seconds(struct argp_state *state, const char *arg);
bool assignment_valid(const char *arg);
char *concat(const char *prefix, char **args, int n, char behind);
void check_channel(const char *name);

/* Deadlines are CLOCK_MONOTONIC milliseconds; negative: none. */
int64_t deadline_in(int64_t ms);
int remaining_ms(int64_t deadline);

/* file.c: the mount and its files; paths are relative to the mount */
const char *node_dir(void);
int node_fd(void);
_Noreturn void die_node(const char *what);
_Noreturn void die_file(const char *channel, const char *file);
int open_file(const char *channel, const char *file, int flags);
struct kecho *open_channel(const char *channel, const char *via);
char *read_all(int fd, const char *name, size_t *len);
char *read_file(const char *channel, const char *file);
int write_file(const char *channel, const char *file, const char *text);

/* kernel.c: the kernel's node */
int kernel_open(const char **why);
char *kernel_options(char **lists, int n);
bool kernel_mount(int fd, const char *options, const char *dir, const char **why);

/* members.c */
int count_members(int fd);

/* table.c: the lines of the node's files, as JSON and as columns */
enum column_kind {
	TEXT,
	NUMBER,
	AMOUNT,		/* a number, on a terminal shortened: 3.4M */
	FLAG,
	REST,		/* an object of all key=value behind the column before */
};

struct column {
	const char	*key;	/* NULL ends the columns */
	enum column_kind kind;
};

json_t *json_text(const char *s, size_t len);
json_t *attr_json(const char *value);
json_t *parse_line(char *line, const struct column *columns, bool typed);
json_t *parse_lines(char *text, const struct column *columns, bool typed);
json_t *parse_pairs(char *text, bool typed);
void print_table(FILE *out, const json_t *rows, const struct column *columns, bool terminal, const char *prefix);
void show(json_t *rows, const struct column *columns, bool json);
void show_both(json_t *rows, const struct column *columns, json_t *more,
	       const struct column *more_columns, bool only_more);

#endif /* TOOLS_KECHO_H */
