// SPDX-License-Identifier: GPL-2.0
/* kecho pub: publishes events. */
#include "kecho.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/kecho.h>

#define PRIO_MAX	7
#define RETRY_MS	5

enum {
	OPT_WAIT_MEMBERS = 256,
	OPT_TIMEOUT,
};

struct pub {
	const char *channel;
	char **messages;
	int nmessages;
	bool lines;
	const char *file;
	const char *type;
	char *attrs;		/* name=value lines */
	size_t attrs_len;
	FILE *attrs_stream;	/* writes @attrs */
	long prio;
	long members;
	int64_t timeout_ms;
	int fd;
	long published;
};

static const struct argp_option pub_options[] = {
	{ "lines", 'l', NULL, 0, "each line of standard input is an event, at once", 0 },
	{ "file", 'f', "FILE", 0, "the bytes of FILE (-: standard input) are one event", 0 },
	{ "attr", 'a', "NAME=VALUE", 0, "an attribute of the events; may be repeated", 0 },
	{ "type", 't', "TYPE", 0, "the type of the events", 0 },
	{ "prio", 'p', "N", 0, "the priority of the events, 0 to 7; 7 goes first", 0 },
	{ "wait-members", OPT_WAIT_MEMBERS, "N", 0,
	  "first wait until the channel has N members, this node included", 0 },
	{ "timeout", OPT_TIMEOUT, "SECONDS", 0,
	  "wait no longer for members, nor for a channel that is full: exit status 124", 0 },
	{ 0 }
};

static void check_options(struct pub *p, struct argp_state *state)
{
	if (!p->channel)
		argp_error(state, "which CHANNEL?");
	if ((p->nmessages > 0) + p->lines + !!p->file > 1)
		argp_error(state, "MESSAGE, -l and -f exclude each other");
	fclose(p->attrs_stream);
	if (p->attrs_len > UINT16_MAX)
		argp_error(state, "the attributes are too many");
}

