// SPDX-License-Identifier: GPL-2.0
/* Processes of our own: begun, and ended with us. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server that has not come as far as its loop may lose the signal; and what does not end in that time hangs. */
#define END_MS		2000
#define LOOK_US		2000

pid_t process_start(int signo)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, signo);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	return 0;
}

void process_kill(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	process_wait(*pid);
	*pid = 0;
}

int process_wait(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void process_end(pid_t *pid)
{
	uint64_t end = now() + END_MS * 1000000ull;

	if (*pid <= 0)
		return;
	kill(*pid, SIGTERM);
	while (!waitpid(*pid, NULL, WNOHANG)) {
		if (now() > end)
			return process_kill(pid);
		usleep(LOOK_US);
	}
	*pid = 0;
}
