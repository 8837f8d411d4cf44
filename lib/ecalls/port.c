// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <asm/barrier.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/poll.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "port.h"

#define PAGE 4096u
/* What a port may keep between two events. */
#define SPARE_MAX 4096

static u32 ring_size(u32 asked)
{
	u32 size = KECHO_RING_MIN;

	while (size < asked && size < KECHO_RING_MAX)
		size *= 2;
	return size;
}

int kecho_port_sizes(struct kecho_attach *a, bool publishes, bool receives)
{
	if (a->version != KECHO_RING_VERSION || a->flags)
		return -EINVAL;
	a->publish_size = publishes ? ring_size(a->publish_size) : 0;
	a->receive_size = receives ? ring_size(a->receive_size) : 0;
	a->idle_us = min_t(u32, a->idle_us, KECHO_RING_IDLE_MAX);
	a->bytes = PAGE + (u64)a->publish_size + a->receive_size;
	return 0;
}

void kecho_port_init(struct kecho_port *p, const struct kecho_attach *a, void *memory)
{
	struct kecho_rings *r = memory;

	BUILD_BUG_ON(sizeof(*r) > PAGE);
	spin_lock_init(&p->lock);
	p->rings = r;
	*r = (struct kecho_rings){
		.version = KECHO_RING_VERSION,
		.max_event = READ_ONCE(p->channel->node->max_event),
		.publish_offset = PAGE,
		.publish_size = a->publish_size,
		.receive_offset = PAGE + a->publish_size,
		.receive_size = a->receive_size,
	};
	kecho_end_init(&p->publish, &r->publish, (u8 *)memory + r->publish_offset, a->publish_size);
	kecho_end_init(&p->receive, &r->receive, (u8 *)memory + r->receive_offset, a->receive_size);
	if (p->publishes)
		kecho_ring_wait_data(&p->publish);
}

void kecho_port_exit(struct kecho_port *p)
{
	struct kecho_msg *apart = kecho_port_apart(p);

	if (apart)
		kecho_sink_consumed(p->sink, apart);
	if (p->held)
		kecho_sink_consumed(p->sink, p->held);
	p->held = NULL;
	kecho_msg_put(p->spare);
	p->spare = NULL;
}

static int broken(struct kecho_port *p)
{
	WRITE_ONCE(p->rings->broken, KECHO_RINGS_BROKEN);
	return -EPROTO;
}

/* --- publishing --- */

/* An event that was only copied on to other rings leaves its memory to the next one. */
static struct kecho_msg *alloc_event(struct kecho_port *p, u32 size)
{
	struct kecho_msg *msg = p->spare;

	p->spare = NULL;
	if (msg && size <= p->spare_size) {
		kecho_msg_init(msg, size);
		return msg;
	}
	kecho_msg_put(msg);
	p->spare_size = size;
	return kecho_msg_alloc(size, GFP_KERNEL_ACCOUNT);
}

/* The reference is the caller's to the last one. */
static inline void spare_event(struct kecho_port *p, struct kecho_msg *msg)
{
	if (p->spare_size <= SPARE_MAX && kecho_msg_unshared(msg))
		p->spare = msg;
	else
		kecho_msg_put(msg);
}

/* NULL: @err says why. What is checked is our copy of it. */
static struct kecho_msg *event_of(struct kecho_port *p, const u8 *record, u32 len, int *err)
{
	const char *type;
	const u8 *attrs;
	struct kecho_frame f;
	struct kecho_msg *msg;
	u32 head;

	memcpy(&f, record, sizeof(f));
	barrier();	/* read once */
	head = f.header + f.type_len + f.attrs_len;
	*err = -EINVAL;
	if (f.header < sizeof(f) || head > len || f.prio > KECHO_PRIO_MAX || f.seq || f.time_ns || f.publisher || f.lost || f.flags)
		return NULL;
	*err = -EMSGSIZE;
	if (len - head > READ_ONCE(p->channel->node->max_event))
		return NULL;
	*err = -ENOMEM;
	type = (const char *)record + f.header;
	attrs = record + f.header + f.type_len;
	if (!f.type_len && p->type[0]) {
		type = p->type;
		f.type_len = strlen(type);
	}
	msg = alloc_event(p, sizeof(struct kecho_event_wire) + f.type_len + f.attrs_len + len - head);
	if (!msg)
		return NULL;
	kecho_event_begin(msg, type, f.type_len, attrs, f.attrs_len);
	kecho_event(msg)->prio = f.prio;
	kecho_event(msg)->deadline_us = cpu_to_le32(f.deadline_us);
	memcpy(kecho_event_payload(msg), record + head, len - head);
	if (!kecho_event_check(msg) && (!p->type[0] || kecho_event_is_type(msg, p->type)))
		return msg;
	*err = -EINVAL;
	spare_event(p, msg);
	return NULL;
}

int kecho_port_drain(struct kecho_port *p, u64 time_ns, u32 max, struct kecho_batch *batch, u32 *n)
{
	u32 len, max_event = READ_ONCE(p->channel->node->max_event);
	struct kecho_end *e = &p->publish;
	struct kecho_msg *msg;
	u8 *record;
	int err = 0;

	*n = 0;
	/* The program reads that line for each event: it stays where it is. */
	if (READ_ONCE(p->rings->max_event) != max_event)
		WRITE_ONCE(p->rings->max_event, max_event);
	while (p->publishes && *n < max) {
		err = kecho_ring_peek(e, &record, &len);
		if (err < 0)
			err = broken(p);
		if (err <= 0)
			break;
		msg = event_of(p, record, len, &err);
		if (msg) {
			err = kecho_channel_publish(p->channel, msg, time_ns, batch);
			spare_event(p, msg);
		}
		if (err == -EAGAIN || err == -ENOMEM || err == -ENODEV)
			break;
		if (err < 0)
			WRITE_ONCE(p->rings->publish.lost, ++p->refused);
		kecho_ring_consume(e, len);
		++*n;
		err = 0;
	}
	WRITE_ONCE(p->blocked, err == -EAGAIN || err == -ENODEV);
	if (p->blocked)
		smp_mb();	/* @blocked, then whether there was room meanwhile: room() says that first, then looks at @blocked */
	return err;
}

