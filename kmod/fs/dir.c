// SPDX-License-Identifier: GPL-2.0
/* Directories' lives, and what the core says of their channels. */
#include <linux/slab.h>
#include "fs.h"

/* Under a stream of events, so many notifications are enough. */
#define REST_MS 5

static void dir_free_work(struct work_struct *work)
{
	struct kechofs_dir *d = container_of(to_rcu_work(work), struct kechofs_dir, free);
	struct kechofs *fs = d->fs;

	spin_lock(&fs->lock);
	list_del(&d->node);
	spin_unlock(&fs->lock);
	if (d->parent)
		dir_put(d->parent);
	if (d->channel)
		kecho_channel_put(d->channel);
	kfree(d);
	if (atomic_dec_and_test(&fs->ndirs))
		wake_up(&fs->idle);
}

struct kechofs_dir *dir_get(struct kechofs_dir *d)
{
	refcount_inc(&d->ref);
	return d;
}

void dir_put(struct kechofs_dir *d)
{
	if (refcount_dec_and_test(&d->ref))
		queue_rcu_work(kechofs_wq, &d->free);
}

/* --- fsnotify --- */

static void dir_notify_work(struct work_struct *work)
{
	struct kechofs_dir *d = container_of(to_delayed_work(work), struct kechofs_dir, notify);
	unsigned long changed;
	int k;

	mutex_lock(&d->notify_lock);
	d->rested = jiffies + msecs_to_jiffies(REST_MS);
	changed = xchg(&d->changed, 0);
	for_each_set_bit(k, &changed, KIND_MEMBERS + 1)
		if (d->dentries[k])
			fsnotify_dentry(d->dentries[k], FS_MODIFY);
	mutex_unlock(&d->notify_lock);
	dir_put(d);
}

static void dir_notify(struct kechofs_dir *d, enum kecho_kind kind)
{
	unsigned long now = jiffies, rested = READ_ONCE(d->rested);

	if (!fsnotify_sb_has_watchers(d->fs->sb))
		return;
	set_bit(kind, &d->changed);
	if (!refcount_inc_not_zero(&d->ref))
		return;
	if (!queue_delayed_work(kechofs_wq, &d->notify, time_before(now, rested) ? rested - now : 0))
		dir_put(d);
}

/* --- what the core says --- */

static void on_room(struct kecho_channel_user *u)
{
	struct kechofs_dir *d = user_dir(u);

	kill_fasync(&d->room_async, SIGIO, POLL_OUT);
	if (READ_ONCE(d->ntails) && refcount_inc_not_zero(&d->ref) && !queue_work(kechofs_wq, &d->tail_work))
		dir_put(d);
}

/* The one that writes is told of by the VFS. */
static void events_changed(struct kechofs_dir *d, u64 time_ns)
{
	atomic64_set(&d->mtime[KIND_EVENTS], time_ns);
	if (!in_task() || READ_ONCE(d->writing) != current)
		dir_notify(d, KIND_EVENTS);
}

static void on_changed(struct kecho_channel_user *u, enum kecho_file file, const struct kecho_msg *event)
{
	static const enum kecho_kind kinds[] = {
		[KECHO_FILE_EVENTS] = KIND_EVENTS, [KECHO_FILE_ATTRS] = KIND_ATTRS,
		[KECHO_FILE_FILTER] = KIND_FILTER, [KECHO_FILE_MEMBERS] = KIND_MEMBERS,
	};
	struct kechofs_dir *d = user_dir(u), *type;
	enum kecho_kind kind = kinds[file];
	u64 time_ns;

	if (kind == KIND_EVENTS) {
		time_ns = le64_to_cpu(kecho_event(event)->time_ns);
		/* Another node's clock is not ours. */
		if (le64_to_cpu(kecho_event(event)->origin) != d->channel->node->cm.id)
			time_ns = home_realtime();
		events_changed(d, time_ns);
		list_for_each_entry_rcu(type, &d->types, type_node)
			if (kecho_event_is_type(event, type->name))
				events_changed(type, time_ns);
		return;
	}
	atomic64_set(&d->mtime[kind], home_realtime());
	atomic_inc(&d->version[kind]);
	wake_up_interruptible_poll(&d->wait, EPOLLPRI | EPOLLERR);
	dir_notify(d, kind);
}

static void on_joined(struct kecho_channel_user *u)
{
	struct kechofs_dir *d = user_dir(u);

	WRITE_ONCE(d->joined, true);
	wake_up(&d->wait);
}

const struct kecho_channel_user_ops dir_user_ops = {
	.room = on_room,
	.changed = on_changed,
	.joined = on_joined,
};

struct kechofs_dir *dir_new(struct kechofs *fs, const char *name, struct kechofs_dir *parent)
{
	struct kechofs_dir *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	int k;

	if (!d)
		return NULL;
	refcount_set(&d->ref, 1);
	d->fs = fs;
	d->number = atomic64_inc_return(&fs->last_dir);
	strscpy(d->name, name, sizeof(d->name));
	d->parent = parent ? dir_get(parent) : NULL;
	d->channel = parent ? kecho_channel_get(parent->channel) : NULL;
	d->user.ops = &dir_user_ops;
	init_waitqueue_head(&d->user.room);
	INIT_LIST_HEAD(&d->types);
	for (k = 0; k <= KIND_MEMBERS; k++)
		atomic64_set(&d->mtime[k], home_realtime());
	mutex_init(&d->notify_lock);
	d->rested = jiffies;
	INIT_DELAYED_WORK(&d->notify, dir_notify_work);
	init_waitqueue_head(&d->wait);
	mutex_init(&d->tail_lock);
	INIT_LIST_HEAD(&d->tails);
	INIT_WORK(&d->tail_work, events_tail_work);
	INIT_RCU_WORK(&d->free, dir_free_work);
	atomic_inc(&fs->ndirs);
	spin_lock(&fs->lock);
	list_add_tail(&d->node, &fs->dirs);
	spin_unlock(&fs->lock);
	return d;
}

void dir_quit(struct kechofs_dir *d)
{
	if (cancel_delayed_work_sync(&d->notify))
		dir_put(d);
	if (cancel_work_sync(&d->tail_work))
		dir_put(d);
	events_drop_tails(d);
}
