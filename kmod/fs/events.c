// SPDX-License-Identifier: GPL-2.0
/* events: reading, writing, waiting. */
#define pr_fmt(fmt) "kechofs: " fmt
#include <linux/compat.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include "fs.h"

/* So much of a write is copied in at a time. */
#define PIECE (64u << 10)
#define SMALL 256
/* What a frame may have around the payload, whose size the core checks. */
#define FRAME_ROOM (sizeof(struct kecho_frame) + KECHO_NAME_MAX + KECHO_ATTRS_BYTES_MAX)
/* Last lines of closed files that wait for room, of a channel; more hold up close(2), so long. */
#define TAILS_WAIT (5 * HZ)

/**
 * struct events_file - an open events file
 * @reader: of a file open for reading, like @user, @wait and @async; @read_lock, which is not held while waiting
 * @boost: NULL: nobody asked for it; set once
 * @rings: who reads in place of @reader; changed with @read_lock held
 * @writer: of one open for writing; @write_lock, which is: what one write(2) publishes stays together
 * @small: what is written, if there is so much room; @write_lock
 * @error: what a write met behind its first piece: write(2) returned what came before, so the next one is told
 */
struct events_file {
	struct kechofs_dir *dir;
	bool reads, writes;
	struct mutex read_lock;
	struct kecho_reader reader;
	struct kecho_sink_user user;
	wait_queue_head_t wait;
	struct fasync_struct *async;
	struct kecho_rings_user *rings;
	struct boost *boost;
	struct mutex write_lock;
	struct kecho_writer writer;
	u8 small[SMALL];
	int error;
};

struct tail {
	struct list_head node;
	struct kecho_writer writer;
};

static bool on_take(struct kecho_sink_user *u, struct kecho_msg *msg)
{
	struct events_file *f = container_of(u, struct events_file, user);
	struct kecho_rings_user *rings = READ_ONCE(f->rings);
	struct boost *boost = smp_load_acquire(&f->boost);

	if (!rings || !rings->take(rings, msg))
		return false;
	if (boost)
		boost_raise(boost);
	return true;
}

static void on_ready(struct kecho_sink_user *u)
{
	struct events_file *f = container_of(u, struct events_file, user);
	struct kecho_rings_user *rings = READ_ONCE(f->rings);
	struct boost *boost = smp_load_acquire(&f->boost);

	if (boost)
		boost_raise(boost);
	if (rings) {
		rings->ready(rings);
		return;
	}
	wake_up_interruptible_poll(&f->wait, EPOLLIN | EPOLLRDNORM);
	kill_fasync(&f->async, SIGIO, POLL_IN);
}

static bool nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT || iocb->ki_filp->f_flags & O_NONBLOCK;
}

/* 0, or what the call is to return. */
static int file_lock(struct mutex *lock, const struct kiocb *iocb)
{
	if (iocb->ki_flags & IOCB_NOWAIT)
		return mutex_trylock(lock) ? 0 : -EAGAIN;
	return mutex_lock_interruptible(lock) ? -ERESTARTSYS : 0;
}

/* --- reading --- */

static ssize_t read_event(struct events_file *f, struct iov_iter *to)
{
	struct kecho_reader *r = &f->reader;
	size_t done = 0, want, len;
	const void *piece;
	bool more;
	int n;

	if (f->rings && !r->msg) {
		r->msg = r->mode == KECHO_MODE_FRAMED ? f->rings->apart(f->rings) : NULL;
		if (!r->msg)
			return -EBUSY;
	}
	n = kecho_reader_next(r, iov_iter_count(to));
	if (n <= 0)
		return n;
	do {
		piece = kecho_reader_piece(r, &want);
		want = min(want, iov_iter_count(to));
		len = copy_to_iter(piece, want, to);
		more = kecho_reader_advance(r, len);
		done += len;
	} while (more && len == want && iov_iter_count(to));
	if (f->rings && !more)
		f->rings->read(f->rings);
	return done ? done : -EFAULT;
}

static bool readable(struct events_file *f)
{
	return READ_ONCE(f->rings) || kecho_reader_ready(&f->reader);
}

