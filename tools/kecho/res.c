// SPDX-License-Identifier: GPL-2.0
/* kecho res: resources and leases on them. What its subcommands share, and offer. */
#include "resources.h"
#include "../chain.h"
#include "../now.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

/* Of one resource, at a time. */
#define LEASES	1024

/* --- shared --- */

uint64_t res_now(void)
{
	return now_ns(CLOCK_BOOTTIME);
}

uint64_t res_random(void)
{
	uint64_t n;

	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		die("getrandom: %m");
	return n;
}

void res_open(struct res *r, const char *channel)
{
	static const char *const reply[] = { "out reply", NULL };
	struct kecho_options options = { .dir = node_dir() };
	char path[KECHO_NAME_MAX + sizeof("/events")];
	sigset_t set;

	node_fd();	/* says what is wrong with it */
	r->channel = channel;
	r->port.channel = kecho_open_with(channel, KECHO_CREATE, &options);
	if (!r->port.channel)
		die_file(channel, "events");
	snprintf(path, sizeof(path), "%s/events", channel);
	if (faccessat(node_fd(), path, W_OK, AT_EACCESS))
		die_file(channel, "events");
	chain_fill(node_dir(), channel, reply);
	r->sub = kecho_subscribe(r->port.channel, NULL, NULL, NULL);
	if (!r->sub)
		die_file(channel, "events");
	r->fd = kecho_fd(r->sub);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->fd < 0 || r->signals < 0)
		die("%s: %m", channel);
}

void res_close(struct res *r)
{
	kecho_unsubscribe(r->sub);
	kecho_close(r->port.channel);
	close(r->signals);
}

/* What cannot be sent is as what is lost on the way. */
void res_send(const struct res_msg *msg, void *r)
{
	res_publish(&((struct res *)r)->port, msg);
}

int res_each(struct res *r, void (*take)(void *arg, const struct res_msg *msg), void *arg)
{
	struct kecho_event event;
	struct res_msg msg;
	int n;

	while ((n = kecho_poll(r->sub, &event, 0)) > 0) {
		if (res_receive(&event, &msg))
			take(arg, &msg);
		kecho_event_put(r->sub, &event);
	}
	return n == -EINTR || n == -ENOMEM ? 0 : n;
}

_Noreturn void res_gone(const struct res *r)
{
	die("channel %s is gone", r->channel);
}

