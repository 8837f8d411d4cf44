/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: The shape of the tree
 *
 * Which files a directory has, in either home. An inode's number is that of its directory and the kind of file in it.
 */
#ifndef KECHO_TREE_H
#define KECHO_TREE_H
#include <linux/types.h>

enum kecho_kind {
	KIND_DIR = 1,
	KIND_EVENTS,
	KIND_ATTRS,
	KIND_FILTER,
	KIND_MEMBERS,
	KIND_CONFIG,
	KIND_PEERS,
	KIND_CHANNELS,
	KIND_STATS,
	KIND_END,
};

#define DIR_ROOT 0
#define DIR_NODE 1	/* .node */
#define INO(dir, kind) ((u64)(dir) << 4 | (kind))

static inline const char *kecho_kind_name(enum kecho_kind kind)
{
	static const char * const names[KIND_END] = {
		[KIND_EVENTS] = "events", [KIND_ATTRS] = "attrs", [KIND_FILTER] = "filter", [KIND_MEMBERS] = "members",
		[KIND_CONFIG] = "config", [KIND_PEERS] = "peers", [KIND_CHANNELS] = "channels", [KIND_STATS] = "stats",
	};

	return names[kind];
}

/** kecho_dir_has() - has the directory of that number a file of that kind? @is_type: it is a type's */
static inline bool kecho_dir_has(u64 dir, bool is_type, enum kecho_kind kind)
{
	if (dir == DIR_ROOT || kind == KIND_DIR)
		return false;
	if (dir == DIR_NODE)
		return kind == KIND_EVENTS || kind >= KIND_CONFIG;
	return kind <= (is_type ? KIND_EVENTS : KIND_MEMBERS);
}

/** kecho_kind_writable() - may such a file be opened for writing, by who has the permission? */
static inline bool kecho_kind_writable(u64 dir, enum kecho_kind kind)
{
	return dir == DIR_NODE ? kind == KIND_CONFIG : kind != KIND_MEMBERS;
}
#endif
