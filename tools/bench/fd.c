// SPDX-License-Identifier: GPL-2.0
/* Events through descriptors, packets or a stream: a write each, or a batch of them. */
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static char buf[2 * BYTES_MAX] __attribute__((aligned(4096)));
static size_t bytes, batch, asked, filled, taken;

void fd_open(const struct entry *e, size_t reads)
{
	bytes = e->bytes;
	batch = e->batch ? e->batch * bytes : bytes;
	asked = reads;
}

static void write_all(int fd)
{
	size_t done;
	ssize_t n;

	for (done = 0; done < filled; done += n) {
		n = write(fd, buf + done, filled - done);
		if (n <= 0)
			die("write: %m");
	}
}

void fd_send(const int *fds, unsigned int n, const struct payload *p, bool more)
{
	memcpy(buf + filled, p, bytes);
	filled += bytes;
	if (more && filled < batch)
		return;
	while (n--)
		write_all(*fds++);
	filled = 0;
}

const struct payload *fd_receive(int fd)
{
	ssize_t n;

	if (filled - taken < bytes) {
		memmove(buf, buf + taken, filled - taken);
		filled -= taken;
		taken = 0;
	}
	while (filled < bytes) {
		n = read(fd, buf + filled, asked);
		if (n < 0 && errno == EAGAIN)
			return NULL;
		if (n <= 0)
			die("read: %m");
		filled += n;
	}
	taken += bytes;
	return (const struct payload *)(buf + taken - bytes);
}
