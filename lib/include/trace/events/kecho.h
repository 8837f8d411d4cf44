/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tracepoints of channels: where an event goes, where it is lost, who comes and goes. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kecho

#if !defined(KECHO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KECHO_TRACE_H
#include <linux/tracepoint.h>

/* An event was published here: @receivers local sinks and members. */
TRACE_EVENT(kecho_publish,
	TP_PROTO(const struct kecho_channel *ch, const struct kecho_msg *msg, u32 receivers),
	TP_ARGS(ch, msg, receivers),
	TP_STRUCT__entry(
		__array(char, channel, KECHO_NAME_MAX + 1)
		__field(u64, seq)
		__field(u32, len)
		__field(u32, receivers)
	),
	TP_fast_assign(
		strscpy(__entry->channel, ch->name, sizeof(__entry->channel));
		__entry->seq = le64_to_cpu(kecho_event(msg)->seq);
		__entry->len = kecho_event_payload_len(msg);
		__entry->receivers = receivers;
	),
	TP_printk("channel=%s seq=%llu len=%u receivers=%u", __entry->channel, __entry->seq, __entry->len, __entry->receivers)
);

/* An event, from here or elsewhere, went into @sinks local queues. */
TRACE_EVENT(kecho_deliver,
	TP_PROTO(const struct kecho_channel *ch, const struct kecho_msg *msg, u32 sinks),
	TP_ARGS(ch, msg, sinks),
	TP_STRUCT__entry(
		__array(char, channel, KECHO_NAME_MAX + 1)
		__field(u64, publisher)
		__field(u64, seq)
		__field(u32, len)
		__field(u32, sinks)
	),
	TP_fast_assign(
		strscpy(__entry->channel, ch->name, sizeof(__entry->channel));
		__entry->publisher = le64_to_cpu(kecho_event(msg)->origin);
		__entry->seq = le64_to_cpu(kecho_event(msg)->seq);
		__entry->len = kecho_event_payload_len(msg);
		__entry->sinks = sinks;
	),
	TP_printk("channel=%s publisher=%016llx seq=%llu len=%u sinks=%u", __entry->channel, __entry->publisher, __entry->seq,
		  __entry->len, __entry->sinks)
);

/* A filter has seen an event that @before candidates were left for, and has left @after. */
TRACE_EVENT(kecho_filter,
	TP_PROTO(const struct kecho_channel *ch, const char *filter, const struct kecho_event_wire *event, u32 before, u32 after),
	TP_ARGS(ch, filter, event, before, after),
	TP_STRUCT__entry(
		__array(char, channel, KECHO_NAME_MAX + 1)
		__array(char, filter, KECHO_NAME_MAX + 1)
		__field(u64, publisher)
		__field(u64, seq)
		__field(u32, before)
		__field(u32, after)
	),
	TP_fast_assign(
		strscpy(__entry->channel, ch->name, sizeof(__entry->channel));
		strscpy(__entry->filter, filter, sizeof(__entry->filter));
		__entry->publisher = le64_to_cpu(event->origin);
		__entry->seq = le64_to_cpu(event->seq);
		__entry->before = before;
		__entry->after = after;
	),
	TP_printk("channel=%s filter=%s publisher=%016llx seq=%llu before=%u after=%u", __entry->channel, __entry->filter,
		  __entry->publisher, __entry->seq, __entry->before, __entry->after)
);

/* @events were lost: to a local sink (@member 0), on the way to a member (@out), or on the way from it. */
TRACE_EVENT(kecho_lose,
	TP_PROTO(const struct kecho_channel *ch, u64 member, bool out, u64 events),
	TP_ARGS(ch, member, out, events),
	TP_STRUCT__entry(
		__array(char, channel, KECHO_NAME_MAX + 1)
		__field(u64, member)
		__field(u64, events)
		__field(u8, out)
	),
	TP_fast_assign(
		strscpy(__entry->channel, ch->name, sizeof(__entry->channel));
		__entry->member = member;
		__entry->events = events;
		__entry->out = out;
	),
	TP_printk("channel=%s at=%s member=%016llx events=%llu", __entry->channel,
		  !__entry->member ? "sink" : __entry->out ? "out" : "in", __entry->member, __entry->events)
);

DECLARE_EVENT_CLASS(kecho_membership,
	TP_PROTO(const struct kecho_channel *ch, u64 member),
	TP_ARGS(ch, member),
	TP_STRUCT__entry(
		__array(char, channel, KECHO_NAME_MAX + 1)
		__field(u64, member)
	),
	TP_fast_assign(
		strscpy(__entry->channel, ch->name, sizeof(__entry->channel));
		__entry->member = member;
	),
	TP_printk("channel=%s member=%016llx", __entry->channel, __entry->member)
);

/* This node, or another, is on the channel from now on. */
DEFINE_EVENT(kecho_membership, kecho_join,
	TP_PROTO(const struct kecho_channel *ch, u64 member),
	TP_ARGS(ch, member)
);

DEFINE_EVENT(kecho_membership, kecho_leave,
	TP_PROTO(const struct kecho_channel *ch, u64 member),
	TP_ARGS(ch, member)
);
#endif
#include <trace/define_trace.h>
