// SPDX-License-Identifier: GPL-2.0
/* Delivery between two hosts: from the arrival at the socket to the handler, and from end to end. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/kecho.h>

/* --- there and back: to the other host by one type of the channel's events, and back by another --- */

#define THERE	"there"
#define BACK	"back"

static char data[BYTES_MAX];
static size_t bytes;
static int in, out;
static struct kecho *kecho;
static struct kecho_sub *sub;

static void types_prepare(const struct entry *e)
{
	unsigned int host;

	ops_join(e);
	for (host = 0; host < 2; host++)
		if (mkdir(ops_path(host, THERE), 0777) || mkdir(ops_path(host, BACK), 0777))
			die("mkdir: %m");
}

static int open_events(unsigned int host, const char *type, int flags)
{
	int fd = open(ops_path(host, type), flags | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		die("events: %m");
	return fd;
}

/* False: the other end has ended. */
static bool read_all(void)
{
	size_t have = 0;
	ssize_t n;

	for (; have < bytes; have += n) {
		n = read(in, data + have, bytes - have);
		if (n < 0)
			die("read: %m");
		if (!n)
			return false;
	}
	return true;
}

static void write_all(void)
{
	if (write(out, data, bytes) != (ssize_t)bytes)
		die("write: %m");
}

/* Both ends are known at the other one. */
static void files_open(const struct entry *e)
{
	bytes = e->bytes;
	in = open_events(0, BACK "/events", O_RDONLY);
	out = open_events(0, THERE "/events", O_WRONLY);
	ops_wait_sinks(1, 2, 0);
}

static void fd_there_and_back(void)
{
	write_all();
	if (!read_all())
		die("no answer");
}

static void fd_answer(unsigned int i)
{
	while (read_all()) {
		ops_received(i, 1);
		write_all();
	}
}

static void files_answer(const struct entry *e, unsigned int i)
{
	bytes = e->bytes;
	in = open_events(1, THERE "/events", O_RDONLY);
	out = open_events(1, BACK "/events", O_WRONLY);
	fd_answer(i);
}

static void tcp_open(const struct entry *e)
{
	bytes = e->bytes;
	in = out = submit_connect(e, 0);
}

static void tcp_answer(const struct entry *e, unsigned int i)
{
	bytes = e->bytes;
	in = out = submit_accept(e, i);
	fd_answer(i);
}

static void kecho_start(const struct entry *e, unsigned int host, const char *type)
{
	struct kecho_options options = { .dir = node_at(host) };

	bytes = e->bytes;
	kecho = kecho_open_with(ops_channel(), 0, &options);
	check(kecho_error(kecho));
	sub = kecho_subscribe(kecho, type, NULL, NULL);
	check(kecho_error(sub));
}

static void kecho_send(const char *type)
{
	struct kecho_event event = { .type = type, .type_len = strlen(type), .data = data, .len = bytes };

	check(kecho_publish(kecho, &event, 0));
}

static void kecho_receive(void)
{
	struct kecho_event event;

	check(kecho_poll(sub, &event, -1));
	kecho_event_put(sub, &event);
}

static void kecho_open_end(const struct entry *e)
{
	struct kecho_event event;

	kecho_start(e, 0, BACK);
	check(kecho_poll(sub, &event, 0));
	if (!strcmp(kecho_sub_via(sub), "file"))
		die("the node at %s offers no rings", node_at(0));
	ops_wait_sinks(1, 2, 0);
}

static void kecho_there_and_back(void)
{
	kecho_send(THERE);
	kecho_receive();
}

static void kecho_answer(const struct entry *e, unsigned int i)
{
	kecho_start(e, 1, THERE);
	for (;;) {
		kecho_receive();
		ops_received(i, 1);
		kecho_send(BACK);
	}
}

static const struct operation back_files = {
	.prepare = types_prepare, .open = files_open, .run = fd_there_and_back, .sink = files_answer,
};
static const struct operation back_kecho = {
	.prepare = types_prepare, .open = kecho_open_end, .run = kecho_there_and_back, .sink = kecho_answer,
};
static const struct operation back_tcp = { .open = tcp_open, .run = fd_there_and_back, .sink = tcp_answer };

static void half_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	struct cost cost;

	ops_cost(t, e, p, &cost);
	figures[0] = cost.median / 2;
	figures[1] = cost.p99 / 2;
}

