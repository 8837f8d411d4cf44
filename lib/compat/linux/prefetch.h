/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_PREFETCH_H
#define COMPAT_LINUX_PREFETCH_H

#define prefetch(p) __builtin_prefetch(p)

/* GCC's builtin fetches a line to read it, unless it is told that the processor has what it takes to own it: all x86-64 take this. */
static inline void prefetchw(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}
#endif
