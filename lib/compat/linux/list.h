/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_LIST_H
#define COMPAT_LINUX_LIST_H
#include <linux/kernel.h>

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *h)
{
	h->next = h->prev = h;
}

static inline void compat_list_insert(struct list_head *n, struct list_head *prev, struct list_head *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void list_add(struct list_head *n, struct list_head *h)
{
	compat_list_insert(n, h, h->next);
}

static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	compat_list_insert(n, h->prev, h);
}

static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

static inline void list_del_init(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	INIT_LIST_HEAD(n);
}

static inline void list_move(struct list_head *n, struct list_head *h)
{
	list_del(n);
	list_add(n, h);
}

static inline int list_empty(const struct list_head *h)
{
	return h->next == h;
}

static inline int list_is_singular(const struct list_head *h)
{
	return !list_empty(h) && h->next == h->prev;
}

static inline int list_is_head(const struct list_head *n, const struct list_head *h)
{
	return n == h;
}

static inline void list_move_tail(struct list_head *n, struct list_head *h)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_add_tail(n, h);
}

static inline void list_splice_init(struct list_head *from, struct list_head *h)
{
	if (list_empty(from))
		return;
	from->next->prev = h;
	from->prev->next = h->next;
	h->next->prev = from->prev;
	h->next = from->next;
	INIT_LIST_HEAD(from);
}

static inline void list_splice_tail_init(struct list_head *from, struct list_head *h)
{
	list_splice_init(from, h->prev);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(h, type, member) list_entry((h)->next, type, member)
#define list_last_entry(h, type, member) list_entry((h)->prev, type, member)
#define list_first_entry_or_null(h, type, member) (list_empty(h) ? NULL : list_first_entry(h, type, member))
#define list_next_entry(p, member) list_entry((p)->member.next, __typeof__(*(p)), member)
#define list_prev_entry(p, member) list_entry((p)->member.prev, __typeof__(*(p)), member)
#define list_entry_is_head(p, h, member) (&(p)->member == (h))
#define list_for_each_entry(p, h, member) \
	for (p = list_first_entry(h, __typeof__(*p), member); !list_entry_is_head(p, h, member); p = list_next_entry(p, member))
#define list_for_each_entry_reverse(p, h, member) \
	for (p = list_last_entry(h, __typeof__(*p), member); !list_entry_is_head(p, h, member); p = list_prev_entry(p, member))
#define list_for_each_entry_safe(p, n, h, member) \
	for (p = list_first_entry(h, __typeof__(*p), member), n = list_next_entry(p, member); \
	     !list_entry_is_head(p, h, member); p = n, n = list_next_entry(n, member))

static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	n->next = h->first;
	if (n->next)
		n->next->pprev = &n->next;
	h->first = n;
	n->pprev = &h->first;
}

static inline bool hlist_unhashed(const struct hlist_node *n)
{
	return !n->pprev;
}

static inline void hlist_del_init(struct hlist_node *n)
{
	if (!n->pprev)
		return;
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->next = NULL;
	n->pprev = NULL;
}

#define hlist_entry_safe(p, type, member) ({ struct hlist_node *_p = (p); _p ? container_of(_p, type, member) : NULL; })
#define hlist_for_each_entry(p, h, member) \
	for (p = hlist_entry_safe((h)->first, __typeof__(*p), member); p; \
	     p = hlist_entry_safe(p->member.next, __typeof__(*p), member))
#define hlist_for_each_entry_safe(p, n, h, member) \
	for (p = hlist_entry_safe((h)->first, __typeof__(*p), member); p && ({ n = p->member.next; 1; }); \
	     p = hlist_entry_safe(n, __typeof__(*p), member))
#endif
