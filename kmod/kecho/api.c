// SPDX-License-Identifier: GPL-2.0
/* The API for kernel services: kecho/kecho.h over a node and its tree. */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <kecho/kecho.h>
#include "../../lib/attr/text.h"
#include "home.h"

/* Events that a handler takes before others of the workqueue get their turn. */
#define HANDLER_ROUNDS 64

static struct workqueue_struct *handler_wq;

/** struct kecho - lives from kecho_open() to kecho_close(), and holds the node's tree and the channel's directory */
struct kecho {
	struct kecho_home *home;
	struct kecho_channel *channel;
	char who[16];
};

/**
 * struct kecho_sub - lives from kecho_subscribe() to kecho_unsubscribe()
 * @sink: its queue; @work does not look at it once @ending is set
 */
struct kecho_sub {
	struct kecho *kecho;
	struct kecho_sink *sink;
	struct kecho_sink_user user;
	kecho_handler_t handler;
	void *arg;
	bool ending;
	struct work_struct work;
	wait_queue_head_t wait;
};

/* --- channels --- */

struct kecho *kecho_open_net(struct net *net, const char *channel, unsigned int flags, const char *who)
{
	struct kecho *k = kzalloc(sizeof(*k), GFP_KERNEL);
	int err;

	if (!k)
		return ERR_PTR(-ENOMEM);
	err = -EINVAL;
	if (flags & ~KECHO_CREATE)
		goto fail;
	strscpy(k->who, who, sizeof(k->who));
	err = -ENXIO;
	k->home = kecho_home_of(net);
	if (!k->home)
		goto fail;
	k->channel = k->home->tree->open(k->home, channel, flags & KECHO_CREATE);
	if (!IS_ERR(k->channel)) {
		kecho_source_open(k->channel, home_now());
		return k;
	}
	err = PTR_ERR(k->channel);
	k->home->tree->release(k->home);
fail:
	kfree(k);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(kecho_open_net);

struct kecho *kecho_open_current(const char *channel, unsigned int flags, const char *who)
{
	return kecho_open_net(current->nsproxy->net_ns, channel, flags, who);
}
EXPORT_SYMBOL_GPL(kecho_open_current);

void kecho_close(struct kecho *k)
{
	const struct kecho_tree_ops *tree = k->home->tree;

	kecho_source_close(k->channel, home_now());
	tree->close(k->channel);
	tree->release(k->home);
	kfree(k);
}
EXPORT_SYMBOL_GPL(kecho_close);

int kecho_attr_set(struct kecho *k, const char *lines)
{
	return kecho_channel_write_attrs(k->channel, lines, strlen(lines), true, home_now());
}
EXPORT_SYMBOL_GPL(kecho_attr_set);

int kecho_attr_get(struct kecho *k, const char *name, char *buf, size_t size)
{
	struct kecho_text t = { 0 };
	struct kecho_attr attr;
	int ret = -ENOENT;

	mutex_lock(&k->home->node.cm.lock);
	if (kecho_attrs_find(k->channel->attrs, name, &attr)) {
		kecho_attr_print_value(&t, &attr);
		ret = t.err ? t.err : (int)t.len;
	}
	mutex_unlock(&k->home->node.cm.lock);
	if (ret >= 0)
		strscpy(buf, t.len ? t.buf : "", size);
	kecho_text_free(&t);
	return ret;
}
EXPORT_SYMBOL_GPL(kecho_attr_get);

/* --- publishing --- */

static int wait_room(struct kecho *k, int rooms)
{
	struct kecho_channel_user *u = k->channel->home;

	return wait_event_interruptible(u->room, atomic_read(&u->rooms) != rooms) ? -EINTR : 0;
}

int kecho_publish(struct kecho *k, const struct kecho_event *event, unsigned int flags)
{
	bool sleeps = !(flags & KECHO_NOWAIT);
	struct kecho_channel_user *u = k->channel->home;
	struct kecho_batch batch = { 0 };
	struct kecho_msg *msg;
	int n, rooms;

	if (event->len > READ_ONCE(k->home->node.max_event))
		return -EMSGSIZE;
	if (event->prio > KECHO_PRIO_MAX || flags & ~(KECHO_NOWAIT | KECHO_MORE) ||
	    (event->type_len && !kecho_name_valid(event->type, event->type_len)) ||
	    kecho_attrs_check(event->attrs, event->attrs_len))
		return -EINVAL;
	msg = kecho_event_make(event->type, event->type_len, event->attrs, event->attrs_len, event->len,
			       sleeps ? GFP_KERNEL : GFP_ATOMIC);
	if (!msg)
		return -ENOMEM;
	kecho_event(msg)->prio = event->prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(event->deadline_us);
	memcpy(kecho_event_payload(msg), event->data, event->len);
	do {
		rooms = atomic_read(&u->rooms);
		n = kecho_channel_publish(k->channel, msg, home_realtime(), sleeps ? &batch : NULL);
		if (n == -EAGAIN && sleeps && wait_room(k, rooms))
			n = -EINTR;
	} while (n == -EAGAIN && sleeps);
	kecho_msg_put(msg);
	kecho_net_send(&batch);
	return n;
}
EXPORT_SYMBOL_GPL(kecho_publish);

int kecho_flush(struct kecho *k, int timeout_ms)
{
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_flush);

/* --- subscribing --- */

static bool sub_next(struct kecho_sub *s, struct kecho_event *ev)
{
	struct kecho_msg *msg;

	if (kecho_sink_pop(s->sink, U32_MAX, &msg) <= 0)
		return false;
	kecho_event_view(ev, msg);
	ev->lost = READ_ONCE(s->sink->lost);
	ev->flags = kecho_sink_flags(s->sink, msg);
	return true;
}

void kecho_event_put(struct kecho_sub *s, struct kecho_event *ev)
{
	kecho_sink_consumed(s->sink, ev->msg);
	ev->msg = NULL;
}
EXPORT_SYMBOL_GPL(kecho_event_put);

static void handler_work(struct work_struct *work)
{
	struct kecho_sub *s = container_of(work, struct kecho_sub, work);
	struct kecho_event ev;
	int i;

	/* Retained events make it ready before kecho_subscribe() has it. */
	if (!smp_load_acquire(&s->sink))
		return;
	for (i = 0; i < HANDLER_ROUNDS && !READ_ONCE(s->ending); i++) {
		if (!sub_next(s, &ev))
			return;
		s->handler(&ev, s->arg);
		kecho_event_put(s, &ev);
	}
	if (!READ_ONCE(s->ending))
		queue_work(handler_wq, &s->work);
}

static void sub_ready(struct kecho_sink_user *u)
{
	struct kecho_sub *s = container_of(u, struct kecho_sub, user);

	if (s->handler)
		queue_work(handler_wq, &s->work);
	else
		wake_up_interruptible(&s->wait);
}

struct kecho_sub *kecho_subscribe(struct kecho *k, const char *type, kecho_handler_t handler, void *arg)
{
	struct kecho_sink *sink;
	struct kecho_sub *s;

