/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tracepoints of links: what passes through them, and their state. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kecho
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kecho_link

#if !defined(KECHO_TRACE_LINK_H) || defined(TRACE_HEADER_MULTI_READ)
#define KECHO_TRACE_LINK_H
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(kecho_link_record,
	TP_PROTO(const struct kecho_link *link, const struct kecho_rec *rec),
	TP_ARGS(link, rec),
	TP_STRUCT__entry(
		__array(char, peer, KECHO_NAME_MAX + 1)
		__field(u64, id)
		__field(u64, seq)
		__field(u32, len)
		__field(u8, type)
	),
	TP_fast_assign(
		strscpy(__entry->peer, link->name, sizeof(__entry->peer));
		__entry->id = link->peer_id;
		__entry->seq = le64_to_cpu(rec->seq);
		__entry->len = le32_to_cpu(rec->len);
		__entry->type = rec->type;
	),
	TP_printk("peer=%s id=%016llx type=%u seq=%llu len=%u", __entry->peer, __entry->id, __entry->type, __entry->seq,
		  __entry->len)
);

/* A record is handed to the connection; once more after a resume. */
DEFINE_EVENT(kecho_link_record, kecho_link_send,
	TP_PROTO(const struct kecho_link *link, const struct kecho_rec *rec),
	TP_ARGS(link, rec)
);

DEFINE_EVENT(kecho_link_record, kecho_link_receive,
	TP_PROTO(const struct kecho_link *link, const struct kecho_rec *rec),
	TP_ARGS(link, rec)
);

/* enum kecho_link_state; up with resumed=1 goes on where the last connection broke. */
TRACE_EVENT(kecho_link_state,
	TP_PROTO(const struct kecho_link *link, bool resumed),
	TP_ARGS(link, resumed),
	TP_STRUCT__entry(
		__array(char, peer, KECHO_NAME_MAX + 1)
		__field(u64, id)
		__field(u8, state)
		__field(u8, resumed)
	),
	TP_fast_assign(
		strscpy(__entry->peer, link->name, sizeof(__entry->peer));
		__entry->id = link->peer_id;
		__entry->state = link->state;
		__entry->resumed = resumed;
	),
	TP_printk("peer=%s id=%016llx state=%s resumed=%u", __entry->peer, __entry->id,
		  __print_symbolic(__entry->state, { 0, "down" }, { 1, "up" }, { 2, "suspect" }), __entry->resumed)
);
#endif
#include <trace/define_trace.h>
