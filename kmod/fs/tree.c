// SPDX-License-Identifier: GPL-2.0
/* Inodes, and mkdir and rmdir: joining and leaving channels, declaring types. */
#define pr_fmt(fmt) "kechofs: " fmt
#include <linux/slab.h>
#include "fs.h"

static const struct inode_operations root_iops, node_iops, channel_iops, type_iops, file_iops;

static struct kechofs_dir *inode_dir(const struct inode *inode)
{
	return inode->i_private;
}

static bool dir_has(const struct kechofs_dir *d, enum kecho_kind kind)
{
	return kecho_dir_has(d->number, dir_is_type(d), kind);
}

/* --- open files --- */

int kechofs_open(struct kechofs_dir *d)
{
	struct kechofs *fs = d->fs;
	int err = -ENOENT;

	spin_lock(&fs->lock);
	if (!d->dead) {
		d->open++;
		if (d->parent)
			d->parent->open++;
		dir_get(d);
		err = 0;
	}
	spin_unlock(&fs->lock);
	return err;
}

void kechofs_close(struct kechofs_dir *d)
{
	struct kechofs *fs = d->fs;

	spin_lock(&fs->lock);
	d->open--;
	if (d->parent)
		d->parent->open--;
	spin_unlock(&fs->lock);
	dir_put(d);
}

/* --- inodes --- */

static int tree_getattr(struct compat_idmap *idmap, const struct path *path, struct kstat *stat, u32 request_mask,
			unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct kechofs_dir *d = inode_dir(inode);
	enum kecho_kind kind = inode_kind(inode);

	compat_fillattr(idmap, request_mask, inode, stat);
	stat->mtime = ns_to_timespec64(kind <= KIND_MEMBERS ? atomic64_read(&d->mtime[kind]) : home_realtime());
	stat->atime = stat->ctime = stat->mtime;
	return 0;
}

static int tree_setattr(struct compat_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct kechofs_dir *d = inode_dir(inode);
	enum kecho_kind kind = inode_kind(inode);
	int err;

	if (attr->ia_valid & ATTR_OPEN)
		return 0; /* O_TRUNC: there is nothing to cut */
	if (attr->ia_valid & ATTR_SIZE)
		return -EINVAL;
	err = setattr_prepare(idmap, dentry, attr);
	if (err)
		return err;
	if (attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID) && kind > KIND_MEMBERS)
		return -EPERM;
	setattr_copy(idmap, inode, attr);
	if (attr->ia_valid & ATTR_MTIME && !(attr->ia_valid & ATTR_MTIME_SET) && kind <= KIND_MEMBERS)
		atomic64_set(&d->mtime[kind], home_realtime());
	return 0;
}

static struct inode *tree_inode(struct kechofs_dir *d, enum kecho_kind kind, kuid_t uid, kgid_t gid, umode_t mode)
{
	struct inode *inode = new_inode(d->fs->sb);

	if (!inode)
		return NULL;
	inode->i_ino = INO(d->number, kind);
	inode->i_uid = uid;
	inode->i_gid = gid;
	inode->i_mode = mode;
	inode->i_private = dir_get(d);
	if (kind != KIND_DIR) {
		inode->i_mode |= S_IFREG;
		inode->i_op = &file_iops;
		inode->i_fop = kind == KIND_EVENTS ? &kechofs_events_ops : &kechofs_text_ops;
		return inode;
	}
	inode->i_mode |= S_IFDIR;
	inode->i_op = d->number == DIR_ROOT ? &root_iops : d->number == DIR_NODE ? &node_iops :
		      dir_is_type(d) ? &type_iops : &channel_iops;
	inode->i_fop = &simple_dir_operations;
	set_nlink(inode, 2);
	return inode;
}

static struct inode *file_inode_new(struct kechofs_dir *d, enum kecho_kind kind, kuid_t uid, kgid_t gid)
{
	struct kechofs *fs = d->fs;

