/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/**
 * DOC: Filters
 *
 * A filter decides who receives an event. A channel has two chains of them: OUT is run once for each event published on this node and
 * picks among the remote sinks, IN once for each event that is about to reach local sinks and picks among these. A filter sees the
 * event and the candidates that those before it have left, each with what it says of itself, and keeps some of them.
 *
 * One source makes a kernel module, kecho-filter-NAME.ko, and a shared object for kechofsd, NAME.so:
 *
 *	#include <kecho/filter.h>
 *
 *	static void first(struct kecho_filter *f, struct kecho_pass *p)
 *	{
 *		p->n = p->n ? 1 : 0;
 *	}
 *
 *	static const struct kecho_filter_ops ops = { .name = "first", .owner = THIS_MODULE, .run = first };
 *	kecho_filter_module(ops);
 *	MODULE_LICENSE("GPL");
 *
 * Context. @run and @heard must not sleep and should take a microsecond, not a millisecond: publishers wait for them. Runs of one
 * filter come one after another: what only @run touches needs no lock. @heard may run beside @run; kecho_filter_lock() is for what
 * both touch. @setup, @attached and @detached may sleep.
 */
#ifndef KECHO_FILTER_H
#define KECHO_FILTER_H
#include <kecho/kecho.h>
#include <kecho/limits.h>
#ifdef __KERNEL__
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif

/**
 * struct kecho_candidate - who may receive the event
 * @node: id of the node that it is on
 * @sink: the number there of a sink that advertises itself; 0: the node's other sinks, together
 * @attrs, @attrs_len: what the sink says of itself
 * @node_attrs, @node_attrs_len: what its node says of itself on the channel
 * @heard_ns: when that was heard last (as &kecho_pass.now_ns); 0: it is this node
 * @owner: not the filter's
 */
struct kecho_candidate {
	__u64 node;
	__u32 sink;
	__u32 attrs_len;
	const void *attrs;
	const void *node_attrs;
	__u32 node_attrs_len;
	__u32 kept;
	__u64 heard_ns;
	void *owner;
};

/**
 * struct kecho_pass - an event on its way through a chain
 * @event: as the filters before have left it; changed only by kecho_pass_rewrite()
 * @now_ns: CLOCK_MONOTONIC
 * @candidates, @n: a filter keeps some by moving their pointers to the front and lowering @n. With none left, the rest of the chain is
 *	not run.
 */
struct kecho_pass {
	struct kecho_event event;
	__u64 now_ns;
	__u32 n;
	struct kecho_candidate **candidates;
};

/**
 * kecho_pass_rewrite() - go on with a copy of the event that has this payload, type, attributes, priority and deadline
 * The publisher, the time and the number stay. Sinks of the other chain get the event as it was.
 * Return: 0, -EINVAL, -ENOMEM: the event is as it was. Context: @run.
 */
int kecho_pass_rewrite(struct kecho_pass *p, const struct kecho_event *with);

/** kecho_candidate_attr() - an attribute of the sink, or else of its node. False: neither has it */
bool kecho_candidate_attr(const struct kecho_candidate *c, const char *name, struct kecho_attr *attr);

/** kecho_attr_is() - is that its name? */
static inline bool kecho_attr_is(const struct kecho_attr *attr, const char *name)
{
	return attr->name_len == strlen(name) && !memcmp(attr->name, name, attr->name_len);
}

