// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Who asks: this host's servers first, then others, until one has answered. */
#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif
#include "lb.h"

/* Of several that have it no more than so many are to begin: they are told. */
static bool gated(const struct lb_ask *ask)
{
	return ask->n && !ask->once && !ask->cancel;
}

static void send(struct lb_asker *asker, struct lb_ask *ask, enum lb_type type, const struct lb_holder *to)
{
	struct lb_msg msg = { .type = type, .id = ask->id, .once = ask->once, .cancel = ask->cancel, .attempt = ask->attempt };

	if (to) {
		msg.by = to->by;
		msg.node = to->node;
	}
	if (type == LB_REQUEST)
		msg.n = ask->attempt > 1 ? (ask->n ? ask->n : 1) + ask->attempt - 1 : ask->n;
	/* Those asked first need not ask back, for which they would stand still: only this host's may begin in the same moment. */
	if (type <= LB_REQUEST)
		msg.ready = gated(ask) && ask->attempt > 1;
	asker->ops->send(asker, ask, &msg);
}

static void stop_all(struct lb_asker *asker, struct lb_ask *ask, __u64 but)
{
	__u32 i;

	/* What was told to go, and must not be done twice, is not left half done either. */
	for (i = 0; i < ask->nholders; i++)
		if (ask->holders[i].by != but && ask->holders[i].by != ask->chosen)
			send(asker, ask, LB_STOP, &ask->holders[i]);
}

static void forward(struct lb_asker *asker, struct lb_ask *ask, __u64 now_ms)
{
	ask->attempt++;
	ask->sent_ms = now_ms;
	ask->send_ms = now_ms + LB_ACK_MS;
	asker->forwards++;
	send(asker, ask, LB_REQUEST, NULL);
	/* There may be nobody else. */
	if (ask->attempt > 1 && !ask->nholders)
		send(asker, ask, LB_ASK, NULL);
}

/* It has something to do, maybe before all others. */
static void note(struct lb_asker *asker, const struct lb_ask *ask)
{
	__u64 at = ask->send_ms < ask->over_ms ? ask->send_ms : ask->over_ms;
	__u32 i;

	for (i = 0; i < ask->nholders; i++)
		if (ask->holders[i].seen_ms + LB_LEASE_MS < at)
			at = ask->holders[i].seen_ms + LB_LEASE_MS;
	if (at < asker->due_ms)
		asker->due_ms = at;
}

void lb_ask(struct lb_asker *asker, struct lb_ask *ask, bool published, __u64 now_ms)
{
	struct lb_ask **at = &asker->asks;

	while (*at)
		at = &(*at)->next;
	*at = ask;
	ask->next = NULL;
	ask->attempt = ask->nholders = 0;
	ask->chosen = 0;
	ask->begun = false;
	ask->over_ms = ask->timeout_ms == LB_NEVER ? LB_NEVER : now_ms + ask->timeout_ms;
	if (ask->here_ms) {
		ask->sent_ms = now_ms;
		ask->send_ms = now_ms + (ask->here_ms < ask->wait_ms ? ask->here_ms : ask->wait_ms);
		if (!published)
			send(asker, ask, LB_ASK, NULL);
	} else {
		forward(asker, ask, now_ms);
	}
	note(asker, ask);
}

static void forget(struct lb_asker *asker, struct lb_ask *ask)
{
	struct lb_ask **at = &asker->asks;

	while (*at != ask)
		at = &(*at)->next;
	*at = ask->next;
	asker->ended[asker->nended++ % LB_ENDED] = ask->id;
}

void lb_ask_end(struct lb_asker *asker, struct lb_ask *ask)
{
	stop_all(asker, ask, 0);
	forget(asker, ask);
}

static void finish(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	stop_all(asker, ask, msg->by);
	forget(asker, ask);
	asker->ops->done(asker, ask, msg);
}

static void fail(struct lb_asker *asker, struct lb_ask *ask, int err)
{
	struct lb_msg msg = { .type = LB_FAILED, .id = ask->id, .status = err };

	finish(asker, ask, &msg);
}

static struct lb_holder *holder(struct lb_ask *ask, __u64 by)
{
	__u32 i;

	for (i = 0; i < ask->nholders; i++)
		if (ask->holders[i].by == by)
			return &ask->holders[i];
	return NULL;
}

/* @ms, twice as long after each attempt, up to LB_ACK_MS */
static __u64 doubled(const struct lb_ask *ask, __u32 ms)
{
	__u64 by_now = (__u64)ms << (ask->attempt < 16 ? ask->attempt : 16);

	return by_now < LB_ACK_MS ? by_now : LB_ACK_MS;
}

/* How long those who have it may wait with it until more are asked. */
static __u64 patience(const struct lb_ask *ask)
{
	__u64 least = ask->attempt ? doubled(ask, LB_MORE_MS) : 0;

	return ask->wait_ms < least ? least : ask->wait_ms;
}

/* It has the request: hold it to that. NULL: that is one too many. */
static struct lb_holder *held(struct lb_ask *ask, const struct lb_msg *msg, __u64 now_ms)
{
	struct lb_holder *h = holder(ask, msg->by);

	if (!h) {
		if (ask->nholders == LB_HOLDERS || (ask->chosen && ask->chosen != msg->by))
			return NULL;
		h = &ask->holders[ask->nholders++];
		h->by = msg->by;
		h->node = msg->node;
		h->started = false;
		ask->send_ms = ask->sent_ms + patience(ask);
	}
	h->seen_ms = now_ms;
	return h;
}

