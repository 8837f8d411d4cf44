/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_ATOMIC_H
#define COMPAT_LINUX_ATOMIC_H
#include <linux/mutex.h>
#include <linux/types.h>

typedef struct {
	s64 counter;
} atomic64_t;

#define xchg(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)

#define ATOMIC64_INIT(i) { (i) }

static inline s64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic64_set(atomic64_t *v, s64 i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic64_add(s64 i, atomic64_t *v)
{
	if (likely(kecho_one_thread))
		v->counter += i;
	else
		__atomic_add_fetch(&v->counter, i, __ATOMIC_RELAXED);
}

static inline s64 atomic64_add_return(s64 i, atomic64_t *v)
{
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);
}

#define atomic64_inc(v) atomic64_add(1, v)
#define atomic64_sub(i, v) atomic64_add(-(s64)(i), v)
#define atomic64_inc_return(v) atomic64_add_return(1, v)
#endif
