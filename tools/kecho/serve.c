// SPDX-License-Identifier: GPL-2.0
/* kecho serve: answers the requests of a channel by a command, some at a time. */
#include "kecho.h"
#include "lb.h"
#include "../now.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <kecho/limits.h>

#define SLOTS_MAX	256
#define LOAD_MS		20	/* what filters know of the load is at most so old, or off by little */

/* A request that is here; what runs has a process and three descriptors, and @pid is 0 if that could not be. */
struct work {
	struct lb_job job;	/* first */
	struct work *next;	/* of those that run */
	size_t len, written;
	char *answer;
	size_t got, room;
	pid_t pid;
	int in, out, process;
	char data[];
};

struct serve {
	const char *channel;
	char **command;
	long slots;
	long queue;
	struct lb_channel ch;
	struct lb_server server;
	struct work *running;
	struct lb_said said;
};

static volatile sig_atomic_t stopping;
static const struct serve *at_exit;	/* whose commands are not to be left behind */

static const struct argp_option serve_options[] = {
	{ "jobs", 'j', "N", 0, "so many requests at once; 1 per processor unless given", 0 },
	{ "queue", 'q', "N", 0, "so many wait, further ones are declined (64)", 0 },
	{ 0 }
};

static error_t parse_serve_opt(int key, char *arg, struct argp_state *state)
{
	struct serve *s = state->input;

	switch (key) {
	case 'j':
		s->slots = parse_number(state, "--jobs", arg, 1, SLOTS_MAX);
		return 0;
	case 'q':
		s->queue = parse_number(state, "--queue", arg, 0, 65536);
		return 0;
	case ARGP_KEY_ARGS:
		s->channel = state->argv[state->next];
		s->command = state->argv + state->next + 1;
		return 0;
	case ARGP_KEY_END:
		if (!s->channel || !s->command[0])
			argp_error(state, "which CHANNEL, and which COMMAND?");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp serve_argp = {
	serve_options, parse_serve_opt, "CHANNEL -- COMMAND [ARGUMENT...]",
	"Answer the requests of a channel (kecho req): COMMAND is run for each, with the request as its standard input and the answer as "
	"its standard output. SIGTERM and SIGINT: end when what runs has been answered; the second time at once.",
	NULL, NULL, NULL
};

static struct serve *serve_of(struct lb_server *server)
{
	return (struct serve *)((char *)server - offsetof(struct serve, server));
}

static struct lb_job *take_job(struct lb_server *server, const struct lb_msg *msg)
{
	struct work *w = malloc(sizeof(*w) + msg->len);

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->len = msg->len;
	memcpy(w->data, msg->data, msg->len);
	w->in = w->out = w->process = -1;
	return &w->job;
}

/* In the child: the pipes' ends, an environment that says what it is about, and a process group that can be killed. */
static _Noreturn void child(const struct serve *s, const struct work *w, pid_t parent, int in, int out)
{
	char id[24];
	sigset_t none;

	setpgid(0, 0);
	/* Others do it again if kecho is killed, but not what must not be done twice. */
	if (!w->job.once) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	snprintf(id, sizeof(id), "%016llx", (unsigned long long)w->job.id);
	setenv("KECHO_REQUEST", id, 1);
	setenv("KECHO_CHANNEL", s->channel, 1);
	execvp(s->command[0], s->command);
	warning("%s: %m", s->command[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void start(struct lb_server *server, struct lb_job *job)
{
	struct serve *s = serve_of(server);
	struct work *w = (struct work *)job;
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	pid_t parent = getpid(), pid = -1;

	w->next = s->running;
	s->running = w;
	if (!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC))
		pid = fork();
	if (!pid)
		child(s, w, parent, in[0], out[1]);
	if (pid < 0)
		warning("cannot start %s: %m: others are to do it", s->command[0]);
	close_fd(&in[0]);
	close_fd(&out[1]);
	if (pid < 0) {
		close_fd(&in[1]);
		close_fd(&out[0]);
		return;
	}
	setpgid(pid, pid);	/* whoever is first */
	w->pid = pid;
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	w->in = in[1];
	w->out = out[0];
	w->process = syscall(SYS_pidfd_open, w->pid, 0);
	if (w->process < 0)
		die("cannot watch %s: %m", s->command[0]);
}

static void drop(struct lb_server *server, struct lb_job *job, bool running)
{
	struct serve *s = serve_of(server);
	struct work *w = (struct work *)job, **at = &s->running;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	if (running && w->pid) {
		kill(-w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
	}
	close_fd(&w->in);
	close_fd(&w->out);
	close_fd(&w->process);
	free(w->answer);
	free(w);
}

/* Says the load if it has changed, not too often. Returns when to be called again. */
static uint64_t say_load(struct serve *s, uint64_t now)
{
	uint64_t due = lb_load_due(&s->said, &s->server, LOAD_MS);
	int err;

	if (now < due)
		return due;
	err = lb_channel_load(&s->ch, &s->server);
	if (err) {
		errno = -err;
		die_node("cannot say the load");
	}
	s->said = (struct lb_said){ s->server.busy, s->server.queued, now };
	return LB_NEVER;
}

static void send(struct lb_server *server, const struct lb_msg *msg)
{
	struct lb_channel *c = &serve_of(server)->ch;
	struct lb_msg refused = *msg;
	int err;

	if (msg->type == LB_ANSWER)
		say_load(serve_of(server), lb_now_ms());
	while ((err = lb_channel_send(c, msg, 0)) == -EINTR)
		;
	if (err == -EMSGSIZE && msg->type == LB_ANSWER) {
		refused.status = err;
		refused.len = 0;
		err = lb_channel_send(c, &refused, 0);
	}
	if (err >= 0)
		return;
	errno = -err;
	die_node("cannot publish");
}

static __u64 realtime_ns(struct lb_server *server)
{
	return now_ns(CLOCK_REALTIME);
}

static const struct lb_server_ops ops = { take_job, start, drop, send, realtime_ns };

static void feed(struct work *w)
{
	ssize_t n = write(w->in, w->data + w->written, w->len - w->written);

	if (n > 0)
		w->written += n;
	/* A command need not read what it is asked. */
	if (w->written == w->len || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_fd(&w->in);
}

/* Returns how much there was; if any, there may be more at once. */
static ssize_t collect(struct work *w)
{
	ssize_t n;

	if (w->got == w->room && w->room <= KECHO_EVENT_MAX) {
		w->room = w->room ? 2 * w->room : 4096;
		w->answer = realloc(w->answer, w->room);
		if (!w->answer)
			die("%m");
	}
	/* What is more than any event may have is refused when it is sent. */
	if (w->got == w->room)
		w->got = w->room / 2;
	n = read(w->out, w->answer + w->got, w->room - w->got);
	if (n > 0)
		w->got += n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&w->out);
	return n;
}

/* The command has ended. What it has started and left behind is not waited for, nor read for ever. */
static void finish(struct serve *s, struct work *w)
{
	ssize_t left = w->out < 0 ? 0 : fcntl(w->out, F_GETPIPE_SZ), n;
	int status;

	while (left > 0 && (n = collect(w)) > 0)
		left -= n;
	waitpid(w->pid, &status, 0);
	lb_server_done(&s->server, &w->job, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), w->answer, w->got, lb_now_ms());
}

static void take(const struct lb_msg *msg, void *arg)
{
	struct serve *s = arg;

	lb_server_event(&s->server, msg, lb_now_ms());
}

/* Returns whether there was any. */
static bool give_back(struct serve *s)
{
	struct work *w = s->running;

	while (w && w->pid)
		w = w->next;
	if (w)
		lb_server_give_back(&s->server, &w->job, lb_now_ms());
	return w;
}

/* Waits for something to happen and does what is due. */
static void turn(struct serve *s, const sigset_t *mask)
{
	struct pollfd fds[2 + 3 * SLOTS_MAX];
	uint64_t now = lb_now_ms(), next = lb_server_tick(&s->server, now), load;
	struct work *w, *after;
	struct timespec wait;
	int n = 0;

	while (give_back(s))
		;
	load = say_load(s, now);
	if (load < next)
		next = load;
	wait.tv_sec = next == LB_NEVER ? 0 : (next - now) / 1000;
	wait.tv_nsec = next == LB_NEVER ? 0 : (next - now) % 1000 * 1000000;
	fds[n++] = (struct pollfd){ .fd = kecho_fd(s->ch.answers), .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = kecho_fd(s->ch.serves), .events = POLLIN };
	for (w = s->running; w; w = w->next) {
		fds[n++] = (struct pollfd){ .fd = w->process, .events = POLLIN };
		fds[n++] = (struct pollfd){ .fd = w->in, .events = POLLOUT };
		fds[n++] = (struct pollfd){ .fd = w->out, .events = POLLIN };
	}
	if (ppoll(fds, n, next == LB_NEVER ? NULL : &wait, mask) < 0) {
		if (errno == EINTR)
			return;
		die("poll: %m");
	}
	/* First those that the descriptors are of; what begins now comes before them in the list. */
	n = 2;
	for (w = s->running; w; w = w->next, n += 3) {
		if (fds[n + 1].revents)
			feed(w);
		if (fds[n + 2].revents)
			collect(w);
	}
	for (w = s->running, n = 2; w; w = after, n += 3) {
		after = w->next;
		if (fds[n].revents)
			finish(s, w);
	}
	lb_receive(s->ch.answers, s->channel, take, s);
	lb_receive(s->ch.serves, s->channel, take, s);
}

/* The node has gone, say: nobody gets what they would answer. */
static void kill_commands(void)
{
	struct work *w;

	for (w = at_exit ? at_exit->running : NULL; w; w = w->next)
		if (w->pid && !w->job.once)
			kill(-w->pid, SIGKILL);
}

static void on_signal(int sig)
{
	stopping++;
}

int cmd_serve(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct serve s = { .slots = sysconf(_SC_NPROCESSORS_ONLN), .queue = 64 };
	sigset_t block, mask;

	argp_parse(&serve_argp, argc, argv, 0, NULL, &s);
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, &mask);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);

	lb_open(&s.ch, s.channel, true);
	s.server.ops = &ops;
	s.server.by = lb_random();
	s.server.slots = s.slots < SLOTS_MAX ? s.slots : SLOTS_MAX;
	s.server.others_max = s.server.here_max = s.server.queue_max = s.queue;
	at_exit = &s;
	atexit(kill_commands);
	while (!stopping || (s.server.jobs && stopping == 1)) {
		if (stopping && !s.server.closed)
			lb_server_close(&s.server, false, lb_now_ms());
		turn(&s, &mask);
	}
	lb_server_close(&s.server, true, lb_now_ms());
	at_exit = NULL;
	lb_channel_close(&s.ch);
	return EXIT_SUCCESS;
}
