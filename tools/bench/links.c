// SPDX-License-Identifier: GPL-2.0
/* Links between two hosts: what reliable UDP gives, beside TCP. */
#include "bench.h"

static const struct kecho_variant rudp = { .transport = "rudp" }, tcp = { .transport = "tcp" };
static const struct kecho_variant rudp_urgent = { .transport = "rudp", .prio = 7 }, tcp_urgent = { .transport = "tcp", .prio = 7 };

#define BLOCK		"kecho.overflow=block"
#define RUDP		"nodes with transport=rudp, " BLOCK
#define TCP		"nodes with transport=tcp, " BLOCK
#define PRIO		"events of priority 7"
#define BULK		"; others of 16 KiB and priority 0 as fast as they go, since 0.6 s, on another channel"

static const struct entry stream_entries[] = {
	ENTRY("kecho, rudp", &kecho_subject, &rudp, RUDP, .batch = 16, .bytes = 1024),
	ENTRY("kecho, tcp", &kecho_subject, &tcp, TCP, .batch = 16, .bytes = 1024, .base = true),
	ENTRY("TCP", &tcp_subject, NULL, "writes of 16 KiB", .batch = 16, .bytes = 1024, .base = true),
};

static const struct entry large_entries[] = {
	ENTRY("kecho, rudp", &kecho_subject, &rudp, RUDP, .bytes = 65536),
	ENTRY("kecho, tcp", &kecho_subject, &tcp, TCP, .bytes = 65536, .base = true),
	ENTRY("TCP", &tcp_subject, NULL, "writes of 64 KiB", .bytes = 65536, .base = true),
};

static const struct entry latency_entries[] = {
	ENTRY("kecho, rudp", &kecho_subject, &rudp, RUDP),
	ENTRY("kecho, tcp", &kecho_subject, &tcp, TCP, .base = true),
	ENTRY("TCP", &tcp_subject, NULL, "TCP_NODELAY, read(2)", .base = true),
};

static const struct entry urgent_entries[] = {
	ENTRY("rudp, bulk beside", &kecho_subject, &rudp_urgent, PRIO BULK, .bulk = true),
	ENTRY("rudp, idle", &kecho_subject, &rudp_urgent, PRIO, .base = true),
	ENTRY("tcp, bulk beside", &kecho_subject, &tcp_urgent, PRIO BULK, .bulk = true),
	ENTRY("tcp, idle", &kecho_subject, &tcp_urgent, PRIO, .base = true),
};

static const struct table tables[] = {
	{
		.name = "stream", .title = "Throughput of a link: events of 1 KiB, 16 at once, none lost",
		.kind = &throughput, .ms = 700, .receiver = SLEEPS, .places = { [CABLE] = true }, ENTRIES(stream_entries),
	},
	{
		.name = "large", .title = "Throughput of a link: events of 64 KiB, none lost",
		.kind = &throughput, .ms = 500, .receiver = SLEEPS, .places = { [CABLE] = true }, ENTRIES(large_entries),
	},
	{
		.name = "latency", .title = "Latency of a link: 64-byte events, 1000 a second, the subscriber sleeps",
		.kind = &latency, .ms = 500, .rate = 1000, .receiver = SLEEPS, .places = { [CABLE] = true }, ENTRIES(latency_entries),
	},
	{
		.name = "lossy-stream", .title = "Throughput of a lossy line: events of 1 KiB, 16 at once",
		.kind = &throughput, .ms = 1200, .receiver = SLEEPS, .places = { [LOSSY] = true }, ENTRIES(stream_entries),
	},
	{
		.name = "lossy-latency", .title = "Latency of a lossy line: 64-byte events, 200 a second, the subscriber sleeps",
		.kind = &latency, .ms = 2400, .rate = 200, .ratio = 1, .receiver = SLEEPS, .places = { [LOSSY] = true },
		ENTRIES(latency_entries),
	},
	{
		.name = "urgent", .title = "Latency of a slow line that others use: 64-byte events, 100 a second, the subscriber sleeps",
		.kind = &latency, .ms = 1900, .rate = 100, .ratio = 1, .receiver = SLEEPS, .places = { [SLOW] = true },
		ENTRIES(urgent_entries),
	},
};

const struct part links_part = {
	"links", "Links between two hosts by reliable UDP, beside TCP: throughput, latency, a lossy and a slow line", tables,
	ARRAY_SIZE(tables),
};
