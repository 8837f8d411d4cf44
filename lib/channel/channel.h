/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Nodes, channels, members, sinks
 *
 * Data flows one way: kecho_channel_publish() -> members' flows -> links; link -> kecho_channel_record() -> local sinks' queues -> readers.
 * An event is encoded once; links and sinks hold references.
 *
 * Membership. A node that joins tells all peers it is linked with (JOIN) and calls the contact that the group server names.
 * A member that hears JOIN adds the sender and answers with a JOIN of its own that lists the members it knows; the newcomer
 * calls those. When a link comes up, each side says JOIN for every channel it is on: so two halves of a channel that see each
 * other again become one, by the same rule. What a member says of itself (attributes, sinks) travels in JOIN and ADVERT.
 *
 * Locking. cm.lock (mutex): the set of channels, all membership, settings and leases. channel->lock (spin): the lists of members
 * and sinks against publishers, the sequence number, retained events; both are held to change a list, either to walk it.
 * sink->lock (spin): its queue. node->map_lock (spin): the table that finds a member for an event.
 * Order: cm.lock, map_lock | channel->lock, link->lock, sink->lock.
 */
#ifndef KECHO_CHANNEL_H
#define KECHO_CHANNEL_H
#include "../cm/link.h"
#include "../group/group.h"
#include "event.h"
#include <kecho/filter.h>
#include <linux/kecho.h>

struct kecho_node;
struct kecho_channel;
struct kecho_sink;

/* What of a channel has changed: the name of its file. */
enum kecho_file {
	KECHO_FILE_EVENTS,
	KECHO_FILE_ATTRS,
	KECHO_FILE_MEMBERS,
	KECHO_FILE_FILTER,
};

/**
 * struct kecho_node_ops - what a home is told. Called with locks held: must not call back, may only note or wake.
 * @take: an event for a sink at which none is queued; true: the home has given it to the reader. NULL: it never does
 * @ready: an event is queued at the sink, or its channel has gone
 * @room: a publisher that got -EAGAIN may try again
 * @changed: a file of the channel reads differently; of events: @event was published or has arrived
 * @joined: the channel knows its members (or has stopped waiting for them)
 * @listed: an answer to kecho_group_list()
 * @clock: CLOCK_MONOTONIC; @realtime: CLOCK_REALTIME
 * @filter_get: the filter of that name, loaded if need be, with a reference: process context, no locks. ERR_PTR: -ENOENT or what
 *	loading it met.
 */
struct kecho_node_ops {
	struct kecho_cm_ops cm;
	bool (*take)(struct kecho_sink *sink, struct kecho_msg *msg);
	void (*ready)(struct kecho_sink *sink);
	void (*room)(struct kecho_channel *ch);
	void (*changed)(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event);
	void (*joined)(struct kecho_channel *ch);
	void (*listed)(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h);
	u64 (*clock)(void);
	u64 (*realtime)(void);
	const struct kecho_filter_ops *(*filter_get)(struct kecho_node *node, const char *name);
	void (*filter_put)(const struct kecho_filter_ops *ops);
};

struct kecho_node_stats {
	atomic64_t filtered, sent, received, lost_sink, lost_link, expired_sink, unsent, unretained;
};

/**
 * struct kecho_node - a node: one per network namespace in the kernel, one per process in user space
 * @registry: used if @serves
 * @members: by link and the peer's number of the channel
 * @channel_due: when the next channel has something to do
 * @news: see kecho_node_news()
 * @queue, @max_event: defaults and limits for its channels
 * @left_published, @left_delivered: by and to this node's programs, on channels that it has left; cm.lock
 */
struct kecho_node {
	struct kecho_cm cm;
	struct kecho_group group;
	struct kecho_registry registry;
	bool serves;
	const struct kecho_node_ops *ops;
	DECLARE_HASHTABLE(channels, 10);
	spinlock_t map_lock;
	DECLARE_HASHTABLE(members, 10);
	DECLARE_HASHTABLE(users, 6);
	u32 nchannels;
	u64 channel_due;
	struct kecho_channel *news;
	u32 last_chan;
	u32 last_sink;
	u32 queue;
	u32 max_event;
	struct kecho_node_stats stats;
	u64 left_published, left_delivered;
};

