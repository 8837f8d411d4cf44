/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the client calls where the server is in the same node. All with cm.lock held. */
#ifndef KECHO_REGISTRY_H
#define KECHO_REGISTRY_H
#include "group.h"

/** kecho_registry_register() - @h: who asks; then who holds it. -ENOSPC, -ENOMEM */
int kecho_registry_register(struct kecho_registry *r, const char *name, struct kecho_holding *h, u64 now);
void kecho_registry_release(struct kecho_registry *r, const char *name, u64 contact);
/** kecho_registry_walk() - @name: only that one, or empty: all */
void kecho_registry_walk(struct kecho_registry *r, const char *name, u64 now,
			 void (*fn)(void *arg, const char *name, const struct kecho_holding *h), void *arg);
#endif
