/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Attribute lists
 *
 * A list of typed name-value pairs *is* its encoding: one immutable, reference-counted block, entries sorted by name.
 * So it is encoded once, compared by memcmp(), shared without copies, and a change that fails half-way has changed nothing:
 * whoever changes a list makes a new one and swaps the pointer. NULL is the empty list.
 *
 * An entry: u8 name length, u8 type, le16 value length, name, value. An integer is le64; a decimal is le64 in units of
 * 10^-9 (there is no floating point in the kernel); a string is its bytes.
 */
#ifndef KECHO_ATTR_H
#define KECHO_ATTR_H
#include <linux/types.h>
#include <linux/refcount.h>
#include <kecho/kecho.h>
#include <kecho/limits.h>

/**
 * struct kecho_attrs - an attribute list
 * @ref: references; kecho_attrs_get(), kecho_attrs_put()
 * @len: bytes in @data
 * @data: the entries, as they travel
 */
struct kecho_attrs {
	refcount_t ref;
	u32 len;
	u8 data[];
};

/** kecho_name_valid() - may this be the name of a node, channel, type, attribute or filter? */
bool kecho_name_valid(const char *name, size_t len);

struct kecho_attrs *kecho_attrs_get(struct kecho_attrs *a);
void kecho_attrs_put(struct kecho_attrs *a);

int __kecho_attrs_check(const void *data, size_t len);
/** kecho_attrs_check() - are these bytes a list? 0, -EBADMSG if malformed or unsorted, -E2BIG */
static inline int kecho_attrs_check(const void *data, size_t len)
{
	return len ? __kecho_attrs_check(data, len) : 0;
}
/**
 * kecho_attrs_decode() - check bytes from outside and make a list of them
 * @out: the list, a new reference; NULL for no bytes
 * Return: 0, -ENOMEM, or as kecho_attrs_check()
 */
int kecho_attrs_decode(const void *data, size_t len, gfp_t gfp, struct kecho_attrs **out);

/**
 * kecho_attrs_merge_text() - apply lines ``name=value`` (``name=`` removes) to a list
 * @base: the list before; not changed, its reference is not taken
 * @out: the list after, a new reference
 * Return: 0; -EINVAL with nothing done if any line is wrong; -E2BIG, -ENOMEM
 */
int kecho_attrs_merge_text(const struct kecho_attrs *base, const char *text, size_t len, gfp_t gfp,
			   struct kecho_attrs **out);

/** kecho_attrs_next() - walk: @pos starts at 0; false at the end */
bool kecho_attrs_next(const struct kecho_attrs *a, u32 *pos, struct kecho_attr *attr);
bool kecho_attrs_find(const struct kecho_attrs *a, const char *name, struct kecho_attr *attr);
bool kecho_attrs_equal(const struct kecho_attrs *a, const struct kecho_attrs *b);

/** kecho_attr_parse_value() - read a value's text form into @attr (name untouched). -EINVAL */
int kecho_attr_parse_value(struct kecho_attr *attr, const char *s, size_t len);

struct kecho_text;
/** kecho_attr_print_value() - its text form */
void kecho_attr_print_value(struct kecho_text *t, const struct kecho_attr *attr);
/** kecho_attrs_print() - the text form: name=value pairs, @sep after each */
void kecho_attrs_print(struct kecho_text *t, const struct kecho_attrs *a, char sep);
#endif
