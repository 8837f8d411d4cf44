// SPDX-License-Identifier: GPL-2.0
/* Submission to remote sinks, the paper's sixth figure: what a publisher pays for more of them, on one host and on as many hosts. */
#include "ops.h"

#define FILES		"write(2), O_DIRECT"
#define RINGS		"kecho_publish()"
#define KERNEL		"the module kecho_bench: kecho_publish()"
#define TCP		"a send(2) for each of as many connections, TCP_NODELAY"
#define SENDMSG		"the module kecho_bench: a kernel_sendmsg() for each of as many connections, TCP_NODELAY"

#define ROW(way, op, n, at, size, settings, ...) ENTRY(way ", " #n, NULL, OP(op, .sinks = n, .hosts = at), settings, .bytes = size, __VA_ARGS__)
/* @one to @eight: hosts of so many sinks */
#define ROWS(size, one, two, four, eight) { \
	ROW("files", submit_files, 0, 0, size, FILES), ROW("files", submit_files, 1, one, size, FILES), \
	ROW("files", submit_files, 2, two, size, FILES), ROW("files", submit_files, 4, four, size, FILES), \
	ROW("files", submit_files, 8, eight, size, FILES), \
	ROW("libkecho", submit_kecho, 0, 0, size, RINGS), ROW("libkecho", submit_kecho, 1, one, size, RINGS), \
	ROW("libkecho", submit_kecho, 2, two, size, RINGS), ROW("libkecho", submit_kecho, 4, four, size, RINGS), \
	ROW("libkecho", submit_kecho, 8, eight, size, RINGS), \
	ROW("kernel", submit_kernel, 0, 0, size, KERNEL), ROW("kernel", submit_kernel, 1, one, size, KERNEL, .base = true), \
	ROW("kernel", submit_kernel, 2, two, size, KERNEL), ROW("kernel", submit_kernel, 4, four, size, KERNEL), \
	ROW("kernel", submit_kernel, 8, eight, size, KERNEL), \
	ROW("TCP", submit_tcp, 1, one, size, TCP, .base = true), ROW("TCP", submit_tcp, 2, two, size, TCP), \
	ROW("TCP", submit_tcp, 4, four, size, TCP), ROW("TCP", submit_tcp, 8, eight, size, TCP, .base = true), \
	ROW("kernel_sendmsg", submit_sendmsg, 1, one, size, SENDMSG), ROW("kernel_sendmsg", submit_sendmsg, 2, two, size, SENDMSG), \
	ROW("kernel_sendmsg", submit_sendmsg, 4, four, size, SENDMSG), \
	ROW("kernel_sendmsg", submit_sendmsg, 8, eight, size, SENDMSG, .base = true), \
}

static const struct entry one_host_100[] = ROWS(100, 1, 1, 1, 1), one_host_1024[] = ROWS(1024, 1, 1, 1, 1);
static const struct entry hosts_100[] = ROWS(100, 1, 2, 4, 8), hosts_1024[] = ROWS(1024, 1, 2, 4, 8);

#define TABLE(its_name, its_title, its_entries) \
	{ \
		.name = its_name, .title = its_title "", .kind = &submission_cost, .ms = 150, .rate = 1000, \
		.places = { [NETWORK] = true }, ENTRIES(its_entries), \
	}

static const struct table tables[] = {
	TABLE("one-host-100", "Submission to sinks on one other host: events of 100 bytes", one_host_100),
	TABLE("one-host-1024", "Submission to sinks on one other host: events of 1 KiB", one_host_1024),
	TABLE("hosts-100", "Submission to sinks on other hosts, one on each: events of 100 bytes", hosts_100),
	TABLE("hosts-1024", "Submission to sinks on other hosts, one on each: events of 1 KiB", hosts_1024),
};

const struct part submission_part = {
	"submission", "What a publisher pays for 0 to 8 sinks on other hosts, beside as many sends by TCP", tables, ARRAY_SIZE(tables),
};
