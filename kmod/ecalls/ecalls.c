// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/kecho: the rings of an open events file, in memory that the program maps. What it has published is taken in the context of its
 * KECHO_IOC_KICK, and if it asks for that (idle_us) by a work that goes on looking for more; what it is to receive is put into its
 * ring by who publishes.
 */
#include <linux/file.h>
#include <linux/memcontrol.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <kecho/version.h>
#include "../../lib/ecalls/port.h"
#include "../kecho/home.h"

/* Records between two looks at the clock, at signals, and at who else wants to run. */
#define ROUND 64
/* So much a publisher copies for us, with the channel locked; what is more is left to the work. */
#define DIRECT_BYTES (64u << 10)
/* So often a work that goes on looking has found nothing when it leaves the processor to others. */
#define LOOKS 64
/* A program that says so often that there is something where there is nothing has to kick again. */
#define FUTILE 1000
/* So often a program that kicks serves what it publishes meanwhile. */
#define KICK_ROUNDS 64

static struct workqueue_struct *rings_wq;
/* Works that go on looking: of no more than half of the processors. The others sleep as if nobody had asked. */
static atomic_t lookers;

/**
 * struct rings - an open /dev/kecho
 * @lock: attaching, and the publishing ring
 * @events: the events file, a reference; NULL until attached, then until release. Set last, with release semantics
 * @memory: @bytes, which programs may have mapped until the file is released
 * @memcg: whom the work's events are charged to
 * @wait, @async: told when the program is to wake up
 * @room: in the channel's queue of those who wait for room
 * @work: serves both rings; does not run any more once @ending is set
 */
struct rings {
	struct mutex lock;
	struct kecho_port port;
	struct kecho_rings_user user;
	const struct kecho_tree_ops *tree;
	struct file *events;
	void *memory;
	u64 bytes, idle_ns;
	struct mem_cgroup *memcg;
	wait_queue_head_t wait;
	struct fasync_struct *async;
	wait_queue_entry_t room;
	struct work_struct work;
	bool ending;
};

static void wake(struct rings *d)
{
	wake_up_interruptible(&d->wait);
	kill_fasync(&d->async, SIGIO, POLL_IN);
}

/* --- what the events file says, perhaps before we are ready --- */

static struct rings *user_rings(struct kecho_rings_user *u)
{
	struct rings *d = container_of(u, struct rings, user);

	return smp_load_acquire(&d->events) ? d : NULL;
}

static void fill(struct rings *d)
{
	bool asleep = READ_ONCE(d->port.channel->gone);

	if (kecho_port_fill(&d->port, &asleep) == KECHO_PORT_FILL)
		queue_work(rings_wq, &d->work);
	if (asleep)
		wake(d);
}

static bool on_take(struct kecho_rings_user *u, struct kecho_msg *msg)
{
	struct rings *d = user_rings(u);
	bool asleep = false;

	if (!d || READ_ONCE(d->ending) || kecho_event_size(msg) > DIRECT_BYTES ||
	    !kecho_port_give(&d->port, msg, &asleep))
		return false;
	if (asleep)
		wake(d);
	return true;
}

static void on_ready(struct kecho_rings_user *u)
{
	struct rings *d = user_rings(u);

	if (!d || READ_ONCE(d->ending))
		return;
	if (READ_ONCE(d->port.sink->bytes) > DIRECT_BYTES)
		queue_work(rings_wq, &d->work);
	else
		fill(d);
}

static struct kecho_msg *on_apart(struct kecho_rings_user *u)
{
	struct rings *d = user_rings(u);

	return d ? kecho_port_apart(&d->port) : NULL;
}

static int on_room(wait_queue_entry_t *entry, unsigned int mode, int flags, void *key)
{
	struct rings *d = container_of(entry, struct rings, room);

	if (READ_ONCE(d->port.blocked) && !READ_ONCE(d->ending))
		queue_work(rings_wq, &d->work);
	return 0;
}

/* --- the rings --- */

