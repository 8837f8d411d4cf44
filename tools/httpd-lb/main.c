// SPDX-License-Identifier: GPL-2.0
/*
 * kecho-httpd-lb: in front of a web server, and beside others of its kind on other hosts: asks its own server, and by the channel the others
 * when that has no room or is slow. Here: the command line, the loop, and the messages between who asks and who serves.
 */
#include "httpd.h"
#include "../chain.h"
#include "../listen.h"
#include "../name.h"
#include "../now.h"
#include "../random.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <kecho/version.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/*
 * The load is said no more often than each tenth of the time that a request may wait, within these: who chooses by an older one meets with
 * others who do the same, and to say it to all costs more than a request.
 */
#define LOAD_MIN_MS	5
#define LOAD_MAX_MS	200
#define JOIN_MS		1000	/* between attempts to come back to the channel */

const char *argp_program_version = "kecho-httpd-lb " KECHO_VERSION;

struct options options = { .n = 1, .slots = 8, .queue = 16, .others = 64, .wait_ms = 500, .timeout_ms = 30000, .served_by = true };
char node_name[512];
__u32 max_event;

/* What stays in this process. It waits until neither of the two state machines is at work. */
struct letter {
	struct letter *next;
	struct lb_msg msg;
	char data[];
};

static struct letter *letters, **last_letter = &letters;

static struct lb_channel channel;
static bool joined;
static __u64 join_ms;
static struct lb_said said;

void fail(const char *fmt, ...)
{
	int err = errno;
	va_list args;

	fputs("kecho-httpd-lb: ", stderr);
	errno = err;	/* of %m */
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

__u64 now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

__u64 number_of_its_own(void)
{
	__u64 n = random_id();

	if (!n)
		fail("no random number: %m");
	return n;
}

/* --- messages --- */

static void post(const struct lb_msg *msg)
{
	struct letter *l = malloc(sizeof(*l) + msg->len);

	if (!l)
		fail("%m");
	l->next = NULL;
	l->msg = *msg;
	l->msg.local = true;
	l->msg.data = l->data;
	if (msg->len)
		memcpy(l->data, msg->data, msg->len);
	*last_letter = l;
	last_letter = &l->next;
}

static void deliver(void)
{
	struct letter *l;

	while ((l = letters)) {
		letters = l->next;
		if (!letters)
			last_letter = &letters;
		lb_server_event(&server, &l->msg, now_ms());
		lb_asker_event(&asker, &l->msg, now_ms());
		free(l);
	}
}

/* What is lost here is noticed as what is lost on the way would be; to wait for room would make all wait who are served without. */
static void publish(const struct lb_msg *msg)
{
	if (joined)
		lb_channel_send(&channel, msg, KECHO_NOWAIT);
}

/* The node 0 is this process: no node has that id. */
void server_send(struct lb_server *server, const struct lb_msg *msg)
{
	(void)server;
	if (msg->node)
		publish(msg);
	else
		post(msg);
}

void asker_send(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct lb_msg full = *msg;

	(void)asker;
	if (msg->type <= LB_REQUEST)
		full.data = front_data(ask, &full.len);
	if (msg->type == LB_REQUEST || msg->node)
		publish(&full);
	else
		post(&full);
}

/* --- the node and the channel --- */

static const char *mount(void)
{
	const char *dir = getenv("KECHO_DIR");

	return dir && *dir ? dir : "/kecho";
}

static int join(void)
{
	int err = lb_channel_open(&channel, options.channel, true, NULL, NULL), fd;

	if (err)
		return err;
	fd = kecho_fd(channel.serves);
	if (fd >= 0)
		fd = kecho_fd(channel.answers);
	if (fd < 0) {
		lb_channel_close(&channel);
		return fd;
	}
	chain_fill_lb(mount(), options.channel);
	joined = true;
	said.at_ms = 0;
	return 0;
}

/* Returns false: the node has gone. */
static bool receive(struct kecho_sub *sub)
{
	struct kecho_event event;
	struct lb_msg msg;
	int n;

	while ((n = kecho_poll(sub, &event, 0)) > 0) {
		if (lb_decode(&event, &msg)) {
			/* Who has asked stops the others: servers do not tell each other. */
			msg.cancel = false;
			lb_server_event(&server, &msg, now_ms());
			lb_asker_event(&asker, &msg, now_ms());
		}
		kecho_event_put(sub, &event);
	}
	return !n || n == -ENOMEM || n == -EINTR;
}

/* Without its node the web server still is of use. */
static void channel_run(void)
{
	if (!joined && now_ms() >= join_ms) {
		join();
		join_ms = now_ms() + JOIN_MS;
	}
	if (joined && (!receive(channel.serves) || !receive(channel.answers))) {
		fprintf(stderr, "kecho-httpd-lb: the node has gone: nothing is forwarded\n");
		lb_channel_close(&channel);
		joined = false;
		join_ms = now_ms() + JOIN_MS;
	}
}

/* A server that is not reached, or ends, says no load: the filter least leaves it out. Returns when to come again. */
static __u64 tell_load(void)
{
	static bool out;
	__u64 down = back_down(), every = options.wait_ms / 10, now = now_ms(), due = 0;
	bool now_out = server.closed || down;

	every = every < LOAD_MIN_MS ? LOAD_MIN_MS : every > LOAD_MAX_MS ? LOAD_MAX_MS : every;
	if (out == now_out)
		due = lb_load_due(&said, &server, every);
	if (!joined || due == LB_NEVER)
		return down ? down : LB_NEVER;
	if (now < due)
		return due;
	out = now_out;
	if (out)
		kecho_sub_attr_set(channel.serves, "load=\n");
	else
		lb_channel_load(&channel, &server);
	said = (struct lb_said){ server.busy, server.queued, now };
	return down ? down : LB_NEVER;
}

static void read_config(void)
{
	char path[PATH_MAX], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/.node/config", mount());
	f = fopen(path, "r");
	if (!f)
		fail("%s: %m: no node runs there", path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "name=", 5))
			snprintf(node_name, sizeof(node_name), "%s", line + 5);
		else if (!strncmp(line, "max_event=", 10))
			max_event = strtoul(line + 10, NULL, 10);
	}
	fclose(f);
	if (!max_event)
		fail("%s does not say max_event", path);
}

