// SPDX-License-Identifier: GPL-2.0
/* The rows of a table: its entries, each with each value of the axis, if there is one. */
#include "bench.h"

#include <string.h>

static unsigned int *on_axis(enum axis axis, struct entry *e)
{
	switch (axis) {
	case AXIS_BYTES: return &e->bytes;
	case AXIS_SUBSCRIBERS: return &e->subscribers;
	case AXIS_CHANNELS: return &e->channels;
	case AXIS_HOSTS: return &e->hosts;
	default: return &e->rate;
	}
}

unsigned int rows_value(const struct table *t, const struct entry *row)
{
	struct entry e = *row;

	return *on_axis(t->axis, &e);
}

const char *rows_lack(const struct table *t, const struct entry *e)
{
	const struct subject *s = e->subject;

	if (t->kind->run)
		return t->kind->lacks ? t->kind->lacks(e) : NULL;
	if (s->server && !server_up(s->server))
		return "it is not installed";
	return s->lacks ? s->lacks() : NULL;
}

static struct entry row(const struct table *t, const struct entry *e, unsigned int value)
{
	struct entry r = *e;

	if (t->axis)
		*on_axis(t->axis, &r) = value;
	r.bytes = r.bytes ? r.bytes : BYTES;
	r.subscribers = r.subscribers ? r.subscribers : 1;
	r.rate = r.rate ? r.rate : t->rate;
	return r;
}

struct entry *rows_of(const struct table *t, unsigned int *n)
{
	unsigned int nvalues = t->axis ? t->nvalues : 1, v, i;
	struct entry *rows = calloc(t->nentries * nvalues, sizeof(*rows));
	unsigned int value;

	if (!rows)
		die("%m");
	*n = 0;
	for (v = 0; v < nvalues; v++) {
		value = t->axis ? t->values[v] : 0;
		for (i = 0; i < t->nentries; i++)
			if ((!t->entries[i].most || value <= t->entries[i].most) && !rows_lack(t, &t->entries[i]))
				rows[(*n)++] = row(t, &t->entries[i], value);
	}
	return rows;
}

int rows_base(const struct result *r, unsigned int row, const struct entry *base)
{
	const struct table *t = r->table;
	unsigned int i;

	for (i = 0; i < r->nrows; i++)
		if (!strcmp(r->rows[i].name, base->name) && (!t->axis || rows_value(t, &r->rows[i]) == rows_value(t, &r->rows[row])))
			return i;
	return -1;
}
