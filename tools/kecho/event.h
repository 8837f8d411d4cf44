/* SPDX-License-Identifier: GPL-2.0 */
/* An event, printed. */
#ifndef TOOLS_KECHO_EVENT_H
#define TOOLS_KECHO_EVENT_H

#include <kecho/kecho.h>

void print_event_json(const char *channel, const struct kecho_event *event);
void print_event_format(const char *channel, const struct kecho_event *event, const char *format);

/* Where @format is wrong; NULL: nowhere. */
const char *format_error(const char *format);

#endif /* TOOLS_KECHO_EVENT_H */
