// SPDX-License-Identifier: GPL-2.0
/* Rings: what they give one publisher and one subscriber on a host. */
#include "ops.h"

#include <kecho/kecho.h>

/* Somewhat less than its share of a CPU that it has to share with one other. */
#define WORK_US		2000

static const struct kecho_variant rings, awake = { .idle_us = 1000 }, works = { .work_us = WORK_US };
static const struct kecho_variant boost_nice = { .work_us = WORK_US, .boost = KECHO_BOOST_NICE, .nice = -10, .max_us = 1000 };
static const struct kecho_variant boost_fifo = { .work_us = WORK_US, .boost = KECHO_BOOST_FIFO };

#define BLOCK		"kecho.overflow=block"
#define ZMQ		"XPUB with ZMQ_XPUB_NODROP and SUB over ipc, high-water marks of 10000"
#define MEMORY		"a slot in memory that both ends have"

static const struct entry throughput_entries[] = {
	ENTRY("kecho, rings, 64 at once", &kecho_subject, &rings, "KECHO_MORE, " BLOCK, .batch = 64),
	ENTRY("kecho, rings", &kecho_subject, &rings, "each event by itself, " BLOCK),
	ENTRY("kecho, rings, node awake", &kecho_subject, &awake, "the same, idle_us 1000"),
	ENTRY("kecho, files", &files_subject, NULL, "the events file: an event is a packet, a write(2) and a read(2) each, " BLOCK),
	ENTRY("ZeroMQ", &zmq_subject, NULL, ZMQ, .base = true),
	ENTRY("pipe, 64 at once", &pipe_subject, NULL, "writes of 4096 bytes, and reads of up to as much", .batch = 64, .base = true),
	ENTRY("pipe", &pipe_subject, NULL, "writes and reads of 64 bytes", .base = true),
};

static const struct entry sleeping_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, "kecho_poll() without a limit; the node sleeps, too"),
	ENTRY("kecho, rings, node awake", &kecho_subject, &awake, "the same, idle_us 1000: the node spins"),
	ENTRY("kecho, files", &files_subject, NULL, "read(2) of the events file, in packets"),
	ENTRY("eventfd", &eventfd_subject, NULL, MEMORY ", and read(2) of an eventfd", .base = true),
	ENTRY("pipe", &pipe_subject, NULL, "read(2)"),
	ENTRY("ZeroMQ", &zmq_subject, NULL, ZMQ "; zmq_recv()", .base = true),
};

static const struct entry spinning_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, "kecho_poll() with a timeout of 0, again and again; the node sleeps"),
	ENTRY("kecho, rings, node awake", &kecho_subject, &awake, "the same, idle_us 1000: the node spins, too"),
	ENTRY("memory", &eventfd_subject, only_memory, MEMORY, .base = true),
	ENTRY("ZeroMQ", &zmq_subject, NULL, ZMQ "; zmq_recv() with ZMQ_DONTWAIT, again and again", .base = true),
};

static const struct entry awake_entries[] = {
	ENTRY("kecho, rings, node awake", NULL, OP(awake_kecho), "kecho_publish(), then kecho_poll() with a timeout of 0, again and again; idle_us 1000000"),
	ENTRY("memory, there and back", NULL, OP(awake_memory), "a word that another thread copies to where it is waited for", .base = true),
};

static const struct entry boost_entries[] = {
	ENTRY("no boost", &kecho_subject, &works, "rings; kecho_poll() without a limit, and 2 ms of work for each event", .base = true),
	ENTRY("nice -10", &kecho_subject, &boost_nice, "the same, KECHO_BOOST_NICE for 1 ms at most"),
	ENTRY("fifo", &kecho_subject, &boost_fifo, "the same, KECHO_BOOST_FIFO for 10 ms at most, which is the default"),
};

static const struct table tables[] = {
	{
		.name = "throughput", .title = "Throughput: one publisher, one subscriber, 64-byte events, no losses",
		.kind = &throughput, .ms = 300, .receiver = SLEEPS, .places = { [ONE_CPU] = true, [TWO_CPUS] = true },
		ENTRIES(throughput_entries),
	},
	{
		.name = "sleeping", .title = "Latency: the subscriber sleeps, 1000 events/s",
		.kind = &latency, .ms = 500, .rate = 1000, .receiver = SLEEPS, .places = { [ONE_CPU] = true, [TWO_CPUS] = true },
		ENTRIES(sleeping_entries),
	},
	{
		.name = "spinning", .title = "Latency: the subscriber spins, 1000 events/s",
		.kind = &latency, .ms = 500, .rate = 1000, .receiver = SPINS, .places = { [TWO_CPUS] = true },
		ENTRIES(spinning_entries),
	},
	{
		.name = "awake", .title = "Latency: publisher and subscriber are one, which spins, and so does the node",
		.kind = &call_cost, .ms = 200, .places = { [APART] = true },
		ENTRIES(awake_entries),
	},
	{
		.name = "boost", .title = "Latency with a busy CPU: the subscriber sleeps, 200 events/s",
		.kind = &latency, .ms = 1000, .rate = 200, .receiver = SLEEPS, .ratio = 1, .places = { [HOGGED] = true },
		ENTRIES(boost_entries),
	},
};

const struct part ring_part = {
	"ring", "Rings, beside the files, bare mechanisms and ZeroMQ: throughput, latency, the boost", tables, ARRAY_SIZE(tables),
};
