/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kecho-bench measures how events get from one process to another, by KECho, by the bare mechanisms of the kernel and by others.
 *
 * A part of it is a list of tables. A table's rows are entries: a subject, which is a way for events to go, in one of its variants.
 * Its kind says what is measured: which figures, and what the two processes of a trial do for them. An alternation is one trial of
 * each entry, one after the other; so what else the machine does meanwhile meets all of them.
 */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

#define EXIT_USAGE	2
#define FIGURES_MAX	4
#define SAMPLES_MAX	100000
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * struct payload - what each event begins with
 * @seq: counts from 1; the first one is not measured
 * @due: when it is to be sent, by now()
 * @last: of this trial
 */
struct payload {
	uint64_t seq;
	uint64_t due;
	uint64_t last;
	uint8_t rest[40];
};

_Static_assert(sizeof(struct payload) == 64, "events have 64 bytes if their entry says nothing else");
#define BYTES_MAX	65536

struct entry;

/* One end, in a process of its own. A receiver that sleeps waits in receive(), one that spins gets NULL if there is nothing. */
enum end { SENDS, SLEEPS, SPINS };

/**
 * struct subject - a way for events to go
 * @prepare: before there are the two processes. @tidy: after them, whatever has become of them. May be NULL
 * @open: in each process
 * @send: @more: more follow at once
 * @receive: what it returns is valid until the next call
 * @finish: at the sending end: all has been handed over. May be NULL
 * @bulk: in two more processes: what goes the same way besides, without end. NULL: there is no such thing
 * @stalls: now and then it does not come to an end, which is not ours to mend: such a trial is repeated, once
 *
 * It keeps its state in variables of its file: a process is one end of one trial.
 */
struct subject {
	void (*prepare)(const struct entry *e);
	void (*open)(const struct entry *e, enum end end);
	void (*send)(const struct payload *p, bool more);
	const struct payload *(*receive)(void);
	void (*finish)(void);
	void (*tidy)(void);
	void (*bulk)(enum end end);
	bool stalls;
};

extern const struct subject kecho_subject, zmq_subject, pipe_subject, eventfd_subject, tcp_subject;

/*
 * A variant of kecho_subject; 0 everywhere: rings, as a program gets them that asks for nothing, at one node. @transport: two nodes,
 * at the two ends of the place's line.
 */
struct kecho_variant {
	const char *transport;
	uint8_t prio;
	const char *via;
	unsigned int idle_us;
	unsigned int boost, max_us;	/* KECHO_BOOST_* */
	int nice;
};

/* A variant of eventfd_subject: the memory alone, which is to be spun on. */
extern const char only_memory[];

/**
 * struct entry - a row of a table
 * @variant: what the subject takes
 * @settings: for the report
 * @batch: so many events are handed over at once, a power of two; 0 is 1
 * @bytes: of an event, up to BYTES_MAX; 0: a payload's
 * @base: the others are compared with it
 * @bulk: with the subject's bulk()
 * @paper: what the paper has for the same, by which KECho began, in the unit of the table's ratio; 0: nothing is known
 */
struct entry {
	const char *name;
	const struct subject *subject;
	const void *variant;
	const char *settings;
	unsigned int batch, bytes;
	bool base, bulk;
	double paper;
};

static inline size_t entry_bytes(const struct entry *e)
{
	return e->bytes ? e->bytes : sizeof(struct payload);
}

#define ENTRY(its_name, its_subject, its_variant, its_settings, ...) \
	{ .name = its_name, .subject = its_subject, .variant = its_variant, .settings = its_settings, __VA_ARGS__ }
#define ENTRIES(e) .entries = e, .nentries = ARRAY_SIZE(e)

/* @scale: from the unit in which it is measured and stored to the one that the report shows. */
struct figure {
	const char *name;
	const char *title;
	double scale;
};

/* Where the processes of a trial run. */
enum where { ONE_CPU, TWO_CPUS, HOGGED, CABLE, LOSSY, SLOW, NETWORK, WHERES };

#define HOSTS_MAX	64

/**
 * struct place
 * @sender, @receiver: CPUs of the two ends
 * @helpers: of the node and of threads that the ends' libraries start
 * @line: the ends are at different hosts, with such a line between them, see line_up(); NULL: at one
 * @hosts: so many of them; with more than the two ends, each has a node
 * @hog: on the receiver's CPU another process, of the same priority, does nothing but use it
 */
struct place {
	const char *name;
	char title[200];
	int sender, receiver;
	cpu_set_t helpers;
	const char *line;
	unsigned int hosts;
	bool hog;
};

struct table;

/**
 * struct trial - one measurement, in memory that its processes share
 * @cpu_ns: used by both ends and the node
 * @events, @began, @ended: of a throughput, as the receiver sees it
 * @nsamples, @latency, @late: of latencies: from when an event was due until it was received, and until it was sent
 */
