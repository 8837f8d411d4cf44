/* SPDX-License-Identifier: GPL-2.0 */
/* Before all of the core and the tests: kecho_fail_alloc is as in lib/compat, and nothing is exported. */
#ifndef SELFTEST_CORE_H
#define SELFTEST_CORE_H
#define pr_fmt(fmt) "kecho: " fmt	/* as those files have it that log */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* The allocation that counts this down to 0 fails, once; negative: none does. */
extern long kecho_fail_alloc;

static inline bool selftest_fails(void)
{
	return unlikely(READ_ONCE(kecho_fail_alloc) >= 0) && kecho_fail_alloc-- == 0;
}

static inline void *selftest_kmalloc(size_t size, gfp_t gfp)
{
	return selftest_fails() ? NULL : kmalloc(size, gfp);
}

static inline void *selftest_kvmalloc(size_t size, gfp_t gfp)
{
	return selftest_fails() ? NULL : kvmalloc(size, gfp);
}

#undef kmalloc
#undef kzalloc
#undef kvmalloc
#undef kvzalloc
#define kmalloc(size, gfp) selftest_kmalloc(size, gfp)
#define kzalloc(size, gfp) selftest_kmalloc(size, (gfp) | __GFP_ZERO)
#define kvmalloc(size, gfp) selftest_kvmalloc(size, gfp)
#define kvzalloc(size, gfp) selftest_kvmalloc(size, (gfp) | __GFP_ZERO)

#undef EXPORT_SYMBOL_GPL
#define EXPORT_SYMBOL_GPL(sym) _Static_assert(1, "")
#endif
