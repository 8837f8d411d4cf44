// SPDX-License-Identifier: GPL-2.0
/*
 * The rings of open events files, in memory that is shared with their programs. A program shows the token of its file on a socket and
 * gets the memory; packets on the connection wake it, and kick us. No thread serves them: the loop does, when it is kicked, and without
 * sleeping while a program wants us awake (idle_us).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <asm/processor.h>
#include "../lib/ecalls/port.h"
#include "fs.h"

/* Records taken from one ring before others have their turn. */
#define ROUND 1024
/* Looks at the rings of those who keep us awake between two looks at everything else: one that finds something counts as so many. */
#define LOOKS 128
#define FOUND 4
/* Connections that have not shown a token yet. */
#define PENDING_MAX 64
/* What small rings cost besides their bytes. */
#define LEAST_BYTES (64u << 10)

/**
 * struct rings_server - made when the first program asks for rings
 * @offered: files with a token
 * @pending, @all: &struct rings, without and with a file
 * @awake: those that are looked at without a kick; @noted: whose programs are to be told or woken; @dead: to be freed
 * @woke: one has been, since we left the processor to others
 */
struct rings_server {
	struct fs *fs;
	struct watch listener;
	char name[40];
	struct list_head offered;
	struct list_head pending, all, awake, noted, dead;
	u32 npending;
	bool woke;
};

/**
 * struct rings - a connection to a program, and then its rings
 *
 * Pending until it has shown a token; then the file's, until that or the connection ends. What has been submitted by then is still
 * published, a round at a turn, for which it holds the channel; then it is dead, and freed by settle.
 *
 * @conn: fd -1 once it has ended
 * @file: NULL before and after
 * @type: of the file's directory
 * @until: when we stop to look for more; to be set anew if we have @found something since
 * @left: after the file's end, how many records there may be
 * @wakes: its program is to be woken
 */
struct rings {
	struct list_head node, awake, noted;
	struct rings_server *server;
	struct watch conn;
	struct file *file;
	struct kecho_port port;
	char type[KECHO_NAME_MAX + 1];
	void *memory;
	u64 bytes, idle_ns, until;
	u32 left;
	bool wakes, found;
	uid_t uid;
};

/* --- serving --- */

static void note(struct rings *r)
{
	if (list_empty(&r->noted))
		list_add_tail(&r->noted, &r->server->noted);
}

static void note_wake(struct rings *r)
{
	r->wakes = true;
	note(r);
}

static void be_awake(struct rings *r)
{
	if (!list_empty(&r->awake))
		return;
	kecho_port_busy(&r->port);
	list_add_tail(&r->awake, &r->server->awake);
	r->until = home_now() + r->idle_ns;
}

bool rings_take(struct rings *r, struct kecho_msg *msg)
{
	if (!kecho_port_give(&r->port, msg, NULL))
		return false;
	note(r);
	return true;
}

/* Returns how many events there were, or -EPROTO. */
static int fill(struct rings *r)
{
	bool asleep = false;
	int n = kecho_port_fill(&r->port, &asleep);

	if (n == KECHO_PORT_FILL)
		be_awake(r);
	if (asleep)
		note_wake(r);
	return n;
}

void rings_ready(struct rings *r)
{
	fill(r);
}

struct kecho_msg *rings_apart(struct rings *r)
{
	return kecho_port_apart(&r->port);
}

