/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Leases on resources
 *
 * Two state machines without clock, network, memory or locks of their own: a *manager* has the only say about one resource of its host,
 * an *asker* wants so much of a resource, from whoever has it. They are given messages and the time, and send by a hook; who uses them
 * calls them one at a time. kecho-res(7) tells the protocol.
 *
 * Times are nanoseconds of a clock that goes on while the machine sleeps (CLOCK_BOOTTIME); hosts' clocks need not agree, but may
 * not differ in speed by more than RES_MARGIN of a lease. What holds, whatever is lost, repeated, late, or dies:
 *   - what askers may use of a manager's resource at any time, together, is not more than there is of it;
 *   - what nobody holds any more is free again, after the time of a lease at the latest.
 */
#ifndef SERVICES_RES_H
#define SERVICES_RES_H
#ifdef __KERNEL__
#include <linux/string.h>
#else
#include <string.h>
#endif
#include <kecho/kecho.h>
#include <kecho/limits.h>

#define RES_MS		1000000ull
#define RES_NEVER	(~0ull)
#define RES_TTL_MIN	100		/* milliseconds; a lease's time */
#define RES_TTL_MAX	3600000
#define RES_TTL		10000		/* unless something else is said */
#define RES_HOLD	2000		/* a reservation's */
#define RES_COLLECT	100		/* so long after the first offer others are waited for */
#define RES_ASK		500		/* so often one asks, if nobody offers */
#define RES_REPEAT	100		/* so often one accepts or releases, if nobody answers */
#define RES_REPEATS	8
/* The shares of a lease's time: how much earlier than its manager its holder ends it, and how much earlier than that he is told to. */
#define RES_MARGIN	16
#define RES_GRACE	4

/* Types of events by which they travel: res_kinds. Those before RES_REVOKE are an asker's, with its stamp. */
enum res_kind {
	RES_REQUEST, RES_ACCEPT, RES_RENEW, RES_RELEASE, RES_REVOKE,
	RES_OFFER, RES_GRANT, RES_REFUSE, RES_RELEASED, RES_END,
	RES_LIST, RES_STATE, RES_HELD_BY,
	RES_KINDS
};
extern const char * const res_kinds[RES_KINDS];

/**
 * struct res_msg - a message
 * @kind: enum res_kind
 * @id: of the request, of the lease that came of it, or of a question (RES_LIST)
 * @manager: to or from this one; 0: to all
 * @node: its home is to have it, 0: all; of one that was received: whence it came
 * @stamp: the asker's time when it sent that, always more than before; in an answer, when what is answered was sent
 * @name, @name_len: the resource
 * @amount: wanted, or in RES_STATE all there is
 * @ttl: milliseconds: of the lease
 * @free: of the resource
 * @load: thousandths of it that are not free
 * @lease, @holder, @state: RES_HELD_BY: one of the leases, the node that has it, &enum res_lease_state
 * @left: nanoseconds: RES_HELD_BY: to its end; RES_STATE: until there will be grants
 * @more: to be sent: ``name=value`` lines of a manager's own; NULL: none
 * @attrs, @attrs_len: received: all attributes
 */
struct res_msg {
	__u8 kind;
	__u8 name_len;
	__u8 state;
	__u64 id, manager, node, stamp;
	const char *name;
	__u32 amount, ttl, free, load;
	__u64 lease, holder, left;
	const char *more;
	const void *attrs;
	__u32 attrs_len;
};

typedef void (*res_send_t)(const struct res_msg *msg, void *arg);

/* --- manager --- */

enum res_lease_state { RES_FREE, RES_RESERVED, RES_GRANTED, RES_ENDING };

/** struct res_lease - a manager's record of one; it is free again at @until. @stamp: the latest of its asker */
struct res_lease {
	__u64 id, holder, stamp, until;
	__u32 amount;
	__u8 state;
};

