// SPDX-License-Identifier: GPL-2.0
/* Where processes run, and how long. */
#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

static struct place places[WHERES] = {
	[ONE_CPU] = { .name = "one CPU" },
	[TWO_CPUS] = { .name = "two CPUs" },
	[HOGGED] = { .name = "hog", .hog = true },
	[CABLE] = { .name = "cable", .line = "", .hosts = 2 },
	[LOSSY] = { .name = "lossy line", .line = "delay 10ms loss 1%", .hosts = 2 },
	[SLOW] = { .name = "slow line", .line = "delay 10ms rate 10mbit", .hosts = 2 },
	[NETWORK] = { .name = "network", .line = "", .hosts = 10 },
	[RACK] = { .name = "rack", .line = "delay 20us", .hosts = 3 },
	[ALONE] = { .name = "one process" },
	[APART] = { .name = "node apart" },
	[WEB] = { .name = "web", .line = "", .hosts = 10 },
};
static bool two;

/* Two CPUs that we may use, or one twice. */
static bool choose(const char *list, const cpu_set_t *allowed, int *a, int *b)
{
	char rest;
	int i;

	*a = *b = -1;
	if (list)
		return sscanf(list, "%d,%d%c", a, b, &rest) == 2 && *a >= 0 && *b >= 0 && *a < CPU_SETSIZE && *b < CPU_SETSIZE &&
		       CPU_ISSET(*a, allowed) && CPU_ISSET(*b, allowed);
	for (i = 0; i < CPU_SETSIZE && *b < 0; i++)
		if (CPU_ISSET(i, allowed))
			*(*a < 0 ? a : b) = i;
	if (*b < 0)
		*b = *a;
	return true;
}

bool cpu_init(const char *list)
{
	cpu_set_t allowed;
	int a, b, i;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity: %m");
	if (!choose(list, &allowed, &a, &b))
		return false;
	two = a != b;
	for (i = 0; i < WHERES; i++) {
		places[i].sender = a;
		places[i].receiver = b;
		places[i].helpers = allowed;
		if (places[i].line)
			snprintf(places[i].title, sizeof(places[i].title), "Two network namespaces with a virtual cable%s%s. Publisher on "
				 "CPU %d, subscriber on CPU %d, the nodes on any.", *places[i].line ? ", both ways with " : "",
				 places[i].line, a, b);
	}
	places[ONE_CPU].receiver = a;
	CPU_ZERO(&places[ONE_CPU].helpers);
	CPU_SET(a, &places[ONE_CPU].helpers);
	CPU_ZERO(&places[APART].helpers);
	CPU_SET(b, &places[APART].helpers);
	if (two)
		CPU_CLR(b, &places[HOGGED].helpers);
	for (i = NETWORK; i <= RACK; i++)
		snprintf(places[i].title, sizeof(places[i].title), "%u network namespaces with a switch, a node in each%s%s. Publisher and "
			 "its node on CPU %d, subscribers and the other nodes on CPU %d%s.", places[i].hosts,
			 *places[i].line ? ", and lines with " : "", places[i].line, a, b,
			 two ? "" : "; who submits goes before them (SCHED_FIFO)");
	snprintf(places[WEB].title, sizeof(places[0].title), "%u network namespaces with a switch, a node in each: eight have a server, one the "
		 "clients; all on any of %d CPUs.", places[WEB].hosts, CPU_COUNT(&allowed));
	snprintf(places[ALONE].title, sizeof(places[0].title), "One process on CPU %d publishes, and then receives what each subscriber has "
		 "to; the nodes on any of %d CPUs.", a, CPU_COUNT(&allowed));
	snprintf(places[APART].title, sizeof(places[0].title), "One process on CPU %d publishes, and receives that itself; the node, and what "
		 "copies memory, on CPU %d.", a, b);
	snprintf(places[ONE_CPU].title, sizeof(places[0].title), "All on CPU %d: both ends, the node, and threads of libraries.", a);
	snprintf(places[TWO_CPUS].title, sizeof(places[0].title), "Publisher on CPU %d, subscriber on CPU %d; the node, and threads of "
		 "libraries, on any of %d CPUs, as the scheduler puts them.", a, b, CPU_COUNT(&allowed));
	if (two)
		snprintf(places[HOGGED].title, sizeof(places[0].title), "Publisher on CPU %d, subscriber on CPU %d with a process that uses "
			 "it without end; the node not on that one.", a, b);
	else
		snprintf(places[HOGGED].title, sizeof(places[0].title), "All on CPU %d, with a process that uses it without end; "
			 "the publisher goes before that (SCHED_FIFO).", a);
	return true;
}

const struct place *cpu_place(enum where w)
{
	return w == ONE_CPU || w == HOGGED || w == ALONE || two || places[w].line ? &places[w] : NULL;
}

void cpu_go_first(void)
{
	if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 2 }))
		die("a priority for the publisher: %m");
}

void cpu_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %d: %m", cpu);
}

void cpu_allow(pid_t pid, const cpu_set_t *cpus)
{
	struct dirent *thread;
	char path[32];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	if (!threads)
		die("%s: %m", path);
	while ((thread = readdir(threads)))
		if (thread->d_name[0] != '.' && sched_setaffinity(atoi(thread->d_name), sizeof(*cpus), cpus))
			die("cannot say where process %d runs: %m", pid);
	closedir(threads);
}

uint64_t cpu_used(pid_t pid)
{
	clockid_t clock;

	return pid && !clock_getcpuclockid(pid, &clock) ? clock_ns(clock) : 0;
}
