// SPDX-License-Identifier: GPL-2.0
/* Load balancing: messages as events, a server, an asker, and hosts of both on a network that loses, delays and dies. */
#include "unit.h"
#include "../../lib/services/lb.h"

#define HOSTS 6
#define MSGS 4096
#define ASKS 64

struct host;

struct work {
	struct lb_job job;	/* first */
	u64 ends;		/* 0: does not run */
	u64 of;
};

struct question {
	struct lb_ask ask;	/* first */
	struct host *host;
	u32 done, begun, finished;
	s32 failed;
	bool over;
};

struct host {
	struct lb_server server;
	struct lb_asker asker;
	u64 node;
	bool alive, serves;
	u64 takes_ms, least_ms;
};

static struct host hosts[HOSTS];
static struct question questions[ASKS];
static u32 nquestions;
static u64 now, rng, next_by;
/* Of a thousand: lost. Messages arrive within @delay ms, in order for each pair and channel. */
static u32 loss, delay;
static u64 chosen_n;	/* to how many a request goes whose sender does not say */

static struct {
	struct lb_msg msg;
	struct host *from, *to;
	u64 at;
} flying[MSGS];
static u32 nflying;

static u32 draw(u32 below)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(rng >> 33) % below;
}

/* --- the network, with the filters least and reply --- */

static void fly(struct host *from, struct host *to, const struct lb_msg *msg)
{
	u64 at = now + (from == to ? 0 : 1 + draw(delay));
	u32 i;

	if (from != to && draw(1000) < loss)
		return;
	for (i = 0; i < nflying; i++)
		if (flying[i].from == from && flying[i].to == to &&
		    (flying[i].msg.type <= LB_REQUEST) == (msg->type <= LB_REQUEST) && flying[i].at > at)
			at = flying[i].at;
	assert_true(nflying < MSGS);
	flying[nflying].msg = *msg;
	flying[nflying].msg.node = from->node;
	flying[nflying].msg.local = from == to;
	flying[nflying].from = from;
	flying[nflying].to = to;
	flying[nflying++].at = at;
}

static u32 load(const struct host *h)
{
	return (h->server.busy + h->server.queued) * 1000 / h->server.slots;
}

static void publish(struct host *from, const struct lb_msg *msg)
{
	bool asked[HOSTS] = { false };
	u32 i, n = msg->n ? msg->n : chosen_n;
	struct host *best;

	if (msg->type == LB_REQUEST) {
		while (n--) {
			best = NULL;
			for (i = 0; i < HOSTS; i++)
				if (hosts[i].alive && hosts[i].serves && &hosts[i] != from && !asked[i] && (!best || load(&hosts[i]) < load(best)))
					best = &hosts[i];
			if (!best)
				break;
			asked[best - hosts] = true;
			fly(from, best, msg);
		}
		return;
	}
	for (i = 0; i < HOSTS; i++)
		if (hosts[i].alive && (!msg->node || msg->node == hosts[i].node) && (msg->type != LB_ASK || from == &hosts[i]))
			fly(from, &hosts[i], msg);
}

static void deliver(void)
{
	struct lb_msg msg;
	struct host *to;
	u32 i, first;

	for (;;) {
		first = nflying;
		for (i = 0; i < nflying; i++)
			if (flying[i].at <= now && (first == nflying || flying[i].at < flying[first].at))
				first = i;
		if (first == nflying)
			return;
		msg = flying[first].msg;
		to = flying[first].to;
		nflying--;
		memmove(&flying[first], &flying[first + 1], (nflying - first) * sizeof(flying[0]));
		if (!to->alive)
			continue;
		if (to->serves)
			lb_server_event(&to->server, &msg, now);
		lb_asker_event(&to->asker, &msg, now);
	}
}

/* --- the programs around both --- */

static struct question *question_of(u64 id)
{
	return &questions[id - 1];
}

static struct lb_job *srv_take(struct lb_server *server, const struct lb_msg *msg)
{
	struct work *w = calloc(1, sizeof(*w));

	w->of = msg->id;
	return &w->job;
}

static void srv_start(struct lb_server *server, struct lb_job *job)
{
	struct host *h = container_of(server, struct host, server);
	struct work *w = container_of(job, struct work, job);

	w->ends = now + 1 + h->least_ms + draw(2 * h->takes_ms);
	question_of(w->of)->begun++;
}

