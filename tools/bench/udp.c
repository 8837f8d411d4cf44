// SPDX-License-Identifier: GPL-2.0
/* UDP by the loopback device: a datagram an event, to each subscriber. What its socket has no room for is lost. */
#include "bench.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM	(4 << 20)

static int in[SUBSCRIBERS_MAX], out[SUBSCRIBERS_MAX];
static unsigned int n, mine;

/* More than net.core.rmem_max only for root. */
static void set_room(int fd)
{
	int room = ROOM;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)))
		die("udp: %m");
}

static void prepare(const struct entry *e)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	for (n = 0; n < e->subscribers; n++) {
		a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		in[n] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		out[n] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (in[n] < 0 || out[n] < 0 || bind(out[n], (struct sockaddr *)&a, len) ||
		    getsockname(out[n], (struct sockaddr *)&a, &len) || connect(in[n], (struct sockaddr *)&a, len))
			die("udp: %m");
		set_room(out[n]);
	}
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)end;
	mine = nth;
	fd_open(e, e->bytes);
}

static void send_one(const struct payload *p, bool more)
{
	fd_send(in, n, p, more);
}

static const struct payload *receive_one(void)
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

const struct subject udp_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send_one,
	.receive = receive_one,
	.tidy = tidy,
};
