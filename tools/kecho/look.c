// SPDX-License-Identifier: GPL-2.0
/* What kecho top shows, from the files of the mount. */
#include "top.h"
#include "../now.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of members and filter, as far as it is used here. */
static const struct column member_columns[] = {
	{ "node", TEXT },
	{ "state", TEXT },
	{ "sinks", NUMBER },
	{ "age_ms", NUMBER },
	{ "sent", NUMBER },
	{ "received", NUMBER },
	{ "expired", NUMBER },
	{ "lost", NUMBER },
	{ "attributes", REST },
	{ 0 }
};

static const struct column filter_columns[] = {
	{ "index", NUMBER },
	{ "seen", NUMBER },
	{ "passed", NUMBER },
	{ "mean_ns", NUMBER },
	{ "disabled", FLAG },
	{ "arguments", REST },
	{ 0 }
};

static const struct column host_columns[] = {
	{ "node", TEXT },
	{ "state", TEXT },
	{ "load", AMOUNT },
	{ "cpu", AMOUNT },
	{ "cpus", NUMBER },
	{ "mem", AMOUNT },
	{ "disk", AMOUNT },
	{ "net_rx", AMOUNT },
	{ "net_tx", AMOUNT },
	{ "psi_cpu", AMOUNT },
	{ "psi_mem", AMOUNT },
	{ "psi_io", AMOUNT },
	{ "battery", AMOUNT },
	{ "age_ms", AMOUNT },
	{ "channels", NUMBER },
	{ 0 }
};

static const struct column channel_columns[] = {
	{ "channel", TEXT },
	{ "members", NUMBER },
	{ "sinks", NUMBER },
	{ "published/s", AMOUNT },
	{ "arrived/s", AMOUNT },
	{ "delivered/s", AMOUNT },
	{ "lost", NUMBER },
	{ "lost/s", AMOUNT },
	{ "filters", NUMBER },
	{ 0 }
};

static const struct column shown_filter_columns[] = {
	{ "channel", TEXT },
	{ "index", NUMBER },
	{ "dir", TEXT },
	{ "name", TEXT },
	{ "seen/s", AMOUNT },
	{ "passed/s", AMOUNT },
	{ "mean_ns", NUMBER },
	{ "disabled", FLAG },
	{ "arguments", REST },
	{ 0 }
};

const char * const top_sorts[] = { "load", "cpu", "mem", "disk", "net_rx", "net_tx", "age_ms", "node", NULL };

/* What comes and goes between one look and the next is no error. The text is the caller's. */
static char *try_read(const char *channel, const char *file)
{
	char path[128], *text = NULL;
	size_t size = 0;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", channel, file);
	fd = openat(node_fd(), path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	f = fdopen(fd, "r");
	if (!f)
		die("%m");
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = ferror(f) ? NULL : strdup("");
	}
	fclose(f);
	return text;
}

/* --- rates --- */

struct rates {
	json_t *before, *now;	/* counters, by channel and key */
	double seconds;		/* in between; 0: this is the first look */
};

/* How much more @n is than at the last look; what was not there then has counted nothing since. */
static json_int_t since(struct rates *r, const char *channel, const char *key, const char *what, json_int_t n)
{
	char name[512];
	json_t *old;

	snprintf(name, sizeof(name), "%s/%s/%s", channel, key, what);
	json_object_set_new(r->now, name, json_integer(n));
	old = json_object_get(r->before, name);
	return old && n > json_integer_value(old) ? n - json_integer_value(old) : 0;
}

static json_t *by_second(const struct rates *r, json_int_t n)
{
	return r->seconds > 0 ? json_real((int64_t)(100 * n / r->seconds + 0.5) / 100.0) : json_null();
}

/* --- channels and their members --- */

static json_int_t number(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static void set_host(json_t *host, const json_t *member)
{
	static const char * const same[] = { "load", "cpu", "cpus", "disk", "net_rx", "net_tx", "psi_cpu", "psi_mem", "psi_io", "battery",
					     "on_battery" };
	const json_t *attrs = json_object_get(member, "attributes");
	double total = json_number_value(json_object_get(attrs, "mem_total"));
	double available = json_number_value(json_object_get(attrs, "mem_available"));
	json_t *value;
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		value = json_object_get(attrs, same[i]);
		if (json_is_number(value))
			json_object_set(host, same[i], value);
	}
	if (total > 0)
		json_object_set_new(host, "mem", json_real((int64_t)(1000 * (1 - available / total) + 0.5) / 1000.0));
	value = json_object_get(member, "age_ms");
	if (value)
		json_object_set(host, "age_ms", value);
}

/* A host is a member of any channel. */
static void add_host(json_t *hosts, const json_t *member, bool says_load)
{
	const char *id = json_string_value(json_object_get(member, "id"));
	json_t *host;

	if (!id)
		return;
	host = json_object_get(hosts, id);
	if (!host) {
		host = json_pack("{sO sO si}", "id", json_object_get(member, "id"), "node", json_object_get(member, "node"), "channels", 0);
		json_object_set_new(hosts, id, host);
	}
	json_object_set(host, "state", json_object_get(member, "state"));
	json_object_set_new(host, "channels", json_integer(number(host, "channels") + 1));
	if (says_load)
		set_host(host, member);
}

