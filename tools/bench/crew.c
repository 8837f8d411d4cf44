// SPDX-License-Identifier: GPL-2.0
/* Processes at hosts, which end with the trial and with us. */
#include "balance.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CREW_MAX	64
#define SBIN		":/usr/sbin:/sbin"

static struct {
	pid_t pid;
	const char *name;
	bool counts;
} crew[CREW_MAX];
static pid_t owner;

/* This program's own directory goes before, then what a shell has, and where daemons are. */
static const char *search_path(void)
{
	static char path[PATH_MAX * 2];
	ssize_t len;

	if (*path)
		return path;
	len = readlink("/proc/self/exe", path, PATH_MAX - 1);
	if (len < 0)
		die("/proc/self/exe: %m");
	path[len] = '\0';
	snprintf(strrchr(path, '/'), sizeof(path) - len, ":%s" SBIN, getenv("PATH") ?: "/usr/bin:/bin");
	return path;
}

bool crew_there(const char *program)
{
	char path[PATH_MAX];
	const char *dir, *end;

	for (dir = search_path(); *dir; dir = *end ? end + 1 : end) {
		end = strchrnul(dir, ':');
		snprintf(path, sizeof(path), "%.*s/%s", (int)(end - dir), dir, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

void crew_end(void)
{
	int i;

	if (getpid() != owner)
		return;
	for (i = 0; i < CREW_MAX; i++)
		process_kill(&crew[i].pid);
}

/* Each request is a connection. */
static void many_files(void)
{
	struct rlimit l;

	if (!getrlimit(RLIMIT_NOFILE, &l)) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* Returns true in the new process. */
static bool start(unsigned int host, bool counts, const char *name)
{
	int i;

	if (!owner) {
		owner = getpid();
		atexit(crew_end);
	}
	for (i = 0; i < CREW_MAX && crew[i].pid; i++)
		;
	if (i == CREW_MAX)
		die("too many processes");
	crew[i].name = name;
	crew[i].counts = counts;
	crew[i].pid = process_start(SIGKILL);
	if (crew[i].pid)
		return false;
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGPIPE, SIG_IGN);
	many_files();
	line_enter(host);
	return true;
}

void crew_run(unsigned int host, bool counts, void (*run)(void *arg, unsigned int host), void *arg)
{
	if (!start(host, counts, "a process of the trial"))
		return;
	run(arg, host);
	_exit(EXIT_SUCCESS);
}

void crew_exec(unsigned int host, bool counts, const char *const *argv)
{
	if (!start(host, counts, argv[0]))
		return;
	setenv("KECHO_DIR", node_at(host), 1);
	setenv("PATH", search_path(), 1);
	execvp(argv[0], (char *const *)argv);
	warning("%s: %m", argv[0]);
	_exit(EXIT_FAILURE);
}

uint64_t crew_used(void)
{
	uint64_t used = 0;
	int i;

	for (i = 0; i < CREW_MAX; i++)
		if (crew[i].counts)
			used += cpu_used(crew[i].pid);
	return used;
}

bool crew_check(void)
{
	int i, status;

	for (i = 0; i < CREW_MAX; i++) {
		if (!crew[i].pid || waitpid(crew[i].pid, &status, WNOHANG) != crew[i].pid)
			continue;
		crew[i].pid = 0;
		if (status)
			die("%s has ended", crew[i].name);
		return false;
	}
	if (interrupted)
		die("interrupted");
	return true;
}
