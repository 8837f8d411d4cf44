// SPDX-License-Identifier: GPL-2.0
/* One trial: the ends as processes of their own, and a hog. */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Besides what it is to take. */
#define SLACK_S		30
/* Between two events that only say that there are no more. */
#define AGAIN_US	20000
#define BULK_US	600000	/* by then what goes besides has filled the line */

enum { SENDER, HOG, BULK_SENDER, BULK_RECEIVER, RECEIVERS, PROCESSES = RECEIVERS + SUBSCRIBERS_MAX };

static struct trial *trial;
static pid_t owner, running[PROCESSES];

static void stop(void)
{
	int i;

	if (getpid() != owner)
		return;
	for (i = 0; i < PROCESSES; i++)
		process_kill(&running[i]);
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

static unsigned int receivers(const struct entry *e)
{
	return e->subject->alone ? 0 : e->subscribers;
}

/* By what works for both ends in a process of its own, as far as there is one. */
static uint64_t helper_used(void)
{
	const struct server *s = trial->entry->subject->server;

	return s ? cpu_used(s->pid) : node_used();
}

static uint64_t used(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void meet(void)
{
	pthread_barrier_wait(&trial->barrier);
}

/* Threads that are started here may run where the node does, as they do their end's work beside it. */
static void open_end(enum end end, unsigned int nth, int cpu)
{
	cpu_allow(getpid(), &trial->place->helpers);
	trial->entry->subject->open(trial->entry, end, nth);
	cpu_pin(cpu);
	meet();
}

void send_event(struct trial *t, const struct payload *p, bool more)
{
	static union {
		struct payload p;
		char bytes[BYTES_MAX];
	} event __attribute__((aligned(4096)));

	event.p = *p;
	t->entry->subject->send(&event.p, more);
}

void trial_expect(const struct trial *t, const struct payload *p, uint32_t *seq)
{
	if (p->seq != *seq + 1 && (!t->entry->lossy || p->seq <= *seq))
		die("%s: event %u instead of %u", t->entry->name, p->seq, *seq + 1);
	*seq = p->seq;
}

void trial_received(struct trial *t, uint64_t events, uint64_t began, uint64_t ended)
{
	unsigned long long least = 0, greatest = t->ended;

	t->received += events;
	while ((!least || began < least) && !atomic_compare_exchange_weak(&t->began, &least, began))
		;
	while (ended > greatest && !atomic_compare_exchange_weak(&t->ended, &greatest, ended))
		;
}

/* Between the first and the last. */
double trial_events_per_s(const struct trial *t)
{
	return ((double)t->received / t->entry->subscribers - 1) * 1e9 / (t->ended - t->began);
}

double trial_cpu_ns(const struct trial *t)
{
	return (double)t->cpu_ns * t->entry->subscribers / t->received;
}

/* Where the last event may be lost, it is told until all have heard it. */
static void end(void)
{
	while (trial->entry->lossy && trial->done < receivers(trial->entry)) {
		usleep(AGAIN_US);
		send_event(trial, &(struct payload){ .last = 1 }, false);
	}
	meet();
}

static void sender(void)
{
	const struct entry *e = trial->entry;
	uint64_t began, mine, helpers;

	prctl(PR_SET_TIMERSLACK, 1);
	/* It is the subscriber that the hog is to be in the way of. */
	if (trial->place->hog && trial->place->sender == trial->place->receiver)
		cpu_go_first();
	open_end(SENDS, 0, trial->place->sender);
	send_event(trial, &(struct payload){ .seq = 1 }, false);
	meet();
	if (e->bulk)
		usleep(BULK_US);
	began = now();
	mine = used();
	helpers = helper_used();
	trial->table->kind->send(trial);
	if (!receivers(e))
		trial_received(trial, trial->sent, began, now());
	end();
	trial->cpu_ns += used() - mine + helper_used() - helpers;
	if (e->subject->finish)
		e->subject->finish();
}

static void receiver(unsigned int nth)
{
	const struct place *p = trial->place;
	uint64_t mine;

	open_end(trial->table->receiver, nth, nth % 2 ? p->sender : p->receiver);
	while (!trial->entry->subject->receive())
		;
	meet();
	mine = used();
	trial->table->kind->receive(trial);
	trial->cpu_ns += used() - mine;
	trial->done++;
	meet();
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

static void run(int which)
{
	switch (which) {
	case SENDER: return sender();
	case HOG: return hog();
	case BULK_SENDER: return bulk_sender();
	case BULK_RECEIVER: return bulk_receiver();
	default: return receiver(which - RECEIVERS);
	}
}

static void start(int which)
{
	running[which] = process_start(SIGKILL);
	if (running[which])
		return;
	alarm(trial->table->ms / 1000 + SLACK_S);
	run(which);
	_exit(EXIT_SUCCESS);
}

/* False: it has taken too long, and is to be repeated. */
static bool wait_ends(bool again)
{
	unsigned int ends = 1 + receivers(trial->entry);
	int status, which;
	pid_t pid;

	for (; ends; ends--) {
		pid = interrupted ? -1 : waitpid(-1, &status, 0);
		if (pid < 0)
			die("interrupted");
		for (which = 0; which < PROCESSES && running[which] != pid; which++)
			;
		if (which == PROCESSES)
			die("the node, or a server, has ended");
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
	unsigned int i;
	bool ended;

	memset(trial, 0, sizeof(*trial));
	trial->table = t;
	trial->entry = e;
	trial->place = p;
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&trial->barrier, &shared, 1 + receivers(e));
	if (e->subject->prepare)
		e->subject->prepare(e);
	node_allow(&p->helpers);
	if (e->subject->server)
		cpu_allow(e->subject->server->pid, &p->helpers);
	start(SENDER);
	for (i = 0; i < receivers(e); i++)
		start(RECEIVERS + i);
	if (p->hog)
		start(HOG);
	if (e->bulk) {
		start(BULK_SENDER);
		start(BULK_RECEIVER);
	}
	ended = wait_ends(again);
	if (ended)
		t->kind->result(trial, figures);
	stop();
	return ended;
}

void trial_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	if (!attempt(t, e, p, figures, e->subject->stalls))
		attempt(t, e, p, figures, false);
}
