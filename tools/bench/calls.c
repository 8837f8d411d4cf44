// SPDX-License-Identifier: GPL-2.0
/* Calls: what the paper's first table has, creation, opening, submission, polling; by the files, by libkecho, inside the kernel. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/kecho.h>

/* What there are files of besides, without a node: in memory, too. */
#define TMPFS		"/dev/shm"
/* Hosts that channels are opened on that have no link yet; no more than there are besides the opener and the registry. */
#define STRANGERS	8
/* Polls between two looks at the clock. */
#define POLLS		64
/* Events get into a ring some time after they have been published. */
#define SETTLE_US	1000

static struct kecho *kecho;
static struct kecho_sub *sub;
static char data[BYTES_MAX];
static size_t bytes;
static int in, out;

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die("%s: %m", path);
	return fd;
}

static void make_channel(const char *path)
{
	if (mkdir(path, 0777))
		die("%s: %m", path);
}

static struct kecho *open_kecho(unsigned int flags)
{
	struct kecho_options options = { .dir = node_at(0) };
	struct kecho *k = kecho_open_with(ops_channel(), flags, &options);

	check(kecho_error(k));
	return k;
}

/* --- create: a channel that is not there; for join it is, on another host --- */

static unsigned int there = 1;

static void create_there(void)
{
	ops_next();
	make_channel(ops_path(there, ""));
}

/* Nodes that nothing has been asked of yet: what has been said by one opening need not be said by the next. */
static void start_anew(const struct entry *e)
{
	(void)e;
	node_unpair();
	node_cluster(cpu_place(NETWORK)->hosts);
}

static void create_elsewhere(void)
{
	static unsigned int n;

	there = 1 + n++ % STRANGERS;
	create_there();
}

static void mkdir_one(void)
{
	make_channel(ops_path(0, ""));
}

static void leave_one(void)
{
	ops_leave(ops_path(0, ""));
}

static void leave_both(void)
{
	leave_one();
	ops_leave(ops_path(there, ""));
}

static void kecho_create(void)
{
	kecho = open_kecho(KECHO_CREATE);
}

static void kecho_leave_one(void)
{
	kecho_close(kecho);
	leave_one();
}

static void kecho_leave_both(void)
{
	kecho_close(kecho);
	leave_both();
}

static const char *tmpfs_path(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), TMPFS "/%s", ops_channel());
	return path;
}

static void tmpfs_mkdir(void)
{
	make_channel(tmpfs_path());
}

static void tmpfs_rmdir(void)
{
	ops_leave(tmpfs_path());
}

static const struct operation create_files = { .before = ops_next, .run = mkdir_one, .after = leave_one };
static const struct operation create_kecho = { .before = ops_next, .run = kecho_create, .after = kecho_leave_one };
static const struct operation create_kernel = { .before = ops_next, .module = "create", .after = leave_one };
static const struct operation create_tmpfs = { .before = ops_next, .run = tmpfs_mkdir, .after = tmpfs_rmdir };

static const struct operation join_files = { .before = create_there, .run = mkdir_one, .after = leave_both };
static const struct operation join_kecho = { .before = create_there, .run = kecho_create, .after = kecho_leave_both };
static const struct operation join_kernel = { .before = create_there, .module = "create", .after = leave_both };
static const struct operation first_files = {
	.prepare = start_anew, .before = create_elsewhere, .run = mkdir_one, .after = leave_both, .samples = STRANGERS,
};
static const struct operation first_kernel = {
	.prepare = start_anew, .before = create_elsewhere, .module = "create", .after = leave_both, .samples = STRANGERS,
};

/* --- open: one that is there --- */

static void files_open(void)
{
	out = open_file(ops_path(0, "events"), O_WRONLY);
}

static void close_out(void)
{
	close(out);
}

static void kecho_open_one(void)
{
	kecho = open_kecho(0);
}

static void kecho_close_one(void)
{
	kecho_close(kecho);
}

static void null_open(void)
{
	out = open_file("/dev/null", O_WRONLY);
}

