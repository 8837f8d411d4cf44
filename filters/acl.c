// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * acl: only events of certain publishers reach this node's sinks. acl allow=NODE[,NODE...]; acl deny=NODE[,NODE...]; NODE is an id,
 * 16 hexadecimal digits, or else a name.
 */
#include <kecho/filter.h>

#define ID_DIGITS 16

/**
 * struct config
 * @ids: @nids of them
 * @names: the others, separated by commas
 */
struct config {
	bool deny;
	__u32 nids;
	__u32 names_len;
	__u64 ids[KECHO_ATTR_VALUE_MAX / (ID_DIGITS + 1) + 1];
	char names[KECHO_ATTR_VALUE_MAX + 1];
};

static bool is_name(const char *s, __u32 len)
{
	__u32 i;

	for (i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '.' ||
		      s[i] == '_' || s[i] == '-'))
			return false;
	return len && len <= KECHO_NAME_MAX;
}

/* One more of the list. False: nothing can be called so. */
static bool add(struct config *c, const char *s, __u32 len)
{
	struct kecho_attr a = { .type = KECHO_ATTR_STRING, .str = s, .str_len = len };

	if (!is_name(s, len))
		return false;
	if (kecho_attr_id(&a, &c->ids[c->nids])) {
		c->nids++;
		return true;
	}
	if (c->names_len)
		c->names[c->names_len++] = ',';
	memcpy(c->names + c->names_len, s, len);
	c->names_len += len;
	return true;
}

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;
	struct config *c;
	__u32 pos = 0, i, end;
	bool allow;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	if (f->out)
		return kecho_filter_refuse(f, "it judges who published, and what goes out this node did: write it as in acl");
	while (kecho_attr_next(args, len, &pos, &a)) {
		allow = a.name_len == 5 && !memcmp(a.name, "allow", 5);
		if ((!allow && !(a.name_len == 4 && !memcmp(a.name, "deny", 4))) || c->nids || c->names_len)
			return kecho_filter_refuse(f, "takes allow=NODE[,NODE...] or deny=NODE[,NODE...]");
		if (a.type != KECHO_ATTR_STRING)
			return kecho_filter_refuse(f, "an id or a name of digits alone goes into quotes: allow='...'");
		c->deny = !allow;
		for (i = 0; i <= a.str_len; i = end + 1) {
			for (end = i; end < a.str_len && a.str[end] != ','; end++)
				;
			if (!add(c, a.str + i, end - i))
				return kecho_filter_refuse(f, "a NODE is an id of 16 hexadecimal digits, or a name, without blanks between them");
		}
	}
	return c->nids || c->names_len ? 0 : kecho_filter_refuse(f, "which nodes? allow=NODE[,NODE...] or deny=NODE[,NODE...]");
}

static bool has_id(const struct config *c, __u64 id)
{
	__u32 i;

	for (i = 0; i < c->nids; i++)
		if (c->ids[i] == id)
			return true;
	return false;
}

static bool has_name(const struct config *c, const char *name)
{
	__u32 i, j, len = strlen(name);

	for (i = 0; i < c->names_len; i = j + 1) {
		for (j = i; j < c->names_len && c->names[j] != ','; j++)
			;
		if (j - i == len && !memcmp(c->names + i, name, len))
			return true;
	}
	return false;
}

static bool passes(struct kecho_filter *f, const struct config *c, __u64 publisher)
{
	const char *name;

	if (has_id(c, publisher))
		return !c->deny;
	if (!c->names_len)
		return c->deny;
	name = kecho_filter_node_name(f, publisher);
	/* It has left, and might be one of those that are denied. */
	if (!name)
		return false;
	return has_name(c, name) != c->deny;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	if (!passes(f, f->config, p->event.publisher))
		p->n = 0;
}

static const struct kecho_filter_ops ops = { .name = "acl", .owner = THIS_MODULE, .setup = setup, .run = run };
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: only events of certain publishers");
