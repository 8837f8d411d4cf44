// SPDX-License-Identifier: GPL-2.0
/* Who is between clients and web servers: nobody, kecho-httpd-lb at each host, or HAProxy. */
#include "balance.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ops.h"

#define ARGS_MAX	32
/* Of a host that is to be given nothing more: what waits there takes as long as a request may wait. */
#define FULL		66
#define AGENT_PORT	"7327"

const struct balancer no_balancer = { .nodes = false };

static char channel[48], answers[64];

static const char *path_of(unsigned int host, const char *its_channel, const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", node_at(host), its_channel, file);
	return path;
}

void balance_join(const char *its_channel, unsigned int hosts)
{
	unsigned int i;

	for (i = 0; i < hosts; i++)
		if (mkdir(path_of(i, its_channel, ""), 0777))
			die("%s: %m", path_of(i, its_channel, ""));
}

void balance_leave(const char *its_channel, unsigned int hosts)
{
	unsigned int i;

	for (i = 0; i < hosts; i++)
		ops_leave(path_of(i, its_channel, ""));
}

/* --- kecho-httpd-lb --- */

static const char *kecho_lacks(void)
{
	return crew_there("kecho-httpd-lb") ? NULL : "kecho-httpd-lb has not been built";
}

static void add_filter(unsigned int host, const char *line)
{
	const char *path = path_of(host, channel, "filter");
	FILE *f = fopen(path, "we");

	if (!f || fputs(line, f) < 0 || fclose(f))
		die("%s: %m", path);
}

/* Its address, the server's, one slot as the server has; and what the variant says. */
static void start_front(unsigned int host, const char *const *options)
{
	char front[64], timeout[16];
	const char *argv[ARGS_MAX] = {
		"kecho-httpd-lb", "-c", channel, "-l", front, "-b", "127.0.0.1:" WEB_PORT, "-s", "1", "-t", timeout,
	};
	unsigned int n = 11;

	snprintf(front, sizeof(front), "%s:" FRONT_PORT, line_address(host));
	snprintf(timeout, sizeof(timeout), "%g", TIMEOUT_MS / 1e3);
	for (; *options && n < ARGS_MAX - 1; options++)
		argv[n++] = *options;
	crew_exec(host, true, argv);
}

static void kecho_start(const struct balancing *b, const struct scene *s)
{
	unsigned int i;

	snprintf(channel, sizeof(channel), "%s", server_topic());
	snprintf(answers, sizeof(answers), "%s.answers", channel);
	balance_join(channel, s->hosts);
	balance_join(answers, s->hosts);
	for (i = 0; i < s->hosts; i++) {
		if (b->filter)
			add_filter(i, b->filter);
		start_front(i, b->options);
	}
	for (i = 0; i < s->hosts; i++) {
		ops_wait_members(path_of(i, channel, "members"), s->hosts);
		ops_wait_members(path_of(i, answers, "members"), s->hosts);
	}
}

static void kecho_end(const struct scene *s)
{
	balance_leave(channel, s->hosts);
	balance_leave(answers, s->hosts);
}

const struct balancer kecho_balancer = { .lacks = kecho_lacks, .start = kecho_start, .end = kecho_end, .front = FRONT_PORT, .nodes = true };

/* --- HAProxy --- */

static const char *haproxy_lacks(void)
{
	return crew_there("haproxy") ? NULL : "it is not installed";
}

/* Who does not wait any more is not waited with. Its configuration is a file without a name. */
static void haproxy(const struct scene *s, const char *balance, const char *server)
{
	int fd = memfd_create("haproxy.cfg", 0);
	char path[64];
	const char *argv[] = { "haproxy", "-db", "-q", "-f", path, NULL };
	unsigned int i;

	if (fd < 0)
		die("configuration: %m");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	dprintf(fd, "global\n\tmaxconn 8192\ndefaults\n\tmode http\n\toption abortonclose\n\ttimeout connect 5s\n\ttimeout client %ums\n"
		"\ttimeout server %ums\nfrontend web\n\tbind :" FRONT_PORT "\n\tdefault_backend hosts\nbackend hosts\n\tbalance %s\n",
		2 * TIMEOUT_MS, 2 * TIMEOUT_MS, balance);
	for (i = 0; i < s->hosts; i++)
		dprintf(fd, "\tserver h%u %s:" WEB_PORT "%s\n", i, line_address(i), server);
	crew_exec(CLIENT, true, argv);
	close(fd);
}

static void haproxy_start(const struct balancing *b, const struct scene *s)
{
	(void)b;
	haproxy(s, "leastconn", "");
}

const struct balancer haproxy_balancer = {
	.lacks = haproxy_lacks, .start = haproxy_start, .front = FRONT_PORT, .central = true,
};

/* --- with weights by what the hosts say of their load --- */

static void agent_start(const struct balancing *b, const struct scene *s)
{
	static struct monitor monitor = { .rate = LOAD_RATE };
	char address[64], full[16], server[128];
	const char *argv[] = { "kecho", "agent-check", "-l", address, "-c", channel, "-f", full, NULL };
	unsigned int i;

	(void)b;
	snprintf(channel, sizeof(channel), "%s", server_topic());
	snprintf(full, sizeof(full), "%u", FULL);
	balance_join(channel, s->hosts);
	monitor.scene = (struct scene *)s;
	monitor.channel = channel;
	for (i = 0; i < s->hosts; i++) {
		crew_run(i, true, monitor_run, &monitor);
		snprintf(address, sizeof(address), "%s:" AGENT_PORT, line_address(i));
		crew_exec(i, true, argv);
	}
	snprintf(server, sizeof(server), " weight 100 agent-check agent-port " AGENT_PORT " agent-inter %ums", 1000 / LOAD_RATE);
	haproxy(s, "roundrobin", server);
}

static void agent_end(const struct scene *s)
{
	balance_leave(channel, s->hosts);
}

const struct balancer agent_balancer = {
	.lacks = haproxy_lacks, .start = agent_start, .end = agent_end, .front = FRONT_PORT, .central = true, .nodes = true,
};
