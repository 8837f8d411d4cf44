// SPDX-License-Identifier: GPL-2.0
/* kecho filter: the chain of filters of a channel. */
#include "kecho.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct column filter_columns[] = {
	{ "index", NUMBER },
	{ "dir", TEXT },
	{ "name", TEXT },
	{ "seen", NUMBER },
	{ "passed", NUMBER },
	{ "mean_ns", NUMBER },
	{ "arguments", REST },
	{ 0 }
};

/* The line that the filter file takes; NULL: not a command. */
static char *command_line(char **args, int nargs)
{
	const char *prefix = !strcmp(args[0], "add") ? "" : !strcmp(args[0], "del") ? "-" : "=";

	if (strcmp(args[0], "add") && strcmp(args[0], "set") && strcmp(args[0], "del"))
		return NULL;
	if (nargs < 2 || (*prefix == '-' && nargs > 2) || (*prefix == '=' && nargs < 3))
		return NULL;
	return concat(prefix, args + 1, nargs - 1, ' ');
}

static void change(const char *channel, char **args, int nargs)
{
	char *line = command_line(args, nargs);
	int err;

	if (!line || strchr(line, '\n'))
		die_with(EXIT_USAGE, "what to do? ls, add [in|out] NAME [KEY=VALUE...], "
			 "del NAME|INDEX, or set INDEX KEY=VALUE...");
	err = write_file(channel, "filter", line);
	free(line);
	switch (err) {
	case 0:
		return;
	case ENOENT:
		if (!strcmp(args[0], "add"))
			die("this node has no such filter: is its name right, and is it installed?");
		die("no filter %s in the chain: `kecho filter %s` shows it", args[1], channel);
	case EINVAL:
		die("the filter refuses these arguments: the node's log says why (journalctl, or "
		    "dmesg where the node is the kernel's)");
	}
	errno = err;
	die_node("cannot change the filters");
}

int cmd_filter(int argc, char **argv)
{
	struct simple_args args;
	json_t *rows;
	char *text;

	parse_simple(&args, argc, argv, json_option,
		     "CHANNEL [ls]\n"
		     "CHANNEL add [in|out] NAME [KEY=VALUE...]\n"
		     "CHANNEL del NAME|INDEX\n"
		     "CHANNEL set INDEX KEY=VALUE...",
		     "Show the filters of a channel in their order, append one, remove one, or change "
		     "the arguments of one while it runs.", 1, INT_MAX);
	check_channel(args.args[0]);
	if (args.nargs > 2 || (args.nargs == 2 && strcmp(args.args[1], "ls"))) {
		change(args.args[0], args.args + 1, args.nargs - 1);
		return EXIT_SUCCESS;
	}
	text = read_file(args.args[0], "filter");
	rows = parse_lines(text, filter_columns, args.json);
	show(rows, filter_columns, args.json);
	json_decref(rows);
	free(text);
	return EXIT_SUCCESS;
}
