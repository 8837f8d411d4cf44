// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * least: the n candidates with the smallest value of an attribute. least attr=NAME [n=K] [maxage=SECONDS] [from=CHANNEL]
 *
 * One pass over the candidates; those picked so far are a heap with the worst of them at its top. Of equal ones those win that were
 * picked longest ago: a table remembers when. Candidates may share a place in it: between them it is drawn.
 */
#include <kecho/filter.h>

#define TURNS	1024	/* a power of two */

struct config {
	char attr[KECHO_NAME_MAX + 1];
	char from[KECHO_NAME_MAX + 1];
	__s64 maxage_ns;
	__u32 n;
};

struct pick {
	struct kecho_candidate *c;
	struct kecho_attr value;
	__u64 picked;
	__u64 draw;
};

/* What a node has said on the channel that is watched. */
struct said {
	__u64 node;
	__u64 ns;
	__s64 num;
	__u8 type;
};

/**
 * struct state
 * @turn: counts the events; @picked: in which one a candidate was picked last
 * @heap: while an event is looked at
 * @said: @nsaid, by node; NULL without from=. kecho_filter_lock()
 */
struct state {
	__u64 turn;
	__u64 picked[TURNS];
	struct pick heap[KECHO_MEMBERS_MAX];
	struct said *said;
	__u32 nsaid;
};

/* --- arguments --- */

static bool get_name(char *to, const struct kecho_attr *a)
{
	if (a->type != KECHO_ATTR_STRING || !a->str_len || a->str_len > KECHO_NAME_MAX)
		return false;
	memcpy(to, a->str, a->str_len);
	return true;
}

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
	c->n = 1;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (kecho_attr_is(&a, "attr")) {
			if (!get_name(c->attr, &a))
				return kecho_filter_refuse(f, "attr= takes the name of an attribute");
		} else if (kecho_attr_is(&a, "from")) {
			if (!get_name(c->from, &a))
				return kecho_filter_refuse(f, "from= takes the name of a channel");
		} else if (kecho_attr_is(&a, "n")) {
			if (a.type != KECHO_ATTR_INT || a.num < 1 || a.num > KECHO_MEMBERS_MAX)
				return kecho_filter_refuse(f, "n= takes a number from 1 to %u", KECHO_MEMBERS_MAX);
			c->n = a.num;
		} else if (kecho_attr_is(&a, "maxage")) {
			if (!kecho_attr_decimal(&a, &c->maxage_ns) || c->maxage_ns <= 0)
				return kecho_filter_refuse(f, "maxage= takes a number of seconds above 0");
		} else {
			return kecho_filter_refuse(f, "takes attr=NAME [n=K] [maxage=SECONDS] [from=CHANNEL]");
		}
	}
	if (!c->attr[0])
		return kecho_filter_refuse(f, "the least of what? attr=NAME");
	/* What has been heard is of this attribute, on this channel. */
	if (old && (strcmp(old->from, c->from) || (c->from[0] && strcmp(old->attr, c->attr))))
		return kecho_filter_refuse(f, "from=, and attr= with it, stay: add another filter and remove this one");
	return 0;
}

/* --- what is heard --- */

/* The place of @node in said, or where it belongs. */
static __u32 place(const struct state *s, __u64 node)
{
	__u32 lo = 0, hi = s->nsaid, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s->said[mid].node < node)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void forget_oldest(struct state *s)
{
	__u32 i, oldest = 0;

	for (i = 1; i < s->nsaid; i++)
		if (s->said[i].ns < s->said[oldest].ns)
			oldest = i;
	s->nsaid--;
	memmove(s->said + oldest, s->said + oldest + 1, (s->nsaid - oldest) * sizeof(*s->said));
}

static void remember(struct state *s, const struct said *said)
{
	__u32 i = place(s, said->node);

	if (i == s->nsaid || s->said[i].node != said->node) {
		if (s->nsaid == KECHO_MEMBERS_MAX) {
			forget_oldest(s);
			i = place(s, said->node);
		}
		memmove(s->said + i + 1, s->said + i, (s->nsaid - i) * sizeof(*s->said));
		s->nsaid++;
	}
	s->said[i] = *said;
}

