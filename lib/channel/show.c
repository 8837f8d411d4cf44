// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* What members and the files of .node show. */
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include "../attr/text.h"
#include "internal.h"

static const char *role_name(u8 role)
{
	static const char * const names[] = { "-", "p", "s", "ps" };

	return names[role & 3];
}

static void show_attrs_after(struct kecho_text *t, const struct kecho_attrs *attrs)
{
	struct kecho_text own = { 0 };

	kecho_attrs_print(&own, attrs, '\t');
	if (own.len) {
		kecho_text_append(t, "\t", 1);
		kecho_text_append(t, own.buf, own.len - 1);
	}
	if (own.err)
		t->err = own.err;
	kecho_text_append(t, "\n", 1);
	kecho_text_free(&own);
}

static void show_expired(struct kecho_text *t, u64 expired)
{
	if (expired)
		kecho_text_printf(t, "\texpired=%llu", expired);
}

/* Where the transport knows. Context: cm.lock held */
static void show_loss(struct kecho_text *t, struct kecho_link *link)
{
	if (link->conn && link->conn->overtakes)
		kecho_text_printf(t, "\tloss_ppm=%u", READ_ONCE(link->loss_ppm));
}

static void show_sink(struct kecho_text *t, struct kecho_sink *sink)
{
	u32 queued;
	u64 lost, expired;

	spin_lock_bh(&sink->lock);
	queued = sink->count;
	lost = sink->lost;
	expired = sink->expired;
	spin_unlock_bh(&sink->lock);
	kecho_text_printf(t, "  pid=%d\tcomm=%s\tqueued=%u", sink->pid, sink->comm, queued);
	show_expired(t, expired);
	kecho_text_printf(t, "\tlost=%llu", lost);
	if (sink->type[0])
		kecho_text_printf(t, "\ttype=%s", sink->type);
	if (sink->boost[0])
		kecho_text_printf(t, "\tboost=%s", sink->boost);
	if (sink_described(sink))
		kecho_text_printf(t, "\tsink=%u", sink->id);
	show_attrs_after(t, sink->attrs);
}

void kecho_show_members(struct kecho_text *t, struct kecho_channel *ch, u64 now)
{
	struct kecho_node *node = ch->node;
	char addr[KECHO_ADDR_STRLEN];
	struct kecho_member *m;
	struct kecho_sink *sink;
	u64 sent, received, lost;

	mutex_lock(&node->cm.lock);
	spin_lock_bh(&ch->lock);
	sent = ch->seq;
	received = ch->delivered;
	lost = ch->lost;
	spin_unlock_bh(&ch->lock);
	kecho_text_printf(t, "id=%016llx\tnode=%s\taddr=%s\tvia=local\tstate=alive\trole=%s\tsinks=%u\tcontact=%d\trtt_us=0\t"
			  "sent=%llu\treceived=%llu\tlost=%llu",
			  node->cm.id, node->cm.name, kecho_addr_str(&node->cm.listen, addr), role_name(channel_role(ch)), ch->nsinks,
			  ch->lease.contact == node->cm.id, sent, received, lost);
	show_attrs_after(t, ch->attrs);
	list_for_each_entry(sink, &ch->sinks, node)
		show_sink(t, sink);
	list_for_each_entry(m, &ch->members, node) {
		u64 events, bytes, expired, heard_at;

		spin_lock_bh(&ch->lock);
		received = m->received;
		lost = m->lost;
		expired = m->expired;
		heard_at = m->heard_at;
		spin_unlock_bh(&ch->lock);
		kecho_flow_given(&m->flow, &events, &bytes);
		kecho_text_printf(t, "id=%016llx\tnode=%s\taddr=%s\tvia=%s\tstate=%s\trole=%s\tsinks=%u\tcontact=%d\trtt_us=%u",
				  m->id, m->link->name, kecho_addr_str(&m->link->addr, addr), kecho_link_via(m->link),
				  m->link->state == KECHO_LINK_UP ? "alive" : "suspect", role_name(m->role),
				  m->plain + m->ndescribed, ch->lease.contact == m->id, m->link->rtt_us);
		show_loss(t, m->link);
		kecho_text_printf(t, "\tage_ms=%llu\tsent=%llu\treceived=%llu", div_u64(now - min(heard_at, now), NSEC_PER_MSEC), events,
				  received);
		show_expired(t, expired + READ_ONCE(m->flow.expired));
		kecho_text_printf(t, "\tlost=%llu", lost);
		show_attrs_after(t, m->attrs);
	}
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_members);

