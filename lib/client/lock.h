/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef KECHO_CLIENT_LOCK_H
#define KECHO_CLIENT_LOCK_H
#include <pthread.h>
#include <stdbool.h>
#include <sys/single_threaded.h>

/**
 * struct lock - a mutex that is only taken where there is more than one thread
 * @taken: it was; whether there are others may change meanwhile, but not while who holds it is alone, for it starts none
 */
struct lock {
	pthread_mutex_t mutex;
	bool taken;
};

static inline void lock_init(struct lock *l)
{
	pthread_mutex_init(&l->mutex, NULL);
	l->taken = false;
}

static inline void lock_destroy(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void lock(struct lock *l)
{
	if (__libc_single_threaded)
		return;
	pthread_mutex_lock(&l->mutex);
	l->taken = true;
}

static inline void unlock(struct lock *l)
{
	if (!l->taken)
		return;
	l->taken = false;
	pthread_mutex_unlock(&l->mutex);
}
#endif
