/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Resources and leases, for kernel services
 *
 * What kecho res does for programs, by the module kecho_res: kecho-res(7) tells the protocol and what is guaranteed. Kernel services
 * and programs, of all hosts, are managers and holders for each other.
 */
#ifndef KECHO_RES_H
#define KECHO_RES_H
#include <linux/types.h>

struct kecho_res;	/* a manager, or a lease */

/* For kecho_res_offer(): nobody has a lease on the resource; otherwise nothing is granted before old leases have ended. */
#define KECHO_RES_NEW	1

/**
 * kecho_res_offer() - offer a resource of this host
 * @channel: of the node of the caller's network namespace; joined or created
 * @name: the resource; nobody else on this host is to offer it
 * @amount: how much there is of it
 * @attrs: ``name=value`` lines that offers are to have, or NULL
 * @ttl_ms: a lease's time, 100 to 3600000; the same as that of who offered it before, or more
 * @flags: KECHO_RES_NEW or 0
 *
 * Return: to be ended by kecho_res_withdraw(); or ERR_PTR() of -EINVAL, -E2BIG, -ENOMEM, or as kecho_open(). Context: may sleep.
 */
struct kecho_res *kecho_res_offer(const char *channel, const char *name, u32 amount, const char *attrs, u32 ttl_ms, unsigned int flags);

/** kecho_res_withdraw() - holders are told to release, and waited for, at most the time of a lease. Context: may sleep */
void kecho_res_withdraw(struct kecho_res *offer);

/**
 * struct kecho_res_want - what is wanted
 * @channel, @name, @amount: as for kecho_res_offer()
 * @best: whose offer is taken: "first", "least", "least:ATTR" or "most:ATTR", as for kecho res request; NULL: first
 * @ttl_ms: the lease's time; the manager's if that is less
 * @timeout_ms: how long to wait for a lease; negative: for ever
 * @lost: called once if the lease will not be renewed: a quarter of its time is left to end the use; or NULL
 * @arg: for @lost, which may sleep, but is not to release the lease itself
 */
struct kecho_res_want {
	const char *channel, *name, *best;
	u32 amount, ttl_ms;
	int timeout_ms;
	void (*lost)(void *arg);
	void *arg;
};

/**
 * kecho_res_request() - get a lease; it is renewed until it is lost or released
 * @lost may be called before it returns.
 *
 * Return: to be ended by kecho_res_release(), also when it has been lost; or ERR_PTR() of -ETIMEDOUT, -EINTR, and as kecho_res_offer().
 * Context: may sleep.
 */
struct kecho_res *kecho_res_request(const struct kecho_res_want *want);

/** kecho_res_held() - may it be used now? Not for long: what is begun is to be done before @lost's time is over. Context: any */
bool kecho_res_held(const struct kecho_res *lease);

/** kecho_res_id() - the lease's id, and kecho_res_node() - that of the node whose resource it is. Context: any */
u64 kecho_res_id(const struct kecho_res *lease);
u64 kecho_res_node(const struct kecho_res *lease);

/** kecho_res_release() - it is not used any more. Context: may sleep, at most a second if the manager is dead */
void kecho_res_release(struct kecho_res *lease);
#endif
