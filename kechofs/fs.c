// SPDX-License-Identifier: GPL-2.0
/* Open files, and what is done about what the core has said (settle). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "fs.h"

void file_note(struct fs *fs, struct file *f)
{
	if (f->is_noted)
		return;
	f->is_noted = true;
	list_add_tail(&f->noted, &fs->noted_files);
}

void dir_note(struct fs *fs, struct dir *d)
{
	if (list_empty(&d->noted))
		list_add_tail(&d->noted, &fs->noted_dirs);
}

static void file_unpoll(struct file *f)
{
	if (f->ph)
		fuse_pollhandle_destroy(f->ph);
	f->ph = NULL;
}

void file_free(struct file *f)
{
	file_unpoll(f);
	if (!list_empty(&f->noted))
		list_del(&f->noted);
	boost_free(f->boost);
	free(f->part);
	free(f->reader);
	free(f->writer);
	free(f);
}

static bool file_is_events(const struct file *f)
{
	return f->kind == KIND_EVENTS;
}

static struct file *fi_file(struct fuse_file_info *fi)
{
	return (struct file *)(uintptr_t)fi->fh;
}

static void file_close(struct file *f)
{
	f->dir->open--;
	list_del(&f->node);
	file_unpoll(f);
	if (file_is_events(f)) {
		events_close(f);
	} else {
		text_close(f);
		file_free(f);
	}
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = req_fs(req);
	struct dir *d = ino_dir(fs, ino);
	struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH };
	struct file *f;
	int err = 0;

	f = d ? calloc(1, sizeof(*f)) : NULL;
	if (!f) {
		fuse_reply_err(req, d ? ENOMEM : ENOENT);
		return;
	}
	f->dir = d;
	f->kind = ino & 15;
	f->flags = fi->flags;
	INIT_LIST_HEAD(&f->reads);
	INIT_LIST_HEAD(&f->noted);
	INIT_LIST_HEAD(&f->offered);
	if (!kecho_kind_writable(d->number, f->kind) && (fi->flags & O_ACCMODE) != O_RDONLY)
		err = -EACCES;
	else if (file_is_events(f))
		err = events_open(f, fuse_req_ctx(req));
	else
		text_open(f);
	if (err) {
		if (file_is_events(f))
			events_close(f);
		else
			file_free(f);
		fuse_reply_err(req, -err);
		return;
	}
	list_add_tail(&f->node, &d->files);
	d->open++;
	/* Not by fuse_reply_open(): libfuse 3.14 has no name for a stream, on which a blocked read does not block a write. */
	if (file_is_events(f))
		out.open_flags |= FOPEN_STREAM | FOPEN_NONSEEKABLE;
	out.fh = (uintptr_t)f;
	/* The caller has gone, and no release will follow. */
	if (fuse_reply_buf(req, (char *)&out, sizeof(out)) == -ENOENT)
		file_close(f);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	file_close(fi_file(fi));
	fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct file *f = fi_file(fi);

	(void)ino;
	/* O_NONBLOCK may be changed while it is open; O_DIRECT counts as it was then. */
	f->flags = fi->flags;
	if (file_is_events(f))
		events_read(req_fs(req), req, f, size, off);
	else
		text_read(req_fs(req), req, f, size, off);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct file *f = fi_file(fi);

	(void)ino;
	f->flags = fi->flags;
	if (file_is_events(f))
		events_write(req_fs(req), req, f, buf, size, off);
	else
		text_write(req_fs(req), req, f, buf, size);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct file *f = fi_file(fi);

	(void)ino;
	if (ph) {
		file_unpoll(f);
		f->ph = ph;
	}
	fuse_reply_poll(req, file_is_events(f) ? events_poll(f) : text_poll(f));
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg, struct fuse_file_info *fi, unsigned int flags,
		     const void *in, size_t in_size, size_t out_size)
{
	struct file *f = fi_file(fi);
	struct kecho_socket out;
	size_t n = 0;
	int err;

	(void)ino;
	(void)arg;
	(void)flags;
	err = file_is_events(f) ? events_ioctl(f, fuse_req_ctx(req)->pid, cmd, in, in_size, &out, &n) : -ENOTTY;
	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_ioctl(req, 0, &out, min(n, out_size));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096, .f_namemax = KECHO_NAME_MAX };

	(void)ino;
	st.f_files = req_fs(req)->home.node.nchannels;
	fuse_reply_statfs(req, &st);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	conn->max_write = FUSE_MAX;
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	fuse_reply_err(req, EPERM);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	fuse_reply_err(req, EPERM);
}

static void refuse_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void refuse_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino, (void)newparent, (void)newname;
	fuse_reply_err(req, EPERM);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
			  unsigned int flags)
{
	(void)parent, (void)name, (void)newparent, (void)newname, (void)flags;
	fuse_reply_err(req, EPERM);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readdir = op_readdir,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.poll = op_poll,
	.ioctl = op_ioctl,
	.statfs = op_statfs,
	.mknod = refuse_mknod,
	.create = refuse_create,
	.unlink = refuse_unlink,
	.symlink = refuse_symlink,
	.link = refuse_link,
	.rename = refuse_rename,
};

/* --- what the core says: noted here, done by settle --- */

