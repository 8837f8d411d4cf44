// SPDX-License-Identifier: GPL-2.0
/* The files that show and take text: attrs, filter, members, and .node's. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fs.h"

static u32 version(const struct file *f)
{
	return f->kind <= KIND_MEMBERS ? f->dir->version[f->kind] : 0;
}

void text_open(struct file *f)
{
	f->seen = version(f);
}

static void reply_text(fuse_req_t req, struct file *f, size_t size, off_t off)
{
	size_t len = f->text.len;

	if (f->text.err)
		fuse_reply_err(req, -f->text.err);
	else if ((u64)off >= len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, f->text.buf + off, min(size, len - (size_t)off));
}

static void show(struct fs *fs, struct file *f)
{
	struct kecho_node *node = &fs->home.node;

	switch (f->kind) {
	case KIND_ATTRS:
		kecho_show_attrs(&f->text, f->dir->channel);
		break;
	case KIND_MEMBERS:
		kecho_show_members(&f->text, f->dir->channel, home_now());
		break;
	case KIND_CONFIG:
		kecho_show_config(&f->text, node);
		kecho_text_printf(&f->text, "insecure=%d\npid=%d\n", fs->home.insecure, getpid());
		break;
	case KIND_PEERS:
		kecho_show_peers(&f->text, node);
		break;
	case KIND_STATS:
		kecho_show_stats(&f->text, node);
		break;
	case KIND_CHANNELS:
		kecho_show_channels(&f->text, node);
		break;
	case KIND_FILTER:
		kecho_show_filter(&f->text, f->dir->channel);
		break;
	default:
		break;
	}
}

/* The registry is asked; the request waits for its answer. */
static bool ask(struct fs *fs, fuse_req_t req, struct file *f, size_t size)
{
	struct kecho_node *node = &fs->home.node;
	struct parked *p;
	bool asked;

	if (f->listing)
		return false;
	p = calloc(1, sizeof(*p));
	if (!p)
		return false;
	f->listing = ++fs->last_listing;
	f->list_until = home_now() + KECHO_REGISTRY_MS * 1000000ull;
	*p = (struct parked){ .req = req, .file = f, .dir = f->dir, .size = size };
	list_add_tail(&p->node, &f->reads);
	park(p);
	list_add_tail(&f->noted, &fs->listings);
	home_wake_at(&fs->home, f->list_until);
	mutex_lock(&node->cm.lock);
	asked = kecho_group_list(&node->group, f->listing, "", home_now());
	mutex_unlock(&node->cm.lock);
	if (!asked) {
		f->list_until = 0;
		text_tick(fs, home_now());
	}
	return true;
}

static void listed(struct file *f)
{
	struct parked *p, *next;

	f->listing = 0;
	list_del_init(&f->noted);
	list_for_each_entry_safe(p, next, &f->reads, node) {
		reply_text(p->req, f, p->size, 0);
		parked_free(p);
	}
}

void text_listed(struct fs *fs, u32 request, const char *name, const struct kecho_holding *h)
{
	struct file *f, *next;

	list_for_each_entry_safe(f, next, &fs->listings, noted) {
		if (f->listing != request)
			continue;
		if (name)
			kecho_show_holding(&f->text, &fs->home.node, name, h);
		else
			listed(f);
	}
}

void text_tick(struct fs *fs, u64 now)
{
	struct file *f, *next;

	list_for_each_entry_safe(f, next, &fs->listings, noted) {
		if (now < f->list_until) {
			home_wake_at(&fs->home, f->list_until);
			continue;
		}
		/* No server answers: what this node knows itself. */
		kecho_text_free(&f->text);
		show(fs, f);
		listed(f);
	}
}

void text_read(struct fs *fs, fuse_req_t req, struct file *f, size_t size, off_t off)
{
	if (!off) {
		if (f->listing) {
			fuse_reply_err(req, EBUSY);
			return;
		}
		kecho_text_free(&f->text);
		f->seen = version(f);
		if (f->kind == KIND_CHANNELS && ask(fs, req, f, size))
			return;
		show(fs, f);
	}
	reply_text(req, f, size, off);
}

/* How much of it may stand in a line of the log. */
static int printable(const char *data, size_t size)
{
	size_t n = 0;

	while (n < size && data[n] >= ' ' && data[n] < 127)
		n++;
	return n;
}

void text_write(struct fs *fs, fuse_req_t req, struct file *f, const char *data, size_t size)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	bool owner;
	int err;

	switch (f->kind) {
	case KIND_ATTRS:
		owner = !ctx->uid || ctx->uid == f->dir->own[KIND_DIR].uid;
		err = kecho_channel_write_attrs(f->dir->channel, data, size, owner, home_now());
		if (err == -EPERM)
			pr_warn("%s/attrs: only the owner of the channel's directory sets kecho.*\n", f->dir->name);
		break;
	case KIND_FILTER:
		err = kecho_channel_write_filter(f->dir->channel, data, size);
		break;
	case KIND_CONFIG:
		err = kecho_node_configure(&fs->home.node, data, size);
		break;
	default:
		err = -EBADF;
	}
	if (err == -EINVAL)
		pr_warn("%s: cannot use \"%.*s\"\n", f->dir->name, printable(data, min(size, (size_t)80)), data);
	if (err)
		fuse_reply_err(req, -err);
	else
		fuse_reply_write(req, size);
}

u32 text_poll(struct file *f)
{
	return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | (f->seen != version(f) ? POLLPRI | POLLERR : 0);
}

void text_close(struct file *f)
{
	if (f->listing)
		list_del_init(&f->noted);
	kecho_text_free(&f->text);
}
