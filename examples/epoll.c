// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <kecho/kecho.h>

static struct kecho_sub *subscribe(const char *channel, int epoll)
{
	struct epoll_event in = { .events = EPOLLIN };
	struct kecho *k = kecho_open(channel, 0);
	int err = kecho_error(k);

	if (!err) {
		in.data.ptr = kecho_subscribe(k, NULL, NULL, NULL);
		err = kecho_error(in.data.ptr);
	}
	if (!err && epoll_ctl(epoll, EPOLL_CTL_ADD, kecho_fd(in.data.ptr),
			      &in))
		err = -errno;
	if (!err)
		return in.data.ptr;
	fprintf(stderr, "%s: %s\n", channel, strerror(-err));
	return NULL;
}

/* Takes what there is; less than 0: no more will come. */
static int drain(struct kecho_sub *sub)
{
	struct kecho_event event;
	int n;

	while ((n = kecho_poll(sub, &event, 0)) == 1) {
		printf("%.*s\n", (int)event.len, (const char *)event.data);
		kecho_event_put(sub, &event);
	}
	fflush(stdout);
	return n;
}

/* The events of all the channels that are named. */
int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), i;
	struct epoll_event ready;

	for (i = 1; i < argc; i++)
		if (!subscribe(argv[i], epoll))
			return 1;
	while (argc > 1) {
		i = epoll_wait(epoll, &ready, 1, -1);
		if (i == 1 && drain(ready.data.ptr) < 0)
			return 1;
	}
	return 0;
}
