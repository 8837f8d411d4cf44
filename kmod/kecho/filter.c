// SPDX-License-Identifier: GPL-2.0
/* Kinds of filters, by name: modules kecho-filter-NAME register them, and are loaded when a chain asks for one. */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/capability.h>
#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "home.h"

struct kind {
	struct list_head node;
	const struct kecho_filter_ops *ops;
};

static LIST_HEAD(kinds);
static DEFINE_MUTEX(kinds_lock);

static struct kind *kind_find(const char *name)
{
	struct kind *k;

	lockdep_assert_held(&kinds_lock);
	list_for_each_entry(k, &kinds, node)
		if (!strcmp(k->ops->name, name))
			return k;
	return NULL;
}

int kecho_filter_register(const struct kecho_filter_ops *ops)
{
	struct kind *k;
	int err = 0;

	if (!kecho_name_valid(ops->name, strlen(ops->name)) || !ops->run)
		return -EINVAL;
	k = kzalloc(sizeof(*k), GFP_KERNEL);
	if (!k)
		return -ENOMEM;
	k->ops = ops;
	mutex_lock(&kinds_lock);
	if (kind_find(ops->name))
		err = -EEXIST;
	else
		list_add(&k->node, &kinds);
	mutex_unlock(&kinds_lock);
	if (err)
		kfree(k);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_filter_register);

void kecho_filter_unregister(const struct kecho_filter_ops *ops)
{
	struct kind *k;

	mutex_lock(&kinds_lock);
	k = kind_find(ops->name);
	list_del(&k->node);
	mutex_unlock(&kinds_lock);
	kfree(k);
}
EXPORT_SYMBOL_GPL(kecho_filter_unregister);

static const struct kecho_filter_ops *kind_get(const char *name)
{
	const struct kecho_filter_ops *ops = ERR_PTR(-ENOENT);
	struct kind *k;

	mutex_lock(&kinds_lock);
	k = kind_find(name);
	if (k && try_module_get(k->ops->owner))
		ops = k->ops;
	mutex_unlock(&kinds_lock);
	return ops;
}

const struct kecho_filter_ops *kecho_filter_get(struct kecho_node *node, const char *name)
{
	const struct kecho_filter_ops *ops;

	if (!strncmp(name, "bpf:", 4)) {
		__module_get(THIS_MODULE);
		return &kecho_filter_bpf;
	}
	ops = kind_get(name);
	if (!IS_ERR(ops))
		return ops;
	if (!capable(CAP_SYS_MODULE)) {
		pr_info_ratelimited("filter %s is not loaded, and who asks for it may load no modules\n", name);
		return ERR_PTR(-EPERM);
	}
	request_module("kecho-filter-%s", name);
	return kind_get(name);
}

void kecho_filter_put(const struct kecho_filter_ops *ops)
{
	module_put(ops->owner);
}