static const struct operation open_files = { .prepare = ops_join, .run = files_open, .after = close_out };
static const struct operation open_libkecho = { .prepare = ops_join, .run = kecho_open_one, .after = kecho_close_one };
static const struct operation open_kernel = { .prepare = ops_join, .module = "open" };
static const struct operation open_null = { .run = null_open, .after = close_out };

/* --- subscribe: until what is published arrives --- */

static void files_subscribe(void)
{
	in = open_file(ops_path(0, "events"), O_RDONLY);
}

static void close_in(void)
{
	close(in);
}

static void kecho_open_first(const struct entry *e)
{
	(void)e;
	kecho_open_one();
}

/* What it is done by is opened and mapped by the first poll. */
static void kecho_subscribe_one(void)
{
	struct kecho_event event;

	sub = kecho_subscribe(kecho, NULL, NULL, NULL);
	check(kecho_error(sub));
	check(kecho_poll(sub, &event, 0));
}

static void kecho_unsubscribe_one(void)
{
	kecho_unsubscribe(sub);
}

static const struct operation subscribe_files = { .prepare = ops_join, .run = files_subscribe, .after = close_in };
static const struct operation subscribe_kecho = {
	.prepare = ops_join, .open = kecho_open_first, .run = kecho_subscribe_one, .after = kecho_unsubscribe_one,
};
static const struct operation subscribe_kernel = { .prepare = ops_join, .module = "subscribe" };

/* --- poll: an event that is there, and where there is none --- */

static void files_poll_open(const struct entry *e)
{
	bytes = e->bytes;
	in = open_file(ops_path(0, "events"), O_RDONLY | O_DIRECT | O_NONBLOCK);
	out = open_file(ops_path(0, "events"), O_WRONLY | O_DIRECT);
}

static void kecho_poll_open(const struct entry *e)
{
	files_poll_open(e);
	close(in);
	kecho_open_one();
	kecho_subscribe_one();
	if (!strcmp(kecho_sub_via(sub), "file"))
		die("the node at %s offers no rings", node_at(0));
}

static void pipe_open(const struct entry *e)
{
	int ends[2];

	bytes = e->bytes;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		die("pipe: %m");
	in = ends[0];
	out = ends[1];
}

static void publish_all(void)
{
	unsigned int i;

	for (i = 0; i < POLLS; i++)
		if (write(out, data, bytes) != (ssize_t)bytes)
			die("write: %m");
}

static void publish_all_and_wait(void)
{
	publish_all();
	usleep(SETTLE_US);
}

static void read_one(void)
{
	if (read(in, data, bytes) != (ssize_t)bytes)
		die("read: %m");
}

static void read_nothing(void)
{
	if (read(in, data, bytes) >= 0 || errno != EAGAIN)
		die("read: something where there is nothing");
}

static void kecho_poll_one(void)
{
	struct kecho_event event;

	check(kecho_poll(sub, &event, -1));
	kecho_event_put(sub, &event);
}

static void kecho_poll_nothing(void)
{
	struct kecho_event event;

	if (kecho_poll(sub, &event, 0))
		die("kecho_poll: something where there is nothing");
}

static const struct operation poll_files = {
	.prepare = ops_join, .open = files_poll_open, .before = publish_all, .run = read_one, .times = POLLS,
};
static const struct operation poll_kecho = {
	.prepare = ops_join, .open = kecho_poll_open, .before = publish_all_and_wait, .run = kecho_poll_one, .times = POLLS,
};
static const struct operation poll_kernel = { .prepare = ops_join, .module = "poll" };
static const struct operation poll_pipe = { .open = pipe_open, .before = publish_all, .run = read_one, .times = POLLS };

static const struct operation empty_files = { .prepare = ops_join, .open = files_poll_open, .run = read_nothing, .times = POLLS };
static const struct operation empty_kecho = { .prepare = ops_join, .open = kecho_poll_open, .run = kecho_poll_nothing, .times = POLLS };
static const struct operation empty_kernel = { .prepare = ops_join, .module = "poll-empty" };
static const struct operation empty_pipe = { .open = pipe_open, .run = read_nothing, .times = POLLS };

/* --- the tables --- */

