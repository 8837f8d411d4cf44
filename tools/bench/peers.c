// SPDX-License-Identifier: GPL-2.0
/* KECho on one host beside what people would use instead: as it is, and by sizes of events, numbers of subscribers and rates. */
#include "bench.h"

static const struct kecho_variant rings, fit = { .fit = true };

#define MS(n)		.ms = n, .receiver = SLEEPS
#define BLOCK		"kecho.overflow=block"
#define RINGS		"libkecho as it is, each event by itself, "
#define FILES		"the events file: an event is a packet, a write(2) and a read(2) each, "
#define FIT		"libkecho, rings for eight events at least, each event by itself, " BLOCK
#define ZMQ		"XPUB with ZMQ_XPUB_NODROP and SUB, high-water marks of 10000 events or 16 MiB, over "
#define NATS		"nats-server by the loopback device, max_pending 1 GB; libnats, subscriptions without limits, SendAsap if there is a rate"
#define REDIS		"redis-server by a Unix socket, no persistence, no output limits; hiredis, CLIENT REPLY OFF, "
#define EACH		REDIS "each PUBLISH by itself"
#define MQTT		"mosquitto by a Unix socket, no persistence, queues without limits; libmosquitto, no thread, "
#define QOS0		MQTT "QoS 0"
#define QOS1		MQTT "QoS 1, at most 256 not acknowledged"
#define TIPC		"AF_TIPC, SOCK_RDM, TIPC_GROUP_JOIN, broadcast: the kernel's own"
#define FUSE		"the smallest libfuse program, one thread, a queue of 1024: write(2) to one file, read(2) of another"
#define FUSE_WRITE	"write(2) to a file system by libfuse that only answers it; there is no subscriber"
#define TCP		"TCP_NODELAY, by the loopback device, a connection to each subscriber: a write(2) an event, reads of up to 1 MiB"
#define PIPE		"a pipe to each subscriber, 64 KiB of room: a write(2) and a read(2) an event"
#define UDP		"by the loopback device, a datagram to each subscriber, 4 MiB of room"

static const struct entry throughput_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, RINGS BLOCK, .base = true),
	ENTRY("kecho, rings, 64 at once", &kecho_subject, &rings, "the same with KECHO_MORE", .batch = 64),
	ENTRY("kecho, files", &files_subject, NULL, FILES BLOCK, .base = true),
	ENTRY("ZeroMQ, ipc", &zmq_subject, NULL, ZMQ "ipc", .base = true),
	ENTRY("ZeroMQ, tcp", &zmq_subject, by_loopback, ZMQ "the loopback device"),
	ENTRY("NATS", &nats_subject, NULL, NATS),
	ENTRY("Redis, 64 at once", &redis_subject, NULL, REDIS "64 PUBLISH in a write", .batch = 64),
	ENTRY("Redis", &redis_subject, NULL, EACH),
	ENTRY("Mosquitto, QoS 0", &mosquitto_subject, NULL, QOS0),
	ENTRY("Mosquitto, QoS 1", &mosquitto_subject, mosquitto_qos1, QOS1),
	ENTRY("TIPC", &tipc_subject, NULL, TIPC),
	ENTRY("FUSE", &fuse_subject, NULL, FUSE, .base = true),
	ENTRY("FUSE, empty write", &fuse_write_subject, NULL, FUSE_WRITE),
	ENTRY("TCP", &tcp_subject, by_loopback, TCP),
	ENTRY("pipe", &pipe_subject, NULL, PIPE, .base = true),
};

static const struct entry sleeping_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, RINGS BLOCK, .base = true),
	ENTRY("kecho, files", &files_subject, NULL, FILES BLOCK, .base = true),
	ENTRY("ZeroMQ, ipc", &zmq_subject, NULL, ZMQ "ipc", .base = true),
	ENTRY("ZeroMQ, tcp", &zmq_subject, by_loopback, ZMQ "the loopback device"),
	ENTRY("NATS", &nats_subject, NULL, NATS),
	ENTRY("Redis", &redis_subject, NULL, EACH),
	ENTRY("Mosquitto, QoS 0", &mosquitto_subject, NULL, QOS0),
	ENTRY("Mosquitto, QoS 1", &mosquitto_subject, mosquitto_qos1, QOS1),
	ENTRY("TIPC", &tipc_subject, NULL, TIPC),
	ENTRY("FUSE", &fuse_subject, NULL, FUSE, .base = true),
	ENTRY("FUSE, empty write", &fuse_write_subject, NULL, FUSE_WRITE),
	ENTRY("TCP", &tcp_subject, by_loopback, TCP),
	ENTRY("UDP", &udp_subject, NULL, UDP, .lossy = true),
	ENTRY("pipe", &pipe_subject, NULL, PIPE, .base = true),
};

static const struct table peers_tables[] = {
	{
		.name = "throughput", .title = "Throughput: one publisher, one subscriber, 64-byte events, no losses",
		.kind = &throughput, MS(200), .places = { [ONE_CPU] = true, [TWO_CPUS] = true }, ENTRIES(throughput_entries),
	},
	{
		.name = "sleeping", .title = "Latency: the subscriber sleeps, 64-byte events, 1000 a second",
		.kind = &latency, MS(300), .rate = 1000, .places = { [ONE_CPU] = true, [TWO_CPUS] = true }, ENTRIES(sleeping_entries),
	},
};

const struct part peers_part = {
	"peers", "Events on one host, beside ZeroMQ, NATS, Redis, Mosquitto, TIPC and bare mechanisms: throughput, latency", peers_tables,
	ARRAY_SIZE(peers_tables),
};

