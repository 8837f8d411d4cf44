// SPDX-License-Identifier: GPL-2.0
/* The node: one that runs, or a kechofsd of our own. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS	10000

static char dir[PATH_MAX - 64];
static pid_t daemon_pid, owner;
static cpu_set_t daemon_cpus;	/* where another's ran before we came */

const char *node_dir(void)
{
	return dir;
}

pid_t node_daemon(void)
{
	return daemon_pid;
}

static FILE *open_config(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/.node/config", dir);
	return fopen(path, "re");
}

static void restore(void)
{
	if (getpid() == owner)
		cpu_allow(daemon_pid, &daemon_cpus);
}

static void use(const char *mount)
{
	FILE *config;
	char line[256];

	if (strlen(mount) >= sizeof(dir))
		die("%s: too long", mount);
	strcpy(dir, mount);
	config = open_config();
	if (!config)
		die("no node is mounted at %s: start one with `kecho up %s`, or do without --mount", dir, dir);
	while (fgets(line, sizeof(line), config))
		sscanf(line, "pid=%d", &daemon_pid);
	fclose(config);
	if (!daemon_pid)
		return;
	if (sched_getaffinity(daemon_pid, sizeof(daemon_cpus), &daemon_cpus))
		die("the node at %s: %m", dir);
	atexit(restore);
}

static void stop(void)
{
	if (getpid() != owner)
		return;
	kill(daemon_pid, SIGTERM);
	while (waitpid(daemon_pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* What it leaves if it did not end well. */
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

/* Beside this program. */
static _Noreturn void be_daemon(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("kechofsd"));

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (n > 0 && getppid() == owner) {
		path[n] = '\0';
		strcpy(strrchr(path, '/') + 1, "kechofsd");
		execl(path, path, "-f", dir, NULL);
		warning("cannot start %s: %m", path);
	}
	_exit(EXIT_FAILURE);
}

static void start(void)
{
	const char *tmp = getenv("TMPDIR");
	uint64_t end = now() + START_MS * 1000000ull;
	FILE *config = NULL;

	snprintf(dir, sizeof(dir), "%s/kecho-bench.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		die("%s: %m", dir);
	daemon_pid = fork();
	if (daemon_pid < 0)
		die("fork: %m");
	if (!daemon_pid)
		be_daemon();
	atexit(stop);
	while (!(config = open_config())) {
		if (waitpid(daemon_pid, NULL, WNOHANG) || now() > end)
			die("the node did not start");
		usleep(5000);
	}
	fclose(config);
}

void node_start(const char *mount)
{
	owner = getpid();
	if (mount)
		use(mount);
	else
		start();
}
