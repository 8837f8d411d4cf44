// SPDX-License-Identifier: GPL-2.0
/* kecho attrs: this node's attributes on a channel, and the channel's settings. */
#include "kecho.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show(const char *channel, bool json)
{
	char *text = read_file(channel, "attrs");
	json_t *attrs = parse_pairs(text, json);

	free(text);
	if (json)
		print_json(attrs);
	else
		print_pairs(attrs);
	json_decref(attrs);
}

static void set(const char *channel, char **args, int nargs)
{
	char *text = NULL;
	size_t size;
	int i, err;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die("%m");
	for (i = 0; i < nargs; i++) {
		if (!assignment_valid(args[i])) {
			warning("'%s' is no attribute: write NAME=VALUE, or NAME= to remove it",
				args[i]);
			exit(EXIT_USAGE);
		}
		fprintf(out, "%s\n", args[i]);
	}
	if (fclose(out))
		die("%m");

	err = write_file(channel, "attrs", text);
	free(text);
	switch (err) {
	case 0:
		return;
	case EINVAL:
		die("refused, and nothing was set: names are 1 to 64 of A-Z a-z 0-9 . _ -, values "
		    "up to 255 bytes without control characters; kecho(1) lists the kecho.* "
		    "settings and their values");
	case EPERM:
	case EACCES:
		die("refused, and nothing was set: the kecho.* settings belong to the owner of "
		    "%s/%s (`ls -ld`) and to root", node_dir(), channel);
	}
	errno = err;
	die("refused, and nothing was set: %m");
}

int cmd_attrs(int argc, char **argv)
{
	struct simple_args args;

	parse_simple(&args, argc, argv, json_option, "CHANNEL [NAME=VALUE...]",
		     "Show this node's attributes on a channel and the channel's settings, or set "
		     "some of them, all or none. NAME= removes.", 1, INT_MAX);
	check_channel(args.args[0]);
	if (args.nargs > 1)
		set(args.args[0], args.args + 1, args.nargs - 1);
	else
		show(args.args[0], args.json);
	return EXIT_SUCCESS;
}
