// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Who serves: a queue, slots, and a lease for each request, renewed as long as it is here. */
#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif
#include "lb.h"

static struct lb_job **find(struct lb_server *server, __u64 id)
{
	struct lb_job **at = &server->jobs;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* All but what everybody is told goes to who asked. */
static void tell(struct lb_server *server, struct lb_job *job, enum lb_type type, __u64 now_ms)
{
	struct lb_msg msg = { .type = type, .id = job->id, .by = server->by, .node = job->asker, .attempt = job->attempt };

	if (type == LB_STARTED) {
		msg.at = job->at;
		if (job->cancel)
			msg.node = 0;
	}
	job->told_ms = now_ms;
	server->ops->send(server, &msg);
}

static void decline(struct lb_server *server, const struct lb_msg *request)
{
	struct lb_msg msg = { .type = LB_DECLINED, .id = request->id, .by = server->by, .node = request->node };

	server->ops->send(server, &msg);
}

static void remove_job(struct lb_server *server, struct lb_job **at)
{
	struct lb_job *job = *at;

	*at = job->next;
	if (job->state == LB_QUEUED)
		server->queued--;
	else if (job->state != LB_DONE)
		server->busy--;
	server->ops->drop(server, job, job->state == LB_RUNNING);
}

static void give_back(struct lb_server *server, struct lb_job **at, __u64 now_ms)
{
	tell(server, *at, LB_DECLINED, now_ms);
	remove_job(server, at);
}

/* Who does not answer an offer would not answer the next one: none of its keeps a place free. */
static void give_back_all(struct lb_server *server, __u64 asker, __u64 now_ms)
{
	struct lb_job **at = &server->jobs;

	while (*at) {
		if ((*at)->asker == asker && (*at)->state <= LB_OFFERED && (*at)->ready)
			give_back(server, at, now_ms);
		else
			at = &(*at)->next;
	}
}

/* It may have been done, or half: nobody is to do it again, as one would that is given back. */
static void cut_off(struct lb_server *server, struct lb_job **at)
{
	struct lb_msg msg = { .type = LB_ANSWER, .id = (*at)->id, .by = server->by, .node = (*at)->asker, .status = -ECANCELED };

	server->ops->send(server, &msg);
	remove_job(server, at);
}

static void run(struct lb_server *server, struct lb_job *job, __u64 now_ms)
{
	job->state = LB_RUNNING;
	job->at = server->ops->realtime_ns(server);
	tell(server, job, LB_STARTED, now_ms);
	server->ops->start(server, job);
}

static void fill_slots(struct lb_server *server, __u64 now_ms)
{
	struct lb_job *job;

	for (job = server->jobs; job && server->busy < server->slots; job = job->next) {
		if (job->state != LB_QUEUED)
			continue;
		server->queued--;
		server->busy++;
		if (job->ready) {
			job->state = LB_OFFERED;
			job->since_ms = now_ms;
			tell(server, job, LB_READY, now_ms);
		} else {
			run(server, job, now_ms);
		}
	}
}

/* Who asks again has not heard what it was told: what it is told now is of the latest attempt. */
static void again(struct lb_server *server, struct lb_job *job, const struct lb_msg *msg, __u64 now_ms)
{
	static const enum lb_type says[] = { [LB_QUEUED] = LB_TAKEN, [LB_OFFERED] = LB_READY, [LB_RUNNING] = LB_STARTED };

	if (job->asker != msg->node)
		return;
	job->attempt = msg->attempt;
	job->ready |= msg->ready;
	tell(server, job, says[job->state], now_ms);
}

static __u32 room(const struct lb_server *server, const struct lb_msg *msg)
{
	if (msg->type == LB_REQUEST)
		return server->others_max;
	return msg->attempt ? server->queue_max : server->here_max;
}

/* Its asker is to be told again, maybe before all others. An offer's end comes with that, for its time is a multiple of it. */
static void note(struct lb_server *server, const struct lb_job *job)
{
	__u64 at = job->told_ms + LB_RENEW_MS;

	if (at < server->due_ms)
		server->due_ms = at;
}

static void take(struct lb_server *server, const struct lb_msg *msg, __u64 now_ms)
{
	struct lb_job *job, **at = find(server, msg->id);

	if (*at) {
		again(server, *at, msg, now_ms);
		return;
	}
	if (server->closed || (server->busy >= server->slots && server->queued >= room(server, msg))) {
		decline(server, msg);
		return;
	}
	job = server->ops->take(server, msg);
	if (!job) {
		decline(server, msg);
		return;
	}
	job->id = msg->id;
	job->asker = msg->node;
	job->once = msg->once;
	job->ready = msg->once || msg->ready;
	job->cancel = msg->cancel && !msg->once;
	job->attempt = msg->attempt;
	job->told_ms = now_ms;
	note(server, job);
	*at = job;	/* the end of the list */
	server->queued++;
	fill_slots(server, now_ms);
	if (job->state == LB_QUEUED)
		tell(server, job, LB_TAKEN, now_ms);
}

static bool later(const struct lb_job *job, __u64 by, const struct lb_msg *other)
{
	return job->at > other->at || (job->at == other->at && by > other->by);
}

void lb_server_event(struct lb_server *server, const struct lb_msg *msg, __u64 now_ms)
{
	struct lb_job **at, *job;

	/* Hosts' own servers are asked by LB_ASK alone. */
	if (msg->type == LB_ASK || msg->type == LB_REQUEST) {
		if (msg->local == (msg->type == LB_ASK))
			take(server, msg, now_ms);
		return;
	}
	at = find(server, msg->id);
	job = *at;
	if (!job)
		return;
	switch (msg->type) {
	case LB_GO:
		/* That of an earlier attempt may be late: by now another server may have been chosen. */
		if (msg->by == server->by && job->state == LB_OFFERED && msg->attempt == job->attempt)
			run(server, job, now_ms);
		break;
	case LB_STOP:
		/* What must not be done twice is not left half done: its asker may have given up, and so say this to any who has it. */
		if (msg->by == server->by && !(job->once && job->state == LB_RUNNING))
			remove_job(server, at);
		break;
	case LB_STARTED:
		if (msg->by == server->by || !job->cancel)
			break;
		if (job->state != LB_RUNNING || later(job, server->by, msg)) {
			give_back(server, at, now_ms);
		} else {
			/* It may have had the request after it was told that this one has begun. */
			struct lb_msg mine = { .type = LB_STARTED, .id = job->id, .by = server->by, .node = msg->node, .at = job->at };

			server->ops->send(server, &mine);
		}
		break;
	default:
		break;
	}
	fill_slots(server, now_ms);
}

void lb_server_done(struct lb_server *server, struct lb_job *job, __s32 status, const void *data, __u32 len, __u64 now_ms)
{
	struct lb_msg msg = {
		.type = LB_ANSWER, .id = job->id, .by = server->by, .node = job->asker, .status = status, .data = data, .len = len
	};
	struct lb_job **at = find(server, job->id);

	/* Before the answer, which so takes along what is said of the load. */
	job->state = LB_DONE;
	server->busy--;
	server->ops->send(server, &msg);
	remove_job(server, at);
	fill_slots(server, now_ms);
}

void lb_server_give_back(struct lb_server *server, struct lb_job *job, __u64 now_ms)
{
	job->state = LB_DONE;
	server->busy--;
	give_back(server, find(server, job->id), now_ms);
	fill_slots(server, now_ms);
}

__u64 lb_server_tick(struct lb_server *server, __u64 now_ms)
{
	struct lb_job *job, **at = &server->jobs;

	if (now_ms < server->due_ms)
		return server->due_ms;
	server->due_ms = LB_NEVER;
	while ((job = *at)) {
		if (job->state == LB_OFFERED && now_ms >= job->since_ms + LB_LEASE_MS) {
			give_back_all(server, job->asker, now_ms);
			at = &server->jobs;
			continue;
		}
		/* The word of an offer, or the answer to it, may be lost. */
		if (now_ms >= job->told_ms + LB_RENEW_MS)
			tell(server, job, job->state == LB_OFFERED ? LB_READY : LB_TAKEN, now_ms);
		note(server, job);
		at = &job->next;
	}
	fill_slots(server, now_ms);
	return server->due_ms;
}

void lb_server_close(struct lb_server *server, bool kill, __u64 now_ms)
{
	struct lb_job **at = &server->jobs;

	server->closed = true;
	while (*at) {
		if ((*at)->state != LB_RUNNING)
			give_back(server, at, now_ms);
		else if (!kill)
			at = &(*at)->next;
		else if ((*at)->once)
			cut_off(server, at);
		else
			give_back(server, at, now_ms);
	}
}