int res_wait(struct res *r, int *other, uint64_t until)
{
	struct pollfd fds[] = { { .fd = r->fd, .events = POLLIN }, { .fd = r->signals, .events = POLLIN },
				{ .fd = other ? *other : -1, .events = POLLIN } };
	uint64_t now = res_now(), ms = until > now ? (until - now + RES_MS - 1) / RES_MS : 0;
	struct signalfd_siginfo info;

	if (poll(fds, 3, until == RES_NEVER ? -1 : ms > 60000 ? 60000 : (int)ms) < 0 && errno != EINTR)
		die("poll: %m");
	if (other && !fds[2].revents)
		*other = -1;
	return fds[1].revents && read(r->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

json_t *res_nodes(const struct res *r)
{
	static const struct column columns[] = { { "id", TEXT }, { "node", TEXT }, { 0 } };
	char *text = read_file(r->channel, "members");
	json_t *rows = parse_lines(text, columns, false), *nodes = json_object(), *row;
	const char *id;
	size_t i;

	json_array_foreach(rows, i, row) {
		id = json_string_value(json_object_get(row, "id"));
		if (id)
			json_object_set(nodes, id, json_object_get(row, "node"));
	}
	json_decref(rows);
	free(text);
	return nodes;
}

/* Valid until the next call. A node that is not on the channel any more has only its id. */
const char *res_node_name(json_t *nodes, uint64_t id)
{
	static char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return json_string_value(json_object_get(nodes, text)) ?: text;
}

/* NAME=AMOUNT; @amount is left as it is if there is none. */
void res_parse_amount(struct argp_state *state, const char *arg, char **name, uint32_t *amount)
{
	const char *equals = strchr(arg, '=');

	*name = equals ? strndup(arg, equals - arg) : strdup(arg);
	if (!*name)
		die("%m");
	if (!name_valid(*name))
		argp_error(state, "'%s' is no name of a resource: 1 to 64 of A-Z a-z 0-9 . _ -, not starting with a dot", *name);
	if (equals)
		*amount = parse_number(state, "an amount", equals + 1, 1, UINT32_MAX);
}

uint32_t res_parse_ttl(struct argp_state *state, const char *arg)
{
	int64_t ms = parse_seconds(state, arg);

	if (ms < RES_TTL_MIN || ms > RES_TTL_MAX)
		argp_error(state, "a lease's time is 0.1 to 3600 seconds, not '%s'", arg);
	return ms;
}

/* --- offer --- */

struct offer {
	struct res res;
	const char *channel;
	struct res_manager *managers;
	int n;
	bool fresh, leaving;
	uint32_t ttl;
	char attrs[RES_MORE_MAX];
};

static const struct argp_option offer_options[] = {
	{ "channel", 'c', "CHANNEL", 0, "the channel (" RES_CHANNEL ")", 0 },
	{ "attr", 'a', "NAME=VALUE", 0, "say this in offers; may be repeated", 0 },
	{ "ttl", 't', "SECONDS", 0, "no lease is for longer without being renewed (10)", 0 },
	{ "new", 'n', NULL, 0, "nobody uses the resources: grant at once, not only after SECONDS", 0 },
	{ 0 }
};

/* In units of one processor, and of MiB; 0: cannot be measured. */
static uint32_t measure(const char *name)
{
	unsigned long long kib = 0;
	struct statvfs st;
	char line[128];
	FILE *f;

	if (!strcmp(name, "cpu"))
		return sysconf(_SC_NPROCESSORS_ONLN);
	if (!strcmp(name, "disk"))
		return statvfs("/", &st) ? 0 : (uint64_t)st.f_bavail * st.f_frsize >> 20;
	if (strcmp(name, "memory"))
		return 0;
	f = fopen("/proc/meminfo", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib >> 10;
}

static void add_manager(struct offer *o, struct argp_state *state, const char *arg)
{
	struct res_manager *m;
	uint32_t amount = 0;
	char *name;

	res_parse_amount(state, arg, &name, &amount);
	if (!amount)
		amount = measure(name);
	if (!amount)
		argp_error(state, "how much of '%s' is there? %s=AMOUNT; only cpu, memory and disk are measured", name, name);
	o->managers = realloc(o->managers, (o->n + 1) * sizeof(*m));
	if (!o->managers)
		die("%m");
	m = &o->managers[o->n++];
	*m = (struct res_manager) {
		.id = res_random(), .name = name, .amount = amount, .attrs = o->attrs, .max = LEASES, .send = res_send, .arg = &o->res,
		.leases = calloc(LEASES, sizeof(*m->leases)),
	};
	if (!m->leases)
		die("%m");
}

static void add_attr(struct offer *o, struct argp_state *state, const char *attr)
{
	size_t used = strlen(o->attrs), room = sizeof(o->attrs) - used;
	char list[RES_TEXT_MAX];

	if (!assignment_valid(attr))
		argp_error(state, "'%s' is no attribute: write NAME=VALUE", attr);
	if ((size_t)snprintf(o->attrs + used, room, "%s\n", attr) >= room)
		argp_error(state, "the attributes are too many");
	if (kecho_attr_encode(o->attrs, list, sizeof(list)) < 0)
		argp_error(state, "'%s': names are 1 to 64 of A-Z a-z 0-9 . _ -, values up to 255 bytes without control characters", attr);
}

static error_t parse_offer_opt(int key, char *arg, struct argp_state *state)
{
	struct offer *o = state->input;

	switch (key) {
	case 'c':
		check_channel(arg);
		o->channel = arg;
		return 0;
	case 'a':
		add_attr(o, state, arg);
		return 0;
	case 't':
		o->ttl = res_parse_ttl(state, arg);
		return 0;
	case 'n':
		o->fresh = true;
		return 0;
	case ARGP_KEY_ARG:
		add_manager(o, state, arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which resources? NAME=AMOUNT...");
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp offer_argp = {
	offer_options, parse_offer_opt, "NAME[=AMOUNT]...",
	"Offer resources of this host, until SIGTERM or SIGINT; then those who have leases are told to release them, and waited for. A "
	"second signal ends it at once. The amounts of cpu (processors), memory and disk (MiB) are measured if they are not given.",
	NULL, NULL, NULL
};

/* A name that only one process of this host can have: two managers would give away the same twice. */
static void lock(const struct offer *o, const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char *members = read_file(o->channel, "members"), *text;
	uint64_t hash = 0xcbf29ce484222325;
	const char *p;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), n;

	if (asprintf(&text, "%s/%s", o->channel, name) < 0)
		die("%m");
	for (p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "kecho-res-%.16s-%016" PRIx64, members + strlen("id="), hash);
	if (bind(fd, (struct sockaddr *)&addr, offsetof(struct sockaddr_un, sun_path) + 1 + n))
		die(errno == EADDRINUSE ? "%s is offered by another process of this host: `kecho res ls` shows it" : "%s: %m", name);
	free(text);
	free(members);
}

static void offer_take(void *arg, const struct res_msg *msg)
{
	struct offer *o = arg;
	int i;

	for (i = 0; i < o->n; i++)
		res_manager_recv(&o->managers[i], msg, res_now());
}

static uint64_t offer_run(struct offer *o)
{
	uint64_t next = RES_NEVER, when;
	int i;

	for (i = 0; i < o->n; i++) {
		when = res_manager_run(&o->managers[i], res_now());
		next = when < next ? when : next;
	}
	return next;
}

static bool offer_idle(const struct offer *o)
{
	int i;

	for (i = 0; i < o->n; i++)
		if (o->managers[i].used)
			return false;
	return true;
}

int res_offer(int argc, char **argv)
{
	struct offer o = { .channel = RES_CHANNEL, .ttl = RES_TTL };
	uint64_t next;
	int i, sig;

	argp_parse(&offer_argp, argc, argv, 0, NULL, &o);
	res_open(&o.res, o.channel);
	for (i = 0; i < o.n; i++) {
		lock(&o, o.managers[i].name);
		o.managers[i].ttl = o.ttl;
		res_manager_start(&o.managers[i], o.fresh, res_now());
		printf("%s=%" PRIu32 "\n", o.managers[i].name, o.managers[i].amount);
	}
	fflush(stdout);
	for (;;) {
		next = offer_run(&o);
		if (o.leaving && offer_idle(&o))
			break;
		sig = res_wait(&o.res, NULL, next);
		if (res_each(&o.res, offer_take, &o) < 0)
			res_gone(&o.res);
		if (!sig || sig == SIGCHLD)
			continue;
		if (o.leaving)
			break;
		o.leaving = true;
		for (i = 0; i < o.n; i++)
			res_manager_leave(&o.managers[i], res_now());
	}
	kecho_flush(o.res.port.channel, 100);
	res_close(&o.res);
	for (i = 0; i < o.n; i++) {
		free(o.managers[i].leases);
		free((char *)o.managers[i].name);
	}
	free(o.managers);
	return EXIT_SUCCESS;
}

/* --- the command --- */

static const struct {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "offer", "[OPTIONS] NAME[=AMOUNT]...", "offer resources of this host", res_offer },
	{ "request", "[OPTIONS] NAME=AMOUNT [-- COMMAND...]", "get a lease, and hold it", res_request },
	{ "release", "[OPTIONS] ID", "have the holder of a lease release it", res_release },
	{ "ls", "[OPTIONS]", "list resources and leases", res_ls },
};

int cmd_res(int argc, char **argv)
{
	char name[32];
	bool help = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?"));
	FILE *to = help ? stdout : stderr;
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
		if (strcmp(argv[1], subcommands[i].name))
			continue;
		snprintf(name, sizeof(name), "kecho res %s", subcommands[i].name);
		argv[1] = name;
		return subcommands[i].run(argc - 1, argv + 1);
	}
	fputs("Usage: kecho res COMMAND [ARGUMENTS]\n\n", to);
	for (i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		fprintf(to, "  %-7s %-38s %s\n", subcommands[i].name, subcommands[i].args, subcommands[i].help);
	fputs("\n`kecho res COMMAND --help` explains a command, kecho-res(7) all of them.\n", to);
	return help ? EXIT_SUCCESS : EXIT_USAGE;
}
