// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* An events file in framed mode: where there are no rings, and for what is larger than they take. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/slab.h>
#include "../attr/attr.h"
#include "../attr/text.h"
#include "client.h"

#define BUF_FIRST (64u << 10)
/* More than any event. */
#define BUF_MAX (4 * KECHO_EVENT_MAX)
/* poll(2) does not know how large an event, or of what type, is to be written. */
#define RETRY_MS 5

int node_error(int err)
{
	return err == ENOTCONN || err == ECONNABORTED ? -ENODEV : -err;
}

int file_open(int dir, const char *type, int flags)
{
	char path[KECHO_NAME_MAX + sizeof("/events")];
	__u32 mode = KECHO_MODE_FRAMED;
	int fd, err;

	snprintf(path, sizeof(path), "%s%sevents", type ? type : "", type ? "/" : "");
	fd = openat(dir, path, flags | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return node_error(errno);
	if (!ioctl(fd, KECHO_IOC_MODE, &mode))
		return fd;
	err = node_error(errno);
	close(fd);
	return err;
}

/* --- publishing --- */

void frame_write(struct kecho_frame *f, u32 size, const struct kecho_event *ev, const void *attrs, u16 attrs_len)
{
	u8 *p = (u8 *)(f + 1);

	*f = (struct kecho_frame){
		.size = size, .header = sizeof(*f), .type_len = ev->type_len, .prio = ev->prio, .deadline_us = ev->deadline_us,
		.attrs_len = attrs_len,
	};
	if (ev->type_len)
		p = mempcpy(p, ev->type, ev->type_len);
	if (attrs_len)
		p = mempcpy(p, attrs, attrs_len);
	if (ev->len)
		memcpy(p, ev->data, ev->len);
}

static void *frame_of(const struct kecho_event *ev, size_t *size)
{
	struct kecho_text t = { 0 };
	struct kecho_attr attr;
	u32 pos = 0;
	void *all;

	while (kecho_attr_next(ev->attrs, ev->attrs_len, &pos, &attr)) {
		kecho_text_append(&t, attr.name, attr.name_len);
		kecho_text_append(&t, "=", 1);
		kecho_attr_print_value(&t, &attr);
		kecho_text_append(&t, "\n", 1);
	}
	*size = sizeof(struct kecho_frame) + ev->type_len + t.len + ev->len;
	all = t.err ? NULL : malloc(*size);
	if (all)
		frame_write(all, *size, ev, t.buf, t.len);
	kecho_text_free(&t);
	return all;
}

static int wait_room(int events, bool waits)
{
	struct pollfd room = { .fd = events, .events = POLLOUT };
	int n = poll(&room, 1, waits ? -1 : 0);

	return n < 0 ? -errno : n ? 0 : -EAGAIN;
}

/*
 * Asked before each write: behind another writer who blocks, a write to a mount by FUSE waits in the kernel, where neither O_NONBLOCK
 * nor a signal reaches it. Less than all is written if what FUSE sends in pieces finds no room with its last one; then nothing is
 * published, and if there was another reason the next write tells it.
 */
int file_write(int events, const struct kecho_event *ev, unsigned int flags)
{
	bool waits = !(flags & KECHO_NOWAIT);
	size_t size;
	ssize_t n;
	void *all;
	int err;

	all = frame_of(ev, &size);
	if (!all)
		return -ENOMEM;
	for (;;) {
		err = wait_room(events, waits);
		if (err)
			break;
		n = write(events, all, size);
		if (n == (ssize_t)size)
			break;
		err = n < 0 ? node_error(errno) : -EAGAIN;
		if (err != -EAGAIN || !waits)
			break;
		if (poll(NULL, 0, RETRY_MS) < 0) {
			err = -errno;
			break;
		}
	}
	free(all);
	return err;
}

/* --- receiving --- */

/* The event in s->buf, of which @len bytes were read. */
static int take_frame(struct kecho_sub *s, size_t len, struct kecho_event *ev)
{
	const struct kecho_frame *f = (const struct kecho_frame *)s->buf;
	struct kecho_attrs *attrs;
	const u8 *type, *text;
	size_t head;
	int err;
	u8 *p;

	if (len < sizeof(*f) || f->size != len || f->header < sizeof(*f))
		return -EPROTO;
	head = f->header + f->type_len + f->attrs_len;
	if (head > len)
		return -EPROTO;
	type = s->buf + f->header;
	text = type + f->type_len;
	err = kecho_attrs_merge_text(NULL, (const char *)text, f->attrs_len, GFP_KERNEL, &attrs);
	if (err)
		return err == -ENOMEM ? err : -EPROTO;
	*ev = (struct kecho_event){
		.len = len - head, .attrs_len = attrs ? attrs->len : 0, .type_len = f->type_len, .prio = f->prio,
		.deadline_us = f->deadline_us, .flags = f->flags & (KECHO_FRAME_RETAINED | KECHO_FRAME_LOCAL), .publisher = f->publisher,
		.seq = f->seq, .time_ns = f->time_ns, .lost = f->lost,
	};
	ev->msg = p = malloc(ev->len + ev->type_len + ev->attrs_len + 1);
	if (p) {
		ev->data = p;
		p = mempcpy(p, s->buf + head, ev->len);
		ev->type = (const char *)p;
		p = mempcpy(p, type, ev->type_len);
		ev->attrs = p;
		if (attrs)
			memcpy(p, attrs->data, attrs->len);
	}
	kecho_attrs_put(attrs);
	return p ? 1 : -ENOMEM;
}

static int grow(struct kecho_sub *s)
{
	size_t size = s->size ? 2 * s->size : BUF_FIRST;
	u8 *buf = malloc(size);

	if (!buf)
		return -ENOMEM;
	free(s->buf);
	s->buf = buf;
	s->size = size;
	return 0;
}

int file_read(struct kecho_sub *s, struct kecho_event *ev)
{
	ssize_t n;
	int err;

	if (!s->size && grow(s))
		return -ENOMEM;
	while (!s->filled) {
		n = read(s->events, s->buf, s->size);
		if (n > 0)
			s->filled = n;
		else if (!n)
			return -ENODEV;
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EMSGSIZE || s->size >= BUF_MAX)
			return node_error(errno);
		else if (grow(s))
			return -ENOMEM;
	}
	err = take_frame(s, s->filled, ev);
	if (err != -ENOMEM)
		s->filled = 0;
	return err;
}
