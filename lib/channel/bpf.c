// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/kecho.h>
#include "../attr/attr.h"
#include "bpf.h"

struct names {
	u32 n;
	char name[KECHO_BPF_ATTRS][KECHO_NAME_MAX + 1];
};

int kecho_bpf_setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	const char *s, *end, *comma;
	struct kecho_attr a;
	struct names *names;
	u32 pos = 0;

	if (f->name[4] != '/')
		return kecho_filter_refuse(f, "bpf: takes an absolute path, as that of a program pinned below /sys/fs/bpf");
	names = kecho_filter_alloc(sizeof(*names));
	if (!names)
		return -ENOMEM;
	*config = names;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (a.name_len != 5 || memcmp(a.name, "attrs", 5) || a.type != KECHO_ATTR_STRING)
			return kecho_filter_refuse(f, "takes attrs=NAME[,NAME...]: the attributes that the program looks at");
		for (s = a.str, end = s + a.str_len; s <= end; s = comma + 1) {
			comma = memchr(s, ',', end - s) ?: end;
			if (!kecho_name_valid(s, comma - s))
				return kecho_filter_refuse(f, "attrs=: %.*s is no name of an attribute", (int)(comma - s), s);
			if (names->n == KECHO_BPF_ATTRS)
				return kecho_filter_refuse(f, "attrs= takes at most %u names", KECHO_BPF_ATTRS);
			memcpy(names->name[names->n++], s, comma - s);
		}
	}
	return 0;
}

static void put(struct kecho_bpf_attr *to, bool found, const struct kecho_attr *a)
{
	memset(to, 0, sizeof(*to));
	if (!found)
		return;
	to->type = a->type;
	if (kecho_attr_decimal(a, &to->nano)) {
		to->integer = a->type == KECHO_ATTR_INT ? a->num : div_s64_rem(a->num, KECHO_DECIMAL_ONE, &(s32){ 0 });
	} else {
		to->len = a->str_len;
		memcpy(to->str, a->str, min_t(size_t, a->str_len, sizeof(to->str)));
	}
}

static u32 put_event(struct kecho_bpf_context *cx, const struct kecho_filter *f, const struct kecho_pass *p)
{
	u32 payload = min_t(u32, p->event.len, KECHO_BPF_PAYLOAD), i;
	const struct names *names = f->config;
	const struct kecho_event *ev = &p->event;
	struct kecho_attr a;

	cx->version = KECHO_BPF_VERSION;
	cx->header = sizeof(*cx);
	cx->out = f->out;
	cx->prio = ev->prio;
	cx->type_len = ev->type_len;
	cx->flags = ev->flags;
	cx->len = ev->len;
	cx->deadline_us = ev->deadline_us;
	cx->publisher = ev->publisher;
	cx->seq = ev->seq;
	cx->time_ns = ev->time_ns;
	cx->self = f->self;
	cx->n = p->n;
	BUILD_BUG_ON(sizeof(cx->type) < KECHO_NAME_MAX);
	memset(cx->type, 0, sizeof(cx->type));
	if (ev->type_len)
		memcpy(cx->type, ev->type, ev->type_len);
	/* All of them: other arguments may have named more. */
	for (i = 0; i < KECHO_BPF_ATTRS; i++) {
		put(&cx->candidate[i], false, NULL);
		put(&cx->event[i], i < names->n && kecho_attr_find(ev->attrs, ev->attrs_len, names->name[i], &a), &a);
	}
	if (payload)
		memcpy(cx + 1, ev->data, payload);
	return sizeof(*cx) + payload;
}

static void put_candidate(struct kecho_bpf_context *cx, const struct kecho_filter *f, const struct kecho_pass *p, u32 index)
{
	const struct kecho_candidate *c = p->candidates[index];
	const struct names *names = f->config;
	struct kecho_attr a;
	u32 i;

	cx->sink = c->sink;
	cx->node = c->node;
	cx->index = index;
	cx->age_ns = c->heard_ns ? p->now_ns - c->heard_ns : 0;
	for (i = 0; i < names->n; i++)
		put(&cx->candidate[i], kecho_candidate_attr(c, names->name[i], &a), &a);
}

void kecho_bpf_run(struct kecho_filter *f, struct kecho_pass *p, void *packet, bool (*keep)(struct kecho_filter *f, u32 len))
{
	u32 len = put_event(packet, f, p), i, n = 0;

	for (i = 0; i < p->n; i++) {
		put_candidate(packet, f, p, i);
		if (keep(f, len))
			p->candidates[n++] = p->candidates[i];
	}
	p->n = n;
}
