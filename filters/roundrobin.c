// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* roundrobin: one candidate after another, by node and sink, whoever comes and goes. roundrobin [n=K]: K at a time */
#include <kecho/filter.h>

#define MOST 64

struct config {
	__u32 n;
};

/* Who was chosen last. */
struct state {
	__u64 node;
	__u32 sink;
};

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;
	struct config *c;
	__u32 pos = 0;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	c->n = 1;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (a.name_len != 1 || a.name[0] != 'n' || a.type != KECHO_ATTR_INT || a.num < 1 || a.num > MOST)
			return kecho_filter_refuse(f, "takes n=, a number from 1 to %u, and nothing else", MOST);
		c->n = a.num;
	}
	return 0;
}

static bool after(const struct kecho_candidate *c, __u64 node, __u32 sink)
{
	return c->node != node ? c->node > node : c->sink > sink;
}

/* Is it the turn of @a rather than of @b? First come those after the last one. */
static bool before(const struct state *s, const struct kecho_candidate *a, const struct kecho_candidate *b)
{
	bool again = !after(a, s->node, s->sink);

	return again != !after(b, s->node, s->sink) ? !again : after(b, a->node, a->sink);
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *cfg = f->config;
	__u32 n = p->n < cfg->n ? p->n : cfg->n, i, j;
	struct kecho_candidate *c;
	struct state *s = f->state;

	for (i = 0; i < n; i++) {
		for (j = i + 1; j < p->n; j++) {
			if (!before(s, p->candidates[j], p->candidates[i]))
				continue;
			c = p->candidates[i];
			p->candidates[i] = p->candidates[j];
			p->candidates[j] = c;
		}
	}
	p->n = n;
	if (n) {
		s->node = p->candidates[n - 1]->node;
		s->sink = p->candidates[n - 1]->sink;
	}
}

static const struct kecho_filter_ops ops = {
	.name = "roundrobin", .owner = THIS_MODULE, .state = sizeof(struct state), .setup = setup, .run = run,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: one candidate after another");