static ssize_t events_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct events_file *f = iocb->ki_filp->private_data;
	ssize_t n;

	if (!iov_iter_count(to))
		return 0;
	for (;;) {
		if (!readable(f)) {
			if (f->boost)
				boost_lower(f->boost);
			if (!nowait(iocb) && wait_event_interruptible(f->wait, readable(f)))
				return -ERESTARTSYS;
		}
		n = file_lock(&f->read_lock, iocb);
		if (n)
			return n;
		n = read_event(f, to);
		mutex_unlock(&f->read_lock);
		if (n != -EAGAIN || nowait(iocb))
			return n;
	}
}

/* --- writing --- */

/* Publishes @data, waiting for room. Returns how much was published; less than @len: @err says why. */
static size_t publish(struct events_file *f, const u8 *data, size_t len, u64 time_ns, bool wait, int *err)
{
	struct kechofs_dir *d = f->dir;
	struct kecho_channel_user *u = &dir_channel(d)->user;
	struct kecho_batch batch = { 0 };
	size_t done = 0;
	ssize_t n;
	int rooms;

	*err = 0;
	f->writer.batch = &batch;
	while (done < len) {
		/* Read before the core looks for room: when there is some later, it counts on. */
		rooms = atomic_read(&u->rooms);
		WRITE_ONCE(d->writing, current);
		n = kecho_writer_write(&f->writer, data + done, len - done, time_ns);
		cmpxchg(&d->writing, current, NULL);
		kecho_net_send(&batch);
		if (n == -EAGAIN && wait)
			n = wait_event_interruptible(u->room, atomic_read(&u->rooms) != rooms);
		if (n < 0) {
			*err = n;
			break;
		}
		done += n;
	}
	f->writer.batch = NULL;
	return done;
}

/* For what is written. */
static u8 *buf_get(struct events_file *f, size_t size)
{
	return size <= SMALL ? f->small : kvmalloc(size, GFP_KERNEL_ACCOUNT);
}

static void buf_put(struct events_file *f, u8 *buf)
{
	if (buf != f->small)
		kvfree(buf);
}

static ssize_t write_text(struct events_file *f, struct iov_iter *from, bool wait)
{
	size_t size = min_t(size_t, iov_iter_count(from), PIECE), done = 0, len, n;
	u64 time_ns = home_realtime();
	u8 *buf = buf_get(f, size);
	int err = 0;

	if (!buf)
		return -ENOMEM;
	while (!err && iov_iter_count(from)) {
		len = copy_from_iter(buf, min(size, iov_iter_count(from)), from);
		if (!len) {
			err = -EFAULT;
			break;
		}
		n = publish(f, buf, len, time_ns, wait, &err);
		iov_iter_revert(from, len - n);
		done += n;
		cond_resched();
	}
	buf_put(f, buf);
	if (!done)
		return err;
	if (err && err != -EAGAIN && err != -ERESTARTSYS && err != -EFAULT)
		f->error = err;
	return done;
}

static ssize_t write_whole(struct events_file *f, struct iov_iter *from, bool wait)
{
	size_t len = iov_iter_count(from);
	int err;
	u8 *buf;

	if (len > READ_ONCE(f->writer.channel->node->max_event) + FRAME_ROOM)
		return -EMSGSIZE;
	buf = buf_get(f, len);
	if (!buf)
		return -ENOMEM;
	if (copy_from_iter_full(buf, len, from))
		publish(f, buf, len, home_realtime(), wait, &err);
	else
		err = -EFAULT;
	buf_put(f, buf);
	return err ? err : len;
}

static ssize_t events_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct events_file *f = iocb->ki_filp->private_data;
	bool wait = !nowait(iocb);
	ssize_t n;

	if (!iov_iter_count(from))
		return 0;
	n = file_lock(&f->write_lock, iocb);
	if (n)
		return n;
	n = f->error;
	f->error = 0;
	if (!n && f->writer.mode == KECHO_MODE_TEXT)
		n = write_text(f, from, wait);
	else if (!n)
		n = write_whole(f, from, wait);
	mutex_unlock(&f->write_lock);
	return n;
}

/* --- last lines --- */

static void writer_close(struct kecho_writer *w, int err)
{
	if (err)
		pr_warn_ratelimited("%s: an unterminated line was not published: error %d\n", w->channel->name, err);
	kecho_writer_free(w);
	kecho_source_close(w->channel, home_now());
}

static void tail_free(struct kechofs_dir *d, struct tail *t, int err)
{
	writer_close(&t->writer, err);
	list_del(&t->node);
	WRITE_ONCE(d->ntails, d->ntails - 1);
	kfree(t);
}

