// SPDX-License-Identifier: GPL-2.0
/* Keeps the one candidate of the second event that bpf.bats makes, if each field says what it says there. */
#include <linux/bpf.h>
#include <linux/kecho_bpf.h>
#include <stddef.h>

static long (*const load_bytes)(const void *skb, __u32 offset, void *to, __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
#define LOAD(skb, field, to) (!load_bytes(skb, offsetof(struct kecho_bpf_context, field), to, sizeof(*(to))))

static __attribute__((always_inline)) int same(const char *a, const char *b, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static __attribute__((always_inline)) int header(struct __sk_buff *skb)
{
	struct { __u16 version, header; __u8 out, prio, type_len, flags; __u32 len, deadline_us; } h;
	struct { __u64 publisher, seq, time_ns, self, node; __u32 sink, index, n, unused; __u64 age_ns; } w;
	char type[64];

	_Static_assert(sizeof(h) + sizeof(w) == offsetof(struct kecho_bpf_context, type), "all of the header");
	return LOAD(skb, version, &h) && LOAD(skb, publisher, &w) && LOAD(skb, type, &type) &&
	       h.version == KECHO_BPF_VERSION && h.header == sizeof(struct kecho_bpf_context) &&
	       !h.out && h.prio == 5 && h.type_len == 5 && h.flags == 1 << 1 && h.len == 3000 && !h.deadline_us &&
	       w.publisher && w.publisher == w.self && w.node == w.self && w.seq == 2 && w.time_ns > 1500000000000000000ull &&
	       w.sink && w.index == 0 && w.n == 1 && !w.age_ns && same(type, "alarm\0", 6);
}

static __attribute__((always_inline)) int attrs(struct __sk_buff *skb)
{
	struct kecho_bpf_attr a;

	return LOAD(skb, candidate[0], &a) && a.type == KECHO_BPF_DECIMAL && a.nano == -1500000000 && a.integer == -1 &&
	       LOAD(skb, candidate[1], &a) && a.type == KECHO_BPF_STR && a.len == 40 && same(a.str, "0123456789012345678901234567890a", 32) &&
	       LOAD(skb, candidate[2], &a) && a.type == KECHO_BPF_INT && a.nano == ~(1ull << 63) && a.integer == 10000000000ll &&
	       LOAD(skb, candidate[3], &a) && a.type == KECHO_BPF_NONE &&
	       LOAD(skb, candidate[4], &a) && a.type == KECHO_BPF_NONE &&
	       LOAD(skb, event[0], &a) && a.type == KECHO_BPF_NONE &&
	       LOAD(skb, event[3], &a) && a.type == KECHO_BPF_INT && a.nano == 2000000000 && a.integer == 2;
}

static __attribute__((always_inline)) int payload(struct __sk_buff *skb)
{
	__u32 at = sizeof(struct kecho_bpf_context);
	char first[4], last;

	return skb->len == at + KECHO_BPF_PAYLOAD && !load_bytes(skb, at, first, 4) && same(first, "keep", 4) &&
	       !load_bytes(skb, at + KECHO_BPF_PAYLOAD - 1, &last, 1) && last == 'l';
}

__attribute__((section("socket"), used)) int layout(struct __sk_buff *skb)
{
	return header(skb) && attrs(skb) && payload(skb);
}
