// SPDX-License-Identifier: GPL-2.0
/* Balancing by a queue group of NATS: the server gives each request to one of the subscribers, whom it chooses at random. */
#include "balance.h"

#include <nats/nats.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SUBJECT		"requests"
#define ANSWERS		"answers"
#define START_MS	10000
#define LOOK_US		2000

static void check(natsStatus s)
{
	if (s != NATS_OK)
		die("NATS: %s", natsStatus_GetText(s));
}

/* As soon as the server is there. */
static natsConnection *connection(void)
{
	uint64_t end = now() + START_MS * 1000000ull;
	natsConnection *c;
	natsOptions *options;
	natsStatus s;
	char url[64];

	snprintf(url, sizeof(url), "nats://%s:4222", line_address(CLIENT));
	check(natsOptions_Create(&options));
	check(natsOptions_SetURL(options, url));
	check(natsOptions_SetSendAsap(options, true));
	while ((s = natsConnection_Connect(&c, options)) == NATS_NO_SERVER && now() < end)
		usleep(LOOK_US);
	check(s);
	return c;
}

/* What is sent is the time from which on nobody waits for it. */
static void serve(struct scene *s, unsigned int host)
{
	struct timespec service = { 0, SERVICE_MS * 1000000 };
	natsConnection *c = connection();
	natsSubscription *sub;
	uint64_t until;
	natsMsg *msg;
	char answer = '0' + host;

	check(natsConnection_QueueSubscribeSync(&sub, c, SUBJECT, "servers"));
	check(natsSubscription_SetPendingLimits(sub, -1, -1));
	check(natsConnection_FlushTimeout(c, START_MS));
	s->ready++;
	for (;;) {
		natsStatus status = natsSubscription_NextMsg(&msg, sub, START_MS);

		if (status == NATS_TIMEOUT)
			continue;
		check(status);
		memcpy(&until, natsMsg_GetData(msg), sizeof(until));
		if (now() < until) {
			s->executions++;
			nanosleep(&service, NULL);
			check(natsConnection_Publish(c, natsMsg_GetReply(msg), &answer, 1));
		}
		natsMsg_Destroy(msg);
	}
}

/* The subject's end is the address of the request: we have made it. */
static void on_answer(natsConnection *c, natsSubscription *sub, natsMsg *msg, void *arg)
{
	struct request *r;

	(void)c, (void)sub, (void)arg;
	if (sscanf(natsMsg_GetSubject(msg), ANSWERS ".%p", (void **)&r) == 1 && natsMsg_GetDataLength(msg) == 1)
		clients_ended(r, *natsMsg_GetData(msg) - '0');
	natsMsg_Destroy(msg);
}

static void sleep_until(uint64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void ask(struct scene *s, const struct balancing *b)
{
	natsConnection *c = connection();
	natsSubscription *sub;
	struct request *r;
	uint64_t until;
	char reply[64];

	check(natsConnection_Subscribe(&sub, c, ANSWERS ".*", on_answer, NULL));
	check(natsConnection_FlushTimeout(c, START_MS));
	clients_begin(s);
	while (clients_next(s) < s->until) {
		sleep_until(clients_next(s));
		r = clients_take(s);
		until = r->due + TIMEOUT_MS * 1000000ull;
		snprintf(reply, sizeof(reply), ANSWERS ".%p", (void *)r);
		check(natsConnection_PublishRequest(c, SUBJECT, reply, &until, sizeof(until)));
	}
	sleep_until(s->until);
	clients_end(s, !b->by->central);
}

static void start(const struct balancing *b, const struct scene *s)
{
	static const char *const argv[] = { "nats-server", "-p", "4222", "-l", "/dev/null", NULL };

	(void)b, (void)s;
	crew_exec(CLIENT, true, argv);
}

static const char *lacks(void)
{
	return crew_there("nats-server") ? NULL : "it is not installed";
}

const struct balancer nats_balancer = { .lacks = lacks, .start = start, .serve = serve, .ask = ask, .central = true };
