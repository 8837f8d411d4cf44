/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Text that grows
 *
 * What attrs, members, filter and .node's files show is written with these, then served from the block.
 */
#ifndef KECHO_TEXT_H
#define KECHO_TEXT_H
#include <linux/types.h>

/**
 * struct kecho_text - a growing text
 * @err: -ENOMEM once it could not grow; further writes do nothing, so that only the end needs a check
 */
struct kecho_text {
	char *buf;
	size_t len, cap;
	int err;
};

/* Context: may sleep. */
void kecho_text_printf(struct kecho_text *t, const char *fmt, ...) __printf(2, 3);
void kecho_text_append(struct kecho_text *t, const void *s, size_t len);
void kecho_text_free(struct kecho_text *t);
#endif
