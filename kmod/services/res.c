// SPDX-License-Identifier: GPL-2.0
/* kecho_res: lib/services/res.c for kernel services, kecho/res.h. */
#define pr_fmt(fmt) "kecho_res: " fmt
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <kecho/kecho.h>
#include <kecho/res.h>
#include <kecho/version.h>
#include "../../lib/services/res.h"

/* Of one resource, at a time. */
#define LEASES 256

/**
 * struct kecho_res - a manager (@leases is not NULL) or a lease
 * @lock: the state machines and @port; taken by the subscription's handler and @work
 * @wait: woken when their state may have changed
 * @told: @lost has been called
 */
struct kecho_res {
	struct mutex lock;
	struct delayed_work work;
	wait_queue_head_t wait;
	struct kecho_sub *sub;
	struct res_manager m;
	struct res_lease *leases;
	struct res_asker a;
	void (*lost)(void *arg);
	void *arg;
	bool told;
	char name[KECHO_NAME_MAX + 1], attrs[RES_MORE_MAX];
	struct res_port port;
};

static void send(const struct res_msg *msg, void *arg)
{
	struct kecho_res *r = arg;

	lockdep_assert_held(&r->lock);
	res_publish(&r->port, msg);
}

/* What is due, then until the next time. Lets go of the lock. */
static void run(struct kecho_res *r)
{
	u64 now = ktime_get_boottime_ns(), next;
	bool lost;

	next = r->leases ? res_manager_run(&r->m, now) : res_asker_run(&r->a, now);
	lost = !r->leases && r->a.state == RES_LOST && !r->told;
	r->told |= lost;
	if (next != RES_NEVER)
		mod_delayed_work(system_wq, &r->work, next > now ? nsecs_to_jiffies(next - now) + 1 : 0);
	mutex_unlock(&r->lock);
	wake_up_all(&r->wait);
	if (lost && r->lost)
		r->lost(r->arg);
}

static void work(struct work_struct *w)
{
	struct kecho_res *r = container_of(to_delayed_work(w), struct kecho_res, work);

	mutex_lock(&r->lock);
	run(r);
}

static void receive(const struct kecho_event *event, void *arg)
{
	struct kecho_res *r = arg;
	struct res_msg msg;

	if (!res_receive(event, &msg))
		return;
	mutex_lock(&r->lock);
	if (r->leases)
		res_manager_recv(&r->m, &msg, ktime_get_boottime_ns());
	else
		res_asker_recv(&r->a, &msg, ktime_get_boottime_ns());
	run(r);
}

static u64 new_id(void)
{
	return get_random_u64() | 1;
}

static bool valid(const char *name, u32 amount, u32 ttl_ms)
{
	return amount && ttl_ms >= RES_TTL_MIN && ttl_ms <= RES_TTL_MAX && *name && strlen(name) <= KECHO_NAME_MAX;
}

static struct kecho_res *new(const char *name)
{
	struct kecho_res *r = kvzalloc(sizeof(*r), GFP_KERNEL);

	if (!r)
		return NULL;
	mutex_init(&r->lock);
	INIT_DELAYED_WORK(&r->work, work);
	init_waitqueue_head(&r->wait);
	strscpy(r->name, name, sizeof(r->name));
	return r;
}

static int join(struct kecho_res *r, const char *channel)
{
	int err;

	r->port.channel = kecho_open(channel, KECHO_CREATE);
	err = kecho_error(r->port.channel);
	if (err)
		return err;
	r->sub = kecho_subscribe(r->port.channel, NULL, receive, r);
	err = kecho_error(r->sub);
	if (err)
		kecho_close(r->port.channel);
	return err;
}

static void end(struct kecho_res *r)
{
	kecho_unsubscribe(r->sub);
	cancel_delayed_work_sync(&r->work);
	kecho_close(r->port.channel);
	kvfree(r->leases);
	kvfree(r);
}

struct kecho_res *kecho_res_offer(const char *channel, const char *name, u32 amount, const char *attrs, u32 ttl_ms, unsigned int flags)
{
	struct kecho_res *r;
	int err;