static __u32 begun(const struct lb_ask *ask)
{
	__u32 i, n = 0;

	for (i = 0; i < ask->nholders; i++)
		n += ask->holders[i].started;
	return n;
}

static void let_go(struct lb_asker *asker, struct lb_ask *ask, struct lb_holder *h)
{
	send(asker, ask, LB_STOP, h);
	*h = ask->holders[--ask->nholders];
}

/*
 * @h has it: as many as were to do it have begun, and nobody else needs to. One that waits with what others do already would only do it
 * again, later. With "cancel" the servers settle that, and what is to be done once only one is told to do.
 */
static void enough(struct lb_asker *asker, struct lb_ask *ask, struct lb_holder *h)
{
	__u32 i, n = begun(ask);

	if (!ask->n || ask->once || ask->cancel || n < ask->n)
		return;
	if (n > ask->n || !h->started) {
		let_go(asker, ask, h);
		return;
	}
	for (i = ask->nholders; i--;)
		if (!ask->holders[i].started)
			let_go(asker, ask, &ask->holders[i]);
}

/* One less; the last one's end calls for another try, @later_ms. */
static void lost(struct lb_ask *ask, struct lb_holder *h, __u64 now_ms, __u64 later_ms)
{
	if (h)
		*h = ask->holders[--ask->nholders];
	if (begun(ask))
		return;
	if (ask->nholders)
		later_ms = patience(ask);
	else if (!ask->attempt)
		later_ms = 0;
	if (now_ms + later_ms < ask->send_ms)
		ask->send_ms = now_ms + later_ms;
}

static void stray(struct lb_asker *asker, const struct lb_msg *msg)
{
	struct lb_holder to = { .by = msg->by, .node = msg->node };
	struct lb_ask ended = { .id = msg->id };
	int i;

	/* Other askers of this node hear the same: only what was asked here. */
	for (i = 0; i < LB_ENDED; i++)
		if (asker->ended[i] == msg->id) {
			send(asker, &ended, LB_STOP, &to);
			return;
		}
}

void lb_asker_event(struct lb_asker *asker, const struct lb_msg *msg, __u64 now_ms)
{
	bool holds = msg->type == LB_TAKEN || msg->type == LB_STARTED || msg->type == LB_READY;
	struct lb_ask *ask = asker->asks;
	struct lb_holder *h;

	while (ask && ask->id != msg->id)
		ask = ask->next;
	if (!ask) {
		if (holds)
			stray(asker, msg);
		return;
	}
	if (holds) {
		h = held(ask, msg, now_ms);
		if (!h) {
			struct lb_holder to = { .by = msg->by, .node = msg->node };

			send(asker, ask, LB_STOP, &to);
			return;
		}
		h->started |= msg->type == LB_STARTED;
		ask->begun |= msg->type == LB_STARTED && ask->chosen == msg->by;
		/* It has done it, and had forgotten it when a request came that was late: its answer is lost. */
		if (msg->type == LB_READY && ask->begun) {
			ask->chosen = 0;
			fail(asker, ask, EIO);
			return;
		}
		/* Once chosen only that one gets here; it says so again if it has not heard the go. */
		if (msg->type == LB_READY && (ask->once || (gated(ask) && (h->started || begun(ask) < ask->n)))) {
			struct lb_msg go = { .type = LB_GO, .id = ask->id, .by = h->by, .node = h->node, .attempt = msg->attempt };

			h->started = true;
			if (ask->once) {
				ask->chosen = h->by;
				stop_all(asker, ask, h->by);
				ask->holders[0] = *h;
				ask->nholders = 1;
			}
			asker->ops->send(asker, ask, &go);
		}
		enough(asker, ask, h);
	} else if (msg->type == LB_DECLINED) {
		/* One that was chosen and gives it back has not begun. */
		if (ask->chosen && ask->chosen != msg->by)
			return;
		ask->chosen = 0;
		ask->begun = false;
		lost(ask, holder(ask, msg->by), now_ms, doubled(ask, LB_RETRY_MS));
	} else if (msg->type == LB_ANSWER && (!ask->once || ask->chosen == msg->by)) {
		finish(asker, ask, msg);
		return;
	}
	note(asker, ask);
}

/* Returns whether it is over. */
static bool tick(struct lb_asker *asker, struct lb_ask *ask, __u64 now_ms)
{
	__u32 i;

	if (now_ms >= ask->over_ms) {
		fail(asker, ask, ETIMEDOUT);
		return true;
	}
	for (i = 0; i < ask->nholders;) {
		struct lb_holder *h = &ask->holders[i];

		if (now_ms < h->seen_ms + LB_LEASE_MS) {
			i++;
		} else if (h->by == ask->chosen) {
			fail(asker, ask, EIO);
			return true;
		} else {
			lost(ask, h, now_ms, 0);
		}
	}
	if (now_ms >= ask->send_ms) {
		if (begun(ask))
			ask->send_ms = LB_NEVER;
		else
			forward(asker, ask, now_ms);
	}
	return false;
}

__u64 lb_asker_tick(struct lb_asker *asker, __u64 now_ms)
{
	struct lb_ask *ask;

	if (now_ms < asker->due_ms)
		return asker->due_ms;
	/* What is over may have brought a new one: from the beginning. */
	for (ask = asker->asks; ask;)
		ask = tick(asker, ask, now_ms) ? asker->asks : ask->next;
	asker->due_ms = LB_NEVER;
	for (ask = asker->asks; ask; ask = ask->next)
		note(asker, ask);
	return asker->due_ms;
}
