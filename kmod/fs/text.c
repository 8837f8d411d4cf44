// SPDX-License-Identifier: GPL-2.0
/* The files that show and take text: attrs, filter, members, and .node's. */
#define pr_fmt(fmt) "kechofs: " fmt
#include <linux/cred.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "fs.h"

#define WRITE_MAX (1u << 20)

/**
 * struct text_file - an open file
 * @text: what it shows, made anew by each read at offset 0; @lock
 * @seen: the version that was read last
 */
struct text_file {
	struct kechofs_dir *dir;
	enum kecho_kind kind;
	struct mutex lock;
	struct kecho_text text;
	int seen;
};

/** struct listing - a question to the registry; on its asker's stack, in kechofs.listings, under cm.lock */
struct listing {
	struct list_head node;
	u32 request;
	struct kecho_text *text;
	bool done;
	struct completion answered;
};

static int version(const struct text_file *f)
{
	return f->kind <= KIND_MEMBERS ? atomic_read(&f->dir->version[f->kind]) : 0;
}

/* --- showing --- */

static void show_stats(struct kecho_text *t, struct kecho_home *h)
{
	const struct nwmon_stats *s = &h->links.stats;
	s64 n;
	int i;

	kecho_show_stats(t, &h->node);
	kecho_text_printf(t, "nwmon_arrivals=%lld\n", atomic64_read(&s->arrivals));
	for (i = 0; i < NWMON_BUCKETS; i++) {
		n = atomic64_read(&s->latency[i]);
		if (n)
			kecho_text_printf(t, "nwmon_ns_%llu=%lld\n", 1ull << i, n);
	}
}

void text_listed(struct kecho_home *h, u32 request, const char *name, const struct kecho_holding *holding)
{
	struct kechofs *fs = h->fs;
	struct listing *l;

	lockdep_assert_held(&h->node.cm.lock);
	list_for_each_entry(l, &fs->listings, node) {
		if (l->request != request || l->done)
			continue;
		if (name) {
			kecho_show_holding(l->text, &h->node, name, holding);
		} else {
			l->done = true;
			complete(&l->answered);
		}
	}
}

/* What the registry knows; what this node knows, if there is none or it stays silent. */
static int show_channels(struct kecho_text *t, struct kechofs *fs)
{
	struct kecho_node *node = &fs->home->node;
	struct listing l = { .text = t };
	int err = 0;

	init_completion(&l.answered);
	mutex_lock(&node->cm.lock);
	l.request = ++fs->last_listing;
	list_add(&l.node, &fs->listings);
	if (kecho_group_list(&node->group, l.request, "", home_now()) && !l.done) {
		mutex_unlock(&node->cm.lock);
		if (wait_for_completion_interruptible_timeout(&l.answered, msecs_to_jiffies(KECHO_REGISTRY_MS)) < 0)
			err = -ERESTARTSYS;
		mutex_lock(&node->cm.lock);
	}
	list_del(&l.node);
	mutex_unlock(&node->cm.lock);
	if (err || l.done)
		return err;
	kecho_text_free(t);
	kecho_show_channels(t, node);
	return 0;
}

static int show(struct text_file *f)
{
	struct kechofs *fs = f->dir->fs;
	struct kecho_node *node = &fs->home->node;
	struct kecho_text *t = &f->text;

	switch (f->kind) {
	case KIND_ATTRS:
		kecho_show_attrs(t, f->dir->channel);
		break;
	case KIND_MEMBERS:
		kecho_show_members(t, f->dir->channel, home_now());
		break;
	case KIND_CONFIG:
		kecho_show_config(t, node);
		kecho_text_printf(t, "insecure=%d\n", fs->home->insecure);
		break;
	case KIND_PEERS:
		kecho_show_peers(t, node);
		break;
	case KIND_STATS:
		show_stats(t, fs->home);
		break;
	case KIND_CHANNELS:
		return show_channels(t, fs);
	case KIND_FILTER:
		kecho_show_filter(t, f->dir->channel);
		break;
	default:
		break;
	}
	return 0;
}

