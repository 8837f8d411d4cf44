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

enum home { HOME_AUTO, HOME_KERNEL, HOME_FUSE };

struct up {
	const char *dir;
	enum home home;
	bool dry_run, foreground;
	char **options;
	int noptions;
};

static const struct argp_option up_options[] = {
	{ "options", 'o', "OPTIONS", 0,
	  "options of the node, such as name=a,group=HOST; may be repeated, see kechofsd(8)", 0 },
	{ "home", 'H', "HOME", 0, "kernel, fuse or auto (the default): where the node runs", 0 },
	{ "foreground", 'f', NULL, 0, "for services: with FUSE, stay in the foreground", 0 },
	{ "dry-run", 'n', NULL, 0, "only print the command that would be run", 0 },
	{ 0 }
};

static error_t parse_up_opt(int key, char *arg, struct argp_state *state)
{
	struct up *up = state->input;

	switch (key) {
	case 'o':
		up->options[up->noptions++] = arg;
		return 0;
	case 'H':
		if (!strcmp(arg, "kernel"))
			up->home = HOME_KERNEL;
		else if (!strcmp(arg, "fuse"))
			up->home = HOME_FUSE;
		else if (!strcmp(arg, "auto"))
			up->home = HOME_AUTO;
		else
			argp_error(state, "--home is kernel, fuse or auto, not '%s'", arg);
		return 0;
	case 'f':
		up->foreground = true;
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
	"Start a node, and mount its channels at DIR (KECHO_DIR, /kecho by default). It is the "
	"kernel's if its modules load, else it runs in user space (FUSE).",
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

/* The directory where the node will be mounted, the caller's. */
static char *make_directory(const char *dir)
{
	char *mount = find_mount(dir), *real;

	/* What a killed daemon has left is in nobody's way. */
	if (mount && (!access(mount, F_OK) || errno != ENOTCONN || umount2(mount, MNT_DETACH)))
		die("a node is mounted at %s already: `kecho down %s` stops it", mount, mount);
	if (mkdir(dir, 0755) && errno != EEXIST)
		die("cannot create %s: %m: name a directory that you may write, as in "
		    "`kecho up DIR`", dir);
	free(mount);
	real = realpath(dir, NULL);
	if (!real)
		die("%s: %m", dir);
	return real;
}

/* Returns false with @why if the node cannot be the kernel's. */
static bool up_kernel(const struct up *up, const char **why)
{
	char *options, *dir;
	bool done = true;
	int fd;

	fd = kernel_open(why);
	if (fd < 0)
		return false;
	options = kernel_options(up->options, up->noptions);
	if (up->dry_run) {
		printf("home: the kernel\nmount -t kechofs %s%s%skecho %s\n", *options ? "-o " : "", options,
		       *options ? " " : "", up->dir);
	} else {
		dir = make_directory(up->dir);
		done = kernel_mount(fd, options, dir, why);
		if (done)
			printf("a node in the kernel runs at %s\n", dir);
		free(dir);
	}
	free(options);
	close(fd);
	return done;
}

/* @why it is not the kernel's; NULL: it was not asked for. */
static void up_fuse(const struct up *up, const char *why)
{
	static char option[] = "-o", foreground[] = "-f";
	char path[PATH_MAX], *dir, **args;
	int n = 0, i, status;

	args = calloc(2 * up->noptions + 4, sizeof(char *));
	if (!args)
		die("%m");
	args[n++] = (char *)find_daemon(path, sizeof(path));
	if (up->foreground)
		args[n++] = foreground;
	for (i = 0; i < up->noptions; i++) {
		args[n++] = option;
		args[n++] = up->options[i];
	}
	if (up->dry_run) {
		printf("home: user space (FUSE)%s%s\n", why ? ": " : "", why ?: "");
		for (i = 0; i < n; i++)
			printf("%s ", args[i]);
		puts(up->dir);
		free(args);
		return;
	}
	dir = make_directory(up->dir);
	args[n] = dir;
	if (up->foreground) {
		printf("a node in user space (FUSE) at %s%s%s\n", dir, why ? ": " : "", why ?: "");
		fflush(stdout);
		execvp(args[0], args);
		die("cannot start %s: %m: install it, or build it with make", args[0]);
	}
	status = run(args);
	if (status < 0)
		die("cannot start %s: %m: install it, or build it with make", args[0]);
	if (status)
		die("the node did not start: kechofsd says why above");
	printf("a node in user space (FUSE) runs at %s%s%s\n", dir, why ? ": " : "", why ?: "");
	free(dir);
	free(args);
}

int cmd_up(int argc, char **argv)
{
	struct up up = { .dir = node_dir() };
	const char *why = NULL;

	up.options = calloc(argc, sizeof(char *));
	if (!up.options)
		die("%m");
	argp_parse(&up_argp, argc, argv, 0, NULL, &up);

	if (up.home == HOME_FUSE || !up_kernel(&up, &why)) {
		if (up.home == HOME_KERNEL)
			die("%s", why);
		up_fuse(&up, why);
	} else if (up.foreground && getenv("NOTIFY_SOCKET")) {
		/* There is no daemon that could say it. */
		fflush(stdout);
		execlp("systemd-notify", "systemd-notify", "--ready", NULL);
		die("cannot start systemd-notify: %m");
	}
	free(up.options);
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
	{ "loss_ppm", NUMBER },
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
