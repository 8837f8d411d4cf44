/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * What a BPF program in a channel's filter file sees: ``out bpf:/sys/fs/bpf/NAME attrs=load,zone``.
 * The same on the kernel's pseudo-filesystem and on kechofsd's mount.
 */
#ifndef _UAPI_LINUX_KECHO_BPF_H
#define _UAPI_LINUX_KECHO_BPF_H

#include <linux/types.h>

#define KECHO_BPF_VERSION	1
#define KECHO_BPF_ATTRS		8	/* that attrs= can name */
#define KECHO_BPF_STRING	32	/* bytes of a string that are there */
#define KECHO_BPF_PAYLOAD	2048	/* bytes of the payload, likewise */

/* kecho_bpf_attr.type */
enum kecho_bpf_type {
	KECHO_BPF_NONE		= 0,	/* there is no such attribute */
	KECHO_BPF_INT		= 1,
	KECHO_BPF_DECIMAL	= 2,
	KECHO_BPF_STR		= 3,
};

/**
 * struct kecho_bpf_attr - the value of an attribute
 * @nano: a number, integer or decimal, in units of 10^-9: for comparisons. Integers beyond what fits are the largest or the least.
 * @integer: an integer as it is; of a decimal what is before the point
 * @type: enum kecho_bpf_type
 * @len: bytes of a string
 * @str: as many of them as fit, then zeros
 */
struct kecho_bpf_attr {
	__s64	nano;
	__s64	integer;
	__u8	type;
	__u8	len;
	__u8	unused[6];
	char	str[KECHO_BPF_STRING];
};

/**
 * struct kecho_bpf_context - an event and one candidate, to whom the program is asked to give it
 * @version: KECHO_BPF_VERSION; one with more fields keeps these where they are
 * @header: where the payload begins
 * @out: 1: the OUT chain, 0: IN
 * @prio, @type_len, @deadline_us, @publisher, @seq, @time_ns: of the event, as in struct kecho_frame
 * @flags: KECHO_FRAME_LOCAL
 * @len: bytes of the payload, of which KECHO_BPF_PAYLOAD are there
 * @sink: number of the candidate on its node; 0: the node's plain sinks together
 * @node: id of the node that it is on
 * @self: id of this node
 * @age_ns: how long ago its attributes were heard; 0: it is on this node
 * @index, @n: it is number @index, from 0, of the @n that the filters before have left
 * @type: the event's type, then zeros
 * @candidate: what the candidate, or else its node, says of itself: the attributes that attrs= names, in that order
 * @event: likewise the event's
 *
 * All native endian, from offset 0 of the packet on: bpf_skb_load_bytes(skb, offsetof(struct kecho_bpf_context, sink), ...).
 * Behind it, at @header, stands the payload. What else the packet's struct __sk_buff says has no meaning.
 */
struct kecho_bpf_context {
	__u16	version;
	__u16	header;
	__u8	out;
	__u8	prio;
	__u8	type_len;
	__u8	flags;
	__u32	len;
	__u32	deadline_us;
	__u64	publisher;
	__u64	seq;
	__u64	time_ns;
	__u64	self;
	__u64	node;
	__u32	sink;
	__u32	index;
	__u32	n;
	__u32	unused;
	__u64	age_ns;
	char	type[64];
	struct kecho_bpf_attr candidate[KECHO_BPF_ATTRS];
	struct kecho_bpf_attr event[KECHO_BPF_ATTRS];
};

_Static_assert(sizeof(struct kecho_bpf_attr) == 56, "struct kecho_bpf_attr is ABI");
_Static_assert(sizeof(struct kecho_bpf_context) == 144 + 16 * 56, "struct kecho_bpf_context is ABI");

#endif /* _UAPI_LINUX_KECHO_BPF_H */