static bool tell(struct rings_server *s)
{
	struct rings *r, *next;

	if (list_empty(&s->noted))
		return false;
	list_for_each_entry_safe(r, next, &s->noted, noted) {
		list_del_init(&r->noted);
		if (r->port.sink)
			kecho_port_tell(&r->port, &r->wakes);
		/* If there is no room for one more, it has enough of them to wake up. */
		if (r->wakes) {
			send(r->conn.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			s->woke = true;
		}
		r->wakes = false;
	}
	return true;
}

/* Returns how many events went one way or the other, or -EPROTO. Without memory it is tried again, when we are awake. */
static int serve(struct rings *r)
{
	bool asleep = false;
	u32 taken;
	int err;

	err = kecho_port_drain(&r->port, home_realtime(), ROUND, NULL, &taken);
	tell(r->server);
	kecho_port_release(&r->port, &asleep);
	if (err != -EPROTO)
		err = kecho_port_fill(&r->port, &asleep);
	if (asleep || err == -EPROTO)
		note_wake(r);
	return err < 0 ? err : (int)taken + err;
}

static void rings_dead(struct rings *r)
{
	kecho_port_exit(&r->port);	/* again: for what has been published since */
	munmap(r->memory, r->bytes);
	kecho_channel_put(r->port.channel);
	list_del_init(&r->awake);
	list_move(&r->node, &r->server->dead);
}

/* The program has submitted it, though it may have died since. */
static void publish_rest(struct rings *r)
{
	u32 taken;
	int err;

	err = kecho_port_drain(&r->port, home_realtime(), min_t(u32, ROUND, r->left), NULL, &taken);
	r->left -= taken;
	if (!err && taken && r->left)
		return;
	if (err && err != -EPROTO)
		pr_warn("%s: what a program left in its ring could not be published: %s\n", r->port.channel->name, strerror(-err));
	rings_dead(r);
}

static void rings_end(struct rings *r)
{
	struct rings_server *s = r->server;

	close(r->conn.fd);
	r->conn.fd = -1;
	list_del_init(&r->noted);
	s->npending -= !r->file;
	home_hear(&s->fs->home);
	if (!r->file) {
		list_move(&r->node, &s->dead);
		return;
	}
	kecho_port_exit(&r->port);
	r->file->rings = NULL;
	r->file = NULL;
	r->port.sink = NULL;
	r->left = r->bytes / sizeof(struct kecho_frame);
	be_awake(r);
}

static void found_nothing(struct rings *r, u64 now)
{
	if (r->found)
		r->until = now + r->idle_ns;
	r->found = false;
	if (now >= r->until && kecho_port_idle(&r->port)) {
		list_del_init(&r->awake);
		fill(r);
	}
}

/* One look at an awake one. False: there was nothing. */
static bool look(struct rings *r, u64 now)
{
	int n = 0;

	if (!r->file) {
		publish_rest(r);
		return true;
	}
	if (kecho_port_pending(&r->port))
		n = serve(r);
	if (n < 0) {
		pr_debug("%s: a program has written into its rings what cannot be\n", r->port.channel->name);
		rings_end(r);
	} else if (n) {
		r->found = true;
	} else {
		found_nothing(r, now);
	}
	return n;
}

bool rings_busy(struct home *h)
{
	struct fs *fs = container_of(h, struct fs, home);
	struct rings_server *s = fs->rings;
	struct rings *r, *next;
	bool found, any = false;
	u64 now;
	int i;

	if (!s || list_empty(&s->awake))
		return false;
	now = home_now();
	for (i = 0; i < LOOKS && !list_empty(&s->awake); i += found ? FOUND : 1) {
		found = false;
		list_for_each_entry_safe(r, next, &s->awake, awake)
			if (look(r, now))
				found = true;
		rings_settle(fs);
		if (found)
			now = home_now();
		else if (s->woke)
			break;
		else
			cpu_relax();
		any |= found;
	}
	/* Others have something to do, perhaps where we only look on. */
	if (!list_empty(&s->awake) && (!any || s->woke))
		sched_yield();
	s->woke = false;
	/* What was found is to be settled, even if none is awake any more. */
	return any || !list_empty(&s->awake);
}

void rings_room(struct rings *r)
{
	if (r->port.blocked)
		be_awake(r);
}

static void free_dead(struct rings_server *s)
{
	struct rings *r, *next;

	list_for_each_entry_safe(r, next, &s->dead, node)
		free(r);
	INIT_LIST_HEAD(&s->dead);
}

bool rings_settle(struct fs *fs)
{
	if (!fs->rings)
		return false;
	free_dead(fs->rings);
	return tell(fs->rings);
}

/* --- attaching --- */

static u64 lent(const struct rings_server *s, uid_t uid)
{
	const struct rings *r;
	u64 bytes = 0;

	list_for_each_entry(r, &s->all, node)
		if (r->uid == uid)
			bytes += max_t(u64, r->bytes, LEAST_BYTES);
	return bytes;
}

static struct file *offered(const struct rings_server *s, u64 token)
{
	struct file *f;

	list_for_each_entry(f, &s->offered, offered)
		if (f->token == token)
			return f;
	return NULL;
}

static int share_memory(struct rings *r, int *fd)
{
	*fd = memfd_create("kecho", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	/* Cut short by the program, it would kill us. */
	if (ftruncate(*fd, r->bytes) || fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	r->memory = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return r->memory == MAP_FAILED ? -errno : 0;
}

/* @memfd is the caller's to close. */
static int attach(struct rings *r, struct kecho_attach *a, int *memfd)
{
	struct rings_server *s = r->server;
	struct file *f = offered(s, a->token);
	int err;

	if (!f)
		return -EBADF;
	if (f->rings || (f->reader && (f->reader->msg || !list_empty(&f->reads))))
		return -EBUSY;
	err = kecho_port_sizes(a, f->writer, f->reader);
	if (err)
		return err;
	if (lent(s, r->uid) + a->bytes > KECHO_USER_RINGS)
		return -ENOSPC;
	r->bytes = a->bytes;
	r->idle_ns = a->idle_us * 1000ull;
	err = share_memory(r, memfd);
	if (err)
		return err;
	if (dir_is_type(f->dir))
		strcpy(r->type, f->dir->name);
	r->port = (struct kecho_port){
		.channel = kecho_channel_get(f->dir->channel), .type = r->type, .publishes = f->writer,
		.sink = f->reader ? f->reader->sink : NULL,
	};
	kecho_port_init(&r->port, a, r->memory);
	r->file = f;
	f->rings = r;
	s->npending--;
	list_move(&r->node, &s->all);
	rings_ready(r);
	if (r->idle_ns)
		be_awake(r);
	return 0;
}

static void answer(struct rings *r, struct kecho_attach *a, int memfd)
{
	struct iovec iov = { a, sizeof(*a) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(memfd))];
	} c = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!a->events) {
		m.msg_control = c.buf;
		m.msg_controllen = sizeof(c.buf);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){ CMSG_LEN(sizeof(memfd)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &memfd, sizeof(memfd));
	}
	if (sendmsg(r->conn.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		rings_end(r);
}

static void on_question(struct rings *r, struct kecho_attach *a)
{
	int memfd = -1;

	a->events = attach(r, a, &memfd);
	answer(r, a, memfd);
	if (memfd >= 0)
		close(memfd);
}

static void on_conn(struct watch *w, uint32_t events)
{
	struct rings *r = container_of(w, struct rings, conn);
	struct kecho_attach a;
	ssize_t n;

	(void)events;
	if (r->file) {
		/* Before all else that need not be done at once, as to read the kick. */
		be_awake(r);
		look(r, home_now());
		tell(r->server);
	}
	if (w->fd < 0)
		return;
	n = recv(w->fd, &a, sizeof(a), MSG_DONTWAIT);
	if (!r->file && n == sizeof(a))
		on_question(r, &a);
	else if (n == 0 || (n > 0 && !r->file) || (n < 0 && errno != EAGAIN && errno != EINTR))
		/* It has closed it, or says what is no question. */
		rings_end(r);
}

static void on_listener(struct watch *w, uint32_t events)
{
	struct rings_server *s = container_of(w, struct rings_server, listener);
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct rings *r;
	int fd;

	(void)events;
	fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			home_deafen(&s->fs->home, w);
		return;
	}
	if (s->npending >= PENDING_MAX)
		rings_end(list_last_entry(&s->pending, struct rings, node));
	r = calloc(1, sizeof(*r));
	if (!r || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
		free(r);
		close(fd);
		return;
	}
	r->server = s;
	r->uid = cred.uid;
	r->conn = (struct watch){ .fd = fd, .fn = on_conn };
	INIT_LIST_HEAD(&r->awake);
	INIT_LIST_HEAD(&r->noted);
	list_add(&r->node, &s->pending);
	s->npending++;
	if (home_watch(&s->fs->home, &r->conn, EPOLLIN))
		rings_end(r);
}

static int server_start(struct fs *fs)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct rings_server *s = calloc(1, sizeof(*s));
	u64 id;
	int err;

	if (!s)
		return -ENOMEM;
	s->fs = fs;
	INIT_LIST_HEAD(&s->offered);
	INIT_LIST_HEAD(&s->pending);
	INIT_LIST_HEAD(&s->all);
	INIT_LIST_HEAD(&s->awake);
	INIT_LIST_HEAD(&s->noted);
	INIT_LIST_HEAD(&s->dead);
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = home_realtime();
	snprintf(s->name, sizeof(s->name), "kecho-%016llx", (unsigned long long)id);
	strcpy(un.sun_path + 1, s->name);
	s->listener = (struct watch){ .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), .fn = on_listener };
	if (s->listener.fd < 0 || bind(s->listener.fd, (struct sockaddr *)&un, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(s->name)) ||
	    listen(s->listener.fd, PENDING_MAX)) {
		err = -errno;
		goto fail;
	}
	err = home_watch(&fs->home, &s->listener, EPOLLIN);
	if (err)
		goto fail;
	fs->rings = s;
	return 0;