	switch (kind) {
	case KIND_FILTER:
		return tree_inode(d, kind, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, 0600);
	case KIND_MEMBERS:
		return tree_inode(d, kind, uid, gid, fs->mode & 0444);
	case KIND_CONFIG:
		return tree_inode(d, kind, fs->uid, fs->gid, 0644);
	case KIND_PEERS:
	case KIND_CHANNELS:
	case KIND_STATS:
		return tree_inode(d, kind, fs->uid, fs->gid, 0444);
	default:
		if (d->number == DIR_NODE)
			return tree_inode(d, kind, fs->uid, fs->gid, 0444);
		return tree_inode(d, kind, uid, gid, fs->mode);
	}
}

/* --- making and removing directories --- */

/* One that is being made; dentries are hashed by making_done(), nothing fails after making_begin(). */
struct making {
	struct inode *inode;
	struct inode *inodes[KIND_END];
	struct dentry *dentries[KIND_END];
};

static void making_undo(struct making *m)
{
	int k;

	for (k = 0; k < KIND_END; k++) {
		iput(m->inodes[k]);
		dput(m->dentries[k]);
	}
	iput(m->inode);
}

static int making_begin(struct making *m, struct kechofs_dir *d, struct dentry *dentry, kuid_t uid, kgid_t gid, umode_t mode)
{
	int k;

	memset(m, 0, sizeof(*m));
	m->inode = tree_inode(d, KIND_DIR, uid, gid, mode);
	if (!m->inode)
		return -ENOMEM;
	for (k = KIND_EVENTS; k < KIND_END; k++) {
		if (!dir_has(d, k))
			continue;
		m->inodes[k] = file_inode_new(d, k, uid, gid);
		m->dentries[k] = d_alloc_name(dentry, kecho_kind_name(k));
		if (!m->inodes[k] || !m->dentries[k]) {
			making_undo(m);
			return -ENOMEM;
		}
	}
	return 0;
}

/* @dir, the parent, is locked. */
static void making_done(struct making *m, struct kechofs_dir *d, struct inode *dir, struct dentry *dentry)
{
	int k;

	inode_lock_nested(m->inode, I_MUTEX_CHILD);
	d_instantiate(dentry, m->inode);
	dget(dentry);
	inc_nlink(dir);
	for (k = KIND_EVENTS; k < KIND_END; k++)
		if (m->inodes[k])
			d_add(m->dentries[k], m->inodes[k]);
	inode_unlock(m->inode);
	mutex_lock(&d->notify_lock);
	memcpy(d->dentries, m->dentries, sizeof(d->dentries));
	mutex_unlock(&d->notify_lock);
}

/* Both directories are locked. */
static void tree_remove(struct kechofs_dir *d, struct inode *dir, struct dentry *dentry)
{
	struct dentry *dentries[KIND_END];
	int k;

	mutex_lock(&d->notify_lock);
	memcpy(dentries, d->dentries, sizeof(dentries));
	memset(d->dentries, 0, sizeof(d->dentries));
	mutex_unlock(&d->notify_lock);
	for (k = KIND_EVENTS; k < KIND_END; k++) {
		if (!dentries[k])
			continue;
		dget(dentries[k]);
		simple_unlink(d_inode(dentry), dentries[k]);
		d_invalidate(dentries[k]);
		dput(dentries[k]);
	}
	WARN_ON_ONCE(simple_rmdir(dir, dentry));
}

static umode_t dir_mode(umode_t mode)
{
	return mode | (mode & 0444) >> 2;
}

static bool name_valid(const struct dentry *dentry)
{
	if (kecho_name_valid(dentry->d_name.name, dentry->d_name.len))
		return true;
	pr_info_ratelimited("mkdir: a name has 1 to %u of A-Z a-z 0-9 . _ - and does not begin with a dot\n", KECHO_NAME_MAX);
	return false;
}

/*
 * Others may use the root meanwhile, and the new directory: it is complete, and rmdir refuses it. The parent cannot go away: it is
 * the root.
 */
static void wait_joined(struct kechofs_dir *d, struct inode *dir)
{
	if (!READ_ONCE(d->joined) && !READ_ONCE(d->channel->joined)) {
		inode_unlock(dir);
		wait_event_killable(d->wait, READ_ONCE(d->joined));
		inode_lock_nested(dir, I_MUTEX_PARENT);
	}
	spin_lock(&d->fs->lock);
	d->joining = false;
	spin_unlock(&d->fs->lock);
}

