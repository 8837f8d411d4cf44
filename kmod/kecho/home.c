// SPDX-License-Identifier: GPL-2.0
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/delay.h>
#include <linux/poll.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "home.h"

#define START_MS 1000

static unsigned int home_id;

struct home_net {
	struct kecho_home *home;
};

static DEFINE_MUTEX(homes_lock);

static bool on_take(struct kecho_sink *sink, struct kecho_msg *msg)
{
	struct kecho_sink_user *u = sink->home;

	return u->take && u->take(u, msg);
}

static void on_ready(struct kecho_sink *sink)
{
	struct kecho_sink_user *u = sink->home;

	u->ready(u);
}

/* The filesystem clears channel->home and frees the user after a grace period. */
static void on_room(struct kecho_channel *ch)
{
	struct kecho_channel_user *u;

	rcu_read_lock();
	u = READ_ONCE(ch->home);
	if (u) {
		atomic_inc(&u->rooms);
		smp_mb__after_atomic();	/* @rooms, then who is blocked: pairs with kecho_port_drain() */
		wake_up_interruptible_poll(&u->room, EPOLLOUT | EPOLLWRNORM);
		u->ops->room(u);
	}
	rcu_read_unlock();
}

static void on_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event)
{
	struct kecho_channel_user *u;

	rcu_read_lock();
	u = READ_ONCE(ch->home);
	if (u)
		u->ops->changed(u, file, event);
	rcu_read_unlock();
}

static void on_joined(struct kecho_channel *ch)
{
	struct kecho_channel_user *u;

	rcu_read_lock();
	u = READ_ONCE(ch->home);
	if (u)
		u->ops->joined(u);
	rcu_read_unlock();
}

static void on_listed(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *holding)
{
	struct kecho_home *h = node_home(node);

	if (h->tree)
		h->tree->listed(h, request, name, holding);
}

static const struct kecho_node_ops home_ops = {
	.cm = KECHO_NET_OPS,
	.take = on_take,
	.ready = on_ready,
	.room = on_room,
	.changed = on_changed,
	.joined = on_joined,
	.listed = on_listed,
	.clock = home_now,
	.realtime = home_realtime,
	.filter_get = kecho_filter_get,
	.filter_put = kecho_filter_put,
};

static void home_tick(struct kecho_cm *cm, u64 now)
{
	kecho_node_tick(container_of(cm, struct kecho_node, cm), now);
}

static int home_listen(struct kecho_home *h, const char *listen, const struct kecho_home_options *o, struct fs_context *fc)
{
	int err = kecho_net_listen(&h->links, listen, o->registry ? KECHO_GROUP_PORT : KECHO_PORT, o->insecure);

	if (err == -EINVAL)
		errorf(fc, "kechofs: listen=%s: give an IP address, with or without :PORT", listen);
	else if (err == -EPERM)
		errorf(fc, "kechofs: listen=%s: links are not encrypted, and anyone who reaches that address could join; listen on 127.0.0.1, or say 'insecure' if the network is trusted",
		       listen);
	else if (err)
		errorf(fc, "kechofs: listen=%s: %pe", listen, ERR_PTR(err));
	return err;
}

static int home_call(struct kecho_home *h, const char *option, const char *host, u16 port, struct fs_context *fc)
{
	int err = kecho_net_call(&h->links, host, port);

	if (err == -EINVAL)
		errorf(fc, "kechofs: %s=%s: give an IP address, with or without :PORT; the kernel looks up no names", option, host);
	return err;
}

static int home_connect(struct kecho_home *h, const struct kecho_home_options *o, struct fs_context *fc)
{
	const char *listen = o->listen;
	int err = 0;
	u32 i;

	if (!listen[0] && o->registry)
		listen = "127.0.0.1";
	else if (!listen[0] && (o->npeers || o->ngroups))
		listen = "127.0.0.1:0";
	if (listen[0])
		err = home_listen(h, listen, o, fc);
	for (i = 0; !err && i < o->npeers; i++)
		err = home_call(h, "peer", o->peers[i], KECHO_PORT, fc);
	for (i = 0; !err && i < o->ngroups; i++)
		err = home_call(h, "group", o->groups[i], KECHO_GROUP_PORT, fc);
	return err;
}

static void home_free(struct kecho_home *h)
{
	kecho_net_goodbye(&h->links);
	kecho_node_exit(&h->node, home_now());
	kecho_net_exit(&h->links);
	put_net(h->net);
	kvfree(h);
}

struct kecho_home *kecho_home_start(struct net *net, const struct kecho_home_options *o, struct fs_context *fc)
{
	struct home_net *hn = net_generic(net, home_id);
	struct kecho_home *h;
	u64 id;
	int err, ms;

	mutex_lock(&homes_lock);
	err = -EBUSY;
	if (hn->home)
		goto out;
	err = -ENOMEM;
	h = kvzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		goto out;
	h->net = get_net(net);
	h->insecure = o->insecure;
	do
		id = get_random_u64();
	while (!id);
	kecho_node_init(&h->node, id, o->name, o->registry ? o->lease * (u64)NSEC_PER_MSEC : 0, &home_ops, get_random_u64());
	h->node.queue = o->queue;
	h->node.max_event = o->max_event;
	h->node.cm.rudp = o->rudp;
	h->node.cm.heartbeat = o->heartbeat * (u64)NSEC_PER_MSEC;
	kecho_net_init(&h->links, &h->node.cm, net, home_tick);
	err = home_connect(h, o, fc);
	if (err) {
		home_free(h);
		goto out;
	}
	hn->home = h;
	mutex_unlock(&homes_lock);
	for (ms = 0; ms < START_MS && !kecho_cm_settled(&h->node.cm); ms += 10)
		msleep(10);
	return h;
out:
	mutex_unlock(&homes_lock);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(kecho_home_start);

void kecho_home_ready(struct kecho_home *h, const struct kecho_tree_ops *tree)
{
	mutex_lock(&homes_lock);
	h->tree = tree;
	mutex_unlock(&homes_lock);
}
EXPORT_SYMBOL_GPL(kecho_home_ready);

struct kecho_home *kecho_home_of(struct net *net)
{
	struct home_net *hn = net_generic(net, home_id);
	struct kecho_home *h;

	mutex_lock(&homes_lock);
	h = hn->home;
	if (h && (!h->tree || !h->tree->hold(h)))
		h = NULL;
	mutex_unlock(&homes_lock);
	return h;
}
EXPORT_SYMBOL_GPL(kecho_home_of);

void kecho_home_stop(struct kecho_home *h)
{
	struct home_net *hn = net_generic(h->net, home_id);

	mutex_lock(&homes_lock);
	hn->home = NULL;
	mutex_unlock(&homes_lock);
	home_free(h);
}
EXPORT_SYMBOL_GPL(kecho_home_stop);

static struct pernet_operations home_net_ops = {
	.id = &home_id,
	.size = sizeof(struct home_net),
};

static int __init kecho_init(void)
{
	int err = kecho_api_init();

	if (err)
		return err;
	err = register_pernet_subsys(&home_net_ops);
	if (err)
		kecho_api_exit();
	return err;
}

static void __exit kecho_exit(void)
{
	unregister_pernet_subsys(&home_net_ops);
	kecho_api_exit();
}

module_init(kecho_init);
module_exit(kecho_exit);
