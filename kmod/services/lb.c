// SPDX-License-Identifier: GPL-2.0
/*
 * kecho_lb: forwards for the programs of this host. Who asks publishes `ask` and waits for the answer, by the files or /dev/kecho, and
 * this does the rest: others are asked when this host's servers do not begin, and again when those are lost. It has the state of
 * lib/services/lb_ask.c for each request; that this module is there the node says by lb=kernel on the channel.
 */
#define pr_fmt(fmt) "kecho_lb: " fmt
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <kecho/version.h>
#include "../../lib/services/lb_channel.h"

/* All that wait; the memory is nobody's. */
#define ASKS_MAX 4096
#define BYTES_MAX (64u << 20)

static char *channel = "web";
module_param(channel, charp, 0444);
MODULE_PARM_DESC(channel, "channel of the requests; joined or created (web)");

static unsigned int wait_ms = 2500;
module_param(wait_ms, uint, 0644);
MODULE_PARM_DESC(wait_ms, "other hosts are asked when a server has not begun by then (2500)");

static unsigned int timeout_ms = 30000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "a request fails when it has not been answered by then (30000)");

/* A request with its data. */
struct request {
	struct lb_ask ask;
	u64 node;	/* this one */
	u32 len;
	u8 data[];
};

static struct lb_channel ch;
static struct lb_asker asker;
static unsigned int asks;
static size_t bytes;
static bool closed;
/* Over the asker and what belongs to it. */
static DEFINE_MUTEX(lock);
static struct delayed_work tick;

static u64 now_ms(void)
{
	return ktime_to_ms(ktime_get());
}

static void put(struct request *r)
{
	asks--;
	bytes -= r->len;
	kvfree(r);
}

/* What a full channel does not take is sent again in time, as is what gets lost elsewhere. */
static void send(struct lb_asker *a, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct request *r = container_of(ask, struct request, ask);
	struct lb_msg m = *msg;

	if (m.type == LB_ASK || m.type == LB_REQUEST) {
		m.data = r->data;
		m.len = r->len;
	}
	lb_channel_send(&ch, &m, KECHO_NOWAIT);
}

/* Who asked has seen the answer itself. */
static void done(struct lb_asker *a, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct request *r = container_of(ask, struct request, ask);
	struct lb_msg m = *msg;

	if (m.type == LB_FAILED) {
		m.node = r->node;
		lb_channel_send(&ch, &m, KECHO_NOWAIT);
	}
	put(r);
}

static const struct lb_asker_ops ops = { send, done };

static void schedule_tick(void)
{
	u64 now = now_ms(), next = lb_asker_tick(&asker, now);

	if (!closed && next != LB_NEVER)
		mod_delayed_work(system_wq, &tick, msecs_to_jiffies(next > now ? next - now : 0) + 1);
}

static void tick_work(struct work_struct *work)
{
	mutex_lock(&lock);
	schedule_tick();
	mutex_unlock(&lock);
}

static struct lb_ask *find(u64 id)
{
	struct lb_ask *ask = asker.asks;

	while (ask && ask->id != id)
		ask = ask->next;
	return ask;
}

static void begin(const struct lb_msg *msg)
{
	struct lb_msg failed = { .type = LB_FAILED, .id = msg->id, .node = msg->node, .status = ENOBUFS };
	struct request *r = NULL;

	if (find(msg->id))
		return;
	if (asks < ASKS_MAX && bytes + msg->len <= BYTES_MAX)
		r = kvmalloc(struct_size(r, data, msg->len), GFP_KERNEL);
	if (!r) {
		lb_channel_send(&ch, &failed, KECHO_NOWAIT);
		return;
	}
	memset(r, 0, sizeof(*r));
	r->node = msg->node;
	r->len = msg->len;
	memcpy(r->data, msg->data, msg->len);
	r->ask.id = msg->id;
	r->ask.n = msg->n;
	r->ask.once = msg->once;
	r->ask.cancel = msg->cancel;
	r->ask.here_ms = LB_HERE_MS;
	r->ask.wait_ms = max(READ_ONCE(wait_ms), 1u);
	r->ask.timeout_ms = READ_ONCE(timeout_ms) ?: LB_NEVER;
	asks++;
	bytes += r->len;
	lb_ask(&asker, &r->ask, true, now_ms());
}

static void end(struct lb_ask *ask)
{
	lb_ask_end(&asker, ask);
	put(container_of(ask, struct request, ask));
}

static void handle(const struct kecho_event *event, void *arg)
{
	struct lb_ask *ask;
	struct lb_msg msg;

	if (!lb_decode(event, &msg))
		return;
	mutex_lock(&lock);
	if (msg.type == LB_ASK) {
		/* Who asks again does himself what this module would; it may be the module, about a request that is over by now. */
		if (msg.local && !msg.attempt)
			begin(&msg);
	} else if (msg.type == LB_STOP) {
		/* To no server: who asked here does not wait any more. */
		ask = msg.local && !msg.by ? find(msg.id) : NULL;
		if (ask)
			end(ask);
	} else {
		lb_asker_event(&asker, &msg, now_ms());
	}
	schedule_tick();
	mutex_unlock(&lock);
}

/* Who waits for an answer gets it from the server that has the request, if one has, or runs into its own time-out. */
static void leave(void)
{
	struct request *r;

	mutex_lock(&lock);
	closed = true;
	mutex_unlock(&lock);
	cancel_delayed_work_sync(&tick);
	lb_channel_close(&ch);
	while (asker.asks) {
		r = container_of(asker.asks, struct request, ask);
		asker.asks = r->ask.next;
		put(r);
	}
}

static int __init lb_init(void)
{
	int err;

	asker.ops = &ops;
	INIT_DELAYED_WORK(&tick, tick_work);
	err = lb_channel_open(&ch, channel, true, handle, NULL);
	if (err) {
		if (err == -ENXIO)
			pr_err("no node runs in this network namespace: mount -t kechofs kecho /kecho\n");
		else
			pr_err("channel %s: error %d\n", channel, err);
		return err;
	}
	err = kecho_attr_set(ch.request, "lb=kernel\n");
	if (err)
		leave();
	return err;
}

static void __exit lb_exit(void)
{
	kecho_attr_set(ch.request, "lb=\n");
	leave();
}

module_init(lb_init);
module_exit(lb_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: asks the least loaded hosts on behalf of this one's programs");
