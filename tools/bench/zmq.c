// SPDX-License-Identifier: GPL-2.0
/* ZeroMQ: a publisher and a subscriber over ipc, without losses. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

/* Messages that may wait at either end: about as many as are in kecho's queue and two rings. */
#define WATERMARK	10000

static char address[64];
static void *context, *sock;
static int flags;
static struct payload buf;

static void check(bool ok)
{
	if (!ok)
		die("ZeroMQ: %s", zmq_strerror(zmq_errno()));
}

static void set(int option, int value)
{
	check(!zmq_setsockopt(sock, option, &value, sizeof(value)));
}

/* In the abstract namespace: nothing is left behind. */
static void prepare(const struct entry *e)
{
	(void)e;
	snprintf(address, sizeof(address), "ipc://@kecho-bench-%d", getpid());
}

static void open_sender(void)
{
	char subscription[16];

	sock = zmq_socket(context, ZMQ_XPUB);
	check(sock);
	set(ZMQ_SNDHWM, WATERMARK);
	set(ZMQ_XPUB_NODROP, 1);
	check(!zmq_bind(sock, address));
	/* What is sent before is for nobody. */
	check(zmq_recv(sock, subscription, sizeof(subscription), 0) > 0);
}

static void open_receiver(void)
{
	sock = zmq_socket(context, ZMQ_SUB);
	check(sock);
	set(ZMQ_RCVHWM, WATERMARK);
	set(ZMQ_RECONNECT_IVL, 1);	/* the other end may be there later */
	check(!zmq_setsockopt(sock, ZMQ_SUBSCRIBE, "", 0));
	check(!zmq_connect(sock, address));
}

static void open_end(const struct entry *e, enum end end)
{
	(void)e;
	context = zmq_ctx_new();
	check(context);
	flags = end == SPINS ? ZMQ_DONTWAIT : 0;
	if (end == SENDS)
		open_sender();
	else
		open_receiver();
}

static void send(const struct payload *p, bool more)
{
	(void)more;
	check(zmq_send(sock, p, sizeof(*p), 0) == sizeof(*p));
}

static const struct payload *receive(void)
{
	int n = zmq_recv(sock, &buf, sizeof(buf), flags);

	if (n < 0 && zmq_errno() == EAGAIN)
		return NULL;
	check(n == sizeof(buf));
	return &buf;
}

/* Waits until the I/O thread has sent all. */
static void finish(void)
{
	check(!zmq_close(sock));
	check(!zmq_ctx_term(context));
}

const struct subject zmq_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.finish = finish,
	.stalls = true,
};
