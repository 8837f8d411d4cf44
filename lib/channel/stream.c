// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "../attr/text.h"
#include "stream.h"

/* --- writing --- */

static int writer_keep(struct kecho_writer *w, const void *data, size_t len)
{
	if (w->len + len > w->cap) {
		u32 cap = max_t(u32, max_t(u32, 2 * w->cap, w->len + len), 256);
		u8 *buf = kvmalloc(cap, GFP_KERNEL_ACCOUNT);

		if (!buf)
			return -ENOMEM;
		if (w->len)
			memcpy(buf, w->buf, w->len);
		kvfree(w->buf);
		w->buf = buf;
		w->cap = cap;
	}
	memcpy(w->buf + w->len, data, len);
	w->len += len;
	return 0;
}

static void writer_drop(struct kecho_writer *w)
{
	kvfree(w->buf);
	w->buf = NULL;
	w->len = w->cap = 0;
}

/* Publishes what is kept and, behind it, @data. */
static int writer_publish(struct kecho_writer *w, const void *data, size_t len, u64 time_ns)
{
	struct kecho_msg *msg = kecho_event_alloc(w->type, NULL, w->len + len, GFP_KERNEL_ACCOUNT);
	u8 *p;
	int n;

	if (!msg)
		return -ENOMEM;
	p = kecho_event_payload(msg);
	if (w->len)
		memcpy(p, w->buf, w->len);
	if (len)
		memcpy(p + w->len, data, len);
	n = kecho_channel_publish(w->channel, msg, time_ns, w->batch);
	kecho_msg_put(msg);
	if (n < 0)
		return n;
	if (w->cap)
		writer_drop(w);
	return 0;
}

static ssize_t write_text(struct kecho_writer *w, const char *data, size_t len, u64 time_ns)
{
	size_t done = 0, n;
	const char *nl;
	int err = 0;

	while (done < len && !err) {
		nl = memchr(data + done, '\n', len - done);
		n = nl ? (size_t)(nl - data) - done : len - done;
		if (w->skip || w->len + n > READ_ONCE(w->channel->node->max_event)) {
			/* The lines before it stand; the error comes with the next write, which begins here. */
			if (done)
				break;
			writer_drop(w);
			if (!w->skip || !nl) {
				w->skip = !nl;
				return -EMSGSIZE;
			}
			w->skip = false;
			done += n + 1;
			continue;
		}
		err = nl ? writer_publish(w, data + done, n, time_ns) : writer_keep(w, data + done, n);
		if (!err)
			done += n + !!nl;
	}
	return done ? (ssize_t)done : err;
}

static ssize_t write_packet(struct kecho_writer *w, const void *data, size_t len, u64 time_ns)
{
	int err;

	if (len > READ_ONCE(w->channel->node->max_event))
		return -EMSGSIZE;
	err = writer_publish(w, data, len, time_ns);
	return err ? err : (ssize_t)len;
}

static ssize_t write_framed(struct kecho_writer *w, const u8 *data, size_t len, u64 time_ns)
{
	char type[KECHO_NAME_MAX + 1];
	const u8 *p, *end = data + len;
	struct kecho_attrs *attrs;
	struct kecho_msg *msg;
	struct kecho_frame f;
	int n;

	if (len < sizeof(f))
		return -EINVAL;
	memcpy(&f, data, sizeof(f));
	p = data + f.header;
	if (f.size != len || f.header < sizeof(f) || f.header > len || f.seq || f.time_ns || f.publisher || f.lost || f.flags ||
	    f.prio > KECHO_PRIO_MAX || f.type_len > end - p || f.attrs_len > end - p - f.type_len ||
	    (f.type_len && !kecho_name_valid((const char *)p, f.type_len)))
		return -EINVAL;
	memcpy(type, p, f.type_len);
	type[f.type_len] = 0;
	if (f.type_len && w->type[0] && strcmp(type, w->type))
		return -EINVAL;
	p += f.type_len;
	n = kecho_attrs_merge_text(NULL, (const char *)p, f.attrs_len, GFP_KERNEL, &attrs);
	if (n)
		return n;
	p += f.attrs_len;
	if (end - p > READ_ONCE(w->channel->node->max_event)) {
		kecho_attrs_put(attrs);
		return -EMSGSIZE;
	}
	msg = kecho_event_alloc(f.type_len ? type : w->type, attrs, end - p, GFP_KERNEL_ACCOUNT);
	kecho_attrs_put(attrs);
	if (!msg)
		return -ENOMEM;
	kecho_event(msg)->prio = f.prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(f.deadline_us);
	memcpy(kecho_event_payload(msg), p, end - p);
	n = kecho_channel_publish(w->channel, msg, time_ns, w->batch);
	kecho_msg_put(msg);
	return n < 0 ? n : (ssize_t)len;
}

ssize_t kecho_writer_write(struct kecho_writer *w, const void *data, size_t len, u64 time_ns)
{
	switch (w->mode) {
	case KECHO_MODE_TEXT:
		return write_text(w, data, len, time_ns);
	case KECHO_MODE_PACKET:
		return write_packet(w, data, len, time_ns);
	default:
		return write_framed(w, data, len, time_ns);
	}
}
EXPORT_SYMBOL_GPL(kecho_writer_write);

int kecho_writer_finish(struct kecho_writer *w, u64 time_ns)
{
	if (w->mode != KECHO_MODE_TEXT || !w->len)
		return 0;
	return writer_publish(w, NULL, 0, time_ns);
}
EXPORT_SYMBOL_GPL(kecho_writer_finish);

