// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <kecho/kecho.h>
#include "echo.h"

int main(int argc, char **argv)
{
	const char *channel = argc > 1 ? argv[1] : "echo";
	struct pollfd gone = { .events = POLLIN };
	struct echo echo;
	int err = echo_start(&echo, channel);

	if (err) {
		fprintf(stderr, "%s: %s\n", channel, strerror(-err));
		return 1;
	}
	/* Readable when the node has ended. */
	gone.fd = kecho_fd(echo.requests);
	while (poll(&gone, 1, -1) < 0)
		;
	echo_stop(&echo);
	return 0;
}
