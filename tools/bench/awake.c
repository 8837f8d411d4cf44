// SPDX-License-Identifier: GPL-2.0
/* An event to oneself, by way of the node on another CPU, with nobody asleep: so that two CPUs are enough for three who spin. */
#include "ops.h"
#include "../../lib/compat/asm/processor.h"

#include <linux/kecho.h>
#include <pthread.h>
#include <stdalign.h>
#include <kecho/kecho.h>

static struct kecho *kecho;
static struct kecho_sub *sub;
static struct kecho_event event;
static char data[BYTES_MAX];
static size_t bytes;

static void open_both(const struct entry *e)
{
	struct kecho_options options = { .dir = node_at(0), .idle_us = KECHO_RING_IDLE_MAX };

	bytes = e->bytes;
	kecho = kecho_open_with(ops_channel(), 0, &options);
	check(kecho_error(kecho));
	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	/* The first call attaches the ring. */
	check(kecho_poll(sub, &event, 0));
	if (!strcmp(kecho_sub_via(sub), "file"))
		die("the node at %s offers no rings", node_at(0));
}

static void to_oneself(void)
{
	struct kecho_event out = { .data = data, .len = bytes };
	int n;

	check(kecho_publish(kecho, &out, 0));
	do {
		n = kecho_poll(sub, &event, 0);
		check(n);
	} while (!n);
}

static void put(void)
{
	kecho_event_put(sub, &event);
}

const struct operation awake_kecho = { .prepare = ops_join, .open = open_both, .run = to_oneself, .after = put };

/* --- two places in memory, which another thread copies from one to the other --- */

static alignas(128) uint64_t there;
static alignas(128) uint64_t back;

static void *copy(void *unused)
{
	uint64_t n;

	for (n = 1; ; n++) {
		while (__atomic_load_n(&there, __ATOMIC_ACQUIRE) != n)
			cpu_relax();
		__atomic_store_n(&back, n, __ATOMIC_RELEASE);
	}
	return unused;
}

static void start_copying(const struct entry *e)
{
	pthread_t thread;

	(void)e;
	if (pthread_create(&thread, NULL, copy, NULL))
		die("a thread cannot be started");
}

static void there_and_back(void)
{
	static uint64_t n;

	__atomic_store_n(&there, ++n, __ATOMIC_RELEASE);
	while (__atomic_load_n(&back, __ATOMIC_ACQUIRE) != n)
		cpu_relax();
}

const struct operation awake_memory = { .open = start_copying, .run = there_and_back };
