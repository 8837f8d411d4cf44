/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_LOCKDEP_H
#define COMPAT_LINUX_LOCKDEP_H
#include <assert.h>
struct lock_class_key { char unused; };
#define lockdep_set_class(l, key) ((void)(key))
#define lockdep_assert_held(l) assert((l)->held && (kecho_one_thread || pthread_equal((l)->owner, pthread_self())))
#endif
