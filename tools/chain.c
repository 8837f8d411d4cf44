// SPDX-License-Identifier: GPL-2.0
/* Filters that programs have need of, where nobody has others. */
#include "chain.h"
#include "../lib/services/lb.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void chain_fill(const char *mount, const char *channel, const char *const *lines)
{
	char path[PATH_MAX], byte;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s/filter", mount, channel) >= sizeof(path))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!read(fd, &byte, 1))
		for (; *lines; lines++)
			if (write(fd, *lines, strlen(*lines)) < 0)
				warn("%s: %s", path, *lines);
	close(fd);
}

void chain_fill_lb(const char *mount, const char *channel)
{
	static const char *const requests[] = { "out type not=ask", "out least attr=load", NULL };
	static const char *const answers[] = { "out reply", "in dedup", NULL };
	char other[NAME_MAX];

	chain_fill(mount, channel, requests);
	snprintf(other, sizeof(other), "%s" LB_ANSWERS, channel);
	chain_fill(mount, other, answers);
}
