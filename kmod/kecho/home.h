/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The kernel home of a node: one per network namespace
 */
#ifndef KECHO_HOME_H
#define KECHO_HOME_H
#include <linux/fs_context.h>
#include <linux/timekeeping.h>
#include "../../lib/channel/channel.h"
#include "../cm/net.h"

struct kecho_home;

/**
 * struct kecho_channel_user - what channel->home points to: who is told of a channel. See struct kecho_node_ops.
 * @rooms: counts the times that there was some; @room wakes the publishers who wait for it
 *
 * Called with locks held and under rcu_read_lock(), may only note or wake: who sets channel->home to NULL frees it after a grace
 * period.
 */
struct kecho_channel_user {
	const struct kecho_channel_user_ops *ops;
	atomic_t rooms;
	wait_queue_head_t room;
};

struct kecho_channel_user_ops {
	void (*room)(struct kecho_channel_user *u);
	void (*changed)(struct kecho_channel_user *u, enum kecho_file file, const struct kecho_msg *event);
	void (*joined)(struct kecho_channel_user *u);
};

/** struct kecho_sink_user - what sink->home points to; @take may be NULL */
struct kecho_sink_user {
	bool (*take)(struct kecho_sink_user *u, struct kecho_msg *msg);
	void (*ready)(struct kecho_sink_user *u);
};

/**
 * struct kecho_rings_user - who uses an events file by rings
 * @take, @ready: its sink's; called with channel->lock held
 * @apart: an event that a read of the file is to return, or NULL; @read: it has been read
 */
struct kecho_rings_user {
	bool (*take)(struct kecho_rings_user *u, struct kecho_msg *msg);
	void (*ready)(struct kecho_rings_user *u);
	struct kecho_msg *(*apart)(struct kecho_rings_user *u);
	void (*read)(struct kecho_rings_user *u);
};

/** struct kecho_lent - what an open events file lends to rings; @sink: NULL if it is not open for reading */
struct kecho_lent {
	struct kecho_channel *channel;
	const char *type;
	bool publishes;
	struct kecho_sink *sink;
};

/**
 * struct kecho_home_options - of the mount
 * @listen: "" : not given
 * @peers, @groups: allocated strings
 */
struct kecho_home_options {
	char name[KECHO_NAME_MAX + 1];
	char listen[KECHO_ADDR_STRLEN];
	char *peers[KECHO_PEERS_MAX], *groups[KECHO_PEERS_MAX];
	u32 npeers, ngroups;
	bool registry, insecure, rudp;
	u32 queue, max_event, heartbeat, lease;
};

/**
 * struct kecho_tree_ops - what the node's tree does for it
 * @listed: told of answers to kecho_group_list(); called with cm.lock held
 * @hold: the tree, and so the node, stays until @release. False: it is being taken down. homes_lock is held
 * @open: a channel by its directory, which stays until @close; @create: makes it if there is none. ERR_PTR: -ENOENT, or as mkdir
 * @lend: an events file's channel and sink until @give_back; the caller holds the file. -ENOTTY: it is no events file of this
 *	node; -EBUSY: it is lent, or has been read in part
 */
struct kecho_tree_ops {
	void (*listed)(struct kecho_home *h, u32 request, const char *name, const struct kecho_holding *holding);
	bool (*hold)(struct kecho_home *h);
	void (*release)(struct kecho_home *h);
	struct kecho_channel *(*open)(struct kecho_home *h, const char *name, bool create);
	void (*close)(struct kecho_channel *ch);
	int (*lend)(struct kecho_home *h, struct file *file, struct kecho_rings_user *u, struct kecho_lent *lent);
	void (*give_back)(struct file *file);
};

/**
 * struct kecho_home - a node and what it runs on
 * @tree: NULL until it is complete; written with homes_lock held
 * @fs: the tree's
 */
struct kecho_home {
	struct kecho_node node;
	struct kecho_net links;
	struct net *net;
	bool insecure;
	const struct kecho_tree_ops *tree;
	void *fs;
};

static inline struct kecho_home *node_home(struct kecho_node *node)
{
	return container_of(node, struct kecho_home, node);
}

/**
 * kecho_home_start() - start the node of a network namespace
 * @net: a reference is held until kecho_home_stop()
 * @fc: whose log is told what is wrong with the options
 * Waits, at most a second, until the configured peers have been reached or found away.
 * Return: or ERR_PTR: -EBUSY if the namespace has a node, -EINVAL, -EPERM, -ENOMEM or the listener's error
 */
struct kecho_home *kecho_home_start(struct net *net, const struct kecho_home_options *o, struct fs_context *fc);
/** kecho_home_ready() - the tree is complete: services may use the node */
void kecho_home_ready(struct kecho_home *h, const struct kecho_tree_ops *tree);
/** kecho_home_of() - the node of a network namespace, held (see &struct kecho_tree_ops), or NULL */
struct kecho_home *kecho_home_of(struct net *net);
/** kecho_home_stop() - all channels have been left, all files are closed */
void kecho_home_stop(struct kecho_home *h);

/* filter.c: see &struct kecho_node_ops */
const struct kecho_filter_ops *kecho_filter_get(struct kecho_node *node, const char *name);
void kecho_filter_put(const struct kecho_filter_ops *ops);

/* bpf.c: what bpf:PATH is */
extern const struct kecho_filter_ops kecho_filter_bpf;

/* api.c */
int kecho_api_init(void);
void kecho_api_exit(void);

static inline u64 home_now(void)
{
	return ktime_get_ns();
}

static inline u64 home_realtime(void)
{
	return ktime_get_real_ns();
}
#endif
