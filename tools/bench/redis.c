// SPDX-License-Identifier: GPL-2.0
/* Redis: PUBLISH and SUBSCRIBE by a Unix socket, and hiredis. */
#include "bench.h"

#include <hiredis/hiredis.h>
#include <string.h>

static const char *const command[] = { "redis-server", "-", NULL };
static struct server server = {
	.command = command,
	.config = "port 0\nunixsocket %s\nsave \"\"\nappendonly no\nclient-output-buffer-limit pubsub 0 0 0\n",
};

static const char *topic;
static size_t bytes;
static redisContext *context;
static redisReply *reply;
static struct payload event;	/* the library's is not aligned */

static void check(bool ok)
{
	if (!ok)
		die("Redis: %s", context ? context->errstr : "no connection");
}

static void prepare(const struct entry *e)
{
	topic = server_topic();
	bytes = e->bytes;
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)e;
	(void)nth;
	context = redisConnectUnix(server.address);
	check(context && !context->err);
	if (end == SENDS)
		/* It is not answered either. */
		check(!redisAppendCommand(context, "CLIENT REPLY OFF"));
	else
		check(redisCommand(context, "SUBSCRIBE %s", topic));
}

static void send(const struct payload *p, bool more)
{
	const char *words[] = { "PUBLISH", topic, (const char *)p };
	size_t lengths[] = { 7, strlen(topic), bytes };
	int done = 0;

	check(!redisAppendCommandArgv(context, 3, words, lengths));
	while (!more && !done)
		check(!redisBufferWrite(context, &done));
}

static const struct payload *receive(void)
{
	freeReplyObject(reply);
	reply = NULL;
	check(!redisGetReply(context, (void **)&reply));
	check(reply->elements == 3 && reply->element[2]->len == bytes);
	memcpy(&event, reply->element[2]->str, sizeof(event));
	return &event;
}

const struct subject redis_subject = {
	.server = &server,
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
};
