/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_NOW_H
#define TOOLS_NOW_H
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

#endif