/* The root is locked. */
static int channel_make(struct kechofs *fs, struct dentry *dentry)
{
	struct inode *dir = d_inode(fs->sb->s_root);
	struct kecho_channel *ch;
	struct kechofs_dir *d;
	struct making m;
	int err;

	if (!name_valid(dentry))
		return -EINVAL;
	d = dir_new(fs, dentry->d_name.name, NULL);
	if (!d)
		return -ENOMEM;
	err = making_begin(&m, d, dentry, current_fsuid(), current_fsgid(), dir_mode(fs->mode));
	if (err)
		goto out_put;
	ch = kecho_channel_join(&fs->home->node, d->name, &d->user, home_realtime(), home_now(), &err);
	if (!ch) {
		making_undo(&m);
		goto out_put;
	}
	d->channel = kecho_channel_get(ch);
	d->joining = true;
	making_done(&m, d, dir, dentry);
	if (d_unhashed(dentry))
		d_rehash(dentry);
	wait_joined(d, dir);
out_put:
	dir_put(d);
	return err;
}

static compat_mkdir_t root_mkdir(struct compat_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	return compat_mkdir_ret(channel_make(inode_dir(dir)->fs, dentry));
}

static compat_mkdir_t channel_mkdir(struct compat_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct kechofs_dir *up = inode_dir(dir), *d;
	struct kechofs *fs = up->fs;
	struct making m;
	int err = -EINVAL;

	if (!name_valid(dentry))
		goto out;
	err = -ENOSPC;
	if (up->ntypes >= KECHO_TYPES_MAX)
		goto out;
	err = -ENOMEM;
	d = dir_new(fs, dentry->d_name.name, up);
	if (!d)
		goto out;
	err = making_begin(&m, d, dentry, current_fsuid(), current_fsgid(), dir_mode(fs->mode));
	if (!err) {
		making_done(&m, d, dir, dentry);
		up->ntypes++;
		list_add_tail_rcu(&d->type_node, &up->types);
	}
	dir_put(d);
out:
	return compat_mkdir_ret(err);
}

/* From here on nothing of it is opened. */
static int dir_kill(struct kechofs_dir *d)
{
	int err = 0;

	spin_lock(&d->fs->lock);
	if (d->open || d->joining)
		err = -EBUSY;
	else if (d->ntypes)
		err = -ENOTEMPTY;
	else
		d->dead = true;
	spin_unlock(&d->fs->lock);
	return err;
}

static int channel_rmdir(struct inode *dir, struct dentry *dentry)
{
	struct kechofs_dir *up = inode_dir(dir), *d = inode_dir(d_inode(dentry));
	int err = dir_kill(d);

	if (err)
		return err;
	up->ntypes--;
	list_del_rcu(&d->type_node);
	tree_remove(d, dir, dentry);
	return 0;
}

static void dir_leave(struct kechofs_dir *d)
{
	events_drop_tails(d);
	WRITE_ONCE(d->channel->home, NULL);
	if (d->number != DIR_NODE)
		kecho_channel_leave(d->channel, home_now());
}

static int root_rmdir(struct inode *dir, struct dentry *dentry)
{
	struct kechofs_dir *d = inode_dir(d_inode(dentry));
	int err = d->number == DIR_NODE ? -EPERM : dir_kill(d);

	if (err)
		return err;
	dir_leave(d);
	tree_remove(d, dir, dentry);
	return 0;
}

