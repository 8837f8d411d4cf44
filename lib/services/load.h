/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a host measures of itself, in the kernel or out of it; resmon.h says it on a channel. */
#ifndef SERVICES_LOAD_H
#define SERVICES_LOAD_H
#include <kecho/kecho.h>

enum load_measure {
	LOAD_1,			/* 1/100 runnable or waiting tasks, over a minute */
	LOAD_5,			/* likewise, over five */
	LOAD_CPUS,		/* that are online */
	LOAD_CPU,		/* microseconds that all of them together have been idle */
	LOAD_MEM_TOTAL,		/* bytes */
	LOAD_MEM_AVAILABLE,	/* bytes */
	LOAD_DISK,		/* bytes read and written */
	LOAD_NET_RX,		/* bytes, without loopback */
	LOAD_NET_TX,
	LOAD_PSI_CPU,		/* 1/10000 of the last ten seconds in which some task waited for it */
	LOAD_PSI_MEM,
	LOAD_PSI_IO,
	LOAD_ON_BATTERY,	/* 1: runs on it */
	LOAD_BATTERY,		/* 1/100 of what it can hold */
	LOAD_MEASURES
};

/**
 * struct load - measured once
 * @known: a bit each, by its number; what is not known this host does not have, or it cannot be read
 * @value: what flows is counted: LOAD_CPU, LOAD_DISK, LOAD_NET_*
 */
struct load {
	__u32 known;
	__u64 value[LOAD_MEASURES];
};

static inline bool load_knows(const struct load *l, enum load_measure m)
{
	return l->known & 1u << m;
}

static inline void load_set(struct load *l, enum load_measure m, __u64 value)
{
	l->known |= 1u << m;
	l->value[m] = value;
}
#endif
