// SPDX-License-Identifier: GPL-2.0
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, err;

	if (fd < 0)
		return -1;
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) && !bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, SOMAXCONN))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

bool port_valid(const char *port)
{
	size_t len = strspn(port, "0123456789");

	return len && len <= 5 && !port[len] && atoi(port) <= UINT16_MAX;
}

int listen_at(const char *where, const char **why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	char *host = strdup(where), *port = host ? strrchr(host, ':') : NULL, *name = host;
	struct addrinfo *found;
	int fd = -1, err;

	*why = "it is to be ADDRESS:PORT, the port a number up to 65535";
	if (!port || !port_valid(port + 1))
		goto out;
	*port++ = '\0';
	if (name[0] == '[' && port[-2] == ']') {
		port[-2] = '\0';
		name++;
	}
	err = getaddrinfo(*name ? name : NULL, port, &hints, &found);
	if (err) {
		*why = gai_strerror(err);
		goto out;
	}
	fd = listen_on(found);
	*why = strerror(errno);
	freeaddrinfo(found);
out:
	free(host);
	return fd;
}
