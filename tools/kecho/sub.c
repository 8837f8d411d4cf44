// SPDX-License-Identifier: GPL-2.0
/* kecho sub: subscribes to channels and prints their events. */
#include "kecho.h"
#include "event.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <kecho/kecho.h>

enum {
	OPT_JSON = 'j',
	OPT_FORMAT = 256,
	OPT_BOOST,
};

/* Read in a row from one channel before the others and the clock have their turn. */
#define BATCH	64

#define BOOST_NICE	-10

struct sub {
	char **channels;
	int nchannels;
	const char *type;
	const char *format;
	char attrs[sizeof(((struct kecho_sink_attrs *)0)->lines)];	/* name=value lines */
	bool json;
	long count;		/* events still wanted; negative: all */
	int64_t timeout_ms;
	unsigned int boost;	/* KECHO_BOOST_* */
	int nice;
	struct pollfd *fds;	/* one a channel, fd < 0: gone; then standard output */
	struct kecho **kechos;
	struct kecho_sub **subs;
	uint64_t *lost;		/* of each channel, as reported so far */
};

static const struct argp_option sub_options[] = {
	{ "count", 'n', "COUNT", 0, "end after COUNT events", 0 },
	{ "timeout", 'W', "SECONDS", 0, "end after SECONDS, with exit status 124", 0 },
	{ "type", 't', "TYPE", 0, "only events of this type, which must be declared here", 0 },
	{ "attr", 'a', "NAME=VALUE", 0,
	  "an attribute of this subscription, for filters to choose by; may be repeated", 0 },
	{ "boost", OPT_BOOST, "NICE|fifo", OPTION_ARG_OPTIONAL,
	  "have the scheduler favour this process while an event waits for it: by a nice value "
	  "(-10 unless given), or by SCHED_FIFO at its lowest priority", 0 },
	{ "json", OPT_JSON, NULL, 0, "print each event as a line of JSON", 0 },
	{ "format", OPT_FORMAT, "FORMAT", 0,
	  "print each event so: %c channel, %s sequence number, %t seconds since 1970, %T time, "
	  "%i id of the publisher, %y type, %r priority, %l length, %p payload, %a attributes, "
	  "%{NAME} value of one of them, %L events lost, %%; \\n \\t \\r \\0 \\\\", 0 },
	{ 0 }
};

static void add_attr(struct sub *s, struct argp_state *state, const char *attr)
{
	size_t used = strlen(s->attrs), room = sizeof(s->attrs) - used;

	if (!assignment_valid(attr))
		argp_error(state, "'%s' is no attribute: write NAME=VALUE", attr);
	if ((size_t)snprintf(s->attrs + used, room, "%s\n", attr) >= room)
		argp_error(state, "the attributes are too many");
}

