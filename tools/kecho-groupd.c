// SPDX-License-Identifier: GPL-2.0
/* kecho-groupd: the group server, which is a node that is on no channel and serves the registry. */
#define _GNU_SOURCE
#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <kecho/version.h>
#include "../kechofs/home.h"

const char *argp_program_version = "kecho-groupd " KECHO_VERSION;

struct options {
	const char *listen;
	bool foreground, debug, insecure;
	u64 lease;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case 'f':
		o->foreground = true;
		return 0;
	case 'd':
		o->debug = true;
		return 0;
	case 'l':
		o->listen = arg;
		return 0;
	case 'i':
		o->insecure = true;
		return 0;
	case 'L':
		o->lease = strtoull(arg, &end, 10);
		if (*end || o->lease < KECHO_LEASE_MIN_MS || o->lease > KECHO_LEASE_MAX_MS)
			fail("--lease takes milliseconds from %u to %u\n", KECHO_LEASE_MIN_MS, KECHO_LEASE_MAX_MS);
		return 0;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ NULL, 'f', NULL, 0, "stay in the foreground, log to stderr", 0 },
	{ NULL, 'd', NULL, 0, "log more", 0 },
	{ "listen", 'l', "ADDR[:PORT]", 0, "listen there instead of at 127.0.0.1:7326", 0 },
	{ "insecure", 'i', NULL, 0, "allow an address that others can reach", 0 },
	{ "lease", 'L', "MS", 0, "how long a registration is good for (15000)", 0 },
	{ NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0 },
	{ 0 }
};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.doc = "The KECho group server: tells nodes where a channel's members are.\vSee kecho-groupd(8).",
};

/* It is on no channel. */
static void none_ready(struct kecho_sink *sink) { (void)sink; }
static void none_channel(struct kecho_channel *ch) { (void)ch; }
static void none_changed(struct kecho_channel *ch, enum kecho_file file, const struct kecho_msg *event)
{
	(void)ch, (void)file, (void)event;
}


static void none_listed(struct kecho_node *node, u32 request, const char *name, const struct kecho_holding *h)
{
	(void)node, (void)request, (void)name, (void)h;
}

static const struct kecho_node_ops ops = {
	.cm = HOME_CM_OPS,
	.ready = none_ready,
	.room = none_channel,
	.joined = none_channel,
	.changed = none_changed,
	.listed = none_listed,
};

int main(int argc, char **argv)
{
	static struct home h;
	struct options o = { .listen = "127.0.0.1", .lease = KECHO_LEASE_MS };
	char name[KECHO_NAME_MAX + 1];
	int err;

	log_open("kecho-groupd", true, false);
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_open("kecho-groupd", o.foreground, o.debug);
	if (!o.foreground)
		daemon_fork();
	daemon_hostname(name);
	err = home_init(&h, name, o.lease * 1000000, &ops);
	if (err)
		fail("cannot start: %s\n", strerror(-err));
	h.node.cm.roles = KECHO_ROLE_REGISTRY;
	h.insecure = o.insecure;
	if (net_listen(&h, o.listen, KECHO_GROUP_PORT))
		return 1;
	daemon_ready(!o.foreground);
	home_run(&h);
	home_exit(&h);
	return 0;
}