enum kecho_order {
	KECHO_FIFO,
	KECHO_PRIORITY,
	KECHO_DEADLINE,
};

/** struct kecho_settings - a channel's kecho.* attributes, read */
struct kecho_settings {
	enum kecho_overflow overflow;
	enum kecho_order order;
	bool rudp;
	u32 queue;
	u32 retain;
};

/**
 * struct kecho_channel - a channel that this node is on
 *
 * Lives from kecho_channel_join() to the last reference after kecho_channel_leave(); files and members hold references.
 *
 * @chan: this node's number of it, on links
 * @rank: when this node joined (CLOCK_REALTIME): the least is the longest-standing member
 * @attrs: what this node says of itself here
 * @settings_attrs: kecho.* as given; @settings_version, @setter: the highest wins
 * @awaited: ids whose JOIN or ABSENT is still to come before the channel counts as joined
 * @advert_due: 0: nothing to tell the members
 * @plain: sinks without a type or attributes of their own
 * @seq: how many events this node has published, @delivered: how many its sinks got
 * @blocked: a publisher got -EAGAIN since the last room()
 * @filters: both chains, in the order in which they are shown; changed with cm.lock held too. @nout, @nin: how many of each
 * @scratch: for who may receive an event, while it is filtered
 */
struct kecho_channel {
	refcount_t ref;
	struct kecho_node *node;
	struct hlist_node hash;
	char name[KECHO_NAME_MAX + 1];
	u32 chan;
	u64 rank;
	struct kecho_lease lease;
	struct list_head awaited;
	u64 join_until;
	bool joined;
	u64 advert_due;
	void *home;

	spinlock_t lock;
	bool gone;
	bool blocked;
	struct list_head members;
	struct list_head sinks;
	struct list_head retained;
	u32 nmembers, nretained, retained_bytes;
	u32 plain, nsinks, nsources;
	u64 seq;
	u64 delivered, lost;
	struct list_head filters;
	u32 nout, nin;
	struct kecho_scratch *scratch;
	struct kecho_attrs *attrs;
	struct kecho_attrs *settings_attrs;
	struct kecho_settings settings;
	u64 settings_version, setter;
};

/** struct kecho_described - a sink that a member advertises */
struct kecho_described {
	struct list_head node;
	u32 sink;
	struct kecho_attrs *attrs;
	char type[KECHO_NAME_MAX + 1];
};

/**
 * struct kecho_member - another node on a channel
 *
 * Exists while a session of its link does, from its JOIN to LEAVE or the session's end. Listed in channel->members and
 * node->members; events that it sent hold a reference until every sink has read them.
 *
 * @name: its node's; the link's may change, under another lock
 * @chan: its number of the channel
 * @gen: of the session
 * @consumed: how many of this node's events it has said to have consumed, for kecho.overflow=block
 * @rx_consumed: how many of its events have been consumed here; @rx_told what it was told of that
 * @welcome: it has replied to a JOIN of this stay; what it sent before was for an earlier stay of this node on the channel
 * @rx_n: number of the last event of each priority from it
 * @heard_at: when it last said something of itself
 */
struct kecho_member {
	refcount_t ref;
	struct list_head node;
	struct hlist_node hash;
	struct kecho_channel *channel;
	struct kecho_link *link;
	struct kecho_flow flow;
	u64 id;
	char name[KECHO_NAME_MAX + 1];
	u32 chan;
	u32 gen;
	u8 role;
	bool gone;
	bool welcome;
	u64 rank;
	u32 plain;
	u32 ndescribed;
	struct list_head described;
	struct kecho_attrs *attrs;
	u64 consumed, consumed_bytes;
	atomic64_t rx_consumed, rx_consumed_bytes, rx_told, rx_told_bytes;
	u64 rx_n[KECHO_PRIOS], received, lost, expired;
	u64 heard_at;
};

