// SPDX-License-Identifier: GPL-2.0
/* kecho attrs: this node's attributes on a channel, and the channel's settings. */
#include "kecho.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(const char *channel, char **args, int nargs)
{
	char *text = concat("", args, nargs, '\n');
	int i, err;

	for (i = 0; i < nargs; i++)
		if (!assignment_valid(args[i]))
			die_with(EXIT_USAGE, "'%s' is no attribute: write NAME=VALUE, or NAME= to "
				 "remove it", args[i]);

	err = write_file(channel, "attrs", text);
	free(text);
	switch (err) {
	case 0:
		return;
	case EINVAL:
		die("refused, and nothing was set: names are 1 to 64 of A-Z a-z 0-9 . _ -, values "
		    "up to 255 bytes without control characters; kecho(1) lists the kecho.* "
		    "settings and their values");
	case E2BIG:
		die("refused, and nothing was set: the attributes are more than 4096 bytes in all");
	case EPERM:
		die("refused, and nothing was set: the kecho.* settings belong to the owner of "
		    "%s/%s (`ls -ld`) and to root", node_dir(), channel);
	}
	errno = err;
	die_node("refused, and nothing was set");
}

int cmd_attrs(int argc, char **argv)
{
	struct simple_args args;
	json_t *rows;
	char *text;

	parse_simple(&args, argc, argv, json_option, "CHANNEL [NAME=VALUE...]",
		     "Show this node's attributes on a channel and the channel's settings, or set "
		     "some of them, all or none. NAME= removes. The settings: "
		     "kecho.order=fifo|priority|deadline, "
		     "kecho.overflow=drop-oldest|drop-newest|block, kecho.queue=EVENTS, "
		     "kecho.retain=EVENTS.", 1, INT_MAX);
	check_channel(args.args[0]);
	if (args.nargs > 1) {
		set(args.args[0], args.args + 1, args.nargs - 1);
		return EXIT_SUCCESS;
	}
	text = read_file(args.args[0], "attrs");
	rows = parse_pairs(text, args.json);
	show(rows, NULL, args.json);
	json_decref(rows);
	free(text);
	return EXIT_SUCCESS;
}
