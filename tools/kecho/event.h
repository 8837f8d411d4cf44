/* SPDX-License-Identifier: GPL-2.0 */
/* An event in framed mode: taken apart, and printed. */
#ifndef TOOLS_KECHO_EVENT_H
#define TOOLS_KECHO_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/kecho.h>

/* Everything points into the buffer that was parsed. */
struct event {
	const char *channel;
	const struct kecho_frame *frame;
	const char *type;	/* frame->type_len bytes */
	const char *attrs;	/* frame->attrs_len bytes */
	const char *payload;
	size_t payload_len;
};

bool parse_event(struct event *event, const char *channel, const char *buf, size_t len);
void print_event_json(const struct event *event);
void print_event_format(const struct event *event, const char *format);

/* Where @format is wrong; NULL: nowhere. */
const char *format_error(const char *format);

#endif /* TOOLS_KECHO_EVENT_H */
