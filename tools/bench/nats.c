// SPDX-License-Identifier: GPL-2.0
/* NATS: nats-server by the loopback device, which is all it has, and libnats. */
#include "bench.h"

#include <nats/nats.h>
#include <string.h>

#define ANSWER_MS	10000

static const char *const command[] = { "nats-server", "-c", "/dev/stdin", NULL };
static struct server server = {
	.command = command, .tcp = true,
	.config = "host: 127.0.0.1\nport: %s\nmax_payload: 2MB\nmax_pending: 1GB\nwrite_deadline: \"30s\"\n",
};

static const char *topic;
static size_t bytes;
static natsConnection *connection;
static natsSubscription *subscription;
static natsMsg *message;
static struct payload event;	/* the library's is not aligned */

static void check(natsStatus s)
{
	if (s != NATS_OK)
		die("NATS: %s", natsStatus_GetText(s));
}

static void prepare(const struct entry *e)
{
	topic = server_topic();
	bytes = e->bytes;
}

/* @asap: each event is sent at once */
static void connect_to(bool asap)
{
	natsOptions *options;
	char url[128] = "nats://127.0.0.1:";

	strcat(url, server.address);
	check(natsOptions_Create(&options));
	check(natsOptions_SetURL(options, url));
	check(natsOptions_SetSendAsap(options, asap));
	check(natsConnection_Connect(&connection, options));
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)nth;
	connect_to(e->rate);
	if (end == SENDS)
		return;
	check(natsConnection_SubscribeSync(&subscription, connection, topic));
	check(natsSubscription_SetPendingLimits(subscription, -1, -1));
	/* Until the server has it. */
	check(natsConnection_FlushTimeout(connection, ANSWER_MS));
}

static void send(const struct payload *p, bool more)
{
	(void)more;
	check(natsConnection_Publish(connection, topic, p, bytes));
}

static const struct payload *receive(void)
{
	natsStatus s;

	natsMsg_Destroy(message);
	message = NULL;
	s = natsSubscription_NextMsg(&message, subscription, ANSWER_MS);
	if (s == NATS_TIMEOUT)
		return NULL;
	check(s);
	memcpy(&event, natsMsg_GetData(message), sizeof(event));
	return &event;
}

const struct subject nats_subject = {
	.server = &server,
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
};
