/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_HASHTABLE_H
#define COMPAT_LINUX_HASHTABLE_H
#include <linux/list.h>

/* The multiplier of the kernel's linux/hash.h: 2^64 divided by the golden ratio (Knuth, TAOCP 3, 6.4). */
static inline u32 hash_64(u64 v, unsigned int bits)
{
	return v * 0x61C8864680B583EBull >> (64 - bits);
}

#define DECLARE_HASHTABLE(name, bits) struct hlist_head name[1 << (bits)]
#define HASH_SIZE(t) ARRAY_SIZE(t)
#define HASH_BITS(t) ((unsigned int)__builtin_ctzl(HASH_SIZE(t)))
#define hash_init(t) do { for (size_t _i = 0; _i < HASH_SIZE(t); _i++) (t)[_i].first = NULL; } while (0)
#define hash_add(t, node, key) hlist_add_head(node, &(t)[hash_64(key, HASH_BITS(t))])
#define hash_del(node) hlist_del_init(node)
#define hash_hashed(node) (!hlist_unhashed(node))
#define hash_for_each_possible(t, p, member, key) hlist_for_each_entry(p, &(t)[hash_64(key, HASH_BITS(t))], member)
#define hash_for_each(t, b, p, member) \
	for ((b) = 0, p = NULL; p == NULL && (size_t)(b) < HASH_SIZE(t); (b)++) \
		hlist_for_each_entry(p, &(t)[b], member)
#define hash_for_each_safe(t, b, n, p, member) \
	for ((b) = 0, p = NULL; p == NULL && (size_t)(b) < HASH_SIZE(t); (b)++) \
		hlist_for_each_entry_safe(p, n, &(t)[b], member)
#endif
