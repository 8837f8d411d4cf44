// SPDX-License-Identifier: GPL-2.0
/* The command line: what several subcommands accept, and how it is checked. */
#include "kecho.h"
#include "../now.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct argp_option json_option[] = {
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ 0 }
};

struct simple_state {
	struct simple_args *out;
	const char *args_doc;
	int min, max;
};

static error_t parse_simple_opt(int key, char *arg, struct argp_state *state)
{
	struct simple_state *s = state->input;

	(void)arg;
	switch (key) {
	case 'j':
		s->out->json = true;
		return 0;
	case 'p':
	case 's':
		s->out->only = true;
		return 0;
	case ARGP_KEY_ARGS:
		s->out->args = state->argv + state->next;
		s->out->nargs = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (s->out->nargs < s->min)
			argp_error(state, "too few arguments: it takes %s",
				   s->args_doc);
		if (s->out->nargs > s->max)
			argp_error(state, "too many arguments");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Parses the command line of a subcommand that has flags only, and @min to @max arguments. */
void parse_simple(struct simple_args *out, int argc, char **argv, const struct argp_option *options,
		  const char *args_doc, const char *doc, int min, int max)
{
	const struct argp argp = { options, parse_simple_opt, args_doc, doc, NULL, NULL, NULL };
	struct simple_state state = { out, args_doc, min, max };

	memset(out, 0, sizeof(*out));
	argp_parse(&argp, argc, argv, 0, NULL, &state);
}

long parse_number(struct argp_state *state, const char *what, const char *arg, long min, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(arg, &end, 10);
	if (errno || end == arg || *end || n < min || n > max)
		argp_error(state, "%s is a number from %ld to %ld, not '%s'", what, min, max, arg);
	return n;
}

/* Seconds, with decimals if one likes; returns milliseconds. */
int64_t parse_seconds(struct argp_state *state, const char *arg)
{
	char *end;
	double s = strtod(arg, &end);

	if (end == arg || *end || !(s >= 0 && s <= 1e9))
		argp_error(state, "seconds are a number such as 2 or 0.5, not '%s'", arg);
	return s * 1000 + 0.5;
}

/* name=value in one line; the node judges the rest. */
bool assignment_valid(const char *arg)
{
	return arg[0] != '=' && strchr(arg, '=') && !strchr(arg, '\n');
}

void check_channel(const char *name)
{
	if (!name_valid(name))
		die_with(EXIT_USAGE, "'%s' is no name of a channel or a type: 1 to 64 of "
			 "A-Z a-z 0-9 . _ -, not starting with a dot", name);
}

/* @prefix, and each of @args with @behind. The result is the caller's. */
char *concat(const char *prefix, char **args, int n, char behind)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int i;

	if (!out)
		die("%m");
	fputs(prefix, out);
	for (i = 0; i < n; i++)
		fprintf(out, "%s%c", args[i], behind);
	if (fclose(out))
		die("%m");
	return text;
}

static int64_t now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t deadline_in(int64_t ms)
{
	return ms < 0 ? -1 : now_ms() + ms;
}

/* As poll(2) wants it. */
int remaining_ms(int64_t deadline)
{
	int64_t left;

	if (deadline < 0)
		return -1;
	left = deadline - now_ms();
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : left;
}