fail:
	if (s->listener.fd >= 0)
		close(s->listener.fd);
	free(s);
	return err;
}

int rings_offer(struct fs *fs, struct file *f, struct kecho_socket *out)
{
	int err = fs->rings ? 0 : server_start(fs);

	if (err)
		return err;
	while (!f->token)
		if (getrandom(&f->token, sizeof(f->token), 0) != sizeof(f->token))
			return -EIO;
	if (list_empty(&f->offered))
		list_add(&f->offered, &fs->rings->offered);
	*out = (struct kecho_socket){ .token = f->token };
	strcpy(out->name, fs->rings->name);
	return 0;
}

void rings_close(struct file *f)
{
	if (f->rings)
		rings_end(f->rings);
	list_del_init(&f->offered);
}

void rings_exit(struct fs *fs)
{
	struct rings_server *s = fs->rings;
	struct file *f, *after;
	struct rings *r, *next;

	if (!s)
		return;
	list_for_each_entry_safe(r, next, &s->pending, node)
		rings_end(r);
	list_for_each_entry_safe(r, next, &s->all, node)
		if (r->file)
			rings_end(r);
	list_for_each_entry_safe(r, next, &s->all, node)
		rings_dead(r);
	list_for_each_entry_safe(f, after, &s->offered, offered)
		list_del_init(&f->offered);
	free_dead(s);
	home_hear(&fs->home);	/* so that it is not among the deaf any more */
	close(s->listener.fd);
	free(s);
	fs->rings = NULL;
}