static error_t parse_pub_opt(int key, char *arg, struct argp_state *state)
{
	struct pub *p = state->input;

	switch (key) {
	case 'l':
		p->lines = true;
		return 0;
	case 'f':
		p->file = arg;
		return 0;
	case 'a':
		if (!assignment_valid(arg))
			argp_error(state, "'%s' is no attribute: write NAME=VALUE", arg);
		fprintf(p->attrs_stream, "%s\n", arg);
		return 0;
	case 't':
		check_channel(arg);
		p->type = arg;
		return 0;
	case 'p':
		p->prio = parse_number(state, "--prio", arg, 0, PRIO_MAX);
		return 0;
	case OPT_WAIT_MEMBERS:
		p->members = parse_number(state, "--wait-members", arg, 1, INT_MAX);
		return 0;
	case OPT_TIMEOUT:
		p->timeout_ms = parse_seconds(state, arg);
		return 0;
	case ARGP_KEY_ARGS:
		p->channel = state->argv[state->next];
		check_channel(p->channel);
		p->messages = state->argv + state->next + 1;
		p->nmessages = state->argc - state->next - 1;
		return 0;
	case ARGP_KEY_END:
		check_options(p, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp pub_argp = {
	pub_options, parse_pub_opt, "CHANNEL [MESSAGE...]",
	"Publish events: each MESSAGE is one. Without MESSAGE, -l and -f, all of standard input is one "
	"event, its last newline included.",
	NULL, NULL, NULL
};

static void wait_for_members(const struct pub *p)
{
	int fd = open_file(p->channel, "members", O_RDONLY);
	struct pollfd changed = { .fd = fd, .events = POLLPRI };
	int64_t deadline = deadline_in(p->timeout_ms);
	long n;

	for (;;) {
		n = count_members(fd);
		if (n >= p->members)
			break;
		if (!poll(&changed, 1, remaining_ms(deadline)))
			die_with(EXIT_TIMEOUT, "%s has %ld of %ld members: `kecho members %s` "
				 "shows them", p->channel, n, p->members, p->channel);
	}
	close(fd);
}

static _Noreturn void die_refused(const struct pub *p, size_t len)
{
	switch (errno) {
	case EMSGSIZE:
		die("an event of %zu bytes is larger than the node allows: see max_event in "
		    "%s/.node/config", len, node_dir());
	case EINVAL:
		die("the node refuses the event: are its attributes NAME=VALUE with names of 1 to "
		    "64 of A-Z a-z 0-9 . _ -, and values of up to 255 bytes?");
	}
	if (errno == E2BIG)
		die("the attributes of the event are more than 4096 bytes in all");
	die_node(p->channel);
}

static _Noreturn void die_full(const struct pub *p)
{
	die_with(EXIT_TIMEOUT, "%s is full, %ld events were published: `kecho members -s %s` on each "
		 "member shows who is slow", p->channel, p->published, p->channel);
}

static void wait_for_room(const struct pub *p, int64_t deadline)
{
	struct pollfd room = { .fd = p->fd, .events = POLLOUT };
	int n;

	while ((n = poll(&room, 1, remaining_ms(deadline))) < 0)
		if (errno != EINTR)
			die("poll: %m");
	if (!n)
		die_full(p);
}

/* One write, one event. Waits while the channel is full and its events may not be dropped. */
static void publish(struct pub *p, const char *payload, size_t len)
{
	size_t type_len = p->type ? strlen(p->type) : 0;
	struct kecho_frame frame = {
		.size = sizeof(frame) + type_len + p->attrs_len + len,
		.header = sizeof(frame),
		.type_len = type_len,
		.prio = p->prio,
		.attrs_len = p->attrs_len,
	};
	int64_t deadline = deadline_in(p->timeout_ms);
	char *event, *end;
	ssize_t n;

	if (len > SIZE_LIMIT) {
		errno = EMSGSIZE;
		die_refused(p, len);
	}
	event = end = malloc(frame.size);
	if (!event)
		die("%m");
	end = mempcpy(end, &frame, sizeof(frame));
	if (p->type)
		end = mempcpy(end, p->type, type_len);
	end = mempcpy(end, p->attrs, p->attrs_len);
	memcpy(end, payload, len);

	/*
	 * Asked before each write, too: behind another writer who blocks, a write waits inside of the
	 * kernel, where neither O_NONBLOCK nor a signal reaches it. Less than all is written if what
	 * the kernel sends in pieces finds no room with its last one; then nothing is published. If
	 * there was another reason, the next write tells it. And there may be room, but none for an
	 * event of this size or type, which poll(2) does not know of.
	 */
	for (;;) {
		wait_for_room(p, deadline);
		n = write(p->fd, event, frame.size);
		if (n == frame.size)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die_refused(p, len);
		if (!remaining_ms(deadline))
			die_full(p);
		poll(NULL, 0, RETRY_MS);
	}
	p->published++;
	free(event);
}

static void publish_lines(struct pub *p)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0)
		publish(p, line, line[len - 1] == '\n' ? len - 1 : len);
	if (!feof(stdin))
		die("standard input: %m");
	free(line);
}

static void publish_file(struct pub *p, const char *name)
{
	bool is_stdin = !strcmp(name, "-");
	int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	char *payload;
	size_t len;

	if (fd < 0)
		die("%s: %m", name);
	payload = read_all(fd, is_stdin ? "standard input" : name, &len);
	publish(p, payload, len);
	free(payload);
	if (!is_stdin)
		close(fd);
}

int cmd_pub(int argc, char **argv)
{
	struct pub p = { .timeout_ms = -1 };
	int i;

	p.attrs_stream = open_memstream(&p.attrs, &p.attrs_len);
	if (!p.attrs_stream)
		die("%m");
	argp_parse(&pub_argp, argc, argv, 0, NULL, &p);

	p.fd = open_events(p.channel, NULL, O_WRONLY);
	if (p.members)
		wait_for_members(&p);
	if (p.lines)
		publish_lines(&p);
	else if (!p.nmessages)
		publish_file(&p, p.file ?: "-");
	for (i = 0; i < p.nmessages; i++)
		publish(&p, p.messages[i], strlen(p.messages[i]));
	if (close(p.fd))
		die("cannot publish to %s: %m", p.channel);
	free(p.attrs);
	return EXIT_SUCCESS;
}
