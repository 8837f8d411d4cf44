// SPDX-License-Identifier: GPL-2.0
/* kecho members: who is on a channel. */
#include "kecho.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct column member_columns[] = {
	{ "id", TEXT },
	{ "node", TEXT },
	{ "addr", TEXT },
	{ "via", TEXT },
	{ "state", TEXT },
	{ "role", TEXT },
	{ "sinks", NUMBER },
	{ "contact", FLAG },
	{ "rtt_us", NUMBER },
	{ "loss_ppm", NUMBER },
	{ "age_ms", NUMBER },
	{ "sent", NUMBER },
	{ "received", NUMBER },
	{ "expired", NUMBER },
	{ "lost", NUMBER },
	{ "attributes", REST },
	{ 0 }
};

static const struct column sink_columns[] = {
	{ "pid", NUMBER },
	{ "comm", TEXT },
	{ "queued", NUMBER },
	{ "expired", NUMBER },
	{ "lost", NUMBER },
	{ "type", TEXT },
	{ "sink", NUMBER },
	{ "attributes", REST },
	{ 0 }
};

static const struct argp_option members_options[] = {
	{ "sinks", 's', NULL, 0, "this node's sinks (readers) only", 0 },
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ 0 }
};

/* @fd: an open members file, which may have been read before. */
int count_members(int fd)
{
	char *text, *rest, *line;
	int n = 0;

	lseek(fd, 0, SEEK_SET);
	rest = text = read_all(fd, "members", NULL);
	while ((line = strsep(&rest, "\n")))
		n += *line && *line != ' ';
	free(text);
	return n;
}

int cmd_members(int argc, char **argv)
{
	json_t *members = json_array(), *sinks = json_array();
	char *text, *rest, *line;
	struct simple_args args;

	parse_simple(&args, argc, argv, members_options, "CHANNEL",
		     "Show the members of a channel, this node first. On a terminal, or with -s, "
		     "also this node's sinks with what they have queued and lost.", 1, 1);
	check_channel(args.args[0]);

	rest = text = read_file(args.args[0], "members");
	while ((line = strsep(&rest, "\n"))) {
		if (*line == ' ')
			json_array_append_new(sinks, parse_line(line + 2, sink_columns, args.json));
		else if (*line)
			json_array_append_new(members, parse_line(line, member_columns, args.json));
	}
	free(text);

	if (args.json) {
		json_object_set(json_array_get(members, 0), "local_sinks", sinks);
		show(args.only ? sinks : members, NULL, true);
	} else {
		show_both(members, member_columns, sinks, sink_columns, args.only);
	}
	json_decref(members);
	json_decref(sinks);
	return EXIT_SUCCESS;
}
