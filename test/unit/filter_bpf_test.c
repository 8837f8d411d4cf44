// SPDX-License-Identifier: GPL-2.0
/* What BPF programs are shown. */
#include "filters.h"
#include "../../lib/channel/bpf.h"
#include <linux/kecho.h>

static union {
	struct kecho_bpf_context cx;
	char bytes[KECHO_BPF_PACKET];
} packet;
static u32 length, asked;
static struct kecho_bpf_context seen[4];

/* The program: candidates with an odd id. */
static bool keep(struct kecho_filter *f, u32 len)
{
	length = len;
	seen[asked++ % ARRAY_SIZE(seen)] = packet.cx;
	return packet.cx.node & 1;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	asked = 0;
	kecho_bpf_run(f, p, &packet, keep);
}

static const struct kecho_filter_ops bpf = { .name = "bpf:/p", .setup = kecho_bpf_setup, .run = run };
kecho_filter_module(bpf);

static void candidates(void **state)
{
	const struct kecho_bpf_context *c = seen;

	memset(&packet, 0, sizeof(packet));
	assert_int_equal(filters_write("out bpf:/p attrs=load,zone"), 0);
	filters_candidates("3/7 @250 load=0.5 | load=9 zone=a\n4\n5 | zone=-2");
	filters_event("alarm", "zone=north", "payload");
	assert_string_equal(filters_run(), "3/7 5");
	assert_int_equal(asked, 3);
	assert_int_equal(length, sizeof(packet.cx) + 7);
	assert_memory_equal(packet.bytes + packet.cx.header, "payload", 7);

	assert_true(c->out && c->n == 3 && c->index == 0 && c->node == 3 && c->sink == 7 && c->self == FILTERS_SELF);
	assert_true(c->age_ns == 250 * NSEC_PER_MSEC && c->publisher == FILTERS_SELF && c->flags == KECHO_FRAME_LOCAL);
	assert_true(c->type_len == 5 && !strcmp(c->type, "alarm") && c->len == 7);
	assert_true(c->candidate[0].type == KECHO_BPF_DECIMAL && c->candidate[0].nano == 500000000 && !c->candidate[0].integer);
	assert_true(c->candidate[1].type == KECHO_BPF_STR && c->candidate[1].len == 1 && !strcmp(c->candidate[1].str, "a"));
	assert_true(c->event[0].type == KECHO_BPF_NONE && !strcmp(c->event[1].str, "north"));
	c++;
	assert_true(c->index == 1 && c->node == 4 && !c->sink && !c->age_ns);
	assert_true(c->candidate[0].type == KECHO_BPF_NONE && c->candidate[1].type == KECHO_BPF_NONE && !c->candidate[1].str[0]);
	c++;
	assert_true(c->index == 2 && c->candidate[1].type == KECHO_BPF_INT && c->candidate[1].integer == -2);
	assert_true(c->candidate[1].nano == -2000000000ll && !c->candidate[1].len && !strcmp(c->event[1].str, "north"));
}

/* Nothing of one event is left for the next. */
static void next_event(void **state)
{
	static char large[3000];

	memset(&packet, 0, sizeof(packet));
	memset(large, 'x', sizeof(large));
	assert_int_equal(filters_write("in bpf:/p attrs=a,b"), 0);
	filters_candidates("1 a=1 b=2");
	filters_event_bytes("longer-type", "a=1 b=2", large, sizeof(large));
	filters_run();
	assert_int_equal(length, KECHO_BPF_PACKET);
	assert_int_equal(packet.cx.len, 3000);
	assert_int_equal(packet.bytes[KECHO_BPF_PACKET - 1], 'x');
	assert_int_equal(filters_write("=0 attrs=c"), 0);
	filters_event("t", "", "");
	filters_run();
	assert_int_equal(length, sizeof(packet.cx));
	assert_false(packet.cx.out);
	assert_true(!packet.cx.len && !packet.cx.event[0].type && !packet.cx.event[1].type);
	assert_true(!packet.cx.candidate[0].type && !packet.cx.candidate[1].type);
	assert_string_equal(packet.cx.type, "t");
	assert_int_equal(packet.cx.type[5], 0);
}

static void refusals(void **state)
{
	assert_refused("bpf:/p load=1", "takes attrs=NAME");
	assert_refused("bpf:/p attrs=7", "takes attrs=NAME");
	assert_refused("bpf:/p attrs=a,,b", "no name of an attribute");
	assert_refused("bpf:/p attrs=a,", "no name of an attribute");
	assert_refused("bpf:/p attrs=a,b,c,d,e,f,g,h,i", "at most 8 names");
	assert_int_equal(filters_write("bpf:/p attrs=a,b,c,d,e,f,g,h"), 0);
	assert_int_equal(filters_write("bpf:/p"), 0);
}

static const struct CMUnitTest tests[] = { filters_test(candidates), filters_test(next_event), filters_test(refusals) };
UNIT_SUITE(filter_bpf, tests)
