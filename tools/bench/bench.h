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
#define FIGURES_MAX	9
#define SUBSCRIBERS_MAX	64
#define BYTES		64	/* of an event, if nothing else is said */
#define BYTES_MAX	(1 << 20)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/**
 * struct payload - what each event begins with
 * @due: when it is to be sent, by now(); 0: it is there only because @last may have been lost
 * @seq: counts from 1; the first one is not measured
 * @last: of this trial
 */
struct payload {
	uint64_t due;
	uint32_t seq, last;
};

_Static_assert(sizeof(struct payload) == 16, "the smallest events have 16 bytes");

struct entry;

/* An end, in a process of its own. A receiver that sleeps waits in receive(), one that spins gets NULL if there is nothing. */
enum end { SENDS, SLEEPS, SPINS };

struct server;

/**
 * struct subject - a way for events to go
 * @lacks: what is missing here; NULL: nothing, as if there were no such function
 * @server: which all of it needs
 * @prepare: before there are the processes. @tidy: after them, whatever has become of them. May be NULL
 * @open: in each process; @nth: of the receivers
 * @send: @more: more follow at once
 * @receive: what it returns is valid until the next call
 * @finish: at the sending end: all has been received. May be NULL
 * @bulk: in two more processes: what goes the same way besides, without end. NULL: there is no such thing
 * @alone: nobody receives: what is measured is sending
 * @stalls: now and then it does not come to an end, which is not ours to mend: such a trial is repeated, once
 *
 * It keeps its state in variables of its file: a process is one end of one trial.
 */
struct subject {
	const char *(*lacks)(void);
	struct server *server;
	void (*prepare)(const struct entry *e);
	void (*open)(const struct entry *e, enum end end, unsigned int nth);
	void (*send)(const struct payload *p, bool more);
	const struct payload *(*receive)(void);
	void (*finish)(void);
	void (*tidy)(void);
	void (*bulk)(enum end end);
	bool alone, stalls;
};

extern const struct subject kecho_subject, files_subject, zmq_subject, nats_subject, redis_subject, mosquitto_subject, tipc_subject;
extern const struct subject pipe_subject, eventfd_subject, tcp_subject, udp_subject, fuse_subject, fuse_write_subject;

/*
 * A variant of kecho_subject; 0 everywhere: rings, as a program gets them that asks for nothing, at one node. @transport: two nodes,
 * at the two ends of the place's line. @fit: rings that have room for eight events at least.
 */
struct kecho_variant {
	const char *transport;
	uint8_t prio;
	const char *via;
	unsigned int idle_us;
	unsigned int boost, max_us;	/* KECHO_BOOST_* */
	int nice;
	unsigned int work_us;	/* of its CPU's time, for each event that is received */
	bool fit;
};

/* Variants: of eventfd_subject, the memory alone, which is to be spun on; of tcp_subject and zmq_subject, by the loopback device. */
extern const char only_memory[], by_loopback[];
extern const char mosquitto_qos1[];

/**
 * struct entry - a row of a table
 * @variant: what the subject takes
 * @settings: for the report
 * @batch: so many events are handed over at once, a power of two; 0 is 1
 * @bytes: of an event, up to BYTES_MAX
 * @subscribers: each receives every event
 * @rate: events in a second; 0: as many as there is room for
 * @channels, @hosts: that are there, where the table goes through such numbers
 * @most: on the table's axis, it goes so far; 0: to the end
 * @base: the others are compared with it
 * @lossy: events may be missing
 * @bulk: with the subject's bulk()
 * @paper: what the paper has for the same, by which KECho began, in the unit of the table's ratio; 0: nothing is known
 *
 * Of bytes, subscribers and rate the table has what an entry does not say.
 */
struct entry {
	const char *name;
	const struct subject *subject;
	const void *variant;
	const char *settings;
	unsigned int batch, bytes, subscribers, rate, channels, hosts, most;
	bool base, lossy, bulk;
	double paper;
};

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
enum where { ONE_CPU, TWO_CPUS, HOGGED, CABLE, LOSSY, SLOW, NETWORK, RACK, ALONE, APART, WEB, WHERES };

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
 * struct histogram - of nanoseconds, as exact as one in 256
 * @bins: 128 to each doubling
 */
