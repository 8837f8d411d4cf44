// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The chains of filters of a channel: the events' way through them, and what is written to the filter file. */
#define pr_fmt(fmt) "kecho: " fmt
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "../attr/text.h"
#include "internal.h"
#include <trace/events/kecho.h>

#define SCRATCH_FIRST 16

/**
 * struct chained - a filter in a chain of a channel
 *
 * Lives from the write that adds it to the one that removes it, or to the channel's end.
 *
 * @args: as given, budget_us too
 * @lock: what kecho_filter_lock() takes; inside channel->lock
 * @attached: detached() is due at the end
 * @watch: the sink by which it hears another channel
 * @overruns: how often in a row it took longer than @budget; @disabled: it is not run any more
 * @seen, @passed: events, and those of which a candidate was left; @ns: what it has taken for all of them
 */
struct chained {
	struct list_head node;
	struct kecho_channel *channel;
	struct kecho_filter filter;
	struct kecho_attrs *args;
	spinlock_t lock;
	struct kecho_sink *watch;
	bool attached;
	u64 budget;
	u32 overruns;
	bool disabled;
	u64 seen, passed, ns;
};

static struct chained *filter_chained(struct kecho_filter *f)
{
	return container_of(f, struct chained, filter);
}

/* --- for filters --- */

int kecho_filter_refuse(struct kecho_filter *f, const char *fmt, ...)
{
	char why[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	pr_warn("channel %s: filter %s: %s\n", filter_chained(f)->channel->name, f->name, why);
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(kecho_filter_refuse);

void kecho_filter_lock(struct kecho_filter *f) __acquires(&filter_chained(f)->lock)
{
	spin_lock_bh(&filter_chained(f)->lock);
}
EXPORT_SYMBOL_GPL(kecho_filter_lock);

void kecho_filter_unlock(struct kecho_filter *f) __releases(&filter_chained(f)->lock)
{
	spin_unlock_bh(&filter_chained(f)->lock);
}
EXPORT_SYMBOL_GPL(kecho_filter_unlock);

__u64 kecho_filter_now(struct kecho_filter *f)
{
	return filter_chained(f)->channel->node->ops->clock();
}
EXPORT_SYMBOL_GPL(kecho_filter_now);

void *kecho_filter_alloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL);
}
EXPORT_SYMBOL_GPL(kecho_filter_alloc);

void kecho_filter_free(void *p)
{
	kvfree(p);
}
EXPORT_SYMBOL_GPL(kecho_filter_free);

bool kecho_candidate_attr(const struct kecho_candidate *c, const char *name, struct kecho_attr *attr)
{
	return kecho_attr_find(c->attrs, c->attrs_len, name, attr) || kecho_attr_find(c->node_attrs, c->node_attrs_len, name, attr);
}
EXPORT_SYMBOL_GPL(kecho_candidate_attr);

