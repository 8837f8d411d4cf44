// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../attr/attr.h"
#include "client.h"

#define NO_MEMORY_MS 100

/* --- receiving --- */

/* s->lock */
static int attach(struct kecho_sub *s)
{
	return s->rings.way ? 0 : rings_attach(&s->rings, s->kecho, s->events, false);
}

/* The producer is told how far all have been put. s->lock. True: it is to be kicked */
static bool give_back(struct rings *r)
{
	return kecho_ring_release(&r->end, r->put);
}

/* A record that has been put looks as a pad does. It is ours until it is given back. s->lock. True: the producer is to be kicked */
static bool put_record(struct rings *r, struct kecho_frame *f)
{
	struct kecho_end *e = &r->end;
	u32 size;

	WRITE_ONCE(f->header, 0);
	while (r->put != e->pos) {
		f = (struct kecho_frame *)(e->data + (r->put & (e->size - 1)));
		if (READ_ONCE(f->header))
			break;
		size = kecho_ring_round(READ_ONCE(f->size));
		if (!size || size > e->pos - r->put)
			break;
		r->put += size;
	}
	/* A quarter at a time: the producer writes there while we read on. What is less is given back when there is no more to read. */
	return r->put - e->told >= e->size / 4 && give_back(r);
}

/* 1, 0: none, -errno. s->lock */
static int take_record(struct kecho_sub *s, struct kecho_event *ev)
{
	struct kecho_end *e = &s->rings.end;
	struct kecho_frame f;
	u32 len, head;
	u8 *p;
	int n;

	n = kecho_ring_peek(e, &p, &len);
	if (n <= 0)
		return n ? n : rings_error(&s->rings);
	/* What is looked at is a copy. */
	memcpy(&f, p, sizeof(f));
	head = f.header + f.type_len + f.attrs_len;
	if (f.header < sizeof(f) || head > len)
		return -EPROTO;
	kecho_ring_consume(e, len);
	if (f.flags & KECHO_FRAME_APART) {
		s->apart = true;
		if (put_record(&s->rings, (struct kecho_frame *)p))
			rings_kick(&s->rings);
		return 0;
	}
	*ev = (struct kecho_event){
		.data = p + head, .type = (const char *)p + f.header, .attrs = p + f.header + f.type_len,
		.len = len - head, .attrs_len = f.attrs_len, .type_len = f.type_len, .prio = f.prio, .deadline_us = f.deadline_us,
		.flags = f.flags & (KECHO_FRAME_RETAINED | KECHO_FRAME_LOCAL), .publisher = f.publisher, .seq = f.seq,
		.time_ns = f.time_ns, .lost = f.lost, .msg = p,
	};
	return 1;
}

static int take(struct kecho_sub *s, struct kecho_event *ev)
{
	int n;

	if (s->rings.way == WAY_FILE)
		return file_read(s, ev);
	n = s->apart ? 0 : take_record(s, ev);
	if (n || !s->apart)
		return n;
	n = file_read(s, ev);
	/* The node has said that it is there. */
	if (!n)
		return -EPROTO;
	s->apart = n < 0;
	return n;
}

static int wait(struct kecho_sub *s, s64 end, bool *settled)
{
	if (s->rings.way == WAY_FILE)
		return wait_for(&s->rings, &s->lock, s->events, s->stop, end);
	return rings_wait(&s->rings, &s->lock, s->stop, end, settled);
}

static int receive(struct kecho_sub *s, struct kecho_event *ev, int timeout_ms)
{
	s64 end = timeout_ms > 0 ? until(timeout_ms) : timeout_ms;
	struct rings *r = &s->rings;
	bool settled = false;
	int n;

	mutex_lock(&s->lock);
	n = attach(s);
	while (!n) {
		n = take(s, ev);
		if (n)
			break;
		if (r->shared && give_back(r))
			rings_kick(r);
		if (!timeout_ms && r->shared && !r->watched)
			rings_watch(r, r->end.pos);
		if (!timeout_ms && (!r->watched || settled))
			break;
		n = wait(s, end, &settled);
	}
	rings_done(r, settled, n == 1);
	mutex_unlock(&s->lock);
	return n == -ETIMEDOUT ? 0 : n;
}

int kecho_poll(struct kecho_sub *s, struct kecho_event *ev, int timeout_ms)
{
	int err;

	if (!s->handler)
		return receive(s, ev, timeout_ms);
	err = READ_ONCE(s->error);
	return err ? err : -EINVAL;
}

static bool in_ring(const struct rings *r, const void *p)
{
	return r->shared && (const u8 *)p >= r->end.data && (const u8 *)p < r->end.data + r->end.size;
}

void kecho_event_put(struct kecho_sub *s, struct kecho_event *ev)
{
	bool kick = false;

	if (in_ring(&s->rings, ev->msg)) {
		mutex_lock(&s->lock);
		kick = put_record(&s->rings, ev->msg);
		mutex_unlock(&s->lock);
	} else {
		free(ev->msg);
	}
	ev->msg = NULL;
	if (kick)
		rings_kick(&s->rings);
}

