/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Spinlocks are mutexes here: a user thread that holds one can be descheduled, and spinning on it would burn its slice. */
#ifndef COMPAT_LINUX_SPINLOCK_H
#define COMPAT_LINUX_SPINLOCK_H
#include <linux/mutex.h>

typedef struct mutex spinlock_t;
#define spin_lock_init(l) mutex_init(l)
#define spin_lock_bh(l) mutex_lock(l)
#define spin_unlock_bh(l) mutex_unlock(l)
#define spin_lock(l) mutex_lock(l)
#define spin_unlock(l) mutex_unlock(l)
#endif
