// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "text.h"

static bool text_room(struct kecho_text *t, size_t need)
{
	size_t cap;
	char *buf;

	if (t->err)
		return false;
	if (t->cap - t->len >= need)
		return true;
	cap = max_t(size_t, t->len + need, t->cap ? 2 * t->cap : 256);
	buf = kvmalloc(cap, GFP_KERNEL);
	if (!buf) {
		t->err = -ENOMEM;
		return false;
	}
	if (t->len)
		memcpy(buf, t->buf, t->len);
	kvfree(t->buf);
	t->buf = buf;
	t->cap = cap;
	return true;
}

void kecho_text_append(struct kecho_text *t, const void *s, size_t len)
{
	if (!len || !text_room(t, len))
		return;
	memcpy(t->buf + t->len, s, len);
	t->len += len;
}
EXPORT_SYMBOL_GPL(kecho_text_append);

void kecho_text_printf(struct kecho_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !text_room(t, n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf(t->buf + t->len, n + 1, fmt, ap);
	va_end(ap);
	t->len += n;
}
EXPORT_SYMBOL_GPL(kecho_text_printf);

void kecho_text_free(struct kecho_text *t)
{
	kvfree(t->buf);
	t->buf = NULL;
	t->len = t->cap = 0;
	t->err = 0;
}
EXPORT_SYMBOL_GPL(kecho_text_free);
