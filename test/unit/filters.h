/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of a filter, one in a program: its source is included behind this header. It stands in a real chain of a node made for
 * it, and is shown candidates and events that are made from text.
 *
 *	#include "filters.h"
 *	#include "../../filters/type.c"
 *
 *	static void passes(void **state)
 *	{
 *		assert_int_equal(filters_write("out type only=alarm"), 0);
 *		filters_candidates("1 load=0.5\n2\n2/7 @300 zone=a | load=1");
 *		filters_event("alarm", "x=1", "payload");
 *		assert_string_equal(filters_run(), "1 2 2/7");
 *	}
 *
 *	static const struct CMUnitTest tests[] = { filters_test(passes) };
 *	UNIT_SUITE(filter_type, tests)
 */
#ifndef TEST_FILTERS_H
#define TEST_FILTERS_H
#include "unit.h"
#include <linux/err.h>
#include <kecho/filter.h>
#include "../../lib/attr/text.h"
#include "../../lib/channel/channel.h"

#define FILTERS_SELF	1	/* this node's id */
#define FILTERS_MAX	2048	/* candidates */

/**
 * struct filters - what a test may read and change
 * @f: the filter that was added last
 * @now: CLOCK_MONOTONIC
 * @publisher, @prio, @deadline_us: of the events from now on
 * @said: what was logged last, refusals above all; always empty in the kernel
 * @pass: as the last filters_run() left it
 * @all, @n: the candidates as they were given
 */
static struct {
	struct kecho_filter *f;
	u64 now;
	u64 publisher;
	u8 prio;
	u32 deadline_us;
	char said[512];
	struct kecho_pass pass;
	struct kecho_candidate all[FILTERS_MAX];
	u32 n;

	/* the harness's own */
	struct kecho_node node;
	struct kecho_channel *ch, *other;
	struct kecho_filter_ops ops;
	struct kecho_attrs *attrs[FILTERS_MAX], *node_attrs[FILTERS_MAX], *event_attrs;
	struct kecho_candidate *picked[FILTERS_MAX];
	bool kept[FILTERS_MAX];
	const char *type, *data;
	u32 len;
	struct kecho_msg *msg;
	u64 seq;
	char text[16 * FILTERS_MAX];
} filters;

/* The source ends with kecho_filter_module(): here that is the definition of what the harness asks. */
static const struct kecho_filter_ops *filters_kind(void);
#undef kecho_filter_module
#undef MODULE_LICENSE
#undef MODULE_DESCRIPTION
#define kecho_filter_module(ops) static const struct kecho_filter_ops *filters_kind(void) { return &(ops); } _Static_assert(1, "")
#define MODULE_LICENSE(license) _Static_assert(1, "")
#define MODULE_DESCRIPTION(text) _Static_assert(1, "")

/* --- its node --- */

static inline void filters_on_ready(struct kecho_sink *sink) { }
static inline void filters_on_channel(struct kecho_channel *ch) { }
static inline void filters_on_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event) { }
static inline void filters_on_due(struct kecho_cm *cm, u64 when) { }
static inline void filters_on_dial(struct kecho_cm *cm, struct kecho_link *link) { abort(); }
static inline void filters_on_conn(struct kecho_conn *conn) { abort(); }
static inline void filters_on_put(const struct kecho_filter_ops *ops) { }
static inline u64 filters_on_clock(void) { return filters.now; }

static inline int filters_on_attached(struct kecho_filter *f)
{
	filters.f = f;
	return filters_kind()->attached ? filters_kind()->attached(f) : 0;
}

static inline const struct kecho_filter_ops *filters_on_get(struct kecho_node *node, const char *name)
{
	if (strcmp(name, filters_kind()->name))
		return ERR_PTR(-ENOENT);
	filters.ops = *filters_kind();
	filters.ops.attached = filters_on_attached;
	return &filters.ops;
}

static const struct kecho_node_ops filters_node_ops = {
	.cm = { .dial = filters_on_dial, .kick = filters_on_conn, .close = filters_on_conn, .due = filters_on_due },
	.ready = filters_on_ready, .room = filters_on_channel, .changed = filters_on_changed, .joined = filters_on_channel,
	.clock = filters_on_clock, .filter_get = filters_on_get, .filter_put = filters_on_put,
};