/**
 * struct res_manager - the manager of a resource
 * @id: random, another one each time it is started
 * @name, @amount: the resource
 * @ttl: milliseconds; no lease's time is longer. The same as that of the manager that had the resource before, or more
 * @attrs: what is said in offers, besides: ``name=value`` lines, or NULL
 * @leases, @max: room for so many at a time, all zero
 * @send, @arg: sends a message
 * @used: of @amount, reserved or granted
 * @ready: there are no grants before, for the manager that had the resource until it died may have given it away
 * @leaving: there are no grants any more
 *
 * What stands before @used is the caller's to set.
 */
struct res_manager {
	__u64 id;
	const char *name;
	__u32 amount, ttl;
	const char *attrs;
	struct res_lease *leases;
	__u32 max;
	res_send_t send;
	void *arg;

	__u32 used;
	__u64 ready;
	bool leaving;
};

/** res_manager_start() - @fresh: it is known that nobody uses the resource; otherwise @m gives nothing until all old leases have ended */
void res_manager_start(struct res_manager *m, bool fresh, __u64 now);
void res_manager_recv(struct res_manager *m, const struct res_msg *msg, __u64 now);
/** res_manager_run() - leases end. Return: when to call it again, at the latest */
__u64 res_manager_run(struct res_manager *m, __u64 now);
/** res_manager_leave() - it gives nothing more and renews no lease; it may be ended when @m->used is 0 */
void res_manager_leave(struct res_manager *m, __u64 now);

/* --- asker --- */

enum res_state {
	RES_ASKING,
	RES_ACCEPTING,
	RES_HELD,	/* may be used, until @until */
	RES_LOST,	/* likewise, but will not be renewed: stop now, and call res_asker_release() */
	RES_RELEASING,
	RES_ENDED,
};

enum res_by { RES_FIRST, RES_LEAST, RES_MOST };

/**
 * struct res_asker - who wants, then has, a lease
 * @id: random, another one each time
 * @name, @amount, @ttl: what is wanted; ttl in milliseconds
 * @by, @attr: which offer: the first, or that with the least or most of the attribute (one without it is the worst)
 * @send, @arg: sends a message
 * @state: enum res_state
 * @manager, @node: who has granted it, or has made the best offer so far; manager 0: nobody
 * @until: it may be used until then
 * @granted: milliseconds; the lease's time
 *
 * What stands before @state is the caller's to set.
 */
struct res_asker {
	__u64 id;
	const char *name;
	__u32 amount, ttl;
	enum res_by by;
	const char *attr;
	res_send_t send;
	void *arg;

	enum res_state state;
	__u64 manager, node, until;
	__u32 granted;
	bool valued;
	__s64 value;		/* of @attr in the best offer */
	__u64 stamp;		/* of what was sent last */
	__u64 since;		/* answers to what was sent earlier are no longer of interest */
	__u64 next, ends;	/* when to send again, when to stop that */
};

/** res_asker_best() - sets @by and @attr by what one writes: first, least, least:ATTR, most:ATTR, which is kept. False: it is not that */
bool res_asker_best(struct res_asker *a, const char *best);
void res_asker_start(struct res_asker *a, __u64 now);
void res_asker_recv(struct res_asker *a, const struct res_msg *msg, __u64 now);
/** res_asker_run() - time has passed. Return: when to call it again, at the latest; what happens at @until the caller knows */
__u64 res_asker_run(struct res_asker *a, __u64 now);
/** res_asker_release() - it is not used any more. The manager is told until RES_ENDED */
void res_asker_release(struct res_asker *a, __u64 now);

/* --- their messages as events: res_event.c --- */

#define RES_TEXT_MAX	2048
#define RES_MORE_MAX	1024	/* of these a manager's own lines */

/** struct res_port - a channel, and room for one message at a time */
struct res_port {
	struct kecho *channel;
	char text[RES_TEXT_MAX], attrs[RES_TEXT_MAX];
};

/** res_publish() - does not wait: an event that finds no room is one that is lost. Return: as kecho_publish(). Context: may sleep */
int res_publish(struct res_port *port, const struct res_msg *msg);
/** res_receive() - false: it is something else. @msg points into @event */
bool res_receive(const struct kecho_event *event, struct res_msg *msg);
#endif
