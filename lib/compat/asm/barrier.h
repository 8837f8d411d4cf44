/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_ASM_BARRIER_H
#define COMPAT_ASM_BARRIER_H
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#ifdef __SANITIZE_THREAD__
/* TSan knows no fences. */
static inline void smp_mb(void)
{
	static int here;

	__atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
}
#else
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
#define barrier() __asm__ volatile("" ::: "memory")
/* Our refcount_read() acquires by itself. */
#define smp_acquire__after_ctrl_dep() barrier()
#endif
