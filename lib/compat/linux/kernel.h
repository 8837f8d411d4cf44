/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_KERNEL_H
#define COMPAT_LINUX_KERNEL_H
#include_next <linux/kernel.h>
#include <linux/types.h>
#include <linux/compiler.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define min_t(t, a, b) ({ t _a = (a), _b = (b); _a < _b ? _a : _b; })
#define max_t(t, a, b) ({ t _a = (a), _b = (b); _a > _b ? _a : _b; })
#ifndef min
#define min(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })
#endif
#define clamp_t(t, v, lo, hi) min_t(t, max_t(t, v, lo), hi)
#define swap(a, b) do { __typeof__(a) _t = (a); (a) = (b); (b) = _t; } while (0)
#define WARN_ON_ONCE(c) ({ bool _c = (c); assert(!_c); _c; })
#define BUILD_BUG_ON(c) _Static_assert(!(c), #c)
#define BIT(n) (1ul << (n))
/* The highest and the lowest bit, from 1; 0: there is none. */
static inline int fls(unsigned int x) { return x ? 32 - __builtin_clz(x) : 0; }
#define ffs(x) __builtin_ffs(x)
#define S64_MAX INT64_MAX
#define S64_MIN INT64_MIN
#define U64_MAX UINT64_MAX
#define U32_MAX UINT32_MAX
#define U16_MAX UINT16_MAX
#define U8_MAX UINT8_MAX

/* Where the core's messages go: the home sets it (syslog or stderr); levels are syslog's. */
extern void (*kecho_log)(int level, const char *fmt, va_list ap);
void kecho_printk(int level, const char *fmt, ...) __printf(2, 3);
#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif
#define pr_err(fmt, ...) kecho_printk(3, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...) kecho_printk(4, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn_ratelimited pr_warn
#define pr_info(fmt, ...) kecho_printk(6, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...) kecho_printk(7, pr_fmt(fmt), ##__VA_ARGS__)

int vscnprintf(char *buf, size_t size, const char *fmt, va_list ap) __printf(3, 0);
int scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
#endif
