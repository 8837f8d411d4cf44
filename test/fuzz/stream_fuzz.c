// SPDX-License-Identifier: GPL-2.0
/* events files: what is written, however it is cut, is what is read, in reads of any size. */
#include <linux/errno.h>
#include <linux/slab.h>
#include "../../lib/attr/text.h"
#include "../../lib/channel/stream.h"
#include "fuzz.h"
#include <linux/err.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void on_sink(struct kecho_sink *sink) { }
static void on_channel(struct kecho_channel *ch) { }
static void on_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event) { }
static void on_due(struct kecho_cm *cm, u64 when) { }

static u64 clock_stands(void)
{
	return 0;
}

static const struct kecho_filter_ops *no_filter(struct kecho_node *n, const char *name)
{
	return ERR_PTR(-ENOENT);
}

static const struct kecho_node_ops ops = {
	.cm = { .due = on_due }, .ready = on_sink, .room = on_channel, .changed = on_changed, .joined = on_channel,
	.clock = clock_stands, .filter_get = no_filter,
};

static struct kecho_node node;
static struct kecho_channel *ch;
static struct kecho_writer w;
static struct kecho_reader r;
static struct kecho_text want, got;
static u64 rng;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 32) % n;
}

/* Reads what is queued, or one event. */
static bool read_some(bool all)
{
	size_t n, whole, have = 0;
	static u8 buf[1 << 17];
	ssize_t ret;
	bool any = false;

	do {
		n = 1 + rnd(rnd(2) ? 4 : 300);
		/* Events that do not fit stay; large buffers are filled in pieces. */
		whole = r.mode == KECHO_MODE_TEXT || (!have && rnd(2)) ? n : sizeof(buf);
		ret = kecho_reader_read(&r, buf + have, n, whole);
		if (ret == -EMSGSIZE && whole == n && r.mode != KECHO_MODE_TEXT)
			continue;
		if (ret == -EAGAIN)
			break;
		CHECK(ret > 0);
		any = true;
		have += ret;
		CHECK(have <= sizeof(buf));
		if (kecho_reader_rest(&r))
			continue;
		if (r.mode == KECHO_MODE_FRAMED) {
			struct kecho_frame *f = (void *)buf;

			CHECK(f->size == have && f->header == sizeof(*f) && f->publisher == 9 && f->flags & KECHO_FRAME_LOCAL);
			f->seq = f->time_ns = f->publisher = f->lost = f->flags = 0;
		}
		if (r.mode != KECHO_MODE_TEXT) {
			kecho_text_printf(&got, "<%zu>", have);
			kecho_text_append(&got, buf, have);
			have = 0;
		}
		CHECK(have < sizeof(buf) - 4096);
	} while (all || !any || kecho_reader_rest(&r));
	if (r.mode == KECHO_MODE_TEXT)
		kecho_text_append(&got, buf, have);
	return any;
}

static void write_all(const u8 *p, size_t len)
{
	ssize_t n;
	u8 *copy;

	do {
		copy = malloc(len ? len : 1);
		memcpy(copy, p, len);
		n = kecho_writer_write(&w, copy, len, rnd(3));
		free(copy);
		if (n == -EAGAIN) {
			/* What it passes over are empty packets. */
			CHECK(read_some(rnd(2)) || w.mode == KECHO_MODE_PACKET);
			continue;
		}
		CHECK(n >= 0 && (size_t)n <= len && (n || !len));
		p += n;
		len -= n;
	} while (len);
}

static void text(const u8 *p, size_t len)
{
	size_t n;
	int err;

	kecho_text_append(&want, p, len);
	if (len && p[len - 1] != '\n')
		kecho_text_append(&want, "\n", 1);
	for (; len; p += n, len -= n) {
		n = min_t(size_t, len, 1 + rnd(rnd(2) ? 3 : 100));
		write_all(p, n);
		if (!rnd(4))
			read_some(false);
	}
	while ((err = kecho_writer_finish(&w, 0))) {
		CHECK(err == -EAGAIN);
		CHECK(read_some(false));
	}
}

static void packets(const u8 *p, size_t len)
{
	size_t n;

	for (; len; p += n, len -= n) {
		n = min_t(size_t, len, rnd(rnd(2) ? 3 : 100));
		if (n) {
			kecho_text_printf(&want, "<%zu>", n);
			kecho_text_append(&want, p, n);
		}
		write_all(p, n);
	}
}

