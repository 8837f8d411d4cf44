/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: A network and a clock in one process
 *
 * Nodes run as a home runs them (kechofs/home.c, tcp.c), on connections that are byte queues in memory. Nothing here depends on
 * anything but the seed, so a run can be repeated: KECHO_SEED=N test/unit/NAME_test. A failed check prints the seed.
 * KECHO_TRACE=1 shows what happens.
 */
#ifndef TEST_SIM_H
#define TEST_SIM_H
#include "unit.h"
#include "../../lib/channel/channel.h"
#include "../../lib/cm/framer.h"
#include "../../lib/cm/rudp.h"

#define SIM_NODES 12
#define SIM_MS 1000000ull
#define SIM_S 1000000000ull

/**
 * struct sim_node - a host
 * @raw: only its cm is used, with a kecho_cm_user of the test
 * @refuse: nobody listens
 */
struct sim_node {
	struct kecho_node node;
	int i;
	bool alive, raw, refuse;
	u64 due;
	u32 dials;
	struct kecho_rudp_end end;
};

/**
 * struct sim_end - one end of a connection
 * @peer: NULL: gone; what is sent then is answered by a reset, if it is answered at all
 * @in: what is on its way here, &struct seg
 * @eof_at: when the end of the stream arrives, 0: it does not
 * @cut_after: so many more bytes arrive, then the connection breaks on both sides; -1: any number
 */
struct sim_end {
	struct kecho_conn conn;
	struct list_head node;
	struct sim_node *n;
	int from;
	struct sim_end *peer;
	struct kecho_link *link;
	u64 connect_at;
	bool dead, want_out;
	int kicked;
	struct list_head in;
	u32 in_bytes;
	u64 last_at, eof_at;
	long cut_after;
	struct kecho_framer framer;
};

/**
 * struct sim_net - how datagrams fare
 * @loss, @dup, @corrupt: of a million; what is corrupted is thrown away, as UDP's checksum has it, unless @unchecked
 * @mtu: longer ones vanish; @local_mtu: longer ones are refused at once
 * @rate: bytes a second to each node, 0: any; what makes more than @queue bytes wait is dropped
 * @jump: now and then all that follows is late by so much, until the next time
 */
struct sim_net {
	u32 loss, dup, corrupt;
	bool unchecked;
	u32 mtu, local_mtu;
	u64 rate;
	u32 queue;
	u64 jump;
	u64 sent, lost, bytes;
};

/**
 * struct sim - everything
 * @blocked: what node [i] sends to node [j] does not arrive until it may again
 * @no_reset: what is sent to a dead end is not answered
 * @lat_min, @lat_max: a segment's latency
 * @sndbuf: bytes that a direction of a connection holds
 * @chunk: a send takes at most 1..@chunk bytes; 0: as many as there is room for
 * @settle: after each step, outside of all locks: what the callbacks noted can be done here
 * @rudp: nodes call by reliable UDP, over @net; latencies are as above, but each datagram's its own
 * @taken: events, as where nothing may sleep: half of those that arrive whole
 * @cut_next: cut_after of the opener's [0] and acceptor's [1] end of the next connection
 */
struct sim {
	u64 seed, rng, now, ids;
	struct sim_node n[SIM_NODES];
	bool blocked[SIM_NODES][SIM_NODES];
	bool no_reset;
	u64 lat_min, lat_max;
	u32 sndbuf, chunk;
	void (*settle)(void);
	bool rudp;
	struct sim_net net;
	long cut_next[2];
	struct list_head ends, dead, dials;
	u64 steps;
	u32 cuts, taken;
};

extern struct sim sim;

/* What a test is told; each may be NULL. Called with the core's locks held. */
struct sim_hooks {
	void (*ready)(struct kecho_sink *sink);
	void (*room)(struct kecho_channel *ch);
	void (*changed)(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event);
	void (*joined)(struct kecho_channel *ch);
	void (*listed)(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h);
	const struct kecho_filter_ops *(*filter_get)(struct kecho_node *node, const char *name);
};
extern struct sim_hooks sim_hooks;

/** sim_seed() - KECHO_SEED, or @def */
u64 sim_seed(u64 def);
/** sim_runs() - how many seeds to try: 1 if KECHO_SEED is set, KECHO_RUNS, or @def */
u32 sim_runs(u32 def);
void sim_init(u64 seed);
/** sim_exit() - ends all nodes */
void sim_exit(void);
u64 sim_random(void);
static inline u64 sim_below(u64 n) { return sim_random() % n; }

/** sim_node_start() - @registry_lease as for kecho_node_init(); node @i listens, its id is new and above those before */
struct sim_node *sim_node_start(int i, u64 registry_lease);
struct sim_node *sim_raw_start(int i, u64 id, const struct kecho_cm_user *user);
/** sim_node_stop() - @silent: its peers are not told by the network; otherwise its connections are closed */
void sim_node_stop(int i, bool silent);
void sim_addr(int i, struct kecho_addr *a);
/** sim_call() - a configured peer */
void sim_call(int from, int to);
struct kecho_link *sim_link(int from, int to);

void sim_run(u64 ns);
/** sim_until() - until @cond holds or @ns have passed. Returns whether it holds */
bool sim_until(bool (*cond)(void), u64 ns);
static inline u64 sim_realtime(void) { return sim.now + 1700000000 * SIM_S; }

/** sim_cut() - every connection between the two breaks, what is on its way is lost */
u32 sim_cut(int a, int b);
/** sim_die() - node @a's ends of its connections with @b die, and @b is not told */
u32 sim_die(int a, int b);
void sim_block(int a, int b, bool blocked);	/* both directions */
/** sim_heal() - nothing is blocked or about to be cut */
void sim_heal(void);
u32 sim_conns(int a, int b);
/** sim_stranger() - a connection to @i from SIM_STRANGER, who says what sim_inject() says and hears nothing */
#define SIM_STRANGER (SIM_NODES - 1)
void sim_stranger(int i);
/** sim_inject() - bytes as if the other side had sent them, on @i's connection with @from */
bool sim_inject(int i, int from, const void *p, size_t len);

/* sim_net.c: connections by reliable UDP, for sim.c */
void sim_net_init(void);
void sim_net_exit(void);
void sim_net_start(struct sim_node *n);
/** sim_net_silence() - its connections are to end without a word */
void sim_net_silence(struct sim_node *n);
void sim_net_stop(struct sim_node *n);
void sim_net_dial(struct sim_node *from, struct kecho_link *link);
void sim_net_kick(struct kecho_conn *conn);
void sim_net_close(struct kecho_conn *conn);
/** sim_net_next() - when something happens next */
u64 sim_net_next(void);
void sim_net_step(void);
/** sim_net_flush() - sends what has been kicked. Returns whether there was any */
bool sim_net_flush(void);
/** sim_net_die() - node @a's connections with @b vanish, and @b is not told */
u32 sim_net_die(int a, int b);
/** sim_rudp() - the connection from @a to @b, or NULL */
struct kecho_rudp *sim_rudp(int a, int b);
u64 sim_latency(void);

/** sim_trace() - a line for KECHO_TRACE */
void sim_trace(const char *fmt, ...) __printf(1, 2);
/** sim_failed() - does not return */
void sim_failed(const char *what, const char *file, int line);
#define check(x) do { if (!(x)) { sim_failed(#x, __FILE__, __LINE__); abort(); } } while (0)
#endif