#define VALUES(its_axis, v) .axis = its_axis, .values = v, .nvalues = ARRAY_SIZE(v)

static const unsigned int all_sizes[] = { 16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20 };
static const unsigned int some_sizes[] = { 16, 1 << 10, 16 << 10, 128 << 10, 1 << 20 };

static const struct entry size_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &fit, FIT, .base = true),
	ENTRY("kecho, files", &files_subject, NULL, FILES BLOCK, .base = true),
	ENTRY("ZeroMQ, ipc", &zmq_subject, NULL, ZMQ "ipc"),
	ENTRY("ZeroMQ, tcp", &zmq_subject, by_loopback, ZMQ "the loopback device"),
	ENTRY("NATS", &nats_subject, NULL, NATS),
	ENTRY("Redis", &redis_subject, NULL, EACH),
	ENTRY("Mosquitto, QoS 0", &mosquitto_subject, NULL, QOS0),
	ENTRY("TIPC", &tipc_subject, NULL, TIPC, .most = 64 << 10),
	ENTRY("FUSE", &fuse_subject, NULL, FUSE),
	ENTRY("TCP", &tcp_subject, by_loopback, TCP),
	ENTRY("pipe", &pipe_subject, NULL, PIPE),
};

static const struct table sizes_tables[] = {
	{
		.name = "throughput", .title = "Throughput by the size of events: one publisher, one subscriber, no losses",
		.kind = &throughput, MS(80), .places = { [TWO_CPUS] = true }, ENTRIES(size_entries), VALUES(AXIS_BYTES, all_sizes),
	},
	{
		.name = "sleeping", .title = "Latency by the size of events: the subscriber sleeps, 500 a second",
		.kind = &latency, MS(120), .rate = 500, .places = { [TWO_CPUS] = true }, ENTRIES(size_entries),
		VALUES(AXIS_BYTES, some_sizes),
	},
};

const struct part sizes_part = {
	"sizes", "Events of 16 bytes to 1 MiB on one host, beside others: throughput, latency", sizes_tables, ARRAY_SIZE(sizes_tables),
};

static const unsigned int numbers[] = { 1, 4, 16, 64 };

static const struct entry fanout_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, RINGS BLOCK, .base = true),
	ENTRY("kecho, files", &files_subject, NULL, FILES BLOCK, .base = true),
	ENTRY("ZeroMQ, ipc", &zmq_subject, NULL, ZMQ "ipc"),
	ENTRY("ZeroMQ, tcp", &zmq_subject, by_loopback, ZMQ "the loopback device"),
	ENTRY("NATS", &nats_subject, NULL, NATS),
	ENTRY("Redis", &redis_subject, NULL, EACH),
	ENTRY("Mosquitto, QoS 0", &mosquitto_subject, NULL, QOS0),
	ENTRY("TIPC", &tipc_subject, NULL, TIPC),
	ENTRY("FUSE", &fuse_subject, NULL, FUSE),
	ENTRY("pipe", &pipe_subject, NULL, PIPE),
};

static const struct table fanout_tables[] = {
	{
		.name = "throughput", .title = "Throughput by the number of subscribers, each of which receives every 64-byte event",
		.kind = &throughput, MS(80), .places = { [TWO_CPUS] = true }, ENTRIES(fanout_entries),
		VALUES(AXIS_SUBSCRIBERS, numbers),
	},
	{
		.name = "sleeping", .title = "Latency by the number of subscribers, which sleep: 64-byte events, 200 a second",
		.kind = &latency, MS(200), .rate = 200, .places = { [TWO_CPUS] = true }, ENTRIES(fanout_entries),
		VALUES(AXIS_SUBSCRIBERS, numbers),
	},
};

const struct part fanout_part = {
	"fanout", "Events on one host to 1 to 64 subscribers, beside others: throughput, latency", fanout_tables,
	ARRAY_SIZE(fanout_tables),
};

static const unsigned int all_rates[] = { 1000, 10000, 100000, 300000, 1000000 };

static const struct entry rate_entries[] = {
	ENTRY("kecho, rings", &kecho_subject, &rings, RINGS "kecho.overflow=drop-oldest", .base = true, .lossy = true),
	ENTRY("kecho, files", &files_subject, NULL, FILES "kecho.overflow=drop-oldest", .base = true, .lossy = true, .most = 100000),
	ENTRY("ZeroMQ, ipc", &zmq_subject, NULL, ZMQ "ipc"),
	ENTRY("NATS", &nats_subject, NULL, NATS, .most = 300000),
	ENTRY("Redis", &redis_subject, NULL, EACH, .most = 300000),
	ENTRY("Mosquitto, QoS 0", &mosquitto_subject, NULL, QOS0, .most = 300000),
	ENTRY("TIPC", &tipc_subject, NULL, TIPC),
	ENTRY("FUSE", &fuse_subject, NULL, FUSE, .most = 100000),
	ENTRY("TCP", &tcp_subject, by_loopback, TCP),
	ENTRY("UDP", &udp_subject, NULL, UDP, .lossy = true),
};

static const struct table rates_tables[] = {
	{
		.name = "sleeping", .title = "Latency by the rate that is due: 64-byte events, the subscriber sleeps when it has nothing",
		.kind = &load, MS(200), .ratio = 1, .places = { [TWO_CPUS] = true }, ENTRIES(rate_entries), VALUES(AXIS_RATE, all_rates),
	},
};

const struct part rates_part = {
	"rates", "Events on one host at rates up to saturation, beside others: latency, losses, CPU time", rates_tables,
	ARRAY_SIZE(rates_tables),
};