static void set_boost(struct sub *s, struct argp_state *state, const char *arg)
{
	s->boost = arg && !strcmp(arg, "fifo") ? KECHO_BOOST_FIFO : KECHO_BOOST_NICE;
	s->nice = BOOST_NICE;
	if (arg && s->boost == KECHO_BOOST_NICE)
		s->nice = parse_number(state, "--boost", arg, -20, 19);
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
	case OPT_BOOST:
		set_boost(s, state, arg);
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

static _Noreturn void die_attrs(const struct sub *s, int i, int err)
{
	errno = -err;
	if (errno == EINVAL || errno == E2BIG)
		die("the node refuses the attributes: names are 1 to 64 of A-Z a-z 0-9 . _ -, values "
		    "up to 255 bytes without control characters, 4096 bytes in all");
	if (errno == ENOTTY)
		die("%s: no attributes of subscriptions: is this the mount of a node of version "
		    KECHO_VERSION "?", s->channels[i]);
	die_node(s->channels[i]);
}

static void favour(const struct sub *s, int i)
{
	int err = kecho_sub_boost(s->subs[i], s->boost, s->nice, 0);

	errno = -err;
	if (err == -EPERM)
		die("--boost: this process may not favour itself: it needs CAP_SYS_NICE, or a limit that "
		    "allows it: see `ulimit -%c`", s->boost == KECHO_BOOST_FIFO ? 'r' : 'e');
	if (err == -EOPNOTSUPP)
		die("%s: no --boost: is this the mount of a node of version " KECHO_VERSION "?",
		    s->channels[i]);
	if (err)
		die_node(s->channels[i]);
}

/*
 * By the file: what waits for this reader is then in its queue, which is as long as kecho.queue says. Shared memory would take more, and
 * printing is slower than reading.
 */
static void subscribe(struct sub *s, int i)
{
	char *path;
	int err;

	s->kechos[i] = open_channel(s->channels[i], getenv("KECHO_VIA") ?: "file");
	s->subs[i] = kecho_subscribe(s->kechos[i], s->type, NULL, NULL);
	if (!s->subs[i]) {
		err = errno;
		if (asprintf(&path, "%s%s%s", s->channels[i], s->type ? "/" : "", s->type ?: "") < 0)
			die("%m");
		errno = err;
		die_file(path, "events");
	}
	err = *s->attrs ? kecho_sub_attr_set(s->subs[i], s->attrs) : 0;
	if (err)
		die_attrs(s, i, err);
	if (s->boost)
		favour(s, i);
	s->fds[i].fd = kecho_fd(s->subs[i]);
	if (s->fds[i].fd < 0) {
		errno = -s->fds[i].fd;
		die_node(s->channels[i]);
	}
	s->fds[i].events = POLLIN;
}

/* The next event of channel @i; false: none is there now. */
static bool read_event(struct sub *s, int i, struct kecho_event *event)
{
	int n;

	while ((n = kecho_poll(s->subs[i], event, 0)) == -EINTR)
		;
	if (n >= 0)
		return n;
	if (n == -EPROTO)
		die("%s: the node's events are of another form: are it and kecho of one version?",
		    s->channels[i]);
	errno = -n;
	if (n == -ENODEV)
		warning("channel %s is gone", s->channels[i]);
	else
		warning("%s: %m", s->channels[i]);
	s->fds[i].fd = -1;
	return false;
}

static void print_event(struct sub *s, int i, const struct kecho_event *event)
{
	if (event->lost > s->lost[i]) {
		warning("%s: %llu events lost, this reader was too slow", s->channels[i],
			(unsigned long long)(event->lost - s->lost[i]));
		s->lost[i] = event->lost;
	}
	if (s->json) {
		print_event_json(s->channels[i], event);
	} else if (s->format) {
		print_event_format(s->channels[i], event, s->format);
	} else {
		fwrite(event->data, 1, event->len, stdout);
		putchar('\n');
	}
	if (fflush(stdout))
		die("cannot write the output: %m");
}

/* True: the count is reached. */
static bool drain(struct sub *s, int i)
{
	struct kecho_event event;
	int n;

	for (n = 0; n < BATCH && read_event(s, i, &event); n++) {
		print_event(s, i, &event);
		kecho_event_put(s->subs[i], &event);
		if (s->count > 0 && --s->count == 0)
			return true;
	}
	return false;
}

static bool all_gone(const struct sub *s)
{
	int i;

	for (i = 0; i < s->nchannels; i++)
		if (s->fds[i].fd >= 0)
			return false;
	return true;
}

static int receive(struct sub *s)
{
	int64_t deadline = deadline_in(s->timeout_ms);
	int i, n;

	while (!all_gone(s)) {
		n = poll(s->fds, s->nchannels + 1, remaining_ms(deadline));
		if (n < 0 && errno != EINTR)
			die("poll: %m");
		/* Nobody reads the pipe any more: do not wait for an event to see it. */
		if (n > 0 && s->fds[s->nchannels].revents & (POLLERR | POLLHUP | POLLNVAL)) {
			raise(SIGPIPE);
			return EXIT_FAILURE;
		}
		for (i = 0; n > 0 && i < s->nchannels; i++)
			if (s->fds[i].revents && drain(s, i))
				return EXIT_SUCCESS;
		if (remaining_ms(deadline) == 0)
			return EXIT_TIMEOUT;
	}
	return EXIT_FAILURE;
}

int cmd_sub(int argc, char **argv)
{
	struct sub s = { .count = -1, .timeout_ms = -1 };
	int i, status;

	argp_parse(&sub_argp, argc, argv, 0, NULL, &s);
	s.fds = calloc(s.nchannels + 1, sizeof(*s.fds));
	s.kechos = calloc(s.nchannels, sizeof(*s.kechos));
	s.subs = calloc(s.nchannels, sizeof(*s.subs));
	s.lost = calloc(s.nchannels, sizeof(*s.lost));
	if (!s.fds || !s.kechos || !s.subs || !s.lost)
		die("%m");
	for (i = 0; i < s.nchannels; i++)
		subscribe(&s, i);
	s.fds[i].fd = STDOUT_FILENO;

	status = receive(&s);
	for (i = 0; i < s.nchannels; i++) {
		kecho_unsubscribe(s.subs[i]);
		kecho_close(s.kechos[i]);
	}
	free(s.fds);
	free(s.kechos);
	free(s.subs);
	free(s.lost);
	return status;
}
