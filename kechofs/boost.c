// SPDX-License-Identifier: GPL-2.0
/* A reader that is favoured by the scheduler while an event waits for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "fs.h"

#define CAP_SYS_NICE 23
#define RESET_ON_FORK 1

/*
 * How a thread is scheduled: struct sched_attr of linux/sched/types.h, which does not go together with every sched.h. An ordinary
 * one's slice is told since Linux 6.12, and is to stay.
 */
struct sched {
	u32 size, policy;
	u64 flags;
	s32 nice;
	u32 priority;
	u64 slice_ns, unused[2];
};

/**
 * struct boost - lives from the first KECHO_IOC_BOOST to the file's end
 * @raised: in fs->boosts while the thread is favoured, until @until at the latest, by the last event that has come
 * @tid: 0: no more; @proc: its directory in /proc, or -1: there is nothing in it once the thread has ended, though another gets its number
 * @own: how it was scheduled before it was raised, @favoured: since
 */
struct boost {
	struct list_head raised;
	struct kecho_boost wish;
	pid_t tid;
	int proc;
	u64 until;
	struct sched own, favoured;
};

/* The number behind @key at a line's beginning in a file of /proc; 0: there is no such line. */
static unsigned long long number(pid_t tid, const char *name, const char *key, int base)
{
	char text[4096], *p, *end;
	unsigned long long n;

	proc_read(tid, name, text, sizeof(text));
	for (p = strstr(text, key); p && p > text && p[-1] != '\n'; p = strstr(p + 1, key))
		;
	if (!p)
		return 0;
	p += strlen(key);
	n = strtoull(p, &end, base);
	/* What is said of a limit with no number is "unlimited". */
	return end == p ? ~0ull : n;
}

/* Capabilities count in our user namespace. */
static bool capable(pid_t tid)
{
	struct stat theirs, ours;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", tid);
	return !stat(path, &theirs) && !stat("/proc/self/ns/user", &ours) && theirs.st_ino == ours.st_ino &&
	       number(tid, "status", "CapEff:", 16) >> CAP_SYS_NICE & 1;
}

/* Limits by /proc, for prlimit() on another user's process takes a capability. */
static bool permitted(pid_t tid, const struct kecho_boost *wish)
{
	/* 0: in a pid namespace that we do not see. */
	if (!tid)
		return false;
	if (capable(tid))
		return true;
	if (wish->policy == KECHO_BOOST_FIFO)
		return number(tid, "limits", "Max realtime priority", 10) >= 1;
	/* RLIMIT_NICE counts from 1 for nice 19 up. */
	return wish->nice >= getpriority(PRIO_PROCESS, tid) ||
	       number(tid, "limits", "Max nice priority", 10) >= (unsigned int)(20 - wish->nice);
}

static int proc_open(pid_t tid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d", tid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void forget(struct boost *b)
{
	boost_lower(b);
	if (b->proc >= 0)
		close(b->proc);
	b->proc = -1;
	b->tid = 0;
}

int boost_set(struct file *f, const struct kecho_boost *asked, pid_t tid)
{
	struct kecho_boost wish = *asked;
	int err = kecho_boost_check(&wish), proc = -1;

	if (err)
		return err;
	if (wish.policy && !permitted(tid, &wish))
		return -EPERM;
	if (!f->boost) {
		f->boost = calloc(1, sizeof(*f->boost));
		if (!f->boost)
			return -ENOMEM;
		INIT_LIST_HEAD(&f->boost->raised);
		f->boost->proc = -1;
	}
	if (wish.policy) {
		proc = proc_open(tid);
		if (proc < 0)
			return -errno;
	}
	forget(f->boost);
	f->boost->wish = wish;
	f->boost->proc = proc;
	f->boost->tid = wish.policy ? tid : 0;
	kecho_sink_show_boost(f->reader->sink, &wish);
	return 0;
}

static bool sched_get(const struct boost *b, struct sched *s)
{
	return !faccessat(b->proc, "stat", F_OK, 0) && !syscall(SYS_sched_getattr, b->tid, s, sizeof(*s), 0);
}

static bool sched_set(const struct boost *b, const struct sched *s)
{
	return !syscall(SYS_sched_setattr, b->tid, s, 0);
}

void boost_raise(struct fs *fs, struct boost *b)
{
	b->until = home_now() + b->wish.max_us * 1000ull;
	if (!b->tid || !list_empty(&b->raised) || !sched_get(b, &b->own) || b->own.policy != SCHED_OTHER)
		return;
	b->favoured = b->own;
	b->favoured.flags |= RESET_ON_FORK;
	if (b->wish.policy == KECHO_BOOST_FIFO) {
		b->favoured.policy = SCHED_FIFO;
		b->favoured.priority = sched_get_priority_min(SCHED_FIFO);
	} else if (b->own.nice > b->wish.nice) {
		b->favoured.nice = b->wish.nice;
	} else {
		return;
	}
	if (!sched_set(b, &b->favoured)) {
		pr_warn("cannot favour thread %d: %s\n", b->tid, strerror(errno));
		b->tid = 0;
		return;
	}
	list_add_tail(&b->raised, &fs->boosts);
	home_wake_at(&fs->home, b->until);
}

void boost_lower(struct boost *b)
{
	struct sched now;

	if (list_empty(&b->raised))
		return;
	list_del_init(&b->raised);
	/* It may have ended, or chosen something else meanwhile. */
	if (!sched_get(b, &now) || now.policy != b->favoured.policy)
		return;
	if (now.policy == SCHED_OTHER && now.nice != b->favoured.nice)
		b->own.nice = now.nice;
	sched_set(b, &b->own);
}

void boost_tick(struct fs *fs, u64 now)
{
	struct boost *b, *next;

	list_for_each_entry_safe(b, next, &fs->boosts, raised) {
		if (b->until <= now)
			boost_lower(b);
		else
			home_wake_at(&fs->home, b->until);
	}
}

void boost_free(struct boost *b)
{
	if (b)
		forget(b);
	free(b);
}
