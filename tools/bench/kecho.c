// SPDX-License-Identifier: GPL-2.0
/* KECho, by libkecho. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <kecho/kecho.h>

#define FLUSH_MS	10000
/* Files that were closed are let go of a little later. */
#define LEAVE_TRIES	200
#define LEAVE_US	5000

static char channel[64];
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

static void open_channel(unsigned int flags)
{
	struct kecho_options options = { .dir = node_dir(), .via = variant->via, .idle_us = variant->idle_us };

	kecho = kecho_open_with(channel, flags, &options);
	check(kecho_error(kecho));
}

/* A new channel for each trial, on which nothing is lost. */
static void prepare(const struct entry *e)
{
	static unsigned int n;

	snprintf(channel, sizeof(channel), "bench-%d-%u", getpid(), n++);
	variant = e->variant;
	open_channel(KECHO_CREATE);
	check(kecho_attr_set(kecho, "kecho.overflow=block"));
	kecho_close(kecho);
}

/* So that what is measured is what the entry says. */
static void check_way(const char *via)
{
	if (!variant->via && !strcmp(via, "file"))
		die("the node at %s offers no rings", node_dir());
}

static void open_end(const struct entry *e, enum end end)
{
	(void)e;
	open_channel(0);
	if (end == SENDS)
		return;
	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	/* The first call attaches the rings. */
	check(kecho_poll(sub, &event, 0));
	check_way(kecho_sub_via(sub));
	if (variant->boost)
		check(kecho_sub_boost(sub, variant->boost, variant->nice, variant->max_us));
	timeout = end == SPINS ? 0 : -1;
}

static void send(const struct payload *p, bool more)
{
	struct kecho_event ev = { .data = p, .len = sizeof(*p) };

	check(kecho_publish(kecho, &ev, more ? KECHO_MORE : 0));
}

static const struct payload *receive(void)
{
	int n;

	if (event.msg)
		kecho_event_put(sub, &event);
	n = kecho_poll(sub, &event, timeout);
	check(n);
	return n ? event.data : NULL;
}

static void finish(void)
{
	check(kecho_flush(kecho, FLUSH_MS));
	check_way(kecho_via(kecho));
	kecho_close(kecho);
}

static void tidy(void)
{
	char path[PATH_MAX];
	int i;

	snprintf(path, sizeof(path), "%s/%s", node_dir(), channel);
	for (i = 0; rmdir(path) && errno == EBUSY && i < LEAVE_TRIES; i++)
		usleep(LEAVE_US);
}

const struct subject kecho_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.finish = finish,
	.tidy = tidy,
};