	if (type && !kecho_name_valid(type, strlen(type)))
		return ERR_PTR(-EINVAL);
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->kecho = k;
	s->user.ready = sub_ready;
	s->handler = handler;
	s->arg = arg;
	INIT_WORK(&s->work, handler_work);
	init_waitqueue_head(&s->wait);
	sink = kecho_sink_open(k->channel, type ? type : "", 0, 0, k->who, &s->user, home_realtime(), home_now());
	if (!sink) {
		kfree(s);
		return ERR_PTR(-ENOMEM);
	}
	smp_store_release(&s->sink, sink);
	if (handler)
		queue_work(handler_wq, &s->work);
	return s;
}
EXPORT_SYMBOL_GPL(kecho_subscribe);

int kecho_sub_attr_set(struct kecho_sub *s, const char *lines)
{
	return kecho_sink_write_attrs(s->sink, lines, strlen(lines), home_now());
}
EXPORT_SYMBOL_GPL(kecho_sub_attr_set);

void kecho_unsubscribe(struct kecho_sub *s)
{
	WRITE_ONCE(s->ending, true);
	cancel_work_sync(&s->work);
	kecho_sink_close(s->sink, home_now());
	/* It may have become ready once more before it was closed. */
	cancel_work_sync(&s->work);
	kfree(s);
}
EXPORT_SYMBOL_GPL(kecho_unsubscribe);

int kecho_poll(struct kecho_sub *s, struct kecho_event *ev, int timeout_ms)
{
	long left = timeout_ms < 0 ? MAX_SCHEDULE_TIMEOUT : (long)msecs_to_jiffies(timeout_ms);

	if (s->handler)
		return -EINVAL;
	for (;;) {
		if (sub_next(s, ev))
			return 1;
		if (!left)
			return 0;
		left = wait_event_interruptible_timeout(s->wait, READ_ONCE(s->sink->count), left);
		if (left < 0)
			return -EINTR;
	}
}
EXPORT_SYMBOL_GPL(kecho_poll);

int kecho_api_init(void)
{
	handler_wq = alloc_workqueue("kecho_handlers", WQ_UNBOUND | WQ_HIGHPRI, 0);
	return handler_wq ? 0 : -ENOMEM;
}

void kecho_api_exit(void)
{
	destroy_workqueue(handler_wq);
}