#define KECHO_ROLE_PUBLISHES 1
#define KECHO_ROLE_SUBSCRIBES 2

/** struct kecho_user - what the queues of one user's sinks hold, of all channels */
struct kecho_user {
	struct hlist_node hash;
	u32 uid;
	u32 sinks;
	atomic64_t bytes;
};

/**
 * struct kecho_sink - a local subscription with its queue
 * @ring: @cap (a power of two) places, @count used from @head
 * @type: only events of that type, or empty
 * @attrs: what it says of itself, for filters; channel->lock
 * @watch: a filter that hears the events in place of a reader
 * @pid, @comm: who reads, for members
 * @boost: how its reader is favoured, as members shows it: "nice:-5", "fifo", or empty; cm.lock
 * @since: CLOCK_REALTIME when it was opened: older events are retained ones
 * @lost: events that the queue had no room for; @expired: that were past their deadlines when it was their turn
 */
struct kecho_sink {
	struct list_head node;
	struct kecho_channel *channel;
	struct kecho_user *user;
	void *home;
	u32 id;
	s32 pid;
	u64 since;
	char comm[16];
	char boost[12];
	char type[KECHO_NAME_MAX + 1];
	struct kecho_attrs *attrs;
	struct chained *watch;
	spinlock_t lock;
	struct kecho_msg **ring;
	u32 cap, head, count, bytes;
	u64 lost, expired;
};

/* Node. Context of all: process; cm.lock not held. */

/**
 * kecho_node_init() - a node without links or channels
 * @id, @seed: random, from the home
 * @registry_lease: nanoseconds: serve the registry; 0: do not
 */
void kecho_node_init(struct kecho_node *node, u64 id, const char *name, u64 registry_lease,
		     const struct kecho_node_ops *ops, u64 seed);
/** kecho_node_exit() - all files are closed; ends links, leaves what is left */
void kecho_node_exit(struct kecho_node *node, u64 now);
void kecho_node_tick(struct kecho_node *node, u64 now);
/**
 * kecho_node_news() - what happens to this node, as events: a channel that no other node is on, of .node/events
 * @home: channel->home; NULL it before what it points to goes
 * Return: a reference, or NULL without memory. Once a node.
 */
struct kecho_channel *kecho_node_news(struct kecho_node *node, void *home);

/**
 * kecho_channel_join() - create a channel, or join it
 * @rank: CLOCK_REALTIME
 * @home: channel->home
 * Return: a reference; ERR_PTR is not used: NULL with @err -EEXIST, -EINVAL, -ENOSPC, -ENOMEM. It may be used at once; joined()
 * tells when its members are known.
 */
struct kecho_channel *kecho_channel_join(struct kecho_node *node, const char *name, void *home, u64 rank, u64 now, int *err);
/** kecho_channel_leave() - leave; publishers get -ENODEV from then on, readers the end. Puts the reference of the join. */
void kecho_channel_leave(struct kecho_channel *ch, u64 now);
/** kecho_channel_find() - the channel of that name that this node is on: a reference, or NULL. Context: process. */
struct kecho_channel *kecho_channel_find(struct kecho_node *node, const char *name);
struct kecho_channel *kecho_channel_get(struct kecho_channel *ch);
void kecho_channel_put(struct kecho_channel *ch);

/**
 * kecho_channel_publish() - publish an event
 * @msg: from kecho_event_alloc(); not to be changed any more once it is published. The reference stays the caller's
 * @time_ns: CLOCK_REALTIME
 * @batch: gets the links that the caller is to send on; NULL: they are kicked
 * Return: the number of local sinks and of members that it goes to; -EAGAIN: kecho.overflow=block and one of them has no room,
 * room() tells when to try again; -EMSGSIZE, -ENODEV.
 * Context: any; does not sleep.
 */
int kecho_channel_publish(struct kecho_channel *ch, struct kecho_msg *msg, u64 time_ns, struct kecho_batch *batch);
/** kecho_channel_room() - would kecho_channel_publish() of an event of this type do without waiting? */
bool kecho_channel_room(struct kecho_channel *ch, const char *type);

