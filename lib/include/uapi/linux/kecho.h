/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-2-Clause */
/*
 * The modes and attributes of an open channel file, the form of an event in framed mode, and the
 * shared memory by which a program publishes and receives without system calls.
 * The same on the kernel's pseudo-filesystem and on kechofsd's mount.
 */
#ifndef _UAPI_LINUX_KECHO_H
#define _UAPI_LINUX_KECHO_H

#include <linux/ioctl.h>
#include <linux/types.h>

#ifdef __cplusplus
#define __KECHO_ABI(type, size)	static_assert(sizeof(type) == (size), #type " is ABI")
#else
#define __KECHO_ABI(type, size)	_Static_assert(sizeof(type) == (size), #type " is ABI")
#endif

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
#define KECHO_FRAME_APART	4	/* in a ring: larger than it takes; read(2) the events file */

/**
 * struct kecho_frame - the header of an event in framed mode
 * @size: bytes of the whole event: header, type, attributes and payload
 * @header: sizeof(struct kecho_frame) of the writer; grows in later versions, readers skip what
 *	they do not know
 * @type_len: bytes of the type; 0: none
 * @prio: priority: more urgent events go first to other nodes, and with kecho.order=priority to readers
 * @seq: the publisher's own number on this channel; a jump is events that were not meant for this
 *	sink, or that were lost
 * @time_ns: CLOCK_REALTIME at publishing
 * @publisher: id of the node that published it
 * @lost: events lost for this reader since it opened the file
 * @deadline_us: so long after it was published the event is dropped by who has it then; 0: none
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

__KECHO_ABI(struct kecho_frame, 48);

/*
 * Rings. A program attaches an open events file to memory that it shares with the node, in which
 * there are two rings: one where it publishes and the node consumes, one the other way round. What
 * the file was opened for it may do: with O_WRONLY the second ring is empty for ever.
 *
 * On the kernel's node: open /dev/kecho, KECHO_IOC_ATTACH with the descriptor of the events file,
 * mmap struct kecho_attach.bytes at offset 0. poll tells when there is something to receive, or room
 * to publish; KECHO_IOC_KICK wakes the node. On kechofsd's: KECHO_IOC_SOCKET on the events file
 * names a SOCK_SEQPACKET socket; send struct kecho_attach with the token there, and get it back,
 * filled, with a descriptor of the memory. From then on a packet on the connection, of any byte, is
 * what wakes the program, and what kicks the node. (An eventfd would be the same open file for both:
 * by its O_NONBLOCK each could make the other one sleep.) The rings end when the device or the
 * connection is closed, or on kechofsd the events file.
 *
 * A record is a struct kecho_frame with the type, the attributes and the payload behind it, as in
 * framed mode, but that the attributes are as kecho_attr_encode() makes them. It starts at a
 * multiple of 8, and does not go around the end of the ring: one that does not fit before it begins
 * anew at 0, and a pad stands before it: a frame of which there are only @size and @header, which is
 * 0. A record is at most a quarter of the ring. For an event that is larger the node puts a frame
 * with KECHO_FRAME_APART, and nothing behind it: the next read(2) of the events file, in framed mode
 * (KECHO_IOC_MODE), returns the event, and more come only then. Other reads of the file are EBUSY.
 * One larger than the publishing ring takes is written to the events file.
 *
 * Ordering. The producer writes the record, then @head with release semantics; the consumer reads
 * @head with acquire semantics, then the record, then writes @tail with release semantics, which
 * the producer reads with acquire semantics before it writes there again. Positions count bytes,
 * modulo 2^32.
 *
 * Waking. Who is about to sleep sets its @..._waits to 1, then (after a full barrier) looks at the
 * other's position once more; if it does not sleep after all it sets it to 0. Who has moved its
 * position looks (after a full barrier) at the other's @..._waits, and if that is not 0 sets it to 0,
 * by an atomic exchange, and wakes the other if it was not 0 even then: once for each time that it
 * was set. A consumer does so only once half of the ring is free. So before it sleeps again who was
 * woken sets its own anew, and so does who shares it with others, each time that one of them sleeps.
 */
#define KECHO_RING_VERSION	2

/**
 * struct kecho_ring - where two are in a ring; each field is written by one side only, but for the waking
 * @head: the producer's: the end of what has been published
 * @producer_waits: the producer's: it sleeps until there is room; the consumer takes it back
 * @tail: the consumer's: the end of what has been consumed
 * @consumer_waits: the consumer's: it sleeps until there is something; the producer takes it back
 * @lost: the node's: of the receiving ring events lost for this program, of the publishing one
 *	records that could not be published: larger than max_event, or with a type or attributes that
 *	cannot be
 */
