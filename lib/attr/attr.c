// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <asm/byteorder.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "attr.h"
#include "text.h"

struct attr_wire {
	u8 name_len;
	u8 type;
	__le16 value_len;
	u8 bytes[];
} __packed;

bool kecho_name_valid(const char *name, size_t len)
{
	size_t i;

	if (!len || len > KECHO_NAME_MAX || name[0] == '.')
		return false;
	for (i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}
EXPORT_SYMBOL_GPL(kecho_name_valid);

struct kecho_attrs *kecho_attrs_get(struct kecho_attrs *a)
{
	if (a)
		refcount_inc(&a->ref);
	return a;
}
EXPORT_SYMBOL_GPL(kecho_attrs_get);

void kecho_attrs_put(struct kecho_attrs *a)
{
	if (a && refcount_dec_and_test(&a->ref))
		kfree(a);
}
EXPORT_SYMBOL_GPL(kecho_attrs_put);

/* Reads the entry at @p. Its length, or -EBADMSG. */
static int attr_read(const u8 *p, size_t len, struct kecho_attr *attr)
{
	const struct attr_wire *w = (const void *)p;
	__le64 num;
	size_t vlen;
	u16 i;

	if (len < sizeof(*w))
		return -EBADMSG;
	vlen = le16_to_cpu(w->value_len);
	if (len < sizeof(*w) + w->name_len + vlen)
		return -EBADMSG;
	memset(attr, 0, sizeof(*attr));
	attr->name = (const char *)w->bytes;
	attr->name_len = w->name_len;
	attr->type = w->type;
	if (!kecho_name_valid(attr->name, attr->name_len))
		return -EBADMSG;
	switch (w->type) {
	case KECHO_ATTR_INT:
	case KECHO_ATTR_DECIMAL:
		if (vlen != sizeof(num))
			return -EBADMSG;
		memcpy(&num, w->bytes + w->name_len, sizeof(num));
		attr->num = le64_to_cpu(num);
		break;
	case KECHO_ATTR_STRING:
		if (vlen > KECHO_ATTR_VALUE_MAX)
			return -EBADMSG;
		attr->str = (const char *)w->bytes + w->name_len;
		attr->str_len = vlen;
		for (i = 0; i < vlen; i++)
			if ((u8)attr->str[i] < ' ' || attr->str[i] == 127)
				return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	return sizeof(*w) + w->name_len + vlen;
}

static int name_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, min(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

int __kecho_attrs_check(const void *data, size_t len)
{
	struct kecho_attr attr, last = { 0 };
	size_t pos = 0;
	int n;

	if (len > KECHO_ATTRS_BYTES_MAX)
		return -E2BIG;
	while (pos < len) {
		n = attr_read((const u8 *)data + pos, len - pos, &attr);
		if (n < 0)
			return n;
		if (last.name && name_cmp(last.name, last.name_len, attr.name, attr.name_len) >= 0)
			return -EBADMSG;
		last = attr;
		pos += n;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(__kecho_attrs_check);

int kecho_attrs_decode(const void *data, size_t len, gfp_t gfp, struct kecho_attrs **out)
{
	int err = kecho_attrs_check(data, len);
	struct kecho_attrs *a;

	*out = NULL;
	if (err || !len)
		return err;
	a = kmalloc(sizeof(*a) + len, gfp);
	if (!a)
		return -ENOMEM;
	refcount_set(&a->ref, 1);
	a->len = len;
	memcpy(a->data, data, len);
	*out = a;
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_attrs_decode);

bool kecho_attr_next(const void *attrs, size_t len, u32 *pos, struct kecho_attr *attr)
{
	int n;

	if (*pos >= len)
		return false;
	n = attr_read((const u8 *)attrs + *pos, len - *pos, attr);
	if (n < 0)
		return false;
	*pos += n;
	return true;
}
EXPORT_SYMBOL_GPL(kecho_attr_next);

bool kecho_attr_find(const void *attrs, size_t len, const char *name, struct kecho_attr *attr)
{
	size_t name_len = strlen(name), left;
	const struct attr_wire *w;
	const u8 *p = attrs;

	/* Only what is found is read whole: filters ask this for each candidate. */
	for (left = len; left >= sizeof(*w); ) {
		size_t size;

		w = (const void *)p;
		size = sizeof(*w) + w->name_len + le16_to_cpu(w->value_len);
		if (size > left)
			return false;
		if (w->name_len == name_len && !memcmp(w->bytes, name, name_len))
			return attr_read(p, left, attr) > 0;
		p += size;
		left -= size;
	}
	return false;
}
EXPORT_SYMBOL_GPL(kecho_attr_find);

int kecho_attr_encode(const char *lines, void *buf, size_t size)
{
	struct kecho_attrs *a;
	int err = kecho_attrs_merge_text(NULL, lines, strlen(lines), GFP_KERNEL, &a);

	if (err)
		return err;
	err = !a ? 0 : a->len > size ? -E2BIG : (int)a->len;
	if (err > 0)
		memcpy(buf, a->data, err);
	kecho_attrs_put(a);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_attr_encode);

bool kecho_attrs_next(const struct kecho_attrs *a, u32 *pos, struct kecho_attr *attr)
{
	return a && kecho_attr_next(a->data, a->len, pos, attr);
}
EXPORT_SYMBOL_GPL(kecho_attrs_next);

bool kecho_attrs_find(const struct kecho_attrs *a, const char *name, struct kecho_attr *attr)
{
	return a && kecho_attr_find(a->data, a->len, name, attr);
}
EXPORT_SYMBOL_GPL(kecho_attrs_find);

bool kecho_attrs_equal(const struct kecho_attrs *a, const struct kecho_attrs *b)
{
	size_t alen = a ? a->len : 0, blen = b ? b->len : 0;

	return alen == blen && (!alen || !memcmp(a->data, b->data, alen));
}
EXPORT_SYMBOL_GPL(kecho_attrs_equal);

int kecho_attr_cmp(const struct kecho_attr *a, const struct kecho_attr *b)
{
	bool as = a->type == KECHO_ATTR_STRING, bs = b->type == KECHO_ATTR_STRING;
	s64 ai, bi;
	s32 af = 0, bf = 0;

	if (as != bs)
		return as - bs;
	if (as)
		return name_cmp(a->str, a->str_len, b->str, b->str_len);
	ai = a->type == KECHO_ATTR_INT ? a->num : div_s64_rem(a->num, KECHO_DECIMAL_ONE, &af);
	bi = b->type == KECHO_ATTR_INT ? b->num : div_s64_rem(b->num, KECHO_DECIMAL_ONE, &bf);
	return ai != bi ? (ai > bi) - (ai < bi) : (af > bf) - (af < bf);
}
EXPORT_SYMBOL_GPL(kecho_attr_cmp);

bool kecho_attr_decimal(const struct kecho_attr *attr, s64 *value)
{
	s64 most = div_s64_rem(S64_MAX, KECHO_DECIMAL_ONE, &(s32){ 0 });

	if (attr->type == KECHO_ATTR_STRING)
		return false;
	if (attr->type == KECHO_ATTR_DECIMAL)
		*value = attr->num;
	else if (attr->num > most || attr->num < -most)
		*value = attr->num > 0 ? S64_MAX : S64_MIN;
	else
		*value = attr->num * KECHO_DECIMAL_ONE;
	return true;
}
EXPORT_SYMBOL_GPL(kecho_attr_decimal);

/* [-+]digits[.digits]: 0, or -EINVAL if it is no number that fits, which makes it a string. */
static int parse_number(struct kecho_attr *attr, const char *s, size_t len)
{
	u64 v = 0, limit = (u64)S64_MAX;
	size_t i = 0, digits = 0, places = 0;
	bool neg = false, point = false;

	if (len && (s[0] == '-' || s[0] == '+')) {
		neg = s[0] == '-';
		i++;
	}
	if (neg)
		limit++;
	for (; i < len; i++) {
		if (s[i] == '.' && !point && digits) {
			point = true;
			continue;
		}
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		if (v > (limit - (s[i] - '0')) / 10)
			return -EINVAL;
		v = v * 10 + (s[i] - '0');
		digits++;
		places += point;
	}
	if (!digits || (point && (!places || places > 9)))
		return -EINVAL;
	for (i = places; point && i < 9; i++) {
		if (v > limit / 10)
			return -EINVAL;
		v *= 10;
	}
	attr->type = point ? KECHO_ATTR_DECIMAL : KECHO_ATTR_INT;
	attr->num = neg ? (s64)(0 - v) : (s64)v;
	return 0;
}

int kecho_attr_parse_value(struct kecho_attr *attr, const char *s, size_t len)
{
	size_t i;

	attr->str = NULL;
	attr->str_len = 0;
	attr->num = 0;
	if (!parse_number(attr, s, len))
		return 0;
	if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
		s++;
		len -= 2;
	}
	if (len > KECHO_ATTR_VALUE_MAX)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if ((u8)s[i] < ' ' || s[i] == 127)
			return -EINVAL;
	attr->type = KECHO_ATTR_STRING;
	attr->str = s;
	attr->str_len = len;
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_attr_parse_value);

/* Replaces, inserts or (@attr->type 0) removes an entry of @a, which is private and has room for KECHO_ATTRS_BYTES_MAX. */
static int attrs_put_entry(struct kecho_attrs *a, const struct kecho_attr *attr)
{
	size_t vlen = attr->type == KECHO_ATTR_STRING ? attr->str_len : sizeof(__le64);
	size_t need = attr->type ? sizeof(struct attr_wire) + attr->name_len + vlen : 0;
	u32 pos = 0, at, old = 0;
	struct kecho_attr have;
	struct attr_wire *w;
	__le64 num;
	int c;

	for (at = 0; kecho_attrs_next(a, &pos, &have); at = pos) {
		c = name_cmp(have.name, have.name_len, attr->name, attr->name_len);
		if (!c)
			old = pos - at;
		if (c >= 0)
			break;
	}
	if (a->len - old + need > KECHO_ATTRS_BYTES_MAX)
		return -E2BIG;
	memmove(a->data + at + need, a->data + at + old, a->len - at - old);
	a->len = a->len - old + need;
	if (!need)
		return 0;
	w = (void *)(a->data + at);
	w->name_len = attr->name_len;
	w->type = attr->type;
	w->value_len = cpu_to_le16(vlen);
	memcpy(w->bytes, attr->name, attr->name_len);
	if (attr->type == KECHO_ATTR_STRING) {
		memcpy(w->bytes + attr->name_len, attr->str, vlen);
	} else {
		num = cpu_to_le64(attr->num);
		memcpy(w->bytes + attr->name_len, &num, sizeof(num));
	}
	return 0;
}

int kecho_attrs_merge_text(const struct kecho_attrs *base, const char *text, size_t len, gfp_t gfp,
			   struct kecho_attrs **out)
{
	const char *p = text, *end = len ? text + len : text, *nl, *eq;
	struct kecho_attrs *a;
	struct kecho_attr attr;
	int err = 0;

	*out = NULL;
	a = kmalloc(sizeof(*a) + KECHO_ATTRS_BYTES_MAX, gfp);
	if (!a)
		return -ENOMEM;
	a->len = base ? base->len : 0;
	if (base)
		memcpy(a->data, base->data, base->len);
	for (; p < end && !err; p = nl + 1) {
		nl = memchr(p, '\n', end - p);
		if (!nl)
			nl = end;
		if (nl == p)
			continue;
		memset(&attr, 0, sizeof(attr));
		eq = memchr(p, '=', nl - p);
		if (!eq || !kecho_name_valid(p, eq - p)) {
			err = -EINVAL;
			break;
		}
		attr.name = p;
		attr.name_len = eq - p;
		if (eq + 1 < nl)
			err = kecho_attr_parse_value(&attr, eq + 1, nl - eq - 1);
		if (!err)
			err = attrs_put_entry(a, &attr);
	}
	if (!err)
		err = kecho_attrs_decode(a->data, a->len, gfp, out);
	kfree(a);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_attrs_merge_text);

void kecho_attr_print_value(struct kecho_text *t, const struct kecho_attr *attr)
{
	struct kecho_attr again = { 0 };
	u64 v, whole;
	u32 frac;
	int places = 9;

	switch (attr->type) {
	case KECHO_ATTR_INT:
		kecho_text_printf(t, "%lld", attr->num);
		break;
	case KECHO_ATTR_DECIMAL:
		v = attr->num < 0 ? 0 - (u64)attr->num : (u64)attr->num;
		whole = div_u64(v, KECHO_DECIMAL_ONE);
		frac = v - whole * KECHO_DECIMAL_ONE;
		while (places > 1 && frac % 10 == 0) {
			frac /= 10;
			places--;
		}
		kecho_text_printf(t, "%s%llu.%0*u", attr->num < 0 ? "-" : "", whole, places, frac);
		break;
	default:
		/* Quoted where it would be read back as something else. */
		if (!attr->str_len || attr->str[0] == '"' || !parse_number(&again, attr->str, attr->str_len))
			kecho_text_printf(t, "\"%.*s\"", attr->str_len, attr->str);
		else
			kecho_text_append(t, attr->str, attr->str_len);
	}
}
EXPORT_SYMBOL_GPL(kecho_attr_print_value);

int kecho_attr_text(const struct kecho_attr *attr, char *buf, size_t size)
{
	struct kecho_text t = { 0 };
	int ret;

	kecho_attr_print_value(&t, attr);
	ret = t.err ? t.err : (int)t.len;
	if (ret >= 0 && size) {
		size = min(size - 1, t.len);
		if (size)
			memcpy(buf, t.buf, size);
		buf[size] = 0;
	}
	kecho_text_free(&t);
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_attr_text);

void kecho_attrs_print(struct kecho_text *t, const struct kecho_attrs *a, char sep)
{
	struct kecho_attr attr;
	u32 pos = 0;

	while (kecho_attrs_next(a, &pos, &attr)) {
		kecho_text_append(t, attr.name, attr.name_len);
		kecho_text_append(t, "=", 1);
		kecho_attr_print_value(t, &attr);
		kecho_text_append(t, &sep, 1);
	}
}
EXPORT_SYMBOL_GPL(kecho_attrs_print);