#define MODULE		"the module kecho_bench: "
#define CREATE		"kecho_open() with KECHO_CREATE"
#define PAPER_OPEN_NS	1.5e9
#define EVENT		.bytes = 100

static const struct entry create_entries[] = {
	ENTRY("files", NULL, OP(create_files), "mkdir(2)"),
	ENTRY("libkecho", NULL, OP(create_kecho), CREATE),
	ENTRY("kernel", NULL, OP(create_kernel), MODULE CREATE),
	ENTRY("tmpfs", NULL, OP(create_tmpfs), "mkdir(2) in " TMPFS, .base = true),
};

static const struct entry open_entries[] = {
	ENTRY("files", NULL, OP(open_files), "open(2) of events to write"),
	ENTRY("libkecho", NULL, OP(open_libkecho), "kecho_open(), which leaves the rest to the first use"),
	ENTRY("kernel", NULL, OP(open_kernel), MODULE "kecho_open()"),
	ENTRY("null", NULL, OP(open_null), "open(2) of /dev/null", .base = true),
};

static const struct entry subscribe_entries[] = {
	ENTRY("files", NULL, OP(subscribe_files), "open(2) of events to read"),
	ENTRY("libkecho", NULL, OP(subscribe_kecho), "kecho_subscribe() and the first kecho_poll(), which maps the rings"),
	ENTRY("kernel", NULL, OP(subscribe_kernel), MODULE "kecho_subscribe()"),
	ENTRY("null", NULL, OP(open_null), "open(2) of /dev/null", .base = true),
};

static const struct entry join_entries[] = {
	ENTRY("files", NULL, OP(join_files), "mkdir(2)", .paper = PAPER_OPEN_NS),
	ENTRY("libkecho", NULL, OP(join_kecho), CREATE, .paper = PAPER_OPEN_NS),
	ENTRY("kernel", NULL, OP(join_kernel), MODULE CREATE, .paper = PAPER_OPEN_NS),
	ENTRY("files, no link yet", NULL, OP(first_files), "mkdir(2); the two nodes do not know each other", .paper = PAPER_OPEN_NS),
	ENTRY("kernel, no link yet", NULL, OP(first_kernel), MODULE CREATE "; likewise", .paper = PAPER_OPEN_NS),
};

#define FILES		"write(2), O_DIRECT"
#define PUBLISH		"kecho_publish()"
#define FLUSH		PUBLISH " and kecho_flush(), which waits until the node has it"

static const struct entry nobody_entries[] = {
	ENTRY("files", NULL, OP(submit_files), FILES, EVENT),
	ENTRY("libkecho", NULL, OP(submit_kecho), PUBLISH, EVENT),
	ENTRY("libkecho, flushed", NULL, OP(submit_flushed), FLUSH, EVENT),
	ENTRY("kernel", NULL, OP(submit_kernel), MODULE PUBLISH, EVENT),
};

static const struct entry local_entries[] = {
	ENTRY("files", NULL, OP(submit_files, .sinks = 1), FILES, EVENT),
	ENTRY("libkecho", NULL, OP(submit_kecho, .sinks = 1), PUBLISH, EVENT),
	ENTRY("libkecho, flushed", NULL, OP(submit_flushed, .sinks = 1), FLUSH, EVENT),
	ENTRY("kernel", NULL, OP(submit_kernel, .sinks = 1), MODULE PUBLISH ", to a handler of its own", EVENT),
	ENTRY("pipe", NULL, OP(submit_pipe, .sinks = 1), "write(2)", EVENT, .base = true),
};

static const struct entry eight_entries[] = {
	ENTRY("files", NULL, OP(submit_files, .sinks = 8), FILES, EVENT),
	ENTRY("libkecho, flushed", NULL, OP(submit_flushed, .sinks = 8), FLUSH, EVENT),
	ENTRY("kernel", NULL, OP(submit_kernel, .sinks = 8), MODULE PUBLISH ", to handlers of its own", EVENT),
};