/** kecho_channel_write_attrs() - what is written to attrs; @owner: may set kecho.*. -EINVAL, -EPERM, -E2BIG, -ENOMEM */
int kecho_channel_write_attrs(struct kecho_channel *ch, const char *text, size_t len, bool owner, u64 now);

/**
 * kecho_channel_write_filter() - what is written to filter
 * Return: 0; -EINVAL (said on the log), -ENOENT: no such filter, or none in the chain; -ENOSPC, -ENOMEM, or what loading it met
 */
int kecho_channel_write_filter(struct kecho_channel *ch, const char *text, size_t len);
/** kecho_node_configure() - lines name=value, as .node/config takes them, whole or not at all. -EINVAL, -ENOMEM */
int kecho_node_configure(struct kecho_node *node, const char *text, size_t len);

/**
 * kecho_sink_open() - subscribe; the retained events are in its queue
 * @uid: whom the queue is charged to
 * @time_ns: CLOCK_REALTIME
 * Return: NULL without memory
 */
struct kecho_sink *kecho_sink_open(struct kecho_channel *ch, const char *type, u32 uid, s32 pid, const char *comm,
				   void *home, u64 time_ns, u64 now);
void kecho_sink_close(struct kecho_sink *sink, u64 now);
/**
 * kecho_sink_pop() - take the next event
 * @max: leave an event with a longer payload where it is
 * Return: 1 and a reference in @msg; 0: nothing is queued; -EMSGSIZE. Context: any.
 */
int kecho_sink_pop(struct kecho_sink *sink, u32 max, struct kecho_msg **msg);
/** kecho_sink_write_attrs() - what a sink says of itself: lines name=value. -EINVAL, -E2BIG, -ENOMEM */
int kecho_sink_write_attrs(struct kecho_sink *sink, const char *text, size_t len, u64 now);
/**
 * kecho_boost_check() - puts in what was left out
 * Return: 0 or -EINVAL
 */
int kecho_boost_check(struct kecho_boost *b);
/** kecho_sink_show_boost() - for members; checked */
void kecho_sink_show_boost(struct kecho_sink *sink, const struct kecho_boost *b);
/** kecho_sink_flags() - KECHO_FRAME_* of an event that is read from it */
static inline u32 kecho_sink_flags(const struct kecho_sink *sink, const struct kecho_msg *msg)
{
	const struct kecho_event_wire *ev = kecho_event(msg);

	return (le64_to_cpu(ev->origin) == sink->channel->node->cm.id ? KECHO_FRAME_LOCAL : 0) |
	       (le64_to_cpu(ev->time_ns) < sink->since ? KECHO_FRAME_RETAINED : 0);
}
/** kecho_sink_consumed() - @msg has been read: puts it, and gives the publishers room */
void kecho_sink_consumed(struct kecho_sink *sink, struct kecho_msg *msg);
/** kecho_source_open() - someone means to publish; shown in members' role= */
void kecho_source_open(struct kecho_channel *ch, u64 now);
void kecho_source_close(struct kecho_channel *ch, u64 now);

/* What files show; @now: CLOCK_MONOTONIC. Context: process. */
struct kecho_text;
void kecho_show_members(struct kecho_text *t, struct kecho_channel *ch, u64 now);
void kecho_show_filter(struct kecho_text *t, struct kecho_channel *ch);
void kecho_show_attrs(struct kecho_text *t, struct kecho_channel *ch);
void kecho_show_peers(struct kecho_text *t, struct kecho_node *node);
void kecho_show_config(struct kecho_text *t, struct kecho_node *node);
void kecho_show_stats(struct kecho_text *t, struct kecho_node *node);
void kecho_show_holding(struct kecho_text *t, struct kecho_node *node, const char *name, const struct kecho_holding *h);
/** kecho_show_channels() - the channels that this node is on, for a node without a group server */
void kecho_show_channels(struct kecho_text *t, struct kecho_node *node);
#endif
