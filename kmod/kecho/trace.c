// SPDX-License-Identifier: GPL-2.0
#include "../../lib/channel/channel.h"
#define CREATE_TRACE_POINTS
#include <trace/events/kecho.h>
