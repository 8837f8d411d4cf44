// SPDX-License-Identifier: GPL-2.0
/* The node: one that runs, or a kechofsd of our own; and nodes at hosts, two at the ends of a line or many. */
#include "bench.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS	10000

/**
 * struct node
 * @pid: 0: it is the kernel's
 * @ours: we have started it
 */
struct node {
	char dir[PATH_MAX - 64];
	pid_t pid;
	bool ours;
};

static struct node node, others[HOSTS_MAX];
static pid_t owner;
static cpu_set_t daemon_cpus;	/* where another's ran before we came */

const char *node_at(unsigned int host)
{
	return others[0].ours ? others[host].dir : node.dir;
}

const char *node_dir(enum end end)
{
	return node_at(end == SENDS ? 0 : 1);
}

bool node_is_kernel(void)
{
	return !node.pid;
}

void node_allow(const cpu_set_t *cpus)
{
	int i;

	if (node.pid)
		cpu_allow(node.pid, cpus);
	for (i = 0; i < HOSTS_MAX; i++)
		if (others[i].pid)
			cpu_allow(others[i].pid, cpus);
}

void node_pin(int first, int rest)
{
	cpu_set_t set;
	int i;

	for (i = 0; i < HOSTS_MAX; i++) {
		CPU_ZERO(&set);
		CPU_SET(i ? rest : first, &set);
		if (others[i].pid)
			cpu_allow(others[i].pid, &set);
	}
}

uint64_t node_used_at(unsigned int host)
{
	return cpu_used(others[0].ours ? others[host].pid : node.pid);
}

uint64_t node_used(void)
{
	uint64_t used = cpu_used(node.pid);
	int i;

	for (i = 0; i < HOSTS_MAX; i++)
		used += cpu_used(others[i].pid);
	return used;
}

double node_memory(unsigned int host)
{
	pid_t pid = others[0].ours ? others[host].pid : node.pid;
	unsigned long pages;
	char path[64];
	FILE *f;
	int n;

	if (!pid)
		return NAN;
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	n = f ? fscanf(f, "%*u %lu", &pages) : 0;
	if (n != 1)
		die("%s: %m", path);
	fclose(f);
	return (double)pages * sysconf(_SC_PAGESIZE);
}

static FILE *open_config(const struct node *n)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/.node/config", n->dir);
	return fopen(path, "re");
}

static void restore(void)
{
	if (getpid() == owner)
		cpu_allow(node.pid, &daemon_cpus);
}

static void use(const char *mount)
{
	FILE *config;
	char line[256];

	if (strlen(mount) >= sizeof(node.dir))
		die("%s: too long", mount);
	strcpy(node.dir, mount);
	config = open_config(&node);
	if (!config)
		die("no node is mounted at %s: start one with `kecho up %s`, or do without --mount", mount, mount);
	while (fgets(line, sizeof(line), config))
		sscanf(line, "pid=%d", &node.pid);
	fclose(config);
	if (!node.pid)
		return;
	if (sched_getaffinity(node.pid, sizeof(daemon_cpus), &daemon_cpus))
		die("the node at %s: %m", mount);
	atexit(restore);
}

static void stop(struct node *n)
{
	if (getpid() != owner || !n->ours)
		return;
	process_end(&n->pid);
	/* The kernel's, or what a process leaves that did not end well. */
	umount2(n->dir, MNT_DETACH);
	rmdir(n->dir);
	memset(n, 0, sizeof(*n));
}

static void stop_all(void)
{
	node_unpair();
	stop(&node);
}

/* Beside this program. */
static _Noreturn void be_daemon(const struct node *n, const char *options)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("kechofsd"));

	if (len > 0) {
		path[len] = '\0';
		strcpy(strrchr(path, '/') + 1, "kechofsd");
		execl(path, path, "-f", n->dir, options ? "-o" : NULL, options, NULL);
		warning("cannot start %s: %m", path);
	}
	_exit(EXIT_FAILURE);
}

/* @host: of the line, -1: ours */
static void start(struct node *n, int host, const char *options)
{
	uint64_t end = now() + START_MS * 1000000ull;
	FILE *config = NULL;

	make_dir(n->dir, sizeof(n->dir));
	n->pid = process_start(SIGTERM);
	if (!n->pid) {
		if (host >= 0)
			line_enter(host);
		be_daemon(n, options);
	}
	n->ours = true;
	while (!(config = open_config(n))) {
		if (waitpid(n->pid, NULL, WNOHANG) || now() > end)
			die("the node did not start");
		usleep(5000);
	}
	fclose(config);
}

/* The kernel's, as its own at @host. */
static void start_mount(struct node *n, int host, const char *options)
{
	pid_t pid;

	make_dir(n->dir, sizeof(n->dir));
	n->ours = true;
	pid = process_start(SIGKILL);
	if (!pid) {
		line_enter(host);
		if (mount("kecho", n->dir, "kechofs", 0, options))
			die("%s: %m", n->dir);
		_exit(EXIT_SUCCESS);
	}
	if (process_wait(pid))
		die("the node did not start");
}

/* @more: options besides, from a comma on */
static void start_at(unsigned int host, const char *more)
{
	char options[256];

	snprintf(options, sizeof(options), "name=bench%u,listen=%s,insecure%s", host, line_address(host), more);
	if (node_is_kernel())
		start_mount(&others[host], host, options);
	else
		start(&others[host], host, options);
}

void node_pair(const char *transport)
{
	char more[128];

	snprintf(more, sizeof(more), ",transport=%s", transport);
	start_at(0, more);
	snprintf(more, sizeof(more), ",transport=%s,peer=%s", transport, line_address(0));
	start_at(1, more);
}

void node_alone(void)
{
	if (!node_is_kernel())
		start(&others[0], -1, NULL);
}

void node_cluster(unsigned int hosts)
{
	char more[128];
	unsigned int i;

	snprintf(more, sizeof(more), ",group=%s", line_address(hosts - 1));
	/* With registry the port that group means is the default. */
	start_at(hosts - 1, ",registry");
	for (i = 0; i < hosts - 1; i++)
		start_at(i, more);
}

void node_unpair(void)
{
	int i;

	for (i = HOSTS_MAX - 1; i >= 0; i--)
		stop(&others[i]);
}

void node_start(const char *mount)
{
	owner = getpid();
	atexit(stop_all);
	if (mount)
		use(mount);
	else
		start(&node, -1, NULL);
}