void events_tail_work(struct work_struct *work)
{
	struct kechofs_dir *d = container_of(work, struct kechofs_dir, tail_work);
	struct tail *t, *next;
	int err;

	mutex_lock(&d->tail_lock);
	list_for_each_entry_safe(t, next, &d->tails, node) {
		err = kecho_writer_finish(&t->writer, home_realtime());
		if (err != -EAGAIN)
			tail_free(d, t, err);
	}
	mutex_unlock(&d->tail_lock);
	wake_up(&d->user.room);
	dir_put(d);
}

void events_drop_tails(struct kechofs_dir *d)
{
	struct tail *t, *next;

	mutex_lock(&d->tail_lock);
	list_for_each_entry_safe(t, next, &d->tails, node)
		tail_free(d, t, kecho_writer_finish(&t->writer, home_realtime()));
	mutex_unlock(&d->tail_lock);
}

static bool tail_add(struct kechofs_dir *d, const struct kecho_writer *w)
{
	struct tail *t = kmalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	bool add;

	if (!t)
		return false;
	t->writer = *w;
	mutex_lock(&d->tail_lock);
	add = d->ntails < KECHO_TAILS_MAX;
	if (add) {
		list_add_tail(&t->node, &d->tails);
		WRITE_ONCE(d->ntails, d->ntails + 1);
	}
	mutex_unlock(&d->tail_lock);
	if (!add) {
		kfree(t);
		return false;
	}
	/* There may have been room since it was found that there was none. */
	dir_get(d);
	if (!queue_work(kechofs_wq, &d->tail_work))
		dir_put(d);
	return true;
}

static void finish(struct events_file *f)
{
	struct kechofs_dir *d = dir_channel(f->dir);
	int err = kecho_writer_finish(&f->writer, home_realtime());

	if (err == -EAGAIN) {
		if (READ_ONCE(d->ntails) >= KECHO_TAILS_MAX && !(current->flags & PF_KTHREAD))
			wait_event_killable_timeout(d->user.room, READ_ONCE(d->ntails) < KECHO_TAILS_MAX, TAILS_WAIT);
		if (tail_add(d, &f->writer))
			return;
	}
	writer_close(&f->writer, err);
}

/* --- open files --- */

static void events_free(struct events_file *f)
{
	if (f->reader.sink) {
		kecho_reader_free(&f->reader);
		kecho_sink_close(f->reader.sink, home_now());
	}
	boost_free(f->boost);
	if (f->writes)
		finish(f);
	kechofs_close(f->dir);
	kfree(f);
}

static int events_open(struct inode *inode, struct file *file)
{
	u32 mode = file->f_flags & O_DIRECT ? KECHO_MODE_PACKET : KECHO_MODE_TEXT;
	struct kechofs_dir *d = inode->i_private;
	const char *type = dir_is_type(d) ? d->name : "";
	char comm[TASK_COMM_LEN];
	struct events_file *f;
	int err;

	if (file->f_mode & FMODE_WRITE && !kecho_kind_writable(d->number, KIND_EVENTS))
		return -EACCES;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	err = kechofs_open(d);
	if (err) {
		kfree(f);
		return err;
	}
	f->dir = d;
	mutex_init(&f->read_lock);
	mutex_init(&f->write_lock);
	init_waitqueue_head(&f->wait);
	f->user.take = on_take;
	f->user.ready = on_ready;
	if (file->f_mode & FMODE_WRITE) {
		f->writes = true;
		f->writer.channel = d->channel;
		f->writer.mode = mode;
		strscpy(f->writer.type, type, sizeof(f->writer.type));
		kecho_source_open(d->channel, home_now());
	}
	if (file->f_mode & FMODE_READ) {
		f->reads = true;
		f->reader.mode = mode;
		get_task_comm(comm, current);
		f->reader.sink = kecho_sink_open(d->channel, type, from_kuid(&init_user_ns, current_fsuid()), task_pid_nr(current),
						 comm, &f->user, home_realtime(), home_now());
		if (!f->reader.sink) {
			events_free(f);
			return -ENOMEM;
		}
	}
	file->private_data = f;
	stream_open(inode, file);
	file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	return 0;
}

static int events_release(struct inode *inode, struct file *file)
{
	events_free(file->private_data);
	return 0;
}

