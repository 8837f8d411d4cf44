// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* change attr=NAME by=D: an event passes if that attribute has moved by D or more since the last of its publisher that passed */
#include <kecho/filter.h>

struct config {
	char attr[KECHO_NAME_MAX + 1];
	struct kecho_attr by;
};

/* The last that passed of a publisher. */
struct last {
	__u64 node;
	__u64 ns;
	__s64 num;
	__u8 type;
};

/* @last: @n of them, by node */
struct state {
	__u32 n;
	struct last last[KECHO_MEMBERS_MAX];
};

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	const struct config *old = f->config;
	struct kecho_attr a;
	struct config *c;
	__u32 pos = 0;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (kecho_attr_is(&a, "attr")) {
			if (a.type != KECHO_ATTR_STRING || !a.str_len || a.str_len > KECHO_NAME_MAX)
				return kecho_filter_refuse(f, "attr= takes the name of an attribute");
			memcpy(c->attr, a.str, a.str_len);
		} else if (kecho_attr_is(&a, "by")) {
			if (a.type == KECHO_ATTR_STRING || a.num <= 0)
				return kecho_filter_refuse(f, "by= takes a number above 0");
			c->by = (struct kecho_attr) { .num = a.num, .type = a.type };
		} else {
			return kecho_filter_refuse(f, "takes attr=NAME by=D");
		}
	}
	if (!c->attr[0] || !c->by.type)
		return kecho_filter_refuse(f, "the change of what, and by how much? attr=NAME by=D");
	if (old && strcmp(old->attr, c->attr))
		return kecho_filter_refuse(f, "attr= stays as it is: add another filter and remove this one");
	return 0;
}

/* Exact, but where an integer above 9.2 * 10^9 stands beside a decimal, for which it is taken as the largest. */
static bool moved(const struct kecho_attr *a, const struct kecho_attr *b, const struct kecho_attr *by)
{
	__u8 type = a->type == b->type ? a->type : KECHO_ATTR_DECIMAL;
	__s64 x = a->num, y = b->num;
	__u64 d;

	if (a->type != b->type) {
		kecho_attr_decimal(a, &x);
		kecho_attr_decimal(b, &y);
	}
	d = x > y ? (__u64)x - y : (__u64)y - x;
	if (type == by->type)
		return d >= (__u64)by->num;
	if (type == KECHO_ATTR_INT)
		return d > (__u64)-1 / KECHO_DECIMAL_ONE || d * KECHO_DECIMAL_ONE >= (__u64)by->num;
	return (__u64)by->num <= (__u64)-1 / KECHO_DECIMAL_ONE && d >= (__u64)by->num * KECHO_DECIMAL_ONE;
}

/* The place of @node, or where it belongs. */
static __u32 place(const struct state *s, __u64 node)
{
	__u32 lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s->last[mid].node < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void forget_oldest(struct state *s)
{
	__u32 i, oldest = 0;

	for (i = 1; i < s->n; i++)
		if (s->last[i].ns < s->last[oldest].ns)
			oldest = i;
	s->n--;
	memmove(s->last + oldest, s->last + oldest + 1, (s->n - oldest) * sizeof(*s->last));
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *c = f->config;
	__u64 node = p->event.publisher;
	struct state *s = f->state;
	struct kecho_attr a, was;
	struct last *l;
	__u32 i;

	if (!kecho_attr_find(p->event.attrs, p->event.attrs_len, c->attr, &a) || a.type == KECHO_ATTR_STRING)
		return;
	i = place(s, node);
	l = s->last + i;
	if (i < s->n && l->node == node) {
		was = (struct kecho_attr) { .num = l->num, .type = l->type };
		if (!moved(&a, &was, &c->by)) {
			p->n = 0;
			return;
		}
	} else {
		if (s->n == KECHO_MEMBERS_MAX) {
			forget_oldest(s);
			l = s->last + place(s, node);
		}
		memmove(l + 1, l, (s->last + s->n - l) * sizeof(*l));
		s->n++;
	}
	*l = (struct last) { node, p->now_ns, a.num, a.type };
}

static const struct kecho_filter_ops ops = {
	.name = "change", .owner = THIS_MODULE, .state = sizeof(struct state), .setup = setup, .run = run,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: events whose attribute has moved");
