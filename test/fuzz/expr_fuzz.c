// SPDX-License-Identifier: GPL-2.0
/*
 * The filter expr: any bytes as its argument, and, if they are an expression, what it says of candidates. It says the same twice, the
 * contrary when it is negated, and of each candidate what it says of it alone.
 */
#include <linux/errno.h>
#include <linux/slab.h>
#include "../../lib/attr/attr.h"
#include "fuzz.h"
#include <kecho/filter.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Not in a chain, and so without a channel to be named. */
static bool refused;
static int refuse_here(struct kecho_filter *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int refuse_here(struct kecho_filter *f, const char *fmt, ...)
{
	char why[1000];
	va_list args;

	va_start(args, fmt);
	CHECK(vsnprintf(why, sizeof(why), fmt, args) < 200);
	va_end(args);
	refused = true;
	return -EINVAL;
}
#define kecho_filter_refuse refuse_here
#include "../../filters/expr.c"

static int make_filter(struct kecho_filter *f, const void *args, size_t len)
{
	int err;

	refused = false;
	f->config = NULL;
	err = setup(f, args, len, &f->config);
	CHECK(f->config && (err == -EINVAL ? refused : !err && !refused));
	if (err)
		kecho_filter_free(f->config);
	return err;
}

/* As kecho_attrs_merge_text() would make it of expr=@s. */
static size_t argument(u8 *to, const char *s, size_t len)
{
	static const u8 head[] = { 4, KECHO_ATTR_STRING, 0, 0, 'e', 'x', 'p', 'r' };

	memcpy(to, head, sizeof(head));
	to[2] = len;
	if (len)
		memcpy(to + sizeof(head), s, len);
	return sizeof(head) + len;
}

static u32 kept(struct kecho_filter *f, struct kecho_candidate *all, u32 n)
{
	struct kecho_candidate *picked[3];
	struct kecho_pass p = {
		.event = { .type = "req", .type_len = 3, .prio = 5, .len = 7, .publisher = 0xfedcba9876543210, .flags = KECHO_FRAME_LOCAL },
		.now_ns = 5000000000, .n = n, .candidates = picked,
	};
	u32 i, set = 0;

	p.event.attrs = all[0].attrs;
	p.event.attrs_len = all[0].attrs_len;
	for (i = 0; i < n; i++)
		picked[i] = &all[i];
	run(f, &p);
	CHECK(p.n <= n);
	for (i = 0; i < p.n; i++) {
		CHECK(picked[i] >= all && picked[i] < all + n && (!i || picked[i] > picked[i - 1]));
		set |= 1u << (picked[i] - all);
	}
	return set;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char lines[] = "a=1\nb=0.5\nc=-9223372036854775808\nd=9223372036.854775807\ns=abc\nt=\"\"\nx-y=3\n";
	static struct kecho_attrs *attrs;
	static struct state state;
	struct kecho_filter f = { .ops = &ops, .state = &state };
	struct kecho_candidate all[3] = {
		{ .node = 1 }, { .node = 2, .sink = 7, .heard_ns = 1 }, { .node = ~0ull, .sink = ~0u, .heard_ns = ~0ull },
	};
	char text[KECHO_ATTR_VALUE_MAX + 1];
	u8 args[KECHO_ATTR_VALUE_MAX + 9];
	size_t len;
	u32 set, i, alone = 0;

	if (!attrs)
		CHECK(!kecho_attrs_merge_text(NULL, lines, strlen(lines), GFP_KERNEL, &attrs));
	all[0].attrs = attrs->data;
	all[0].attrs_len = attrs->len;
	all[1].node_attrs = attrs->data;
	all[1].node_attrs_len = attrs->len;
	if (size && data[0] == 0xff) {
		if (!make_filter(&f, data + 1, size - 1)) {
			kept(&f, all, 3);
			kecho_filter_free(f.config);
		}
		return 0;
	}
	len = min_t(size_t, size, KECHO_ATTR_VALUE_MAX);
	if (make_filter(&f, args, argument(args, (const char *)data, len)))
		return 0;
	set = kept(&f, all, 3);
	CHECK(set == kept(&f, all, 3));
	/* One after another, with the first one's attributes as the event's. */
	for (i = 0; i < 3; i++) {
		struct kecho_candidate two[2] = { all[0], all[i] };

		alone |= kept(&f, two, 2) >> 1 << i;
	}
	CHECK(alone == set);
	kecho_filter_free(f.config);
	snprintf(text, sizeof(text), "!(%.*s)", (int)len, (const char *)data);
	if (len + 3 > KECHO_ATTR_VALUE_MAX || make_filter(&f, args, argument(args, text, len + 3)))
		return 0;
	CHECK(kept(&f, all, 3) == (set ^ 7));
	kecho_filter_free(f.config);
	return 0;
}