struct histogram {
	atomic_uint bins[34 * 128];
	atomic_ullong max;
};

/**
 * struct trial - one measurement, in memory that its processes share
 * @done: receivers that have had the last event
 * @cpu_ns: used by all ends and the node or server; without what the sender spent on waiting for its time
 * @sent, @received: events; the latter by all receivers together. @began, @ended: the first and the last receiving
 * @latency, @late, @call: from when an event was due until it was received, and until it was sent, and how long sending it took
 */
struct trial {
	const struct table *table;
	const struct entry *entry;
	const struct place *place;
	pthread_barrier_t barrier;
	atomic_uint done;
	atomic_llong cpu_ns;
	uint64_t sent;
	atomic_ullong received, began, ended;
	struct histogram latency, late, call;
};

/**
 * struct kind - what is measured
 * @send, @receive: in the processes, after one event has arrived
 * @result: the figures; NAN: there is no such
 * @run: instead of all three and the processes. @lacks: why an entry cannot be measured here, or NULL
 */
struct kind {
	struct figure figures[FIGURES_MAX];
	unsigned int nfigures;
	void (*run)(const struct table *t, const struct entry *e, const struct place *p, double *figures);
	const char *(*lacks)(const struct entry *e);
	void (*send)(struct trial *t);
	void (*receive)(struct trial *t);
	void (*result)(struct trial *t, double *figures);
};

extern const struct kind throughput, latency, load;

/* trial.c: with as many bytes as the entry says */
void send_event(struct trial *t, const struct payload *p, bool more);
/** trial_expect() - a receiver's: fails if an event is missing that must not be. @seq: of the one before, made this one's */
void trial_expect(const struct trial *t, const struct payload *p, uint32_t *seq);
/** trial_received() - by one receiver */
void trial_received(struct trial *t, uint64_t events, uint64_t began, uint64_t ended);
/** trial_events_per_s() - at the slowest receiver. trial_cpu_ns() - of an event */
double trial_events_per_s(const struct trial *t);
double trial_cpu_ns(const struct trial *t);

/* What a table's rows go through. */
enum axis { NO_AXIS, AXIS_BYTES, AXIS_SUBSCRIBERS, AXIS_RATE, AXIS_CHANNELS, AXIS_HOSTS };

