/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: BPF programs as filters
 *
 * bpf:PATH in a filter file is a program that is run once for each event and candidate and says whether to keep it. How it is found
 * and run is the home's; what it sees is made here, so that it is the same.
 */
#ifndef KECHO_BPF_H
#define KECHO_BPF_H
#include <kecho/filter.h>
#include <linux/kecho_bpf.h>

/* The longest packet. */
#define KECHO_BPF_PACKET (sizeof(struct kecho_bpf_context) + KECHO_BPF_PAYLOAD)

/** kecho_bpf_setup() - &kecho_filter_ops.setup: attrs=NAME[,NAME...] */
int kecho_bpf_setup(struct kecho_filter *f, const void *args, size_t len, void **config);

/**
 * kecho_bpf_run() - &kecho_filter_ops.run
 * @packet: KECHO_BPF_PACKET bytes, zeroed at first; nobody else's
 * @keep: runs the program on the first @len of them
 */
void kecho_bpf_run(struct kecho_filter *f, struct kecho_pass *p, void *packet, bool (*keep)(struct kecho_filter *f, u32 len));
#endif
