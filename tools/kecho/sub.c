// SPDX-License-Identifier: GPL-2.0
/* kecho sub: subscribes to channels and prints their events. */
#include "kecho.h"
#include "event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kecho.h>

enum {
	OPT_JSON = 'j',
	OPT_FORMAT = 256,
};

/* Read in a row from one channel before the others and the clock have their turn. */
#define BATCH	64

struct sub {
	char **channels;
	int nchannels;
	const char *type;
	const char *format;
	struct kecho_sink_attrs attrs;
	bool json;
	long count;		/* events still wanted; negative: all */
	int64_t timeout_ms;
	struct pollfd *files;	/* one a channel, fd < 0: gone; then standard output */
	uint64_t *lost;		/* of each channel, as reported so far */
	char *buf;
	size_t size;
};

static const struct argp_option sub_options[] = {
	{ "count", 'n', "COUNT", 0, "end after COUNT events", 0 },
	{ "timeout", 'W', "SECONDS", 0, "end after SECONDS, with exit status 124", 0 },
	{ "type", 't', "TYPE", 0, "only events of this type, which must be declared here", 0 },
	{ "attr", 'a', "NAME=VALUE", 0,
	  "an attribute of this subscription, for filters to choose by; may be repeated", 0 },
	{ "json", OPT_JSON, NULL, 0, "print each event as a line of JSON", 0 },
	{ "format", OPT_FORMAT, "FORMAT", 0,
	  "print each event so: %c channel, %s sequence number, %t seconds since 1970, %T time, "
	  "%i id of the publisher, %y type, %r priority, %l length, %p payload, %a attributes, "
	  "%{NAME} value of one of them, %L events lost, %%; \\n \\t \\r \\0 \\\\", 0 },
	{ 0 }
};

static void add_attr(struct sub *s, struct argp_state *state, const char *attr)
{
	size_t used = strlen(s->attrs.lines), room = sizeof(s->attrs.lines) - used;

	if (!assignment_valid(attr))
		argp_error(state, "'%s' is no attribute: write NAME=VALUE", attr);
	if ((size_t)snprintf(s->attrs.lines + used, room, "%s\n", attr) >= room)
		argp_error(state, "the attributes are too many");
}

