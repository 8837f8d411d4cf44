// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* sample: some of the events. sample every=K: one in K; sample rate=R [burst=B]: at most R a second, B of them at once */
#include <kecho/filter.h>

/*
 * A bucket of tokens, without a division: every 2^10 ns it gets the rate, in units of 10^-9 events a second; an event takes what
 * this comes to in the time for one.
 */
#define TICK_SHIFT	10
#define EVENT		976562500000000ull	/* 10^9 * 10^9 / 2^10 */
#define BURST_MAX	10000
#define RATE_MAX	1000000

struct config {
	__u64 every;
	__u64 rate;
	__u64 full;
};

/**
 * struct state
 * @skip: so many events go by before one passes
 * @tokens: at @last; 0: it was not asked yet, and is full
 */
struct state {
	__u64 skip;
	__u64 tokens;
	__u64 last;
};

static int setup(struct kecho_filter *f, const void *args, size_t len, void **config)
{
	__s64 rate = 0, burst = 0;
	struct kecho_attr a;
	struct config *c;
	__u32 pos = 0;

	c = kecho_filter_alloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*config = c;
	while (kecho_attr_next(args, len, &pos, &a)) {
		if (kecho_attr_is(&a, "every")) {
			if (a.type != KECHO_ATTR_INT || a.num < 1)
				return kecho_filter_refuse(f, "every= takes a number from 1 on");
			c->every = a.num;
		} else if (kecho_attr_is(&a, "rate")) {
			if (!kecho_attr_decimal(&a, &rate) || rate <= 0 || rate > RATE_MAX * (__s64)KECHO_DECIMAL_ONE)
				return kecho_filter_refuse(f, "rate= takes events a second, above 0, up to %u", RATE_MAX);
		} else if (kecho_attr_is(&a, "burst")) {
			if (a.type != KECHO_ATTR_INT || a.num < 1 || a.num > BURST_MAX)
				return kecho_filter_refuse(f, "burst= takes a number from 1 to %u", BURST_MAX);
			burst = a.num;
		} else {
			return kecho_filter_refuse(f, "takes every=K, or rate=R [burst=B]");
		}
	}
	if (!c->every == !rate || (burst && !rate))
		return kecho_filter_refuse(f, "which events? either every=K, or rate=R [burst=B]");
	if (rate && !burst)
		for (burst = 1; burst < BURST_MAX && (burst + 1) * KECHO_DECIMAL_ONE <= rate; burst++)
			;
	c->rate = rate;
	c->full = burst * EVENT;
	return 0;
}

static void fill(const struct config *c, struct state *s, __u64 now)
{
	__u64 ticks = (now - s->last) >> TICK_SHIFT, more;

	if (!s->last || __builtin_mul_overflow(ticks, c->rate, &more) || s->tokens > c->full || more > c->full - s->tokens) {
		s->tokens = c->full;
		s->last = now;
	} else {
		s->tokens += more;
		s->last += ticks << TICK_SHIFT;
	}
}

static bool passes(const struct config *c, struct state *s, __u64 now)
{
	if (c->every) {
		/* @every may have become less. */
		if (s->skip && s->skip < c->every) {
			s->skip--;
			return false;
		}
		s->skip = c->every - 1;
		return true;
	}
	fill(c, s, now);
	if (s->tokens < EVENT)
		return false;
	s->tokens -= EVENT;
	return true;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	if (!passes(f->config, f->state, p->now_ns))
		p->n = 0;
}

static const struct kecho_filter_ops ops = {
	.name = "sample", .owner = THIS_MODULE, .state = sizeof(struct state), .setup = setup, .run = run,
};
kecho_filter_module(ops);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("KECho filter: some of the events");