/* @lock is held. Returns how many events went one way or the other, or -ENOMEM, -EPROTO. */
static int serve(struct rings *d)
{
	struct kecho_channel_user *u = d->port.channel->home;
	struct kecho_batch batch = { 0 };
	bool asleep = false;
	int err, rooms, given, n = 0;
	bool more;
	u32 taken;

	do {
		rooms = atomic_read(&u->rooms);
		err = kecho_port_drain(&d->port, home_realtime(), ROUND, &batch, &taken);
		kecho_net_send(&batch);
		kecho_port_release(&d->port, &asleep);
		given = kecho_port_fill(&d->port, &asleep);
		if (given < 0)
			err = given;
		n += taken + max(given, 0);
		/* Or there was room again before on_room() could know that it matters. */
		more = taken == ROUND || given == KECHO_PORT_FILL || (err == -EAGAIN && atomic_read(&u->rooms) != rooms);
		cond_resched();
	} while (more && (!err || err == -EAGAIN) && !fatal_signal_pending(current));
	if (asleep || err == -EPROTO)
		wake(d);
	return err == -EPROTO || err == -ENOMEM ? err : n;
}

static int serve_locked(struct rings *d)
{
	int n;

	mutex_lock(&d->lock);
	n = serve(d);
	mutex_unlock(&d->lock);
	return n;
}

static bool go_to_sleep(struct rings *d)
{
	bool sleeps;

	mutex_lock(&d->lock);
	sleeps = kecho_port_idle(&d->port);
	mutex_unlock(&d->lock);
	return sleeps;
}

static void rings_work(struct work_struct *work)
{
	struct rings *d = container_of(work, struct rings, work);
	bool looks = d->idle_ns && atomic_inc_return(&lookers) <= max(1u, num_online_cpus() / 2);
	u64 idle = looks ? d->idle_ns : 0, until = home_now() + idle;
	struct mem_cgroup *memcg = set_active_memcg(d->memcg);
	int n, futile = 0, rests = 0;

	kecho_port_busy(&d->port);
	while (!READ_ONCE(d->ending) && futile < FUTILE) {
		n = kecho_port_pending(&d->port) ? serve_locked(d) : 0;
		if (n > 0) {
			until = home_now() + idle;
			futile = 0;
		} else if (n == -ENOMEM) {
			schedule_timeout_uninterruptible(1);
		} else if (n < 0) {
			break;
		} else if (home_now() >= until) {
			if (go_to_sleep(d) && serve_locked(d) != -ENOMEM)
				break;
			/* There is something, and nothing comes of it. */
			futile++;
		}
		if (n || ++rests % LOOKS)
			cond_resched();
		else
			/* Nothing else would: who is woken here does not go before who has only begun to look. */
			yield();
		cpu_relax();
	}
	if (d->idle_ns)
		atomic_dec(&lookers);
	set_active_memcg(memcg);
}

static int kick(struct rings *d)
{
	int n, rounds = 0;
	bool sleeps;

	if (mutex_lock_interruptible(&d->lock))
		return -EINTR;
	/* Who kicks has taken back that we sleep. With idle_us, or if there is always more, it is the work that says so anew. */
	do {
		n = serve(d);
		sleeps = n >= 0 && !d->idle_ns && kecho_port_idle(&d->port);
	} while (n >= 0 && !d->idle_ns && !sleeps && ++rounds < KICK_ROUNDS && !fatal_signal_pending(current));
	mutex_unlock(&d->lock);
	if (n == -ENOMEM || (n >= 0 && !sleeps))
		queue_work(rings_wq, &d->work);
	return min(n, 0);
}

/* --- attaching --- */

static int borrow(struct rings *d, struct file *events, struct kecho_lent *lent)
{
	struct kecho_home *h = kecho_home_of(current->nsproxy->net_ns);
	int err;

	if (!h)
		return -ENOTTY;
	d->tree = h->tree;
	err = d->tree->lend(h, events, &d->user, lent);
	/* The file holds the tree, and so the node. */
	d->tree->release(h);
	return err;
}

/* @lock is held. The file's reference is taken over on success, of which the caller is told before it cannot be undone. */
static int attach(struct rings *d, struct file *events, struct kecho_attach *a, struct kecho_attach __user *arg)
{
	struct kecho_channel_user *u;
	struct kecho_lent lent;
	int err;

	if (d->events)
		return -EBUSY;
	err = borrow(d, events, &lent);
	if (err)
		return err;
	err = kecho_port_sizes(a, lent.publishes, lent.sink);
	if (err)
		goto fail;
	err = -ENOMEM;
	d->memory = __vmalloc(a->bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!d->memory)
		goto fail;
	err = -EFAULT;
	if (copy_to_user(arg, a, sizeof(*a)))
		goto fail_memory;
	d->bytes = a->bytes;
	d->idle_ns = a->idle_us * (u64)NSEC_PER_USEC;
	d->memcg = get_mem_cgroup_from_mm(current->mm);
	d->port = (struct kecho_port){
		.channel = lent.channel, .type = lent.type, .publishes = lent.publishes, .sink = lent.sink,
	};
	kecho_port_init(&d->port, a, d->memory);
	smp_store_release(&d->events, events);
	u = lent.channel->home;
	add_wait_queue(&u->room, &d->room);
	/* What came before @events was there. */
	serve(d);
	if (d->idle_ns)
		queue_work(rings_wq, &d->work);
	return 0;
fail_memory:
	vfree(d->memory);
	d->memory = NULL;
fail:
	d->tree->give_back(events);
	return err;
}

