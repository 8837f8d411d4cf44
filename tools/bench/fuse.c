// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest file systems by libfuse: one that passes events through, which are written to one file and read from another, and one that
 * answers a write, and nothing else.
 */
#define FUSE_USE_VERSION 314
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Events that a reader may be behind, a power of two. */
#define QUEUE	1024

enum { ROOT = FUSE_ROOT_ID, IN, OUT, NOWHERE };

static const char *const names[] = { [IN] = "in", [OUT] = "out", [NOWHERE] = "nowhere" };

/* In the server. */

/**
 * struct reader - an opening of OUT
 * @next: the event that it reads next
 * @waits: for that, or NULL
 */
struct reader {
	uint64_t next;
	fuse_req_t waits;
	struct reader *others;
};

/* @end: the number of the next event. @writer: waits until there is room for one more */
static struct queue {
	struct { void *data; size_t len, room; } slots[QUEUE];
	uint64_t end;
	struct reader *readers;
	fuse_req_t writer;
	size_t written;
} queue;

static void attributes(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_mode = ino == ROOT ? S_IFDIR | 0700 : S_IFREG | 0600, .st_nlink = 1 };
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = 3600, .entry_timeout = 3600 };

	(void)parent;
	for (e.ino = IN; e.ino <= NOWHERE; e.ino++) {
		if (!strcmp(name, names[e.ino])) {
			attributes(e.ino, &e.attr);
			fuse_reply_entry(req, &e);
			return;
		}
	}
	fuse_reply_err(req, ENOENT);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	attributes(ino, &st);
	fuse_reply_attr(req, &st, 3600);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct reader *r = ino == OUT ? calloc(1, sizeof(*r)) : NULL;

	if (ino == OUT && !r) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (r) {
		r->next = queue.end;
		r->others = queue.readers;
		queue.readers = r;
	}
	fi->fh = (uintptr_t)r;
	fi->direct_io = fi->nonseekable = 1;
	fuse_reply_open(req, fi);
}

static bool room(void)
{
	struct reader *r;

	for (r = queue.readers; r; r = r->others)
		if (queue.end - r->next == QUEUE)
			return false;
	return true;
}

static void let_write(void)
{
	if (!queue.writer || !room())
		return;
	fuse_reply_write(queue.writer, queue.written);
	queue.writer = NULL;
}

static void give(struct reader *r, fuse_req_t req)
{
	uint64_t n = r->next++;

	fuse_reply_buf(req, queue.slots[n % QUEUE].data, queue.slots[n % QUEUE].len);
	r->waits = NULL;
	let_write();
}

static void on_interrupt(fuse_req_t req, void *reader)
{
	struct reader *r = reader;

	if (r->waits != req)
		return;
	r->waits = NULL;
	fuse_reply_err(req, EINTR);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct reader *r = (struct reader *)(uintptr_t)fi->fh;

	(void)ino;
	(void)size;
	(void)off;
	if (r->next < queue.end) {
		give(r, req);
		return;
	}
	r->waits = req;
	fuse_req_interrupt_func(req, on_interrupt, r);
}

static void keep(const char *buf, size_t size)
{
	uint64_t n = queue.end++ % QUEUE;

	if (queue.slots[n].room < size) {
		free(queue.slots[n].data);
		queue.slots[n].data = malloc(size);
		queue.slots[n].room = size;
		if (!queue.slots[n].data)
			_exit(EXIT_FAILURE);
	}
	memcpy(queue.slots[n].data, buf, size);
	queue.slots[n].len = size;
}

/* There is one publisher, so that no other write comes while this one waits. */
static void do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct reader *r;

	(void)off;
	(void)fi;
	if (ino == NOWHERE) {
		fuse_reply_write(req, size);
		return;
	}
	keep(buf, size);
	for (r = queue.readers; r; r = r->others)
		if (r->waits)
			give(r, r->waits);
	queue.writer = req;
	queue.written = size;
	let_write();
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct reader *r = (struct reader *)(uintptr_t)fi->fh, **at = &queue.readers;

	(void)ino;
	while (r && *at != r)
		at = &(*at)->others;
	if (r)
		*at = r->others;
	free(r);
	let_write();
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = do_lookup, .getattr = do_getattr, .open = do_open, .read = do_read, .write = do_write, .release = do_release,
};

static void serve(const struct server *s)
{
	char *argv[] = { "bench", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);

	if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, s->dir))
		return;
	fuse_session_loop(session);
	fuse_session_unmount(session);
	_exit(EXIT_SUCCESS);
}

/* At the ends. */

static int open_file(const struct server *s, int file, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", s->dir, names[file]);
	return open(path, flags | O_CLOEXEC);
}

static bool ready(const struct server *s)
{
	int fd = open_file(s, NOWHERE, O_WRONLY);

	return fd >= 0 && !close(fd);
}

static struct server server = { .run = serve, .ready = ready };
static int fd;

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)nth;
	fd_open(e, e->bytes);
	fd = open_file(&server, e->subject->alone ? NOWHERE : end == SENDS ? IN : OUT, end == SENDS ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		die("FUSE: %m");
}

static void send_one(const struct payload *p, bool more)
{
	fd_send(&fd, 1, p, more);
}

static const struct payload *receive_one(void)
{
	return fd_receive(fd);
}

const struct subject fuse_subject = { .server = &server, .open = open_end, .send = send_one, .receive = receive_one };
const struct subject fuse_write_subject = { .server = &server, .open = open_end, .send = send_one, .alone = true };