static const struct entry remote_entries[] = {
	ENTRY("files", NULL, OP(submit_files, .sinks = 1, .hosts = 1), FILES, EVENT),
	ENTRY("libkecho", NULL, OP(submit_kecho, .sinks = 1, .hosts = 1), PUBLISH, EVENT),
	ENTRY("libkecho, flushed", NULL, OP(submit_flushed, .sinks = 1, .hosts = 1), FLUSH, EVENT),
	ENTRY("kernel", NULL, OP(submit_kernel, .sinks = 1, .hosts = 1), MODULE PUBLISH, EVENT),
	ENTRY("TCP", NULL, OP(submit_tcp, .sinks = 1, .hosts = 1), "send(2), TCP_NODELAY", EVENT, .base = true),
};

static const struct entry poll_entries[] = {
	ENTRY("files", NULL, OP(poll_files), "read(2), O_DIRECT", EVENT),
	ENTRY("libkecho", NULL, OP(poll_kecho), "kecho_poll() and kecho_event_put()", EVENT),
	ENTRY("kernel", NULL, OP(poll_kernel), MODULE "kecho_poll() and kecho_event_put()", EVENT),
	ENTRY("pipe", NULL, OP(poll_pipe), "read(2)", EVENT, .base = true),
};

static const struct entry empty_entries[] = {
	ENTRY("files", NULL, OP(empty_files), "read(2), O_DIRECT and O_NONBLOCK", EVENT),
	ENTRY("libkecho", NULL, OP(empty_kecho), "kecho_poll() with a timeout of 0", EVENT),
	ENTRY("kernel", NULL, OP(empty_kernel), MODULE "kecho_poll() with a timeout of 0", EVENT),
	ENTRY("pipe", NULL, OP(empty_pipe), "read(2), O_NONBLOCK", EVENT, .base = true),
};

#define LOCAL .places = { [ONE_CPU] = true, [TWO_CPUS] = true }
#define REMOTE .places = { [NETWORK] = true }

static const struct table tables[] = {
	{
		.name = "create", .title = "Creation of a channel",
		.kind = &call_cost, .ms = 50, LOCAL, ENTRIES(create_entries),
	},
	{
		.name = "join", .title = "Opening of a channel that is on another host, which a third one's registry knows",
		.kind = &call_cost, .ms = 200, REMOTE, ENTRIES(join_entries),
	},
	{
		.name = "open", .title = "Opening of a channel that is there, to publish",
		.kind = &call_cost, .ms = 50, LOCAL, ENTRIES(open_entries),
	},
	{
		.name = "subscribe", .title = "Opening of a channel that is there, to receive",
		.kind = &call_cost, .ms = 50, LOCAL, ENTRIES(subscribe_entries),
	},
	{
		.name = "submit", .title = "Submission of an event of 100 bytes to nobody",
		.kind = &submission_cost, .ms = 200, .rate = 1000, LOCAL, ENTRIES(nobody_entries),
	},
	{
		.name = "submit-local", .title = "Submission of an event of 100 bytes to a subscriber on the same host",
		.kind = &submission_cost, .ms = 200, .rate = 1000, LOCAL, ENTRIES(local_entries),
	},
	{
		.name = "submit-local-8", .title = "Submission of an event of 100 bytes to eight subscribers on the same host",
		.kind = &submission_cost, .ms = 200, .rate = 1000, .places = { [ONE_CPU] = true }, ENTRIES(eight_entries),
	},
	{
		.name = "submit-remote", .title = "Submission of an event of 100 bytes to a subscriber on another host",
		.kind = &submission_cost, .ms = 200, .rate = 1000, REMOTE, ENTRIES(remote_entries),
	},
	{
		.name = "poll", .title = "Polling: an event of 100 bytes is there",
		.kind = &call_cost, .ms = 50, LOCAL, ENTRIES(poll_entries),
	},
	{
		.name = "poll-empty", .title = "Polling: nothing is there",
		.kind = &call_cost, .ms = 50, LOCAL, ENTRIES(empty_entries),
	},
};

const struct part calls_part = {
	"calls", "What calls cost, by the files, by libkecho and inside the kernel: creation, opening, submission, polling", tables,
	ARRAY_SIZE(tables),
};
