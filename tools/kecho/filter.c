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

static void show(const char *channel, bool json)
{
	char *text = read_file(channel, "filter");
	json_t *filters = parse_lines(text, filter_columns, json);

	free(text);
	if (json)
		print_json(filters);
	else
		print_table(filters, filter_columns);
	json_decref(filters);
}

/* The line that the filter file takes; NULL: not a command. */
static char *command_line(char **args, int nargs)
{
	const char *prefix = !strcmp(args[0], "add") ? "" : !strcmp(args[0], "del") ? "-" : "=";
	char *text = NULL;
	size_t size;
	int i;
	FILE *out;

	if (strcmp(args[0], "add") && strcmp(args[0], "set") && strcmp(args[0], "del"))
		return NULL;
	if (nargs < 2 || (*prefix == '-' && nargs > 2) || (*prefix == '=' && nargs < 3))
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		die("%m");
	for (i = 1; i < nargs; i++)
		fprintf(out, "%s%s", i == 1 ? prefix : " ", args[i]);
	fputc('\n', out);
	if (fclose(out))
		die("%m");
	return text;
}

static void change(const char *channel, char **args, int nargs)
{
	char *line = command_line(args, nargs);
	int err;

	if (!line || strchr(line, '\n')[1]) {
		warning("what to do? ls, add [in|out] NAME [KEY=VALUE...], del NAME|INDEX, or "
			"set INDEX KEY=VALUE...");
		exit(EXIT_USAGE);
	}
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
	case EPERM:
	case EACCES:
		die("only root may change the filters of a channel: try sudo");
	}
	errno = err;
	die("cannot %s filter %s: %m: the node's log may say more", args[0], args[1]);
}

int cmd_filter(int argc, char **argv)
{
	struct simple_args args;

	parse_simple(&args, argc, argv, json_option,
		     "CHANNEL [ls]\n"
		     "CHANNEL add [in|out] NAME [KEY=VALUE...]\n"
		     "CHANNEL del NAME|INDEX\n"
		     "CHANNEL set INDEX KEY=VALUE...",
		     "Show the filters of a channel in their order, append one, remove one, or change "
		     "the arguments of one while it runs.", 1, INT_MAX);
	check_channel(args.args[0]);
	if (args.nargs == 1 || (args.nargs == 2 && !strcmp(args.args[1], "ls")))
		show(args.args[0], args.json);
	else
		change(args.args[0], args.args + 1, args.nargs - 1);
	return EXIT_SUCCESS;
}
