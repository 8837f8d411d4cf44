// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * dedup: of the events with one value of the attribute `re`, the request that they answer, the first passes. The filter file counts
 * the others: seen less passed. dedup [attr=NAME] [size=N] [forget=SECONDS]: it knows the N requests whose first answer came last,
 * 1024 if not told, for so many seconds, or for ever.
 */
#include <kecho/filter.h>

#define SIZE_DEFAULT	1024
#define SIZE_LIMIT	8192	/* a power of two */
#define FORGET_MAX	1000000000

struct config {
	__u32 size;
	__u64 forget_ns;
	char attr[KECHO_NAME_MAX + 1];
};

/**
 * struct request - one that has been answered
 * @key: a hash of its value. Who made two of them equal could have an answer dropped, but so can who answers first.
 * @next: of the same bucket, the place of an older one and 1; 0: none
 */
struct request {
	__u64 key;
	__u64 since;
	__u16 next;
};

/** struct state - @used requests in a ring, the oldest at @oldest, and by @key in buckets, the newest first */
struct state {
	__u32 oldest, used;
	__u16 buckets[SIZE_LIMIT];
	struct request ring[SIZE_LIMIT];
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
	__s64 num;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	c->size = SIZE_DEFAULT;
	memcpy(c->attr, "re", 2);
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (named(&a, "attr") && a.type == KECHO_ATTR_STRING && a.str_len && a.str_len <= KECHO_NAME_MAX) {
			memset(c->attr, 0, sizeof(c->attr));
			memcpy(c->attr, a.str, a.str_len);
		} else if (named(&a, "size") && a.type == KECHO_ATTR_INT && a.num >= 1 && a.num <= SIZE_LIMIT) {
			c->size = a.num;
		} else if (named(&a, "forget") && kecho_attr_decimal(&a, &num) && num > 0 && num <= FORGET_MAX * (__s64)KECHO_DECIMAL_ONE) {
			c->forget_ns = num;
		} else {
			return kecho_filter_refuse(f, "takes attr=NAME, of the attribute that says which request is answered, size=1 to %u and forget=SECONDS",
						   SIZE_LIMIT);
		}
	}
	return 0;
}

static __u64 key_of(const struct kecho_attr *a)
{
	__u64 h = a->type, piece;
	__u32 i, n;

	if (a->type != KECHO_ATTR_STRING)
		return kecho_mix(kecho_mix(h) ^ (__u64)a->num);
	h = kecho_mix(h ^ (__u64)a->str_len << 8);
	for (i = 0; i < a->str_len; i += n) {
		n = a->str_len - i < sizeof(piece) ? a->str_len - i : sizeof(piece);
		piece = 0;
		memcpy(&piece, a->str + i, n);
		h = kecho_mix(h ^ piece);
	}
	return h;
}

static __u16 *bucket(struct state *s, __u64 key)
{
	return &s->buckets[key & (SIZE_LIMIT - 1)];
}

static bool known(struct state *s, __u64 key)
{
	__u16 at;

	for (at = *bucket(s, key); at; at = s->ring[at - 1].next)
		if (s->ring[at - 1].key == key)
			return true;
	return false;
}

/* It is the last of its bucket. */
static void forget_oldest(struct state *s)
{
	__u16 *at = bucket(s, s->ring[s->oldest].key);

	while (*at != s->oldest + 1)
		at = &s->ring[*at - 1].next;
	*at = 0;
	s->oldest = (s->oldest + 1) & (SIZE_LIMIT - 1);
	s->used--;
}

static void remember(struct state *s, __u64 key, __u64 now)
{
	__u32 i = (s->oldest + s->used++) & (SIZE_LIMIT - 1);
	__u16 *first = bucket(s, key);

	s->ring[i].key = key;
	s->ring[i].since = now;
	s->ring[i].next = *first;
	*first = i + 1;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	const struct config *c = f->config;
	struct state *s = f->state;
	struct kecho_attr re;
	__u64 key;

	if (!kecho_attr_find(p->event.attrs, p->event.attrs_len, c->attr, &re))
		return;
	while (s->used && c->forget_ns && p->now_ns - s->ring[s->oldest].since >= c->forget_ns)
		forget_oldest(s);
	key = key_of(&re);
	if (known(s, key)) {
		p->n = 0;
		return;
	}
	while (s->used >= c->size)
		forget_oldest(s);
	remember(s, key, p->now_ns);
}

static const struct kecho_filter_ops ops = {
	.name = "dedup", .owner = THIS_MODULE, .state = sizeof(struct state), .setup = setup, .run = run,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: the first answer to a request");
