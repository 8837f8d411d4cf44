// SPDX-License-Identifier: GPL-2.0
/* A reader that is favoured by the scheduler while an event waits for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fs.h"

#define CAP_SYS_NICE 23

/**
 * struct boost - lives from the first KECHO_IOC_BOOST to the file's end
 * @raised: in fs->boosts while the thread is favoured, until @until at the latest, by the last event that has come
 * @tid: 0: no more; @born: when it began, so that another one with its number is not taken for it
 * @own_nice: what it had before it was raised
 */
struct boost {
	struct list_head raised;
	struct kecho_boost wish;
	pid_t tid;
	unsigned long long born;
	u64 until;
	int own_nice;
};

/* When the thread began; 0: it has ended. */
static unsigned long long began(pid_t tid)
{
	char text[1024], *p;
	int i;

	proc_read(tid, "stat", text, sizeof(text));
	/* Behind the name, in which anything may stand, it is the 20th word. */
	p = strrchr(text, ')');
	for (i = 0; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p, NULL, 10) : 0;
}

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

int boost_set(struct file *f, const struct kecho_boost *asked, pid_t tid)
{
	struct kecho_boost wish = *asked;
	int err = kecho_boost_check(&wish);

	if (err)
		return err;
	if (wish.policy && !permitted(tid, &wish))
		return -EPERM;
	if (!f->boost) {
		f->boost = calloc(1, sizeof(*f->boost));
		if (!f->boost)
			return -ENOMEM;
		INIT_LIST_HEAD(&f->boost->raised);
	}
	boost_lower(f->boost);
	f->boost->wish = wish;
	f->boost->tid = wish.policy ? tid : 0;
	f->boost->born = began(tid);
	kecho_sink_show_boost(f->reader->sink, &wish);
	return 0;
}

void boost_raise(struct fs *fs, struct boost *b)
{
	struct sched_param rt = { .sched_priority = sched_get_priority_min(SCHED_FIFO) };
	int err;

	b->until = home_now() + b->wish.max_us * 1000ull;
	if (!b->tid || !list_empty(&b->raised) || (sched_getscheduler(b->tid) & ~SCHED_RESET_ON_FORK) != SCHED_OTHER || began(b->tid) != b->born)
		return;
	b->own_nice = getpriority(PRIO_PROCESS, b->tid);
	if (b->wish.policy == KECHO_BOOST_FIFO)
		err = sched_setscheduler(b->tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &rt);
	else if (b->own_nice > b->wish.nice)
		err = setpriority(PRIO_PROCESS, b->tid, b->wish.nice);
	else
		return;
	if (err) {
		pr_warn("cannot favour thread %d: %s\n", b->tid, strerror(errno));
		b->tid = 0;
		return;
	}
	list_add_tail(&b->raised, &fs->boosts);
	home_wake_at(&fs->home, b->until);
}

void boost_lower(struct boost *b)
{
	struct sched_param normal = { 0 };
	int policy;

	if (list_empty(&b->raised))
		return;
	list_del_init(&b->raised);
	if (began(b->tid) != b->born)
		return;
	/* It may have chosen something else meanwhile. */
	policy = sched_getscheduler(b->tid) & ~SCHED_RESET_ON_FORK;
	if (b->wish.policy == KECHO_BOOST_FIFO && policy == SCHED_FIFO)
		sched_setscheduler(b->tid, SCHED_OTHER, &normal);
	else if (b->wish.policy == KECHO_BOOST_NICE && policy == SCHED_OTHER && getpriority(PRIO_PROCESS, b->tid) == b->wish.nice)
		setpriority(PRIO_PROCESS, b->tid, b->own_nice);
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
		boost_lower(b);
	free(b);
}
