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
#include <kecho/kecho.h>
#include <kecho/limits.h>

#define RETRY_MS	5

enum {
	OPT_WAIT_MEMBERS = 256,
	OPT_DEADLINE,
	OPT_TIMEOUT,
};

struct pub {
	const char *channel;
	char **messages;
	int nmessages;
	bool lines;
	const char *file;
	const char *type;
	char *attr_lines;	/* the attributes, name=value each */
	size_t attr_lines_len;
	FILE *attr_lines_stream;	/* writes @attr_lines */
	char attrs[KECHO_ATTRS_BYTES_MAX];
	int attrs_len;
	long prio;
	long deadline_ms;
	long members;
	int64_t timeout_ms;
	struct kecho *kecho;
	long published;
};

static const struct argp_option pub_options[] = {
	{ "lines", 'l', NULL, 0, "each line of standard input is an event, at once", 0 },
	{ "file", 'f', "FILE", 0, "the bytes of FILE (-: standard input) are one event", 0 },
	{ "attr", 'a', "NAME=VALUE", 0, "an attribute of the events; may be repeated", 0 },
	{ "type", 't', "TYPE", 0, "the type of the events", 0 },
	{ "prio", 'p', "N", 0, "the priority of the events, 0 to 7; 7 goes first", 0 },
	{ "deadline", OPT_DEADLINE, "MS", 0, "the events are worth nothing after MS milliseconds, and dropped", 0 },
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
	fclose(p->attr_lines_stream);
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
		fprintf(p->attr_lines_stream, "%s\n", arg);
		return 0;
	case 't':
		check_channel(arg);
		p->type = arg;
		return 0;
	case 'p':
		p->prio = parse_number(state, "--prio", arg, 0, KECHO_PRIO_MAX);
		return 0;
	case OPT_DEADLINE:
		p->deadline_ms = parse_number(state, "--deadline", arg, 1, UINT32_MAX / 1000);
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

/* Told before it waits for something. */
static void check_writable(const struct pub *p)
{
	char path[KECHO_NAME_MAX + sizeof("/events")];

	snprintf(path, sizeof(path), "%s/events", p->channel);
	if (faccessat(node_fd(), path, W_OK, AT_EACCESS))
		die_file(p->channel, "events");
}

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

static _Noreturn void die_refused(const struct pub *p, int err, size_t len)
{
	errno = -err;
	switch (errno) {
	case EMSGSIZE:
		die("an event of %zu bytes is larger than the node allows: see max_event in "
		    "%s/.node/config", len, node_dir());
	case EINVAL:
		die("the node refuses the event: are its attributes NAME=VALUE with names of 1 to "
		    "64 of A-Z a-z 0-9 . _ -, and values of up to 255 bytes?");
	case E2BIG:
		die("the attributes of the event are more than 4096 bytes in all");
	case EACCES:
		die_file(p->channel, "events");
	}
	die_node(p->channel);
}

static _Noreturn void die_full(const struct pub *p)
{
	int left = kecho_flush(p->kecho, 0);

	die_with(EXIT_TIMEOUT, "%s is full, %ld events were published: `kecho members -s %s` on each "
		 "member shows who is slow", p->channel, p->published - (left > 0 ? left : 0), p->channel);
}

/* Waits while the channel is full and its events may not be dropped. */
static void publish(struct pub *p, const char *payload, size_t len)
{
	int64_t deadline = deadline_in(p->timeout_ms);
	unsigned int flags = deadline < 0 ? 0 : KECHO_NOWAIT;
	struct kecho_event event = {
		.data = payload, .len = len, .type = p->type, .type_len = p->type ? strlen(p->type) : 0,
		.attrs = p->attrs, .attrs_len = p->attrs_len, .prio = p->prio, .deadline_us = p->deadline_ms * 1000,
	};
	int err;

	if (len > SIZE_LIMIT)
		die_refused(p, -EMSGSIZE, len);
	while ((err = kecho_publish(p->kecho, &event, flags))) {
		if (err != -EINTR && err != -EAGAIN)
			die_refused(p, err, len);
		if (!remaining_ms(deadline))
			die_full(p);
		poll(NULL, 0, RETRY_MS);
	}
	p->published++;
}

/* Until the node has taken all; if it takes nothing for as long as may be waited, the channel is full. */
static void finish(const struct pub *p)
{
	int before, left = kecho_flush(p->kecho, 0);

	while (left > 0) {
		before = left;
		left = kecho_flush(p->kecho, remaining_ms(deadline_in(p->timeout_ms)));
		if (left == -EINTR)
			left = before;
		else if (left == before)
			die_full(p);
	}
	if (left == -EMSGSIZE)
		die("events were lost: max_event in %s/.node/config has become less", node_dir());
	if (left < 0)
		die_refused(p, left, 0);
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

	p.attr_lines_stream = open_memstream(&p.attr_lines, &p.attr_lines_len);
	if (!p.attr_lines_stream)
		die("%m");
	argp_parse(&pub_argp, argc, argv, 0, NULL, &p);

	p.kecho = open_channel(p.channel, NULL);
	check_writable(&p);
	p.attrs_len = kecho_attr_encode(p.attr_lines, p.attrs, sizeof(p.attrs));
	if (p.attrs_len < 0)
		die_refused(&p, p.attrs_len, 0);
	if (p.members)
		wait_for_members(&p);
	if (p.lines)
		publish_lines(&p);
	else if (!p.nmessages)
		publish_file(&p, p.file ?: "-");
	for (i = 0; i < p.nmessages; i++)
		publish(&p, p.messages[i], strlen(p.messages[i]));
	finish(&p);
	kecho_close(p.kecho);
	free(p.attr_lines);
	return EXIT_SUCCESS;
}