static void srv_drop(struct lb_server *server, struct lb_job *job, bool running)
{
	assert_int_equal(running, job->state == LB_RUNNING);
	free(container_of(job, struct work, job));
}

static void srv_send(struct lb_server *server, const struct lb_msg *msg)
{
	publish(container_of(server, struct host, server), msg);
}

static u64 srv_time(struct lb_server *server)
{
	return now * 1000000 + 1;
}

static const struct lb_server_ops server_ops = { srv_take, srv_start, srv_drop, srv_send, srv_time };

static void ask_send(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	publish(container_of(asker, struct host, asker), msg);
}

static void ask_done(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct question *q = container_of(ask, struct question, ask);

	assert_ptr_equal(container_of(asker, struct host, asker), q->host);
	assert_int_equal(msg->id, ask->id);
	q->done++;
	q->over = true;
	if (msg->type == LB_FAILED || msg->status < 0)
		q->failed = msg->status;
	else
		assert_int_equal(msg->status, (s32)ask->id);
}

static const struct lb_asker_ops asker_ops = { ask_send, ask_done };

static void host_up(struct host *h, bool serves, u32 slots, u32 queue)
{
	memset(h, 0, sizeof(*h));
	h->node = h - hosts + 1;
	h->alive = true;
	h->serves = serves;
	h->takes_ms = 20;
	h->server.ops = &server_ops;
	h->server.by = ++next_by;
	h->server.slots = slots;
	h->server.others_max = h->server.here_max = h->server.queue_max = queue;
	h->asker.ops = &asker_ops;
}

static void host_down(struct host *h)
{
	struct lb_job *job;

	h->alive = false;
	while ((job = h->server.jobs)) {
		h->server.jobs = job->next;
		free(container_of(job, struct work, job));
	}
}

static struct question *ask(struct host *h, bool once, bool cancel, u32 n, u64 wait_ms, u64 timeout_ms)
{
	struct question *q = &questions[nquestions++];

	memset(q, 0, sizeof(*q));
	q->host = h;
	q->ask.id = nquestions;
	q->ask.once = once;
	q->ask.cancel = cancel;
	q->ask.n = n;
	q->ask.here_ms = wait_ms ? LB_HERE_MS : 0;
	q->ask.wait_ms = wait_ms ? wait_ms : 1000;
	q->ask.timeout_ms = timeout_ms;
	lb_ask(&h->asker, &q->ask, false, now);
	return q;
}

static void finish_work(struct host *h)
{
	struct lb_job *job, *next;
	struct work *w;

	for (job = h->server.jobs; job; job = next) {
		next = job->next;
		w = container_of(job, struct work, job);
		if (job->state == LB_RUNNING && w->ends <= now) {
			question_of(w->of)->finished++;
			lb_server_done(&h->server, job, (s32)w->of, NULL, 0, now);
			next = h->server.jobs;	/* others may have begun, or gone */
		}
	}
}

static void step(void)
{
	u32 i;

	now++;
	deliver();
	for (i = 0; i < HOSTS; i++) {
		if (!hosts[i].alive)
			continue;
		if (hosts[i].serves) {
			finish_work(&hosts[i]);
			lb_server_tick(&hosts[i].server, now);
		}
		lb_asker_tick(&hosts[i].asker, now);
		deliver();
	}
}

static void run(u64 ms)
{
	while (ms--)
		step();
}

static void begin(u64 seed)
{
	u32 i;

	memset(hosts, 0, sizeof(hosts));
	now = 1000000;
	rng = seed;
	nflying = nquestions = 0;
	loss = 0;
	delay = 3;
	chosen_n = 1;
	for (i = 0; i < HOSTS; i++)
		host_up(&hosts[i], i > 0, 1, 4);
}

/* Nothing is left anywhere of requests that are over. */
static void all_idle(void)
{
	u32 i;

	for (i = 0; i < HOSTS; i++) {
		if (!hosts[i].alive)
			continue;
		assert_null(hosts[i].server.jobs);
		assert_int_equal(hosts[i].server.busy, 0);
		assert_int_equal(hosts[i].server.queued, 0);
		assert_null(hosts[i].asker.asks);
	}
}

static int teardown(void **state)
{
	u32 i;

	for (i = 0; i < HOSTS; i++)
		host_down(&hosts[i]);
	return 0;
}

