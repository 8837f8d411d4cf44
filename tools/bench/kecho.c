// SPDX-License-Identifier: GPL-2.0
/* KECho, by libkecho; and by its files alone. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <kecho/kecho.h>

#define RING		(256 << 10)	/* if nothing else is said */
/* Events of what else goes by the link. */
#define BULK_BYTES	16384
/* Files that were closed are let go of a little later. */
#define LEAVE_TRIES	200
#define LEAVE_US	5000
#define THERE_TRIES	2000
/* A ring takes events of a quarter of it; with room for eight the node takes one while others are written. */
#define FIT		8

static char channel[64], bulk_channel[64];
static size_t bytes, ring;
static const struct kecho_variant *variant;
static struct kecho *kecho;
static struct kecho_sub *sub;
static struct kecho_event event;
static int timeout;

static void check(int err)
{
	if (err < 0)
		die("kecho: %s", strerror(-err));
}

static void open_channel(const char *name, enum end end, unsigned int flags)
{
	struct kecho_options options = {
		.dir = node_dir(end), .via = variant->via, .idle_us = variant->idle_us, .publish_size = ring, .receive_size = ring,
	};

	kecho = kecho_open_with(name, flags, &options);
	check(kecho_error(kecho));
}

/* On which nothing is lost, unless the entry says so. */
static void create(const char *name, enum end end, bool lossy)
{
	open_channel(name, end, KECHO_CREATE);
	if (!lossy)
		check(kecho_attr_set(kecho, "kecho.overflow=block"));
	kecho_close(kecho);
}

static void create_all(const struct entry *e, enum end end)
{
	create(channel, end, e->lossy);
	if (e->bulk)
		create(bulk_channel, end, false);
}

/* New channels for each trial. */
static void prepare(const struct entry *e)
{
	static unsigned int n;

	snprintf(channel, sizeof(channel), "bench-%d-%u", getpid(), n);
	snprintf(bulk_channel, sizeof(bulk_channel), "bulk-%d-%u", getpid(), n++);
	variant = e->variant;
	bytes = e->bytes;
	ring = variant->fit && bytes * FIT > RING ? bytes * FIT : 0;
	if (variant->transport)
		node_pair(variant->transport);
	create_all(e, SENDS);
	if (variant->transport)
		create_all(e, SLEEPS);
}

/* So that what is measured is what the entry says. */
static void check_way(const char *via, enum end end)
{
	if (!variant->via && !strcmp(via, "file"))
		die("the node at %s offers no rings", node_dir(end));
}

/* The other node's line in members, once it has a subscriber and the link is what the entry says. */
static bool there(const char *name)
{
	char path[PATH_MAX], line[1024], via[32];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/members", node_dir(SENDS), name);
	snprintf(via, sizeof(via), "\tvia=%s", variant->transport);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, "\tsinks=1") && strstr(line, via);
	if (f)
		fclose(f);
	return found;
}

static void wait_there(const char *name)
{
	int i;

	for (i = 0; !there(name); i++) {
		if (i == THERE_TRIES)
			die("kecho: no subscriber behind a link by %s", variant->transport);
		usleep(LEAVE_US);
	}
}

/* At the end's host. */
static void enter(const char *name, enum end end)
{
	if (variant->transport)
		line_enter(end == SENDS ? 0 : 1);
	open_channel(name, end, 0);
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)e;
	(void)nth;
	enter(channel, end);
	if (end == SENDS) {
		if (variant->transport)
			wait_there(channel);
		return;
	}
	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	/* The first call attaches the rings. */
	check(kecho_poll(sub, &event, 0));
	check_way(kecho_sub_via(sub), end);
	if (variant->boost)
		check(kecho_sub_boost(sub, variant->boost, variant->nice, variant->max_us));
	timeout = end == SPINS ? 0 : -1;
}

static void send(const struct payload *p, bool more)
{
	struct kecho_event ev = { .data = p, .len = bytes, .prio = variant->prio };

	check(kecho_publish(kecho, &ev, more ? KECHO_MORE : 0));
}

static void work(void)
{
	uint64_t until;

	/* That clock takes a system call. */
	if (!variant->work_us)
		return;
	until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + variant->work_us * 1000ull;
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

static const struct payload *receive(void)
{
	int n;

	if (event.msg) {
		work();
		kecho_event_put(sub, &event);
	}
	n = kecho_poll(sub, &event, timeout);
	check(n);
	return n ? event.data : NULL;
}

static void finish(void)
{
	check_way(kecho_via(kecho), SENDS);
	kecho_close(kecho);
}

static _Noreturn void bulk(enum end end)
{
	static const char filler[BULK_BYTES];
	struct kecho_event ev = { .data = filler, .len = sizeof(filler) };

	enter(bulk_channel, end);
	if (end == SENDS) {
		wait_there(bulk_channel);
		for (;;)
			check(kecho_publish(kecho, &ev, 0));
	}
	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	for (timeout = -1; ; )
		receive();
}

static void tidy(void)
{
	char path[PATH_MAX];
	int i;

	if (variant->transport) {
		node_unpair();
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", node_dir(SENDS), channel);
	for (i = 0; rmdir(path) && errno == EBUSY && i < LEAVE_TRIES; i++)
		usleep(LEAVE_US);
}

/* --- an event is a packet: one write(2), one read(2) --- */

static int events;

static void files_open(const struct entry *e, enum end end, unsigned int nth)
{
	char path[PATH_MAX];

	(void)nth;
	snprintf(path, sizeof(path), "%s/%s/events", node_dir(end), channel);
	events = open(path, O_DIRECT | O_CLOEXEC | (end == SENDS ? O_WRONLY : O_RDONLY) | (end == SPINS ? O_NONBLOCK : 0));
	if (events < 0)
		die("%s: %m", path);
	fd_open(e, e->bytes);
}

static void files_send(const struct payload *p, bool more)
{
	(void)more;
	fd_send(&events, 1, p, false);
}

static const struct payload *files_receive(void)
{
	return fd_receive(events);
}

static void files_prepare(const struct entry *e)
{
	static const struct kecho_variant none;
	struct entry as_it_is = *e;

	as_it_is.variant = &none;
	prepare(&as_it_is);
}

const struct subject files_subject = {
	.prepare = files_prepare,
	.open = files_open,
	.send = files_send,
	.receive = files_receive,
	.tidy = tidy,
};

const struct subject kecho_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.finish = finish,
	.tidy = tidy,
	.bulk = bulk,
};
