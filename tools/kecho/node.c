// SPDX-License-Identifier: GPL-2.0
/* kecho up, down, stat: the node. */
#include "kecho.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DOWN_TIMEOUT_MS	10000

extern char **environ;

struct up {
	const char *dir;
	bool dry_run;
	char **daemon_args;	/* kechofsd [-o OPTIONS]... DIR */
	int nargs;
};

static const struct argp_option up_options[] = {
	{ "options", 'o', "OPTIONS", 0,
	  "options of the node, such as name=a,group=HOST; may be repeated, see kechofsd(8)", 0 },
	{ "dry-run", 'n', NULL, 0, "only print the command that would be run", 0 },
	{ 0 }
};

static error_t parse_up_opt(int key, char *arg, struct argp_state *state)
{
	static char option[] = "-o";
	struct up *up = state->input;

	switch (key) {
	case 'o':
		up->daemon_args[up->nargs++] = option;
		up->daemon_args[up->nargs++] = arg;
		return 0;
	case 'n':
		up->dry_run = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "too many arguments: options of the node follow -o");
		up->dir = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp up_argp = {
	up_options, parse_up_opt, "[DIR]",
	"Start a node, and mount its channels at DIR (KECHO_DIR, /kecho by default).",
	NULL, NULL, NULL
};

/* Beside this program, as in the build's folder, else from the PATH. */
static const char *find_daemon(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - sizeof("kechofsd"));
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		strcpy(slash + 1, "kechofsd");
		if (!access(path, X_OK))
			return path;
	}
	return "kechofsd";
}

/* Runs a program to its end; returns its exit status, or -1 with errno if it cannot be started. */
static int run(char **argv)
{
	int status;
	pid_t pid;

	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (errno)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* The mount point of a node at @dir as the kernel spells it, the caller's; NULL: none is there. */
static char *find_mount(const char *dir)
{
	char *real = realpath(dir, NULL), *found = NULL;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	if (!mounts)
		die("/proc/self/mounts: %m");
	while (!found && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_dir, real ?: dir) && (!strcmp(m->mnt_type, "kechofs") ||
							 !strcmp(m->mnt_type, "fuse.kechofs")))
			found = strdup(m->mnt_dir);
	endmntent(mounts);
	free(real);
	return found;
}

static void start(struct up *up, const char *daemon)
{
	char *mount = find_mount(up->dir), *real;
	int status;

	if (mount)
		die("a node is mounted at %s already: `kecho down %s` stops it", mount, mount);
	if (mkdir(up->dir, 0755) && errno != EEXIST)
		die("cannot create %s: %m: name a directory that you may write, as in "
		    "`kecho up DIR`", up->dir);
	real = realpath(up->dir, NULL);
	if (!real)
		die("%s: %m", up->dir);
	up->daemon_args[up->nargs] = real;

	status = run(up->daemon_args);
	if (status < 0)
		die("cannot start %s: %m: install it, or build it with make", daemon);
	if (status)
		die("the node did not start: kechofsd says why above");
	printf("a node in user space (FUSE) runs at %s\n", real);
	free(real);
}

int cmd_up(int argc, char **argv)
{
	struct up up = { .dir = node_dir(), .nargs = 1 };
	char path[PATH_MAX];
	const char *daemon = find_daemon(path, sizeof(path));
	int i;

	/* Each argument is one of the daemon's or two at most; its name, DIR and NULL come with it. */
	up.daemon_args = calloc(2 * argc + 3, sizeof(char *));
	if (!up.daemon_args)
		die("%m");
	argp_parse(&up_argp, argc, argv, 0, NULL, &up);
	up.daemon_args[0] = (char *)daemon;

	if (up.dry_run) {
		puts("home: user space (FUSE)");
		for (i = 0; i < up.nargs; i++)
			printf("%s ", up.daemon_args[i]);
		puts(up.dir);
	} else {
		start(&up, daemon);
	}
	free(up.daemon_args);
	return EXIT_SUCCESS;
}

/* A descriptor of the daemon behind @mount; -1: the node is the kernel's, or has died. */
static int open_daemon(const char *mount)
{
	char path[PATH_MAX], *text, *pid;
	int fd;

	snprintf(path, sizeof(path), "%s/.node/config", mount);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	text = read_all(fd, path, NULL);
	close(fd);
	pid = strstr(text, "\npid=");
	fd = pid ? syscall(SYS_pidfd_open, atoi(pid + strlen("\npid=")), 0) : -1;
	free(text);
	return fd;
}

static void unmount(char *mount)
{
	char program[] = "fusermount3", option[] = "-u";
	char *fusermount[] = { program, option, mount, NULL };

	if (!umount2(mount, UMOUNT_NOFOLLOW))
		return;
	switch (errno) {
	case EPERM:
		if (run(fusermount))
			die("cannot unmount %s: only root and who mounted it may", mount);
		return;
	case EBUSY:
		die("%s is in use: `fuser -vm %s` shows by whom", mount, mount);
	}
	die("cannot unmount %s: %m", mount);
}

int cmd_down(int argc, char **argv)
{
	struct pollfd daemon = { .events = POLLIN };
	struct simple_args args;
	const char *dir;
	char *mount;

	parse_simple(&args, argc, argv, NULL, "[DIR]",
		     "Stop the node that is mounted at DIR (KECHO_DIR, /kecho by default), and wait "
		     "until it has ended.", 0, 1);
	dir = args.nargs ? args.args[0] : node_dir();
	mount = find_mount(dir);
	if (!mount)
		die("no node is mounted at %s: `findmnt -t kechofs,fuse.kechofs` shows where one is",
		    dir);

	daemon.fd = open_daemon(mount);
	unmount(mount);
	if (daemon.fd >= 0 && !poll(&daemon, 1, DOWN_TIMEOUT_MS))
		die_with(EXIT_TIMEOUT, "%s is unmounted, but its kechofsd has not ended after %d s: "
			 "kill it", mount, DOWN_TIMEOUT_MS / 1000);
	if (daemon.fd >= 0)
		close(daemon.fd);
	free(mount);
	return EXIT_SUCCESS;
}

static const struct column peer_columns[] = {
	{ "id", TEXT },
	{ "node", TEXT },
	{ "addr", TEXT },
	{ "via", TEXT },
	{ "state", TEXT },
	{ "rtt_us", NUMBER },
	{ "sent", NUMBER },
	{ "received", NUMBER },
	{ "bytes_sent", NUMBER },
	{ "bytes_received", NUMBER },
	{ "unacked", NUMBER },
	{ "resumes", NUMBER },
	{ 0 }
};

static const struct argp_option stat_options[] = {
	{ "peers", 'p', NULL, 0, "the links to other nodes only", 0 },
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ 0 }
};

int cmd_stat(int argc, char **argv)
{
	struct simple_args args;
	json_t *stats, *peers, *both;
	char *text;

	parse_simple(&args, argc, argv, stat_options, "",
		     "Show the node's counters. On a terminal, or with -p, also its links to other "
		     "nodes.", 0, 0);
	text = read_file(".node", "stats");
	stats = parse_pairs(text, args.json);
	free(text);
	text = read_file(".node", "peers");
	peers = parse_lines(text, peer_columns, false);
	free(text);

	if (args.json) {
		both = json_pack("{sO sO}", "stats", stats, "peers", peers);
		show(args.only ? peers : both, NULL, true);
		json_decref(both);
	} else {
		show_both(stats, NULL, peers, peer_columns, args.only);
	}
	json_decref(stats);
	json_decref(peers);
	return EXIT_SUCCESS;
}