/* --- tests --- */

static void messages(void **state)
{
	struct lb_msg in = {
		.once = true, .cancel = true, .attempt = 3, .n = 2, .status = -7, .id = 0x7fffffffffffffffull, .by = 12345678901234567ull,
		.node = 0x0123456789012345ull, .at = 1700000000123456789ull, .data = "x\0y", .len = 3
	};
	char attrs[LB_ATTRS_MAX];
	struct kecho_event event;
	struct kecho_attr to;
	struct lb_msg out;

	for (in.type = 0; in.type < LB_TYPES; in.type++) {
		assert_int_equal(lb_encode(&in, attrs, &event), 0);
		/* As the filter reply reads it: a string, though all digits. */
		assert_true(kecho_attr_find(event.attrs, event.attrs_len, "to", &to));
		assert_int_equal(to.type, KECHO_ATTR_STRING);
		assert_memory_equal(to.str, "0123456789012345", 16);
		event.publisher = 77;
		event.flags = KECHO_FRAME_LOCAL;
		assert_true(lb_decode(&event, &out));
		assert_int_equal(out.type, in.type);
		assert_true(out.once && out.cancel && out.local);
		assert_int_equal(out.attempt, 3);
		assert_int_equal(out.n, 2);
		assert_int_equal(out.status, -7);
		assert_int_equal(out.id, in.id);
		assert_int_equal(out.by, in.by);
		assert_int_equal(out.at, in.at);
		assert_int_equal(out.node, 77);
		assert_int_equal(out.len, 3);
		assert_memory_equal(out.data, "x\0y", 3);
	}
	/* What is no message: no type, another, no id. */
	event.type_len = 0;
	assert_false(lb_decode(&event, &out));
	event.type = "answers";
	event.type_len = 7;
	assert_false(lb_decode(&event, &out));
	event.type_len = 6;
	assert_false(lb_decode(&event, &out));
	event.type = "stop";
	event.type_len = 4;
	event.attrs_len = 0;
	assert_false(lb_decode(&event, &out));
}

static void here_first(void **state)
{
	struct question *q;

	begin(1);
	q = ask(&hosts[1], false, false, 0, 1000, LB_NEVER);
	run(100);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->begun, 1);
	assert_int_equal(hosts[1].asker.forwards, 0);
	all_idle();
}

static void waited_too_long(void **state)
{
	struct question *q, *long_one;

	begin(2);
	hosts[1].takes_ms = 100000;
	long_one = ask(&hosts[1], false, false, 0, LB_NEVER / 4, 500000);
	q = ask(&hosts[1], false, false, 0, 250, LB_NEVER);
	run(249);
	assert_int_equal(hosts[1].asker.forwards, 0);
	assert_int_equal(q->done, 0);
	run(100);
	assert_int_equal(hosts[1].asker.forwards, 1);
	assert_int_equal(q->done, 1);
	/* What has begun here is not forwarded, and what waited here is gone. */
	assert_int_equal(long_one->done, 0);
	assert_int_equal(hosts[1].server.queued, 0);
	run(250000);
	assert_int_equal(long_one->done, 1);
	assert_int_equal(long_one->begun, 1);
	all_idle();
}

/* One that waits elsewhere is not left there either, while another is idle. */
static void waits_elsewhere(void **state)
{
	struct question *q;
	u32 i;

	begin(3);
	for (i = 1; i < HOSTS; i++)
		hosts[i].takes_ms = 100000;
	for (i = 2; i < HOSTS; i++)
		hosts[i].serves = false;
	ask(&hosts[0], false, false, 1, 0, LB_NEVER);
	run(10);
	q = ask(&hosts[0], false, false, 1, 0, LB_NEVER);
	run(10);
	assert_int_equal(hosts[1].server.queued, 1);
	hosts[2].serves = true;
	hosts[2].takes_ms = 1;
	run(960);
	assert_int_equal(q->done, 0);
	run(60);
	assert_int_equal(q->done, 1);
	assert_int_equal(hosts[1].server.queued, 0);
}