bool kecho_attr_id(const struct kecho_attr *attr, u64 *id)
{
	u64 n = attr->num, tenth;
	int i;
	char c;

	*id = 0;
	if (attr->type == KECHO_ATTR_INT) {
		for (i = 0; i < 64; i += 4, n = tenth) {
			tenth = div_u64(n, 10);
			*id |= (n - tenth * 10) << i;
		}
		return !n;
	}
	if (attr->type != KECHO_ATTR_STRING || attr->str_len != 16)
		return false;
	for (i = 0; i < 16; i++) {
		c = attr->str[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		*id = *id << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return true;
}
EXPORT_SYMBOL_GPL(kecho_attr_id);

/* channel->lock is held: it is called by run(). */
const char *kecho_filter_node_name(struct kecho_filter *f, u64 id)
{
	struct kecho_channel *ch = filter_chained(f)->channel;
	struct kecho_member *m;

	if (id == ch->node->cm.id)
		return ch->node->cm.name;
	list_for_each_entry(m, &ch->members, node)
		if (m->id == id)
			return m->name;
	return NULL;
}
EXPORT_SYMBOL_GPL(kecho_filter_node_name);

static void copy_release(struct kecho_msg *msg)
{
	kecho_msg_put(msg->owner);
}

int kecho_pass_rewrite(struct kecho_pass *p, const struct kecho_event *with)
{
	struct kecho_msg *msg, *old = p->event.msg;
	u32 flags = p->event.flags;

	if (with->prio > KECHO_PRIO_MAX || (with->type_len && !kecho_name_valid(with->type, with->type_len)) ||
	    kecho_attrs_check(with->attrs, with->attrs_len))
		return -EINVAL;
	msg = kecho_event_make(with->type, with->type_len, with->attrs, with->attrs_len, with->len, GFP_ATOMIC);
	if (!msg)
		return -ENOMEM;
	memcpy(kecho_event_payload(msg), with->data, with->len);
	kecho_event(msg)->origin = kecho_event(old)->origin;
	kecho_event(msg)->seq = kecho_event(old)->seq;
	kecho_event(msg)->time_ns = kecho_event(old)->time_ns;
	kecho_event(msg)->prio = with->prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(with->deadline_us);
	if (with->deadline_us == le32_to_cpu(kecho_event(old)->deadline_us))
		msg->expires = old->expires;
	else if (with->deadline_us)
		msg->expires = p->now_ns + (u64)with->deadline_us * 1000;
	kecho_event_view(&p->event, msg);
	p->event.flags = flags;
	/* An event from a member is consumed, for its publisher's credit, when the copy is. */
	msg->owner = old;
	msg->release = copy_release;
	return 0;
}
EXPORT_SYMBOL_GPL(kecho_pass_rewrite);

int kecho_filter_watch(struct kecho_filter *f, const char *channel)
{
	struct chained *c = filter_chained(f);
	struct kecho_node *node = c->channel->node;
	struct kecho_channel *ch = kecho_channel_find(node, channel);
	u64 now = node->ops->clock();

	if (!ch) {
		kecho_filter_refuse(f, "this node is not on the channel %s: mkdir joins it", channel);
		return -ENOENT;
	}
	/* What it retains is of use to a filter too, whatever its age. */
	c->watch = sink_open(ch, c, "", 0, 0, f->ops->name, NULL, 0, now);
	kecho_channel_put(ch);
	return c->watch ? 0 : -ENOMEM;
}
EXPORT_SYMBOL_GPL(kecho_filter_watch);

void filter_heard(struct chained *c, struct kecho_msg *msg)
{
	struct kecho_event ev;

	if (!c->filter.ops->heard)
		return;
	kecho_event_view(&ev, msg);
	c->filter.ops->heard(&c->filter, &ev);
}

/* --- an event's way --- */

static bool scratch_grow(struct kecho_channel *ch)
{
	struct kecho_scratch *s = ch->scratch, *n;
	u32 cap = s ? 2 * s->cap : SCRATCH_FIRST;

	n = kmalloc(sizeof(*n) + cap * (sizeof(*n->all) + sizeof(*n->picked) + sizeof(*n->ids)), GFP_ATOMIC);
	if (!n)
		return false;
	n->n = s ? s->n : 0;
	n->cap = cap;
	n->all = (void *)(n + 1);
	n->picked = (void *)(n->all + cap);
	n->ids = (void *)(n->picked + cap);
	if (n->n)
		memcpy(n->all, s->all, n->n * sizeof(*n->all));
	kfree(s);
	ch->scratch = n;
	return true;
}

bool scratch_begin(struct kecho_channel *ch)
{
	lockdep_assert_held(&ch->lock);
	if (!ch->scratch && !scratch_grow(ch))
		return false;
	ch->scratch->n = 0;
	return true;
}

struct kecho_candidate *scratch_add(struct kecho_channel *ch)
{
	struct kecho_candidate *c;

	if (ch->scratch->n == ch->scratch->cap && !scratch_grow(ch))
		return NULL;
	c = &ch->scratch->all[ch->scratch->n++];
	memset(c, 0, sizeof(*c));
	return c;
}

static void over_budget(struct chained *c, u64 ns)
{
	if (++c->overruns < KECHO_BUDGET_OVERRUNS)
		return;
	c->disabled = true;
	pr_warn("channel %s: filter %s took %llu ns of the %llu us it has, and too long %u times in a row: disabled; remove it, or give it a larger budget_us\n",
		c->channel->name, c->filter.name, ns, div_u64(c->budget, NSEC_PER_USEC), c->overruns);
	node_tell(c->channel->node, "filter\tchannel=%s\tdir=%s\tname=%s\tdisabled=1\ttook_ns=%llu\tbudget_us=%llu", c->channel->name,
		  c->filter.out ? "out" : "in", c->filter.name, ns, div_u64(c->budget, NSEC_PER_USEC));
	c->channel->node->ops->changed(c->channel, KECHO_FILE_FILTER, NULL);
}

/* The time it took is counted up to @before, which becomes now. */
static void run(struct chained *c, struct kecho_pass *p, u64 *before)
{
	u64 now;
	u32 n = p->n;

	c->filter.ops->run(&c->filter, p);
	if (WARN_ON_ONCE(p->n > n))
		p->n = n;
	now = c->channel->node->ops->clock();
	c->ns += now - *before;
	c->seen++;
	c->passed += !!p->n;
	if (now - *before > c->budget)
		over_budget(c, now - *before);
	else
		c->overruns = 0;
	*before = now;
	trace_kecho_filter(c->channel, c->filter.ops->name, kecho_event(p->event.msg), n, p->n);
}

struct kecho_msg *channel_filter(struct kecho_channel *ch, bool out, struct kecho_msg *msg)
{
	struct kecho_scratch *s = ch->scratch;
	struct kecho_pass p;
	struct chained *c;
	u64 before;
	u32 i;

	lockdep_assert_held(&ch->lock);
	before = ch->node->ops->clock();
	kecho_event_view(&p.event, msg);
	p.event.flags = p.event.publisher == ch->node->cm.id ? KECHO_FRAME_LOCAL : 0;
	p.now_ns = before;
	p.n = s->n;
	p.candidates = s->picked;
	for (i = 0; i < s->n; i++)
		s->picked[i] = &s->all[i];
	kecho_msg_get(msg);
	list_for_each_entry(c, &ch->filters, node) {
		if (c->filter.out != out || c->disabled)
			continue;
		if (!p.n)
			break;
		run(c, &p, &before);
	}
	for (i = 0; i < p.n; i++)
		p.candidates[i]->kept = true;
	if (!p.n)
		atomic64_inc(&ch->node->stats.filtered);
	return p.event.msg;
}

/* --- the file --- */

/* @c may be NULL if @config is. */
static void config_free(struct chained *c, void *config)
{
	if (config && c->filter.ops->free)
		c->filter.ops->free(config);
	else
		kecho_filter_free(config);
}

static void chained_free(struct chained *c, u64 now)
{
	const struct kecho_filter_ops *ops = c->filter.ops;

	if (c->watch)
		kecho_sink_close(c->watch, now);
	if (c->attached && ops->detached)
		ops->detached(&c->filter);
	config_free(c, c->filter.config);
	kecho_filter_free(c->filter.state);
	c->channel->node->ops->filter_put(ops);
	kecho_attrs_put(c->args);
	kfree(c);
}

/* cm.lock held. */
static void chained_unlink(struct chained *c)
{
	struct kecho_channel *ch = c->channel;

	spin_lock_bh(&ch->lock);
	list_del(&c->node);
	if (c->filter.out)
		ch->nout--;
	else
		ch->nin--;
	spin_unlock_bh(&ch->lock);
}

void channel_drop_filters(struct kecho_channel *ch, u64 now)
{
	struct chained *c;

	for (;;) {
		mutex_lock(&ch->node->cm.lock);
		c = list_first_entry_or_null(&ch->filters, struct chained, node);
		if (c)
			chained_unlink(c);
		mutex_unlock(&ch->node->cm.lock);
		if (!c)
			return;
		chained_free(c, now);
	}
}

static int set_budget(struct chained *c, const struct kecho_attrs *args, u64 *budget)
{
	struct kecho_attr a;

	*budget = (u64)KECHO_BUDGET_US * NSEC_PER_USEC;
	if (!kecho_attrs_find(args, "budget_us", &a))
		return 0;
	if (a.type != KECHO_ATTR_INT || a.num < 1 || a.num > KECHO_BUDGET_MAX_US)
		return kecho_filter_refuse(&c->filter, "budget_us takes a number from 1 to %u", KECHO_BUDGET_MAX_US);
	*budget = a.num * NSEC_PER_USEC;
	return 0;
}

/* What the filter's own arguments are: all but those that each has. */
static int setup(struct chained *c, const struct kecho_attrs *args, void **config, u64 *budget)
{
	const struct kecho_filter_ops *ops = c->filter.ops;
	struct kecho_attrs *own = NULL;
	int err = set_budget(c, args, budget);

	*config = NULL;
	if (!err)
		err = kecho_attrs_merge_text(args, "budget_us=", 10, GFP_KERNEL, &own);
	if (!err && ops->setup)
		err = ops->setup(&c->filter, own ? own->data : NULL, own ? own->len : 0, config);
	else if (!err && own)
		err = kecho_filter_refuse(&c->filter, "it takes no arguments but budget_us");
	kecho_attrs_put(own);
	return err;
}

static int add(struct kecho_channel *ch, bool out, const char *name, size_t name_len, struct kecho_attrs *args, u64 now)
{
	struct kecho_node *node = ch->node;
	const struct kecho_filter_ops *ops;
	struct chained *c, *o;
	u32 n = 0;
	int err;

	if (name_len > KECHO_FILTER_NAME_MAX)
		return -EINVAL;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->channel = ch;
	c->filter.out = out;
	c->filter.self = node->cm.id;
	memcpy(c->filter.name, name, name_len);
	spin_lock_init(&c->lock);
	ops = node->ops->filter_get(node, c->filter.name);
	if (IS_ERR(ops)) {
		kfree(c);
		return PTR_ERR(ops);
	}
	c->filter.ops = ops;
	c->args = kecho_attrs_get(args);
	err = -ENOMEM;
	if (ops->state) {
		c->filter.state = kecho_filter_alloc(ops->state);
		if (!c->filter.state)
			goto fail;
	}
	err = setup(c, args, &c->filter.config, &c->budget);
	if (err)
		goto fail;
	c->attached = true;
	if (ops->attached) {
		err = ops->attached(&c->filter);
		if (err)
			goto fail;
	}
	mutex_lock(&node->cm.lock);
	list_for_each_entry(o, &ch->filters, node)
		n++;
	err = ch->gone ? -ENODEV : n >= KECHO_FILTERS_MAX ? -ENOSPC : 0;
	if (!err) {
		spin_lock_bh(&ch->lock);
		list_add_tail(&c->node, &ch->filters);
		if (out)
			ch->nout++;
		else
			ch->nin++;
		spin_unlock_bh(&ch->lock);
		node->ops->changed(ch, KECHO_FILE_FILTER, NULL);
	}
	mutex_unlock(&node->cm.lock);
	if (!err)
		return 0;
fail:
	chained_free(c, now);
	return err;
}

/* By its index, or the first of that name. cm.lock held. */
static struct chained *find(struct kecho_channel *ch, const char *what, size_t len, bool index)
{
	struct chained *c;
	u32 i = 0, want = 0;

	for (i = 0; index && i < len; i++)
		want = want * 10 + what[i] - '0';
	i = 0;
	list_for_each_entry(c, &ch->filters, node)
		if (index ? i++ == want : kecho_type_is(c->filter.name, what, len))
			return c;
	return NULL;
}

static int del(struct kecho_channel *ch, const char *what, size_t len, bool index, u64 now)
{
	struct chained *c;

	mutex_lock(&ch->node->cm.lock);
	c = find(ch, what, len, index);
	if (c) {
		chained_unlink(c);
		ch->node->ops->changed(ch, KECHO_FILE_FILTER, NULL);
	}
	mutex_unlock(&ch->node->cm.lock);
	if (!c)
		return -ENOENT;
	chained_free(c, now);
	return 0;
}

static int set(struct kecho_channel *ch, const char *what, size_t len, const char *lines, size_t lines_len)
{
	struct kecho_attrs *args = NULL, *old;
	void *config = NULL, *was = NULL;
	struct chained *c;
	u64 budget;
	int err = -ENOENT;

	mutex_lock(&ch->node->cm.lock);
	c = find(ch, what, len, true);
	if (c)
		err = kecho_attrs_merge_text(c->args, lines, lines_len, GFP_KERNEL, &args);
	if (!err) {
		err = setup(c, args, &config, &budget);
		was = config;
	}
	if (!err) {
		spin_lock_bh(&ch->lock);
		was = c->filter.config;
		/* For heard(), which does not hold this channel's lock. */
		spin_lock(&c->lock);
		c->filter.config = config;
		spin_unlock(&c->lock);
		c->budget = budget;
		c->overruns = 0;
		c->disabled = false;
		old = c->args;
		c->args = args;
		spin_unlock_bh(&ch->lock);
		args = old;
		ch->node->ops->changed(ch, KECHO_FILE_FILTER, NULL);
	}
	config_free(c, was);
	mutex_unlock(&ch->node->cm.lock);
	kecho_attrs_put(args);
	return err;
}

struct words {
	const char *p, *end;
};

/* One word; quotes keep blanks in it. Not closed: 0 and @p beyond @end. */
static size_t next_word(struct words *w, const char **word)
{
	char quote = 0;

	while (w->p < w->end && (*w->p == ' ' || *w->p == '\t'))
		w->p++;
	*word = w->p;
	for (; w->p < w->end && (quote || (*w->p != ' ' && *w->p != '\t')); w->p++) {
		if (quote ? *w->p == quote : *w->p == '\'' || *w->p == '"')
			quote = quote ? 0 : *w->p;
	}
	if (quote) {
		w->p = w->end + 1;
		return 0;
	}
	return w->p - *word;
}

static bool is_index(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return len && len < 10;
}

/* key=value as a line of attrs. What is quoted is a string, and the quotes go. */
static bool put_arg(struct kecho_text *t, const char *s, size_t len)
{
	const char *eq = memchr(s, '=', len), *p, *end = s + len;
	bool quoted = false;
	char quote = 0;

	if (!eq || !kecho_name_valid(s, eq - s))
		return false;
	for (p = eq + 1; p < end; p++) {
		if ((u8)*p < ' ' || *p == 127)
			return false;
		quoted = quoted || *p == '\'' || *p == '"';
	}
	kecho_text_append(t, s, eq + 1 - s);
	if (quoted)
		kecho_text_append(t, "\"", 1);
	for (p = eq + 1; p < end; p++) {
		if (quote ? *p == quote : *p == '\'' || *p == '"')
			quote = quote ? 0 : *p;
		else
			kecho_text_append(t, p, 1);
	}
	kecho_text_append(t, quoted ? "\"\n" : "\n", quoted ? 2 : 1);
	return true;
}

int kecho_channel_write_filter(struct kecho_channel *ch, const char *text, size_t len)
{
	const char *nl = memchr(text, '\n', len), *word, *name;
	u64 now = ch->node->ops->clock();
	struct words w = { text, nl ? nl : text + len };
	struct kecho_text lines = { 0 };
	struct kecho_attrs *args;
	size_t n, name_len;
	bool out = true, directed = false;
	int err = -EINVAL;

	if (nl && nl + 1 != text + len)
		return -EINVAL;
	n = next_word(&w, &word);
	if (n && word[0] == '-') {
		if (!(kecho_name_valid(word + 1, n - 1) || (n > 5 && !memcmp(word + 1, "bpf:", 4))) || next_word(&w, &name) ||
		    w.p > w.end)
			return -EINVAL;
		return del(ch, word + 1, n - 1, is_index(word + 1, n - 1), now);
	}
	if ((n == 2 && !memcmp(word, "in", 2)) || (n == 3 && !memcmp(word, "out", 3))) {
		out = word[0] == 'o';
		directed = true;
		n = next_word(&w, &word);
	}
	name = word;
	name_len = n;
	if (!(!directed && n > 1 && word[0] == '=' && is_index(word + 1, n - 1)) && !(n > 4 && !memcmp(word, "bpf:", 4)) &&
	    !kecho_name_valid(word, n))
		return -EINVAL;
	while ((n = next_word(&w, &word)))
		if (!put_arg(&lines, word, n))
			goto out;
	if (w.p > w.end || (name[0] == '=' && !lines.len && !lines.err))
		goto out;
	err = lines.err;
	if (err)
		goto out;
	if (name[0] == '=') {
		err = set(ch, name + 1, name_len - 1, lines.buf, lines.len);
		goto out;
	}
	err = kecho_attrs_merge_text(NULL, lines.buf, lines.len, GFP_KERNEL, &args);
	if (!err) {
		err = add(ch, out, name, name_len, args, now);
		kecho_attrs_put(args);
	}
out:
	kecho_text_free(&lines);
	return err;
}
EXPORT_SYMBOL_GPL(kecho_channel_write_filter);

void kecho_show_filter(struct kecho_text *t, struct kecho_channel *ch)
{
	u64 seen, passed, ns;
	struct chained *c;
	bool disabled;
	u32 i = 0;

	mutex_lock(&ch->node->cm.lock);
	list_for_each_entry(c, &ch->filters, node) {
		spin_lock_bh(&ch->lock);
		seen = c->seen;
		passed = c->passed;
		ns = c->ns;
		disabled = c->disabled;
		spin_unlock_bh(&ch->lock);
		kecho_text_printf(t, "index=%u\tdir=%s\tname=%s\tseen=%llu\tpassed=%llu\tmean_ns=%llu\tdisabled=%d", i++,
				  c->filter.out ? "out" : "in", c->filter.name, seen, passed, seen ? div64_u64(ns, seen) : 0,
				  disabled);
		if (c->args)
			kecho_text_append(t, "\t", 1);
		kecho_attrs_print(t, c->args, '\t');
		if (c->args)
			t->len -= t->len > 0;
		kecho_text_append(t, "\n", 1);
	}
	mutex_unlock(&ch->node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_filter);
