// SPDX-License-Identifier: GPL-2.0
/* One trial of an operation: who does it as a process of its own, its receivers, and the count of its system calls. */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SINKS_MAX	64
/* Besides what it is to take. */
#define SLACK_S		30
#define SAMPLES_MAX	100000
#define SAMPLES_LEAST	20
/* Of those that are asked for at once inside the kernel, if no rate says how many: for each millisecond, and at most. */
#define SAMPLES_INSIDE_MS	20
#define SAMPLES_INSIDE	1000
/* At least so many runs' system calls are counted. */
#define COUNTED		10
#define EMPTY		101
/* What has to come about, as a member, an event or the end of an open file: looks for it, and between them. */
#define TRIES		2000
#define TRY_US		5000

/**
 * struct shared - by all processes of a trial
 * @done: runs, with those that are not measured
 * @counting: what it does now counts
 */
static struct shared {
	unsigned int n;
	uint64_t done, cpu_ns, others_ns;
	volatile bool counting;
	atomic_uint ready;
	atomic_ullong received[SINKS_MAX];
	uint64_t ns[SAMPLES_MAX];
} *shared;

static const struct table *table;
static const struct entry *entry;
static const struct place *place;
static const struct call *call;
static const struct operation *op;
static pid_t owner, sinks[SINKS_MAX], actor;
static bool channel_joined;
/* What begins with @all is left at the end. */
static char all[32], channel[64];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* By nearest rank; sorts them. */
static double percentile(uint64_t *samples, unsigned int n, double percent)
{
	unsigned int rank = ceil(percent / 100 * n);

	qsort(samples, n, sizeof(*samples), compare);
	return samples[rank ? rank - 1 : 0];
}

/* --- channels --- */

const char *ops_channel(void)
{
	return channel;
}

void ops_next(void)
{
	static unsigned int n;

	snprintf(channel, sizeof(channel), "%s%u", all, n++);
}

const char *ops_path(unsigned int host, const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", node_at(host), channel, file);
	return path;
}

unsigned int ops_host(const struct call *c, unsigned int i)
{
	return c->hosts ? 1 + i % c->hosts : 0;
}

void ops_received(unsigned int i, unsigned int n)
{
	shared->received[i] += n;
}

void ops_ready(void)
{
	shared->ready++;
}

static void write_file(const char *path, const char *line)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(line, f) < 0 || fclose(f))
		die("%s: %m", path);
}

void ops_join(const struct entry *e)
{
	const struct call *c = e->variant;
	unsigned int host;
	char line[16];

	for (host = 0; host <= c->hosts; host++) {
		if (mkdir(ops_path(host, ""), 0777))
			die("%s: %m", ops_path(host, ""));
		if (!c->filter || !host)
			continue;
		snprintf(line, sizeof(line), "k=%u\n", host);
		write_file(ops_path(host, "attrs"), line);
	}
	if (c->filter)
		write_file(ops_path(0, "filter"), c->filter);
	channel_joined = true;
}

/* As a node knows them: the sinks of all members, and how many members and sinks say k. */
static unsigned int known_sinks(const char *members, unsigned int *say)
{
	FILE *f = fopen(members, "re");
	unsigned int sinks_there = 0, n;
	char line[1024], *at;

	*say = 0;
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "\tsinks=");
		if (at && sscanf(at, "\tsinks=%u", &n) == 1)
			sinks_there += n;
		*say += !!strstr(line, "\tk=");
	}
	if (f)
		fclose(f);
	return sinks_there;
}

void ops_wait_sinks(unsigned int host, unsigned int n, unsigned int say)
{
	unsigned int i, says;

	for (i = 0; known_sinks(ops_path(host, "members"), &says) != n || says != say; i++) {
		if (i == TRIES)
			die("%s: not all subscribers are known at host %u", entry->name, host);
		usleep(TRY_US);
	}
}

void ops_wait_members(const char *members, unsigned int n)
{
	unsigned int i, says;

	for (i = 0; known_sinks(members, &says) != n; i++) {
		if (i == TRIES)
			die("%s: not all subscribers are known", members);
		usleep(TRY_US);
	}
}

