// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * hash: events with the same key go to the same candidate. hash key=ATTR|payload [n=K]
 *
 * Each candidate has a weight for the key, and the highest win: one that goes moves only what it had, one that comes takes its
 * share of each (D. G. Thaler, C. V. Ravishankar: Using name-based mappings to increase hit rates. IEEE/ACM Transactions on
 * Networking 6(1), 1998). The weights depend on the key and on ids only: all publishers choose alike.
 */
#include <kecho/filter.h>

#define MOST 64

struct config {
	char key[KECHO_NAME_MAX + 1];	/* empty: the payload */
	__u32 n;
};

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	struct kecho_attr a;
	bool keyed = false;
	struct config *c;
	__u32 pos = 0;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	c->n = 1;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (kecho_attr_is(&a, "key")) {
			if (a.type != KECHO_ATTR_STRING || !a.str_len || a.str_len > KECHO_NAME_MAX)
				return kecho_filter_refuse(f, "key= takes the name of an attribute of the events, or payload");
			keyed = true;
			if (a.str_len != 7 || memcmp(a.str, "payload", 7))
				memcpy(c->key, a.str, a.str_len);
		} else if (kecho_attr_is(&a, "n")) {
			if (a.type != KECHO_ATTR_INT || a.num < 1 || a.num > MOST)
				return kecho_filter_refuse(f, "n= takes a number from 1 to %u", MOST);
			c->n = a.num;
		} else {
			return kecho_filter_refuse(f, "takes key=ATTRIBUTE or key=payload, and n=K");
		}
	}
	return keyed ? 0 : kecho_filter_refuse(f, "by which key? key=ATTRIBUTE or key=payload");
}

static __u64 digest(const __u8 *p, size_t len)
{
	__u64 h = len, word;
	__u32 i;

	for (; len >= 8; p += 8, len -= 8) {
		word = p[0] | (__u64)p[1] << 8 | (__u64)p[2] << 16 | (__u64)p[3] << 24 | (__u64)p[4] << 32 | (__u64)p[5] << 40 |
		       (__u64)p[6] << 48 | (__u64)p[7] << 56;
		h = kecho_mix(h + word);
	}
	for (word = 0, i = 0; i < len; i++)
		word |= (__u64)p[i] << 8 * i;
	return kecho_mix(h + word);
}

/* An event without the key has the key 0, like all of its kind. */
static __u64 key_of(const struct config *c, const struct kecho_event *ev)
{
	struct kecho_attr a;

	if (!c->key[0])
		return digest(ev->data, ev->len);
	if (!kecho_attr_find(ev->attrs, ev->attrs_len, c->key, &a))
		return 0;
	return a.type == KECHO_ATTR_STRING ? digest((const __u8 *)a.str, a.str_len) : kecho_mix(a.num + kecho_mix(a.type));
}

static __u64 weight(__u64 key, const struct kecho_candidate *c)
{
	return kecho_mix(key + kecho_mix(c->node + kecho_mix(c->sink)));
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *cfg = f->config;
	__u64 key = key_of(cfg, &p->event), w, most;
	struct kecho_candidate *c;
	__u32 i, j, best;

	for (i = 0; i < cfg->n && i < p->n; i++) {
		most = 0;
		best = i;
		for (j = i; j < p->n; j++) {
			w = weight(key, p->candidates[j]);
			if (w > most) {
				most = w;
				best = j;
			}
		}
		c = p->candidates[i];
		p->candidates[i] = p->candidates[best];
		p->candidates[best] = c;
	}
	p->n = i;
}

static const struct kecho_filter_ops ops = { .name = "hash", .owner = THIS_MODULE, .setup = setup, .run = run };
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: events with the same key go to the same candidate");
