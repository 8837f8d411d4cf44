/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_NAME_H
#define TOOLS_NAME_H
#include <kecho/limits.h>
#include <stdbool.h>
#include <string.h>

/* A name of a channel or a type: the node's own rule. */
static inline bool name_valid(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len >= 1 && len <= KECHO_NAME_MAX && !name[len] && name[0] != '.';
}

#endif
