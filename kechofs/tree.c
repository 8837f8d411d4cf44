// SPDX-License-Identifier: GPL-2.0
/* Directories and inodes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "fs.h"

/* Names, and all about directories, only change by what passes through the mount; times of files do, for events arrive. */
#define TIMEOUT 3600.0

static double attr_timeout(enum kecho_kind kind)
{
	return kind == KIND_DIR ? TIMEOUT : 0;
}

static bool dir_has(const struct dir *d, enum kecho_kind kind)
{
	return kecho_dir_has(d->number, dir_is_type(d), kind);
}

struct dir *dir_find(struct fs *fs, u64 number)
{
	struct dir *d;

	hash_for_each_possible(fs->dirs, d, hash, number)
		if (d->number == number)
			return d;
	return NULL;
}

struct dir *ino_dir(struct fs *fs, fuse_ino_t ino)
{
	return dir_find(fs, ino >> 4);
}

static struct dir *dir_by_name(struct fs *fs, struct dir *parent, const char *name)
{
	struct dir *d;

	hash_for_each_possible(fs->names, d, by_name, kecho_name_hash(name))
		if (d->parent == parent && !strcmp(d->name, name))
			return d;
	return NULL;
}

struct owner *dir_owner(struct dir *d, enum kecho_kind kind)
{
	return kind <= KIND_MEMBERS ? &d->own[kind] : NULL;
}

static mode_t dir_mode(mode_t mode)
{
	return mode | (mode & 0444) >> 2;
}

static struct dir *dir_new(struct fs *fs, u64 number, const char *name, struct dir *parent, uid_t uid, gid_t gid)
{
	struct dir *d = calloc(1, sizeof(*d));
	enum kecho_kind k;

	if (!d)
		return NULL;
	d->number = number;
	strscpy(d->name, name, sizeof(d->name));
	d->parent = parent;
	INIT_LIST_HEAD(&d->files);
	INIT_LIST_HEAD(&d->blocked);
	INIT_LIST_HEAD(&d->noted);
	for (k = KIND_DIR; k <= KIND_MEMBERS; k++)
		d->own[k] = (struct owner){ uid, gid, fs->mode, home_realtime() };
	d->own[KIND_DIR].mode = dir_mode(fs->mode);
	d->own[KIND_MEMBERS].mode &= 0444;
	d->own[KIND_FILTER] = (struct owner){ 0, 0, 0600, home_realtime() };
	hash_add(fs->dirs, &d->hash, number);
	hash_add(fs->names, &d->by_name, kecho_name_hash(name));
	list_add_tail(&d->node, &fs->channels);
	if (parent)
		parent->subdirs++;
	return d;
}

static void dir_free(struct dir *d)
{
	if (d->parent)
		d->parent->subdirs--;
	hash_del(&d->hash);
	hash_del(&d->by_name);
	list_del(&d->node);
	list_del_init(&d->noted);
	free(d);
}

/* Files of .node: config may be written by root, the rest only read. */
static struct owner node_owner(struct fs *fs, enum kecho_kind kind)
{
	return (struct owner){ fs->uid, fs->gid, kind == KIND_CONFIG ? 0644 : 0444, home_realtime() };
}

void tree_init(struct fs *fs)
{
	struct dir *root, *node;

	hash_init(fs->dirs);
	hash_init(fs->names);
	INIT_LIST_HEAD(&fs->channels);
	root = dir_new(fs, DIR_ROOT, "", NULL, fs->uid, fs->gid);
	node = dir_new(fs, DIR_NODE, ".node", root, 0, 0);
	if (!root || !node)
		fail("out of memory\n");
	node->own[KIND_DIR].mode = 0755;
	node->own[KIND_EVENTS] = node_owner(fs, KIND_EVENTS);
	node->channel = kecho_node_news(&fs->home.node, node);
	if (!node->channel)
		fail("out of memory\n");
	fs->last_dir = DIR_NODE;
}