/** kecho_mix() - spreads the bits of a number over a hash: the last step of splitmix64 */
static inline __u64 kecho_mix(__u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/**
 * kecho_attr_id() - the id of a node, 16 hexadecimal digits as in members, that an attribute holds
 * One without letters looks like a number, and is taken for the id all the same. Return: false if it is none.
 */
bool kecho_attr_id(const struct kecho_attr *attr, __u64 *id);

struct module;

/**
 * struct kecho_filter - a filter in a chain
 * @config: what @setup made of its arguments; in @heard only under kecho_filter_lock()
 * @state: &kecho_filter_ops.state bytes, zeroed at first, kept until it is removed
 * @self: id of this node
 * @out: in the OUT chain
 * @name: as it was written
 */
struct kecho_filter {
	const struct kecho_filter_ops *ops;
	void *config;
	void *state;
	__u64 self;
	bool out;
	char name[KECHO_FILTER_NAME_MAX + 1];
};

/**
 * struct kecho_filter_ops - a kind of filter
 * @name: as it is written into the filter file
 * @owner: THIS_MODULE
 * @state: bytes of &kecho_filter.state
 * @setup: check the arguments and make the @config that @run then sees, also one that is then refused; called for new arguments while it
 *	runs, too, and so without effect on anything else. NULL: it takes no arguments. 0, kecho_filter_refuse(), -ENOMEM.
 * @free: of a @config that @setup has made and that is no longer used; NULL: kecho_filter_free()
 * @attached: it is about to run for the first time: the place for kecho_filter_watch(). 0 or -errno. Optional.
 * @detached: it does not run any more, or @attached has failed; frees what @state points to. Optional.
 * @run: keeps some of the candidates
 * @heard: an event on a channel that it watches
 */
struct kecho_filter_ops {
	const char *name;
	struct module *owner;
	size_t state;
	int (*setup)(struct kecho_filter *f, const void *args, size_t len, void **config);
	void (*free)(void *config);
	int (*attached)(struct kecho_filter *f);
	void (*detached)(struct kecho_filter *f);
	void (*run)(struct kecho_filter *f, struct kecho_pass *p);
	void (*heard)(struct kecho_filter *f, const struct kecho_event *event);
};

/** kecho_filter_refuse() - say on the log why arguments are refused. Return: -EINVAL */
int kecho_filter_refuse(struct kecho_filter *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * kecho_filter_watch() - have @heard called with the events of another channel, until the filter is removed
 * Return: 0, -ENOENT: this node is not on it (said on the log), -ENOMEM. Context: @attached.
 */
int kecho_filter_watch(struct kecho_filter *f, const char *channel);

/** kecho_filter_node_name() - the name of a node on the channel, valid until @run returns, or NULL. Context: @run. */
const char *kecho_filter_node_name(struct kecho_filter *f, __u64 id);

/** kecho_filter_lock(), kecho_filter_unlock() - for what @run and @heard both touch; a spin lock */
void kecho_filter_lock(struct kecho_filter *f);
void kecho_filter_unlock(struct kecho_filter *f);

/** kecho_filter_now() - as &kecho_pass.now_ns, for @heard */
__u64 kecho_filter_now(struct kecho_filter *f);

/** kecho_filter_alloc() - zeroed memory, or NULL. Context: may sleep: not in @run or @heard */
void *kecho_filter_alloc(size_t size);
void kecho_filter_free(void *p);

#ifdef __KERNEL__
/**
 * kecho_filter_register() - make a kind of filter known by its name
 * Return: 0, -EEXIST, -EINVAL: no such name can be. Context: may sleep.
 */
int kecho_filter_register(const struct kecho_filter_ops *ops);
/** kecho_filter_unregister() - no chain has one: its module's references say so. Context: may sleep. */
void kecho_filter_unregister(const struct kecho_filter_ops *ops);

#define kecho_filter_module(ops)						\
static int __init kecho_filter_init(void) { return kecho_filter_register(&(ops)); }	\
static void __exit kecho_filter_exit(void) { kecho_filter_unregister(&(ops)); }	\
module_init(kecho_filter_init);							\
module_exit(kecho_filter_exit)
#else
#define THIS_MODULE NULL
#define MODULE_LICENSE(license) _Static_assert(1, "")
#define MODULE_DESCRIPTION(text) _Static_assert(1, "")
#define kecho_filter_module(ops) const struct kecho_filter_ops * const kecho_filter_so = &(ops)
#endif
#endif