#ifndef __KERNEL__
static inline void filters_log(int level, const char *fmt, va_list ap)
{
	vsnprintf(filters.said, sizeof(filters.said), fmt, ap);
}
#endif

/** filters_join() - this node is on one other channel, too, that a filter can watch */
static inline void filters_join(const char *channel)
{
	int err;

	filters.other = kecho_channel_join(&filters.node, channel, NULL, 1, filters.now, &err);
	assert_non_null(filters.other);
}

/* --- candidates and events --- */

/* "a=1 b=x", up to @end, as a list. */
static inline struct kecho_attrs *filters_attrs(const char *words, const char *end)
{
	struct kecho_attrs *a;
	char lines[1024];
	size_t i, n = end - words;

	assert_true(n < sizeof(lines));
	for (i = 0; i < n; i++)
		lines[i] = words[i] == ' ' ? '\n' : words[i];
	assert_int_equal(kecho_attrs_merge_text(NULL, lines, n, GFP_KERNEL, &a), 0);
	return a;
}

/**
 * filters_candidate() - one more: NODE[/SINK] [@MS] [name=value ...] [| name=value ...]
 * What is behind the bar its node says. @MS: heard so long ago; FILTERS_SELF is never heard.
 */
static inline void filters_candidate(const char *line, size_t len)
{
	struct kecho_candidate *c = &filters.all[filters.n];
	const char *end = line + len, *bar = memchr(line, '|', len);
	struct kecho_attrs **own = &filters.attrs[filters.n], **its = &filters.node_attrs[filters.n];
	char *p;

	assert_true(filters.n < FILTERS_MAX);
	memset(c, 0, sizeof(*c));
	c->node = strtoull(line, &p, 10);
	if (*p == '/')
		c->sink = strtoull(p + 1, &p, 10);
	c->heard_ns = filters.now;
	if (p + 1 < end && p[1] == '@')
		c->heard_ns -= strtoull(p + 2, &p, 10) * NSEC_PER_MSEC;
	if (c->node == FILTERS_SELF)
		c->heard_ns = 0;
	*own = filters_attrs(p, bar ? bar : end);
	*its = bar ? filters_attrs(bar + 1, end) : NULL;
	c->attrs = *own ? (*own)->data : NULL;
	c->attrs_len = *own ? (*own)->len : 0;
	c->node_attrs = *its ? (*its)->data : NULL;
	c->node_attrs_len = *its ? (*its)->len : 0;
	filters.n++;
}

/** filters_candidates() - these, a line each, in place of those before */
static inline void filters_candidates(const char *lines)
{
	const char *nl;

	while (filters.n) {
		filters.n--;
		kecho_attrs_put(filters.attrs[filters.n]);
		kecho_attrs_put(filters.node_attrs[filters.n]);
	}
	for (; *lines; lines = *nl ? nl + 1 : nl) {
		nl = strchr(lines, '\n');
		if (!nl)
			nl = lines + strlen(lines);
		filters_candidate(lines, nl - lines);
	}
}

/** filters_event() - what filters_run() publishes from now on. @type, @payload: kept by the caller; @attrs: "a=1 b=x" */
static inline void filters_event_bytes(const char *type, const char *attrs, const void *payload, u32 len)
{
	kecho_attrs_put(filters.event_attrs);
	filters.event_attrs = filters_attrs(attrs, attrs + strlen(attrs));
	filters.type = type;
	filters.data = payload;
	filters.len = len;
}

static inline void filters_event(const char *type, const char *attrs, const char *payload)
{
	filters_event_bytes(type, attrs, payload, strlen(payload));
}

/* A reference to a new event. */
static inline struct kecho_msg *filters_make(u64 publisher, const struct kecho_attrs *attrs)
{
	struct kecho_msg *msg = kecho_event_alloc(filters.type, attrs, filters.len, GFP_KERNEL);

	assert_non_null(msg);
	if (filters.len)
		memcpy(kecho_event_payload(msg), filters.data, filters.len);
	kecho_event(msg)->origin = cpu_to_le64(publisher);
	kecho_event(msg)->seq = cpu_to_le64(++filters.seq);
	kecho_event(msg)->time_ns = cpu_to_le64(filters.now);
	kecho_event(msg)->prio = filters.prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(filters.deadline_us);
	return msg;
}

