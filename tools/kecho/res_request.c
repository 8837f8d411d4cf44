// SPDX-License-Identifier: GPL-2.0
/* kecho res request: gets a lease, and holds it for a command or as long as one likes. */
#include "resources.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
	struct res res;
	const char *channel;
	struct res_asker asker;
	int64_t wait_ms;
	char **command;
	pid_t pid;		/* of the command, whose group is killed with it; 0: it does not run */
	int status;		/* what kecho exits with */
	bool terminal;		/* the command has it */
};

static const struct argp_option request_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "the channel (" RES_CHANNEL ")", 0 },
	{ "best", 'b', "first|least|most:ATTR|least:ATTR", 0,
	  "whose offer is taken: the first one's; that of who has given away the least share of it; or by an attribute of the offers (first)", 0 },
	{ "ttl", 't', "SECONDS", 0, "the lease's time, if it is not renewed; the manager may give less (10)", 0 },
	{ "wait", 'w', "SECONDS", 0, "wait no longer for a lease: exit status 124", 0 },
	{ 0 }
};

static void set_best(struct res_asker *a, struct argp_state *state, const char *arg)
{
	if (!res_asker_best(a, arg))
		argp_error(state, "'%s' is no way to choose: first, least, least:ATTR or most:ATTR", arg);
	if (!name_valid(a->attr))
		argp_error(state, "'%s' is no name of an attribute", a->attr);
}