	if (!valid(name, amount, ttl_ms) || flags & ~KECHO_RES_NEW)
		return ERR_PTR(-EINVAL);
	r = new(name);
	if (!r)
		return ERR_PTR(-ENOMEM);
	err = attrs && strscpy(r->attrs, attrs, sizeof(r->attrs)) < 0 ? -E2BIG : 0;
	if (err)
		goto err_free;
	/* Refused now, and not with each offer. */
	err = kecho_attr_encode(r->attrs, r->port.attrs, sizeof(r->port.attrs));
	if (err < 0)
		goto err_free;
	err = -ENOMEM;
	r->leases = kvcalloc(LEASES, sizeof(*r->leases), GFP_KERNEL);
	if (!r->leases)
		goto err_free;
	r->m = (struct res_manager) {
		.id = new_id(), .name = r->name, .amount = amount, .ttl = ttl_ms, .attrs = r->attrs, .leases = r->leases,
		.max = LEASES, .send = send, .arg = r,
	};
	res_manager_start(&r->m, flags & KECHO_RES_NEW, ktime_get_boottime_ns());
	err = join(r, channel);
	if (!err)
		return r;
err_free:
	kvfree(r->leases);
	kvfree(r);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(kecho_res_offer);

void kecho_res_withdraw(struct kecho_res *r)
{
	mutex_lock(&r->lock);
	res_manager_leave(&r->m, ktime_get_boottime_ns());
	run(r);
	wait_event_idle(r->wait, !READ_ONCE(r->m.used));
	end(r);
}
EXPORT_SYMBOL_GPL(kecho_res_withdraw);

/* Also if it is lost again by the time one looks: that is told by @lost. */
static bool granted(struct kecho_res *r)
{
	enum res_state state = READ_ONCE(r->a.state);

	return state == RES_HELD || state == RES_LOST;
}

struct kecho_res *kecho_res_request(const struct kecho_res_want *want)
{
	struct kecho_res *r;
	long left;
	int err;

	if (!valid(want->name, want->amount, want->ttl_ms))
		return ERR_PTR(-EINVAL);
	r = new(want->name);
	if (!r)
		return ERR_PTR(-ENOMEM);
	r->lost = want->lost;
	r->arg = want->arg;
	r->a = (struct res_asker) {
		.id = new_id(), .name = r->name, .amount = want->amount, .ttl = want->ttl_ms, .send = send, .arg = r, .state = RES_ENDED,
	};
	err = want->best && strscpy(r->attrs, want->best, sizeof(r->attrs)) < 0 ? -EINVAL : 0;
	if (!err && want->best && !res_asker_best(&r->a, r->attrs))
		err = -EINVAL;
	if (!err)
		err = join(r, want->channel);
	if (err) {
		kvfree(r);
		return ERR_PTR(err);
	}
	mutex_lock(&r->lock);
	res_asker_start(&r->a, ktime_get_boottime_ns());
	run(r);
	left = wait_event_interruptible_timeout(r->wait, granted(r),
						want->timeout_ms < 0 ? MAX_SCHEDULE_TIMEOUT : msecs_to_jiffies(want->timeout_ms));
	if (left > 0)
		return r;
	kecho_res_release(r);
	return ERR_PTR(left ? -EINTR : -ETIMEDOUT);
}
EXPORT_SYMBOL_GPL(kecho_res_request);

/* @until only grows while it is held: what is read too early says no. */
bool kecho_res_held(const struct kecho_res *r)
{
	enum res_state state = READ_ONCE(r->a.state);

	return (state == RES_HELD || state == RES_LOST) && ktime_get_boottime_ns() < READ_ONCE(r->a.until);
}
EXPORT_SYMBOL_GPL(kecho_res_held);

u64 kecho_res_id(const struct kecho_res *r)
{
	return r->a.id;
}
EXPORT_SYMBOL_GPL(kecho_res_id);

u64 kecho_res_node(const struct kecho_res *r)
{
	return r->a.node;
}
EXPORT_SYMBOL_GPL(kecho_res_node);

void kecho_res_release(struct kecho_res *r)
{
	mutex_lock(&r->lock);
	res_asker_release(&r->a, ktime_get_boottime_ns());
	run(r);
	wait_event_idle(r->wait, READ_ONCE(r->a.state) == RES_ENDED);
	end(r);
}
EXPORT_SYMBOL_GPL(kecho_res_release);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: resources of many hosts, and leases on them");