/* --- the filter --- */

/** filters_write() - a line as the filter file takes it */
static inline int filters_write(const char *line)
{
	filters.said[0] = 0;
	return kecho_channel_write_filter(filters.ch, line, strlen(line));
}

/** assert_refused() - the line is refused, and the log says so with these words */
#ifdef __KERNEL__
#define assert_refused(line, words) assert_int_equal(filters_write(line), -EINVAL)
#else
#define assert_refused(line, words) do { \
		assert_int_equal(filters_write(line), -EINVAL); \
		if (!strstr(filters.said, words)) \
			fail_msg("%s: said \"%s\"", line, filters.said); \
	} while (0)
#endif

/**
 * filters_run() - an event on its way through the filter
 * Return: the ids of the candidates that it leaves, in the order in which they were given: "1 2/7"
 */
static inline const char *filters_run(void)
{
	struct kecho_pass *p = &filters.pass;
	size_t len = 0;
	u32 i, at;

	assert_non_null(filters.f);
	if (filters.msg)
		kecho_msg_put(p->event.msg);
	filters.msg = filters_make(filters.publisher, filters.event_attrs);
	kecho_event_view(&p->event, filters.msg);
	p->event.flags = filters.publisher == FILTERS_SELF ? KECHO_FRAME_LOCAL : 0;
	p->now_ns = filters.now;
	p->n = filters.n;
	p->candidates = filters.picked;
	for (i = 0; i < filters.n; i++)
		filters.picked[i] = &filters.all[i];
	filters.f->ops->run(filters.f, p);

	assert_true(p->n <= filters.n);
	memset(filters.kept, 0, sizeof(filters.kept));
	for (i = 0; i < p->n; i++) {
		at = p->candidates[i] - filters.all;
		assert_true(at < filters.n);
		assert_false(filters.kept[at]);
		filters.kept[at] = true;
	}
	filters.text[0] = 0;
	for (i = 0; i < filters.n; i++) {
		if (!filters.kept[i])
			continue;
		len += snprintf(filters.text + len, sizeof(filters.text) - len, "%s%llu", len ? " " : "",
				(unsigned long long)filters.all[i].node);
		if (filters.all[i].sink)
			len += snprintf(filters.text + len, sizeof(filters.text) - len, "/%u", filters.all[i].sink);
		assert_true(len < sizeof(filters.text));
	}
	return filters.text;
}

/** filters_hear() - an event on a channel that it watches */
static inline void filters_hear(u64 publisher, const char *attrs)
{
	struct kecho_attrs *a = filters_attrs(attrs, attrs + strlen(attrs));
	struct kecho_msg *msg = filters_make(publisher, a);
	struct kecho_event ev;

	kecho_event_view(&ev, msg);
	filters.f->ops->heard(filters.f, &ev);
	kecho_msg_put(msg);
	kecho_attrs_put(a);
}

/* --- each test --- */

static inline int filters_setup(void **state)
{
	int err;

	memset(&filters, 0, sizeof(filters));
	filters.now = 1000 * (u64)NSEC_PER_SEC;
	filters.publisher = FILTERS_SELF;
	filters.type = "";
#ifndef __KERNEL__
	kecho_log = filters_log;
#endif
	kecho_node_init(&filters.node, FILTERS_SELF, "here", 0, &filters_node_ops, 42);
	filters.ch = kecho_channel_join(&filters.node, "c", NULL, 1, filters.now, &err);
	return !filters.ch;
}

static inline int filters_teardown(void **state)
{
	kecho_fail_alloc = -1;
	if (filters.msg)
		kecho_msg_put(filters.pass.event.msg);
	filters_candidates("");
	kecho_attrs_put(filters.event_attrs);
	kecho_channel_leave(filters.ch, filters.now);
	if (filters.other)
		kecho_channel_leave(filters.other, filters.now);
	assert_int_equal(filters.node.nchannels, 0);
	kecho_node_exit(&filters.node, filters.now);
	return 0;
}

#define filters_test(f) cmocka_unit_test_setup_teardown(f, filters_setup, filters_teardown)
#endif
