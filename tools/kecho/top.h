/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_KECHO_TOP_H
#define TOOLS_KECHO_TOP_H

#include "kecho.h"

/* Attributes of a node on the channel @load are those of its host. */
struct top {
	const char *load;
	unsigned int sort;	/* of top_sorts */
	bool batch, json;
	long looks;		/* negative: without end */
	int64_t delay_ms;
	json_t *counters;	/* at the last look, by channel and by member or filter */
	int64_t looked_ns;
};

/* The columns of hosts that can be sorted by; NULL ends them. */
extern const char * const top_sorts[];

/*
 * What is there now: node, time, and rows of hosts, channels and filters; the caller's. Rates are those since the look before, null
 * without one. NULL, and errno: there is no node any more.
 */
json_t *top_look(struct top *t);
void top_sort(json_t *look, const char *by);
void top_print(FILE *out, const json_t *look, bool terminal);

/* As long as it was asked for, on a terminal. False, and errno: there is no node any more. */
bool top_screen(struct top *t);

#endif /* TOOLS_KECHO_TOP_H */
