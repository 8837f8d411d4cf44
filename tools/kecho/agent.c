// SPDX-License-Identifier: GPL-2.0
/* kecho agent-check: tells HAProxy, by its agent-check, how much this host can take. */
#include "kecho.h"
#include "../listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS	64	/* further ones end the oldest */

static struct {
	const char *listen;
	const char *channel;
	const char *attr;
	double full;
} args = { "127.0.0.1:7327", "load", "load", 0 };

static const struct argp_option agent_options[] = {
	{ "listen", 'l', "ADDRESS:PORT", 0, "where to listen (127.0.0.1:7327)", 0 },
	{ "channel", 'c', "CHANNEL", 0, "where this host tells its load (load)", 0 },
	{ "attr", 'a', "NAME", 0, "the attribute (load)", 0 },
	{ "full", 'f', "VALUE", 0, "of a host that can take nothing more; by default how many processors it has", 0 },
	{ 0 }
};

static error_t parse_opt(int key, char *arg, struct argp_state *state)
{
	char *end;

	switch (key) {
	case 'l':
		args.listen = arg;
		return 0;
	case 'c':
		args.channel = arg;
		return 0;
	case 'a':
		args.attr = arg;
		return 0;
	case 'f':
		args.full = strtod(arg, &end);
		if (end == arg || *end || !(args.full > 0 && args.full < 1e18))
			argp_error(state, "a load is a number above 0, not '%s'", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* This host's attributes; NULL: it is not on the channel, or no node runs. Unlike the other commands this one outlives nodes. */
static json_t *attributes(void)
{
	char path[4096], text[16384];
	ssize_t n, len = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/attrs", node_dir(), args.channel);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	if (n < 0)
		return NULL;
	text[len] = '\0';
	return parse_pairs(text, true);
}

/* In HAProxy up ends down, and ready ends drain. A host whose load is not known keeps the weight that it has. */
static void verdict(char *line, size_t size)
{
	json_t *attrs = attributes(), *load = json_object_get(attrs, args.attr);
	double weight;

	if (json_integer_value(json_object_get(attrs, "down"))) {
		snprintf(line, size, "down\n");
	} else if (!attrs || json_integer_value(json_object_get(attrs, "drain"))) {
		snprintf(line, size, "drain\n");
	} else if (!json_is_number(load)) {
		snprintf(line, size, "up ready\n");
	} else {
		weight = 100 * (1 - json_number_value(load) / args.full);
		snprintf(line, size, "up ready %d%%\n", weight > 100 ? 100 : weight < 1 ? 1 : (int)(weight + 0.5));
	}
	json_decref(attrs);
}

/* Whoever sends something, as agent-send does, would lose the line by a close at once. Returns false once the other one has closed. */
static bool lingers(int fd)
{
	char buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

int cmd_agent(int argc, char **argv)
{
	static const struct argp argp = { agent_options, parse_opt, "",
		"Answer HAProxy's agent-check: a line for each connection, up ready and a weight by this host's load, "
		"drain if it has the attribute drain=1 or has left the channel, down if it has the attribute down=1.",
		NULL, NULL, NULL };
	struct pollfd fds[1 + CONNECTIONS];
	unsigned int oldest = 0;
	int i, fd;
	const char *why;
	char line[32];

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	check_channel(args.channel);
	if (!args.full)
		args.full = sysconf(_SC_NPROCESSORS_ONLN);
	for (i = 0; i <= CONNECTIONS; i++)
		fds[i] = (struct pollfd) { -1, POLLIN, 0 };
	fds[0].fd = listen_at(args.listen, &why);
	if (fds[0].fd < 0)
		die("%s: %s", args.listen, why);

	for (;;) {
		if (poll(fds, 1 + CONNECTIONS, -1) < 0 && errno != EINTR)
			die("poll: %m");
		for (i = 1; i <= CONNECTIONS; i++)
			if (fds[i].fd >= 0 && fds[i].revents && !lingers(fds[i].fd)) {
				close(fds[i].fd);
				fds[i].fd = -1;
			}
		while ((fd = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			verdict(line, sizeof(line));
			if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 || shutdown(fd, SHUT_WR)) {
				close(fd);
				continue;
			}
			i = 1 + oldest++ % CONNECTIONS;
			if (fds[i].fd >= 0)
				close(fds[i].fd);
			fds[i].fd = fd;
			fds[i].revents = 0;
		}
		if (errno == EMFILE || errno == ENFILE)
			die("accept: %m");
	}
}
