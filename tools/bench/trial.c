// SPDX-License-Identifier: GPL-2.0
/* One trial: the two ends as processes of their own, and a hog. */
#include "bench.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Besides what it is to take. */
#define SLACK_S	30

enum { SENDER, RECEIVER, HOG, BULK_SENDER, BULK_RECEIVER, PROCESSES };

static struct trial *trial;
static pid_t owner, running[PROCESSES];

static void stop(void)
{
	int i;

	if (getpid() != owner)
		return;
	for (i = 0; i < PROCESSES; i++) {
		if (running[i] <= 0)
			continue;
		kill(running[i], SIGKILL);
		waitpid(running[i], NULL, 0);
		running[i] = 0;
	}
	if (trial->entry && trial->entry->subject->tidy)
		trial->entry->subject->tidy();
	trial->entry = NULL;
}

void trial_init(void)
{
	trial = mmap(NULL, sizeof(*trial), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (trial == MAP_FAILED)
		die("mmap: %m");
	owner = getpid();
	atexit(stop);
}

static void meet(void)
{
	pthread_barrier_wait(&trial->barrier);
}

/* Threads that are started here may run where the node does, as they do their end's work beside it. */
static void open_end(enum end end, int cpu)
{
	cpu_allow(getpid(), &trial->place->helpers);
	trial->entry->subject->open(trial->entry, end);
	cpu_pin(cpu);
	meet();
}

void send_event(struct trial *t, const struct payload *p, bool more)
{
	static union {
		struct payload p;
		char bytes[BYTES_MAX];
	} event;

	event.p = *p;
	t->entry->subject->send(&event.p, more);
}

static void sender(void)
{
	const struct subject *s = trial->entry->subject;
	uint64_t used;

	prctl(PR_SET_TIMERSLACK, 1);
	open_end(SENDS, trial->place->sender);
	send_event(trial, &(struct payload){ .seq = 1 }, false);
	meet();
	used = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	trial->table->kind->send(trial);
	if (s->finish)
		s->finish();
	trial->cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
}

static void receiver(void)
{
	uint64_t used;

	open_end(trial->table->receiver, trial->place->receiver);
	while (!trial->entry->subject->receive())
		;
	meet();
	used = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	trial->table->kind->receive(trial);
	trial->cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used;
}

static void bulk_sender(void)
{
	cpu_pin(trial->place->sender);
	trial->entry->subject->bulk(SENDS);
}

static void bulk_receiver(void)
{
	cpu_pin(trial->place->receiver);
	trial->entry->subject->bulk(SLEEPS);
}

static void hog(void)
{
	cpu_pin(trial->place->receiver);
	for (;;)
		__asm__ volatile("");
}

static void start(int which, void (*run)(void))
{
	running[which] = fork();
	if (running[which] < 0)
		die("fork: %m");
	if (running[which])
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != owner)
		_exit(EXIT_FAILURE);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	alarm(trial->table->ms / 1000 + SLACK_S);
	run();
	_exit(EXIT_SUCCESS);
}

/* False: it has taken too long, and is to be repeated. */
static bool wait_ends(bool again)
{
	int status, which;
	pid_t pid;

	while (running[SENDER] || running[RECEIVER]) {
		pid = interrupted ? -1 : waitpid(-1, &status, 0);
		if (pid < 0)
			die("interrupted");
		for (which = 0; which < PROCESSES && running[which] != pid; which++)
			;
		if (which == PROCESSES)
			die("the node has ended");
		running[which] = 0;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
			warning("%s, %s: it takes too long", trial->entry->name, trial->place->name);
			if (again)
				return false;
		}
		if (status)
			die("%s, %s: no result", trial->entry->name, trial->place->name);
	}
	return true;
}

static bool attempt(const struct table *t, const struct entry *e, const struct place *p, double *figures, bool again)
{
	pthread_barrierattr_t shared;
	uint64_t used;
	bool ended;

	memset(trial, 0, offsetof(struct trial, latency));
	trial->table = t;
	trial->entry = e;
	trial->place = p;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&trial->barrier, &shared, 2);
	if (e->subject->prepare)
		e->subject->prepare(e);
	node_allow(&p->helpers);
	fflush(stdout);
	used = node_used();
	start(SENDER, sender);
	start(RECEIVER, receiver);
	if (p->hog)
		start(HOG, hog);
	if (e->bulk) {
		start(BULK_SENDER, bulk_sender);
		start(BULK_RECEIVER, bulk_receiver);
	}
	ended = wait_ends(again);
	if (ended) {
		trial->cpu_ns += node_used() - used;
		t->kind->result(trial, figures);
	}
	stop();
	return ended;
}

void trial_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	if (!attempt(t, e, p, figures, e->subject->stalls))
		attempt(t, e, p, figures, false);
}
