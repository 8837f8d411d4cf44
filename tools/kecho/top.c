// SPDX-License-Identifier: GPL-2.0
/* kecho top: hosts, channels and filters, again and again. */
#include "top.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option top_options[] = {
	{ "batch", 'b', NULL, 0, "print, in place of a screen", 0 },
	{ "channel", 'c', "CHANNEL", 0, "where the hosts say their load; load by default", 0 },
	{ "delay", 'd', "SECONDS", 0, "between two looks; 2 by default", 0 },
	{ "json", 'j', NULL, 0, "print JSON, an object in a line for each look", 0 },
	{ "count", 'n', "COUNT", 0, "end after so many looks", 0 },
	{ "sort", 's', "COLUMN", 0, "of the hosts; load by default", 0 },
	{ 0 }
};

static unsigned int sort_of(struct argp_state *state, const char *name)
{
	unsigned int i;

	for (i = 0; top_sorts[i]; i++)
		if (!strcmp(top_sorts[i], name))
			return i;
	argp_error(state, "cannot sort by '%s': load, cpu, mem, disk, net_rx, net_tx, age_ms or node", name);
	return 0;
}

static error_t parse_top_opt(int key, char *arg, struct argp_state *state)
{
	struct top *t = state->input;

	switch (key) {
	case 'b':
		t->batch = true;
		return 0;
	case 'c':
		check_channel(arg);
		t->load = arg;
		return 0;
	case 'd':
		t->delay_ms = parse_seconds(state, arg);
		if (t->delay_ms < 10 || t->delay_ms > INT_MAX)
			argp_error(state, "--delay is at least 0.01 seconds");
		return 0;
	case 'j':
		t->batch = t->json = true;
		return 0;
	case 'n':
		t->looks = parse_number(state, "--count", arg, 1, LONG_MAX);
		return 0;
	case 's':
		t->sort = sort_of(state, arg);
		return 0;
	case ARGP_KEY_END:
		if (!t->batch && !isatty(STDOUT_FILENO))
			argp_error(state, "the output is no terminal: -b or -j");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp top_argp = {
	top_options, parse_top_opt, "",
	"Show the hosts, how loaded they are, the channels that this node is on with their rates and losses, and the filters. "
	"On the screen q quits, s sorts by the next column, the arrows scroll.",
	NULL, NULL, NULL
};

/* Rates need two looks: the first is not printed. Ends when nobody reads any more. */
static bool batch(struct top *t)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };
	bool terminal = isatty(STDOUT_FILENO);
	json_t *look = top_look(t);

	while (look && t->looks) {
		json_decref(look);
		if (poll(&reader, 1, t->delay_ms) > 0)
			return true;
		look = top_look(t);
		if (!look)
			break;
		top_sort(look, top_sorts[t->sort]);
		if (t->json) {
			json_dumpf(look, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
			putchar('\n');
		} else {
			top_print(stdout, look, terminal);
		}
		if (t->looks > 0)
			t->looks--;
		if (terminal && t->looks && !t->json)
			putchar('\n');
		if (fflush(stdout))
			die("cannot write the output: %m");
	}
	if (!look)
		return false;
	json_decref(look);
	return true;
}

int cmd_top(int argc, char **argv)
{
	struct top t = { .load = "load", .looks = -1, .delay_ms = 2000 };

	argp_parse(&top_argp, argc, argv, 0, NULL, &t);
	node_fd();	/* says what is wrong with it */
	if (!(t.batch ? batch(&t) : top_screen(&t)))
		die_node(node_dir());
	json_decref(t.counters);
	return EXIT_SUCCESS;
}