/* --- handlers --- */

static void raise_eventfd(int fd)
{
	u64 one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *handle(void *arg)
{
	struct kecho_sub *s = arg;
	struct pollfd stop = { .fd = s->stop, .events = POLLIN };
	struct kecho_event ev;
	int n;

	while (!READ_ONCE(s->ending)) {
		n = receive(s, &ev, -1);
		if (n == 1) {
			s->handler(&ev, s->arg);
			kecho_event_put(s, &ev);
		} else if (n == -ENOMEM) {
			poll(&stop, 1, NO_MEMORY_MS);
		} else if (n != -EINTR) {
			WRITE_ONCE(s->error, n);
			break;
		}
	}
	raise_eventfd(s->done);
	return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(struct kecho_sub *s)
{
	sigset_t all, before;
	int err;

	s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->stop < 0 || s->done < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&s->thread, NULL, handle, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* --- subscriptions --- */

static void sub_free(struct kecho_sub *s)
{
	rings_detach(&s->rings);
	if (s->stop >= 0)
		close(s->stop);
	if (s->done >= 0)
		close(s->done);
	close(s->events);
	mutex_destroy(&s->lock);
	free(s->buf);
	free(s);
}

/* Who may create the channel declares the type, too. */
static int open_subscription(const struct kecho *k, const char *type)
{
	int fd = file_open(k->dir, type, O_RDONLY);

	if (fd == -ENOENT && !type)
		return -ENODEV;
	if (fd != -ENOENT || !k->create)
		return fd;
	if (mkdirat(k->dir, type, 0777) && errno != EEXIST)
		return node_error(errno);
	return file_open(k->dir, type, O_RDONLY);
}

struct kecho_sub *kecho_subscribe(struct kecho *k, const char *type, kecho_handler_t handler, void *arg)
{
	struct kecho_sub *s;
	int err;

	if (type && !kecho_name_valid(type, strlen(type)))
		return failed(-EINVAL);
	s = calloc(1, sizeof(*s));
	if (!s)
		return failed(-ENOMEM);
	s->kecho = k;
	s->handler = handler;
	s->arg = arg;
	s->stop = s->done = -1;
	rings_init(&s->rings);
	s->events = open_subscription(k, type);
	if (s->events < 0) {
		err = s->events;
		free(s);
		return failed(err);
	}
	mutex_init(&s->lock);
	if (handler) {
		err = attach(s);
		if (!err)
			err = start_thread(s);
		if (err) {
			sub_free(s);
			return failed(err);
		}
	}
	return s;
}

void kecho_unsubscribe(struct kecho_sub *s)
{
	if (s->handler) {
		WRITE_ONCE(s->ending, true);
		raise_eventfd(s->stop);
		pthread_join(s->thread, NULL);
	}
	sub_free(s);
}

const char *kecho_sub_via(const struct kecho_sub *s)
{
	return way_name(&s->lock, &s->rings);
}

/* --- being woken --- */

/* What is there already must not be waited for. s->lock */
static void watch(struct kecho_sub *s)
{
	struct rings *r = &s->rings;
	bool settled = false;
	u32 len;
	u8 *p;

	if (!r->shared || r->watched)
		return;
	r->watched = true;
	rings_wait(r, &s->lock, -1, 0, &settled);
	rings_done(r, settled, kecho_ring_peek(&r->end, &p, &len));
}

int kecho_fd(struct kecho_sub *s)
{
	int fd;

	if (s->handler)
		return s->done;
	mutex_lock(&s->lock);
	fd = attach(s);
	if (!fd) {
		watch(s);
		fd = s->rings.shared ? s->rings.epoll : s->events;
	}
	mutex_unlock(&s->lock);
	return fd;
}

/* Where there is no such thing the flag is forgotten at once. */
static int set_signal(int fd, int signo)
{
	int flags = fcntl(fd, F_GETFL);

	if (signo && (fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETSIG, signo)))
		return -errno;
	if (fcntl(fd, F_SETFL, signo ? flags | O_ASYNC : flags & ~O_ASYNC))
		return -errno;
	return signo && !(fcntl(fd, F_GETFL) & O_ASYNC) ? -EOPNOTSUPP : 0;
}

int kecho_signal(struct kecho_sub *s, int signo)
{
	int err;

	if (s->handler || signo < 0 || signo > SIGRTMAX)
		return -EINVAL;
	mutex_lock(&s->lock);
	err = attach(s);
	if (!err)
		err = set_signal(s->rings.shared ? s->rings.fd : s->events, signo);
	if (!err && signo)
		watch(s);
	mutex_unlock(&s->lock);
	return err;
}

int kecho_sub_boost(struct kecho_sub *s, unsigned int policy, int nice, unsigned int max_us)
{
	struct kecho_boost wish = { .policy = policy, .nice = nice, .max_us = max_us };

	if (!ioctl(s->events, KECHO_IOC_BOOST, &wish))
		return 0;
	return errno == ENOTTY ? -EOPNOTSUPP : node_error(errno);
}