/* What others forward they take only if it can begin at once: it goes on waiting here, and more are asked more and more seldom. */
static void others_decline(void **state)
{
	struct question *q;
	u32 i;

	begin(3);
	for (i = 1; i < HOSTS; i++) {
		hosts[i].takes_ms = i > 1 ? 100000 : 20000;
		hosts[i].server.others_max = 0;
		ask(&hosts[i], false, false, 1, LB_NEVER / 4, LB_NEVER);
	}
	run(1);
	q = ask(&hosts[1], false, false, 1, 1, LB_NEVER);
	run(10000);
	for (i = 2; i < HOSTS; i++)
		assert_int_equal(hosts[i].server.queued, 0);
	assert_int_equal(hosts[1].server.queued, 1);
	assert_true(hosts[1].asker.forwards >= 14 && hosts[1].asker.forwards <= 21);
	hosts[1].takes_ms = 20;
	run(40000);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->begun, 1);
	run(200000);
	all_idle();
}

static void queue_too_long(void **state)
{
	struct question *q;
	u32 i;

	begin(3);
	hosts[1].takes_ms = 1000;
	for (i = 0; i < 5; i++)
		ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(1);
	q = ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(60);
	assert_int_equal(hosts[1].asker.forwards, 1);
	assert_int_equal(q->done, 1);
	run(20000);
	all_idle();
}

/* Others first, if so little is to wait here; but here, if there is nobody else. */
static void elsewhere_first(void **state)
{
	struct question *q;
	u32 i;

	begin(3);
	hosts[1].server.here_max = 0;
	hosts[1].takes_ms = 1000;
	ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(1);
	q = ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(60);
	assert_int_equal(q->done, 1);
	assert_int_equal(hosts[1].asker.forwards, 1);
	for (i = 2; i < HOSTS; i++)
		hosts[i].server.closed = true;
	q = ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(500);
	assert_int_equal(hosts[1].server.queued, 1);
	run(4000);
	assert_int_equal(q->done, 1);
	all_idle();
}

/* No server here: others are asked after a moment. */
static void none_here(void **state)
{
	struct question *q;

	begin(4);
	q = ask(&hosts[0], false, false, 0, 100000, LB_NEVER);
	run(LB_HERE_MS - 1);
	assert_int_equal(hosts[0].asker.forwards, 0);
	run(60);
	assert_int_equal(q->done, 1);
	all_idle();
}

static void first_answer(void **state)
{
	struct question *q;

	begin(5);
	hosts[1].takes_ms = 5000;
	q = ask(&hosts[0], false, false, 3, 0, LB_NEVER);
	run(100);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->begun, 3);
	assert_true(q->finished < 3);
	all_idle();
}

/* What others have begun nobody begins after them: at most as many as were to. */
static void enough_have_begun(void **state)
{
	struct question *q;
	u32 n;

	for (n = 0; n <= 2; n++) {
		begin(17);
		hosts[1].takes_ms = 1;
		hosts[1].least_ms = 500;
		hosts[2].least_ms = hosts[3].least_ms = 1000;
		ask(&hosts[1], false, false, 1, 100000, LB_NEVER);
		q = ask(&hosts[1], false, false, n, 250, LB_NEVER);
		run(300);
		/* Elsewhere it has begun, n times. */
		assert_int_equal(q->begun, n ? n : 1);
		assert_int_equal(hosts[1].server.queued, !n);
		/* Here is room now. */
		run(300);
		assert_int_equal(q->begun, n ? n : 2);
		run(3000);
		assert_int_equal(q->done, 1);
		all_idle();
	}
}

/* It waits with all of them, which have room for it at the same time: one begins it, and what it was kept free for the next one gets. */
static void one_begins(void **state)
{
	struct question *q, *next;
	u32 i;

	begin(19);
	for (i = 1; i < HOSTS; i++) {
		hosts[i].takes_ms = 1;
		hosts[i].least_ms = i == 1 ? 2000 : 500;
		ask(&hosts[i], false, false, 1, LB_NEVER / 4, LB_NEVER);
	}
	run(1);
	q = ask(&hosts[1], false, false, 1, 1, LB_NEVER);
	next = ask(&hosts[1], false, false, 1, 1, LB_NEVER);
	run(400);
	for (i = 1; i < HOSTS; i++)
		assert_int_equal(hosts[i].server.queued, 2);
	run(150);
	assert_int_equal(q->begun, 1);
	assert_int_equal(next->begun, 1);
	run(1000);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->begun, 1);
	assert_int_equal(next->begun, 1);
	run(1000);
	all_idle();
}

