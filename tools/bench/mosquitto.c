// SPDX-License-Identifier: GPL-2.0
/* Mosquitto: MQTT by a Unix socket, and libmosquitto, without a thread of its own. */
#include "bench.h"

#include <mosquitto.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define KEEPALIVE_S	3600
#define ANSWER_MS	1000
#define CALLS		2000
#define CALL_US		5000
/* With QoS 1: events that may wait for their acknowledgement. */
#define WINDOW		256

const char mosquitto_qos1[] = "";

/* To the queue of QoS 0 no limit, which is 0, would be a limit of 0. */
static const char *const command[] = { "mosquitto", "-c", "/dev/stdin", NULL };
static struct server server = {
	.command = command,
	.config = "listener 0 %s\nuser root\nallow_anonymous true\npersistence false\nlog_dest none\nsys_interval 0\n"
		  "max_queued_messages 100000000\nmax_inflight_messages 0\n",
};

static const char *topic;
static size_t bytes;
static int qos, unacked;
static bool answered, got;
static struct mosquitto *mosq;
static struct payload event;

static void check(int err)
{
	if (err)
		die("Mosquitto: %s", mosquitto_strerror(err));
}

static void prepare(const struct entry *e)
{
	topic = server_topic();
	bytes = e->bytes;
	qos = e->variant == mosquitto_qos1 ? 1 : 0;
}

static void on_connect(struct mosquitto *m, void *arg, int rc)
{
	(void)m;
	(void)arg;
	check(rc);
	answered = true;
}

static void on_subscribe(struct mosquitto *m, void *arg, int id, int n, const int *granted)
{
	(void)m;
	(void)arg;
	(void)id;
	answered = n == 1 && *granted == qos;
}

static void on_publish(struct mosquitto *m, void *arg, int id)
{
	(void)m;
	(void)arg;
	(void)id;
	unacked--;
}

static void on_message(struct mosquitto *m, void *arg, const struct mosquitto_message *message)
{
	(void)m;
	(void)arg;
	if (got || message->payloadlen != (int)bytes)
		die("Mosquitto: not what was sent");
	memcpy(&event, message->payload, sizeof(event));
	got = true;
}

static int await(void)
{
	int err = 0;

	for (answered = false; !answered && !err; )
		err = mosquitto_loop(mosq, ANSWER_MS, 1);
	return err;
}

/* The server has ten places for those that call. */
static void connect_to(void)
{
	int i = 0;

	while (mosquitto_connect(mosq, server.address, 0, KEEPALIVE_S) || await()) {
		if (i++ == CALLS)
			die("Mosquitto: no connection");
		usleep(CALL_US);
	}
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)e;
	(void)nth;
	mosquitto_lib_init();
	mosq = mosquitto_new(NULL, true, NULL);
	if (!mosq)
		die("Mosquitto: %m");
	mosquitto_connect_callback_set(mosq, on_connect);
	mosquitto_subscribe_callback_set(mosq, on_subscribe);
	mosquitto_publish_callback_set(mosq, on_publish);
	mosquitto_message_callback_set(mosq, on_message);
	check(mosquitto_max_inflight_messages_set(mosq, 0));
	connect_to();
	if (end == SENDS)
		return;
	check(mosquitto_subscribe(mosq, NULL, topic, qos));
	check(await());
}

static void wait_for(short what)
{
	struct pollfd p = { .fd = mosquitto_socket(mosq), .events = what };

	poll(&p, 1, -1);
}

static void flush(void)
{
	while (mosquitto_want_write(mosq)) {
		wait_for(POLLOUT);
		check(mosquitto_loop_write(mosq, 1));
	}
}

static void send(const struct payload *p, bool more)
{
	(void)more;
	unacked++;
	check(mosquitto_publish(mosq, NULL, topic, bytes, p, qos, false));
	flush();
	while (unacked >= WINDOW) {
		wait_for(POLLIN);
		check(mosquitto_loop_read(mosq, 1));
	}
}

static const struct payload *receive(void)
{
	for (got = false; ; wait_for(POLLIN)) {
		check(mosquitto_loop_read(mosq, 1));
		flush();
		if (got)
			return &event;
	}
}

const struct subject mosquitto_subject = {
	.server = &server,
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
};