static void heard(struct kecho_filter *f, const struct kecho_event *ev)
{
	const struct config *c;
	struct kecho_attr a;

	kecho_filter_lock(f);
	c = f->config;
	if (kecho_attr_find(ev->attrs, ev->attrs_len, c->attr, &a) && a.type != KECHO_ATTR_STRING)
		remember(f->state, &(struct said) { ev->publisher, kecho_filter_now(f), a.num, a.type });
	kecho_filter_unlock(f);
}

static int attached(struct kecho_filter *f)
{
	const struct config *c = f->config;
	struct state *s = f->state;

	if (!c->from[0])
		return 0;
	s->said = kecho_filter_alloc(KECHO_MEMBERS_MAX * sizeof(*s->said));
	return s->said ? kecho_filter_watch(f, c->from) : -ENOMEM;
}

static void detached(struct kecho_filter *f)
{
	struct state *s = f->state;

	kecho_filter_free(s->said);
}

/* --- the events --- */

/* False: it has said no number, or too long ago. */
static bool number_of(struct kecho_filter *f, const struct kecho_pass *p, const struct kecho_candidate *c, struct kecho_attr *a)
{
	const struct config *cfg = f->config;
	const struct state *s = f->state;
	__u64 since = c->heard_ns;
	__u32 i;

	if (s->said) {
		i = place(s, c->node);
		if (i == s->nsaid || s->said[i].node != c->node)
			return false;
		*a = (struct kecho_attr) { .num = s->said[i].num, .type = s->said[i].type };
		since = s->said[i].ns;
	} else if (!kecho_candidate_attr(c, cfg->attr, a)) {
		return false;
	}
	return a->type != KECHO_ATTR_STRING && !(cfg->maxage_ns && since && (__s64)(p->now_ns - since) > cfg->maxage_ns);
}

static __u64 *picked(struct state *s, const struct kecho_candidate *c)
{
	return &s->picked[kecho_mix(c->node + kecho_mix(c->sink)) & (TURNS - 1)];
}

static bool before(const struct pick *a, const struct pick *b)
{
	int d = kecho_attr_cmp(&a->value, &b->value);

	return d ? d < 0 : a->picked != b->picked ? a->picked < b->picked : a->draw < b->draw;
}

/* Place @i of a heap may be better than those below. */
static void sift(struct pick *heap, __u32 n, __u32 i)
{
	struct pick down = heap[i];
	__u32 worse;

	while ((worse = 2 * i + 1) < n) {
		if (worse + 1 < n && before(&heap[worse], &heap[worse + 1]))
			worse++;
		if (!before(&down, &heap[worse]))
			break;
		heap[i] = heap[worse];
		i = worse;
	}
	heap[i] = down;
}

static __u32 wanted(const struct config *c, const struct kecho_event *ev)
{
	struct kecho_attr a;

	if (!kecho_attr_find(ev->attrs, ev->attrs_len, "n", &a) || a.type != KECHO_ATTR_INT)
		return c->n;
	return a.num < 1 ? 1 : a.num > KECHO_MEMBERS_MAX ? KECHO_MEMBERS_MAX : a.num;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	__u32 n = wanted(f->config, &p->event), k = 0, i, j;
	struct state *s = f->state;
	struct pick next;

	s->turn++;
	kecho_filter_lock(f);
	for (i = 0; i < p->n; i++) {
		next.c = p->candidates[i];
		if (!number_of(f, p, next.c, &next.value))
			continue;
		next.picked = *picked(s, next.c);
		next.draw = kecho_mix(next.c->node + kecho_mix(next.c->sink + s->turn));
		if (k < n) {
			s->heap[k++] = next;
			for (j = k == n ? n / 2 : 0; j--;)
				sift(s->heap, n, j);
		} else if (before(&next, &s->heap[0])) {
			s->heap[0] = next;
			sift(s->heap, n, 0);
		}
	}
	kecho_filter_unlock(f);
	for (i = 0; i < k; i++) {
		p->candidates[i] = s->heap[i].c;
		*picked(s, s->heap[i].c) = s->turn;
	}
	p->n = k;
}

static const struct kecho_filter_ops ops = {
	.name = "least", .owner = THIS_MODULE, .state = sizeof(struct state),
	.setup = setup, .attached = attached, .detached = detached, .run = run, .heard = heard,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: the candidates with the smallest value of an attribute");