static __poll_t events_poll(struct file *file, poll_table *wait)
{
	struct events_file *f = file->private_data;
	__poll_t ev = 0;

	if (f->reads) {
		poll_wait(file, &f->wait, wait);
		if (kecho_reader_ready(&f->reader))
			ev |= EPOLLIN | EPOLLRDNORM;
	}
	if (f->writes) {
		poll_wait(file, &dir_channel(f->dir)->user.room, wait);
		if (kecho_channel_room(f->dir->channel, f->writer.type))
			ev |= EPOLLOUT | EPOLLWRNORM;
	}
	if (READ_ONCE(f->dir->channel->gone))
		ev |= EPOLLHUP;
	return ev;
}

static int set_mode(struct events_file *f, u32 mode)
{
	if ((f->writes && f->writer.len) || (f->reads && kecho_reader_rest(&f->reader)))
		return -EBUSY;
	f->writer.mode = mode;
	f->reader.mode = mode;
	return 0;
}

static int ioctl_attrs(struct events_file *f, const void __user *arg)
{
	struct kecho_sink_attrs *attrs;
	size_t len;
	int err = -EINVAL;

	if (!f->reads)
		return -EBADF;
	attrs = memdup_user(arg, sizeof(*attrs));
	if (IS_ERR(attrs))
		return PTR_ERR(attrs);
	len = strnlen(attrs->lines, sizeof(attrs->lines));
	if (len < sizeof(attrs->lines))
		err = kecho_sink_write_attrs(f->reader.sink, attrs->lines, len, home_now());
	kfree(attrs);
	return err;
}

static int ioctl_mode(struct events_file *f, const u32 __user *arg)
{
	int err = -ERESTARTSYS;
	u32 mode;

	if (get_user(mode, arg))
		return -EFAULT;
	if (mode > KECHO_MODE_FRAMED)
		return -EINVAL;
	if (mutex_lock_interruptible(&f->write_lock))
		return err;
	if (!mutex_lock_interruptible(&f->read_lock)) {
		err = set_mode(f, mode);
		mutex_unlock(&f->read_lock);
	}
	mutex_unlock(&f->write_lock);
	return err;
}

static long events_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct events_file *f = file->private_data;

	switch (cmd) {
	case KECHO_IOC_MODE:
		return ioctl_mode(f, (const u32 __user *)arg);
	case KECHO_IOC_ATTRS:
		return ioctl_attrs(f, (const void __user *)arg);
	case KECHO_IOC_BOOST:
		return f->reads ? boost_set(&f->boost, f->reader.sink, (const void __user *)arg) : -EBADF;
	}
	return -ENOTTY;
}

int events_lend(struct kecho_home *h, struct file *file, struct kecho_rings_user *u, struct kecho_lent *lent)
{
	struct events_file *f = file->private_data;
	int err = 0;

	if (file->f_op != &kechofs_events_ops || f->dir->fs->home != h)
		return -ENOTTY;
	if (mutex_lock_interruptible(&f->read_lock))
		return -EINTR;
	if (f->rings || f->reader.msg) {
		err = -EBUSY;
	} else {
		*lent = (struct kecho_lent){ f->dir->channel, dir_is_type(f->dir) ? f->dir->name : "", f->writes, f->reader.sink };
		WRITE_ONCE(f->rings, u);
		wake_up_interruptible_all(&f->wait);
	}
	mutex_unlock(&f->read_lock);
	return err;
}

void events_give_back(struct file *file)
{
	struct events_file *f = file->private_data;

	mutex_lock(&f->read_lock);
	WRITE_ONCE(f->rings, NULL);
	/* Nobody calls on_ready() without it. */
	spin_lock_bh(&f->dir->channel->lock);
	spin_unlock_bh(&f->dir->channel->lock);
	mutex_unlock(&f->read_lock);
}

static int events_fasync(int fd, struct file *file, int on)
{
	struct events_file *f = file->private_data;
	int err = 0;

	if (f->reads)
		err = fasync_helper(fd, file, on, &f->async);
	if (err >= 0 && f->writes)
		err = fasync_helper(fd, file, on, &dir_channel(f->dir)->room_async);
	return err;
}

const struct file_operations kechofs_events_ops = {
	.owner = THIS_MODULE,
	.open = events_open,
	.release = events_release,
	.read_iter = events_read_iter,
	.write_iter = events_write_iter,
	.fsync = noop_fsync,
	.splice_read = compat_splice_read,
	.splice_write = iter_file_splice_write,
	.poll = events_poll,
	.unlocked_ioctl = events_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.fasync = events_fasync,
};