/* Who has begun dies: another one does it, though all others have been told to stop. */
static void begun_and_lost(void **state)
{
	struct question *q;

	begin(18);
	hosts[2].least_ms = 100000;
	hosts[1].takes_ms = 100000;
	ask(&hosts[1], false, false, 1, 1000000, LB_NEVER);
	q = ask(&hosts[1], false, false, 1, 250, LB_NEVER);
	run(300);
	assert_int_equal(q->begun, 1);
	assert_true(hosts[2].server.busy);
	host_down(&hosts[2]);
	run(LB_LEASE_MS + 200);
	assert_int_equal(q->done, 1);
	/* Two more are asked then, of which one is told to go. */
	assert_int_equal(q->begun, 2);
}

static void all_decline(void **state)
{
	struct question *q;
	u32 i;

	begin(6);
	for (i = 1; i < HOSTS; i++)
		hosts[i].server.closed = true;
	q = ask(&hosts[0], false, false, 1, 0, LB_NEVER);
	run(2000);
	assert_int_equal(q->done, 0);
	/* Each time one more is asked, and not in a storm. */
	assert_true(hosts[0].asker.forwards >= 4 && hosts[0].asker.forwards <= 10);
	hosts[3].server.closed = false;
	run(1000);
	assert_int_equal(q->done, 1);
	all_idle();
}

static void times_out(void **state)
{
	struct question *q;

	begin(7);
	hosts[1].takes_ms = hosts[2].takes_ms = hosts[3].takes_ms = hosts[4].takes_ms = hosts[5].takes_ms = 100000;
	q = ask(&hosts[0], false, false, 2, 0, 700);
	run(699);
	assert_int_equal(q->done, 0);
	run(1);
	assert_int_equal(q->failed, ETIMEDOUT);
	run(10);
	all_idle();
}

static void server_dies(void **state)
{
	struct question *q;
	u32 i;

	begin(8);
	for (i = 1; i < HOSTS; i++)
		hosts[i].takes_ms = 3000;
	q = ask(&hosts[0], false, false, 1, 0, LB_NEVER);
	run(50);
	assert_int_equal(q->begun, 1);
	for (i = 1; i < HOSTS; i++)
		if (hosts[i].server.busy)
			host_down(&hosts[i]);
	run(LB_LEASE_MS + 50);
	/* Two others are asked, this time, and one is told to go. */
	assert_int_equal(q->begun, 2);
	run(7000);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->failed, 0);
	all_idle();
}

static void once(void **state)
{
	struct question *q;
	u32 i;

	begin(9);
	q = ask(&hosts[0], true, false, 3, 0, LB_NEVER);
	run(200);
	assert_int_equal(q->done, 1);
	assert_int_equal(q->begun, 1);
	all_idle();

	/* Whoever is told to go and dies may have done it. */
	for (i = 1; i < HOSTS; i++)
		hosts[i].takes_ms = 3000;
	q = ask(&hosts[0], true, false, 2, 0, LB_NEVER);
	run(50);
	for (i = 1; i < HOSTS; i++)
		if (hosts[i].server.busy)
			host_down(&hosts[i]);
	run(LB_LEASE_MS);
	assert_int_equal(q->failed, EIO);
	assert_int_equal(q->begun, 1);
	all_idle();
}

/* A server whose asker died keeps no slot for it. */
/* Once begun it is neither stopped nor done by another, whatever becomes of who asked and of the server's program. */
static void once_is_not_cut(void **state)
{
	struct question *q;
	u32 i;

	begin(9);
	for (i = 1; i < HOSTS; i++)
		hosts[i].least_ms = 3000;
	q = ask(&hosts[0], true, false, 2, 0, 500);
	run(2000);
	assert_int_equal(q->failed, ETIMEDOUT);
	assert_int_equal(q->begun, 1);
	run(2000);
	assert_int_equal(q->finished, 1);
	all_idle();

	q = ask(&hosts[0], true, false, 2, 0, LB_NEVER);
	run(50);
	assert_int_equal(q->begun, 1);
	for (i = 1; i < HOSTS; i++)
		if (hosts[i].server.busy)
			lb_server_close(&hosts[i].server, true, now);
	run(5000);
	assert_int_equal(q->failed, -ECANCELED);
	assert_int_equal(q->begun, 1);
	all_idle();
}

