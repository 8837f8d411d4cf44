/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_SIPHASH_H
#define COMPAT_LINUX_SIPHASH_H
#include <asm/byteorder.h>
#include <linux/types.h>
#include <sodium/crypto_shorthash_siphash24.h>

typedef struct {
	u64 key[2];
} siphash_key_t;

static inline u64 siphash(const void *data, size_t len, const siphash_key_t *key)
{
	__le64 k[2] = { cpu_to_le64(key->key[0]), cpu_to_le64(key->key[1]) }, v;

	crypto_shorthash_siphash24((unsigned char *)&v, data, len, (const unsigned char *)k);
	return le64_to_cpu(v);
}
#endif
