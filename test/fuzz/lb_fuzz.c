// SPDX-License-Identifier: GPL-2.0
/* Load balancing: any messages in any order to a server and to an asker, and time between them. What they count stays right, and ends. */
#include <linux/slab.h>
#include "fuzz.h"
#include "../../lib/services/lb.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define ASKS 4

static struct lb_ask asks[ASKS];
static bool waits[ASKS];
static u32 jobs;

static struct lb_job *take(struct lb_server *server, const struct lb_msg *msg)
{
	if (msg->n == 7)
		return NULL;
	jobs++;
	return calloc(1, sizeof(struct lb_job));
}

static void start(struct lb_server *server, struct lb_job *job) { CHECK(job->state == LB_RUNNING); }
static void server_send(struct lb_server *server, const struct lb_msg *msg) { CHECK(msg->by == server->by); }
static __u64 realtime(struct lb_server *server) { return 5; }
static void drop(struct lb_server *server, struct lb_job *job, bool running)
{
	CHECK(running == (job->state == LB_RUNNING));
	jobs--;
	free(job);
}

static void send(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	if (msg->type == LB_GO)
		CHECK(ask->once ? ask->chosen == msg->by : ask->n && !ask->cancel);
}

static void done(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	CHECK(waits[ask - asks]);
	waits[ask - asks] = false;
}

static const struct lb_server_ops server_ops = { take, start, drop, server_send, realtime };
static const struct lb_asker_ops asker_ops = { send, done };

static void count(const struct lb_server *server)
{
	u32 queued = 0, busy = 0;
	const struct lb_job *job;

	for (job = server->jobs; job; job = job->next)
		job->state == LB_QUEUED ? queued++ : busy++;
	CHECK(queued == server->queued && busy == server->busy && queued + busy == jobs);
	CHECK(busy <= server->slots && queued <= server->queue_max);
	CHECK(busy == server->slots || !queued || server->closed);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct lb_server server = { .ops = &server_ops, .by = 3, .slots = 2, .others_max = 2, .here_max = 1, .queue_max = 3 };
	struct in in = { data, data + size };
	struct lb_asker asker = { .ops = &asker_ops };
	struct lb_job *job;
	__u64 now = 1;
	u8 what;
	int i;

	memset(waits, 0, sizeof(waits));
	while (in.p < in.end) {
		what = in_u8(&in);
		i = what % ASKS;
		if (what < 200) {
			struct lb_msg msg = { .type = what % LB_TYPES, .id = 1 + in_u8(&in) % ASKS };

			what = in_u8(&in);
			msg.by = 1 + what % 8;
			msg.once = what & 8;
			msg.cancel = what & 16;
			msg.local = what & 32;
			msg.attempt = what >> 6;
			msg.at = what & 1 ? 4 : 6;
			msg.n = what & 7;
			msg.node = 1 + (what & 3);
			msg.ready = what & 4;
			lb_server_event(&server, &msg, now);
			lb_asker_event(&asker, &msg, now);
		} else if (what < 210 && !waits[i]) {
			asks[i] = (struct lb_ask){ .id = 1 + i, .once = what & 1, .here_ms = what & 2 ? LB_HERE_MS : 0, .wait_ms = 100, .timeout_ms = 5000,
				.n = what % 3, .cancel = what & 8 };
			waits[i] = true;
			lb_ask(&asker, &asks[i], what & 4, now);
		} else if (what < 215 && waits[i]) {
			lb_ask_end(&asker, &asks[i]);
			waits[i] = false;
		} else if (what < 235) {
			for (job = server.jobs; job && job->state != LB_RUNNING; job = job->next)
				;
			if (job && what & 1)
				lb_server_done(&server, job, 0, NULL, 0, now);
			else if (job)
				lb_server_give_back(&server, job, now);
		} else {
			now += in_u8(&in) * 8;
			CHECK(lb_server_tick(&server, now) > now && lb_asker_tick(&asker, now) > now);
		}
		count(&server);
	}
	now += 5000;
	lb_asker_tick(&asker, now);
	CHECK(!asker.asks);
	lb_server_close(&server, true, now);
	count(&server);
	CHECK(!jobs);
	return 0;
}
