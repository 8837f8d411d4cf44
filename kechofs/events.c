// SPDX-License-Identifier: GPL-2.0
/* events: reading, writing, waiting. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fs.h"

static void read_comm(pid_t pid, char *comm, size_t size)
{
	size_t n = proc_read(pid, "comm", comm, size);

	comm[n ? n - 1 : 0] = 0;
}

/* While a caller that has sent a request is not asleep yet, its call cannot be seen: so often, and so long, it is looked at again. */
#define CALLER_YIELDS	10
#define CALLER_SLEEPS	200
#define CALLER_US	50

static void read_call(pid_t tid, char *line, size_t size)
{
	int i;

	for (i = 0; i < CALLER_YIELDS + CALLER_SLEEPS; i++) {
		proc_read(tid, "syscall", line, size);
		if (strncmp(line, "running", strlen("running")))
			return;
		if (i < CALLER_YIELDS)
			sched_yield();
		else
			usleep(CALLER_US);
	}
}

/* The size that a caller gave to read(2) or write(2), of which a request of @size shows only a part; 0 if it cannot be told. */
static size_t caller_size(pid_t tid, long call, size_t size)
{
	unsigned long args[3];
	char line[256];
	long nr;

	read_call(tid, line, sizeof(line));
	if (sscanf(line, "%ld %lx %lx %lx", &nr, &args[0], &args[1], &args[2]) != 4 || nr != call)
		return 0;
	return max_t(size_t, args[2], size);
}

int events_open(struct file *f, const struct fuse_ctx *ctx)
{
	u32 mode = f->flags & O_DIRECT ? KECHO_MODE_PACKET : KECHO_MODE_TEXT;
	const char *type = dir_is_type(f->dir) ? f->dir->name : "";
	int acc = f->flags & O_ACCMODE;
	char comm[16];

	if (acc != O_RDONLY) {
		f->writer = calloc(1, sizeof(*f->writer));
		if (!f->writer)
			return -ENOMEM;
		f->writer->channel = f->dir->channel;
		f->writer->mode = mode;
		strscpy(f->writer->type, type, sizeof(f->writer->type));
		kecho_source_open(f->dir->channel, home_now());
	}
	if (acc != O_WRONLY) {
		f->reader = calloc(1, sizeof(*f->reader));
		if (!f->reader)
			return -ENOMEM;
		read_comm(ctx->pid, comm, sizeof(comm));
		f->reader->mode = mode;
		f->reader->sink = kecho_sink_open(f->dir->channel, type, ctx->uid, ctx->pid, comm, f, home_realtime(), home_now());
		if (!f->reader->sink)
			return -ENOMEM;
	}
	return 0;
}

/* --- parking --- */

static void on_interrupt(fuse_req_t req, void *data)
{
	struct parked *p = data;

	/* Answered by the loop: libfuse holds the request's lock here. */
	if (list_empty(&p->interrupted))
		list_add_tail(&p->interrupted, &req_fs(req)->interrupted);
}

void park(struct parked *p)
{
	INIT_LIST_HEAD(&p->interrupted);
	if (p->req)
		fuse_req_interrupt_func(p->req, on_interrupt, p);
}

void parked_free(struct parked *p)
{
	if (!list_empty(&p->node))
		list_del(&p->node);
	if (!list_empty(&p->interrupted))
		list_del(&p->interrupted);
	free(p->data);
	free(p);
}

/* --- reading --- */

/* False: nothing to read yet. */
static bool try_read(struct fs *fs, fuse_req_t req, struct file *f, size_t size, size_t whole)
{
	ssize_t n = -EBUSY;

	if (f->rings && !f->reader->msg && f->reader->mode == KECHO_MODE_FRAMED)
		f->reader->msg = rings_apart(f->rings);
	if (!f->rings || f->reader->msg)
		n = kecho_reader_read(f->reader, fs->rdbuf, min_t(size_t, size, FUSE_MAX), whole);
	if (f->rings && !f->reader->msg)
		rings_ready(f->rings);
	if (n == -EAGAIN)
		return false;
	if (n < 0)
		fuse_reply_err(req, -n);
	else
		fuse_reply_buf(req, (char *)fs->rdbuf, n);
	return true;
}

