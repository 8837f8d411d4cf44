// SPDX-License-Identifier: GPL-2.0
/* kecho filter: the chain of filters of a channel. */
#include "kecho.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <kecho/limits.h>
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

static const struct column filter_columns[] = {
	{ "index", NUMBER },
	{ "dir", TEXT },
	{ "name", TEXT },
	{ "seen", NUMBER },
	{ "passed", NUMBER },
	{ "mean_ns", NUMBER },
	{ "disabled", FLAG },
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

static bool node_is_kernel(void)
{
	struct statfs st;

	return !fstatfs(node_fd(), &st) && st.f_type != FUSE_SUPER_MAGIC;
}

/* The kernel's log from now on, if it may be read. */
static int log_from_now(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* The last that KECho has said there meanwhile, or NULL. */
static char *log_last(int fd)
{
	static char line[1024];
	char record[8192], *text;
	bool found = false;
	ssize_t n;

	/* EPIPE: records have been overwritten before they were read. */
	while (fd >= 0 && ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE))) {
		record[n > 0 ? n : 0] = 0;
		text = strchr(record, ';');
		if (!text || strncmp(text + 1, "kecho: ", 7))
			continue;
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text + 8, "\n"), text + 8);
		found = true;
	}
	return found ? line : NULL;
}

static _Noreturn void die_refused(int log)
{
	const char *why = log_last(log);

	if (why)
		die("%s", why);
	if (node_is_kernel())
		die("the filter refuses these arguments: the kernel's log says why (dmesg, as root)");
	die("the filter refuses these arguments: kechofsd's log says why (journalctl -t kechofsd, or "
	    "/var/log/syslog, or where kechofsd -f runs)");
}

/* Where below /lib/modules the module of a filter is, for this kernel or, with "*", for any. */
static char *find_module(const char *kernel, const char *name)
{
	static const char * const dirs[] = { "updates/kecho", "updates/dkms", "updates", "extra" };
	char *pattern, *path = NULL;
	glob_t found;
	size_t i;

	for (i = 0; !path && i < sizeof(dirs) / sizeof(*dirs); i++) {
		if (asprintf(&pattern, "/lib/modules/%s/%s/kecho-filter-%s.ko*", kernel, dirs[i], name) < 0)
			die("%m");
		if (!glob(pattern, 0, NULL, &found)) {
			path = strdup(found.gl_pathv[0]);
			globfree(&found);
		}
		free(pattern);
	}
	return path;
}

static _Noreturn void die_unknown(const char *name)
{
	struct utsname self;
	char *module;

	if (!strncmp(name, "bpf:", 4))
		die("no BPF program is pinned at %s: `bpftool prog load FILE.o %s` does that", name + 4, name + 4);
	if (!node_is_kernel())
		die("this node has no such filter: is its name right? kechofsd's log says where it has looked for %s.so "
		    "(journalctl -t kechofsd, or /var/log/syslog, or where kechofsd -f runs)", name);
	uname(&self);
	module = find_module(self.release, name);
	if (module)
		die("%s cannot be loaded: `modprobe kecho-filter-%s` and dmesg say why", module, name);
	module = find_module("*", name);
	if (module)
		die("the filter is there for another kernel, as %s, and not for this one, %s", module, self.release);
	die("this node has no such filter: is its name right? `modinfo kecho-filter-%s` finds no module", name);
}

static void change(const char *channel, char **args, int nargs)
{
	char *line = command_line(args, nargs), *name;
	bool add = line && !strcmp(args[0], "add"), bpf;
	int log, err;

	if (!line || strchr(line, '\n'))
		die_with(EXIT_USAGE, "what to do? ls, add [in|out] NAME [KEY=VALUE...], "
			 "del NAME|INDEX, or set INDEX KEY=VALUE...");
	name = add && nargs > 2 && (!strcmp(args[1], "in") || !strcmp(args[1], "out")) ? args[2] : args[1];
	bpf = !strncmp(name, "bpf:", 4);
	log = node_is_kernel() ? log_from_now() : -1;
	err = write_file(channel, "filter", line);
	free(line);
	switch (err) {
	case 0:
		return;
	case ENOENT:
		if (add)
			die_unknown(name);
		die("no filter %s in the chain: `kecho filter %s` shows it", name, channel);
	case EINVAL:
		die_refused(log);
	case ENOEXEC:
		die("%s.so is no filter, or cannot be loaded: kechofsd's log says why (journalctl -t kechofsd, or "
		    "/var/log/syslog, or where kechofsd -f runs)", name);
	case ENOSPC:
		die("a channel has at most %u filters", KECHO_FILTERS_MAX);
	case EPERM:
		if (bpf)
			die("%s: the kernel does not let this node use BPF: it takes CAP_BPF", name + 4);
		die("the filter's module is not loaded, and to load it takes CAP_SYS_MODULE: as root, "
		    "`modprobe kecho-filter-%s`", name);
	case EACCES:
		if (bpf)
			die("%s is no pinned BPF program, or this node may not use it", name + 4);
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
