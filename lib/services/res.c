// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Leases on resources: res.h tells what is promised. */
#include "res.h"

static __u64 sooner(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static __u64 later(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static __u32 ttl_of(__u32 ttl, __u32 max)
{
	if (ttl > max)
		ttl = max;
	return ttl < RES_TTL_MIN ? RES_TTL_MIN : ttl;
}

/* --- manager --- */

static struct res_lease *find(struct res_manager *m, __u64 id)
{
	__u32 i;

	for (i = 0; i < m->max; i++)
		if (m->leases[i].state != RES_FREE && m->leases[i].id == id)
			return &m->leases[i];
	return NULL;
}

static struct res_lease *room(struct res_manager *m)
{
	__u32 i;

	for (i = 0; i < m->max; i++)
		if (m->leases[i].state == RES_FREE)
			return &m->leases[i];
	return NULL;
}

static void end(struct res_manager *m, struct res_lease *l)
{
	m->used -= l->amount;
	l->state = RES_FREE;
}

/* In 32 bits. */
static __u32 load(const struct res_manager *m)
{
	__u32 used = m->used, amount = m->amount;

	while (amount > 1 << 20) {
		used >>= 1;
		amount >>= 1;
	}
	return used * 1000 / amount;
}

static struct res_msg answer(const struct res_manager *m, enum res_kind kind, const struct res_msg *to)
{
	return (struct res_msg) {
		.kind = kind, .id = to->id, .manager = m->id, .node = to->node, .stamp = to->stamp,
		.name = m->name, .name_len = strlen(m->name), .free = m->amount - m->used, .load = load(m),
	};
}

static void say(struct res_manager *m, enum res_kind kind, const struct res_msg *to)
{
	struct res_msg msg = answer(m, kind, to);

	m->send(&msg, m->arg);
}

static void offer(struct res_manager *m, const struct res_lease *l, const struct res_msg *request)
{
	struct res_msg msg = answer(m, RES_OFFER, request);

	msg.amount = l->amount;
	msg.ttl = ttl_of(request->ttl, m->ttl);
	msg.more = m->attrs;
	m->send(&msg, m->arg);
}

/*
 * To one who has the lease, too, for it may not have been told so. But that stays granted: what has come may be late, and its sender have
 * heard of the grant meanwhile.
 */
static void on_request(struct res_manager *m, struct res_lease *l, const struct res_msg *msg, __u64 now)
{
	if (msg->name_len != strlen(m->name) || memcmp(msg->name, m->name, msg->name_len))
		return;
	if (!l) {
		if (m->leaving || now < m->ready || !msg->amount || msg->amount > m->amount - m->used)
			return;
		l = room(m);
		if (!l)
			return;
		*l = (struct res_lease) { .id = msg->id, .amount = msg->amount, .state = RES_RESERVED };
		m->used += l->amount;
	}
	if (l->state == RES_ENDING || l->amount != msg->amount)
		return;
	l->holder = msg->node;
	l->stamp = msg->stamp;
	if (l->state == RES_RESERVED)
		l->until = now + RES_HOLD * RES_MS;
	offer(m, l, msg);
}

static void on_accept(struct res_manager *m, struct res_lease *l, const struct res_msg *msg, __u64 now)
{
	struct res_msg grant = answer(m, RES_GRANT, msg);

	if (!l || l->state == RES_ENDING || (l->state == RES_RESERVED && msg->kind == RES_RENEW)) {
		say(m, RES_REFUSE, msg);
		return;
	}
	l->state = RES_GRANTED;
	l->stamp = msg->stamp;
	grant.amount = l->amount;
	grant.ttl = ttl_of(msg->ttl, m->ttl);
	l->until = later(l->until, now + grant.ttl * RES_MS);
	m->send(&grant, m->arg);
}

/* From whom it is, is not the holder: that one is told, and has the lease until it says so or its time is over. */
static void on_revoke(struct res_manager *m, struct res_lease *l, const struct res_msg *msg)
{
	struct res_msg to_holder;

	if (!l) {
		say(m, RES_RELEASED, msg);
		return;
	}
	l->state = RES_ENDING;
	to_holder = (struct res_msg) { .id = l->id, .node = l->holder, .stamp = l->stamp };
	say(m, RES_END, &to_holder);
}

static void on_list(struct res_manager *m, const struct res_msg *msg, __u64 now)
{
	struct res_msg state = answer(m, RES_STATE, msg);
	const struct res_lease *l;
	__u32 i;

	state.amount = m->amount;
	state.left = m->ready > now ? m->ready - now : 0;
	state.more = m->attrs;
	m->send(&state, m->arg);
	for (i = 0; i < m->max; i++) {
		l = &m->leases[i];
		if (l->state == RES_FREE)
			continue;
		state = answer(m, RES_HELD_BY, msg);
		state.amount = l->amount;
		state.lease = l->id;
		state.holder = l->holder;
		state.left = l->until - now;
		state.state = l->state;
		m->send(&state, m->arg);
	}
}

void res_manager_start(struct res_manager *m, bool fresh, __u64 now)
{
	m->ttl = ttl_of(m->ttl, RES_TTL_MAX);
	m->used = 0;
	m->leaving = false;
	m->ready = fresh ? now : now + m->ttl * RES_MS;
}

void res_manager_recv(struct res_manager *m, const struct res_msg *msg, __u64 now)
{
	struct res_lease *l;

	if (msg->kind != RES_REQUEST && msg->kind != RES_LIST && msg->manager != m->id)
		return;
	res_manager_run(m, now);
	l = find(m, msg->id);
	/* What its asker had sent before something that has come already. */
	if (l && msg->kind < RES_REVOKE && msg->stamp < l->stamp)
		return;
	switch (msg->kind) {
	case RES_REQUEST:
		on_request(m, l, msg, now);
		break;
	case RES_ACCEPT:
	case RES_RENEW:
		on_accept(m, l, msg, now);
		break;
	case RES_RELEASE:
		if (l)
			end(m, l);
		say(m, RES_RELEASED, msg);
		break;
	case RES_REVOKE:
		on_revoke(m, l, msg);
		break;
	case RES_LIST:
		on_list(m, msg, now);
		break;
	}
}

__u64 res_manager_run(struct res_manager *m, __u64 now)
{
	__u64 next = RES_NEVER;
	struct res_lease *l;
	__u32 i;

	for (i = 0; i < m->max; i++) {
		l = &m->leases[i];
		if (l->state == RES_FREE)
			continue;
		if (now >= l->until)
			end(m, l);
		else
			next = sooner(next, l->until);
	}
	return next;
}

void res_manager_leave(struct res_manager *m, __u64 now)
{
	struct res_msg none = { 0 };
	struct res_lease *l;
	__u32 i;

	res_manager_run(m, now);
	m->leaving = true;
	for (i = 0; i < m->max; i++) {
		l = &m->leases[i];
		if (l->state == RES_RESERVED)
			end(m, l);
		else if (l->state != RES_FREE)
			on_revoke(m, l, &none);
	}
}

/* --- asker --- */

static void tell(struct res_asker *a, enum res_kind kind, __u64 manager, __u64 node, __u64 now)
{
	struct res_msg msg = {
		.kind = kind, .id = a->id, .manager = manager, .node = node, .stamp = later(now, a->stamp + 1),
		.name = a->name, .name_len = strlen(a->name), .amount = a->amount, .ttl = a->ttl,
	};

	a->stamp = msg.stamp;
	a->send(&msg, a->arg);
}

/* Back to the start: the manager of before need not wait for the time of its lease to end. */
static void ask(struct res_asker *a, __u64 next)
{
	a->state = RES_ASKING;
	a->manager = 0;
	a->next = next;
}

static void enter(struct res_asker *a, enum res_state state, __u64 now, __u64 ends)
{
	a->state = state;
	a->since = a->stamp + 1;
	a->next = now;
	a->ends = ends;
}

/* Has what is to be compared: an offer without is the worst. */
static bool value_of(const struct res_asker *a, const struct res_msg *msg, __s64 *value)
{
	struct kecho_attr attr;

	return a->by != RES_FIRST && kecho_attr_find(msg->attrs, msg->attrs_len, a->attr, &attr) && kecho_attr_decimal(&attr, value);
}

static bool better(const struct res_asker *a, bool valued, __s64 value)
{
	if (!valued || !a->valued)
		return valued && !a->valued;
	return a->by == RES_LEAST ? value < a->value : value > a->value;
}

static void on_offer(struct res_asker *a, const struct res_msg *msg, __u64 now)
{
	__s64 value = 0;
	bool valued;

	if (msg->manager == a->manager)
		return;
	valued = value_of(a, msg, &value);
	if (a->state != RES_ASKING || (a->manager && !better(a, valued, value))) {
		tell(a, RES_RELEASE, msg->manager, msg->node, now);
		return;
	}
	if (a->manager)
		tell(a, RES_RELEASE, a->manager, a->node, now);
	else
		a->ends = a->by == RES_FIRST ? now : now + RES_COLLECT * RES_MS;
	a->manager = msg->manager;
	a->node = msg->node;
	a->valued = valued;
	a->value = value;
}

/* The time counts from when the asker sent what was granted: before the manager knew of it. */
static void on_grant(struct res_asker *a, const struct res_msg *msg, __u64 now)
{
	__u64 until;

	if (msg->manager != a->manager) {
		tell(a, RES_RELEASE, msg->manager, msg->node, now);
		return;
	}
	if ((a->state != RES_ACCEPTING && a->state != RES_HELD) || msg->stamp < a->since || msg->stamp > a->stamp ||
	    msg->ttl < RES_TTL_MIN || msg->ttl > RES_TTL_MAX)
		return;
	until = msg->stamp + (msg->ttl - msg->ttl / RES_MARGIN) * RES_MS;
	/* One that would have to be given back at once is not to be begun with. */
	if (until <= (a->state == RES_HELD ? a->until : now + msg->ttl / RES_GRACE * RES_MS))
		return;
	a->granted = msg->ttl;
	a->until = until;
	a->state = RES_HELD;
	a->next = msg->stamp + msg->ttl / 3 * RES_MS;
}

static void on_refuse(struct res_asker *a, const struct res_msg *msg, __u64 now)
{
	if (msg->manager != a->manager || msg->stamp < a->since)
		return;
	if (a->state == RES_ACCEPTING)
		ask(a, now + RES_REPEAT * RES_MS);
	else if (a->state == RES_HELD)
		a->state = RES_LOST;
}

bool res_asker_best(struct res_asker *a, const char *best)
{
	const char *colon = strchr(best, ':');

	a->by = !strcmp(best, "first") ? RES_FIRST : !strncmp(best, "most:", 5) ? RES_MOST : RES_LEAST;
	a->attr = colon ? colon + 1 : "load";
	return a->by != RES_LEAST || !strcmp(best, "least") || !strncmp(best, "least:", 6);
}

void res_asker_start(struct res_asker *a, __u64 now)
{
	a->stamp = 0;
	a->until = 0;
	ask(a, now);
	res_asker_run(a, now);
}

void res_asker_recv(struct res_asker *a, const struct res_msg *msg, __u64 now)
{
	if (msg->id != a->id)
		return;
	switch (msg->kind) {
	case RES_OFFER:
		on_offer(a, msg, now);
		break;
	case RES_GRANT:
		on_grant(a, msg, now);
		break;
	case RES_REFUSE:
		on_refuse(a, msg, now);
		break;
	case RES_END:
		if (msg->manager == a->manager && a->state == RES_HELD)
			a->state = RES_LOST;
		break;
	case RES_RELEASED:
		if (msg->manager == a->manager && a->state == RES_RELEASING && msg->stamp >= a->since)
			a->state = RES_ENDED;
		break;
	}
	res_asker_run(a, now);
}

static __u64 run_asking(struct res_asker *a, __u64 now)
{
	if (a->manager)
		return a->ends;
	if (now >= a->next) {
		a->next = now + RES_ASK * RES_MS;
		tell(a, RES_REQUEST, 0, 0, now);
	}
	return a->next;
}

static __u64 repeat(struct res_asker *a, enum res_kind kind, __u64 now)
{
	if (now >= a->next) {
		a->next = now + RES_REPEAT * RES_MS;
		tell(a, kind, a->manager, a->node, now);
	}
	return sooner(a->next, a->ends);
}

static __u64 run_held(struct res_asker *a, __u64 now)
{
	__u64 stop = a->until - a->granted / RES_GRACE * RES_MS;

	if (now >= stop) {
		a->state = RES_LOST;
		return RES_NEVER;
	}
	if (now >= a->next) {
		a->next = now + a->granted / 12 * RES_MS;
		tell(a, RES_RENEW, a->manager, a->node, now);
	}
	return sooner(a->next, stop);
}

__u64 res_asker_run(struct res_asker *a, __u64 now)
{
	if (a->state == RES_ASKING && a->manager && now >= a->ends) {
		enter(a, RES_ACCEPTING, now, now + RES_REPEATS * RES_REPEAT * RES_MS);
	} else if (a->state == RES_ACCEPTING && now >= a->ends) {
		tell(a, RES_RELEASE, a->manager, a->node, now);
		ask(a, now);
	} else if (a->state == RES_RELEASING && now >= a->ends) {
		a->state = RES_ENDED;
	}
	switch (a->state) {
	case RES_ASKING:
		return run_asking(a, now);
	case RES_ACCEPTING:
		return repeat(a, RES_ACCEPT, now);
	case RES_HELD:
		return run_held(a, now);
	case RES_RELEASING:
		return repeat(a, RES_RELEASE, now);
	default:
		return RES_NEVER;
	}
}

void res_asker_release(struct res_asker *a, __u64 now)
{
	if (a->state >= RES_RELEASING)
		return;
	enter(a, a->manager ? RES_RELEASING : RES_ENDED, now, now + RES_REPEATS * RES_REPEAT * RES_MS);
	res_asker_run(a, now);
}
