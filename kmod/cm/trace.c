// SPDX-License-Identifier: GPL-2.0
#include "../../lib/cm/link.h"
#define CREATE_TRACE_POINTS
#include <trace/events/kecho_link.h>
