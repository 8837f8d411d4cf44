// SPDX-License-Identifier: GPL-2.0
/* A pipe: one write an event, or a batch of them. */
#include "bench.h"

#include <fcntl.h>
#include <errno.h>
#include <unistd.h>

#define BATCH	64

static int fds[2];
static struct payload buf[BATCH];
static unsigned int batch, filled, taken;

static void prepare(const struct entry *e)
{
	batch = e->batch ? e->batch : 1;
	if (pipe2(fds, O_CLOEXEC))
		die("pipe: %m");
}

static void open_end(const struct entry *e, enum end end)
{
	(void)e;
	if (end == SPINS && fcntl(fds[0], F_SETFL, O_NONBLOCK))
		die("pipe: %m");
}

static void send(const struct payload *p, bool more)
{
	ssize_t size;

	buf[filled++] = *p;
	if (more && filled < batch)
		return;
	size = filled * sizeof(*p);
	filled = 0;
	if (write(fds[1], buf, size) != size)
		die("pipe: %m");
}

/* Whole ones: what is written and read is of their size. */
static const struct payload *receive(void)
{
	ssize_t n;

	if (taken == filled) {
		n = read(fds[0], buf, batch * sizeof(*buf));
		if (n < 0 && errno == EAGAIN)
			return NULL;
		if (n <= 0 || n % sizeof(*buf))
			die("pipe: %m");
		filled = n / sizeof(*buf);
		taken = 0;
	}
	return &buf[taken++];
}

static void tidy(void)
{
	close(fds[0]);
	close(fds[1]);
}

const struct subject pipe_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.tidy = tidy,
};
