// SPDX-License-Identifier: GPL-2.0
/* BPF filters: a pinned program of the socket filter type, run on a packet that is never sent. */
#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include "../../lib/channel/bpf.h"
#include "home.h"

/* @skb: reused for each candidate, which is why there is channel->lock around it. The program cannot change it. */
struct state {
	struct bpf_prog *prog;
	struct sk_buff *skb;
};

static int attached(struct kecho_filter *f)
{
	const char *path = f->name + 4;
	struct state *s = f->state;
	struct bpf_prog *prog;

	prog = bpf_prog_get_type_path(path, BPF_PROG_TYPE_SOCKET_FILTER);
	if (IS_ERR(prog)) {
		kecho_filter_refuse(f, "no program of the type socket filter at %s: %pe", path, prog);
		return PTR_ERR(prog);
	}
	s->prog = prog;
	s->skb = alloc_skb(KECHO_BPF_PACKET, GFP_KERNEL);
	if (!s->skb)
		return -ENOMEM;
	memset(s->skb->data, 0, KECHO_BPF_PACKET);
	skb_reset_mac_header(s->skb);
	skb_reset_network_header(s->skb);
	return 0;
}

static void detached(struct kecho_filter *f)
{
	struct state *s = f->state;

	kfree_skb(s->skb);
	if (s->prog)
		bpf_prog_put(s->prog);
}

static bool keep(struct kecho_filter *f, u32 len)
{
	struct state *s = f->state;

	__skb_trim(s->skb, 0);
	__skb_put(s->skb, len);
	return bpf_prog_run_clear_cb(s->prog, s->skb);
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	struct state *s = f->state;

	rcu_read_lock();
	kecho_bpf_run(f, p, s->skb->data, keep);
	rcu_read_unlock();
}

const struct kecho_filter_ops kecho_filter_bpf = {
	.name = "bpf",
	.owner = THIS_MODULE,
	.state = sizeof(struct state),
	.setup = kecho_bpf_setup,
	.attached = attached,
	.detached = detached,
	.run = run,
};