/* A request that is late comes to a server that has done it, and whose answer was lost: that is not told to go again. */
static void done_and_asked_again(void **state)
{
	struct lb_msg msg = { .type = LB_READY, .id = 1, .by = 77, .node = 2, .attempt = 1 };
	struct question *q;

	begin(10);
	q = ask(&hosts[0], true, false, 0, 0, LB_NEVER);
	lb_asker_event(&hosts[0].asker, &msg, now);
	assert_int_equal(q->ask.chosen, 77);
	/* It has not begun: it has not heard the go. */
	msg.attempt = 2;
	lb_asker_event(&hosts[0].asker, &msg, now);
	assert_int_equal(q->done, 0);
	msg.type = LB_STARTED;
	lb_asker_event(&hosts[0].asker, &msg, now);
	/* Given back after all: it may be chosen once more. */
	msg.type = LB_DECLINED;
	lb_asker_event(&hosts[0].asker, &msg, now);
	msg.type = LB_READY;
	lb_asker_event(&hosts[0].asker, &msg, now);
	assert_int_equal(q->ask.chosen, 77);
	msg.type = LB_STARTED;
	lb_asker_event(&hosts[0].asker, &msg, now);
	msg.type = LB_READY;
	msg.attempt = 3;
	lb_asker_event(&hosts[0].asker, &msg, now);
	assert_int_equal(q->failed, EIO);
	nflying = 0;
	all_idle();
}

static void offer_ends(void **state)
{
	begin(10);
	ask(&hosts[0], true, false, 5, 0, LB_NEVER);
	ask(&hosts[0], true, false, 5, 0, LB_NEVER);
	ask(&hosts[0], true, false, 5, 0, LB_NEVER);
	run(1);
	host_down(&hosts[0]);
	run(LB_LEASE_MS + 10);
	all_idle();
}

/* A host's own servers are asked by itself alone, others by requests. */
static void who_is_asked(void **state)
{
	struct lb_msg msg = { .id = 1, .node = 1, .attempt = 1 };
	struct lb_server *server = &hosts[1].server;
	int i;

	begin(10);
	nquestions = 1;
	for (i = 0; i < 4; i++) {
		msg.type = i & 1 ? LB_ASK : LB_REQUEST;
		msg.local = i & 2;
		lb_server_event(server, &msg, now);
		assert_int_equal(!!server->jobs, i == 0 || i == 3);
		host_down(&hosts[1]);
		host_up(&hosts[1], true, 1, 4);
	}
}

/* A go that is late is none: another may have been chosen since. */
static void late_go(void **state)
{
	struct lb_msg msg = { .type = LB_REQUEST, .once = true, .id = 1, .node = 1, .attempt = 1 };
	struct lb_server *server = &hosts[1].server;

	begin(11);
	nquestions = 1;
	lb_server_event(server, &msg, now);
	assert_int_equal(server->jobs->state, LB_OFFERED);
	msg.attempt = 2;
	lb_server_event(server, &msg, now);
	msg.type = LB_GO;
	msg.by = server->by;
	msg.attempt = 1;
	lb_server_event(server, &msg, now);
	assert_int_equal(server->jobs->state, LB_OFFERED);
	msg.attempt = 2;
	msg.by++;
	lb_server_event(server, &msg, now);
	assert_int_equal(server->jobs->state, LB_OFFERED);
	msg.by--;
	lb_server_event(server, &msg, now);
	assert_int_equal(server->jobs->state, LB_RUNNING);
}

/* Of those that begin together the one with the earlier time goes on, of two at the same the one with the lower number. */
static void cancels(void **state)
{
	struct lb_msg request = { .type = LB_REQUEST, .cancel = true, .id = 1, .node = 1, .attempt = 1 };
	struct lb_msg started = { .type = LB_STARTED, .id = 1 };
	struct lb_server *server = &hosts[2].server;
	int i;

	for (i = 0; i < 4; i++) {
		begin(12);
		nquestions = 1;
		lb_server_event(server, &request, now);
		assert_int_equal(server->jobs->state, LB_RUNNING);
		started.at = server->jobs->at + (i == 0) - (i == 1);
		started.by = i == 2 ? server->by - 1 : server->by + 1;
		lb_server_event(server, &started, now);
		assert_int_equal(!!server->jobs, i == 0 || i == 3);
		teardown(NULL);
	}
	/* In a queue, whoever began. */
	begin(12);
	nquestions = 2;
	request.id = 2;
	lb_server_event(server, &request, now);
	request.id = 1;
	lb_server_event(server, &request, now);
	assert_int_equal(server->queued, 1);
	started.at = ~0ull;
	lb_server_event(server, &started, now);
	assert_int_equal(server->queued, 0);
}

