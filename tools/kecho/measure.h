/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_KECHO_MEASURE_H
#define TOOLS_KECHO_MEASURE_H

#include "load.h"

/* The load of this host, in its network namespace. */
void measure(struct load *l);

#endif /* TOOLS_KECHO_MEASURE_H */
