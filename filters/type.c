// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* type: only events of certain types pass. type only=alarm,error; type not=debug; "none" stands for events without a type. */
#include <kecho/filter.h>

struct config {
	bool invert;
	__u32 len;
	char names[KECHO_ATTR_VALUE_MAX];
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
	while (kecho_attr_next(args, len, &pos, &a)) {
		bool only = a.name_len == 4 && !memcmp(a.name, "only", 4);

		if ((!only && !(a.name_len == 3 && !memcmp(a.name, "not", 3))) || c->len || a.type != KECHO_ATTR_STRING)
			return kecho_filter_refuse(f, "takes only=TYPE[,TYPE...] or not=TYPE[,TYPE...]");
		c->invert = !only;
		c->len = a.str_len;
		memcpy(c->names, a.str, a.str_len);
	}
	return c->len ? 0 : kecho_filter_refuse(f, "which types? only=TYPE[,TYPE...] or not=TYPE[,TYPE...]");
}

static bool listed(const struct config *c, const char *type, __u32 len)
{
	__u32 i, j;

	for (i = 0; i <= c->len; i = j + 1) {
		for (j = i; j < c->len && c->names[j] != ','; j++)
			;
		if (j - i == len && !memcmp(c->names + i, type, len))
			return true;
	}
	return false;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct kecho_event *ev = &p->event;
	const struct config *c = f->config;
	bool in = ev->type_len ? listed(c, ev->type, ev->type_len) : listed(c, "none", 4);

	if (in == c->invert)
		p->n = 0;
}

static const struct kecho_filter_ops ops = { .name = "type", .owner = THIS_MODULE, .setup = setup, .run = run };
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: only events of certain types");
