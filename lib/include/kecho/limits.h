/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Every limit of KECho
 *
 * What comes from the wire, a file or user memory is checked against these before anything is allocated for it.
 */
#ifndef KECHO_LIMITS_H
#define KECHO_LIMITS_H

/* Names: of nodes, channels, types, attributes, filters. Bytes, without a NUL. */
#define KECHO_NAME_MAX		64

/* Attributes of one member, sink or event. */
#define KECHO_ATTR_VALUE_MAX	255	/* bytes of a string */
#define KECHO_ATTRS_BYTES_MAX	4096	/* encoded */

/* Events. */
#define KECHO_EVENT_MIN		1	/* the least max_event that can be set */
#define KECHO_EVENT_DEFAULT	(1u << 20)
#define KECHO_EVENT_MAX		(16u << 20)
#define KECHO_PRIO_MAX		7
#define KECHO_PRIOS		(KECHO_PRIO_MAX + 1)

/* A record on a link: the largest event with all that can stand around it. */
#define KECHO_RECORD_MAX	(KECHO_EVENT_MAX + (64u << 10))
/* Records other than events. */
#define KECHO_CONTROL_MAX	(60u << 10)

/* Filters. */
#define KECHO_FILTERS_MAX	64	/* of a channel */
#define KECHO_FILTER_NAME_MAX	255	/* bpf: and a path */
#define KECHO_BUDGET_US		10000	/* a filter that takes longer, */
#define KECHO_BUDGET_OVERRUNS	3	/* so many times one after another, is disabled */
#define KECHO_BUDGET_MAX_US	1000000

/* Queues, of one sink or of one member behind a link. Both bounds hold. */
#define KECHO_QUEUE_DEFAULT	1024
#define KECHO_QUEUE_MAX		(1u << 18)
#define KECHO_QUEUE_BYTES	(32u << 20)
#define KECHO_RETAIN_MAX	1024
#define KECHO_RETAIN_BYTES	(16u << 20)
/* What all the queues of one user's sinks may hold together. */
#define KECHO_USER_BYTES	(256u << 20)

/* What kechofsd lends one user as memory for rings; the kernel's is charged to the memory cgroup. */
#define KECHO_USER_RINGS	(256u << 20)

/* A link's records that the peer has not acknowledged, and its control records not yet sent. */
#define KECHO_HISTORY_BYTES	(4u << 20)
#define KECHO_HISTORY_RECORDS	4096
#define KECHO_CONTROL_QUEUE	(16u << 20)	/* a JOIN for each of KECHO_CHANNELS_MAX */
/* So many links a publisher serves itself; the others have workers. */
#define KECHO_BATCH_LINKS	8
/* Bytes that a TCP socket takes before it has sent the others: behind those, and what goes to it at once, an urgent event waits. */
#define KECHO_TCP_UNSENT	(32u << 10)
#define KECHO_TCP_FILL		(64u << 10)
/* How much may arrive before it is acknowledged. */
#define KECHO_ACK_RECORDS	64
#define KECHO_ACK_BYTES		(256u << 10)
/* An event may overtake so many records, where the transport keeps no order. */
#define KECHO_OVERTAKE_MAX	4096
/* So long after events of different priorities those that are less urgent are to leave no queue in the path. */
#define KECHO_MIXED_MS		10000
/* Records of a link that have come in parts, or before what they come after: all that the peer may have unacknowledged. */
#define KECHO_PARTS_MAX		(4 * KECHO_HISTORY_RECORDS)
#define KECHO_PARTS_BYTES	(4 * KECHO_HISTORY_BYTES + KECHO_RECORD_MAX + 64)

/* Reliable UDP. */
#define KECHO_RUDP_MTU_MIN	1200	/* bytes of a datagram that every path takes (RFC 9000, 14) */
#define KECHO_RUDP_MTU_MAX	61440
#define KECHO_RUDP_RANGES	32	/* of packets, in an acknowledgement */
#define KECHO_RUDP_ACK_PACKETS	2	/* so many arrive before they are acknowledged, */
#define KECHO_RUDP_ACK_MS	5	/* or so long */
#define KECHO_RUDP_CALL_MS	1000	/* so long a peer is asked for a connection */
#define KECHO_RUDP_AGAIN_MS	10000	/* so often one that is reached by TCP only is asked */
#define KECHO_RUDP_COOKIE_S	10	/* so long a cookie is good */

/* A node. */
#define KECHO_CHANNELS_MAX	65536
#define KECHO_TYPES_MAX		1024	/* of a channel, that have a directory */
#define KECHO_TAILS_MAX		64	/* of a channel: last lines of closed files that wait for room */
#define KECHO_LINKS_MAX		1024
#define KECHO_PENDING_MAX	64	/* accepted connections that have not said hello */
#define KECHO_MEMBERS_MAX	1024	/* of a channel */
#define KECHO_DESCRIBED_MAX	256	/* described sinks that a member may advertise on a channel */
#define KECHO_PEERS_MAX		64	/* configured peer= and group= addresses */

/* Times, milliseconds. */
#define KECHO_HEARTBEAT_MS	1000
#define KECHO_HEARTBEAT_MIN_MS	20
#define KECHO_HEARTBEAT_MAX_MS	60000
#define KECHO_SUSPECT_BEATS	3	/* silent for so many heartbeats: the connection is given up */
#define KECHO_GONE_BEATS	5	/* and not back in so many more: the peer's members are removed */
#define KECHO_HELLO_MS		5000	/* a connection that has not finished its handshake is closed */
#define KECHO_ACK_MS		250	/* an acknowledgement waits so long for a record to travel with */
#define KECHO_ADVERT_MS		20	/* a change of attributes likewise for an event */
#define KECHO_REFRESH_MS	1000	/* so often what has not changed is said again, if it is written again */
#define KECHO_BACKOFF_MIN_MS	100
#define KECHO_BACKOFF_MAX_MS	5000
#define KECHO_REDIAL_MS		600000	/* how long a lost peer is called, so that a split heals */
#define KECHO_LEASE_MS		15000
#define KECHO_LEASE_MIN_MS	500
#define KECHO_LEASE_MAX_MS	3600000
#define KECHO_JOIN_MS		3000	/* mkdir waits so long for the channel's members */
#define KECHO_REGISTRY_MS	1000	/* a question to the group server */
#define KECHO_REGISTRY_MAX	65536	/* channels that a group server holds */

/* Ports, in the range that IANA leaves to anyone who registers; not registered. */
#define KECHO_PORT		7325
#define KECHO_GROUP_PORT	7326
#endif