static error_t parse_request_opt(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;
	char *name;

	switch (key) {
	case 'c':
		check_channel(arg);
		r->channel = arg;
		return 0;
	case 'b':
		set_best(&r->asker, state, arg);
		return 0;
	case 't':
		r->asker.ttl = res_parse_ttl(state, arg);
		return 0;
	case 'w':
		r->wait_ms = parse_seconds(state, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (r->asker.name)
			argp_error(state, "one NAME=AMOUNT, and the command behind --");
		res_parse_amount(state, arg, &name, &r->asker.amount);
		r->asker.name = name;
		if (!r->asker.amount)
			argp_error(state, "how much of '%s'? %s=AMOUNT", name, name);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which resource? NAME=AMOUNT");
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp request_argp = {
	request_options, parse_request_opt, "NAME=AMOUNT [-- COMMAND...]",
	"Get a lease on so much of a resource, and hold it while COMMAND runs, which is killed if the lease is lost. Without COMMAND, "
	"print its id and host and hold it until a signal, or the end of the input if that is a pipe or a terminal.",
	NULL, NULL, NULL
};

static void request_take(void *arg, const struct res_msg *msg)
{
	res_asker_recv(&((struct request *)arg)->asker, msg, res_now());
}

/* --- the command --- */

static _Noreturn void run_command(struct request *r, const char *host)
{
	char text[24];
	sigset_t none;

	setpgid(0, 0);
	if (r->terminal) {
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(STDIN_FILENO, getpid());
		signal(SIGTTOU, SIG_DFL);
	}
	/* If kecho is killed, its lease is as lost. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != r->pid)
		_exit(EXIT_FAILURE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(text, sizeof(text), "%016" PRIx64, (uint64_t)r->asker.id);
	setenv("KECHO_RES_ID", text, 1);
	setenv("KECHO_RES_HOST", host, 1);
	setenv("KECHO_RES_NAME", r->asker.name, 1);
	snprintf(text, sizeof(text), "%" PRIu32, r->asker.amount);
	setenv("KECHO_RES_AMOUNT", text, 1);
	execvp(r->command[0], r->command);
	warning("%s: %m", r->command[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

static void start_command(struct request *r, const char *host)
{
	r->terminal = isatty(STDIN_FILENO);
	r->pid = getpid();	/* whose child it is to be */
	fflush(stdout);
	r->pid = fork() ?: (run_command(r, host), 0);
	if (r->pid < 0)
		die("fork: %m");
	setpgid(r->pid, r->pid);
}

static void reap_command(struct request *r)
{
	int status;

	if (!r->pid || waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	r->pid = 0;
	/* A lease that has been lost is a failure, whatever the command makes of it. */
	if (r->status < 0)
		r->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (r->terminal) {
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(STDIN_FILENO, getpgrp());
	}
}

static void lost(struct request *r)
{
	if (r->status != EXIT_FAILURE)
		warning("the lease %016" PRIx64 " on %s is lost%s", (uint64_t)r->asker.id, r->asker.name,
			r->pid ? ": the command is to end" : "");
	r->status = EXIT_FAILURE;
	if (r->pid)
		kill(-r->pid, SIGTERM);
}

/* --- holding --- */

static bool input_ends(void)
{
	struct stat st;

	return isatty(STDIN_FILENO) || (!fstat(STDIN_FILENO, &st) && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

/* True: it has come to its end. */
static bool read_input(int fd)
{
	char buf[4096];

	return fd >= 0 && read(fd, buf, sizeof(buf)) <= 0;
}

/* So that it is free at once, and not when its time is over. */
static void release(struct request *r)
{
	uint64_t next;

	res_asker_release(&r->asker, res_now());
	for (;;) {
		next = res_asker_run(&r->asker, res_now());
		if (r->asker.state == RES_ENDED)
			break;
		res_wait(&r->res, NULL, next);
		if (res_each(&r->res, request_take, r) < 0)
			break;
	}
	kecho_flush(r->res.port.channel, 100);
}

/* Until there is a lease. Returns a signal that has come instead, or -1: time is up. */
static int get(struct request *r)
{
	int64_t deadline = deadline_in(r->wait_ms);
	uint64_t next, limit;
	int sig;

	res_asker_start(&r->asker, res_now());
	while (r->asker.state != RES_HELD) {
		if (!remaining_ms(deadline))
			return -1;
		/* It was granted and has come to its end before anybody saw it: another one. */
		if (r->asker.state == RES_LOST) {
			release(r);
			r->asker.id = res_random();
			res_asker_start(&r->asker, res_now());
		}
		next = res_asker_run(&r->asker, res_now());
		limit = deadline < 0 ? RES_NEVER : res_now() + remaining_ms(deadline) * RES_MS;
		sig = res_wait(&r->res, NULL, next < limit ? next : limit);
		if (sig && sig != SIGCHLD)
			return sig;
		if (res_each(&r->res, request_take, r) < 0)
			res_gone(&r->res);
	}
	return 0;
}

/* As long as the command runs, or whoever has started this wants it. */
static void hold(struct request *r)
{
	bool input = !r->command && input_ends(), told = false, gone = false;
	struct res_asker *a = &r->asker;
	int sig, fd;

	while (r->command ? r->pid > 0 : r->status < 0) {
		uint64_t next = res_asker_run(a, res_now());

		if (a->state == RES_LOST && !told) {
			lost(r);
			told = true;
			continue;
		}
		if (res_now() >= a->until) {
			if (r->pid)
				kill(-r->pid, SIGKILL);
			next = res_now() + 10 * RES_MS;
		} else if (a->until < next) {
			next = a->until;
		}
		fd = input ? STDIN_FILENO : -1;
		/* A node that has gone is told of again and again. */
		if (gone)
			r->res.fd = -1;
		sig = res_wait(&r->res, &fd, next);
		if (!gone && res_each(&r->res, request_take, r) < 0) {
			gone = true;
			a->state = RES_LOST;
		}
		if (sig == SIGCHLD)
			reap_command(r);
		else if (sig && r->pid)
			kill(-r->pid, sig);
		else if (sig || read_input(fd))
			r->status = EXIT_SUCCESS;
	}
	if (gone)
		die("channel %s is gone", r->channel);
}

int res_request(int argc, char **argv)
{
	struct request r = { .channel = RES_CHANNEL, .wait_ms = -1, .status = -1,
			     .asker = { .id = res_random(), .ttl = RES_TTL, .send = res_send, .arg = &r.res } };
	json_t *nodes;
	const char *host;
	int i, sig;

	for (i = 1; i < argc && !r.command; i++)
		if (!strcmp(argv[i], "--"))
			r.command = argv + i + 1;
	argp_parse(&request_argp, r.command ? i - 1 : argc, argv, 0, NULL, &r);
	if (r.command && !r.command[0])
		die_with(EXIT_USAGE, "which command behind --?");
	res_open(&r.res, r.channel);
	sig = get(&r);
	if (sig) {
		release(&r);
		if (sig < 0)
			die_with(EXIT_TIMEOUT, "nobody has given %" PRIu32 " of %s: `kecho res ls` shows what there is", r.asker.amount, r.asker.name);
		return EXIT_FAILURE;
	}
	nodes = res_nodes(&r.res);
	host = res_node_name(nodes, r.asker.node);
	if (r.command) {
		start_command(&r, host);
	} else {
		printf("%016" PRIx64 "\t%s\n", (uint64_t)r.asker.id, host);
		fflush(stdout);
	}
	hold(&r);
	release(&r);
	res_close(&r.res);
	json_decref(nodes);
	free((char *)r.asker.name);
	return r.status;
}