static void cancel_race(void **state)
{
	struct question *q;
	u32 r, i;

	for (r = 0; r < 500 / UNIT_SLOW + 1; r++) {
		begin(13 + r);
		delay = 1 + draw(10);
		for (i = 0; i < HOSTS; i++)
			hosts[i].least_ms = 40;
		q = ask(&hosts[0], false, true, 1 + draw(5), 0, LB_NEVER);
		run(200);
		assert_int_equal(q->done, 1);
		assert_int_equal(q->finished, 1);
		all_idle();
	}
}

static void closing(void **state)
{
	struct question *a, *b;

	begin(14);
	hosts[1].takes_ms = 500;
	a = ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	b = ask(&hosts[1], false, false, 0, 100000, LB_NEVER);
	run(1);
	lb_server_close(&hosts[1].server, false, now);
	run(100);
	assert_int_equal(b->done, 1);
	assert_int_equal(b->begun, 1);
	run(1000);
	assert_int_equal(a->done, 1);
	assert_int_equal(a->begun, 1);
	all_idle();
}

/* Any host dies and comes back at any time; messages get lost. */
static void soak(void **state)
{
	u32 r, i, t, runs = 2000 / UNIT_SLOW, failed = 0, total = 0;
	bool deaths;

	for (r = 0; r < runs; r++) {
		begin(1000 + r);
		deaths = r % 2;
		loss = r % 3 == 2 ? draw(200) : 0;
		delay = 1 + draw(20);
		chosen_n = 1 + draw(3);
		for (i = 1; i < HOSTS; i++) {
			hosts[i].takes_ms = 1 + draw(r % 5 ? 40 : 800);
			hosts[i].server.slots = 1 + draw(3);
		}
		for (t = 0; t < 1000; t++) {
			struct host *h = &hosts[draw(HOSTS)];

			if (nquestions < 40 && !draw(20) && h->alive)
				ask(h, draw(2), draw(2), draw(4), draw(2) ? draw(500) : 0, 60000);
			if (deaths && !draw(300) && h != &hosts[1]) {
				if (h->alive) {
					for (i = 0; i < nquestions; i++)
						questions[i].over |= questions[i].host == h;
					host_down(h);
				} else {
					host_up(h, h != &hosts[0], 1 + draw(3), 4);
				}
			}
			step();
		}
		loss = 0;
		run(100);
		for (t = 0; t < 70000; t++) {
			for (i = 0; i < nquestions && questions[i].over; i++)
				;
			if (i == nquestions)
				break;
			step();
		}
		run(LB_LEASE_MS + 10000);
		for (i = 0; i < nquestions; i++) {
			struct question *q = &questions[i];

			if (q->ask.once)
				assert_true(q->begun <= 1);
			assert_true(q->done <= 1);
			assert_true(q->over);
			/* Only what may have been done and must not be done twice may fail. */
			if (q->failed) {
				assert_true(q->ask.once && (deaths || loss || q->begun));
				assert_int_equal(q->failed, EIO);
				assert_true(deaths || r % 3 == 2);
				failed++;
			}
			total++;
		}
		all_idle();
		teardown(NULL);
	}
	print_message("%u requests, %u that may have been done\n", total, failed);
	assert_true(failed < total / 10);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)
static const struct CMUnitTest tests[] = {
	T(messages), T(here_first), T(waited_too_long), T(waits_elsewhere), T(others_decline), T(queue_too_long), T(elsewhere_first), T(none_here),
	T(first_answer), T(enough_have_begun), T(one_begins), T(begun_and_lost), T(all_decline), T(times_out), T(server_dies), T(once), T(once_is_not_cut),
	T(done_and_asked_again), T(offer_ends), T(who_is_asked), T(late_go), T(cancels), T(cancel_race), T(closing), T(soak),
};
UNIT_SUITE(lb, tests)
