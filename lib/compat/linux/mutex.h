/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_MUTEX_H
#define COMPAT_LINUX_MUTEX_H
#include <linux/compiler.h>
#include <linux/types.h>
#include <assert.h>
#include <pthread.h>
#include <sys/single_threaded.h>

/* One thread alone uses the core: nothing needs to be locked or atomic. Set by its program before anything else of it is used. */
extern bool kecho_one_thread;

/*
 * Only @taken where there is, or may be, another thread. Whether there is one may change meanwhile, but not while who holds it is alone,
 * for it starts none.
 */
struct mutex {
	pthread_mutex_t m;
	pthread_t owner;
	bool held, taken;
};

static inline void mutex_init(struct mutex *l)
{
	pthread_mutex_init(&l->m, NULL);
	l->held = l->taken = false;
}

static inline void mutex_destroy(struct mutex *l)
{
	pthread_mutex_destroy(&l->m);
}

static inline void mutex_lock(struct mutex *l)
{
	if (likely(kecho_one_thread) || __libc_single_threaded) {
		assert(!l->held);
	} else {
		pthread_mutex_lock(&l->m);
		l->taken = true;
	}
	if (unlikely(!kecho_one_thread))
		l->owner = pthread_self();
	l->held = true;
}

static inline void mutex_unlock(struct mutex *l)
{
	l->held = false;
	if (likely(!l->taken))
		return;
	l->taken = false;
	pthread_mutex_unlock(&l->m);
}
#endif
