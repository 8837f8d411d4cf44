/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Load balancing
 *
 * Who asks and who serves, as two state machines without I/O and without a clock; the kernel's service and the programs around them
 * move the messages. Requests travel on a channel, NAME, all else on NAME.answers: a filter can so choose who is asked (OUT least on
 * NAME), who is told (OUT reply on NAME.answers) and which answer counts (IN dedup there). Without filters everybody is asked and told,
 * and the result is the same.
 *
 *	asker					server
 *	ask, request -------------------------->
 *	    <------------ taken (it waits), started, or declined
 *	    <------------ taken: again while it is here: a lease
 *	    <------------------------------------ answer
 *	stop ---------------------------------->  to all others that have it
 *
 * *ask* is for the servers of the asker's own host; when they decline, or have not begun after a time, *request* goes to others. The first
 * answer wins; once as many have begun as were to, those that only wait are told to stop. When all that have taken a request are silent
 * or decline, or none has begun after that time, it is sent again, to one more each time.
 *
 * A request that must not be done twice ("once") is only begun when the asker says so: a server that has its turn says *ready* and the
 * asker tells the first of them *go*, never a second one. If that one is lost afterwards nobody knows how far it came: the request fails.
 * Any further ones that are asked for what others have already do the same ("ready"), so that no two begin it between a start and the
 * word of it.
 *
 * With "cancel" (the paper's other way) a server that begins tells everybody, and others stop; of two that began at the same time the one
 * with the later time stamp does, and if these are equal the one with the larger number.
 *
 * Context: neither of the two locks anything; calls on one asker or server must not run at the same time.
 */
#ifndef KECHO_SERVICES_LB_H
#define KECHO_SERVICES_LB_H
#include <kecho/kecho.h>

#define LB_ANSWERS	".answers"	/* behind the name of the channel */
#define LB_HOLDERS	16		/* a request is at so many servers at most */
#define LB_ENDED	64		/* an asker remembers so many of its requests that are over */
#define LB_HERE_MS	50		/* where it is not known whether there are servers on this host: one has taken it by then */
#define LB_ACK_MS	1000		/* nobody has taken it by then: it is sent again */
#define LB_LEASE_MS	2000		/* a server that has been silent so long is lost */
#define LB_RENEW_MS	500
#define LB_MORE_MS	2	/* none has begun by then: one more is asked, not sooner; twice as long each time, up to LB_ACK_MS */
#define LB_RETRY_MS	50		/* after all have declined; twice as long each time, up to LB_ACK_MS */
#define LB_NEVER	(~0ULL)
#define LB_ATTRS_MAX	320		/* of an encoded message */

enum lb_type {
	LB_ASK, LB_REQUEST,						/* on NAME */
	LB_TAKEN, LB_STARTED, LB_READY, LB_DECLINED, LB_ANSWER, LB_FAILED,	/* on NAME.answers, to who asked */
	LB_GO, LB_STOP,							/* on NAME.answers, to a server */
	LB_TYPES
};

/**
 * struct lb_msg - an event of the protocol
 * @id: which request: drawn at random by who asks
 * @by: which server: drawn at random when it starts
 * @node: to send: the id of the node it is for, 0: all; received: that of the publisher
 * @at: LB_STARTED: when, CLOCK_REALTIME in ns
 * @ready: LB_ASK, LB_REQUEST: others were asked before, and may have it: to be begun when the asker says so
 * @attempt: LB_REQUEST, LB_READY, LB_GO: counts how often it was sent
 * @n: to how many servers; 0: as the filter has it
 * @status: LB_ANSWER: of the command, or of what else served it; LB_FAILED: errno
 * @data, @len: LB_ASK, LB_REQUEST, LB_ANSWER
 * @local: received: published on this node
 */
struct lb_msg {
	enum lb_type type;
	bool once;
	bool ready;
	bool cancel;
	bool local;
	__u32 attempt;
	__u32 n;
	__s32 status;
	__u32 len;
	__u64 id;
	__u64 by;
	__u64 node;
	__u64 at;
	const void *data;
};

/**
 * lb_encode() - a message as an event
 * @attrs: gets the attributes, LB_ATTRS_MAX bytes. @event points to them and to @msg's data.
 * Return: 0, -ENOMEM. Context: may sleep.
 */
int lb_encode(const struct lb_msg *msg, void *attrs, struct kecho_event *event);
/** lb_decode() - the other way. Return: false: it is not of this protocol. Context: any. */
bool lb_decode(const struct kecho_event *event, struct lb_msg *msg);

/* --- to serve --- */

enum lb_job_state { LB_QUEUED, LB_OFFERED, LB_RUNNING, LB_DONE };

/**
 * struct lb_job - a request at a server; part of what the program around it keeps of it
 * @ready: it is begun when its asker says so, as what must not be done twice always is
 * @since_ms: when LB_OFFERED
 * @told_ms: when its asker was told last that it is here
 */
struct lb_job {
	struct lb_job *next;
	enum lb_job_state state;
	bool once;
	bool ready;
	bool cancel;
	__u32 attempt;
	__u64 id;
	__u64 asker;
	__u64 at;
	__u64 since_ms;
	__u64 told_ms;
};

struct lb_server;

/**
 * struct lb_server_ops - what the program around a server does; none of them may call the server
 * @take: a copy of a request with its data, in which the job is zero; NULL: there is no memory
 * @start: begin; lb_server_done() when it has been done
 * @drop: the job is over: end it if @running, and free it
 */
struct lb_server_ops {
	struct lb_job *(*take)(struct lb_server *server, const struct lb_msg *msg);
	void (*start)(struct lb_server *server, struct lb_job *job);
	void (*drop)(struct lb_server *server, struct lb_job *job, bool running);
	void (*send)(struct lb_server *server, const struct lb_msg *msg);
	__u64 (*realtime_ns)(struct lb_server *server);
};

/**
 * struct lb_server
 * @by: its number
 * @slots: so many at once
 * @others_max: so many may wait when another host asks: a further one of theirs is declined; @here_max: likewise when this one does;
 *	@queue_max: and when others have been asked, too
 * @busy: how many slots are taken; @queued: how many wait. What it says of its load is made of these
 * @due_ms: not sooner is there anything to do
 */
struct lb_server {
	const struct lb_server_ops *ops;
	__u64 by;
	__u32 slots;
	__u32 others_max;
	__u32 here_max;
	__u32 queue_max;
	__u32 busy;
	__u32 queued;
	bool closed;
	__u64 due_ms;
	struct lb_job *jobs;	/* the oldest first */
};

/** lb_server_event() - something has come, on either channel */
void lb_server_event(struct lb_server *server, const struct lb_msg *msg, __u64 now_ms);
/** lb_server_done() - answer, and begin the next; frees the job. @status, @data, @len: the answer's */
void lb_server_done(struct lb_server *server, struct lb_job *job, __s32 status, const void *data, __u32 len, __u64 now_ms);
/** lb_server_give_back() - it could not be begun after all: others may do it; frees the job */
void lb_server_give_back(struct lb_server *server, struct lb_job *job, __u64 now_ms);
/** lb_server_tick() - what time has come for. Return: when to call it next */
__u64 lb_server_tick(struct lb_server *server, __u64 now_ms);
/** lb_server_close() - take nothing more; decline what waits. What runs is done by lb_server_done() still, or dropped by @kill,
 * and then done by others, or answered with -ECANCELED if it must not be done twice */
void lb_server_close(struct lb_server *server, bool kill, __u64 now_ms);

/* --- to ask --- */

struct lb_holder {
	__u64 by;
	__u64 node;
	__u64 seen_ms;
	bool started;
};

/**
 * struct lb_ask - a request that waits for its answer; part of what the program around it keeps of it
 * @n: to how many servers, and so many do it at most; 0: as the filter has it, and as many as come to it
 * @here_ms: ask the servers of this host first, and others, too, when none has taken it by then; 0: others at once
 * @wait_ms: how long those who have it may wait with it before others are asked; and again for further ones, but not less
 *	than LB_MORE_MS says
 * @timeout_ms: when to give up; LB_NEVER
 *
 * These are set before lb_ask(), with @id, @once and @cancel. The rest is the asker's.
 */
struct lb_ask {
	struct lb_ask *next;
	__u64 id;
	__u32 n;
	bool once;
	bool cancel;
	__u64 here_ms;
	__u64 wait_ms;
	__u64 timeout_ms;

	__u32 attempt;		/* how often others were asked */
	__u32 nholders;
	__u64 sent_ms;		/* when it was sent last */
	__u64 send_ms;		/* when it is sent next, unless somebody has begun by then */
	__u64 chosen;		/* @by of who was told to go */
	bool begun;		/* and has said that it began */
	__u64 over_ms;
	struct lb_holder holders[LB_HOLDERS];
};

struct lb_asker;

/**
 * struct lb_asker_ops - what the program around an asker does; none of them may call the asker, but @done may call lb_ask()
 * @send: @ask's data are to be added to LB_ASK and LB_REQUEST
 * @done: the request is over, and its own again. @msg: the LB_ANSWER, or LB_FAILED: ETIMEDOUT, or EIO: it was to be done once, the server
 *	was lost, and it may have been done
 */
struct lb_asker_ops {
	void (*send)(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg);
	void (*done)(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg);
};

/**
 * struct lb_asker
 * @due_ms: not sooner is there anything to do
 * @forwards: how many requests have been sent
 * @ended: the last ones that are over, @nended in all
 */
struct lb_asker {
	const struct lb_asker_ops *ops;
	struct lb_ask *asks;
	__u64 due_ms;
	__u64 forwards;
	__u64 ended[LB_ENDED];
	__u32 nended;
};

/**
 * lb_ask() - begin
 * @published: LB_ASK has been published already, by who will see the answer; for who forwards on its behalf
 */
void lb_ask(struct lb_asker *asker, struct lb_ask *ask, bool published, __u64 now_ms);
/** lb_ask_end() - nobody waits for it any more; @done is not called */
void lb_ask_end(struct lb_asker *asker, struct lb_ask *ask);
/** lb_asker_event() - something has come on NAME.answers */
void lb_asker_event(struct lb_asker *asker, const struct lb_msg *msg, __u64 now_ms);
/** lb_asker_tick() - what time has come for. Return: when to call it next */
__u64 lb_asker_tick(struct lb_asker *asker, __u64 now_ms);
#endif
