// SPDX-License-Identifier: GPL-2.0
/* kecho res ls and release: what managers say of their resources and leases. */
#include "resources.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So often one asks, if nobody answers. */
#define AGAIN	(200 * RES_MS)

struct list {
	struct res res;
	const char *channel;
	int64_t wait_ms;
	bool json, leases;
	uint64_t id;		/* of the question */
	json_t *nodes, *resources, *held;	/* by manager, by manager and lease: answers may come twice */

	bool releases;
	uint64_t lease;		/* release: this one, */
	uint64_t manager, node;	/* of this one, */
	bool found, released;
};

static const struct column resource_columns[] = {
	{ "resource", TEXT },
	{ "host", TEXT },
	{ "amount", NUMBER },
	{ "free", NUMBER },
	{ "waits", NUMBER },
	{ "attributes", REST },
	{ 0 }
};

static const struct column lease_columns[] = {
	{ "lease", TEXT },
	{ "resource", TEXT },
	{ "host", TEXT },
	{ "amount", NUMBER },
	{ "holder", TEXT },
	{ "left", NUMBER },
	{ "state", TEXT },
	{ 0 }
};

static const struct argp_option ls_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "the channel (" RES_CHANNEL ")", 0 },
	{ "wait", 'w', "SECONDS", 0, "wait so long for answers (0.5)", 0 },
	{ "leases", 'l', NULL, 0, "the leases only", 0 },
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ 0 }
};