void kecho_port_release(struct kecho_port *p, bool *wake)
{
	if (kecho_ring_release(&p->publish, p->publish.pos))
		*wake = true;
}

void kecho_port_busy(struct kecho_port *p)
{
	spin_lock_bh(&p->lock);
	p->awake = true;
	kecho_ring_awake_producer(&p->receive);
	spin_unlock_bh(&p->lock);
	kecho_ring_awake_consumer(&p->publish);
}

bool kecho_port_idle(struct kecho_port *p)
{
	if (p->publishes && !p->blocked && !kecho_ring_wait_data(&p->publish))
		return false;
	spin_lock_bh(&p->lock);
	p->awake = false;
	spin_unlock_bh(&p->lock);
	return true;
}

/* --- receiving --- */

/* @body: bytes of type, attributes and payload; with KECHO_FRAME_APART there are none of them. */
static __always_inline int give(struct kecho_port *p, struct kecho_msg *msg, u32 body, u32 flags)
{
	const struct kecho_event_wire *ev = kecho_event(msg);
	struct kecho_frame *f;
	void *at;
	int err;

	err = kecho_ring_reserve(&p->receive, sizeof(*f) + body, &at);
	if (err)
		return err;
	f = at;
	*f = (struct kecho_frame){
		.size = sizeof(*f) + body,
		.header = sizeof(*f),
		.type_len = body ? ev->type_len : 0,
		.prio = ev->prio,
		.seq = le64_to_cpu(ev->seq),
		.time_ns = le64_to_cpu(ev->time_ns),
		.publisher = le64_to_cpu(ev->origin),
		.lost = READ_ONCE(p->sink->lost),
		.deadline_us = le32_to_cpu(ev->deadline_us),
		.attrs_len = body ? le16_to_cpu(ev->attrs_len) : 0,
		.flags = kecho_sink_flags(p->sink, msg) | flags,
	};
	memcpy(f + 1, ev->bytes, body);
	kecho_ring_commit(&p->receive, sizeof(*f) + body);
	return 0;
}

/* All of it. */
static __always_inline int give_whole(struct kecho_port *p, struct kecho_msg *msg)
{
	return give(p, msg, kecho_event_size(msg) - sizeof(struct kecho_event_wire), 0);
}

bool kecho_port_give(struct kecho_port *p, struct kecho_msg *msg, bool *wake)
{
	bool given;

	lockdep_assert_held(&p->channel->lock);
	spin_lock(&p->lock);
	given = !p->apart && !p->held && !give_whole(p, msg);
	if (given && wake && kecho_ring_submit(&p->receive))
		*wake = true;
	spin_unlock(&p->lock);
	return given;
}

void kecho_port_tell(struct kecho_port *p, bool *wake)
{
	spin_lock_bh(&p->lock);
	if (kecho_ring_submit(&p->receive))
		*wake = true;
	spin_unlock_bh(&p->lock);
}

/* The next event to give; NULL: none, or one that is apart is to be read first. */
static struct kecho_msg *next(struct kecho_port *p)
{
	if (p->apart)
		return NULL;
	if (!p->held && kecho_sink_pop(p->sink, U32_MAX, &p->held) <= 0)
		p->held = NULL;
	return p->held;
}

int kecho_port_fill(struct kecho_port *p, bool *wake)
{
	struct kecho_msg *msg;
	int n = 0, err = 0;

	if (!p->sink)
		return 0;
	spin_lock_bh(&p->lock);
	while (n < KECHO_PORT_FILL && (msg = next(p))) {
		err = give_whole(p, msg);
		if (err == -EMSGSIZE) {
			err = give(p, msg, 0, KECHO_FRAME_APART);
			p->apart = err ? NULL : msg;
		} else if (!err) {
			kecho_sink_consumed(p->sink, msg);
		}
		if (err == -EAGAIN && !p->awake && !kecho_ring_wait_room(&p->receive))
			continue;
		if (err)
			break;
		p->held = NULL;
		n++;
	}
	if (err != -EAGAIN)
		kecho_ring_awake_producer(&p->receive);
	WRITE_ONCE(p->rings->receive.lost, READ_ONCE(p->sink->lost));
	if (kecho_ring_submit(&p->receive))
		*wake = true;
	spin_unlock_bh(&p->lock);
	return err == -EPROTO ? broken(p) : n;
}

struct kecho_msg *kecho_port_apart(struct kecho_port *p)
{
	struct kecho_msg *msg;

	spin_lock_bh(&p->lock);
	msg = p->apart;
	p->apart = NULL;
	spin_unlock_bh(&p->lock);
	return msg;
}

__poll_t kecho_port_events(struct kecho_port *p)
{
	const struct kecho_end *r = &p->receive, *w = &p->publish;
	__poll_t ev = 0;

	if (READ_ONCE(p->channel->gone))
		ev |= EPOLLHUP;
	if (READ_ONCE(p->rings->broken))
		ev |= EPOLLERR;
	if (p->sink && READ_ONCE(r->ring->tail) != READ_ONCE(r->told))
		ev |= EPOLLIN;
	if (p->publishes && READ_ONCE(w->ring->head) - READ_ONCE(w->told) <= w->size / 2)
		ev |= EPOLLOUT;
	return ev;
}