static error_t parse_sub_opt(int key, char *arg, struct argp_state *state)
{
	struct sub *s = state->input;
	const char *bad;
	int i;

	switch (key) {
	case 'n':
		s->count = parse_number(state, "--count", arg, 1, LONG_MAX);
		return 0;
	case 'W':
		s->timeout_ms = parse_seconds(state, arg);
		return 0;
	case 't':
		check_channel(arg);
		s->type = arg;
		return 0;
	case 'a':
		add_attr(s, state, arg);
		return 0;
	case OPT_JSON:
		s->json = true;
		return 0;
	case OPT_FORMAT:
		s->format = arg;
		bad = format_error(arg);
		if (bad)
			argp_error(state, "'%.*s' means nothing in a format: see --help",
				   bad[1] == '{' ? INT_MAX : 2, bad);
		return 0;
	case ARGP_KEY_ARGS:
		s->channels = state->argv + state->next;
		s->nchannels = state->argc - state->next;
		for (i = 0; i < s->nchannels; i++)
			check_channel(s->channels[i]);
		return 0;
	case ARGP_KEY_END:
		if (!s->nchannels)
			argp_error(state, "which CHANNEL?");
		if (s->json && s->format)
			argp_error(state, "--json and --format exclude each other");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp sub_argp = {
	sub_options, parse_sub_opt, "CHANNEL...",
	"Subscribe to channels and print their events: each payload and a newline, if nothing else is "
	"asked for.",
	NULL, NULL, NULL
};

static void set_attrs(const struct sub *s, int i)
{
	if (!ioctl(s->files[i].fd, KECHO_IOC_ATTRS, &s->attrs))
		return;
	if (errno == EINVAL || errno == E2BIG)
		die("the node refuses the attributes: names are 1 to 64 of A-Z a-z 0-9 . _ -, values "
		    "up to 255 bytes without control characters, 4096 bytes in all");
	if (errno == ENOTTY)
		die("%s: no attributes of subscriptions: is this the mount of a node of version "
		    KECHO_VERSION "?", s->channels[i]);
	die_node(s->channels[i]);
}

/* Reads an event of channel @i; false: none is there now. */
static bool read_event(struct sub *s, int i, struct event *event)
{
	ssize_t n;

	while ((n = read(s->files[i].fd, s->buf, s->size)) < 0) {
		if (errno == EAGAIN)
			return false;
		if (errno == EINTR)
			continue;
		if (errno != EMSGSIZE || s->size >= SIZE_LIMIT)
			break;
		s->size *= 2;
		s->buf = realloc(s->buf, s->size);
		if (!s->buf)
			die("%m");
	}
	if (n <= 0) {
		/* ENOTCONN, ENODEV: the node itself has gone. */
		if (n == 0 || errno == ENOTCONN || errno == ENODEV)
			warning("channel %s is gone", s->channels[i]);
		else
			warning("%s: %m", s->channels[i]);
		close(s->files[i].fd);
		s->files[i].fd = -1;
		return false;
	}
	if (!parse_event(event, s->channels[i], s->buf, n))
		die("%s: the node's events are of another form: are it and kecho of one version?",
		    s->channels[i]);
	return true;
}

static void print_event(struct sub *s, int i, const struct event *event)
{
	if (event->frame->lost > s->lost[i]) {
		warning("%s: %llu events lost, this reader was too slow", event->channel,
			(unsigned long long)(event->frame->lost - s->lost[i]));
		s->lost[i] = event->frame->lost;
	}
	if (s->json) {
		print_event_json(event);
	} else if (s->format) {
		print_event_format(event, s->format);
	} else {
		fwrite(event->payload, 1, event->payload_len, stdout);
		putchar('\n');
	}
	if (fflush(stdout))
		die("cannot write the output: %m");
}

/* True: the count is reached. */
static bool drain(struct sub *s, int i)
{
	struct event event;
	int n;

	for (n = 0; n < BATCH && read_event(s, i, &event); n++) {
		print_event(s, i, &event);
		if (s->count > 0 && --s->count == 0)
			return true;
	}
	return false;
}

static bool all_gone(const struct sub *s)
{
	int i;

	for (i = 0; i < s->nchannels; i++)
		if (s->files[i].fd >= 0)
			return false;
	return true;
}

static int receive(struct sub *s)
{
	int64_t deadline = deadline_in(s->timeout_ms);
	int i, n;

	while (!all_gone(s)) {
		n = poll(s->files, s->nchannels + 1, remaining_ms(deadline));
		if (n < 0 && errno != EINTR)
			die("poll: %m");
		/* Nobody reads the pipe any more: do not wait for an event to see it. */
		if (n > 0 && s->files[s->nchannels].revents & (POLLERR | POLLHUP | POLLNVAL)) {
			raise(SIGPIPE);
			return EXIT_FAILURE;
		}
		for (i = 0; n > 0 && i < s->nchannels; i++)
			if (s->files[i].revents && drain(s, i))
				return EXIT_SUCCESS;
		if (remaining_ms(deadline) == 0)
			return EXIT_TIMEOUT;
	}
	return EXIT_FAILURE;
}

int cmd_sub(int argc, char **argv)
{
	struct sub s = { .count = -1, .timeout_ms = -1, .size = 64 << 10 };
	int i, status;

	argp_parse(&sub_argp, argc, argv, 0, NULL, &s);
	s.files = calloc(s.nchannels + 1, sizeof(*s.files));
	s.lost = calloc(s.nchannels, sizeof(*s.lost));
	s.buf = malloc(s.size);
	if (!s.files || !s.lost || !s.buf)
		die("%m");
	for (i = 0; i < s.nchannels; i++) {
		s.files[i].fd = open_events(s.channels[i], s.type, O_RDONLY);
		s.files[i].events = POLLIN;
		if (*s.attrs.lines)
			set_attrs(&s, i);
	}
	s.files[i].fd = STDOUT_FILENO;

	status = receive(&s);
	for (i = 0; i < s.nchannels; i++)
		if (s.files[i].fd >= 0)
			close(s.files[i].fd);
	free(s.files);
	free(s.lost);
	free(s.buf);
	return status;
}