/* What the VFS would refuse by itself, but with EACCES. */
static int refuse_create(struct compat_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
{
	return -EPERM;
}

#define DIR_IOPS .lookup = simple_lookup, .create = refuse_create, .getattr = tree_getattr, .setattr = tree_setattr

static const struct inode_operations root_iops = { DIR_IOPS, .mkdir = root_mkdir, .rmdir = root_rmdir };
static const struct inode_operations channel_iops = { DIR_IOPS, .mkdir = channel_mkdir, .rmdir = channel_rmdir };
static const struct inode_operations node_iops = { DIR_IOPS };
static const struct inode_operations type_iops = { DIR_IOPS };
static const struct inode_operations file_iops = { .getattr = tree_getattr, .setattr = tree_setattr };

/* --- services --- */

static struct kecho_channel *service_find(struct kecho_home *h, const char *name)
{
	struct kecho_channel *ch = kecho_channel_find(&h->node, name), *found = ERR_PTR(-ENOENT);
	struct kecho_channel_user *u;

	if (!ch)
		return found;
	rcu_read_lock();
	u = READ_ONCE(ch->home);
	if (u && !kechofs_open(user_dir(u)))
		found = ch;
	rcu_read_unlock();
	kecho_channel_put(ch);
	return found;
}

static int service_mkdir(struct kechofs *fs, const char *name)
{
	struct dentry *root = fs->sb->s_root, *dentry;
	struct inode *dir = d_inode(root);
	struct qstr q = QSTR_INIT(name, strlen(name));
	int err = -ENOMEM;

	inode_lock_nested(dir, I_MUTEX_PARENT);
	/* One that somebody looked up in vain may still be there. */
	dentry = d_hash_and_lookup(root, &q);
	if (!dentry)
		dentry = d_alloc(root, &q);
	if (dentry && d_is_positive(dentry))
		err = -EEXIST;
	else if (dentry)
		err = channel_make(fs, dentry);
	if (!err)
		fsnotify_mkdir(dir, dentry);
	inode_unlock(dir);
	dput(dentry);
	return err;
}

struct kecho_channel *kechofs_service_open(struct kecho_home *h, const char *name, bool create)
{
	struct kecho_channel *ch = service_find(h, name);
	int err;

	if (PTR_ERR(ch) != -ENOENT || !create)
		return ch;
	err = service_mkdir(h->fs, name);
	return err && err != -EEXIST ? ERR_PTR(err) : service_find(h, name);
}

void kechofs_service_close(struct kecho_channel *ch)
{
	kechofs_close(user_dir(ch->home));
}

/* --- the mount --- */

static int fill_root(struct kechofs *fs)
{
	struct kechofs_dir *d = dir_new(fs, "", NULL);
	struct inode *inode;

	if (!d)
		return -ENOMEM;
	inode = tree_inode(d, KIND_DIR, fs->uid, fs->gid, dir_mode(fs->mode));
	dir_put(d);
	if (!inode)
		return -ENOMEM;
	fs->sb->s_root = d_make_root(inode);
	return fs->sb->s_root ? 0 : -ENOMEM;
}

static int fill_node(struct kechofs *fs)
{
	struct dentry *root = fs->sb->s_root, *dentry = d_alloc_name(root, ".node");
	struct kechofs_dir *d = dir_new(fs, ".node", NULL);
	struct inode *dir = d_inode(root);
	struct making m;
	int err = -ENOMEM;

	if (!dentry || !d)
		goto out;
	d->channel = kecho_node_news(&fs->home->node, &d->user);
	if (!d->channel)
		goto out;
	err = making_begin(&m, d, dentry, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, 0755);
	if (err)
		goto out;
	inode_lock_nested(dir, I_MUTEX_PARENT);
	making_done(&m, d, dir, dentry);
	d_rehash(dentry);
	inode_unlock(dir);
out:
	if (d)
		dir_put(d);
	dput(dentry);
	return err;
}

int kechofs_fill(struct kechofs *fs)
{
	int err = fill_root(fs);

	return err ? err : fill_node(fs);
}

/* The next directory, with a reference; the last one's is put. */
static struct kechofs_dir *next_dir(struct kechofs *fs, struct kechofs_dir *last)
{
	struct kechofs_dir *d = last ? last : list_entry(&fs->dirs, struct kechofs_dir, node);

	spin_lock(&fs->lock);
	list_for_each_entry_continue(d, &fs->dirs, node)
		if (refcount_inc_not_zero(&d->ref))
			break;
	spin_unlock(&fs->lock);
	if (last)
		dir_put(last);
	return &d->node == &fs->dirs ? NULL : d;
}

void kechofs_stop(struct kechofs *fs)
{
	struct kechofs_dir *d;

	for (d = next_dir(fs, NULL); d; d = next_dir(fs, d))
		if (d->channel && !dir_is_type(d) && !d->dead)
			dir_leave(d);
	synchronize_rcu();
	for (d = next_dir(fs, NULL); d; d = next_dir(fs, d))
		dir_quit(d);
}