/* --- the command line --- */

static __u64 number(struct argp_state *state, const char *what, const char *arg, double unit, double min, double max)
{
	char *end;
	double d = strtod(arg, &end);

	if (end == arg || *end || !(d >= min && d <= max))
		argp_error(state, "%s: a number from %g to %g, not '%s'", what, min, max, arg);
	return d * unit + 0.5;
}

/* Both channels' names are. */
static bool channel_valid(const char *name)
{
	return name_valid(name) && strlen(name) + strlen(LB_ANSWERS) <= KECHO_NAME_MAX;
}

static bool server_valid(const char *where)
{
	const char *port = strrchr(where, ':');

	return port && port > where && port_valid(port + 1) && strlen(where) <= 256 && !strpbrk(where, "/@?# ");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->channel = arg;
		if (!channel_valid(arg))
			argp_error(state, "'%s' is no name for this channel: 1 to %zu of A-Z a-z 0-9 . _ -, not starting with a dot", arg,
				   KECHO_NAME_MAX - strlen(LB_ANSWERS));
		return 0;
	case 'l':
		o->listen = arg;
		return 0;
	case 'b':
		o->backend = arg;
		if (!server_valid(arg))
			argp_error(state, "a web server is ADDRESS:PORT, the port a number up to 65535, not '%s'", arg);
		return 0;
	case 'n':
		o->n = number(state, "-n", arg, 1, 1, LB_HOLDERS);
		return 0;
	case 's':
		o->slots = number(state, "-s", arg, 1, 1, 4096);
		return 0;
	case 'q':
		o->queue = number(state, "-q", arg, 1, 0, 65536);
		return 0;
	case 'o':
		o->others = number(state, "-o", arg, 1, 0, 65536);
		return 0;
	case 'w':
		o->wait_ms = number(state, "-w", arg, 1000, 0, 3600);
		return 0;
	case 't':
		o->timeout_ms = number(state, "-t", arg, 1000, 0.1, 3600);
		return 0;
	case 'A':
		o->served_by = false;
		return 0;
	case ARGP_KEY_END:
		if (!o->channel || !o->listen || !o->backend)
			argp_error(state, "it needs -c, -l and -b");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option argp_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "by which requests go to other hosts", 0 },
	{ "listen", 'l', "ADDRESS:PORT", 0, "where clients come", 0 },
	{ "backend", 'b', "ADDRESS:PORT", 0, "this host's web server", 0 },
	{ NULL, 'n', "N", 0, "forward to so many hosts at once (1)", 0 },
	{ "wait", 'w', "SECONDS", 0, "forward what has waited so long (0.5)", 0 },
	{ "queue", 'q', "N", 0, "forward when so many wait (16)", 0 },
	{ "others", 'o', "N", 0, "so many that other hosts forward may wait here (64)", 0 },
	{ "slots", 's', "N", 0, "ask the web server so many at once (8)", 0 },
	{ "timeout", 't', "SECONDS", 0, "give up (30)", 0 },
	{ "anonymous", 'A', NULL, 0, "answers do not say who has served them", 0 },
	{ 0 }
};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.doc = "Passes requests to a web server, and to those of other hosts when it has too many.\vSee kecho-httpd-lb(8).",
};

/* --- */

static int signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		fail("signalfd: %m");
	return fd;
}

/* The first one: to the end of what is here. The second one: at once. */
static bool told_to_end(int fd)
{
	static bool told;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (told)
			fail("ended with requests unanswered");
		told = true;
		lb_server_close(&server, false, now_ms());
	}
	return told;
}

static __u64 earlier(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

/* Returns when to come again. */
static __u64 run(void)
{
	__u64 now, next;

	front_run();
	channel_run();
	back_run();
	do {
		deliver();
		now = now_ms();
		next = earlier(lb_asker_tick(&asker, now), lb_server_tick(&server, now));
	} while (letters);
	return next;
}

int main(int argc, char **argv)
{
	struct curl_waitfd fds[4] = { 0 };
	__u64 next, now;
	int i, err, n;
	bool ending;

	argp_err_exit_status = 2;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	read_config();
	server.by = number_of_its_own();
	fds[0].fd = signals();
	back_start();
	err = join();
	if (err)
		fail("%s: %s", options.channel, strerror(-err));
	fds[1].fd = front_start();
	for (i = 0; i < 4; i++)
		fds[i].events = CURL_WAIT_POLLIN;

	for (;;) {
		ending = told_to_end(fds[0].fd);
		next = run();
		/* What is answered, and what takes its place, do not wait until the load has been said. */
		if (front_due() || back_due())
			next = run();
		next = earlier(next, tell_load());
		if (ending && !front_quiet() && !server.jobs)
			break;
		n = 2;
		if (joined) {
			fds[n++].fd = kecho_fd(channel.serves);
			fds[n++].fd = kecho_fd(channel.answers);
		} else {
			next = earlier(next, join_ms);
		}
		now = now_ms();
		back_poll(fds, n, front_timeout(next <= now ? 0 : next - now > 60000 ? 60000 : next - now));
	}
	front_stop();
	if (joined) {
		kecho_flush(channel.answer, 1000);
		lb_channel_close(&channel);
	}
	back_stop();
	return 0;
}
