// SPDX-License-Identifier: GPL-2.0
/*
 * How cost grows with subscribers, channels and hosts. One process has all of them: it publishes an event, receives it for each
 * subscriber, one after another, and then publishes the next.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/kecho.h>

#define SINKS_MOST	10000
#define CHANNEL		"scale"
/* Of all events together so many are received, at least and at most so many events. */
#define RECEIVED	10000
#define EVENTS_LEAST	5
#define EVENTS_MOST	200
/* With fewer of them the memory is that of something else. */
#define MEMORY_LEAST	100
/* Files besides, of ours and of a node that serves rings. */
#define FILES_SPARE	128
#define RING		4096
/* What has to come about: looks for it, and between them. */
#define TRIES		20000
#define TRY_US		500

/**
 * struct way - how subscribers receive
 * @open: number @i; false, and errno: no more can be
 */
struct way {
	bool (*open)(unsigned int i);
	void (*receive)(unsigned int i);
	void (*close)(unsigned int i);
};

static char data[BYTES];
static struct kecho *kecho;
static struct {
	int fd;
	struct kecho_sub *sub;
} sinks[SINKS_MOST];
static unsigned int (*host_of)(unsigned int i);	/* where a sink is */

static const char *path_of(unsigned int host, const char *channel, const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/%s", node_at(host), channel, file);
	return path;
}

static unsigned int here(unsigned int i)
{
	(void)i;
	return 0;
}

static unsigned int one_each(unsigned int i)
{
	return i + 1;
}

/* --- the ways --- */

static bool file_open(unsigned int i)
{
	sinks[i].fd = open(path_of(host_of(i), CHANNEL, "events"), O_RDONLY | O_DIRECT | O_CLOEXEC);
	return sinks[i].fd >= 0;
}

static void file_receive(unsigned int i)
{
	if (read(sinks[i].fd, data, sizeof(data)) != sizeof(data))
		die("read: %m");
}

static void file_close(unsigned int i)
{
	close(sinks[i].fd);
}

/* The first poll attaches the ring. */
static bool ring_open(unsigned int i)
{
	struct kecho_options options = { .dir = node_at(0), .publish_size = RING, .receive_size = RING };
	struct kecho_event event;
	int err;

	if (!i) {
		kecho = kecho_open_with(CHANNEL, 0, &options);
		if (!kecho)
			return false;
	}
	sinks[i].sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	err = sinks[i].sub ? kecho_poll(sinks[i].sub, &event, 0) : -errno;
	if (!err && !strcmp(kecho_sub_via(sinks[i].sub), "file"))
		err = -EMFILE;
	if (err && sinks[i].sub)
		kecho_unsubscribe(sinks[i].sub);
	if (err && !i)
		kecho_close(kecho);
	errno = -err;
	return !err;
}

static void ring_receive(unsigned int i)
{
	struct kecho_event event;

	if (kecho_poll(sinks[i].sub, &event, -1) != 1)
		die("kecho_poll: no event");
	kecho_event_put(sinks[i].sub, &event);
}

static void ring_close(unsigned int i)
{
	kecho_unsubscribe(sinks[i].sub);
	if (!i)
		kecho_close(kecho);
}

static const struct way by_files = { file_open, file_receive, file_close }, by_rings = { ring_open, ring_receive, ring_close };

/* --- what all have in common --- */

static void none(double *figures)
{
	unsigned int i;

	for (i = 0; i < FIGURES_MAX; i++)
		figures[i] = NAN;
}

static void make_channel(unsigned int host, const char *channel)
{
	if (mkdir(path_of(host, channel, ""), 0777))
		die("%s: %m", path_of(host, channel, ""));
}

/* Files that were closed are let go of a little later. */
static void leave(unsigned int host, const char *channel)
{
	unsigned int i;

	for (i = 0; rmdir(path_of(host, channel, "")) && errno == EBUSY && i < TRIES; i++)
		usleep(TRY_US);
}

/* How many there are: @n, or less, with a message. */
static unsigned int open_sinks(const struct way *way, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!way->open(i)) {
			warning("only %u of %u subscribers can be: %m", i, n);
			break;
		}
	}
	return i;
}

static void close_sinks(const struct way *way, unsigned int n)
{
	while (n)
		way->close(--n);
}

