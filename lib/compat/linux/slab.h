/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_SLAB_H
#define COMPAT_LINUX_SLAB_H
#include <linux/types.h>

#define GFP_KERNEL 0u
#define GFP_ATOMIC 1u
#define GFP_KERNEL_ACCOUNT 0u
#define __GFP_NOWARN 0u
#define __GFP_ZERO 2u

/* For tests: the allocation that counts this down to 0 fails, once; negative: none does. */
extern long kecho_fail_alloc;

void *kmalloc(size_t size, gfp_t gfp) __attribute__((malloc));
void kfree(const void *p);
#define kzalloc(size, gfp) kmalloc(size, (gfp) | __GFP_ZERO)
#define kvmalloc(size, gfp) kmalloc(size, gfp)
#define kvzalloc(size, gfp) kzalloc(size, gfp)
#define kvfree(p) kfree(p)
#define struct_size(p, member, n) (sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(n))
#endif
