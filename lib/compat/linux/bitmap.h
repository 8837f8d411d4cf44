/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_BITMAP_H
#define COMPAT_LINUX_BITMAP_H
#include <linux/types.h>
#include <string.h>

#define COMPAT_LONG_BITS (8 * sizeof(unsigned long))
#define DECLARE_BITMAP(name, bits) unsigned long name[((bits) + COMPAT_LONG_BITS - 1) / COMPAT_LONG_BITS]

static inline void bitmap_zero(unsigned long *map, unsigned int bits)
{
	memset(map, 0, (bits + COMPAT_LONG_BITS - 1) / COMPAT_LONG_BITS * sizeof(long));
}

static inline bool test_bit(unsigned long n, const unsigned long *map)
{
	return map[n / COMPAT_LONG_BITS] >> n % COMPAT_LONG_BITS & 1;
}

static inline void __set_bit(unsigned long n, unsigned long *map)
{
	map[n / COMPAT_LONG_BITS] |= 1ul << n % COMPAT_LONG_BITS;
}

static inline bool __test_and_clear_bit(unsigned long n, unsigned long *map)
{
	bool was = test_bit(n, map);

	map[n / COMPAT_LONG_BITS] &= ~(1ul << n % COMPAT_LONG_BITS);
	return was;
}
#endif
