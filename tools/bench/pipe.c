// SPDX-License-Identifier: GPL-2.0
/* Pipes, one to each subscriber: one write an event, or a batch of them. */
#include "bench.h"

#include <fcntl.h>
#include <unistd.h>

static int in[SUBSCRIBERS_MAX], out[SUBSCRIBERS_MAX];
static unsigned int n, mine;

static void prepare(const struct entry *e)
{
	int fds[2];

	for (n = 0; n < e->subscribers; n++) {
		if (pipe2(fds, O_CLOEXEC))
			die("pipe: %m");
		out[n] = fds[0];
		in[n] = fds[1];
	}
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	mine = nth;
	fd_open(e, (e->batch ? e->batch : 1) * e->bytes);
	if (end == SPINS && fcntl(out[mine], F_SETFL, O_NONBLOCK))
		die("pipe: %m");
}

static void send(const struct payload *p, bool more)
{
	fd_send(in, n, p, more);
}

static const struct payload *receive(void)
{
	return fd_receive(out[mine]);
}

static void tidy(void)
{
	while (n--) {
		close(in[n]);
		close(out[n]);
	}
}

const struct subject pipe_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.tidy = tidy,
};
