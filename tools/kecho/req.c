// SPDX-License-Identifier: GPL-2.0
/* kecho req: asks the servers of a channel, and prints the first answer. */
#include "kecho.h"
#include "lb.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 1000

struct req {
	const char *channel;
	char *data;
	size_t len;
	struct lb_channel ch;
	struct lb_asker asker;	/* is state->req's */
	struct lb_ask ask;
	bool here;
	bool kernel;
	bool verbose;
	bool over;
	int status;
};

static const struct argp_option req_options[] = {
	{ NULL, 'n', "N", 0, "ask the N servers with the least load; 1 unless the channel's filter says otherwise", 0 },
	{ "wait", 'w', "SECONDS", 0, "ask other hosts, or more of them, when none has begun by then (1); 0: ask other hosts at once", 0 },
	{ "timeout", 'W', "SECONDS", 0, "give up after SECONDS, with exit status 124 (30); 0: never", 0 },
	{ "once", 'o', NULL, 0, "it must not be done twice: only begun where this command says so, and not tried again once begun", 0 },
	{ "cancel", 'c', NULL, 0, "a server that begins tells the others to stop", 0 },
	{ "verbose", 'v', NULL, 0, "say on standard error who answered, and after how long", 0 },
	{ 0 }
};

static error_t parse_req_opt(int key, char *arg, struct argp_state *state)
{
	struct req *r = state->input;

	switch (key) {
	case 'n':
		r->ask.n = parse_number(state, "-n", arg, 1, LB_HOLDERS);
		return 0;
	case 'w':
		r->ask.wait_ms = parse_seconds(state, arg);
		r->here = r->ask.wait_ms;
		return 0;
	case 'W':
		r->ask.timeout_ms = parse_seconds(state, arg);
		if (!r->ask.timeout_ms)
			r->ask.timeout_ms = LB_NEVER;
		return 0;
	case 'o':
		r->ask.once = true;
		return 0;
	case 'c':
		r->ask.cancel = true;
		return 0;
	case 'v':
		r->verbose = true;
		return 0;
	case ARGP_KEY_ARGS:
		r->channel = state->argv[state->next];
		if (state->next + 1 < state->argc) {
			r->data = concat("", state->argv + state->next + 1, state->argc - state->next - 1, ' ');
			r->len = strlen(r->data);
			r->data[r->len - 1] = '\n';
		}
		return 0;
	case ARGP_KEY_END:
		if (!r->channel)
			argp_error(state, "which CHANNEL?");
		if (r->ask.once && r->ask.cancel)
			argp_error(state, "--once and --cancel exclude each other");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp req_argp = {
	req_options, parse_req_opt, "CHANNEL [DATA...]",
	"Ask the servers of a channel (kecho serve) and print the first answer. DATA are one line; without them the request is read from "
	"standard input. "
	"The exit status is that of the server's command.",
	NULL, NULL, NULL
};

static void send(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct req *r = (struct req *)((char *)asker - offsetof(struct req, asker));
	struct lb_msg m = *msg;

	if (m.type == LB_ASK || m.type == LB_REQUEST) {
		m.data = r->data;
		m.len = r->len;
	}
	lb_publish(&r->ch, &m);
}

static void finish(struct req *r, const struct lb_msg *msg)
{
	r->over = true;
	if (msg->type == LB_FAILED) {
		errno = msg->status;
		if (msg->status == ETIMEDOUT)
			warning("%s: no answer in time%s", r->channel,
				r->ask.nholders || r->kernel ? "" : ": has any host a server? `kecho members` shows serves=");
		else if (msg->status == EIO)
			warning("%s: the server was lost after it was told to begin: it may have been done, or half", r->channel);
		else
			warning("%s: kecho_lb does not take it: %m", r->channel);
		r->status = msg->status == ETIMEDOUT ? EXIT_TIMEOUT : EXIT_FAILURE;
		return;
	}
	fwrite(msg->data, 1, msg->len, stdout);
	r->status = msg->status;
	if (msg->status < 0) {
		errno = -msg->status;
		if (errno == ECANCELED)
			warning("%s: the server was ended after it had begun: it may have been done, or half", r->channel);
		else
			warning("%s: the server could not answer: %m", r->channel);
		r->status = EXIT_FAILURE;
	}
	if (r->verbose)
		warning("%s: answered by node %016llx%s", r->channel, (unsigned long long)msg->node, msg->local ? ", this one" : "");
}

static void done(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	finish((struct req *)((char *)asker - offsetof(struct req, asker)), msg);
}

static const struct lb_asker_ops ops = { send, done };

static void take(const struct lb_msg *msg, void *arg)
{
	struct req *r = arg;

	if (r->over)
		return;
	if (!r->kernel)
		lb_asker_event(&r->asker, msg, lb_now_ms());
	else if (msg->id == r->ask.id && (msg->type == LB_ANSWER || (msg->type == LB_FAILED && msg->local)))
		finish(r, msg);
}

/* Where kecho_lb is, it does what the asker here would, on behalf of all; it is told when nobody waits any more. */
static uint64_t ask_kernel(struct req *r, uint64_t now, bool begin)
{
	struct lb_msg msg = { .type = LB_ASK, .id = r->ask.id, .n = r->ask.n, .once = r->ask.once, .cancel = r->ask.cancel };
	struct lb_msg late = { .type = LB_FAILED, .id = r->ask.id, .status = ETIMEDOUT };

	if (begin) {
		msg.data = r->data;
		msg.len = r->len;
		lb_publish(&r->ch, &msg);
		r->ask.over_ms = r->ask.timeout_ms == LB_NEVER ? LB_NEVER : now + r->ask.timeout_ms;
	} else if (now >= r->ask.over_ms) {
		msg.type = LB_STOP;
		lb_publish(&r->ch, &msg);
		finish(r, &late);
	}
	return r->ask.over_ms;
}

static bool kernel_forwards(struct req *r)
{
	char by[8];

	return kecho_attr_get(r->ch.request, "lb", by, sizeof(by)) > 0 && !strcmp(by, "kernel");
}

/* Whether a server is on this host: members lists its subscriptions below the first line. */
static bool served_here(const char *channel)
{
	char *text = read_file(channel, "members"), *line = strchr(text, '\n');
	bool found = false;

	while (line && line[1] == ' ' && !found) {
		char *next = strchr(line + 1, '\n'), *serves = strstr(line + 1, "\tserves=");

		found = serves && serves < next;
		line = next;
	}
	free(text);
	return found;
}

int cmd_req(int argc, char **argv)
{
	struct req r = { .asker.ops = &ops, .ask.timeout_ms = 30000, .ask.wait_ms = WAIT_MS, .here = true };
	struct pollfd fd = { .events = POLLIN };
	uint64_t now, next;

	argp_parse(&req_argp, argc, argv, 0, NULL, &r);
	check_channel(r.channel);
	if (!r.data)
		r.data = read_all(STDIN_FILENO, "standard input", &r.len);
	lb_open(&r.ch, r.channel, false);
	fd.fd = kecho_fd(r.ch.answers);
	r.ask.id = lb_random();
	if (!r.here)
		r.ask.wait_ms = WAIT_MS;
	else if (served_here(r.channel))
		r.ask.here_ms = r.ask.wait_ms;
	r.kernel = r.here && kernel_forwards(&r);
	if (r.kernel)
		ask_kernel(&r, lb_now_ms(), true);
	else
		lb_ask(&r.asker, &r.ask, false, lb_now_ms());
	while (!r.over) {
		while (lb_receive(r.ch.answers, r.channel, take, &r))
			;
		if (r.over)
			break;
		now = lb_now_ms();
		next = r.kernel ? ask_kernel(&r, now, false) : lb_asker_tick(&r.asker, now);
		if (!r.over && poll(&fd, 1, next == LB_NEVER ? -1 : next - now > INT_MAX ? INT_MAX : (int)(next - now)) < 0 && errno != EINTR)
			die("poll: %m");
	}
	lb_channel_close(&r.ch);
	free(r.data);
	return r.status;
}