static bool on_take(struct kecho_sink *sink, struct kecho_msg *msg)
{
	struct file *f = sink->home;

	if (!f->rings || !rings_take(f->rings, msg))
		return false;
	if (f->boost)
		boost_raise(node_fs(sink->channel->node), f->boost);
	return true;
}

static void on_ready(struct kecho_sink *sink)
{
	struct file *f = sink->home;

	if (f->boost && !sink->channel->gone)
		boost_raise(node_fs(sink->channel->node), f->boost);
	if (f->rings)
		rings_ready(f->rings);
	else
		file_note(node_fs(sink->channel->node), f);
}

static void on_room(struct kecho_channel *ch)
{
	struct dir *d = ch->home;

	if (!d)
		return;
	d->room = true;
	dir_note(node_fs(ch->node), d);
}

static void on_joined(struct kecho_channel *ch)
{
	struct dir *d = ch->home;

	if (!d)
		return;
	d->joined = true;
	dir_note(node_fs(ch->node), d);
}

static void dir_changed(struct fs *fs, struct dir *d, enum kecho_kind kind)
{
	/* At once: a read that comes before settle() shows the change already. */
	d->version[kind]++;
	if (kind == KIND_EVENTS && fs->writing == d) {
		d->own[kind].mtime = home_realtime();
		return;
	}
	d->changed |= 1u << kind;
	dir_note(fs, d);
}

static void on_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event)
{
	static const enum kecho_kind kinds[] = {
		[KECHO_FILE_EVENTS] = KIND_EVENTS, [KECHO_FILE_ATTRS] = KIND_ATTRS,
		[KECHO_FILE_FILTER] = KIND_FILTER, [KECHO_FILE_MEMBERS] = KIND_MEMBERS,
	};
	struct fs *fs = node_fs(ch->node);
	struct dir *d = ch->home, *sub;

	if (!d)
		return;
	dir_changed(fs, d, kinds[file]);
	if (file != KECHO_FILE_EVENTS || !d->subdirs)
		return;
	list_for_each_entry(sub, &fs->channels, node)
		if (sub->parent == d && kecho_event_is_type(event, sub->name))
			dir_changed(fs, sub, KIND_EVENTS);
}

static void on_listed(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h)
{
	text_listed(node_fs(node), request, name, h);
}

const struct kecho_node_ops fs_node_ops = {
	.cm = HOME_CM_OPS,
	.take = on_take,
	.ready = on_ready,
	.room = on_room,
	.changed = on_changed,
	.joined = on_joined,
	.listed = on_listed,
	.clock = home_now,
	.realtime = home_realtime,
	.filter_get = filter_get,
	.filter_put = filter_put,
};

static void settle_interrupted(struct fs *fs)
{
	struct parked *p = list_first_entry(&fs->interrupted, struct parked, interrupted);

	if (p->dir->joining == p) {
		tree_mkdir_done(fs, p->dir);
		return;
	}
	if (p->done)
		fuse_reply_write(p->req, p->done);
	else
		fuse_reply_err(p->req, EINTR);
	/* Another writer may have waited only for this one's turn. */
	if (p->data) {
		p->dir->room = true;
		dir_note(fs, p->dir);
	}
	parked_free(p);
}

static void settle_dir(struct fs *fs, struct dir *d)
{
	u32 changed = d->changed;
	bool room = d->room;
	struct file *f;
	enum kecho_kind k;

	d->changed = 0;
	d->room = false;
	if (d->joined)
		tree_mkdir_done(fs, d);
	d->joined = false;
	if (room)
		events_room(fs, d);
	for (k = KIND_EVENTS; k <= KIND_MEMBERS; k++) {
		if (!(changed & (1u << k)))
			continue;
		d->own[k].mtime = home_realtime();
		if (k != KIND_EVENTS)
			list_for_each_entry(f, &d->files, node)
				if (f->kind == k && f->ph)
					file_note(fs, f);
		/* A writer that is parked holds the inode's lock: the notifier would wait with it, and its own end is seen anyway. */
		if (k != KIND_EVENTS || list_empty(&d->blocked))
			notify_modified(fs, d, k);
	}
}

static void settle_file(struct file *f)
{
	if (f->reader)
		events_ready(f);
	if (f->ph && (file_is_events(f) ? events_poll(f) : text_poll(f) & POLLPRI)) {
		fuse_lowlevel_notify_poll(f->ph);
		file_unpoll(f);
	}
}

bool fs_settle_file(struct fs *fs)
{
	struct file *f = list_first_entry_or_null(&fs->noted_files, struct file, noted);

	if (!f)
		return false;
	list_del_init(&f->noted);
	f->is_noted = false;
	settle_file(f);
	return true;
}

bool fs_settle(struct home *h)
{
	struct fs *fs = container_of(h, struct fs, home);
	struct dir *d;

	/* Those first who count microseconds, and readers before who is told that there was something. */
	if (rings_settle(fs) || fs_settle_file(fs))
		return true;
	if (!list_empty(&fs->interrupted)) {
		settle_interrupted(fs);
	} else if (!list_empty(&fs->noted_dirs)) {
		d = list_first_entry(&fs->noted_dirs, struct dir, noted);
		list_del_init(&d->noted);
		settle_dir(fs, d);
	} else {
		return false;
	}
	return true;
}
