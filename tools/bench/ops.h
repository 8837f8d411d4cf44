/* SPDX-License-Identifier: GPL-2.0 */
/* Operations: what one call costs who makes it, in time and in system calls, whoever else there is. */
#ifndef TOOLS_BENCH_OPS_H
#define TOOLS_BENCH_OPS_H

#include "bench.h"

#include <string.h>

struct call;

/**
 * struct operation - what is measured; its functions run in the process that does it, unless said otherwise
 * @prepare: in ours, before. May be NULL, as all but @run
 * @open: before all, at its host
 * @before, @after: each @run, not measured
 * @times: @run is called so often between two looks at the clock, between @before and @after; 0: once
 * @samples: so many, from the very first on, which is else not measured; 0: as long as the table says
 * @module: kecho_bench's word for the same, in place of @run: for all samples, or with @before or @after for each
 * @sink: a receiver, in a process of its own at its host: counts what it receives by received(), without end
 *
 * It keeps its state in variables of its file: a process is one trial.
 */
struct operation {
	void (*prepare)(const struct entry *e);
	void (*open)(const struct entry *e);
	void (*before)(void);
	void (*run)(void);
	void (*after)(void);
	unsigned int times, samples;
	const char *module;
	void (*sink)(const struct entry *e, unsigned int i);
};

/**
 * struct call - a variant of an entry: an operation and for whom
 * @sinks: receivers. @hosts: they are spread over so many other hosts; 0: at this one
 * @filter: of the channel, as its file takes it; NULL: none. Receivers, or with @hosts these, say k=1, k=2 and so on.
 * @passed: so many of the sinks it lets an event through to
 */
struct call {
	const struct operation *op;
	unsigned int sinks, hosts;
	const char *filter;
	unsigned int passed;
};

#define OP(its_op, ...) (&(const struct call){ .op = &its_op, __VA_ARGS__ })

/* Of one trial. */
struct cost {
	double median, p99;	/* ns of a run */
	double calls;		/* system calls of one */
	double cpu;		/* ns of one, of who makes it and its node; only of a table with a rate */
	double sinks_cpu;	/* likewise of all others */
	double filter;		/* ns, as the filter says */
};

/* --- ops.c --- */

/** ops_cost() - as struct kind has it, but for the figures */
void ops_cost(const struct table *t, const struct entry *e, const struct place *p, struct cost *cost);
/** ops_lacks() - for struct kind */
const char *ops_lacks(const struct entry *e);
/** ops_join() - a prepare(): the channel on the nodes of all hosts that take part, and its filter */
void ops_join(const struct entry *e);
/** ops_next() - a before(): another name */
void ops_next(void);
/** ops_channel() - its name, new for each trial */
const char *ops_channel(void);
/** ops_path() - of a file of it at a host; valid until the next call */
const char *ops_path(unsigned int host, const char *file);
/** ops_leave() - a channel's directory, once its files have been let go of */
void ops_leave(const char *path);
/** ops_wait_sinks() - until a host's node knows of @n sinks, of all members, and of @say of them or of members that say k */
void ops_wait_sinks(unsigned int host, unsigned int n, unsigned int say);
/** ops_wait_members() - until the file members has @n sinks */
void ops_wait_members(const char *members, unsigned int n);
/** ops_host() - where sink number @i is */
unsigned int ops_host(const struct call *c, unsigned int i);
/** ops_ready() - a sink that is none of a channel can be reached from now on */
void ops_ready(void);
/** ops_received() - by sink number @i */
void ops_received(unsigned int i, unsigned int n);

/* What libkecho says. */
static inline void check(int err)
{
	if (err < 0)
		die("kecho: %s", strerror(-err));
}

/* Time, system calls; with the CPU's. */
extern const struct kind call_cost, submission_cost;

/* --- awake.c: one event to oneself --- */

extern const struct operation awake_kecho, awake_memory;

/* --- submit.c: one event to whoever is there, of the bytes of the entry --- */

extern const struct operation submit_files, submit_kecho, submit_flushed, submit_kernel, submit_pipe, submit_tcp, submit_sendmsg;

/** submit_port() - of sink number @i of the last two. submit_connect() - to it. submit_accept() - there */
unsigned int submit_port(unsigned int i);
int submit_connect(const struct entry *e, unsigned int i);
int submit_accept(const struct entry *e, unsigned int i);

/* --- inside.c --- */

struct inside {
	uint64_t median, p99, mean, handled;
};

/** inside_there() - can be asked */
bool inside_there(void);
/** inside_run() - an operation of kecho_bench, with its arguments */
void inside_run(struct inside *result, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
