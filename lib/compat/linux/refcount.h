/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_REFCOUNT_H
#define COMPAT_LINUX_REFCOUNT_H
#include <linux/kernel.h>
#include <linux/mutex.h>

typedef struct {
	int refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline int refcount_read(const refcount_t *r)
{
	return __atomic_load_n(&r->refs, __ATOMIC_ACQUIRE);
}

static inline void refcount_inc(refcount_t *r)
{
	if (likely(kecho_one_thread))
		r->refs++;
	else
		__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	return likely(kecho_one_thread) ? --r->refs == 0 : __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0;
}
#endif