struct kecho_ring {
	__u32	head;
	__u32	producer_waits;
	__u32	unused1[14];
	__u32	tail;
	__u32	consumer_waits;
	__u32	unused2[14];
	__u64	lost;
	__u32	unused3[14];
};

/* struct kecho_rings.broken */
#define KECHO_RINGS_BROKEN	1

/**
 * struct kecho_rings - the beginning of the shared memory; the program only reads what is not in a ring
 * @version: KECHO_RING_VERSION; one with more fields keeps these where they are
 * @broken: KECHO_RINGS_BROKEN: the program has written what cannot be, and the node has let go of it
 * @max_event: the node's: the largest payload, in bytes
 * @publish_offset, @publish_size, @receive_offset, @receive_size: where the rings' bytes are; sizes
 *	are powers of two, or 0: the file is not open for that
 */
struct kecho_rings {
	__u32	version;
	__u32	broken;
	__u32	max_event;
	__u32	publish_offset;
	__u32	publish_size;
	__u32	receive_offset;
	__u32	receive_size;
	__u32	unused[9];
	struct kecho_ring publish;
	struct kecho_ring receive;
};

__KECHO_ABI(struct kecho_ring, 192);
__KECHO_ABI(struct kecho_rings, 64 + 2 * 192);

#define KECHO_RING_MIN		4096		/* bytes of a ring */
#define KECHO_RING_MAX		(64 << 20)
#define KECHO_RING_IDLE_MAX	1000000		/* microseconds */

/**
 * struct kecho_attach - what a program wishes, and gets
 * @version: KECHO_RING_VERSION
 * @events: descriptor of the events file; for a socket 0, and in its answer 0 or -errno
 * @token: from KECHO_IOC_SOCKET, otherwise 0
 * @publish_size, @receive_size: bytes of the rings, rounded up to a power of two within
 *	KECHO_RING_MIN and KECHO_RING_MAX; given is what they have become
 * @idle_us: how long the node looks for more to take or to give before it sleeps, from the attachment
 *	and from each event on, so that it need not be kicked; it costs a processor meanwhile. At most
 *	KECHO_RING_IDLE_MAX
 * @flags: 0
 * @bytes: given: what there is to map
 */
struct kecho_attach {
	__u32	version;
	__s32	events;
	__u64	token;
	__u32	publish_size;
	__u32	receive_size;
	__u32	idle_us;
	__u32	flags;
	__u64	bytes;
};

__KECHO_ABI(struct kecho_attach, 40);

/**
 * struct kecho_socket - where the rings of an open events file are handed out
 * @token: proves that the file is open
 * @name: of an abstract Unix socket, without the leading NUL
 */
struct kecho_socket {
	__u64	token;
	char	name[100];
	__u32	unused;
};

/*
 * On /dev/kecho. EINVAL: no such version or flags. EBADF, ENOTTY: @events is not an open events file
 * of this network namespace's node. EBUSY: it is attached already, or this descriptor is. ENOMEM.
 * ENOSPC, of kechofsd: this user's rings are too large in all.
 */
#define KECHO_IOC_ATTACH	_IOWR('k', 3, struct kecho_attach)
/* On /dev/kecho: take what has been published, give what waits for room. EPROTO: the rings are broken. */
#define KECHO_IOC_KICK		_IO('k', 4)
/* On an events file of kechofsd; ENOTTY on the kernel's. */
#define KECHO_IOC_SOCKET	_IOR('k', 5, struct kecho_socket)

/* kecho_boost.policy */
#define KECHO_BOOST_NONE	0
#define KECHO_BOOST_NICE	1	/* the nice value @nice */
#define KECHO_BOOST_FIFO	2	/* SCHED_FIFO, at its lowest priority */

#define KECHO_BOOST_MAX_US	1000000

/**
 * struct kecho_boost - favour the calling thread while an event waits for it
 * @policy: KECHO_BOOST_*
 * @nice: -20 to 19; has an effect only where it is less than the thread's own
 * @max_us: for so long at most after an event has come, up to KECHO_BOOST_MAX_US; 0: 10000
 */
struct kecho_boost {
	__u32	policy;
	__s32	nice;
	__u32	max_us;
};

/*
 * On an events file: from now on the calling thread is favoured from when an event is queued for the
 * file until it asks for the next one and there is none, or until @max_us have passed; of rings it is
 * not seen that a program asks, so that it is always the latter. A thread that
 * is favoured already, or of a real-time policy, is left as it is. EBADF: not open for reading.
 * EINVAL: no such policy or value. EPERM: the thread may not give itself that priority: it needs
 * CAP_SYS_NICE, or RLIMIT_NICE or RLIMIT_RTPRIO must allow it. Another call replaces the first.
 */
#define KECHO_IOC_BOOST		_IOW('k', 6, struct kecho_boost)

#endif /* _UAPI_LINUX_KECHO_H */