static json_t *look_at_members(const struct top *t, struct rates *r, const char *channel, char *text, json_t *hosts)
{
	json_int_t members = 0, sinks = 0, published = 0, arrived = 0, delivered = 0, lost = 0, lost_now = 0;
	json_t *row = json_pack("{ss}", "channel", channel), *member;
	const char *id;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		if (!*line || *line == ' ')
			continue;
		member = parse_line(line, member_columns, true);
		id = json_string_value(json_object_get(member, "id")) ?: "";
		add_host(hosts, member, !strcmp(channel, t->load));
		/* This node comes first. */
		if (!members++) {
			published = since(r, channel, id, "sent", number(member, "sent"));
			delivered = since(r, channel, id, "received", number(member, "received"));
		} else {
			arrived += since(r, channel, id, "received", number(member, "received"));
		}
		sinks += number(member, "sinks");
		lost += number(member, "lost");
		lost_now += since(r, channel, id, "lost", number(member, "lost"));
		json_decref(member);
	}
	json_object_set_new(row, "members", json_integer(members));
	json_object_set_new(row, "sinks", json_integer(sinks));
	json_object_set_new(row, "published/s", by_second(r, published));
	json_object_set_new(row, "arrived/s", by_second(r, arrived));
	json_object_set_new(row, "delivered/s", by_second(r, delivered));
	json_object_set_new(row, "lost", json_integer(lost));
	json_object_set_new(row, "lost/s", by_second(r, lost_now));
	return row;
}

static size_t look_at_filters(struct rates *r, const char *channel, char *text, json_t *filters)
{
	json_t *rows = parse_lines(text, filter_columns, false), *row;
	char key[320];
	size_t i, n;

	json_array_foreach(rows, i, row) {
		snprintf(key, sizeof(key), "%zu %s", i, json_string_value(json_object_get(row, "name")) ?: "");
		json_object_set_new(row, "channel", json_string(channel));
		json_object_set_new(row, "seen/s", by_second(r, since(r, channel, key, "seen", number(row, "seen"))));
		json_object_set_new(row, "passed/s", by_second(r, since(r, channel, key, "passed", number(row, "passed"))));
	}
	n = json_array_size(rows);
	json_array_extend(filters, rows);
	json_decref(rows);
	return n;
}

static void look_at(const struct top *t, struct rates *r, const char *channel, json_t *look, json_t *hosts)
{
	char *members = try_read(channel, "members"), *filters;
	json_t *row;

	if (!members)
		return;
	row = look_at_members(t, r, channel, members, hosts);
	free(members);
	filters = try_read(channel, "filter");
	if (filters)
		json_object_set_new(row, "filters", json_integer(look_at_filters(r, channel, filters, json_object_get(look, "filters"))));
	free(filters);
	json_array_append_new(json_object_get(look, "channels"), row);
}

/* --- all of it --- */

static int is_channel(const struct dirent *entry)
{
	return name_valid(entry->d_name);
}

json_t *top_look(struct top *t)
{
	int64_t now = now_ns(CLOCK_MONOTONIC);
	struct rates r = { t->counters, json_object(), t->counters ? (now - t->looked_ns) / 1e9 : 0 };
	json_t *look, *hosts = json_object(), *host, *config;
	char *text = try_read(".node", "config");
	struct dirent **channels;
	const char *id;
	int i, n;

	n = text ? scandirat(node_fd(), ".", &channels, is_channel, alphasort) : -1;
	if (n < 0) {
		json_decref(r.now);
		json_decref(hosts);
		free(text);
		return NULL;
	}
	config = parse_pairs(text, false);
	free(text);
	look = json_pack("{sf sO? s[] s[] s[]}", "time", now_ns(CLOCK_REALTIME) / 1000000 / 1e3, "node", json_object_get(config, "name"),
			 "hosts", "channels", "filters");
	json_decref(config);
	for (i = 0; i < n; i++) {
		look_at(t, &r, channels[i]->d_name, look, hosts);
		free(channels[i]);
	}
	free(channels);
	json_object_foreach(hosts, id, host)
		json_array_append(json_object_get(look, "hosts"), host);
	json_decref(hosts);
	json_decref(t->counters);
	t->counters = r.now;
	t->looked_ns = now;
	return look;
}

/* --- in order, and printed --- */

static const char *sort_by;

static int by_node(const json_t *a, const json_t *b)
{
	return strcmp(json_string_value(json_object_get(a, "node")) ?: "", json_string_value(json_object_get(b, "node")) ?: "");
}

/* The greatest first; who does not say it, last; then by name. */
static int compare(const void *a, const void *b)
{
	const json_t *ha = *(json_t * const *)a, *hb = *(json_t * const *)b;
	const json_t *va = json_object_get(ha, sort_by), *vb = json_object_get(hb, sort_by);
	double na = json_is_number(va) ? json_number_value(va) : -1, nb = json_is_number(vb) ? json_number_value(vb) : -1;

	return na != nb ? (na < nb ? 1 : -1) : by_node(ha, hb);
}

void top_sort(json_t *look, const char *by)
{
	json_t *hosts = json_object_get(look, "hosts"), *sorted = json_array();
	size_t n = json_array_size(hosts), i;
	json_t **rows = calloc(n + 1, sizeof(*rows));

	if (!rows)
		die("%m");
	for (i = 0; i < n; i++)
		rows[i] = json_array_get(hosts, i);
	sort_by = by;
	qsort(rows, n, sizeof(*rows), compare);
	for (i = 0; i < n; i++)
		json_array_append(sorted, rows[i]);
	free(rows);
	json_object_set_new(look, "hosts", sorted);
}

void top_print(FILE *out, const json_t *look, bool terminal)
{
	static const struct {
		const char *key, *prefix;
		const struct column *columns;
	} tables[] = {
		{ "hosts", "host\t", host_columns },
		{ "channels", "channel\t", channel_columns },
		{ "filters", "filter\t", shown_filter_columns },
	};
	const json_t *rows;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		rows = json_object_get(look, tables[i].key);
		if (!json_array_size(rows))
			continue;
		if (i && terminal)
			fputc('\n', out);
		print_table(out, rows, tables[i].columns, terminal, tables[i].prefix);
	}
}
