// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "../attr/attr.h"
#include "wire.h"

const char *kecho_addr_str(const struct kecho_addr *a, char *buf)
{
	u16 port = be16_to_cpu(a->port);
	const u8 *p = a->ip;

	if (a->family == 4)
		scnprintf(buf, KECHO_ADDR_STRLEN, "%u.%u.%u.%u:%u", p[0], p[1], p[2], p[3], port);
	else if (a->family == 6)
		scnprintf(buf, KECHO_ADDR_STRLEN, "[%x:%x:%x:%x:%x:%x:%x:%x]:%u", p[0] << 8 | p[1], p[2] << 8 | p[3],
			  p[4] << 8 | p[5], p[6] << 8 | p[7], p[8] << 8 | p[9], p[10] << 8 | p[11],
			  p[12] << 8 | p[13], p[14] << 8 | p[15], port);
	else
		strscpy(buf, "-", KECHO_ADDR_STRLEN);
	return buf;
}
EXPORT_SYMBOL_GPL(kecho_addr_str);

bool kecho_addr_equal(const struct kecho_addr *a, const struct kecho_addr *b)
{
	return a->family == b->family && a->port == b->port && !memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16);
}
EXPORT_SYMBOL_GPL(kecho_addr_equal);

void kecho_enc_start(struct kecho_enc *e, u32 cap, gfp_t gfp)
{
	e->cap = cap;
	e->err = 0;
	e->msg = kecho_msg_alloc(cap, gfp);
	if (e->msg)
		e->msg->len = 0;
	else
		e->err = -ENOMEM;
}
EXPORT_SYMBOL_GPL(kecho_enc_start);

struct kecho_msg *kecho_enc_finish(struct kecho_enc *e)
{
	if (!e->err)
		return e->msg;
	kecho_msg_put(e->msg);
	return NULL;
}
EXPORT_SYMBOL_GPL(kecho_enc_finish);

void kecho_enc_bytes(struct kecho_enc *e, const void *p, size_t len)
{
	if (e->err)
		return;
	if (len > e->cap - e->msg->len) {
		e->err = -E2BIG;
		return;
	}
	if (len)
		memcpy(e->msg->data + e->msg->len, p, len);
	e->msg->len += len;
}
EXPORT_SYMBOL_GPL(kecho_enc_bytes);

void kecho_enc_u8(struct kecho_enc *e, u8 v)
{
	kecho_enc_bytes(e, &v, sizeof(v));
}
EXPORT_SYMBOL_GPL(kecho_enc_u8);

void kecho_enc_u16(struct kecho_enc *e, u16 v)
{
	__le16 w = cpu_to_le16(v);

	kecho_enc_bytes(e, &w, sizeof(w));
}
EXPORT_SYMBOL_GPL(kecho_enc_u16);

void kecho_enc_u32(struct kecho_enc *e, u32 v)
{
	__le32 w = cpu_to_le32(v);

	kecho_enc_bytes(e, &w, sizeof(w));
}
EXPORT_SYMBOL_GPL(kecho_enc_u32);

void kecho_enc_u64(struct kecho_enc *e, u64 v)
{
	__le64 w = cpu_to_le64(v);

	kecho_enc_bytes(e, &w, sizeof(w));
}
EXPORT_SYMBOL_GPL(kecho_enc_u64);

void kecho_enc_name(struct kecho_enc *e, const char *name)
{
	size_t len = strlen(name);

	kecho_enc_u8(e, len);
	kecho_enc_bytes(e, name, len);
}
EXPORT_SYMBOL_GPL(kecho_enc_name);

void kecho_enc_addr(struct kecho_enc *e, const struct kecho_addr *a)
{
	kecho_enc_bytes(e, a, sizeof(*a));
}
EXPORT_SYMBOL_GPL(kecho_enc_addr);

void kecho_dec_start(struct kecho_dec *d, const void *p, size_t len)
{
	d->p = p;
	d->end = d->p + len;
	d->bad = false;
}
EXPORT_SYMBOL_GPL(kecho_dec_start);

const void *kecho_dec_bytes(struct kecho_dec *d, size_t len)
{
	const void *p = d->p;

	if (d->bad || len > (size_t)(d->end - d->p)) {
		d->bad = true;
		return NULL;
	}
	d->p += len;
	return p;
}
EXPORT_SYMBOL_GPL(kecho_dec_bytes);

u8 kecho_dec_u8(struct kecho_dec *d)
{
	const u8 *p = kecho_dec_bytes(d, 1);

	return p ? *p : 0;
}
EXPORT_SYMBOL_GPL(kecho_dec_u8);

u16 kecho_dec_u16(struct kecho_dec *d)
{
	const void *p = kecho_dec_bytes(d, 2);
	__le16 v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le16_to_cpu(v);
}
EXPORT_SYMBOL_GPL(kecho_dec_u16);

u32 kecho_dec_u32(struct kecho_dec *d)
{
	const void *p = kecho_dec_bytes(d, 4);
	__le32 v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le32_to_cpu(v);
}
EXPORT_SYMBOL_GPL(kecho_dec_u32);

u64 kecho_dec_u64(struct kecho_dec *d)
{
	const void *p = kecho_dec_bytes(d, 8);
	__le64 v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return le64_to_cpu(v);
}
EXPORT_SYMBOL_GPL(kecho_dec_u64);

u64 kecho_dec_count(struct kecho_dec *d)
{
	u64 v = kecho_dec_u64(d);

	if (v > U64_MAX / 2)
		d->bad = true;
	return v;
}
EXPORT_SYMBOL_GPL(kecho_dec_count);

void kecho_dec_name(struct kecho_dec *d, char *name, bool empty)
{
	u8 len = kecho_dec_u8(d);
	const char *p = kecho_dec_bytes(d, len);

	name[0] = 0;
	if (!p || (!len && empty))
		return;
	if (!kecho_name_valid(p, len)) {
		d->bad = true;
		return;
	}
	memcpy(name, p, len);
	name[len] = 0;
}
EXPORT_SYMBOL_GPL(kecho_dec_name);

void kecho_dec_addr(struct kecho_dec *d, struct kecho_addr *a)
{
	const void *p = kecho_dec_bytes(d, sizeof(*a));

	memset(a, 0, sizeof(*a));
	if (!p)
		return;
	memcpy(a, p, sizeof(*a));
	if (a->family && a->family != 4 && a->family != 6)
		d->bad = true;
	if (!a->family)
		a->port = 0;
	if (a->family == 4)
		memset(a->ip + 4, 0, 12);
}
EXPORT_SYMBOL_GPL(kecho_dec_addr);