/* What a write(2) takes, and from its beginning until all have received it. */
static void publish(const struct way *way, unsigned int n, double *call, double *all)
{
	unsigned int events = RECEIVED / n, e, i;
	double calls[EVENTS_MOST], alls[EVENTS_MOST];
	int out = open(path_of(0, CHANNEL, "events"), O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t began;

	events = events < EVENTS_LEAST ? EVENTS_LEAST : events > EVENTS_MOST ? EVENTS_MOST : events;
	for (e = 0; e < events; e++) {
		began = now();
		if (out < 0 || write(out, data, sizeof(data)) != sizeof(data))
			die("events: %m");
		calls[e] = now() - began;
		for (i = 0; i < n; i++)
			way->receive(i);
		alls[e] = now() - began;
		if (interrupted)
			die("interrupted");
	}
	close(out);
	*call = stats_summary(calls, events).median;
	*all = stats_summary(alls, events).median;
}

/* @run: on the publisher's CPU. */
static void pinned(const struct place *p, void (*run)(const struct entry *e, double *figures), const struct entry *e, double *figures)
{
	cpu_set_t before;

	if (sched_getaffinity(0, sizeof(before), &before))
		die("sched_getaffinity: %m");
	node_allow(&p->helpers);
	cpu_pin(p->sender);
	run(e, figures);
	sched_setaffinity(0, sizeof(before), &before);
}

static double each(double before, unsigned int host, unsigned int n)
{
	return n < MEMORY_LEAST ? NAN : (node_memory(host) - before) / n;
}

/* --- subscribers of a host --- */

/* What there is at most only root can change. */
static void allow_files(void)
{
	struct rlimit files, most;

	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= SINKS_MOST + FILES_SPARE)
		return;
	most = (struct rlimit){ files.rlim_max, files.rlim_max };
	if (most.rlim_max < SINKS_MOST + FILES_SPARE)
		most.rlim_cur = most.rlim_max = SINKS_MOST + FILES_SPARE;
	if (setrlimit(RLIMIT_NOFILE, &most)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void sinks_figures(const struct entry *e, double *figures)
{
	const struct way *way = e->variant;
	unsigned int n = e->subscribers, there;
	double memory;
	uint64_t began;

	host_of = here;
	make_channel(0, CHANNEL);
	memory = node_memory(0);
	began = now();
	there = open_sinks(way, n);
	if (there == n) {
		figures[0] = (double)(now() - began) / n;
		publish(way, n, &figures[1], &figures[2]);
		figures[3] = figures[1] / n;
		figures[4] = figures[2] / n;
		figures[5] = each(memory, 0, n);
	}
	close_sinks(way, there);
	leave(0, CHANNEL);
}

static void sinks_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	(void)t;
	none(figures);
	allow_files();
	node_alone();
	pinned(p, sinks_figures, e, figures);
	node_unpair();
}

static const struct kind sinks_kind = {
	.figures = {
		{ "open_ns", "subscribing, us", 1e-3 }, { "publish_ns", "publishing, us", 1e-3 },
		{ "all_ns", "until all have it, us", 1e-3 }, { "publish_ns_each", "publishing, ns a subscriber", 1 },
		{ "all_ns_each", "until all have it, ns a subscriber", 1 }, { "bytes_each", "bytes of the node, each", 1 },
	},
	.nfigures = 6,
	.run = sinks_run,
};

/* --- channels of a host --- */

static const char *name_of(unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), CHANNEL "%u", i);
	return name;
}

/* One more is the channel that is measured, with a subscriber. */
static void channels_figures(const struct entry *e, double *figures)
{
	double memory = node_memory(0);
	unsigned int i, n = e->channels;
	uint64_t began;

	host_of = here;
	began = now();
	for (i = 0; i < n; i++)
		make_channel(0, name_of(i));
	figures[0] = (double)(now() - began) / n;
	figures[4] = each(memory, 0, n);
	make_channel(0, CHANNEL);
	if (open_sinks(&by_files, 1)) {
		publish(&by_files, 1, &figures[2], &figures[3]);
		close_sinks(&by_files, 1);
	}
	leave(0, CHANNEL);
	began = now();
	for (i = 0; i < n; i++)
		leave(0, name_of(i));
	figures[1] = (double)(now() - began) / n;
}

static void channels_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	(void)t;
	none(figures);
	node_alone();
	pinned(p, channels_figures, e, figures);
	node_unpair();
}

static const struct kind channels_kind = {
	.figures = {
		{ "create_ns", "creating, us", 1e-3 }, { "leave_ns", "leaving, us", 1e-3 }, { "publish_ns", "publishing, us", 1e-3 },
		{ "all_ns", "until it is received, us", 1e-3 }, { "bytes_each", "bytes of the node, each", 1 },
	},
	.nfigures = 5,
	.run = channels_run,
};

/* --- hosts: the first one is the last to join --- */

/* As a host's node knows them. */
static unsigned int known(unsigned int host, unsigned int *subscribers)
{
	FILE *f = fopen(path_of(host, CHANNEL, "members"), "re");
	unsigned int members = 0, n;
	char line[1024], *at;

	*subscribers = 0;
	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "\tsinks=");
		if (strncmp(line, "id=", 3) || !at || sscanf(at, "\tsinks=%u", &n) != 1)
			continue;
		members++;
		*subscribers += n;
	}
	if (f)
		fclose(f);
	return members;
}

