/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Finding a channel
 *
 * Each channel has one *contact*, the member that others are sent to. It registers the channel with the group servers under an
 * *epoch* and renews that registration before its *lease* runs out. A server grants a registration if the name is free, its
 * lease has run out, or the epoch is higher; otherwise it answers who holds the name. So the same question both creates a
 * channel and finds it, and what a server knows is rebuilt by the contacts themselves after it was restarted.
 *
 * When the contact goes, the longest-standing member takes over with the next epoch (kecho_lease_elect()). When two halves of a
 * channel meet, the higher epoch wins; with equal ones the contact with the lower id raises its epoch, and who believes in a
 * contact that others do not tells it, for it to do so. A contact that is told
 * that another holds the name calls that one, so that the halves meet; if that one stays silent it raises its epoch beyond.
 *
 * Locking: kecho_cm.lock covers all of it.
 */
#ifndef KECHO_GROUP_H
#define KECHO_GROUP_H
#include <linux/hashtable.h>
#include "../cm/link.h"

/** struct kecho_holding - who holds a name */
struct kecho_holding {
	u64 contact, epoch;
	struct kecho_addr addr;
};

/* The server. */

/**
 * struct kecho_registry - the names that a group server knows; soft state
 * @lease: nanoseconds that a registration is good for
 */
struct kecho_registry {
	struct kecho_cm *cm;
	DECLARE_HASHTABLE(names, 10);
	u32 count;
	u64 lease;
	u64 sweep_at;
};

/** kecho_name_hash() - of a name, for tables */
u32 kecho_name_hash(const char *name);
void kecho_registry_init(struct kecho_registry *r, struct kecho_cm *cm, u64 lease);
void kecho_registry_exit(struct kecho_registry *r);
/** kecho_registry_record() - a record of a client; -EPROTO, or 0. Does not take over @msg. Takes cm.lock. */
int kecho_registry_record(struct kecho_registry *r, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now);
/** kecho_registry_tick() - forget what ran out. Takes cm.lock */
void kecho_registry_tick(struct kecho_registry *r, u64 now);

/* The client. */

/**
 * struct kecho_lease - what a member knows of a channel's contact, and its part in it
 * @contact: 0: not known yet
 * @held: another holds the name, as a server said; if @epoch is not above @held by @held_until it is raised
 */
struct kecho_lease {
	const char *name;
	u64 epoch, contact;
	u64 renew_at;
	u64 held, held_until;
};

/**
 * struct kecho_group_user - what the client tells
 * @holds: a server's answer: @h->contact is this node, or who holds it; called with cm.lock held
 * @listed: an entry of a listing, or, with @name NULL, its end; called with cm.lock held
 */
struct kecho_group;
struct kecho_group_user {
	void (*holds)(struct kecho_group *g, const char *name, const struct kecho_holding *h, u64 now);
	void (*listed)(struct kecho_group *g, u32 request, const char *name, const struct kecho_holding *h);
};

/**
 * struct kecho_group - the client
 * @registry: a server in this very node, or NULL
 * @lease: nanoseconds between renewals times 3, as the servers last said
 */
struct kecho_group {
	struct kecho_cm *cm;
	struct kecho_registry *registry;
	const struct kecho_group_user *user;
	u64 lease;
};

void kecho_group_init(struct kecho_group *g, struct kecho_cm *cm, struct kecho_registry *registry,
		      const struct kecho_group_user *user);
/** kecho_group_known() - is there a server that could be asked now? */
bool kecho_group_known(struct kecho_group *g);
/** kecho_group_register() - ask for the name, or renew; answers come by @holds. Context: cm.lock held */
void kecho_group_register(struct kecho_group *g, struct kecho_lease *l, u64 now);
void kecho_group_release(struct kecho_group *g, struct kecho_lease *l);
/** kecho_group_list() - ask one server for what it knows. False: there is none */
bool kecho_group_list(struct kecho_group *g, u32 request, const char *name, u64 now);
/** kecho_group_record() - a server's answer. Does not take over @msg. Takes cm.lock */
int kecho_group_record(struct kecho_group *g, struct kecho_link *link, u8 type, struct kecho_msg *msg, u64 now);

/* What to do about a lease; each returns true if this node has to announce a new (epoch, contact). */

/** kecho_lease_claim() - this node becomes the contact with an epoch above @above */
bool kecho_lease_claim(struct kecho_lease *l, u64 self, u64 above);
/** kecho_lease_hear() - another member says who the contact is */
bool kecho_lease_hear(struct kecho_lease *l, u64 self, u64 epoch, u64 contact);
/** kecho_lease_held() - a server says that another holds the name */
void kecho_lease_held(struct kecho_lease *l, const struct kecho_holding *h, u64 now);
/** kecho_lease_elect() - the contact is gone, @next is the longest-standing member left; if another, it is to be told */
bool kecho_lease_elect(struct kecho_lease *l, u64 self, u64 next);
/** kecho_lease_tick() - renews, or raises the epoch. @due: lowered to when it wants the next */
bool kecho_lease_tick(struct kecho_group *g, struct kecho_lease *l, u64 now, u64 *due);

/** kecho_addr_seen() - an address as @link's peer gave it: one without an IP is the peer's own */
void kecho_addr_seen(struct kecho_addr *a, const struct kecho_link *link);
#endif
