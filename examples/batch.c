// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include <kecho/kecho.h>

/* Each line of standard input is an event of the channel. */
int main(int argc, char **argv)
{
	const char *channel = argc > 1 ? argv[1] : "load";
	struct kecho *k = kecho_open(channel, KECHO_CREATE);
	struct kecho_event event = { 0 };
	int n = 0, err = kecho_error(k);
	char line[4096];

	if (err) {
		fprintf(stderr, "%s: %s\n", channel, strerror(-err));
		return 1;
	}
	while (!err && fgets(line, sizeof(line), stdin)) {
		event.data = line;
		event.len = strcspn(line, "\n");
		/* The node is told of a hundred at once. */
		err = kecho_publish(k, &event, ++n % 100 ? KECHO_MORE : 0);
	}
	if (!err)
		err = kecho_flush(k, 5000);
	if (err < 0)
		fprintf(stderr, "%s: %s\n", channel, strerror(-err));
	else if (err)
		fprintf(stderr, "%s: %d events were not taken\n", channel, err);
	kecho_close(k);
	return err != 0;
}
