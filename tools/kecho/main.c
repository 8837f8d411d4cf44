// SPDX-License-Identifier: GPL-2.0
/* kecho: the command line of KECho. It works through the files of the mount alone. */
#include "kecho.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "up", "[-fn] [-H HOME] [-o OPTIONS] [DIR]", "start a node", cmd_up },
	{ "down", "[DIR]", "stop a node", cmd_down },
	{ "ls", "[-j]", "list the channels", cmd_ls },
	{ "join", "CHANNEL...", "join or create channels", cmd_join },
	{ "leave", "CHANNEL...", "leave channels", cmd_leave },
	{ "pub", "[OPTIONS] CHANNEL [MESSAGE...]", "publish events", cmd_pub },
	{ "sub", "[OPTIONS] CHANNEL...", "subscribe and print events", cmd_sub },
	{ "members", "[-js] CHANNEL", "who is on a channel", cmd_members },
	{ "attrs", "[-j] CHANNEL [NAME=VALUE...]", "show or set attributes", cmd_attrs },
	{ "filter", "[-j] CHANNEL [ls|add|del|set ...]", "show or change filters", cmd_filter },
	{ "serve", "[-j N] [-q N] CHANNEL -- COMMAND...", "answer requests by a command", cmd_serve },
	{ "req", "[OPTIONS] CHANNEL [DATA...]", "ask the least loaded servers", cmd_req },
	{ "resmon", "[-c CHANNEL] [-i SECONDS]", "say how loaded this host is", cmd_resmon },
	{ "res", "[offer|request|release|ls] ...", "resources, and leases on them", cmd_res },
	{ "agent-check", "[OPTIONS]", "answer HAProxy's agent-check", cmd_agent },
	{ "stat", "[-jp]", "the node's counters and links", cmd_stat },
	{ "top", "[-bj] [OPTIONS]", "hosts, channels and filters, live", cmd_top },
	{ "help", "[COMMAND]", "explain a command", cmd_help },
	{ "version", "", "print the version", cmd_version },
};

void warning(const char *fmt, ...)
{
	int err = errno;
	va_list args;

	fflush(stdout);
	fputs("kecho: ", stderr);
	errno = err;	/* of %m */
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

static void usage(FILE *to)
{
	size_t i;

	fputs("Usage: kecho COMMAND [ARGUMENTS]\n\n", to);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-11s %-37s %s\n", commands[i].name, commands[i].args,
			commands[i].help);
	fputs("\n`kecho COMMAND --help` explains a command, kecho(1) all of them.\n"
	      "KECHO_DIR is the mount to use, /kecho by default.\n", to);
}

static int run(int argc, char **argv)
{
	char name[32];
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		/* What argp calls the program in its messages. */
		snprintf(name, sizeof(name), "kecho %s", commands[i].name);
		argv[0] = name;
		return commands[i].run(argc, argv);
	}
	warning("no command '%s': `kecho help` lists them", argv[0]);
	return EXIT_USAGE;
}

static int cmd_help(int argc, char **argv)
{
	char help[] = "--help";
	char *args[] = { argc > 1 ? argv[1] : NULL, help, NULL };

	if (argc == 2 && strcmp(argv[1], "help") && argv[1][0] != '-')
		return run(2, args);
	usage(stdout);
	return EXIT_SUCCESS;
}

static int cmd_version(int argc, char **argv)
{
	struct simple_args args;

	parse_simple(&args, argc, argv, NULL, "", "Print the version.", 0, 0);
	puts("kecho " KECHO_VERSION);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static char help[] = "help", version[] = "version";
	int status;

	argp_err_exit_status = EXIT_USAGE;
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		argv[1] = help;
	else if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"))
		argv[1] = version;

	status = run(argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output: %m");
	return status;
}
