// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * reply: an answer goes only to who asked. An event with the attribute `to`, the id of a node, or that and the number of one of its
 * sinks (0123456789abcdef:7), is kept for that node's candidates (or that one) alone.
 * reply [attr=NAME] [strict=1]; strict: without the attribute it is for nobody, not for all.
 */
#include <kecho/filter.h>

struct config {
	bool strict;
	char attr[KECHO_NAME_MAX + 1];
};

static bool named(const struct kecho_attr *a, const char *name)
{
	return a->name_len == strlen(name) && !memcmp(a->name, name, a->name_len);
}

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;
	struct config *c;
	__u32 pos = 0;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	memcpy(c->attr, "to", 2);
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (named(&a, "attr") && a.type == KECHO_ATTR_STRING && a.str_len && a.str_len <= KECHO_NAME_MAX) {
			memset(c->attr, 0, sizeof(c->attr));
			memcpy(c->attr, a.str, a.str_len);
		} else if (named(&a, "strict") && a.type == KECHO_ATTR_INT && (a.num == 0 || a.num == 1)) {
			c->strict = a.num;
		} else {
			return kecho_filter_refuse(f, "takes attr=NAME, of the attribute that says to whom, and strict=0 or 1");
		}
	}
	return 0;
}

/* NODE or NODE:SINK; without a sink it is 0. */
static bool addressee(struct kecho_attr a, __u64 *node, __u32 *sink)
{
	const char *colon = a.type == KECHO_ATTR_STRING ? memchr(a.str, ':', a.str_len) : NULL, *p;
	const char *end = a.str + a.str_len;
	__u64 n = 0;

	*sink = 0;
	if (colon) {
		a.str_len = colon - a.str;
		for (p = colon + 1; p < end && *p >= '0' && *p <= '9' && n <= 0xffffffff; p++)
			n = n * 10 + *p - '0';
		if (p < end || !n || n > 0xffffffff)
			return false;
		*sink = n;
	}
	return kecho_attr_id(&a, node);
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *c = f->config;
	__u32 sink, i, n = 0;
	struct kecho_attr to;
	__u64 node;

	if (!kecho_attr_find(p->event.attrs, p->event.attrs_len, c->attr, &to)) {
		if (c->strict)
			p->n = 0;
		return;
	}
	if (addressee(to, &node, &sink))
		for (i = 0; i < p->n; i++)
			if (p->candidates[i]->node == node && (!sink || p->candidates[i]->sink == sink))
				p->candidates[n++] = p->candidates[i];
	p->n = n;
}

static const struct kecho_filter_ops ops = { .name = "reply", .owner = THIS_MODULE, .setup = setup, .run = run };
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: an answer goes only to who asked");