void tree_exit(struct fs *fs)
{
	struct dir *d, *next;

	list_for_each_entry_safe(d, next, &fs->channels, node) {
		if (d->channel && !dir_is_type(d)) {
			d->channel->home = NULL;
			kecho_channel_put(d->channel);
		}
	}
	list_for_each_entry_safe(d, next, &fs->channels, node) {
		d->parent = NULL;
		dir_free(d);
	}
}

static void fill_stat(struct fs *fs, struct dir *d, enum kecho_kind kind, struct stat *st)
{
	struct owner node, *o = dir_owner(d, kind);

	if (!o) {
		node = node_owner(fs, kind);
		o = &node;
	}
	memset(st, 0, sizeof(*st));
	st->st_ino = INO(d->number, kind);
	st->st_mode = o->mode | (kind == KIND_DIR ? S_IFDIR : S_IFREG);
	st->st_nlink = kind == KIND_DIR ? 2 + d->subdirs : 1;
	st->st_uid = o->uid;
	st->st_gid = o->gid;
	st->st_blksize = 4096;
	st->st_mtim.tv_sec = o->mtime / 1000000000;
	st->st_mtim.tv_nsec = o->mtime % 1000000000;
	st->st_ctim = st->st_atim = st->st_mtim;
}

static void reply_entry(struct fs *fs, fuse_req_t req, struct dir *d, enum kecho_kind kind)
{
	struct fuse_entry_param e = { .ino = INO(d->number, kind), .generation = 1,
				      .attr_timeout = attr_timeout(kind), .entry_timeout = TIMEOUT };

	fill_stat(fs, d, kind, &e.attr);
	fuse_reply_entry(req, &e);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = req_fs(req);
	struct dir *d = ino_dir(fs, parent), *sub;
	enum kecho_kind k;

	if (!d) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	for (k = KIND_EVENTS; k < KIND_END; k++) {
		if (dir_has(d, k) && !strcmp(name, kecho_kind_name(k))) {
			reply_entry(fs, req, d, k);
			return;
		}
	}
	sub = dir_by_name(fs, d, name);
	if (sub)
		reply_entry(fs, req, sub, KIND_DIR);
	else
		fuse_reply_err(req, ENOENT);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir *d = ino_dir(fs, ino);
	struct stat st;

	(void)fi;
	if (!d) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill_stat(fs, d, ino & 15, &st);
	fuse_reply_attr(req, &st, attr_timeout(ino & 15));
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir *d = ino_dir(fs, ino);
	struct owner *o = d ? dir_owner(d, ino & 15) : NULL;

	if (!d) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	/* The notifier's truncate is what inotify is to see; anyone else's means nothing here. */
	if (to_set & FUSE_SET_ATTR_SIZE && fuse_req_ctx(req)->pid != fs->notifier) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) && !o) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (to_set & FUSE_SET_ATTR_MODE)
		o->mode = st->st_mode & 07777;
	if (to_set & FUSE_SET_ATTR_UID)
		o->uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		o->gid = st->st_gid;
	if (o && to_set & FUSE_SET_ATTR_MTIME_NOW && !(to_set & FUSE_SET_ATTR_SIZE))
		o->mtime = home_realtime();
	op_getattr(req, ino, fi);
}

struct listing {
	fuse_req_t req;
	struct fs *fs;
	char *buf;
	size_t size, len;
	off_t off;
	bool full;
};