static int ioctl_attach(struct rings *d, struct kecho_attach __user *arg)
{
	struct kecho_attach a;
	struct file *events;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	events = fget(a.events);
	if (!events)
		return -EBADF;
	mutex_lock(&d->lock);
	err = attach(d, events, &a, arg);
	mutex_unlock(&d->lock);
	if (err)
		fput(events);
	return err;
}

static int rings_open(struct inode *inode, struct file *file)
{
	struct rings *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);

	if (!d)
		return -ENOMEM;
	mutex_init(&d->lock);
	d->user = (struct kecho_rings_user){ .take = on_take, .ready = on_ready, .apart = on_apart, .read = on_ready };
	init_waitqueue_head(&d->wait);
	init_waitqueue_func_entry(&d->room, on_room);
	INIT_WORK(&d->work, rings_work);
	file->private_data = d;
	return nonseekable_open(inode, file);
}

static void detach(struct rings *d)
{
	struct kecho_channel_user *u = d->port.channel->home;

	WRITE_ONCE(d->ending, true);
	remove_wait_queue(&u->room, &d->room);
	cancel_work_sync(&d->work);
	/* What it has submitted is published, though it may have been killed since. */
	while (serve_locked(d) > 0)
		;
	d->tree->give_back(d->events);
	cancel_work_sync(&d->work);
	kecho_port_exit(&d->port);
	fput(d->events);
}

static int rings_release(struct inode *inode, struct file *file)
{
	struct rings *d = file->private_data;

	if (d->events)
		detach(d);
	vfree(d->memory);
	mem_cgroup_put(d->memcg);
	kfree(d);
	return 0;
}

static long rings_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct rings *d = file->private_data;

	switch (cmd) {
	case KECHO_IOC_ATTACH:
		return ioctl_attach(d, (struct kecho_attach __user *)arg);
	case KECHO_IOC_KICK:
		return smp_load_acquire(&d->events) ? kick(d) : -ENOTCONN;
	}
	return -ENOTTY;
}

static int rings_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct rings *d = file->private_data;
	u64 size = vma->vm_end - vma->vm_start, off;
	int err = 0;

	if (!smp_load_acquire(&d->events))
		return -ENOTCONN;
	if (vma->vm_pgoff || size > PAGE_ALIGN(d->bytes) || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	for (off = 0; !err && off < size; off += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + off, vmalloc_to_page(d->memory + off));
	return err;
}

static __poll_t rings_poll(struct file *file, poll_table *wait)
{
	struct rings *d = file->private_data;

	poll_wait(file, &d->wait, wait);
	return smp_load_acquire(&d->events) ? kecho_port_events(&d->port) : EPOLLERR;
}

static int rings_fasync(int fd, struct file *file, int on)
{
	struct rings *d = file->private_data;

	return fasync_helper(fd, file, on, &d->async);
}

static const struct file_operations rings_ops = {
	.owner = THIS_MODULE,
	.open = rings_open,
	.release = rings_release,
	.unlocked_ioctl = rings_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = rings_mmap,
	.poll = rings_poll,
	.fasync = rings_fasync,
};

/* Anyone may: what can be done with it depends on the events file. */
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kecho",
	.fops = &rings_ops,
	.mode = 0666,
};

static int __init ecalls_init(void)
{
	int err;

	rings_wq = alloc_workqueue("kecho_rings", WQ_UNBOUND, 0);
	if (!rings_wq)
		return -ENOMEM;
	err = misc_register(&device);
	if (err)
		destroy_workqueue(rings_wq);
	return err;
}

static void __exit ecalls_exit(void)
{
	misc_deregister(&device);
	destroy_workqueue(rings_wq);
}

module_init(ecalls_init);
module_exit(ecalls_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: channels by shared memory");
