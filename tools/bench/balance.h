/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Load balancing: eight servers, each with one slot, clients that ask at a rate whatever becomes of it, and who is between them. All are
 * processes at hosts of the network: the servers at the first ones, the clients, and what there is only one of, at CLIENT.
 */
#ifndef TOOLS_BENCH_BALANCE_H
#define TOOLS_BENCH_BALANCE_H

#include "bench.h"

#define WEB_HOSTS	8
#define CLIENT		WEB_HOSTS
#define WEB_PORT	"8080"	/* of the servers */
#define FRONT_PORT	"80"	/* of what is in front of them */
#define SERVICE_MS	38
/* Where it varies, one in so many takes so many times as long as the others, and all of them SERVICE_MS on an average. */
#define LONG_EVERY	5
#define LONG_TIMES	10
#define TIMEOUT_MS	5000
#define FORWARD_MS	2500
#define LOAD_RATE	5	/* how often a second a host says its load, at most */

/**
 * struct scene - a trial, in memory that its processes share
 * @hosts: with servers. @rates: of requests to each, in a second, before anybody moves them
 * @varied: how long servers take varies. @backlog: to each of those that are asked too much so many at once, at the beginning
 * @begin: of the requests, 0: not known yet. What ends from @from to @until is measured, by now()
 * @ready: servers. @here: requests at each of them. @executions: that they have begun
 * @times: of requests; one that was not answered took TIMEOUT_MS. @total_ns: of all of them
 * @ended: with those. @forwarded: answered by another server than the one that was asked, @in_time: as soon as can be
 */
struct scene {
	unsigned int hosts;
	bool varied;
	double rates[WEB_HOSTS];
	unsigned int backlog;
	_Atomic uint64_t begin;
	uint64_t warm_ns, window_ns, from, until;
	atomic_uint ready, here[WEB_HOSTS];
	atomic_ullong executions;
	struct histogram times;
	uint64_t total_ns;
	unsigned int ended, answered, forwarded, in_time;
};

struct balancing;

/* CPU time, ns: of what is in front of servers; of nodes, which is monitoring, handling of events and filters. */
struct spent {
	uint64_t fronts, nodes;
};

enum asked { ALL_BUT_LAST, ALL, FIRST };

/**
 * struct balancer - who is between clients and servers
 * @lacks: what is missing here, NULL: nothing. May be NULL, as the others
 * @start: the servers are there. @end: its processes have ended
 * @serve: in a process at each host; NULL: web_serve(). @ask: in that of the clients; NULL: web_ask()
 * @front: clients ask that port; NULL: WEB_PORT
 * @central: at CLIENT; else each host has one, and its clients ask that
 * @nodes: the nodes' work is its
 */
struct balancer {
	const char *(*lacks)(void);
	void (*start)(const struct balancing *b, const struct scene *s);
	void (*end)(const struct scene *s);
	void (*serve)(struct scene *s, unsigned int host);
	void (*ask)(struct scene *s, const struct balancing *b);
	const char *front;
	bool central, nodes;
};

/**
 * struct balancing - a variant of an entry
 * @options: of kecho-httpd-lb, ends with NULL
 * @filter: of its channel of requests, in place of what it has by itself; NULL: that
 * @asked: which servers are asked at the rate; the others a tenth of it, or a @part of it
 * @varied: how long servers take varies
 */
struct balancing {
	const struct balancer *by;
	const char *const *options;
	const char *filter;
	enum asked asked;
	unsigned int part;
	bool varied;
};

extern const struct balancer no_balancer, kecho_balancer, haproxy_balancer, agent_balancer, nats_balancer;

/* --- balance.c --- */

/** balance_up() - servers and balancer. balance_measure() - the clients. balance_down() - all have ended */
struct scene *balance_up(const struct balancing *b, unsigned int hosts);
/** balance_rates() - so many a second to each host, or as @b has it; measured for so long */
void balance_rates(struct scene *s, const struct balancing *b, double rate, unsigned int ms);
/** balance_measure() - Return: what the balancing took meanwhile, of all hosts */
struct spent balance_measure(struct scene *s, const struct balancing *b);
void balance_down(struct scene *s, const struct balancing *b);
/** balance_used() - likewise, up to now */
struct spent balance_used(const struct scene *s, const struct balancing *b);
/** balance_join() - makes a channel at the first hosts, balance_leave() ends it */
void balance_join(const char *channel, unsigned int hosts);
void balance_leave(const char *channel, unsigned int hosts);
const char *balance_lacks(const struct entry *e);
/** balance_wait() - sleeps until then, by now(); it is the end of all if a process ends meanwhile */
void balance_wait(uint64_t when);

/* --- crew.c: processes at hosts, from crew_run() to crew_end() --- */

/** crew_there() - a program, beside this one or where a shell finds it */
bool crew_there(const char *program);
/** crew_run() - @run in a process of its own. @counts: its time is the balancer's */
void crew_run(unsigned int host, bool counts, void (*run)(void *arg, unsigned int host), void *arg);
/** crew_exec() - likewise a program, with the node of its host as KECHO_DIR. @argv: ends with NULL */
void crew_exec(unsigned int host, bool counts, const char *const *argv);
/** crew_used() - nanoseconds, by those that count */
uint64_t crew_used(void);
/** crew_check() - false: one has ended well, and is no more of them. It is the end of all if one has not */
bool crew_check(void);
void crew_end(void);

/* --- clients.c: times and results of requests, whatever carries them --- */

struct request {
	uint64_t due;
	_Atomic uint64_t ended;
	short asked, served;	/* by that host, -1: by none */
};

/** clients_begin() - all can be reached. Until clients_end() each comes when it is due */
void clients_begin(struct scene *s);
/** clients_next() - when the next one is due; UINT64_MAX: there is none */
uint64_t clients_next(const struct scene *s);
/** clients_take() - that one */
struct request *clients_take(struct scene *s);
static inline void clients_ended(struct request *r, short served) { r->served = served; r->ended = now(); }
void clients_end(struct scene *s, bool own);

/* --- web.c --- */

void web_serve(struct scene *s, unsigned int host);
/* --- http.c --- */
void web_ask(struct scene *s, const struct balancing *b);

/* --- monitor.c --- */

/**
 * struct monitor - in a process at each host: says so often how many requests are there
 * @event: as an event, too
 */
struct monitor {
	struct scene *scene;
	const char *channel;
	unsigned int rate;
	bool event;
};

void monitor_run(void *arg, unsigned int host);
#endif
