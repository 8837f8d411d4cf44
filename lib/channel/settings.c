// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kecho.*: the settings of a channel, the same on all its members. */
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "../attr/text.h"
#include "internal.h"

static const char * const overflow_names[] = { "drop-oldest", "drop-newest", "block" };
static const char * const order_names[] = { "fifo", "priority", "deadline" };
static const char * const transport_names[] = { "tcp", "rudp" };

static int pick(const struct kecho_attr *a, const char * const *names, u32 n)
{
	u32 i;

	if (a->type == KECHO_ATTR_STRING)
		for (i = 0; i < n; i++)
			if (strlen(names[i]) == a->str_len && !memcmp(names[i], a->str, a->str_len))
				return i;
	return -EINVAL;
}

static bool is(const struct kecho_attr *a, const char *name)
{
	return strlen(name) == a->name_len && !memcmp(name, a->name, a->name_len);
}

int settings_parse(const struct kecho_attrs *attrs, u32 queue, struct kecho_settings *s)
{
	struct kecho_attr a;
	u32 pos = 0;
	int v = 0;

	*s = (struct kecho_settings){ .queue = queue };
	while (kecho_attrs_next(attrs, &pos, &a)) {
		if (is(&a, "kecho.overflow"))
			s->overflow = v = pick(&a, overflow_names, ARRAY_SIZE(overflow_names));
		else if (is(&a, "kecho.order"))
			s->order = v = pick(&a, order_names, ARRAY_SIZE(order_names));
		else if (is(&a, "kecho.transport"))
			s->rudp = (v = pick(&a, transport_names, ARRAY_SIZE(transport_names))) > 0;
		else if (is(&a, "kecho.queue") && a.type == KECHO_ATTR_INT && a.num >= 1 && a.num <= KECHO_QUEUE_MAX)
			s->queue = a.num;
		else if (is(&a, "kecho.retain") && a.type == KECHO_ATTR_INT && a.num >= 0 && a.num <= KECHO_RETAIN_MAX)
			s->retain = a.num;
		else
			v = -EINVAL;
		if (v < 0)
			return v;
	}
	return 0;
}

bool settings_adopt(struct kecho_channel *ch, u64 version, u64 setter, struct kecho_attrs *attrs)
{
	struct kecho_settings s;
	struct kecho_member *m;

	lockdep_assert_held(&ch->node->cm.lock);
	if (version < ch->settings_version || (version == ch->settings_version && setter <= ch->setter) ||
	    settings_parse(attrs, ch->node->queue, &s)) {
		kecho_attrs_put(attrs);
		return false;
	}
	spin_lock_bh(&ch->lock);
	swap(ch->settings_attrs, attrs);
	/* These two are looked at without the lock as well. */
	WRITE_ONCE(ch->settings.overflow, s.overflow);
	WRITE_ONCE(ch->settings.queue, s.queue);
	ch->settings.order = s.order;
	ch->settings.retain = s.retain;
	ch->settings.rudp = s.rudp;
	ch->settings_version = version;
	ch->setter = setter;
	channel_trim_retained(ch);
	spin_unlock_bh(&ch->lock);
	kecho_attrs_put(attrs);
	/* A publisher that now has to go by our credit must know it. */
	list_for_each_entry(m, &ch->members, node) {
		member_tell_credit(m, true);
		if (s.rudp)
			kecho_link_want_rudp(m->link);
	}
	channel_room_made(ch);
	ch->node->ops->changed(ch, KECHO_FILE_ATTRS, NULL);
	return true;
}

int kecho_channel_write_attrs(struct kecho_channel *ch, const char *text, size_t len, bool owner, u64 now)
{
	struct kecho_text own = { 0 }, set = { 0 };
	struct kecho_attrs *attrs = NULL, *sattrs = NULL, *old;
	const char *p = text, *end = text + len, *nl;
	struct kecho_settings s;
	struct kecho_attr a;
	char queue[32];
	int err;

	for (; p < end; p = nl) {
		nl = memchr(p, '\n', end - p);
		nl = nl ? nl + 1 : end;
		kecho_text_append(nl - p > 6 && !memcmp(p, "kecho.", 6) ? &set : &own, p, nl - p);
	}
	mutex_lock(&ch->node->cm.lock);
	err = own.err ? own.err : set.err;
	if (!err && set.len && !owner)
		err = -EPERM;
	if (!err)
		err = kecho_attrs_merge_text(ch->attrs, own.buf, own.len, GFP_KERNEL, &attrs);
	if (!err)
		err = kecho_attrs_merge_text(ch->settings_attrs, set.buf, set.len, GFP_KERNEL, &sattrs);
	/* The queue's default is the node's own: what one has set must be the same on all, for block goes by it. */
	if (!err && set.len && !kecho_attrs_find(sattrs, "kecho.queue", &a)) {
		scnprintf(queue, sizeof(queue), "kecho.queue=%u", ch->node->queue);
		old = sattrs;
		err = kecho_attrs_merge_text(old, queue, strlen(queue), GFP_KERNEL, &sattrs);
		kecho_attrs_put(old);
	}
	if (!err)
		err = settings_parse(sattrs, ch->node->queue, &s);
	if (err) {
		kecho_attrs_put(attrs);
		kecho_attrs_put(sattrs);
		goto out;
	}
	if (set.len) {
		/* Above what this node may have set when it was here before, and has forgotten. */
		settings_adopt(ch, max(ch->settings_version, ch->rank) + 1, ch->node->cm.id, sattrs);
		channel_say_settings(ch);
	} else {
		kecho_attrs_put(sattrs);
	}
	if (!kecho_attrs_equal(ch->attrs, attrs)) {
		spin_lock_bh(&ch->lock);
		old = ch->attrs;
		ch->attrs = attrs;
		spin_unlock_bh(&ch->lock);
		attrs = old;
		channel_advert_soon(ch, now + KECHO_ADVERT_MS * 1000000ull);
		ch->node->ops->changed(ch, KECHO_FILE_ATTRS, NULL);
		ch->node->ops->changed(ch, KECHO_FILE_MEMBERS, NULL);
	} else if (own.len) {
		/* Said again, it is as new as what is new, for who leaves out what has become old. */
		channel_advert_soon(ch, now + KECHO_REFRESH_MS * 1000000ull);
	}
	kecho_attrs_put(attrs);
out:
	mutex_unlock(&ch->node->cm.lock);
	kecho_text_free(&own);
	kecho_text_free(&set);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_channel_write_attrs);

void kecho_show_attrs(struct kecho_text *t, struct kecho_channel *ch)
{
	mutex_lock(&ch->node->cm.lock);
	kecho_attrs_print(t, ch->attrs, '\n');
	kecho_text_printf(t, "kecho.order=%s\nkecho.overflow=%s\nkecho.queue=%u\nkecho.retain=%u\nkecho.transport=%s\n",
			  order_names[ch->settings.order], overflow_names[ch->settings.overflow], ch->settings.queue,
			  ch->settings.retain, transport_names[ch->settings.rudp]);
	mutex_unlock(&ch->node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_attrs);