struct trial {
	const struct table *table;
	const struct entry *entry;
	const struct place *place;
	pthread_barrier_t barrier;
	atomic_ullong cpu_ns;
	uint64_t events, began, ended;
	unsigned int nsamples;
	uint64_t latency[SAMPLES_MAX], late[SAMPLES_MAX];
};

/**
 * struct kind - what is measured
 * @send, @receive: in the two processes, after one event has arrived
 * @result: the figures
 * @run: instead of all three and the two processes. @has: can an entry be measured here? NULL: all can
 */
struct kind {
	struct figure figures[FIGURES_MAX];
	unsigned int nfigures;
	void (*run)(const struct table *t, const struct entry *e, const struct place *p, double *figures);
	bool (*has)(const struct entry *e);
	void (*send)(struct trial *t);
	void (*receive)(struct trial *t);
	void (*result)(struct trial *t, double *figures);
};

extern const struct kind throughput, latency;

/* trial.c: with as many bytes as the entry says */
void send_event(struct trial *t, const struct payload *p, bool more);

/**
 * struct table
 * @ms: of one trial
 * @rate: events in a second; 0: as many as there is room for
 * @receiver: SLEEPS or SPINS
 * @ratio: the figure by which entries are compared
 * @places: by enum where
 */
struct table {
	const char *name, *title;
	const struct kind *kind;
	unsigned int ms, rate;
	enum end receiver;
	unsigned int ratio;
	bool places[WHERES];
	const struct entry *entries;
	unsigned int nentries;
};

struct part {
	const char *name, *help;
	const struct table *tables;
	unsigned int ntables;
};

extern const struct part ring_part, links_part, calls_part, submission_part, delivery_part, filters_part;

/* What was measured of a table at one place: of each entry each figure in each alternation. */
struct result {
	const struct table *table;
	const struct place *place;
	unsigned int alternations;
	double *values;
};

struct summary {
	double median, least, greatest;
};

/* bench.c */
extern volatile sig_atomic_t interrupted;	/* by a signal that is to end us */
void warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define die(...) (warning(__VA_ARGS__), exit(EXIT_FAILURE))

/* trial.c */
void trial_init(void);
void trial_run(const struct table *t, const struct entry *e, const struct place *p, double *figures);

/* cpu.c */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline uint64_t now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/** cpu_init() - @list: the two CPUs to use, "A,B"; NULL: the first two that we may. False: it is no such list */
bool cpu_init(const char *list);
/** cpu_place() - NULL: there are too few CPUs for it */
const struct place *cpu_place(enum where w);
void cpu_pin(int cpu);
/** cpu_allow() - where the threads of a process may run */
void cpu_allow(pid_t pid, const cpu_set_t *cpus);
/** cpu_used() - nanoseconds, by a process; 0: none */
uint64_t cpu_used(pid_t pid);

/* node.c */
/** node_start() - the node at @mount, or one of our own */
void node_start(const char *mount);
/** node_pair() - two nodes of our own instead, at the ends of the line, until node_unpair() */
void node_pair(const char *transport);
void node_unpair(void);
/** node_cluster() - likewise at @hosts hosts, of which the last one's node is the group server */
void node_cluster(unsigned int hosts);
/** node_dir() - of the node at an end */
const char *node_dir(enum end end);
/** node_at() - of the node at a host; without hosts there is one */
const char *node_at(unsigned int host);
/** node_is_kernel() - it has no process */
bool node_is_kernel(void);
/** node_allow() - where the processes of the nodes may run */
void node_allow(const cpu_set_t *cpus);
/** node_pin() - of the hosts: that of the first one there, all others there */
void node_pin(int first, int rest);
/** node_used() - nanoseconds of CPU time by all nodes */
uint64_t node_used(void);
/** node_used_at() - by that one */
uint64_t node_used_at(unsigned int host);

/* line.c */
/**
 * line_up() - @netem: what tc-netem(8) is told for both directions, "" for nothing. @hosts: two have a cable between them, more have
 * a switch. False, and a message: it cannot be had here
 */
bool line_up(const char *netem, unsigned int hosts);
void line_down(void);
/** line_enter() - from now on this process is at that host, from 0 */
void line_enter(int host);
const char *line_address(int host);

/* stats.c */
double stats_percentile(uint64_t *samples, unsigned int n, double percent);
struct summary stats_summary(const double *values, unsigned int n);
double *result_values(const struct result *r, unsigned int entry, unsigned int figure);
/** result_ratio() - to another entry, alternation by alternation */
struct summary result_ratio(const struct result *r, unsigned int entry, unsigned int base);

/* report.c: for people */
void report_start(const struct part *part, unsigned int alternations);
void report_result(const struct result *r);
/** report_table() - what its rows are; then come its results */
void report_table(const struct table *t);

/* json.c: for programs */
void json_start(const struct part *part, unsigned int alternations);
void json_result(const struct result *r);
void json_write(const char *dir, const char *name);

/* machine.c */
const char *machine_cpu(void);
const char *machine_kernel(void);
const char *machine_commit(void);
const char *machine_date(void);
#endif
