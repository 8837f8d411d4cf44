// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Attaching to the node's shared memory, waking it, and sleeping. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <asm/barrier.h>
#include "client.h"

#define WATCH_MS 1000

/* --- attaching --- */

static int map(struct rings *r, int fd, const struct kecho_attach *a)
{
	u32 offset, size;
	void *p;

	if (a->bytes < sizeof(*r->shared) || a->bytes > SIZE_MAX)
		return -EPROTO;
	p = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->shared = p;
	r->bytes = a->bytes;
	/* Two processes at one end would destroy it. */
	madvise(p, a->bytes, MADV_DONTFORK);
	offset = READ_ONCE(*(r->publishes ? &r->shared->publish_offset : &r->shared->receive_offset));
	size = READ_ONCE(*(r->publishes ? &r->shared->publish_size : &r->shared->receive_size));
	if (READ_ONCE(r->shared->version) != KECHO_RING_VERSION || size < KECHO_RING_MIN || size & (size - 1) || offset & 7 ||
	    offset < sizeof(*r->shared) || (u64)offset + size > a->bytes)
		return -EPROTO;
	kecho_end_init(&r->end, r->publishes ? &r->shared->publish : &r->shared->receive, (u8 *)p + offset, size);
	r->waits = r->publishes ? &r->end.ring->producer_waits : &r->end.ring->consumer_waits;
	return 0;
}

static int attach_device(struct rings *r, int events, struct kecho_attach *a)
{
	r->fd = open("/dev/kecho", O_RDWR | O_CLOEXEC);
	if (r->fd < 0)
		return errno == ENOENT || errno == ENODEV ? -ENXIO : -errno;
	a->events = events;
	if (TEMP_FAILURE_RETRY(ioctl(r->fd, KECHO_IOC_ATTACH, a)))
		return errno == ENOTTY ? -ENXIO : -errno;
	return map(r, r->fd, a);
}

static int call(const char *name, size_t len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(un.sun_path + 1, name, len);
	if (!TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 1 + len)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int ask(int conn, struct kecho_attach *a, int *memfd)
{
	struct iovec iov = { a, sizeof(*a) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof(c.buf) };
	struct cmsghdr *cm;
	ssize_t n;

	if (TEMP_FAILURE_RETRY(send(conn, a, sizeof(*a), MSG_NOSIGNAL)) < 0)
		return -errno;
	n = TEMP_FAILURE_RETRY(recvmsg(conn, &m, MSG_CMSG_CLOEXEC));
	if (n <= 0)
		return n ? -errno : -ENODEV;
	cm = CMSG_FIRSTHDR(&m);
	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS && cm->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(memfd, CMSG_DATA(cm), sizeof(int));
	if (n != sizeof(*a))
		return -EPROTO;
	return a->events < 0 ? a->events : *memfd < 0 ? -EPROTO : 0;
}

static int attach_socket(struct rings *r, int events, struct kecho_attach *a)
{
	int memfd = -1, err;
	struct kecho_socket s;
	struct stat st;

	if (ioctl(events, KECHO_IOC_SOCKET, &s))
		return errno == ENOTTY ? -ENXIO : node_error(errno);
	r->fd = call(s.name, strnlen(s.name, sizeof(s.name)));
	if (r->fd < 0)
		return r->fd;
	a->events = 0;
	a->token = s.token;
	err = ask(r->fd, a, &memfd);
	if (!err)
		err = fstat(memfd, &st) ? -errno : (u64)st.st_size < a->bytes ? -EPROTO : map(r, memfd, a);
	if (memfd >= 0)
		close(memfd);
	return err;
}

static int watch_fds(struct rings *r)
{
	struct epoll_event wake = { .events = EPOLLIN | EPOLLET };
	struct epoll_event fd = { .events = EPOLLET | (r->connected ? EPOLLIN | EPOLLRDHUP : r->publishes ? EPOLLOUT : EPOLLIN) };

	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->wake < 0 || r->epoll < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &wake) ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->fd, &fd))
		return -errno;
	return 0;
}

void rings_init(struct rings *r)
{
	*r = (struct rings){ .fd = -1, .wake = -1, .epoll = -1 };
}