void events_read(struct fs *fs, fuse_req_t req, struct file *f, size_t size, off_t off)
{
	size_t whole = size > FUSE_WHOLE && !off ? caller_size(fuse_req_ctx(req)->pid, SYS_read, size) : size;
	struct parked *p;

	whole = max(whole, size);
	if (off && !kecho_reader_rest(f->reader)) {
		/* The kernel asks for the rest of a long read, but the event has ended. */
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (list_empty(&f->reads) && try_read(fs, req, f, size, whole))
		return;
	if (f->boost)
		boost_lower(f->boost);
	if (f->flags & O_NONBLOCK) {
		fuse_reply_err(req, EAGAIN);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*p = (struct parked){ .req = req, .file = f, .dir = f->dir, .size = size, .whole = whole };
	list_add_tail(&p->node, &f->reads);
	park(p);
}

void events_ready(struct file *f)
{
	struct parked *p, *next;

	list_for_each_entry_safe(p, next, &f->reads, node) {
		if (!try_read(req_fs(p->req), p->req, f, p->size, p->whole))
			break;
		parked_free(p);
	}
}

/* --- writing --- */

/* Publishes what it can of @data from @done on. Returns the new @done, or -errno if nothing more can be. */
static ssize_t try_write(struct fs *fs, struct file *f, const u8 *data, size_t size, size_t done, bool *wait)
{
	ssize_t n = 0;

	*wait = false;
	fs->writing = f->dir;
	while (done < size) {
		n = kecho_writer_write(f->writer, data + done, size - done, home_realtime());
		if (n < 0)
			break;
		done += n;
	}
	fs->writing = NULL;
	*wait = n == -EAGAIN;
	return done || n >= 0 ? (ssize_t)done : n;
}

/* What a frame may have around the payload, whose size the core checks. */
#define FRAME_ROOM (sizeof(struct kecho_frame) + KECHO_NAME_MAX + KECHO_ATTRS_BYTES_MAX)

static bool writer_room(struct file *f)
{
	return list_empty(&f->dir->blocked) &&
	       kecho_channel_room(f->dir->channel, f->writer->type);
}

/* A piece of a packet that the kernel has cut. True: answered, for more is to come or it cannot be; else the packet is in @data. */
static bool packet_part(fuse_req_t req, struct file *f, const void **data, size_t *size, off_t off)
{
	size_t whole;

	if (!off) {
		free(f->part);
		f->part = NULL;
		whole = *size > FUSE_WHOLE ? caller_size(fuse_req_ctx(req)->pid, SYS_write, *size) : *size;
		if (whole == *size)
			return false;
		/* Later pieces cannot be refused any more: they wait for room if they must. */
		if (f->flags & O_NONBLOCK && !writer_room(f)) {
			fuse_reply_err(req, EAGAIN);
			return true;
		}
		if (!whole || whole > f->dir->channel->node->max_event + FRAME_ROOM) {
			fuse_reply_err(req, EMSGSIZE);
			return true;
		}
		f->part = malloc(whole);
		f->part_len = 0;
		f->whole = whole;
	}
	if (!f->part || *size > f->whole - f->part_len) {
		fuse_reply_err(req, off ? EMSGSIZE : ENOMEM);
		return true;
	}
	memcpy(f->part + f->part_len, *data, *size);
	f->part_len += *size;
	if (f->part_len < f->whole) {
		fuse_reply_write(req, *size);
		return true;
	}
	*data = f->part;
	*size = f->whole;
	return false;
}

void events_write(struct fs *fs, fuse_req_t req, struct file *f, const void *data, size_t size, off_t off)
{
	size_t answer = size;
	struct parked *p;
	ssize_t done = 0;
	bool wait = true;

	if (f->error && !off) {
		fuse_reply_err(req, f->error);
		f->error = 0;
		return;
	}
	if (f->writer->mode != KECHO_MODE_TEXT && packet_part(req, f, &data, &size, off))
		return;
	/* Nobody overtakes those who wait. */
	if (list_empty(&f->dir->blocked))
		done = try_write(fs, f, data, size, 0, &wait);
	/* Readers wait for it, the writer need not. */
	while (done > 0 && fs_settle_file(fs))
		;
	if (!wait || (f->flags & O_NONBLOCK && !f->part)) {
		if (done < 0 && off && !wait)
			f->error = -done;
		if (done < 0 || (wait && !done))
			fuse_reply_err(req, wait ? EAGAIN : -done);
		else
			fuse_reply_write(req, (size_t)done == size ? answer : (size_t)done);
		goto out;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		p->data = malloc(size);
	if (!p || !p->data) {
		free(p);
		fuse_reply_err(req, ENOMEM);
		goto out;
	}
	memcpy(p->data, data, size);
	p->req = req;
	p->file = f;
	p->dir = f->dir;
	p->size = size;
	p->done = max_t(ssize_t, done, 0);
	p->answer = answer;
	list_add_tail(&p->node, &f->dir->blocked);
	if (!notify_withdraw(f->dir)) {
		/* Taken over, though it is not published yet: the caller must not hold the inode now. Its next write may. */
		fuse_reply_write(req, answer);
		p->req = NULL;
	}
	park(p);
out:
	free(f->part);
	f->part = NULL;
}

void file_done(struct file *f)
{
	kecho_writer_free(f->writer);
	kecho_source_close(f->dir->channel, home_now());
	file_free(f);
}

static void file_finished(struct file *f, int err)
{
	if (err)
		pr_warn("%s: an unterminated line was not published: %s\n", f->dir->name, strerror(-err));
	file_done(f);
}

static void channel_room(struct fs *fs, struct dir *d)
{
	struct parked *p, *next;
	struct file *f;
	ssize_t done;
	bool wait;
	int err;

	list_for_each_entry_safe(p, next, &d->blocked, node) {
		f = p->file;
		if (!p->data) {
			err = kecho_writer_finish(f->writer, home_realtime());
			if (err == -EAGAIN)
				break;
			f->dir->tails--;
			parked_free(p);
			file_finished(f, err);
			continue;
		}
		done = try_write(fs, f, p->data, p->size, p->done, &wait);
		if (wait) {
			p->done = max_t(ssize_t, done, p->done);
			break;
		}
		if (!p->req && done < (ssize_t)p->size)
			pr_warn("%s: what was written could not be published: %s\n", d->name, strerror(done < 0 ? -done : EMSGSIZE));
		else if (p->req && done < 0)
			fuse_reply_err(p->req, -done);
		else if (p->req)
			fuse_reply_write(p->req, (size_t)done == p->size ? p->answer : (size_t)done);
		parked_free(p);
	}
	list_for_each_entry(f, &d->files, node) {
		if (f->rings)
			rings_room(f->rings);
		if (f->ph && f->writer)
			file_note(fs, f);
	}
}

void events_room(struct fs *fs, struct dir *d)
{
	struct dir *sub;

	channel_room(fs, d);
	if (!d->subdirs)
		return;
	list_for_each_entry(sub, &fs->channels, node)
		if (sub->parent == d)
			channel_room(fs, sub);
}

void events_close(struct file *f)
{
	struct parked *p;
	int err;

	rings_close(f);
	if (f->reader) {
		kecho_reader_free(f->reader);
		if (f->reader->sink)
			kecho_sink_close(f->reader->sink, home_now());
		free(f->reader);
		f->reader = NULL;
	}
	if (!f->writer) {
		file_free(f);
		return;
	}
	err = list_empty(&f->dir->blocked) ? kecho_writer_finish(f->writer, home_realtime()) : -EAGAIN;
	if (err == -EAGAIN) {
		p = f->dir->tails < KECHO_TAILS_MAX || !f->writer->len ? calloc(1, sizeof(*p)) : NULL;
		if (p) {
			f->dir->tails++;
			p->file = f;
			p->dir = f->dir;
			list_add_tail(&p->node, &f->dir->blocked);
			park(p);
			return;
		}
		err = -ENOBUFS;
	}
	file_finished(f, err);
}

static int ioctl_mode(struct file *f, u32 mode)
{
	if (mode > KECHO_MODE_FRAMED)
		return -EINVAL;
	if ((f->writer && f->writer->len) || (f->reader && kecho_reader_rest(f->reader)))
		return -EBUSY;
	if (f->writer)
		f->writer->mode = mode;
	if (f->reader)
		f->reader->mode = mode;
	return 0;
}

static int ioctl_attrs(struct file *f, const struct kecho_sink_attrs *attrs)
{
	size_t len = strnlen(attrs->lines, sizeof(attrs->lines));

	if (!f->reader)
		return -EBADF;
	if (len == sizeof(attrs->lines))
		return -EINVAL;
	return kecho_sink_write_attrs(f->reader->sink, attrs->lines, len, home_now());
}

int events_ioctl(struct file *f, pid_t tid, unsigned int cmd, const void *in, size_t size, void *out, size_t *out_size)
{
	if (cmd == KECHO_IOC_MODE && size >= sizeof(u32))
		return ioctl_mode(f, *(const u32 *)in);
	if (cmd == KECHO_IOC_ATTRS && size >= sizeof(struct kecho_sink_attrs))
		return ioctl_attrs(f, in);
	if (cmd == KECHO_IOC_BOOST && size >= sizeof(struct kecho_boost))
		return f->reader ? boost_set(f, in, tid) : -EBADF;
	if (cmd == KECHO_IOC_SOCKET) {
		*out_size = sizeof(struct kecho_socket);
		return rings_offer(node_fs(f->dir->channel->node), f, out);
	}
	return -ENOTTY;
}

u32 events_poll(struct file *f)
{
	u32 ev = 0;

	if (f->reader && kecho_reader_ready(f->reader))
		ev |= POLLIN | POLLRDNORM;
	if (f->writer && writer_room(f))
		ev |= POLLOUT | POLLWRNORM;
	if (f->dir->channel->gone)
		ev |= POLLHUP;
	return ev;
}
