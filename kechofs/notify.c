// SPDX-License-Identifier: GPL-2.0
/*
 * inotify. The kernel raises IN_MODIFY for what passes through the mount, and events from other hosts do not. So a thread truncates
 * the file, by its path, to the nothing that it holds: the daemon answers that without doing anything, and inotify sees a
 * modification, without an open or a close around it.
 *
 * A truncate takes the inode's lock, which a writer holds while it waits for room. The thread must never wait for that one:
 * every other notification would wait with it, and a daemon with such a thread cannot be killed on kernels where that wait is not
 * killable. So there is no notice of a file that has a parked writer (settle_dir), a notice is withdrawn when one parks, and if
 * the truncate has begun the writer is not parked (notify_withdraw).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "fs.h"

/*
 * When it has told all it rests: a notification is two requests to the daemon, which cost more than the event, and nothing says whether
 * anybody watches. What comes after a pause is told at once; in a stream the rests become longer.
 */
#define REST_NS 5000000
#define REST_MAX_NS 320000000

struct notice {
	struct list_head node;
	u64 number;
	enum kecho_kind kind;
	char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(notices);
static u32 count;
static u64 current_dir;
static bool stop, started;
static pid_t tid;

static void *notify_run(void *arg)
{
	struct timespec rest = { .tv_nsec = REST_NS };
	struct notice *n;
	u64 told = 0;

	(void)arg;
	pthread_mutex_lock(&lock);
	tid = syscall(SYS_gettid);
	pthread_cond_broadcast(&wake);
	while (!stop) {
		if (list_empty(&notices)) {
			pthread_cond_wait(&wake, &lock);
			continue;
		}
		if (home_now() - told > REST_MAX_NS)
			rest.tv_nsec = REST_NS;
		n = list_first_entry(&notices, struct notice, node);
		list_del(&n->node);
		count--;
		current_dir = n->kind == KIND_EVENTS ? n->number : 0;
		pthread_mutex_unlock(&lock);
		if (truncate(n->path, 0) && errno != ENOENT && errno != ENOTCONN)
			pr_debug("notify %s: %s\n", n->path, strerror(errno));
		free(n);
		pthread_mutex_lock(&lock);
		current_dir = 0;
		if (list_empty(&notices) && !stop) {
			pthread_mutex_unlock(&lock);
			nanosleep(&rest, NULL);
			rest.tv_nsec = min(2 * rest.tv_nsec, REST_MAX_NS);
			told = home_now();
			pthread_mutex_lock(&lock);
		}
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

int notify_start(struct fs *fs)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 128 << 10);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, &attr, notify_run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_mutex_lock(&lock);
	while (!tid)
		pthread_cond_wait(&wake, &lock);
	fs->notifier = tid;
	started = true;
	pthread_mutex_unlock(&lock);
	return 0;
}

void notify_modified(struct fs *fs, struct dir *d, enum kecho_kind kind)
{
	bool type = dir_is_type(d);
	struct notice *n;
	char *path;
	int len;

	if (!started)
		return;
	pthread_mutex_lock(&lock);
	list_for_each_entry(n, &notices, node)
		if (n->number == d->number && n->kind == kind)
			goto out;
	if (count >= KECHO_CHANNELS_MAX)
		goto out;
	len = asprintf(&path, "%s/%s%s%s/%s", fs->mountpoint, type ? d->parent->name : "", type ? "/" : "", d->name,
		       kecho_kind_name(kind));
	if (len < 0)
		goto out;
	n = malloc(sizeof(*n) + len + 1);
	if (n) {
		n->number = d->number;
		n->kind = kind;
		memcpy(n->path, path, len + 1);
		list_add_tail(&n->node, &notices);
		if (!count++)
			pthread_cond_signal(&wake);
	}
	free(path);
out:
	pthread_mutex_unlock(&lock);
}

bool notify_withdraw(struct dir *d)
{
	struct notice *n, *next;
	bool begun;

	pthread_mutex_lock(&lock);
	begun = current_dir == d->number;
	list_for_each_entry_safe(n, next, &notices, node) {
		if (n->number != d->number || n->kind != KIND_EVENTS)
			continue;
		list_del(&n->node);
		free(n);
		count--;
	}
	pthread_mutex_unlock(&lock);
	return !begun;
}

void notify_stop(void)
{
	pthread_mutex_lock(&lock);
	stop = true;
	started = false;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}