static void wait_known(unsigned int host, unsigned int members, unsigned int subscribers)
{
	unsigned int i, n;

	for (i = 0; known(host, &n) != members || n != subscribers; i++) {
		if (i == TRIES || interrupted)
			die("not all members are known at host %u", host);
		usleep(TRY_US);
	}
}

static void sent(unsigned int hosts, uint64_t *packets, uint64_t *bytes)
{
	*packets = *bytes = 0;
	while (hosts)
		line_sent(--hosts, packets, bytes);
}

static void hosts_figures(const struct entry *e, double *figures)
{
	unsigned int n = e->hosts, i, there;
	uint64_t packets[2], bytes[2], began;
	double memory;

	for (i = 1; i < n; i++)
		make_channel(i, CHANNEL);
	for (i = 1; i < n; i++)
		wait_known(i, n - 1, 0);
	memory = node_memory(0);
	sent(n, &packets[0], &bytes[0]);
	began = now();
	make_channel(0, CHANNEL);
	figures[0] = now() - began;
	for (i = 0; i < n; i++)
		wait_known(i, n, 0);
	figures[1] = now() - began;
	sent(n, &packets[1], &bytes[1]);
	figures[2] = packets[1] - packets[0];
	figures[3] = bytes[1] - bytes[0];
	figures[4] = (node_memory(0) - memory) / (n - 1);
	host_of = one_each;
	there = open_sinks(&by_files, n - 1);
	if (there == n - 1) {
		wait_known(0, n, n - 1);
		publish(&by_files, n - 1, &figures[5], &figures[6]);
	}
	close_sinks(&by_files, there);
}

static void hosts_run(const struct table *t, const struct entry *e, const struct place *p, double *figures)
{
	(void)t;
	none(figures);
	if (line_up("", e->hosts)) {
		node_cluster(e->hosts);
		pinned(p, hosts_figures, e, figures);
		node_unpair();
	}
	line_down();
}

static const char *hosts_lacks(const struct entry *e)
{
	(void)e;
	return geteuid() ? "it takes root" : NULL;
}

static const struct kind hosts_kind = {
	.figures = {
		{ "join_ns", "joining, ms", 1e-6 }, { "known_ns", "until all know, ms", 1e-6 }, { "packets", "packets until then", 1 },
		{ "bytes", "bytes until then", 1 }, { "bytes_each", "bytes of the node, each member", 1 },
		{ "publish_ns", "publishing, us", 1e-3 }, { "all_ns", "until all have it, us", 1e-3 },
	},
	.nfigures = 7,
	.run = hosts_run,
	.lacks = hosts_lacks,
};

/* --- the tables --- */

#define CUT		"where there is no number, so many are more than the machine allows (RLIMIT_NOFILE)"

static const unsigned int ten_thousand[] = { 1, 10, 100, 1000, 10000 }, all_hosts[] = { 2, 4, 8, 16, 32, 64 };

static const struct entry sinks_entries[] = {
	ENTRY("files", NULL, &by_files, "an open events file each, read(2), O_DIRECT; " CUT),
	ENTRY("rings", NULL, &by_rings, "kecho_subscribe() each, with 4 KiB; published by write(2); at most 1000", .most = 1000),
};

static const struct entry channels_entries[] = {
	ENTRY("files", NULL, NULL, "mkdir(2) each; write(2) and read(2) on one more"),
};

static const struct entry hosts_entries[] = {
	ENTRY("files", NULL, NULL, "mkdir(2) on the last host; a subscriber on each other one, read(2), O_DIRECT; published by write(2)"),
};

#define GROWS(its_axis, v) .places = { [ALONE] = true }, .axis = its_axis, .values = v, .nvalues = ARRAY_SIZE(v)

static const struct table tables[] = {
	{
		.name = "sinks", .title = "Subscribers on a host, 64-byte events",
		.kind = &sinks_kind, .ratio = 1, ENTRIES(sinks_entries), GROWS(AXIS_SUBSCRIBERS, ten_thousand),
	},
	{
		.name = "channels", .title = "Channels of a host, 64-byte events",
		.kind = &channels_kind, .ratio = 2, ENTRIES(channels_entries), GROWS(AXIS_CHANNELS, ten_thousand),
	},
	{
		.name = "hosts", .title = "Hosts, 64-byte events",
		.kind = &hosts_kind, .ratio = 5, ENTRIES(hosts_entries), GROWS(AXIS_HOSTS, all_hosts),
	},
};

const struct part scale_part = {
	"scale", "How cost grows: with subscribers and channels of a host, and with hosts", tables, ARRAY_SIZE(tables),
};
