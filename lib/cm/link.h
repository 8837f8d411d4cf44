/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Links
 *
 * A *link* joins two nodes and carries all their channels. It outlives the *connections* (a TCP socket, say) that carry it
 * one after another: records are numbered, the sender keeps each until it is acknowledged, and when a connection breaks the
 * next one's handshake tells each side what the other has, so that it goes on there: nothing is lost, nothing comes twice.
 * (fs/dlm's midcomms does the same above its connections.) What a link remembers of its peer is a *session*; it ends when the
 * peer stays away too long, starts anew, leaves (BYE) or breaks the protocol, and then its users hear down().
 *
 *	        connection is up                 silence, or it broke
 *	DOWN ----------------------> UP ------------------------------> SUSPECT
 *	 ^  (new session: up())      ^ |                                 |  |
 *	 |                           | +--- BYE, bad record: down() ---+ |  | another connection, same session:
 *	 |                           +---------------------------------|-+--+ resume
 *	 +--- gone for KECHO_GONE_BEATS, or a new session: down() <----+-+
 *
 * Handshake. Who opened the connection sends HELLO, the acceptor checks it and sends its own. Each names its session and the
 * session that it remembers of the other; only if both match does the acceptor set RESUMED, and the opener goes by that flag.
 * HELLO has room for a security suite: what it chooses will seal whole records, so that they need not change.
 *
 * Two connections. When two nodes call each other at once, the one opened by the node with the lower id stays; an acceptor that
 * refuses a connection on that ground says who it is, and pings the one it keeps, so that a half-open one is found out at once.
 * A second connection by the same opener replaces the first: it would not call if it had one.
 *
 * Two transports. A link goes by TCP, or by reliable UDP (rudp.h) if either node wishes that and both can: its own default, or a channel
 * that both are on. A connection of the one replaces one of the other as any connection replaces another, and the session goes on. Who
 * wishes rudp calls so, every second time by TCP, and again while the link is up by TCP; such a connection stays whoever opened it.
 *
 * Deadlines. An event past its own is dropped where it waits. If it has a number already it is sent as EXPIRED instead, so that no
 * number is missing and the receiver counts it as what it is; what of it had arrived is thrown away.
 *
 * Flow of records out: control queue and flows (one a channel; the most urgent events first) -> kecho_cm_tx_fill() numbers them ->
 * sent list -> acknowledged, freed. A flow is numbered only when it is sent, so that what waits in it can still be dropped by the
 * channel's policy.
 *
 * No I/O and no clock in here: a home passes in bytes and times, and is told by &struct kecho_cm_ops what to do.
 *
 * Locking. kecho_cm.lock (a mutex) covers the set of links, handshakes, states and timers. kecho_link.lock (a spinlock)
 * covers what records pass through: numbers, queues, flows, and @conn. kecho_link.rx_lock (a mutex) is held while a record is taken:
 * one that came by a connection which has broken goes before those of the next. Where nothing may sleep an event is taken with
 * kecho_link.now_lock (a spinlock) in its place, unless who has the mutex is @taking one. Order: rx_lock, now_lock, cm.lock, link.lock.
 * Upcalls up() and down() come with cm.lock held, record() with rx_lock or, an event, now_lock. A home serialises kecho_cm_rx() and
 * kecho_cm_rx_event() of one connection, and kecho_cm_tx_fill() and kecho_cm_tx_done() of one.
 */
#ifndef KECHO_LINK_H
#define KECHO_LINK_H
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include "recovery.h"
#include "wire.h"

struct kecho_cm;
struct kecho_link;
struct kecho_conn;

enum kecho_overflow {
	KECHO_DROP_OLDEST,
	KECHO_DROP_NEWEST,
	KECHO_BLOCK,
};

/* What a node is, in HELLO. */
#define KECHO_ROLE_MEMBER	1	/* is on channels */
#define KECHO_ROLE_REGISTRY	2	/* serves the channel registry */

/**
 * struct kecho_cm_ops - what a home does for its links. Called with locks held: must not call back into cm, may only note.
 * @dial: open a connection to link->host, or link->addr; then kecho_cm_dialed() or kecho_cm_dial_failed()
 * @kick: the connection has something to send: kecho_cm_tx_fill() soon
 * @close: close the connection; cm has let go of it and does not want kecho_cm_closed()
 * @due: kecho_cm_tick() is wanted at @when, or earlier; the earliest call counts
 */
struct kecho_cm_ops {
	void (*dial)(struct kecho_cm *cm, struct kecho_link *link);
	void (*kick)(struct kecho_conn *conn);
	void (*close)(struct kecho_conn *conn);
	void (*due)(struct kecho_cm *cm, u64 when);
};

/**
 * struct kecho_cm_user - who uses the links
 * @up: a session begins: nothing of an earlier one is valid
 * @down: it has ended; flows on it are to be destroyed here
 * @record: a numbered record that is not cm's own; takes over the reference to @msg. An error ends the session: a record that
 *	cannot be taken must not be lost in silence, and one that is malformed would only come again.
 */
struct kecho_cm_user {
	void (*up)(struct kecho_link *link, u64 now);
	void (*down)(struct kecho_link *link, u64 now);
	int (*record)(struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now);
};

/** struct kecho_cm_stats - counters, never reset */
struct kecho_cm_stats {
	atomic64_t connects, accepts, refused, protocol_errors, resumes, resets, timeouts, expired;
	atomic64_t tx_records, tx_bytes, rx_records, rx_bytes, lost_unacked;
};

/**
 * struct kecho_cm - the links of a node
 * @id: the node's, not 0; new at each start, so that a node that comes back is not taken for the one that left
 * @rng: xorshift64 state for sessions and jitter, seeded by the home
 * @max_body: the longest record accepted
 * @heartbeat: nanoseconds
 * @udp: its home carries reliable UDP; @rudp: that is wished for all links
 * @home: what carries its connections, for @ops
 */
struct kecho_cm {
	struct mutex lock;
	u64 id;
	u64 rng;
	u64 heartbeat;
	u32 max_body;
	u8 roles;
	bool udp, rudp;
	char name[KECHO_NAME_MAX + 1];
	struct kecho_addr listen;
	void *home;
	const struct kecho_cm_ops *ops;
	const struct kecho_cm_user *user;
	struct list_head links;
	struct list_head pending;
	u32 nlinks;
	u32 npending;
	struct kecho_cm_stats stats;
};

enum kecho_link_state {
	KECHO_LINK_DOWN,
	KECHO_LINK_UP,
	KECHO_LINK_SUSPECT,
};

/**
 * struct kecho_link - a link to another node
 *
 * Listed from kecho_cm_call() or the peer's first HELLO until it has neither session, connection, nor reason to be called
 * again (kecho_cm_tick() drops it then), or kecho_cm_exit(). Each connection holds a reference, so that it may outlive the list.
 *
 * @rudp: reliable UDP is wished for it; @no_udp: the peer has said that it has none
 * @host: as configured, for the home to resolve; NULL: @addr. Such a link is called for ever.
 * @alias: what was reached here last has a link already: not called while that one lives
 * @dialing: the home is at it, or @conn exists and has not said hello
 * @redial_until: called again until then, though not configured
 * @out: numbered records, the first not acknowledged; @cur the first not wholly sent, &out if none
 * @taking: who holds @rx_lock takes a record; @now_lock
 * @begun: behind @cur, of which a part has gone, too; each overtakes the one before it, by a transport that lets them
 * @overtaken: all that is behind @cur, but what is left of @begun, has been sent
 * @ctl: records to be numbered before any flow
 * @ready: @nready flows with something queued, by their most urgent event, those of one priority served in turn
 * @seen: a bit for each of the KECHO_OVERTAKE_MAX records behind @rx_seq that have overtaken others, by their numbers
 * @last: the number of the last event of each priority, and of the last other record, for kecho_rec.after
 * @prio: of the event that was given out last; @mixed_until: KECHO_MIXED_MS after it last changed
 * @gen: counts sessions: a record that was taken in one may be looked at in the next, where it means nothing
 * @fills: kecho_cm_tx_fill() calls not yet done: what they point to is not freed but put into @trash
 * @loss_ppm: of a million packets so many get lost, by those sent last; unknown with TCP
 * @roles: the peer's, KECHO_ROLE_*
 */
struct kecho_link {
	refcount_t ref;
	struct list_head node;
	struct kecho_cm *cm;
	char *host;
	struct kecho_addr addr;
	char name[KECHO_NAME_MAX + 1];
	u64 peer_id;
	u64 alias;
	u64 session, peer_session;
	u8 state;
	u8 roles;
	bool dialing;
	bool self;
	bool rudp, no_udp;
	u64 lost_at, redial_at, redial_until;
	u32 tries;

	struct mutex rx_lock;
	spinlock_t now_lock;
	bool taking;
	spinlock_t lock;
	struct kecho_conn *conn;
	struct list_head out, ctl, ready[KECHO_PRIOS], trash;
	u32 nready;
	struct list_head *cur;
	u32 cur_off;
	struct {
		struct out *o;
		u32 off;
	} begun[KECHO_PRIOS];
	u8 nbegun;
	bool overtaken;
	u32 fills;
	u32 gen;
	u32 out_records, out_bytes;
	u32 ctl_bytes;
	bool failed;
	u64 tx_seq, acked, rx_seq;
	u64 last[KECHO_PRIOS + 1];
	u8 prio;
	u64 mixed_until;
	DECLARE_BITMAP(seen, KECHO_OVERTAKE_MAX);
	u32 rx_unacked, rx_unacked_bytes;
	u64 ack_due, last_rx, last_ping;
	bool want_ack, want_ping, want_pong;
	u64 pong_stamp;
	u32 rtt_us, loss_ppm;
	u64 sent, received, bytes_sent, bytes_received;
	u32 resumes;
};

/* HELLO with all that it may grow by, and the ping, pong and ack that go out together. */
#define KECHO_HELLO_ROOM 320
#define KECHO_BEAT_ROOM (3 * sizeof(struct kecho_rec) + 16)

/**
 * struct kecho_conn - a connection, embedded in the home's own structure
 * @opener: this node opened it
 * @link: set once, when known; a reference. Whether this is the link's current connection says link->conn.
 * @up: both have said hello
 * @dead: cm has let go of it
 * @closing: the home closes it when its hello has gone: a handshake that ends in a refusal
 * @filled: kecho_cm_tx_fill() or _begin() has counted itself in link->fills
 * @overtakes: its transport does not keep the order of records: those that may overtake others do, kecho_cm_rx_ready() asked before
 * @peer: where its other end is, set by the home before anything is received; port irrelevant
 */
struct kecho_conn {
	struct list_head node;
	struct kecho_cm *cm;
	struct kecho_link *link, *old_link;
	bool opener;
	bool up;
	bool dead;
	bool closing;
	bool filled;
	bool overtakes;
	u64 since;
	struct kecho_addr peer;
	u16 hello_len, hello_off;
	u16 beat_len, beat_off;
	u8 hello[KECHO_HELLO_ROOM];
	u8 beat[KECHO_BEAT_ROOM];
};

/**
 * struct kecho_flow - one channel's records on their way into a link
 * @q: not yet numbered, by priority; @prios: a bit for each that is not empty
 * @top: one more than the priority that it is listed by in kecho_link.ready, 0: it is not
 * @n: the number of the last event queued of each priority; one dropped before it could be queued is counted with the next, @gap
 * @expired: those that were past their deadlines, of them not yet told with another of their priority @untold
 * @sent: events numbered, so that they arrive or the session ends; @sent_bytes of what links share of them
 */
struct kecho_flow {
	struct kecho_link *link;
	struct list_head ready;
	struct list_head q[KECHO_PRIOS];
	u8 prios, top;
	u32 count, bytes;
	u64 n[KECHO_PRIOS], gap[KECHO_PRIOS];
	u32 untold[KECHO_PRIOS];
	u64 lost, expired, sent, sent_bytes;
};

void kecho_cm_init(struct kecho_cm *cm, u64 id, const char *name, const struct kecho_cm_ops *ops,
		   const struct kecho_cm_user *user, u64 seed);
/** kecho_cm_exit() - ends all sessions (down()), asks the home to close all connections, frees all links */
void kecho_cm_exit(struct kecho_cm *cm, u64 now);
/** kecho_cm_drained() - has every peer that is connected got all that was meant for it? Asks those who have not said so. */
bool kecho_cm_drained(struct kecho_cm *cm, u64 now);
/** kecho_cm_bye() - tell all peers that this node leaves; the home then sends what it can and calls kecho_cm_exit() */
void kecho_cm_bye(struct kecho_cm *cm);
u64 kecho_cm_random(struct kecho_cm *cm);

/**
 * kecho_cm_call() - want a link to a node
 * @host: a configured name, called for ever; or NULL
 * @addr: its address, if @host is NULL
 * Context: cm.lock held. Return: the link, existing or new; NULL: no memory, or KECHO_LINKS_MAX
 */
struct kecho_link *kecho_cm_call(struct kecho_cm *cm, const char *host, const struct kecho_addr *addr, u64 now);
/** kecho_link_dials_rudp() - is the call that is asked for to be made by reliable UDP? */
bool kecho_link_dials_rudp(const struct kecho_link *link);
/** kecho_link_want_rudp() - for as long as there is the link. Context: cm.lock held */
void kecho_link_want_rudp(struct kecho_link *link);
/** kecho_link_via() - "tcp", "rudp". Context: cm.lock held */
const char *kecho_link_via(const struct kecho_link *link);
struct kecho_link *kecho_link_get(struct kecho_link *link);
void kecho_link_put(struct kecho_link *link);
/** kecho_cm_find() - the link to a node by its id; cm.lock held */
struct kecho_link *kecho_cm_find(struct kecho_cm *cm, u64 id);

/* From the home. Context: process, no cm lock held. */
void kecho_cm_dialed(struct kecho_link *link, struct kecho_conn *conn, u64 now);
void kecho_cm_dial_failed(struct kecho_link *link, u64 now);
/** kecho_cm_accepted() - a connection from outside; with too many unfinished ones the oldest of them is closed */
void kecho_cm_accepted(struct kecho_cm *cm, struct kecho_conn *conn, u64 now);
void kecho_cm_closed(struct kecho_conn *conn, u64 now);
/** kecho_cm_conn_exit() - the home is about to free @conn; nothing of cm's uses it any more */
void kecho_cm_conn_exit(struct kecho_conn *conn);
void kecho_cm_tick(struct kecho_cm *cm, u64 now);
/** kecho_cm_settled() - has every configured peer been reached, or failed to be, once? */
bool kecho_cm_settled(struct kecho_cm *cm);

/**
 * kecho_cm_rx_check() - is this the head of a record that may come now?
 * Return: the bytes of body that follow, or -EPROTO
 */
int kecho_cm_rx_check(struct kecho_conn *conn, const struct kecho_rec *rec);
/** kecho_cm_rx_alive() - bytes have arrived, though perhaps not yet a whole record: the peer is not silent */
void kecho_cm_rx_alive(struct kecho_conn *conn, u64 now);
/**
 * kecho_cm_rx() - a record has arrived
 * @msg: its body; the reference is taken over
 * Return: 0; otherwise the home closes the connection, and cm has already let go of it
 */
int kecho_cm_rx(struct kecho_conn *conn, const struct kecho_rec *rec, struct kecho_msg *msg, u64 now);
/**
 * kecho_cm_rx_event() - an event has arrived where nothing may sleep, in a softirq
 * @rec: of type KECHO_EVENT; kecho_cm_rx_check() has let it pass
 * Return: 0; -EAGAIN: not now, @msg is still the caller's and both are for kecho_cm_rx(); else the home calls kecho_cm_rx_failed()
 */
int kecho_cm_rx_event(struct kecho_conn *conn, const struct kecho_rec *rec, struct kecho_msg *msg, u64 now);
/** kecho_cm_rx_failed() - a record of @type was refused with @err; the home closes the connection. Context: process, no cm lock held */
void kecho_cm_rx_failed(struct kecho_conn *conn, u8 type, int err, u64 now);

/**
 * kecho_cm_tx_fill() - what to send next
 * @vec: filled, at most @max entries; stays valid until kecho_cm_tx_done()
 * Return: the number of entries; 0: nothing to send
 */
int kecho_cm_tx_fill(struct kecho_conn *conn, struct kvec *vec, int max, size_t *bytes, u64 now);
/** kecho_cm_tx_done() - so many of those bytes have been sent. Return: whether there may be more to send */
bool kecho_cm_tx_done(struct kecho_conn *conn, size_t bytes);

/*
 * For a transport that is no stream. What the home gets is valid until kecho_cm_tx_end(); meanwhile nothing that the link lets go of
 * is freed. The link's records are given out once each, in order, but that urgent ones go before what is left of another; from then on
 * the transport sees to it that they arrive.
 */
/** kecho_cm_tx_begin() - Return: until when events count as being of several priorities, so that some have to be quicker than others */
u64 kecho_cm_tx_begin(struct kecho_conn *conn);
/** kecho_cm_tx_end() - @bytes have been given out and sent */
void kecho_cm_tx_end(struct kecho_conn *conn, size_t bytes);
/**
 * kecho_cm_tx_next() - the next records
 * @room: so many bytes at most, in @max entries of @vec
 * @span: what they are; a record's head is not cut
 * @total: of the first record, its head included
 * Return: how many bytes
 */
u32 kecho_cm_tx_next(struct kecho_conn *conn, u32 room, struct kvec *vec, int max, int *n, struct kecho_span *span, u32 *total, u64 now);
/**
 * kecho_cm_tx_again() - what was given out before
 * @want: what is wanted; afterwards, what there was no room for: nothing if @want->seq is beyond @want->end_seq
 */
u32 kecho_cm_tx_again(struct kecho_conn *conn, u32 room, struct kvec *vec, int max, int *n, struct kecho_span *want,
		      struct kecho_span *span, u32 *total, u64 now);
/** kecho_cm_tx_beat() - pings and pongs that are due, sent once. Return: how many bytes of them are at conn->beat, or 0 */
u32 kecho_cm_tx_beat(struct kecho_conn *conn);
/** kecho_cm_rx_seen() - 1: this record has been taken; 0: it has not; -ERANGE: no peer sends it now */
int kecho_cm_rx_seen(struct kecho_conn *conn, u64 seq);
/** kecho_cm_rx_ready() - has all that this record comes after been taken? */
bool kecho_cm_rx_ready(struct kecho_conn *conn, const struct kecho_rec *rec);
/** kecho_cm_rx_done() - the last record such that it and all before have been taken: this need not be said to the peer otherwise */
u64 kecho_cm_rx_done(struct kecho_conn *conn);
/**
 * kecho_cm_rx_acked() - what the peer says of that
 * @rtt_us: how long the way to it and back is; @loss_ppm: as &struct kecho_link has it
 * Return: 0, or -EPROTO
 */
int kecho_cm_rx_acked(struct kecho_conn *conn, u64 done, u32 rtt_us, u32 loss_ppm, u64 now);

/**
 * kecho_link_send() - queue a record other than an event; takes over the reference to @msg
 *
 * Such a record is never dropped: without memory, or with KECHO_CONTROL_QUEUE bytes waiting, the session is ended instead,
 * and both sides start over. NULL @msg stands for no memory. Context: any; does not sleep.
 */
void kecho_link_send(struct kecho_link *link, u8 type, struct kecho_msg *msg);

/** kecho_flow_given() - events, and bytes of them, that were queued and not dropped since the flow began */
void kecho_flow_given(struct kecho_flow *flow, u64 *events, u64 *bytes);

void kecho_flow_init(struct kecho_flow *flow, struct kecho_link *link);

/**
 * struct kecho_batch - links that have something to send for a publisher who may sleep
 *
 * Such a one gathers them, with a reference each, while it holds locks, and sends when it holds none any more: no other thread needs
 * to be woken for it. Those that find no place here are kicked.
 */
struct kecho_batch {
	u32 n;
	struct kecho_link *links[KECHO_BATCH_LINKS];
};

/** kecho_flow_destroy() - drop what is queued. Return: how many events that were */
u32 kecho_flow_destroy(struct kecho_flow *flow);
/**
 * struct kecho_push - how an event is to be queued
 * @chan: this node's number of the channel
 * @flags: KECHO_EVENT_*
 * @prio: the event's, up to KECHO_PRIO_MAX
 * @sinks, @nsinks: for which sinks of the member; none: for all that its type suits
 * @policy: what to do when @max events or KECHO_QUEUE_BYTES wait; KECHO_BLOCK never drops: its caller has looked at the credit
 * @batch: gets the link; NULL: the link is kicked
 */
struct kecho_push {
	u32 chan;
	u16 flags;
	u16 nsinks;
	u8 prio;
	const __le32 *sinks;
	u32 max;
	enum kecho_overflow policy;
	struct kecho_batch *batch;
};

/**
 * kecho_flow_push() - queue an event
 * Takes a reference to @msg of its own. Return: the number of events lost by it, 0 most of the time.
 * Context: any; does not sleep.
 */
u32 kecho_flow_push(struct kecho_flow *flow, struct kecho_msg *msg, const struct kecho_push *how);
/** kecho_flow_drain() - hand all that waits to the link, ahead of any later kecho_link_send(), before the flow's end */
void kecho_flow_drain(struct kecho_flow *flow);
#endif