/**
 * struct table
 * @ms: of one trial
 * @rate: of entries that say nothing else
 * @receiver: SLEEPS or SPINS
 * @ratio: the figure by which entries are compared
 * @places: by enum where
 * @axis, @values: each entry is measured with each value
 * @alternations: of its part, if it is the first one there and the command line does not say; 0: as ever
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
	enum axis axis;
	const unsigned int *values;
	unsigned int nvalues;
	unsigned int alternations;
};

struct part {
	const char *name, *help;
	const struct table *tables;
	unsigned int ntables;
};

extern const struct part ring_part, links_part, peers_part, sizes_part, fanout_part, rates_part;
extern const struct part calls_part, submission_part, delivery_part, filters_part, scale_part, balance_part, updates_part;

/* What was measured of a table at one place: of each row each figure in each alternation. */
struct result {
	const struct table *table;
	const struct place *place;
	const struct entry *rows;
	unsigned int nrows;
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

/* rows.c */
/** rows_of() - the entries with the values of the axis, without what is lacking or would go too far; to be freed */
struct entry *rows_of(const struct table *t, unsigned int *n);
/** rows_value() - a row's place on the axis */
unsigned int rows_value(const struct table *t, const struct entry *row);
/** rows_base() - the row of entry @base that @row is to be compared with; -1: there is none */
int rows_base(const struct result *r, unsigned int row, const struct entry *base);
/** rows_lack() - why an entry is not measured, NULL: it is */
const char *rows_lack(const struct table *t, const struct entry *e);

/* process.c */
/** process_start() - a process that gets @signo when we end. Returns 0 in it */
pid_t process_start(int signo);
/** process_wait() - its status, once it has ended */
int process_wait(pid_t pid);
/** process_end() - asks it to end, and waits for that, but not for ever. process_kill() - it has no choice. 0 becomes of *@pid */
void process_end(pid_t *pid);
void process_kill(pid_t *pid);

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
/** cpu_go_first() - the process that calls goes before all others, also before those that KECHO_BOOST_FIFO favours */
void cpu_go_first(void);
/** cpu_allow() - where the threads of a process may run */
void cpu_allow(pid_t pid, const cpu_set_t *cpus);
/** cpu_used() - nanoseconds, by a process; 0: none */
uint64_t cpu_used(pid_t pid);

/* server.c: what others need besides the two ends */

/**
 * struct server
 * @command: ends with NULL; reads @config from its standard input, in which %s is its address; answers when it is ready
 * @tcp: its address is a port of the loopback device, else a Unix socket
 * @run: instead, in a process of its own; @ready: it is
 * @dir: an empty directory
 * @pid: 0: not started yet; -1: it cannot be
 */
struct server {
	const char *const *command;
	const char *config;
	bool tcp;
	void (*run)(const struct server *s);
	bool (*ready)(const struct server *s);
	char dir[96], address[108];	/* as long as that of a Unix socket may be */
	pid_t pid;
};

/** server_init() - before trial_init(): so they end after the ends of a trial */
void server_init(void);
/** server_up() - starts it, unless it runs; it is stopped with us. False: it is not there */
bool server_up(struct server *s);
/** server_topic() - a name that no trial has had */
const char *server_topic(void);
/** free_port() - of the loopback device */
unsigned short free_port(void);
/** make_dir() - a temporary one, of our own */
void make_dir(char *dir, size_t size);

/* fd.c: events through descriptors, one write and one read an event, or a batch of them */
/** fd_open() - @reads: bytes that are asked for at once */
void fd_open(const struct entry *e, size_t reads);
/** fd_send() - to each of @n descriptors */
void fd_send(const int *fds, unsigned int n, const struct payload *p, bool more);
/** fd_receive() - NULL: there is nothing, and the descriptor does not block */
const struct payload *fd_receive(int fd);

/* node.c */
/** node_start() - the node at @mount, or one of our own */
void node_start(const char *mount);
/** node_pair() - two nodes of our own instead, at the ends of the line, until node_unpair() */
void node_pair(const char *transport);
void node_unpair(void);
/** node_alone() - likewise one; if the kernel's is measured, that one */
void node_alone(void);
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
/** node_memory() - bytes that the process of a host's node has in memory; NAN: it has no process */
double node_memory(unsigned int host);

/* line.c */
/**
 * line_up() - @netem: what tc-netem(8), or tap.c, is told for both directions, "" for nothing. @hosts: two have a cable between them,
 * more have a switch. False, and a message: it cannot be had here
 */
bool line_up(const char *netem, unsigned int hosts);
void line_down(void);
/** line_note() - of what is up, for the report: what the place does not say; or "" */
const char *line_note(void);
/** line_enter() - from now on this process is at that host, from 0 */
void line_enter(int host);
const char *line_address(int host);
/** line_sent() - adds the packets and bytes that a host has sent */
void line_sent(int host, uint64_t *packets, uint64_t *bytes);

/* tap.c */
/** tap_run() - be the line between the first two hosts; a byte to @ready: it is there. Does not return */
_Noreturn void tap_run(const char *netem, int ready);

/* stats.c */
void histogram_add(struct histogram *h, uint64_t ns);
/** histogram_merge() - adds @from, of one process, to @to, of several */
void histogram_merge(struct histogram *to, const struct histogram *from);
/** histogram_percentile() - NAN: there are too few for it */
double histogram_percentile(const struct histogram *h, double percent);
/** stats_summary() - of those that are not NAN */
struct summary stats_summary(const double *values, unsigned int n);
double *result_values(const struct result *r, unsigned int row, unsigned int figure);
/** result_ratio() - to another row, alternation by alternation */
struct summary result_ratio(const struct result *r, unsigned int row, unsigned int base);

/* machine.c */
const char *machine_cpu(void);
const char *machine_kernel(void);
const char *machine_commit(void);
const char *machine_date(void);
#endif