static const struct kind half = {
	.figures = { { "half_p50_ns", "half of the median, us", 1e-3 }, { "half_p99_ns", "half of the 99th percentile, us", 1e-3 } },
	.nfigures = 2,
	.run = half_run,
};

/* --- from the arrival at the socket to the handler of the link, as the kernel's node counts it: by powers of two --- */

#define BUCKETS	32

struct arrivals {
	uint64_t all, by[BUCKETS];
};

/* At the host of the receiver. */
static struct arrivals arrivals(void)
{
	struct arrivals a = { 0 };
	unsigned long long ns, n;
	char path[4096], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/.node/stats", node_at(1));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "nwmon_arrivals=%llu", &n) == 1)
			a.all = n;
		else if (sscanf(line, "nwmon_ns_%llu=%llu", &ns, &n) == 2 && ns)
			a.by[63 - __builtin_clzll(ns)] = n;
	}
	if (!f)
		die("%s: %m", path);
	fclose(f);
	return a;
}

/* As if those in one bucket lay evenly in it. */
static double percentile(const struct arrivals *from, const struct arrivals *to, double percent)
{
	double rank = (to->all - from->all) * percent / 100, n;
	int i;

	for (i = 0; i < BUCKETS; i++) {
		n = to->by[i] - from->by[i];
		if (n && n >= rank)
			return (double)(1ull << i) * (1 + rank / n);
		rank -= n;
	}
	die("nothing has arrived");
}

static void arrival_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	struct arrivals from = arrivals(), to;
	struct cost cost;

	ops_cost(t, e, p, &cost);
	to = arrivals();
	figures[0] = percentile(&from, &to, 50);
	figures[1] = percentile(&from, &to, 99);
	figures[2] = to.all - from.all;
}

static const char *arrival_lacks(const struct entry *e)
{
	(void)e;
	return node_is_kernel() ? NULL : "the daemon does not see it";
}

static const struct kind arrival = {
	.figures = {
		{ "p50_ns", "median, us", 1e-3 }, { "p99_ns", "99th percentile, us", 1e-3 }, { "arrivals", "arrivals", 1 },
	},
	.nfigures = 3,
	.run = arrival_run,
	.lacks = arrival_lacks,
};

/* --- the tables --- */

static const struct kecho_variant rings = { .transport = "tcp" }, files = { .transport = "tcp", .via = "file" };

#define RINGS		"libkecho"
#define FILES		"the files, O_DIRECT"
#define EVENT		.bytes = 100
#define ONE		.sinks = 1, .hosts = 1

static const struct entry arrival_entries[] = {
	ENTRY("one subscriber", NULL, OP(submit_files, ONE), "nwmon_ns_* in .node/stats of the receiver", EVENT),
	ENTRY("eight subscribers", NULL, OP(submit_files, .sinks = 8, .hosts = 1), "the same", EVENT),
};

static const struct entry half_entries[] = {
	ENTRY("files", NULL, OP(back_files, ONE), FILES, EVENT),
	ENTRY("libkecho", NULL, OP(back_kecho, ONE), RINGS, EVENT),
	ENTRY("TCP", NULL, OP(back_tcp, ONE), "write(2) and read(2), TCP_NODELAY", EVENT, .base = true),
};

static const struct entry way_entries[] = {
	ENTRY("files", &kecho_subject, &files, "the files, framed"),
	ENTRY("libkecho", &kecho_subject, &rings, RINGS),
	ENTRY("TCP", &tcp_subject, NULL, "write(2) and read(2), TCP_NODELAY", .base = true),
};

static const struct table tables[] = {
	{
		.name = "arrival", .title = "From the arrival at the socket to its handler: events of 100 bytes",
		.kind = &arrival, .ms = 200, .rate = 1000, .places = { [NETWORK] = true }, ENTRIES(arrival_entries),
	},
	{
		.name = "half", .title = "Half of the way there and back between two hosts: events of 100 bytes",
		.kind = &half, .ms = 200, .rate = 1000, .places = { [NETWORK] = true, [RACK] = true }, ENTRIES(half_entries),
	},
	{
		.name = "one-way", .title = "Latency from end to end between two hosts: 64-byte events, 200 a second, the subscriber sleeps",
		.kind = &latency, .ms = 700, .rate = 200, .receiver = SLEEPS, .places = { [CABLE] = true }, ENTRIES(way_entries),
	},
};

const struct part delivery_part = {
	"delivery", "Delivery between two hosts: from the socket to the handler, and from end to end beside TCP", tables,
	ARRAY_SIZE(tables),
};
