// SPDX-License-Identifier: GPL-2.0
/* Attribute lists from the wire and from text: what is accepted reads back the same from what is printed. */
#include <linux/errno.h>
#include <linux/slab.h>
#include "../../lib/attr/attr.h"
#include "../../lib/attr/text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void round_trip(const struct kecho_attrs *a)
{
	struct kecho_text t = { 0 };
	struct kecho_attr x, y, last;
	struct kecho_attrs *b;
	u32 pos = 0, n = 0;
	char name[KECHO_NAME_MAX + 1];

	kecho_attrs_print(&t, a, '\n');
	CHECK(!t.err);
	CHECK(!kecho_attrs_merge_text(NULL, t.buf ? t.buf : "", t.len, GFP_KERNEL, &b));
	CHECK(kecho_attrs_equal(a, b));
	kecho_attrs_put(b);
	kecho_text_free(&t);
	if (!a)
		return;
	CHECK(!kecho_attrs_decode(a->data, a->len, GFP_KERNEL, &b));
	CHECK(kecho_attrs_equal(a, b));
	kecho_attrs_put(b);
	for (; kecho_attrs_next(a, &pos, &x); last = x, n++) {
		memcpy(name, x.name, x.name_len);
		name[x.name_len] = 0;
		CHECK(kecho_attrs_find(a, name, &y) && y.name == x.name && !kecho_attr_cmp(&x, &y));
		if (n)
			CHECK((kecho_attr_cmp(&x, &last) < 0) == (kecho_attr_cmp(&last, &x) > 0));
	}
	CHECK(pos == a->len);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct kecho_attrs *base = NULL, *a = NULL;
	struct in in = { data, data + size };
	struct kecho_attr v;
	u8 kind = in_u8(&in);
	size_t n = kind / 4, len;
	const u8 *p;
	int err;

	switch (kind % 4) {
	case 0:
		p = in_bytes(&in, &n);
		if (kecho_attrs_merge_text(NULL, (const char *)p, n, GFP_KERNEL, &base))
			CHECK(!base);
		fallthrough;
	case 1:
		err = kecho_attrs_merge_text(base, (const char *)in.p, in.end - in.p, GFP_KERNEL, &a);
		CHECK(!err || (!a && (err == -EINVAL || err == -E2BIG)));
		break;
	case 2:
		err = kecho_attrs_decode(in.p, in.end - in.p, GFP_KERNEL, &a);
		CHECK(!err || (!a && (err == -EBADMSG || err == -E2BIG)));
		break;
	default:
		len = in.end - in.p;
		if (!kecho_attr_parse_value(&v, (const char *)in.p, len) && v.type == KECHO_ATTR_STRING)
			CHECK(v.str_len <= KECHO_ATTR_VALUE_MAX && v.str_len <= len);
		return 0;
	}
	CHECK(!a || (a->len && a->len <= KECHO_ATTRS_BYTES_MAX));
	if (!err)
		round_trip(a);
	kecho_attrs_put(a);
	kecho_attrs_put(base);
	return 0;
}
