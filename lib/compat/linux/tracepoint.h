/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_TRACEPOINT_H
#define COMPAT_LINUX_TRACEPOINT_H
/* The kernel's tracepoints are nothing in user space. */
#define TP_PROTO(...) __VA_ARGS__
#define TP_ARGS(...)
#define TP_STRUCT__entry(...)
#define TP_fast_assign(...)
#define TP_printk(...)
#define TRACE_EVENT(name, proto, ...) static inline void trace_##name(proto) { } _Static_assert(1, "")
#define DECLARE_EVENT_CLASS(name, ...) _Static_assert(1, "")
#define DEFINE_EVENT(class, name, proto, ...) static inline void trace_##name(proto) { } _Static_assert(1, "")
#endif
