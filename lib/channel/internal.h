/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Between the files of lib/channel. */
#ifndef KECHO_CHANNEL_INTERNAL_H
#define KECHO_CHANNEL_INTERNAL_H
#include "channel.h"

/* settings.c */
int settings_parse(const struct kecho_attrs *attrs, u32 queue, struct kecho_settings *s);
/* The settings win if newer, which is then to be said on; takes over @attrs. cm.lock held. */
bool settings_adopt(struct kecho_channel *ch, u64 version, u64 setter, struct kecho_attrs *attrs);

/* member.c; cm.lock held, but for channel_record() */
u8 channel_role(struct kecho_channel *ch);
void member_put(struct kecho_member *m);
void members_link_up(struct kecho_node *node, struct kecho_link *link);
void members_link_down(struct kecho_node *node, struct kecho_link *link, u64 now);
int channel_record(struct kecho_node *node, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now);
void channel_announce(struct kecho_channel *ch);
/*
 * What a JOIN is: the first; the answer, with the members; or what has become of the first, said by who learns of a member by its
 * answer: no change that was made meanwhile has reached that one, and it may not know the others who answered.
 */
enum join {
	JOIN_FIRST,
	JOIN_ANSWER,
	JOIN_AGAIN,
};
void channel_say_join(struct kecho_channel *ch, struct kecho_link *link, enum join reply);
void channel_say_settings(struct kecho_channel *ch);
void channel_say_contact(struct kecho_channel *ch);
void channel_leave_members(struct kecho_channel *ch, u64 now);
void channel_advert_soon(struct kecho_channel *ch, u64 when);
void channel_advert_now(struct kecho_channel *ch);
void channel_await(struct kecho_channel *ch, u64 id);
void channel_awaited(struct kecho_channel *ch, u64 id);
void channel_joined(struct kecho_channel *ch);
bool member_wants(struct kecho_member *m, const char *type, size_t len);
void member_tell_credit(struct kecho_member *m, bool now);

/* node.c */
void channel_due(struct kecho_node *node, u64 when);

/* A line of .node/events, without newline. Context: any; channel->lock may be held. */
__printf(2, 3) void node_tell(struct kecho_node *node, const char *fmt, ...);

/* channel.c */
/* Not in the node's table yet. */
struct kecho_channel *channel_new(struct kecho_node *node, const char *name, void *home, u64 rank);
/* Who published it, when, and as which of its events. channel->lock held. */
static inline void channel_stamp(struct kecho_channel *ch, struct kecho_msg *msg, u64 time_ns)
{
	kecho_event(msg)->origin = cpu_to_le64(ch->node->cm.id);
	kecho_event(msg)->seq = cpu_to_le64(++ch->seq);
	kecho_event(msg)->time_ns = cpu_to_le64(time_ns);
	if (kecho_event(msg)->deadline_us)
		msg->expires = ch->node->ops->clock() + (u64)le32_to_cpu(kecho_event(msg)->deadline_us) * 1000;
}
struct kecho_channel *channel_find(struct kecho_node *node, const char *name);
/* Delivers to local sinks: */
/* To @nsinks of them, or if 0 to all. channel->lock held. Returns how many. */
u32 channel_deliver(struct kecho_channel *ch, struct kecho_msg *msg, const __le32 *sinks, u16 nsinks);
/* If the channel retains any. */
void channel_retain(struct kecho_channel *ch, struct kecho_msg *msg);
void channel_room_made(struct kecho_channel *ch);
void channel_trim_retained(struct kecho_channel *ch);

struct retained {
	struct list_head node;
	struct kecho_msg *msg;
};

/* filter.c; channel->lock held */
struct chained;

/**
 * struct kecho_scratch - who may receive the event that is being filtered
 * @all: @n of them, in the order in which they were added
 * @picked: those that are left
 * @ids: numbers of one member's sinks
 */
struct kecho_scratch {
	u32 n, cap;
	struct kecho_candidate *all;
	struct kecho_candidate **picked;
	__le32 *ids;
};

/* Begins anew; false without memory. */
bool scratch_begin(struct kecho_channel *ch);
struct kecho_candidate *scratch_add(struct kecho_channel *ch);
/*
 * Runs a chain over what is in the scratch: each candidate's @kept tells then. The event to go on with, @msg or another one, whose
 * reference is the caller's.
 */
struct kecho_msg *channel_filter(struct kecho_channel *ch, bool out, struct kecho_msg *msg);
void filter_heard(struct chained *c, struct kecho_msg *msg);
/* Removes all; cm.lock not held. */
void channel_drop_filters(struct kecho_channel *ch, u64 now);

/* sink.c */
struct kecho_sink *sink_open(struct kecho_channel *ch, struct chained *watch, const char *type, u32 uid, s32 pid, const char *comm,
			     void *home, u64 time_ns, u64 now);
/* Does it advertise itself? */
static inline bool sink_described(const struct kecho_sink *sink)
{
	return sink->type[0] || sink->attrs;
}
bool sink_room(struct kecho_sink *sink, u32 max);
/* channel->lock held. False: lost. */
bool sink_push(struct kecho_sink *sink, struct kecho_msg *msg, const struct kecho_settings *s);
#endif
