// SPDX-License-Identifier: GPL-2.0
/* kecho ls, join, leave: channels are directories. */
#include "kecho.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct column channel_columns[] = {
	{ "name", TEXT },
	{ "joined", FLAG },
	{ "members", NUMBER },
	{ "contact", TEXT },
	{ "addr", TEXT },
	{ "epoch", NUMBER },
	{ 0 }
};

/* null: this user may not see them, or the channel has just been left. */
static json_t *members_of(const char *channel)
{
	char path[NAME_MAX + sizeof("/members")];
	json_t *n = json_null();
	int fd;

	snprintf(path, sizeof(path), "%s/members", channel);
	fd = openat(node_fd(), path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = json_integer(count_members(fd));
		close(fd);
	}
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

/* The rows of @by, an object, ordered by their key. */
static json_t *sorted(json_t *by)
{
	const char **names = calloc(json_object_size(by) + 1, sizeof(*names)), *name;
	json_t *rows = json_array(), *row;
	size_t n = 0, i;

	if (!names)
		die("%m");
	json_object_foreach(by, name, row)
		names[n++] = name;
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++)
		json_array_append(rows, json_object_get(by, names[i]));
	free(names);
	return rows;
}

/* What the registry knows, and what is in the tree. */
static json_t *channels(void)
{
	char *text = read_file(".node", "channels");
	json_t *known = parse_lines(text, channel_columns, false), *by = json_object(), *row;
	struct dirent *entry;
	size_t i;
	DIR *dir;

	free(text);
	json_array_foreach(known, i, row)
		json_object_set(by, json_string_value(json_object_get(row, "name")) ?: "-", row);
	json_decref(known);

	dir = fdopendir(openat(node_fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!dir)
		die("%s: %m", node_dir());
	while ((entry = readdir(dir))) {
		if (!name_valid(entry->d_name))
			continue;
		row = json_object_get(by, entry->d_name);
		if (!row) {
			row = json_pack("{ss}", "name", entry->d_name);
			json_object_set_new(by, entry->d_name, row);
		}
		json_object_set_new(row, "joined", json_true());
		json_object_set_new(row, "members", members_of(entry->d_name));
	}
	closedir(dir);

	known = sorted(by);
	json_decref(by);
	return known;
}

int cmd_ls(int argc, char **argv)
{
	struct simple_args args;
	json_t *rows;

	parse_simple(&args, argc, argv, json_option, "",
		     "List the channels: those that this node is on and those that the registry knows.",
		     0, 0);
	rows = channels();
	show(rows, channel_columns, args.json);
	json_decref(rows);
	return EXIT_SUCCESS;
}

/* CHANNEL or CHANNEL/TYPE. */
static void check_path(const char *path)
{
	const char *slash = strchr(path, '/');
	char *channel = strndup(path, slash ? (size_t)(slash - path) : strlen(path));

	if (!channel)
		die("%m");
	check_channel(channel);
	free(channel);
	if (slash)
		check_channel(slash + 1);
}

static bool join(const char *path)
{
	if (!mkdirat(node_fd(), path, 0777) || errno == EEXIST)
		return true;
	switch (errno) {
	case ENOENT:
		warning("cannot declare type %s: join its channel first, with `kecho join %.*s`",
			path, (int)strcspn(path, "/"), path);
		break;
	case EACCES:
	case EPERM:
		warning("not allowed to join %s: the owner of %s decides, `ls -ld %s` shows it",
			path, node_dir(), node_dir());
		break;
	default:
		warning("cannot join %s: %m: `kecho stat` shows whether the registry and the "
			"other nodes are reached", path);
	}
	return false;
}

static bool leave(const char *path)
{
	if (!unlinkat(node_fd(), path, AT_REMOVEDIR))
		return true;
	switch (errno) {
	case ENOENT:
		warning("this node is not on %s: `kecho ls` shows the channels", path);
		break;
	case EBUSY:
		warning("%s is in use: close its files first, `kecho members -s %.*s` shows who "
			"reads them", path, (int)strcspn(path, "/"), path);
		break;
	case ENOTEMPTY:
		warning("%s has types: leave them first, with `kecho leave %s/TYPE`", path, path);
		break;
	case EACCES:
	case EPERM:
		warning("not allowed to leave %s: `ls -ld %s/%s` shows whose it is", path,
			node_dir(), path);
		break;
	default:
		warning("cannot leave %s: %m: `kecho stat` shows the node's state", path);
	}
	return false;
}

static int each(const struct simple_args *args, bool (*act)(const char *path))
{
	int i, status = EXIT_SUCCESS;

	for (i = 0; i < args->nargs; i++)
		check_path(args->args[i]);
	for (i = 0; i < args->nargs; i++)
		if (!act(args->args[i]))
			status = EXIT_FAILURE;
	return status;
}

int cmd_join(int argc, char **argv)
{
	struct simple_args args;

	parse_simple(&args, argc, argv, NULL, "CHANNEL[/TYPE]...",
		     "Join channels, and create those that do not exist. CHANNEL/TYPE declares a type "
		     "of events. It is no error to have joined before.", 1, INT_MAX);
	return each(&args, join);
}

int cmd_leave(int argc, char **argv)
{
	struct simple_args args;

	parse_simple(&args, argc, argv, NULL, "CHANNEL[/TYPE]...", "Leave channels.", 1, INT_MAX);
	return each(&args, leave);
}
