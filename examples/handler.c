// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <kecho/kecho.h>

/* In a thread of its own, one event after the other. */
static void print(const struct kecho_event *event, void *arg)
{
	printf("%s %llu: %.*s\n", (const char *)arg,
	       (unsigned long long)event->seq, (int)event->len,
	       (const char *)event->data);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char *channel = argc > 1 ? argv[1] : "load";
	struct kecho *k = kecho_open(channel, KECHO_CREATE);
	struct pollfd gone = { .events = POLLIN };
	struct kecho_sub *sub = NULL;
	int err = kecho_error(k);

	if (!err) {
		sub = kecho_subscribe(k, NULL, print, channel);
		err = kecho_error(sub);
	}
	if (err) {
		fprintf(stderr, "%s: %s\n", channel, strerror(-err));
		return 1;
	}
	/* Here the program does what it is for, until the node ends. */
	gone.fd = kecho_fd(sub);
	while (poll(&gone, 1, -1) < 0)
		;
	kecho_unsubscribe(sub);
	kecho_close(k);
	return 0;
}
