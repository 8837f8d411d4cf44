/* SPDX-License-Identifier: GPL-2.0 */
/* Between the fuzzers: input taken byte by byte, and checks. */
#ifndef KECHO_FUZZ_H
#define KECHO_FUZZ_H
#include <linux/kernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(c) do { \
		if (!(c)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
			abort(); \
		} \
	} while (0)

struct in {
	const u8 *p, *end;
};

static inline u8 in_u8(struct in *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static inline u16 in_u16(struct in *in)
{
	u8 lo = in_u8(in);

	return lo | in_u8(in) << 8;
}

static inline const u8 *in_bytes(struct in *in, size_t *len)
{
	const u8 *p = in->p;

	*len = min_t(size_t, *len, in->end - in->p);
	in->p += *len;
	return p;
}
#endif