static const struct argp_option release_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "the channel (" RES_CHANNEL ")", 0 },
	{ "wait", 'w', "SECONDS", 0, "wait no longer until it is free: exit status 124 (60)", 0 },
	{ 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
	struct list *l = state->input;
	char *end;

	switch (key) {
	case 'c':
		check_channel(arg);
		l->channel = arg;
		return 0;
	case 'w':
		l->wait_ms = parse_seconds(state, arg);
		return 0;
	case 'l':
		l->leases = true;
		return 0;
	case 'j':
		l->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (!l->releases || l->lease)
			argp_error(state, "too many arguments");
		l->lease = strtoull(arg, &end, 16);
		if (strlen(arg) != 16 || *end || !l->lease)
			argp_error(state, "'%s' is no lease: 16 hexadecimal digits, as `kecho res ls` shows them", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (l->releases)
			argp_error(state, "which lease?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp ls_argp = {
	ls_options, parse_opt, NULL, "List the resources that managers offer on a channel, and the leases.", NULL, NULL, NULL
};

static const struct argp release_argp = {
	release_options, parse_opt, "ID", "Have the holder of a lease end its use, and wait until it is free.", NULL, NULL, NULL
};

static void ask(struct list *l, enum res_kind kind, uint64_t id)
{
	struct res_msg msg = { .kind = kind, .id = id, .manager = l->manager, .node = l->node };

	res_send(&msg, &l->res);
}

/* Until @done, @wait_ms at most; asks again meanwhile. A signal ends it all. */
static void collect(struct list *l, enum res_kind kind, uint64_t id, void (*take)(void *arg, const struct res_msg *msg), const bool *done)
{
	uint64_t end = res_now() + l->wait_ms * RES_MS, again = 0;
	int sig;

	while (!*done && res_now() < end) {
		if (res_now() >= again) {
			again = res_now() + AGAIN;
			ask(l, kind, id);
		}
		sig = res_wait(&l->res, NULL, again < end ? again : end);
		if (sig && sig != SIGCHLD)
			exit(128 + sig);
		if (res_each(&l->res, take, l) < 0)
			res_gone(&l->res);
	}
}

static json_t *text_of(const char *s, size_t len, bool typed)
{
	char text[KECHO_ATTR_VALUE_MAX + sizeof("\"\"")];

	snprintf(text, sizeof(text), "%.*s", (int)len, s);
	return typed ? attr_json(text) : json_text(text, strlen(text));
}

/* What a manager says of itself besides the protocol's own. */
static json_t *attributes(const struct list *l, const struct res_msg *msg)
{
	static const char own[] = " id manager to stamp resource amount ttl left lease holder state free ";
	char name[KECHO_NAME_MAX + 3], value[KECHO_ATTR_VALUE_MAX + sizeof("\"\"")];
	json_t *attrs = json_object();
	struct kecho_attr attr;
	__u32 pos = 0;

	while (kecho_attr_next(msg->attrs, msg->attrs_len, &pos, &attr)) {
		snprintf(name, sizeof(name), " %.*s ", attr.name_len, attr.name);
		if (strstr(own, name) || kecho_attr_text(&attr, value, sizeof(value)) < 0)
			continue;
		name[attr.name_len + 1] = '\0';
		json_object_set_new(attrs, name + 1, text_of(value, strlen(value), l->json));
	}
	return attrs;
}

static void list_take(void *arg, const struct res_msg *msg)
{
	static const char * const states[] = { "free", "reserved", "granted", "ending" };
	char key[40], id[17];
	struct list *l = arg;
	json_t *row;

	if (msg->id != l->id || (msg->kind != RES_STATE && msg->kind != RES_HELD_BY))
		return;
	row = json_pack("{so ss sI}", "resource", text_of(msg->name, msg->name_len, false), "host", res_node_name(l->nodes, msg->node),
			"amount", (json_int_t)msg->amount);
	snprintf(id, sizeof(id), "%016" PRIx64, (uint64_t)msg->lease);
	snprintf(key, sizeof(key), "%016" PRIx64 "%s", (uint64_t)msg->manager, id);
	if (msg->kind == RES_STATE) {
		json_object_set_new(row, "free", json_integer(msg->free));
		json_object_set_new(row, "waits", json_integer((msg->left + 999999999) / 1000000000));
		json_object_set_new(row, "attributes", attributes(l, msg));
		json_object_set_new(l->resources, key, row);
		return;
	}
	json_object_set_new(row, "lease", json_string(id));
	json_object_set_new(row, "holder", json_string(res_node_name(l->nodes, msg->holder)));
	json_object_set_new(row, "left", json_integer(msg->left / 1000000000));
	json_object_set_new(row, "state", json_string(states[msg->state]));
	json_object_set_new(l->held, key, row);
}

static int by_text(const void *a, const void *b)
{
	const json_t *x = *(json_t **)a, *y = *(json_t **)b;
	int n = strcmp(json_string_value(json_object_get(x, "resource")), json_string_value(json_object_get(y, "resource")));

	return n ?: strcmp(json_string_value(json_object_get(x, "host")), json_string_value(json_object_get(y, "host")));
}

/* By resource and host. */
static json_t *rows_of(json_t *by)
{
	size_t n = json_object_size(by), i = 0;
	json_t **all = calloc(n + 1, sizeof(*all)), *rows = json_array(), *row;
	const char *key;

	if (!all)
		die("%m");
	json_object_foreach(by, key, row)
		all[i++] = row;
	qsort(all, n, sizeof(*all), by_text);
	for (i = 0; i < n; i++)
		json_array_append(rows, all[i]);
	free(all);
	json_decref(by);
	return rows;
}

int res_ls(int argc, char **argv)
{
	struct list l = { .channel = RES_CHANNEL, .wait_ms = 500, .id = res_random() };
	json_t *resources, *held, *both;
	const bool never = false;

	argp_parse(&ls_argp, argc, argv, 0, NULL, &l);
	res_open(&l.res, l.channel);
	l.nodes = res_nodes(&l.res);
	l.resources = json_object();
	l.held = json_object();
	collect(&l, RES_LIST, l.id, list_take, &never);
	res_close(&l.res);
	resources = rows_of(l.resources);
	held = rows_of(l.held);
	if (l.json) {
		both = json_pack("{sO sO}", "resources", resources, "leases", held);
		show(l.leases ? held : both, NULL, true);
		json_decref(both);
	} else {
		show_both(resources, resource_columns, held, lease_columns, l.leases);
	}
	json_decref(resources);
	json_decref(held);
	json_decref(l.nodes);
	return EXIT_SUCCESS;
}

static void find_take(void *arg, const struct res_msg *msg)
{
	struct list *l = arg;

	if (msg->id != l->id || msg->kind != RES_HELD_BY || msg->lease != l->lease || msg->state < RES_GRANTED)
		return;
	l->manager = msg->manager;
	l->node = msg->node;
	l->found = true;
}

static void released_take(void *arg, const struct res_msg *msg)
{
	struct list *l = arg;

	l->released |= msg->kind == RES_RELEASED && msg->id == l->lease && msg->manager == l->manager;
}

int res_release(int argc, char **argv)
{
	struct list l = { .channel = RES_CHANNEL, .wait_ms = 60000, .id = res_random(), .releases = true };
	int64_t wait_ms;

	argp_parse(&release_argp, argc, argv, 0, NULL, &l);
	res_open(&l.res, l.channel);
	wait_ms = l.wait_ms;
	l.wait_ms = wait_ms < 1000 ? wait_ms : 1000;
	collect(&l, RES_LIST, l.id, find_take, &l.found);
	if (!l.found)
		die("nobody knows of a lease %016" PRIx64 " on channel %s: `kecho res ls` shows them", l.lease, l.channel);
	l.wait_ms = wait_ms;
	collect(&l, RES_REVOKE, l.lease, released_take, &l.released);
	if (!l.released)
		die_with(EXIT_TIMEOUT, "the lease %016" PRIx64 " has not ended yet: it is not renewed any more, `kecho res ls` shows its time",
			 l.lease);
	res_close(&l.res);
	return EXIT_SUCCESS;
}