static double filter_mean(void)
{
	FILE *f = fopen(ops_path(0, "filter"), "re");
	double mean = 0;
	char line[1024], *at;

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "\tmean_ns=");
		if (!at || sscanf(at, "\tmean_ns=%lf", &mean) != 1 || strstr(line, "\tdisabled=1"))
			die("%s: %s", ops_path(0, "filter"), line);
	}
	if (f)
		fclose(f);
	return mean;
}

/* Files that were closed are let go of a little later. */
void ops_leave(const char *path)
{
	int i;

	for (i = 0; rmdir(path) && errno == EBUSY && i < TRIES; i++)
		usleep(TRY_US);
}

static void leave_all(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *channels = opendir(dir);

	while (channels && (d = readdir(channels))) {
		if (strncmp(d->d_name, all, strlen(all)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		ops_leave(path);
	}
	if (channels)
		closedir(channels);
}

/* --- the process that does it --- */

static void sleep_until(uint64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static unsigned int times(void)
{
	return op->times ? op->times : 1;
}

static unsigned int wanted(void)
{
	uint64_t n = (uint64_t)table->rate * table->ms / 1000;

	return n < SAMPLES_LEAST ? SAMPLES_LEAST : n > SAMPLES_MAX ? SAMPLES_MAX : n;
}

static unsigned int wanted_inside(void)
{
	unsigned int n = table->ms * SAMPLES_INSIDE_MS;

	return table->rate ? wanted() : n < SAMPLES_LEAST ? SAMPLES_LEAST : n > SAMPLES_INSIDE ? SAMPLES_INSIDE : n;
}

/* What was sent so far has arrived: no more and no less. */
static void settle(void)
{
	unsigned long long arrived, expected = shared->done * (call->filter ? call->passed : call->sinks);
	unsigned int i, try;

	if (!sinks[0])
		return;
	for (try = 0; ; try++) {
		for (arrived = i = 0; i < call->sinks; i++)
			arrived += shared->received[i];
		if (arrived == expected)
			return;
		if (try == TRIES || arrived > expected)
			die("%s: %llu events have arrived, not %llu", entry->name, arrived, expected);
		usleep(TRY_US / 5);
	}
}

static uint64_t own_cpu(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* What the two looks at that clock take of it themselves. */
static uint64_t empty_cpu(void)
{
	uint64_t ns[EMPTY], at;
	int i;

	for (i = 0; i < EMPTY; i++) {
		at = own_cpu();
		now();
		now();
		ns[i] = own_cpu() - at;
	}
	return percentile(ns, EMPTY, 50);
}

static uint64_t inside_one(void)
{
	struct inside r = { 0 };

	inside_run(&r, "%s channel=%s events=1 size=%u", op->module, channel, entry->bytes);
	return r.median;
}

/* Nanoseconds of one; *cpu: more of it by so many, if that is asked for. */
static uint64_t one(uint64_t *cpu)
{
	uint64_t used = 0, ns;
	unsigned int i;

	if (op->before)
		op->before();
	if (op->module) {
		ns = inside_one();
	} else {
		if (cpu)
			used = own_cpu();
		ns = now();
		for (i = times(); i; i--)
			op->run();
		ns = (now() - ns) / times();
		if (cpu)
			*cpu += own_cpu() - used;
	}
	if (op->after)
		op->after();
	shared->done += times();
	return ns;
}

static uint64_t cpu_of_others(void)
{
	uint64_t used = node_used() - node_used_at(0);
	unsigned int i;

	for (i = 0; i < call->sinks; i++)
		used += cpu_used(sinks[i]);
	return used;
}

static void steady(void)
{
	uint64_t period = 1000000000 / table->rate, empty = empty_cpu(), cpu = 0, node, others, due;
	unsigned int i, n = wanted();

	node = node_used_at(0);
	others = cpu_of_others();
	due = now();
	for (i = 0; i < n; i++) {
		due += period;
		sleep_until(due);
		shared->ns[i] = one(&cpu);
	}
	settle();
	node = node_used_at(0) - node;
	shared->n = n;
	shared->cpu_ns = ((cpu > n * empty ? cpu - n * empty : 0) + node) / n;
	shared->others_ns = (cpu_of_others() - others) / n;
}

static void flat_out(void)
{
	uint64_t end = now() + table->ms * 1000000ull;
	unsigned int n = 0;

	while (n < SAMPLES_LEAST || (n < SAMPLES_MAX && now() < end))
		shared->ns[n++] = one(NULL);
	shared->n = n;
}

static void first_ones(void)
{
	while (shared->n < op->samples)
		shared->ns[shared->n++] = one(NULL);
}

static unsigned int counted_rounds(void)
{
	return (COUNTED + times() - 1) / times();
}

/* For who traces us. */
static void counted(void)
{
	unsigned int i, j;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		die("ptrace: %m");
	for (i = 0; i < counted_rounds(); i++) {
		if (table->rate)
			usleep(1000000 / table->rate);
		if (op->before)
			op->before();
		shared->counting = true;
		for (j = times(); j; j--)
			op->run();
		shared->counting = false;
		if (op->after)
			op->after();
		shared->done += times();
	}
}

/* All at once, with receivers of its own if they are at this host. */
static void inside_all(void)
{
	unsigned int i, len = 0, n = wanted_inside(), own = call->hosts ? 0 : call->sinks;
	struct inside r = { 0 };
	uint64_t others = cpu_of_others();
	char to[2048] = "";

	for (i = 0; call->hosts && i < call->sinks; i++)
		len += snprintf(to + len, sizeof(to) - len, "%s%s:%u", i ? "," : " to=", line_address(ops_host(call, i)), submit_port(i));
	inside_run(&r, "%s channel=%s events=%u size=%u sinks=%u period_us=%u%s", op->module, channel, n, entry->bytes, own,
		   table->rate ? 1000000 / table->rate : 0, to);
	if (r.handled != (uint64_t)n * (call->filter && own ? call->passed : own))
		die("%s: handlers were called %llu times", entry->name, (unsigned long long)r.handled);
	shared->done = n;
	settle();
	shared->n = 2;
	shared->ns[0] = r.median;
	shared->ns[1] = r.p99;
	shared->cpu_ns = r.mean;
	shared->others_ns = (cpu_of_others() - others) / n;
}

static void act(unsigned int unused)
{
	(void)unused;
	cpu_allow(getpid(), &place->helpers);
	if (place->hosts)
		line_enter(0);
	prctl(PR_SET_TIMERSLACK, 1);
	if (op->open)
		op->open(entry);
	cpu_pin(place->sender);
	/* Other hosts' work would come in between, as it does not where they have CPUs of their own. */
	if (table->kind == &submission_cost && place->hosts && place->sender == place->receiver)
		cpu_go_first();
	if (op->module && !op->before && !op->after) {
		inside_all();
		return;
	}
	if (!op->samples)
		/* It makes what is made once. */
		one(NULL);
	if (op->samples)
		first_ones();
	else if (table->rate)
		steady();
	else
		flat_out();
	if (!op->module)
		counted();
	settle();
}

/* --- in our process --- */

static void be_sink(unsigned int i)
{
	cpu_pin(place->receiver);
	if (call->hosts)
		line_enter(ops_host(call, i));
	op->sink(entry, i);
}

static pid_t spawn(void (*run)(unsigned int i), unsigned int i)
{
	pid_t pid = process_start(SIGKILL);

	if (pid)
		return pid;
	alarm(table->ms / 1000 + SLACK_S);
	run(i);
	_exit(EXIT_SUCCESS);
}

static void stop(void)
{
	unsigned int i;

	if (getpid() != owner || !*all)
		return;
	process_kill(&actor);
	for (i = 0; i < SINKS_MAX; i++)
		process_kill(&sinks[i]);
	for (i = 0; i < (place->hosts ? place->hosts : 1); i++)
		leave_all(node_at(i));
	*all = '\0';
}

/* False: it has ended. */
static bool stopped(int *status)
{
	if (interrupted || waitpid(actor, status, 0) < 0)
		die("interrupted");
	return WIFSTOPPED(*status);
}

/* Until it ends: its system calls while they count. */
static unsigned int trace(void)
{
	unsigned int calls = 0;
	int status, signo;
	cpu_set_t before;

	/* Each system call is a word between it and us, which between two CPUs takes long. */
	if (sched_getaffinity(0, sizeof(before), &before))
		die("sched_getaffinity: %m");
	cpu_pin(place->sender);
	while (stopped(&status)) {
		struct __ptrace_syscall_info info;

		signo = WSTOPSIG(status);
		if (signo == SIGSTOP) {
			ptrace(PTRACE_SETOPTIONS, actor, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
			signo = 0;
		} else if (signo == (SIGTRAP | 0x80)) {
			if (ptrace(PTRACE_GET_SYSCALL_INFO, actor, sizeof(info), &info) < 0)
				die("ptrace: %m");
			calls += shared->counting && info.op == PTRACE_SYSCALL_INFO_ENTRY;
			signo = 0;
		}
		ptrace(PTRACE_SYSCALL, actor, NULL, signo);
	}
	sched_setaffinity(0, sizeof(before), &before);
	actor = 0;
	if (status)
		die("%s, %s: no result", entry->name, place->name);
	return calls;
}

static void start(void)
{
	static unsigned int n;
	unsigned int i;

	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (shared == MAP_FAILED)
			die("mmap: %m");
		owner = getpid();
		atexit(stop);
	}
	memset(shared, 0, sizeof(*shared));
	snprintf(all, sizeof(all), "calls-%d-%u.", owner, n++);
	ops_next();
	channel_joined = false;
	if (op->prepare)
		op->prepare(entry);
	node_allow(&place->helpers);
	if (place->hosts)
		node_pin(place->sender, place->receiver);
	for (i = 0; op->sink && (!op->module || call->hosts) && i < call->sinks; i++)
		sinks[i] = spawn(be_sink, i);
	if (channel_joined && sinks[0])
		ops_wait_sinks(0, call->sinks, call->filter ? call->hosts ? call->hosts : call->sinks : 0);
	for (i = 0; !channel_joined && sinks[0] && shared->ready < call->sinks; i++) {
		if (i == TRIES)
			die("%s: not all receivers are ready", entry->name);
		usleep(TRY_US);
	}
}

void ops_cost(const struct table *t, const struct entry *e, const struct place *p, struct cost *cost)
{
	unsigned int calls;

	table = t;
	entry = e;
	place = p;
	call = e->variant;
	op = call->op;
	start();
	actor = spawn(act, 0);
	calls = trace();
	*cost = (struct cost) {
		.median = percentile(shared->ns, shared->n, 50), .p99 = percentile(shared->ns, shared->n, 99),
		.calls = (double)calls / counted_rounds() / times(), .cpu = shared->cpu_ns, .sinks_cpu = shared->others_ns,
		.filter = call->filter ? filter_mean() : 0,
	};
	stop();
}

const char *ops_lacks(const struct entry *e)
{
	const struct call *c = e->variant;

	if (c->op->module && !inside_there())
		return node_is_kernel() ? "the module kecho_bench is not there" : "the node is not in the kernel";
	return c->filter && geteuid() ? "a filter takes root" : NULL;
}

static void call_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	struct cost cost;

	ops_cost(t, e, p, &cost);
	figures[0] = cost.median;
	figures[1] = cost.p99;
	figures[2] = cost.calls;
	figures[3] = cost.cpu;
}

const struct kind call_cost = {
	.figures = { { "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99th percentile, us", 1e-3 }, { "calls", "system calls", 1 } },
	.nfigures = 3,
	.run = call_run,
	.lacks = ops_lacks,
};

const struct kind submission_cost = {
	.figures = {
		{ "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99th percentile, us", 1e-3 }, { "calls", "system calls", 1 },
		{ "cpu_ns", "CPU us of the publisher and its node", 1e-3 },
	},
	.nfigures = 4,
	.run = call_run,
	.lacks = ops_lacks,
};
