// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kernel.h>
#include "../attr/text.h"
#include "client.h"

/* One write: all of it or nothing. */
int kecho_attr_set(struct kecho *k, const char *lines)
{
	size_t len = strlen(lines);
	ssize_t n;
	int fd, err;

	fd = openat(k->dir, "attrs", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return node_error(errno);
	n = TEMP_FAILURE_RETRY(write(fd, lines, len));
	err = n < 0 ? node_error(errno) : (size_t)n < len ? -E2BIG : 0;
	close(fd);
	return err;
}

static int read_attrs(struct kecho *k, struct kecho_text *t)
{
	int fd = openat(k->dir, "attrs", O_RDONLY | O_CLOEXEC), err = 0;
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return node_error(errno);
	while ((n = TEMP_FAILURE_RETRY(read(fd, buf, sizeof(buf)))) > 0)
		kecho_text_append(t, buf, n);
	if (n < 0)
		err = node_error(errno);
	close(fd);
	return err ? err : t->err;
}

/* The value of the line ``name=value``; NULL: there is none. */
static const char *find_line(const char *p, const char *end, const char *name, size_t *len)
{
	size_t name_len = strlen(name);
	const char *nl;

	for (; p < end; p = nl + 1) {
		nl = memchr(p, '\n', end - p);
		if (!nl)
			nl = end;
		if ((size_t)(nl - p) > name_len && p[name_len] == '=' && !memcmp(p, name, name_len)) {
			*len = nl - p - name_len - 1;
			return p + name_len + 1;
		}
	}
	return NULL;
}

int kecho_attr_get(struct kecho *k, const char *name, char *buf, size_t size)
{
	struct kecho_text t = { 0 };
	const char *value = NULL;
	size_t len = 0;
	int err;

	/* The channel's settings are not what this node says of itself. */
	if (!strncmp(name, "kecho.", 6))
		return -ENOENT;
	err = read_attrs(k, &t);
	if (!err && t.len)
		value = find_line(t.buf, t.buf + t.len, name, &len);
	if (!err && !value)
		err = -ENOENT;
	if (!err && size) {
		size = min(size - 1, len);
		memcpy(buf, value, size);
		buf[size] = 0;
	}
	kecho_text_free(&t);
	return err ? err : (int)len;
}

int kecho_sub_attr_set(struct kecho_sub *s, const char *lines)
{
	struct kecho_sink_attrs attrs;
	size_t len = strlen(lines);

	if (len >= sizeof(attrs.lines))
		return -E2BIG;
	memset(&attrs, 0, sizeof(attrs));
	memcpy(attrs.lines, lines, len);
	return ioctl(s->events, KECHO_IOC_ATTRS, &attrs) ? node_error(errno) : 0;
}