/* A frame is refused, or is read back with its attributes in order. */
static void frames(struct in *in)
{
	struct kecho_text attrs;
	struct kecho_attrs *list;
	struct kecho_frame f;
	size_t n;
	ssize_t ret;
	u8 *copy;

	while (in->p < in->end) {
		u8 kind = in_u8(in);
		const u8 *p, *s;

		n = in_u8(in);
		p = in_bytes(in, &n);
		copy = malloc(n + sizeof(f));
		memset(&f, 0, sizeof(f));
		if (kind & 1) {
			/* A header that is nearly right. */
			f.header = sizeof(f);
			f.size = sizeof(f) + n;
			f.prio = kind >> 1 & 7;
			f.type_len = n ? p[0] % (n + 2) : kind >> 7;
			f.attrs_len = n > 1 ? p[1] % (n + 2) : 0;
			f.deadline_us = n;
			memcpy(copy, &f, sizeof(f));
			memcpy(copy + sizeof(f), p, n);
			n += sizeof(f);
		} else {
			memcpy(copy, p, n);
		}
		while ((ret = kecho_writer_write(&w, copy, n, 7)) == -EAGAIN)
			CHECK(read_some(false));
		if (ret >= 0) {
			CHECK((size_t)ret == n);
			memcpy(&f, copy, sizeof(f));
			s = copy + f.header;
			memset(&attrs, 0, sizeof(attrs));
			CHECK(!kecho_attrs_merge_text(NULL, (const char *)s + f.type_len, f.attrs_len, GFP_KERNEL, &list));
			kecho_attrs_print(&attrs, list, '\n');
			kecho_attrs_put(list);
			f.size -= f.header - sizeof(f) + f.attrs_len - attrs.len;
			kecho_text_printf(&want, "<%u>", f.size);
			n -= f.header + f.type_len + f.attrs_len;
			s += f.type_len + f.attrs_len;
			f.header = sizeof(f);
			ret = f.attrs_len;
			f.attrs_len = attrs.len;
			kecho_text_append(&want, &f, sizeof(f));
			kecho_text_append(&want, s - ret - f.type_len, f.type_len);
			kecho_text_append(&want, attrs.buf, attrs.len);
			kecho_text_append(&want, s, n);
			kecho_text_free(&attrs);
		} else {
			CHECK(ret == -EINVAL || ret == -E2BIG);
		}
		free(copy);
	}
}

/* Lines that may be too long: none of more than the limit is published, and memory for none is kept. */
static void long_lines(const u8 *p, size_t len, u32 max)
{
	size_t n;
	ssize_t ret;

	node.max_event = max;
	for (; len; p += n, len -= n) {
		n = min_t(size_t, len, 1 + rnd(2 * max));
		ret = kecho_writer_write(&w, p, n, 0);
		CHECK(ret > 0 || ret == -EMSGSIZE || ret == -EAGAIN);
		CHECK(w.len <= max);
		if (ret > 0)
			n = ret;
		if (ret == -EAGAIN)
			read_some(true);
	}
	kecho_writer_finish(&w, 0);
	read_some(true);
	for (p = (u8 *)got.buf, len = got.len; len; p += n, len -= n) {
		const u8 *nl = memchr(p, '\n', len);

		CHECK(nl && nl - p <= max);
		n = nl + 1 - p;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct in in = { data, data + size };
	u8 kind = in_u8(&in), queue = in_u8(&in);
	char set[64];
	int err, n;

	rng = 1 + (in_u16(&in) | (u64)in_u16(&in) << 32);
	kecho_node_init(&node, 9, "n", 0, &ops, 1);
	ch = kecho_channel_join(&node, "c", NULL, 1, 0, &err);
	CHECK(ch);
	n = sprintf(set, "kecho.overflow=block\nkecho.queue=%d\nkecho.retain=%d", 1 + queue % 32, queue / 32);
	CHECK(!kecho_channel_write_attrs(ch, set, n, true, 0));
	w = (struct kecho_writer){ .channel = ch, .mode = kind % 4 % 3 };
	r = (struct kecho_reader){ .sink = kecho_sink_open(ch, "", 0, 1, "fuzz", NULL, 0, 0), .mode = w.mode };
	switch (kind % 4) {
	case 0:
		text(in.p, in.end - in.p);
		break;
	case 1:
		packets(in.p, in.end - in.p);
		break;
	case 2:
		frames(&in);
		break;
	default:
		long_lines(in.p, in.end - in.p, 1 + kind / 4);
	}
	read_some(true);
	if (kind % 4 < 3) {
		CHECK(got.len == want.len);
		CHECK(!got.len || !memcmp(got.buf, want.buf, got.len));
		CHECK(!r.sink->lost);
	}
	kecho_text_free(&want);
	kecho_text_free(&got);
	kecho_writer_free(&w);
	kecho_reader_free(&r);
	kecho_sink_close(r.sink, 0);
	kecho_channel_leave(ch, 0);
	kecho_node_exit(&node, 0);
	return 0;
}
