/* SPDX-License-Identifier: GPL-2.0 */
/* cmocka, and what of the C library and pthreads the unit tests use, in the kernel. A failed check ends the thread of its test. */
#ifndef SELFTEST_CMOCKA_H
#define SELFTEST_CMOCKA_H
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

struct CMUnitTest {
	const char *name;
	void (*test)(void **state);
	int (*setup)(void **state);
	int (*teardown)(void **state);
};

#define cmocka_unit_test(f) { #f, f, NULL, NULL }
#define cmocka_unit_test_teardown(f, teardown) { #f, f, NULL, teardown }
#define cmocka_unit_test_setup_teardown(f, setup, teardown) { #f, f, setup, teardown }

struct selftest_suite {
	const char *name;
	const struct CMUnitTest *tests;
	u32 n;
};

/* Every test/unit/NAME_test.c. */
#define UNIT_SUITES(X) \
	X(attr) X(channel) X(cm) X(filter_acl) X(filter_bpf) X(filter_chain) X(filter_change) X(filter_dedup) \
	X(filter_expr) X(filter_hash) X(filter_least) X(filter_reply) X(filter_roundrobin) X(filter_sample) \
	X(filter_type) X(group) X(lb) X(member) X(port) X(res) X(resmon) X(ring) X(rudp)
#define UNIT_DECLARE(name) extern const struct selftest_suite name##_suite;
UNIT_SUITES(UNIT_DECLARE)
#define UNIT_SUITE(name, tests) const struct selftest_suite name##_suite = { #name, tests, ARRAY_SIZE(tests) };
/* For guests under emulation, without and with the kernel's debugging. Primes: what takes each 13th byte takes all kinds. */
#define UNIT_SLOW (IS_ENABLED(CONFIG_KASAN) ? 101 : 13)
#define UNIT_STEP (IS_ENABLED(CONFIG_KASAN) ? 7 : 1)

extern long kecho_fail_alloc;	/* core.h */

/* A line of the running test's result. */
void selftest_say(const char *fmt, ...) __printf(1, 2);
/* Does not return. BUG() after it says so to objtool, which knows only the kernel's own functions of that kind. */
void selftest_exit(void);
#define selftest_check(ok, fmt, ...) do { \
		if (!(ok)) { \
			selftest_say("%s:%d: " fmt, kbasename(__FILE__), __LINE__, ##__VA_ARGS__); \
			selftest_exit(); \
			BUG(); \
		} \
	} while (0)

#define print_message selftest_say
#define print_error selftest_say
#define _fail(file, line) selftest_exit()
#define fail_msg(fmt, ...) selftest_check(false, fmt, ##__VA_ARGS__)
#define assert_true(x) selftest_check(x, "%s", #x)
#define assert_false(x) selftest_check(!(x), "not %s", #x)
#define assert_null(p) assert_false(p)
#define assert_non_null(p) assert_true(p)
#define assert_ptr_equal(p, q) assert_true((p) == (q))
#define assert_ptr_not_equal(p, q) assert_true((p) != (q))
#define assert_memory_equal(p, q, n) assert_true(!memcmp(p, q, n))
#define assert_int_equal(x, y) do { \
		s64 selftest_x = (x), selftest_y = (y); \
		selftest_check(selftest_x == selftest_y, "%s is %lld, not %lld", #x, selftest_x, selftest_y); \
	} while (0)
#define assert_string_equal(x, y) do { \
		const char *selftest_x = (x), *selftest_y = (y); \
		selftest_check(!strcmp(selftest_x, selftest_y), "%s is \"%s\", not \"%s\"", #x, selftest_x, selftest_y); \
	} while (0)

/* The C library's; getenv() knows the module's parameters. These allocations do not fail by kecho_fail_alloc. */
const char *getenv(const char *name);
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void free(void *p);
#define strtoull simple_strtoull
#define strtoul simple_strtoul
#define atoi(s) ((int)simple_strtol(s, NULL, 10))
#define abort BUG
#define fprintf(to, ...) printk(__VA_ARGS__)
#define vfprintf(to, fmt, ap) vprintk(fmt, ap)
#define fputc(c, to) pr_cont("%c", c)

#define timespec timespec64
#define clock_gettime(clock, ts) ktime_get_real_ts64(ts)
#define sched_yield yield

/* A mutex is a spinlock, for the core's callbacks come with its spinlocks held; what waits on any condition wakes by each. */
struct selftest_thread;
typedef struct selftest_thread *pthread_t;
typedef spinlock_t pthread_mutex_t;
typedef struct { } pthread_cond_t;
#define PTHREAD_MUTEX_INITIALIZER __SPIN_LOCK_UNLOCKED(pthread_mutex)
#define PTHREAD_COND_INITIALIZER { }
#define pthread_mutex_lock spin_lock_bh
#define pthread_mutex_unlock spin_unlock_bh
int pthread_create(pthread_t *t, const void *attr, void *(*run)(void *arg), void *arg);
int pthread_join(pthread_t t, void **ret);
void pthread_cond_broadcast(pthread_cond_t *c);
int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until) __must_hold(m);
#endif
