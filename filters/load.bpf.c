// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Only candidates whose attribute load is known and below 0.8.
 *
 *	bpftool prog load build/filters/load.bpf.o /sys/fs/bpf/load
 *	kecho filter CHANNEL add out bpf:/sys/fs/bpf/load attrs=load
 */
#include <linux/bpf.h>
#include <linux/kecho_bpf.h>
#include <stddef.h>

#define MOST 800000000	/* 10^-9 */

static long (*const load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;

__attribute__((section("socket"), used)) int load(struct __sk_buff *skb)
{
	struct kecho_bpf_attr a;

	if (load_bytes(skb, offsetof(struct kecho_bpf_context, candidate[0]), &a, sizeof(a)))
		return 0;
	return (a.type == KECHO_BPF_INT || a.type == KECHO_BPF_DECIMAL) && a.nano < MOST;
}
