/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel's types for the core in user space. */
#ifndef COMPAT_LINUX_TYPES_H
#define COMPAT_LINUX_TYPES_H
#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef unsigned int gfp_t;

struct list_head {
	struct list_head *next, *prev;
};
struct hlist_node {
	struct hlist_node *next, **pprev;
};
struct hlist_head {
	struct hlist_node *first;
};

#define __printf(a, b) __attribute__((format(printf, a, b)))
#ifndef __packed
#define __packed __attribute__((packed))
#endif
#ifndef __force
#define __force
#endif
#define __must_check __attribute__((warn_unused_result))
#define fallthrough __attribute__((fallthrough))
#endif
