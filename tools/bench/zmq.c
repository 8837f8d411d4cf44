// SPDX-License-Identifier: GPL-2.0
/* ZeroMQ: a publisher and subscribers over ipc or TCP, without losses. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* Messages that may wait at either end, and bytes of them: about as many as are in kecho's queue and two rings. */
#define WATERMARK	10000
#define WATERMARK_BYTES	(16 << 20)

static char address[64];
static void *context, *sock;
static int flags, watermark;
static zmq_msg_t message;
static struct payload event;	/* the library's is not aligned */
static size_t bytes;

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
	bytes = e->bytes;
	watermark = WATERMARK_BYTES / bytes < WATERMARK ? WATERMARK_BYTES / bytes : WATERMARK;
	if (e->variant == by_loopback)
		snprintf(address, sizeof(address), "tcp://127.0.0.1:%u", free_port());
	else
		snprintf(address, sizeof(address), "ipc://@kecho-bench-%d", getpid());
}

static void open_sender(unsigned int subscribers)
{
	char subscription[16];

	sock = zmq_socket(context, ZMQ_XPUB);
	check(sock);
	set(ZMQ_SNDHWM, watermark);
	set(ZMQ_XPUB_NODROP, 1);
	set(ZMQ_XPUB_VERBOSE, 1);
	check(!zmq_bind(sock, address));
	/* What is sent before is for nobody. */
	while (subscribers--)
		check(zmq_recv(sock, subscription, sizeof(subscription), 0) > 0);
}

static void open_receiver(void)
{
	sock = zmq_socket(context, ZMQ_SUB);
	check(sock);
	set(ZMQ_RCVHWM, watermark);
	set(ZMQ_RECONNECT_IVL, 1);	/* the other end may be there later */
	check(!zmq_setsockopt(sock, ZMQ_SUBSCRIBE, "", 0));
	check(!zmq_connect(sock, address));
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)nth;
	zmq_msg_init(&message);
	context = zmq_ctx_new();
	check(context);
	flags = end == SPINS ? ZMQ_DONTWAIT : 0;
	if (end == SENDS)
		open_sender(e->subscribers);
	else
		open_receiver();
}

static void send(const struct payload *p, bool more)
{
	(void)more;
	check(zmq_send(sock, p, bytes, 0) == (int)bytes);
}

static const struct payload *receive(void)
{
	int n = zmq_msg_recv(&message, sock, flags);

	if (n < 0 && zmq_errno() == EAGAIN)
		return NULL;
	check(n == (int)bytes);
	memcpy(&event, zmq_msg_data(&message), sizeof(event));
	return &event;
}

const struct subject zmq_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.stalls = true,
};
