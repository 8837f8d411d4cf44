// SPDX-License-Identifier: GPL-2.0
/**
 * DOC: kecho_selftest
 *
 * The unit tests of test/unit in the kernel, on a copy of the core of their own. Reading /sys/kernel/debug/kecho_selftest/NAME
 * runs that file's tests and returns the result of each, as TAP, when it has ended. A test that fails keeps what it holds, so it is
 * the last one of its file.
 */
#include <linux/debugfs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include "cmocka.h"

static char *seed, *runs, *trace;
module_param(seed, charp, 0444);
MODULE_PARM_DESC(seed, "of the simulated network: one run with it instead of many");
module_param(runs, charp, 0444);
MODULE_PARM_DESC(runs, "how many seeds a soak tries");
module_param(trace, charp, 0444);
MODULE_PARM_DESC(trace, "1: the kernel's log tells what happens on the network");

long kecho_fail_alloc = -1;

/* One test at a time; what it has said, and whether it has failed. */
static DEFINE_MUTEX(running);
static char said[4096];
static size_t said_len;
static bool failed;

struct selftest_thread {
	struct completion done;
	void *(*run)(void *arg);
	void *arg;
};

/* --- for the tests --- */

void selftest_say(const char *fmt, ...)
{
	va_list ap;

	said_len += scnprintf(said + said_len, sizeof(said) - said_len, "# ");
	va_start(ap, fmt);
	said_len += vscnprintf(said + said_len, sizeof(said) - said_len, fmt, ap);
	va_end(ap);
	if (said[said_len - 1] != '\n')
		said_len += scnprintf(said + said_len, sizeof(said) - said_len, "\n");
}

static void __noreturn thread_exit(void)
{
	struct selftest_thread *t = kthread_data(current);

	kthread_complete_and_exit(&t->done, 0);
}

void selftest_exit(void)
{
	failed = true;
	thread_exit();
}

const char *getenv(const char *name)
{
	return !strcmp(name, "KECHO_SEED") ? seed : !strcmp(name, "KECHO_RUNS") ? runs : !strcmp(name, "KECHO_TRACE") ? trace : NULL;
}

void *malloc(size_t size)
{
	return kvmalloc(size, GFP_KERNEL);
}

void *calloc(size_t n, size_t size)
{
	return kvcalloc(n, size, GFP_KERNEL);
}

void free(void *p)
{
	kvfree(p);
}

static int thread_main(void *arg)
{
	struct selftest_thread *t = arg;

	t->run(t->arg);
	thread_exit();
}

int pthread_create(pthread_t *thread, const void *attr, void *(*run)(void *arg), void *arg)
{
	struct selftest_thread *t = kmalloc(sizeof(*t), GFP_KERNEL);
	struct task_struct *task;

	if (!t)
		return ENOMEM;
	init_completion(&t->done);
	t->run = run;
	t->arg = arg;
	task = kthread_run(thread_main, t, "kecho_selftest");
	if (IS_ERR(task)) {
		kfree(t);
		return -PTR_ERR(task);
	}
	*thread = t;
	return 0;
}

int pthread_join(pthread_t t, void **ret)
{
	/* Idle: the watchdog of hung tasks is to speak up when a test hangs, not when it takes its time. */
	wait_for_completion_state(&t->done, TASK_IDLE);
	kfree(t);
	return 0;
}

static DECLARE_WAIT_QUEUE_HEAD(condition);

void pthread_cond_broadcast(pthread_cond_t *c)
{
	wake_up_all(&condition);
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
	__must_hold(m)
{
	s64 left = timespec64_to_ns(until) - ktime_get_real_ns();
	DEFINE_WAIT(wait);

	prepare_to_wait(&condition, &wait, TASK_UNINTERRUPTIBLE);
	pthread_mutex_unlock(m);
	left = left > 0 ? schedule_timeout(nsecs_to_jiffies(left)) : 0;
	finish_wait(&condition, &wait);
	pthread_mutex_lock(m);
	return left > 0 ? 0 : ETIMEDOUT;
}

/* --- the files --- */

static void *test_main(void *arg)
{
	const struct CMUnitTest *t = arg;
	void *state = NULL;

	if (t->setup && t->setup(&state))
		fail_msg("setup");
	t->test(&state);
	if (t->teardown && t->teardown(&state))
		fail_msg("teardown");
	return NULL;
}

/* struct run - an open file: the next test, and what is still to be read */
struct run {
	const struct selftest_suite *suite;
	u32 next;
	bool begun;
	char text[sizeof(said) + 256];
	loff_t off;
	size_t len;
};

static void run_next(struct run *r)
{
	const struct CMUnitTest *test = &r->suite->tests[r->next];
	pthread_t thread;

	r->off = r->len = 0;
	if (!r->begun) {
		r->begun = true;
		r->len = scnprintf(r->text, sizeof(r->text), "1..%u\n", r->suite->n);
	} else if (r->next < r->suite->n) {
		said[0] = 0;
		said_len = 0;
		failed = pthread_create(&thread, NULL, test_main, (void *)test);
		if (!failed)
			pthread_join(thread, NULL);
		r->next = failed ? r->suite->n : r->next + 1;
		r->len = scnprintf(r->text, sizeof(r->text), "%s%s %td - %s.%s\n", said, failed ? "not ok" : "ok",
				   test - r->suite->tests + 1, r->suite->name, test->name);
	}
}

static int suite_open(struct inode *inode, struct file *file)
{
	struct run *r = kzalloc(sizeof(*r), GFP_KERNEL);

	if (!r)
		return -ENOMEM;
	r->suite = inode->i_private;
	file->private_data = r;
	return stream_open(inode, file);
}

static int suite_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t suite_read(struct file *file, char __user *to, size_t n, loff_t *pos)
{
	struct run *r = file->private_data;
	ssize_t ret;

	mutex_lock(&running);
	if (r->off == r->len)
		run_next(r);
	ret = simple_read_from_buffer(to, n, &r->off, r->text, r->len);
	mutex_unlock(&running);
	return ret;
}

static const struct file_operations suite_fops = {
	.owner = THIS_MODULE,
	.open = suite_open,
	.read = suite_read,
	.release = suite_release,
};

#define SUITE(name) &name##_suite,
static const struct selftest_suite * const suites[] = { UNIT_SUITES(SUITE) };
static struct dentry *dir;

static int __init selftest_init(void)
{
	u32 i;

	dir = debugfs_create_dir("kecho_selftest", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	for (i = 0; i < ARRAY_SIZE(suites); i++)
		debugfs_create_file(suites[i]->name, 0400, dir, (void *)suites[i], &suite_fops);
	return 0;
}
module_init(selftest_init);

static void __exit selftest_exit_module(void)
{
	debugfs_remove(dir);
}
module_exit(selftest_exit_module);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KECho: unit tests");
