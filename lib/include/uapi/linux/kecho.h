/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * The modes and attributes of an open channel file, and the form of an event in framed mode.
 * The same on the kernel's pseudo-filesystem and on kechofsd's mount.
 */
#ifndef _UAPI_LINUX_KECHO_H
#define _UAPI_LINUX_KECHO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * enum kecho_mode - how an open events file cuts its bytes into events
 * @KECHO_MODE_TEXT: one line is one event; the default
 * @KECHO_MODE_PACKET: one write is one event, one read returns one event, bytes untouched; the
 *	default of a file opened with O_DIRECT
 * @KECHO_MODE_FRAMED: like packets, with a struct kecho_frame, the type and the attributes in front
 */
enum kecho_mode {
	KECHO_MODE_TEXT		= 0,
	KECHO_MODE_PACKET	= 1,
	KECHO_MODE_FRAMED	= 2,
};

/*
 * Sets this open file's mode to an enum kecho_mode; a file opened for both directions gets it for
 * both. EINVAL: no such mode. EBUSY: in the middle of a line or of an event.
 */
#define KECHO_IOC_MODE	_IOW('k', 1, __u32)

/**
 * struct kecho_sink_attrs - what a subscription says of itself
 * @lines: ``name=value`` each, as the file attrs takes them; ``name=`` removes. Ended by a NUL.
 */
struct kecho_sink_attrs {
	char	lines[4096];
};

/*
 * Sets attributes of this open file's subscription, beside those that it has, all of them or none:
 * from then on filters, of all members, see it as a receiver of its own. EBADF: not open for
 * reading. EINVAL: a bad line, or no NUL. E2BIG: more than 4096 bytes in all.
 */
#define KECHO_IOC_ATTRS	_IOW('k', 2, struct kecho_sink_attrs)

/* kecho_frame.flags, when reading. */
#define KECHO_FRAME_RETAINED	1	/* one of the events that the channel retains */
#define KECHO_FRAME_LOCAL	2	/* published on this node */

/**
 * struct kecho_frame - the header of an event in framed mode
 * @size: bytes of the whole event: header, type, attributes and payload
 * @header: sizeof(struct kecho_frame) of the writer; grows in later versions, readers skip what
 *	they do not know
 * @type_len: bytes of the type; 0: none
 * @prio: priority, as kecho.order=priority sorts
 * @seq: the publisher's own number on this channel; a jump is events that were not meant for this
 *	sink, or that were lost
 * @time_ns: CLOCK_REALTIME at publishing
 * @publisher: id of the node that published it
 * @lost: events lost for this reader since it opened the file
 * @deadline_us: 0: none
 * @attrs_len: bytes of the attributes
 * @flags: KECHO_FRAME_*
 *
 * All native endian. Behind the header (@header bytes) follow the type (@type_len bytes, no NUL),
 * the attributes (@attrs_len bytes of text, one ``name=value\n`` each) and the payload (the rest).
 *
 * When writing, @seq, @time_ns, @publisher, @lost and @flags are 0, otherwise EINVAL. When reading
 * into a buffer that is smaller than @size: EMSGSIZE, and the event stays.
 */
struct kecho_frame {
	__u32	size;
	__u16	header;
	__u8	type_len;
	__u8	prio;
	__u64	seq;
	__u64	time_ns;
	__u64	publisher;
	__u64	lost;
	__u32	deadline_us;
	__u16	attrs_len;
	__u16	flags;
};

_Static_assert(sizeof(struct kecho_frame) == 48, "struct kecho_frame is ABI");

#endif /* _UAPI_LINUX_KECHO_H */
