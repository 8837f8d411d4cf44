// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../attr/attr.h"
#include "client.h"

#define RING_DEFAULT (256u << 10)

static const char *const ways[] = { [WAY_DEVICE] = "device", [WAY_SOCKET] = "socket", [WAY_FILE] = "file" };

const char *way_name(const struct mutex *l, const struct rings *r)
{
	enum way way;

	mutex_lock((struct mutex *)l);
	way = r->way;
	mutex_unlock((struct mutex *)l);
	return ways[way];
}

void *failed(int err)
{
	errno = -err;
	return NULL;
}

/* What the environment says does not count in a program with more rights than its user. */
static const char *either(const char *given, const char *variable)
{
	if (!given || !*given)
		given = secure_getenv(variable);
	return given && *given ? given : NULL;
}

static int set_way(struct kecho *k, const char *name)
{
	enum way way;

	if (!name)
		return 0;
	for (way = WAY_DEVICE; way <= WAY_FILE; way++) {
		if (!strcmp(name, ways[way])) {
			k->via = way;
			return 0;
		}
	}
	return -EINVAL;
}

/* The mount's root, or -errno. */
static int open_root(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), err;

	if (fd >= 0 && !faccessat(fd, ".node", F_OK, 0))
		return fd;
	err = errno == EACCES ? -EACCES : -ENXIO;
	if (fd >= 0)
		close(fd);
	return err;
}

static int open_channel(struct kecho *k, int root, const char *channel)
{
	if (k->create && mkdirat(root, channel, 0777) && errno != EEXIST)
		return node_error(errno);
	k->dir = openat(root, channel, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return k->dir < 0 ? node_error(errno) : 0;
}

struct kecho *kecho_open_with(const char *channel, unsigned int flags, const struct kecho_options *o)
{
	static const struct kecho_options none;
	const char *dir;
	struct kecho *k;
	int root, err;

	if (flags & ~KECHO_CREATE || !kecho_name_valid(channel, strlen(channel)))
		return failed(-EINVAL);
	k = calloc(1, sizeof(*k));
	if (!k)
		return failed(-ENOMEM);
	if (!o)
		o = &none;
	k->create = flags & KECHO_CREATE;
	k->publish_size = o->publish_size ? o->publish_size : RING_DEFAULT;
	k->receive_size = o->receive_size ? o->receive_size : RING_DEFAULT;
	k->idle_us = o->idle_us;
	k->events = -1;
	rings_init(&k->rings);
	err = set_way(k, either(o->via, "KECHO_VIA"));
	if (err)
		goto err_free;
	dir = either(o->dir, "KECHO_DIR");
	root = open_root(dir ? dir : "/kecho");
	err = root;
	if (root < 0)
		goto err_free;
	err = open_channel(k, root, channel);
	close(root);
	if (err)
		goto err_free;
	mutex_init(&k->lock);
	return k;
err_free:
	free(k);
	return failed(err);
}

struct kecho *kecho_open(const char *channel, unsigned int flags)
{
	return kecho_open_with(channel, flags, NULL);
}

void kecho_close(struct kecho *k)
{
	kecho_flush(k, 0);
	rings_detach(&k->rings);
	if (k->events >= 0)
		close(k->events);
	close(k->dir);
	mutex_destroy(&k->lock);
	free(k);
}

const char *kecho_via(const struct kecho *k)
{
	return way_name(&k->lock, &k->rings);
}
