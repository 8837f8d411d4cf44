/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The tree as a filesystem
 *
 * A plain filesystem in the dcache: dentries are pinned by a reference from their making to rmdir or umount. An inode number is a
 * directory's number and the kind of file in it: ino = number << 4 | kind; the root is directory 0. Inodes point to their directory
 * (i_private) and hold a reference.
 *
 * Locking, outermost first: the directories' i_rwsem (the tree's shape), notify_lock or a file's mutexes, the core's cm.lock and
 * channel->lock, kechofs.lock. The core's callbacks come with its locks held: they count, set bits, wake, and queue works.
 */
#ifndef KECHOFS_H
#define KECHOFS_H
#include <linux/fs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "../../lib/attr/text.h"
#include "../../lib/channel/stream.h"
#include "../../lib/channel/tree.h"
#include "../compat.h"
#include "../kecho/home.h"

static inline enum kecho_kind inode_kind(const struct inode *inode)
{
	return inode->i_ino & 15;
}

/**
 * struct kechofs - a mount: one a network namespace. Lives from fill_super to the end of kill_sb; @home until its beginning, when
 * all files are closed and the channels have been left.
 * @lock: directories' @open, @dead, @joining and the list of them
 * @ndirs: directories not freed yet; @idle is woken at 0
 * @listings, @last_listing: questions to the registry; cm.lock
 */
struct kechofs {
	struct super_block *sb;
	struct kecho_home *home;
	struct kecho_home_options options;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	spinlock_t lock;
	struct list_head dirs;
	atomic_t ndirs;
	wait_queue_head_t idle;
	atomic64_t last_dir;
	struct list_head listings;
	u32 last_listing;
};

/**
 * struct kechofs_dir - the root, .node, a channel's directory, or a type's
 *
 * References: its inodes, open files, types (of @parent), queued works. Freed by a work after a grace period, for the core's
 * callbacks find it by channel->home; the last reference may be put in any context.
 *
 * @parent: of a type: its channel's directory; NULL of others
 * @channel: NULL of the root; of .node: kecho_node_news(); a reference
 * @types: RCU; changed with this directory's i_rwsem held
 * @open: open files, of its types too: rmdir refuses
 * @dead: rmdir has begun: nothing is opened any more; @joining: mkdir waits yet
 * @mtime: when a file last changed, by kind: CLOCK_REALTIME, ns
 * @version: counts changes of a file's text
 * @dentries: of the files; @notify_lock
 * @changed: bits of kinds that @notify has to tell fsnotify of
 * @rested: when it may do so again (jiffies)
 * @writing: whose write(2) is publishing: the VFS tells fsnotify of that one
 * @wait: mkdir, and who polls texts
 * @room_async: writers who want a signal when there is room
 * @tails: unterminated last lines of closed files for which there was no room; @tail_lock, @ntails
 */
struct kechofs_dir {
	refcount_t ref;
	struct kechofs *fs;
	struct list_head node;
	u64 number;
	char name[KECHO_NAME_MAX + 1];
	struct kechofs_dir *parent;
	struct kecho_channel *channel;
	struct kecho_channel_user user;
	struct list_head types, type_node;
	u32 ntypes;
	u32 open;
	bool dead, joining, joined;
	atomic64_t mtime[KIND_MEMBERS + 1];
	atomic_t version[KIND_MEMBERS + 1];
	struct mutex notify_lock;
	struct dentry *dentries[KIND_END];
	unsigned long changed, rested;
	struct task_struct *writing;
	struct delayed_work notify;
	wait_queue_head_t wait;
	struct fasync_struct *room_async;
	struct mutex tail_lock;
	struct list_head tails;
	u32 ntails;
	struct work_struct tail_work;
	struct rcu_work free;
};

static inline bool dir_is_type(const struct kechofs_dir *d)
{
	return d->parent;
}

/** dir_channel() - where writers of a directory's events wait: its channel's directory */
static inline struct kechofs_dir *dir_channel(struct kechofs_dir *d)
{
	return d->parent ? d->parent : d;
}

static inline struct kechofs_dir *user_dir(struct kecho_channel_user *u)
{
	return container_of(u, struct kechofs_dir, user);
}

extern struct workqueue_struct *kechofs_wq;
extern const struct file_operations kechofs_events_ops, kechofs_text_ops;

/* tree.c */
/** kechofs_fill() - the root and .node; on failure sb->s_root may be set */
int kechofs_fill(struct kechofs *fs);
/** kechofs_stop() - no file is open: leaves the channels; no work runs after it */
void kechofs_stop(struct kechofs *fs);
/** kechofs_service_open(), kechofs_service_close() - see &struct kecho_tree_ops */
struct kecho_channel *kechofs_service_open(struct kecho_home *h, const char *name, bool create);
void kechofs_service_close(struct kecho_channel *ch);
/** kechofs_open() - counts an open file and takes a reference; -ENOENT after rmdir */
int kechofs_open(struct kechofs_dir *d);
void kechofs_close(struct kechofs_dir *d);

/* dir.c */
/** dir_new() - one reference; NULL without memory */
struct kechofs_dir *dir_new(struct kechofs *fs, const char *name, struct kechofs_dir *parent);
struct kechofs_dir *dir_get(struct kechofs_dir *d);
void dir_put(struct kechofs_dir *d);
/** dir_quit() - no callback and no work concerns it any more. Context: a grace period after channel->home was cleared */
void dir_quit(struct kechofs_dir *d);
extern const struct kecho_channel_user_ops dir_user_ops;

/* events.c */
/** events_drop_tails() - the channel is being left: a last try to publish last lines; says on the log which are lost */
void events_drop_tails(struct kechofs_dir *d);
void events_tail_work(struct work_struct *work);
/** events_lend(), events_give_back() - see &struct kecho_tree_ops */
int events_lend(struct kecho_home *h, struct file *file, struct kecho_rings_user *u, struct kecho_lent *lent);
void events_give_back(struct file *file);

/* boost.c */
struct boost;
/** boost_set() - favour the current task by @user's wish; *@boost is the file's. -EINVAL, -EPERM, -ENOMEM. Context: may sleep */
int boost_set(struct boost **boost, struct kecho_sink *sink, const struct kecho_boost __user *user);
/** boost_raise() - an event waits. Context: any */
void boost_raise(struct boost *b);
/** boost_lower() - none does. Context: may sleep */
void boost_lower(struct boost *b);
/** boost_free() - NULL is allowed; nobody raises it any more. Context: may sleep */
void boost_free(struct boost *b);

/* text.c */
void text_listed(struct kecho_home *h, u32 request, const char *name, const struct kecho_holding *holding);
#endif
