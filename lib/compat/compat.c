// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <errno.h>
#include <stdlib.h>

long kecho_fail_alloc = -1;
bool kecho_one_thread;
void (*kecho_log)(int level, const char *fmt, va_list ap);

void *kmalloc(size_t size, gfp_t gfp)
{
	if (unlikely(__atomic_load_n(&kecho_fail_alloc, __ATOMIC_RELAXED) >= 0) &&
	    __atomic_fetch_sub(&kecho_fail_alloc, 1, __ATOMIC_RELAXED) == 0)
		return NULL;
	return gfp & __GFP_ZERO ? calloc(1, size) : malloc(size);
}

void kfree(const void *p)
{
	free((void *)p);
}

void kecho_printk(int level, const char *fmt, ...)
{
	va_list ap;

	if (!kecho_log)
		return;
	va_start(ap, fmt);
	kecho_log(level, fmt, ap);
	va_end(ap);
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(buf, size, fmt, ap);

	return n < 0 || !size ? 0 : min_t(size_t, n, size - 1);
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vscnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t n = strnlen(src, size);

	if (!size)
		return -E2BIG;
	if (n == size) {
		memcpy(dst, src, size - 1);
		dst[size - 1] = 0;
		return -E2BIG;
	}
	memcpy(dst, src, n + 1);
	return n;
}
