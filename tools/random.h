/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_RANDOM_H
#define TOOLS_RANDOM_H
#include <stdint.h>
#include <sys/random.h>

/* A number that nobody else has; positive as an attribute. 0: there is none, and errno says why. */
static inline uint64_t random_id(void)
{
	uint64_t n;

	do {
		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return 0;
		n >>= 1;
	} while (!n);
	return n;
}

#endif