static ssize_t text_read(struct text_file *f, struct kiocb *iocb, struct iov_iter *to)
{
	struct kecho_text *t = &f->text;
	size_t want, len;
	int err;

	if (!iocb->ki_pos) {
		kecho_text_free(t);
		WRITE_ONCE(f->seen, version(f));
		err = show(f);
		if (err) {
			kecho_text_free(t);
			return err;
		}
	}
	if (t->err)
		return t->err;
	if (iocb->ki_pos >= t->len)
		return 0;
	want = min_t(size_t, iov_iter_count(to), t->len - iocb->ki_pos);
	len = copy_to_iter(t->buf + iocb->ki_pos, want, to);
	iocb->ki_pos += len;
	return len || !want ? len : -EFAULT;
}

static ssize_t text_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct text_file *f = iocb->ki_filp->private_data;
	ssize_t n;

	if (mutex_lock_interruptible(&f->lock))
		return -ERESTARTSYS;
	n = text_read(f, iocb, to);
	mutex_unlock(&f->lock);
	return n;
}

/* --- taking --- */

/* By who opened the file: a program with more rights may have been given it as its standard output. */
static bool opener_owns(const struct file *file)
{
	const struct cred *old = override_creds(file->f_cred);
	bool owns = inode_owner_or_capable(compat_nop_idmap, d_inode(file->f_path.dentry->d_parent));

	revert_creds(old);
	return owns;
}

static int take(struct text_file *f, const struct file *file, const char *data, size_t len)
{
	switch (f->kind) {
	case KIND_ATTRS:
		return kecho_channel_write_attrs(f->dir->channel, data, len, opener_owns(file), home_now());
	case KIND_FILTER:
		return kecho_channel_write_filter(f->dir->channel, data, len);
	case KIND_CONFIG:
		return kecho_node_configure(&f->dir->fs->home->node, data, len);
	default:
		return -EBADF;
	}
}

static int line_len(const char *data, size_t len)
{
	const char *nl = memchr(data, '\n', len);

	return nl ? nl - data : len;
}

static ssize_t text_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct text_file *f = iocb->ki_filp->private_data;
	size_t len = iov_iter_count(from);
	char *data;
	int err;

	if (!len)
		return 0;
	if (len > WRITE_MAX)
		return -E2BIG;
	data = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!data)
		return -ENOMEM;
	err = copy_from_iter_full(data, len, from) ? take(f, iocb->ki_filp, data, len) : -EFAULT;
	if (err == -EINVAL)
		pr_info_ratelimited("%s: cannot use \"%*pE\"\n", f->dir->name, line_len(data, min_t(size_t, len, 64)), data);
	else if (err == -EPERM)
		pr_info_ratelimited("%s/attrs: only the owner of the channel's directory sets kecho.*\n", f->dir->name);
	kvfree(data);
	if (err)
		return err;
	iocb->ki_pos += len;
	return len;
}

/* --- open files --- */

static int text_open(struct inode *inode, struct file *file)
{
	struct kechofs_dir *d = inode->i_private;
	enum kecho_kind kind = inode_kind(inode);
	struct text_file *f;
	int err;

	/* Not even by root. */
	if (file->f_mode & FMODE_WRITE && !kecho_kind_writable(d->number, kind))
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
	f->kind = kind;
	mutex_init(&f->lock);
	f->seen = version(f);
	file->private_data = f;
	file->f_mode |= FMODE_CAN_ODIRECT;
	return 0;
}

static int text_release(struct inode *inode, struct file *file)
{
	struct text_file *f = file->private_data;

	kecho_text_free(&f->text);
	kechofs_close(f->dir);
	kfree(f);
	return 0;
}

static __poll_t text_poll(struct file *file, poll_table *wait)
{
	struct text_file *f = file->private_data;
	__poll_t ev = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &f->dir->wait, wait);
	if (READ_ONCE(f->seen) != version(f))
		ev |= EPOLLPRI | EPOLLERR;
	return ev;
}

const struct file_operations kechofs_text_ops = {
	.owner = THIS_MODULE,
	.open = text_open,
	.release = text_release,
	.llseek = generic_file_llseek,
	.read_iter = text_read_iter,
	.write_iter = text_write_iter,
	.fsync = noop_fsync,
	.poll = text_poll,
};