void kecho_writer_free(struct kecho_writer *w)
{
	writer_drop(w);
}
EXPORT_SYMBOL_GPL(kecho_writer_free);

/* --- reading --- */

static void reader_unframe(struct kecho_reader *r)
{
	kvfree(r->head);
	r->head = NULL;
	r->head_len = 0;
}

static void reader_done(struct kecho_reader *r)
{
	kecho_sink_consumed(r->sink, r->msg);
	reader_unframe(r);
	r->msg = NULL;
	r->off = 0;
}

static int reader_frame(struct kecho_reader *r)
{
	const struct kecho_event_wire *ev = kecho_event(r->msg);
	struct kecho_text t = { 0 }, attrs = { 0 };
	struct kecho_attrs *list = NULL;
	struct kecho_frame f = {
		.header = sizeof(f),
		.type_len = ev->type_len,
		.prio = ev->prio,
		.seq = le64_to_cpu(ev->seq),
		.time_ns = le64_to_cpu(ev->time_ns),
		.publisher = le64_to_cpu(ev->origin),
		.lost = READ_ONCE(r->sink->lost),
		.deadline_us = le32_to_cpu(ev->deadline_us),
		.flags = kecho_sink_flags(r->sink, r->msg),
	};

	t.err = kecho_attrs_decode(kecho_event_attrs(r->msg), le16_to_cpu(ev->attrs_len), GFP_KERNEL, &list);
	kecho_attrs_print(&attrs, list, '\n');
	kecho_attrs_put(list);
	if (attrs.err)
		t.err = attrs.err;
	f.attrs_len = attrs.len;
	f.size = sizeof(f) + f.type_len + f.attrs_len + kecho_event_payload_len(r->msg);
	kecho_text_append(&t, &f, sizeof(f));
	kecho_text_append(&t, kecho_event_type(r->msg), f.type_len);
	kecho_text_append(&t, attrs.buf, attrs.len);
	kecho_text_free(&attrs);
	if (t.err) {
		kecho_text_free(&t);
		return -ENOMEM;
	}
	r->head = t.buf;
	r->head_len = t.len;
	return 0;
}

/* What there is of the event in the reader's form. */
static u64 reader_total(const struct kecho_reader *r)
{
	return (u64)r->head_len + kecho_event_payload_len(r->msg) + (r->mode == KECHO_MODE_TEXT);
}

int kecho_reader_next(struct kecho_reader *r, size_t whole)
{
	int n;

	/* An event that was too long for a frame may have another mode's turn now. */
	if (r->head && r->mode != KECHO_MODE_FRAMED)
		reader_unframe(r);
	/* As a packet, an empty event would be taken for the end. */
	if (r->msg && r->mode == KECHO_MODE_PACKET && !kecho_event_payload_len(r->msg))
		reader_done(r);
	while (!r->msg) {
		n = kecho_sink_pop(r->sink, r->mode == KECHO_MODE_PACKET ? min_t(size_t, whole, U32_MAX) : U32_MAX, &r->msg);
		if (n < 0)
			return n;
		if (!n)
			return READ_ONCE(r->sink->channel->gone) ? 0 : -EAGAIN;
		if (r->mode == KECHO_MODE_PACKET && !kecho_event_payload_len(r->msg))
			reader_done(r);
	}
	if (r->mode == KECHO_MODE_FRAMED && !r->head) {
		n = reader_frame(r);
		if (n)
			return n;
	}
	return r->mode != KECHO_MODE_TEXT && !r->off && reader_total(r) > whole ? -EMSGSIZE : 1;
}
EXPORT_SYMBOL_GPL(kecho_reader_next);

const void *kecho_reader_piece(const struct kecho_reader *r, size_t *len)
{
	u32 payload = kecho_event_payload_len(r->msg);
	u64 off = r->off;

	if (off < r->head_len) {
		*len = r->head_len - off;
		return r->head + off;
	}
	off -= r->head_len;
	if (off < payload) {
		*len = payload - off;
		return kecho_event_payload(r->msg) + off;
	}
	*len = 1;
	return "\n";
}
EXPORT_SYMBOL_GPL(kecho_reader_piece);

bool kecho_reader_advance(struct kecho_reader *r, size_t n)
{
	r->off += n;
	if (r->off < reader_total(r))
		return true;
	reader_done(r);
	return false;
}
EXPORT_SYMBOL_GPL(kecho_reader_advance);

ssize_t kecho_reader_read(struct kecho_reader *r, void *buf, size_t len, size_t whole)
{
	size_t done = 0, n;
	const void *piece;
	int more;

	more = kecho_reader_next(r, whole);
	if (more <= 0)
		return more;
	while (more && done < len) {
		piece = kecho_reader_piece(r, &n);
		n = min(n, len - done);
		memcpy((u8 *)buf + done, piece, n);
		done += n;
		more = kecho_reader_advance(r, n);
	}
	return done;
}
EXPORT_SYMBOL_GPL(kecho_reader_read);

bool kecho_reader_rest(const struct kecho_reader *r)
{
	return r->msg && r->off;
}
EXPORT_SYMBOL_GPL(kecho_reader_rest);

bool kecho_reader_ready(struct kecho_reader *r)
{
	return r->msg || READ_ONCE(r->sink->count) || READ_ONCE(r->sink->channel->gone);
}
EXPORT_SYMBOL_GPL(kecho_reader_ready);

void kecho_reader_free(struct kecho_reader *r)
{
	if (r->msg)
		reader_done(r);
}
EXPORT_SYMBOL_GPL(kecho_reader_free);