static int try(struct rings *r, enum way way, const struct kecho *k, int events, bool publishes)
{
	struct kecho_attach a = {
		.version = KECHO_RING_VERSION, .publish_size = k->publish_size, .receive_size = k->receive_size,
		.idle_us = publishes ? k->idle_us : 0,
	};
	int err;

	rings_init(r);
	r->publishes = publishes;
	r->connected = way == WAY_SOCKET;
	err = way == WAY_DEVICE ? attach_device(r, events, &a) : attach_socket(r, events, &a);
	if (!err)
		err = watch_fds(r);
	if (err)
		rings_detach(r);
	return err;
}

int rings_attach(struct rings *r, const struct kecho *k, int events, bool publishes)
{
	enum way way;
	int err;

	for (way = k->via ? k->via : WAY_DEVICE; way < WAY_FILE; way++) {
		err = try(r, way, k, events, publishes);
		if (!err)
			break;
		if (k->via)
			return err;
	}
	r->way = way;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void rings_detach(struct rings *r)
{
	if (r->shared)
		munmap(r->shared, r->bytes);
	close_fd(r->epoll);
	close_fd(r->wake);
	close_fd(r->fd);
	rings_init(r);
}

/* --- waking and waiting --- */

int rings_error(const struct rings *r)
{
	return READ_ONCE(r->shared->broken) ? -EPROTO : r->gone ? -ENODEV : 0;
}

int rings_kick(struct rings *r)
{
	if (r->connected) {
		/* EAGAIN: it has been told often enough. That it has gone rings_settle() sees. */
		send(r->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		return 0;
	}
	return TEMP_FAILURE_RETRY(ioctl(r->fd, KECHO_IOC_KICK)) && errno == EPROTO ? -EPROTO : 0;
}

void rings_settle(struct rings *r)
{
	struct epoll_event ev[2];
	int n = epoll_wait(r->epoll, ev, 2, 0);
	bool woken = n > 0;
	char byte;

	r->nudged = false;
	while (n-- > 0)
		if (ev[n].events & (EPOLLHUP | EPOLLRDHUP))
			r->gone = true;
	if (woken && r->connected)
		while (recv(r->fd, &byte, 1, MSG_DONTWAIT) > 0)
			;
}

static void arm(struct rings *r)
{
	r->armed = true;
	WRITE_ONCE(*r->waits, 1);
	smp_mb();	/* ours, then the other's position: pairs with kecho_ring_submit() and kecho_ring_release() */
}

void rings_awake(struct rings *r, bool settled, bool found)
{
	u64 one = 1;

	/* /dev/kecho tells nothing any more when all has been given back, though nobody has seen yet that there is no more. */
	if (found && (r->waiters || r->watched) && (settled || (!r->connected && !r->nudged)))
		r->nudged = write(r->wake, &one, sizeof(one)) > 0;
	if (!r->armed || r->waiters || (r->watched && !found))
		return;
	r->armed = false;
	WRITE_ONCE(*r->waits, 0);
}

static u64 now_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void rings_watch(struct rings *r, u32 pos)
{
	u64 now;

	if (pos != r->seen) {
		r->seen = pos;
		r->since = 0;
		return;
	}
	now = now_ms(CLOCK_MONOTONIC_COARSE);
	if (!r->since) {
		r->since = now;
	} else if (now - r->since >= WATCH_MS) {
		r->since = now;
		rings_settle(r);
	}
}

s64 until(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : (s64)now_ms(CLOCK_MONOTONIC) + timeout_ms;
}

static int remaining(s64 until)
{
	s64 left;

	if (until < 0)
		return -1;
	left = until - (s64)now_ms(CLOCK_MONOTONIC);
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : left;
}

int wait_for(struct rings *r, struct mutex *l, int fd, int stop, s64 until)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = stop, .events = POLLIN } };
	int n, err;

	r->waiters++;
	mutex_unlock(l);
	n = poll(p, 2, remaining(until));
	err = n < 0 ? -errno : p[1].revents ? -ESHUTDOWN : n ? 0 : -ETIMEDOUT;
	mutex_lock(l);
	r->waiters--;
	return err;
}

int rings_wait(struct rings *r, struct mutex *l, int stop, s64 until, bool *settled)
{
	*settled = !*settled;
	if (!*settled)
		return wait_for(r, l, r->epoll, stop, until);
	rings_settle(r);
	arm(r);
	return 0;
}