/* @at: the entry's place, the same for as long as it exists, so that those that come and go meanwhile hide no other. */
static void list_one(struct listing *l, const char *name, struct dir *d, enum kecho_kind kind, off_t at)
{
	struct stat st;
	size_t n;

	if (at <= l->off || l->full)
		return;
	fill_stat(l->fs, d, kind, &st);
	n = fuse_add_direntry(l->req, l->buf + l->len, l->size - l->len, name, &st, at);
	if (n > l->size - l->len)
		l->full = true;
	else
		l->len += n;
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir *d = ino_dir(fs, ino), *sub;
	struct listing l = { .req = req, .fs = fs, .size = size, .off = off };
	enum kecho_kind k;

	(void)fi;
	l.buf = d ? malloc(size) : NULL;
	if (!l.buf) {
		fuse_reply_err(req, d ? ENOMEM : ENOENT);
		return;
	}
	list_one(&l, ".", d, KIND_DIR, 1);
	list_one(&l, "..", d->parent ? d->parent : d, KIND_DIR, 2);
	for (k = KIND_EVENTS; k < KIND_END; k++)
		if (dir_has(d, k))
			list_one(&l, kecho_kind_name(k), d, k, k + 1);
	list_for_each_entry(sub, &fs->channels, node)
		if (sub->parent == d)
			list_one(&l, sub->name, sub, KIND_DIR, KIND_END + 1 + sub->number);
	fuse_reply_buf(req, l.buf, l.len);
	free(l.buf);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = req_fs(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct dir *up = ino_dir(fs, parent), *d;
	struct kecho_channel *ch = NULL;
	struct parked *p;
	int err;

	(void)mode;
	if (fs->home.stop) {
		fuse_reply_err(req, ENODEV);
		return;
	}
	if (!up || up->number == DIR_NODE || dir_is_type(up)) {
		fuse_reply_err(req, up ? EPERM : ENOENT);
		return;
	}
	if (!kecho_name_valid(name, strlen(name))) {
		pr_warn("mkdir: a name has 1 to %u of A-Z a-z 0-9 . _ - and does not begin with a dot\n", KECHO_NAME_MAX);
		fuse_reply_err(req, EINVAL);
		return;
	}
	d = dir_new(fs, fs->last_dir + 1, name, up, ctx->uid, ctx->gid);
	if (!d) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fs->last_dir++;
	if (up->number != DIR_ROOT) {
		if (up->subdirs > KECHO_TYPES_MAX) {
			dir_free(d);
			fuse_reply_err(req, ENOSPC);
			return;
		}
		d->channel = up->channel;
		reply_entry(fs, req, d, KIND_DIR);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		ch = kecho_channel_join(&fs->home.node, name, d, home_realtime(), home_now(), &err);
	else
		err = -ENOMEM;
	if (!ch) {
		free(p);
		dir_free(d);
		fuse_reply_err(req, -err);
		return;
	}
	d->channel = ch;
	p->req = req;
	p->dir = d;
	INIT_LIST_HEAD(&p->node);
	d->joining = p;
	park(p);
	if (ch->joined)
		tree_mkdir_done(fs, d);
}

void tree_mkdir_done(struct fs *fs, struct dir *d)
{
	struct parked *p = d->joining;

	if (!p)
		return;
	d->joining = NULL;
	reply_entry(fs, p->req, d, KIND_DIR);
	parked_free(p);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = req_fs(req);
	struct dir *up = ino_dir(fs, parent), *d = up ? dir_by_name(fs, up, name) : NULL, *sub;
	struct parked *p, *next;
	bool busy;

	if (!d || d->number == DIR_NODE) {
		fuse_reply_err(req, d ? EPERM : ENOENT);
		return;
	}
	busy = d->open || d->joining;
	if (d->subdirs)
		list_for_each_entry(sub, &fs->channels, node)
			busy = busy || (sub->parent == d && sub->open);
	if (busy || d->subdirs) {
		fuse_reply_err(req, busy ? EBUSY : ENOTEMPTY);
		return;
	}
	list_for_each_entry_safe(p, next, &d->blocked, node) {
		/* Only what closed files have left, for open ones are busy. */
		if (p->data || p->file->writer->len)
			pr_warn("%s: the end of what was written was not published: there was no room for it until the channel was left\n", name);
		if (!p->data)
			file_done(p->file);
		parked_free(p);
	}
	if (up->number == DIR_ROOT) {
		d->channel->home = NULL;
		kecho_channel_leave(d->channel, home_now());
	}
	dir_free(d);
	fuse_reply_err(req, 0);
}
