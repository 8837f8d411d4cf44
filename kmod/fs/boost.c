// SPDX-License-Identifier: GPL-2.0
/* A reader that is favoured by the scheduler while an event waits for it. */
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <uapi/linux/sched/types.h>
#include "fs.h"

/**
 * struct boost - lives from the first KECHO_IOC_BOOST to the file's end
 * @lock: what follows, and the task's policy as far as we change it
 * @task: NULL: no more
 * @own_nice: what it had before it was raised
 * @until: jiffies; by the last event that has come
 * @raise: for the scheduler's functions cannot be called where events are queued; @lower: at @until
 */
struct boost {
	struct mutex lock;
	struct kecho_boost wish;
	struct task_struct *task;
	bool raised;
	int own_nice;
	unsigned long until;
	struct work_struct raise;
	struct delayed_work lower;
};

/* @lock is held. */
static void lower(struct boost *b)
{
	bool ours = b->wish.policy == KECHO_BOOST_FIFO ? b->task->policy == SCHED_FIFO && b->task->rt_priority == 1 :
							 b->task->policy == SCHED_NORMAL && task_nice(b->task) == b->wish.nice;

	/* It may have chosen something else meanwhile. */
	if (b->raised && ours)
		sched_set_normal(b->task, b->own_nice);
	b->raised = false;
}

static unsigned long left(const struct boost *b)
{
	unsigned long until = READ_ONCE(b->until), now = jiffies;

	return time_after(until, now) ? until - now : 0;
}

static void raise_work(struct work_struct *work)
{
	/* What it starts meanwhile must not keep it. */
	static const struct sched_attr fifo = {
		.size = sizeof(fifo), .sched_policy = SCHED_FIFO, .sched_priority = 1, .sched_flags = SCHED_FLAG_RESET_ON_FORK,
	};
	struct boost *b = container_of(work, struct boost, raise);

	mutex_lock(&b->lock);
	if (b->task && !b->raised && b->task->policy == SCHED_NORMAL &&
	    (b->wish.policy == KECHO_BOOST_FIFO || task_nice(b->task) > b->wish.nice)) {
		b->own_nice = task_nice(b->task);
		b->raised = true;
		if (b->wish.policy == KECHO_BOOST_FIFO)
			sched_setattr_nocheck(b->task, &fifo);
		else
			sched_set_normal(b->task, b->wish.nice);
		mod_delayed_work(system_highpri_wq, &b->lower, left(b));
	}
	mutex_unlock(&b->lock);
}

void boost_lower(struct boost *b)
{
	if (!READ_ONCE(b->raised))
		return;
	mutex_lock(&b->lock);
	if (b->task)
		lower(b);
	mutex_unlock(&b->lock);
}

static void lower_work(struct work_struct *work)
{
	struct boost *b = container_of(to_delayed_work(work), struct boost, lower);
	unsigned long more = left(b);

	if (more) {
		mod_delayed_work(system_highpri_wq, &b->lower, more);
		return;
	}
	boost_lower(b);
	/* An event that came meanwhile saw it raised still. Pairs with boost_raise(). */
	smp_mb();
	if (left(b))
		queue_work(system_highpri_wq, &b->raise);
}

void boost_raise(struct boost *b)
{
	/* This tick has begun already. */
	smp_store_mb(b->until, jiffies + 1 + usecs_to_jiffies(READ_ONCE(b->wish.max_us)));
	if (!READ_ONCE(b->raised))
		queue_work(system_highpri_wq, &b->raise);
}

static bool permitted(const struct kecho_boost *wish)
{
	if (wish->policy == KECHO_BOOST_FIFO)
		return rlimit(RLIMIT_RTPRIO) >= 1 || capable(CAP_SYS_NICE);
	return wish->nice >= task_nice(current) || can_nice(current, wish->nice);
}

static int boost_new(struct boost **boost)
{
	struct boost *b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);

	if (!b)
		return -ENOMEM;
	mutex_init(&b->lock);
	INIT_WORK(&b->raise, raise_work);
	INIT_DELAYED_WORK(&b->lower, lower_work);
	/* Another thread may have been first. */
	if (cmpxchg_release(boost, NULL, b))
		kfree(b);
	return 0;
}

int boost_set(struct boost **boost, struct kecho_sink *sink, const struct kecho_boost __user *user)
{
	struct kecho_boost wish;
	struct boost *b;
	int err;

	if (copy_from_user(&wish, user, sizeof(wish)))
		return -EFAULT;
	err = kecho_boost_check(&wish);
	if (!err && wish.policy && !permitted(&wish))
		err = -EPERM;
	if (!err && !*boost && wish.policy)
		err = boost_new(boost);
	b = smp_load_acquire(boost);
	if (err || !b)
		return err;
	mutex_lock(&b->lock);
	if (b->task) {
		lower(b);
		put_task_struct(b->task);
	}
	b->task = wish.policy ? get_task_struct(current) : NULL;
	b->wish = wish;
	kecho_sink_show_boost(sink, &wish);
	mutex_unlock(&b->lock);
	return 0;
}

void boost_free(struct boost *b)
{
	if (!b)
		return;
	cancel_work_sync(&b->raise);
	cancel_delayed_work_sync(&b->lower);
	if (b->task) {
		lower(b);
		put_task_struct(b->task);
	}
	kfree(b);
}