void kecho_show_peers(struct kecho_text *t, struct kecho_node *node)
{
	static const char * const states[] = { "connecting", "up", "suspect" };
	char addr[KECHO_ADDR_STRLEN];
	struct kecho_link *link;

	mutex_lock(&node->cm.lock);
	list_for_each_entry(link, &node->cm.links, node) {
		if (link->self)
			continue;
		kecho_text_printf(t, "id=%016llx\tnode=%s\taddr=%s\tvia=%s\tstate=%s\trtt_us=%u",
				  link->peer_id, link->name[0] ? link->name : "-",
				  link->addr.port || !link->host ? kecho_addr_str(&link->addr, addr) : link->host, kecho_link_via(link),
				  states[link->state], link->rtt_us);
		show_loss(t, link);
		kecho_text_printf(t, "\tsent=%llu\treceived=%llu\tbytes_sent=%llu\tbytes_received=%llu\tunacked=%u\tresumes=%u\n",
				  link->sent, link->received, link->bytes_sent, link->bytes_received, link->out_records, link->resumes);
	}
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_peers);

static void add_counts(struct kecho_channel *ch, u64 *published, u64 *delivered)
{
	spin_lock_bh(&ch->lock);
	*published += ch->seq;
	*delivered += ch->delivered;
	spin_unlock_bh(&ch->lock);
}

void kecho_show_stats(struct kecho_text *t, struct kecho_node *node)
{
	const struct kecho_node_stats *s = &node->stats;
	const struct kecho_cm_stats *c = &node->cm.stats;
	u64 published, delivered, own = 0;
	struct kecho_channel *ch;
	int b;

	mutex_lock(&node->cm.lock);
	kecho_text_printf(t, "channels=%u\nlinks=%u\n", node->nchannels, node->cm.nlinks);
	published = node->left_published;
	delivered = node->left_delivered;
	hash_for_each(node->channels, b, ch, hash)
		add_counts(ch, &published, &delivered);
	/* What the node says itself nobody has published. */
	if (node->news)
		add_counts(node->news, &own, &delivered);
	mutex_unlock(&node->cm.lock);
#define SHOW(from, name) kecho_text_printf(t, #name "=%lld\n", (long long)atomic64_read(&from->name))
	kecho_text_printf(t, "published=%llu\n", published);
	SHOW(s, sent);
	SHOW(s, received);
	kecho_text_printf(t, "delivered=%llu\n", delivered);
	SHOW(s, unsent);
	SHOW(s, filtered);
	SHOW(s, unretained);
	kecho_text_printf(t, "lost=%lld\n", (long long)(atomic64_read(&s->lost_sink) + atomic64_read(&s->lost_link) +
							  atomic64_read(&c->lost_unacked)));
	SHOW(s, lost_sink);
	SHOW(s, lost_link);
	SHOW(c, lost_unacked);
	kecho_text_printf(t, "expired=%lld\n", (long long)(atomic64_read(&s->expired_sink) + atomic64_read(&c->expired)));
	SHOW(c, connects);
	SHOW(c, accepts);
	SHOW(c, refused);
	SHOW(c, resumes);
	SHOW(c, resets);
	SHOW(c, timeouts);
	SHOW(c, protocol_errors);
	SHOW(c, tx_records);
	SHOW(c, tx_bytes);
	SHOW(c, rx_records);
	SHOW(c, rx_bytes);
#undef SHOW
}
EXPORT_SYMBOL_GPL(kecho_show_stats);

void kecho_show_holding(struct kecho_text *t, struct kecho_node *node, const char *name, const struct kecho_holding *h)
{
	char addr[KECHO_ADDR_STRLEN];

	kecho_text_printf(t, "name=%s\tcontact=%016llx\taddr=%s\tepoch=%llu\tjoined=%d\n", name, h->contact,
			  kecho_addr_str(&h->addr, addr), h->epoch, !!channel_find(node, name));
}
EXPORT_SYMBOL_GPL(kecho_show_holding);

void kecho_show_channels(struct kecho_text *t, struct kecho_node *node)
{
	struct kecho_channel *ch;
	struct kecho_link *link;
	int b;

	mutex_lock(&node->cm.lock);
	hash_for_each(node->channels, b, ch, hash) {
		struct kecho_holding h = { ch->lease.contact, ch->lease.epoch, node->cm.listen };

		link = h.contact == node->cm.id ? NULL : kecho_cm_find(&node->cm, h.contact);
		if (link)
			h.addr = link->addr;
		kecho_show_holding(t, node, ch->name, &h);
	}
	mutex_unlock(&node->cm.lock);
}
EXPORT_SYMBOL_GPL(kecho_show_channels);
