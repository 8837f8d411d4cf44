// SPDX-License-Identifier: GPL-2.0
/* The web server of this host: asked by libcurl, for whoever asks. */
#include "httpd.h"
#include "../now.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOWN_MS 1000
#define QUEUE_MIN 64	/* of what nobody else takes so many may wait in any case */

/* job: first */
struct job {
	struct lb_job job;
	CURL *easy;
	struct curl_slist *fields;
	char *data;		/* the request */
	struct message body;	/* of the answer */
	bool too_large;
};

static CURLM *multi;
static __u64 down_until;

__u64 back_down(void)
{
	return now_ms() < down_until ? down_until : 0;
}

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static void add_field(struct job *j, const char *name, const char *value, const char *format)
{
	struct curl_slist *longer;
	char *line;

	if (asprintf(&line, format, name, value) < 0)
		fail("%m");
	longer = curl_slist_append(j->fields, line);
	if (!longer)
		fail("%m");
	j->fields = longer;
	free(line);
}

static void free_job(struct job *j)
{
	if (j->easy) {
		curl_multi_remove_handle(multi, j->easy);
		curl_easy_cleanup(j->easy);
	}
	curl_slist_free_all(j->fields);
	free(j->data);
	free(j->body.data);
	free(j);
}

static size_t more_body(char *data, size_t size, size_t n, void *arg)
{
	struct job *j = arg;

	n *= size;
	if (j->body.len + n > (j->job.asker ? max_event : LOCAL_MAX)) {
		j->too_large = true;
		return 0;
	}
	message_add(&j->body, data, n);
	return n;
}

/* The fields as they are; what libcurl would say of its own accord is not said. */
static void set_fields(struct job *j, const char *name)
{
	static const char *const silent[] = { "Accept", "User-Agent", "Content-Type", "Expect" };
	bool said[sizeof(silent) / sizeof(silent[0])] = { false };
	const char *value;
	size_t i;

	for (; *name; name = behind(value)) {
		value = behind(name);
		if (!end_to_end(name, "") || !strcasecmp(name, "Content-Length") || !strcasecmp(name, "Expect"))
			continue;
		for (i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
			said[i] |= !strcasecmp(name, silent[i]);
		/* Without a value libcurl has another form. */
		add_field(j, name, value, *value ? "%s: %s" : "%s;");
	}
	for (i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		if (!said[i])
			add_field(j, silent[i], "", "%s:%s");
}

static struct lb_job *take(struct lb_server *server, const struct lb_msg *msg)
{
	size_t body = message_body(msg->data, msg->len, REQUEST);
	const char *method, *target;
	char url[300];
	struct job *j;

	(void)server;
	if (!body)
		return NULL;
	j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->data = malloc(msg->len);
	j->easy = curl_easy_init();
	if (!j->data || !j->easy) {
		free_job(j);
		return NULL;
	}
	memcpy(j->data, msg->data, msg->len);
	method = j->data;
	target = behind(method);
	set_fields(j, behind(target));
	snprintf(url, sizeof(url), "http://%s/", options.backend);
	curl_easy_setopt(j->easy, CURLOPT_URL, url);
	curl_easy_setopt(j->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(j->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(j->easy, CURLOPT_REQUEST_TARGET, target);
	curl_easy_setopt(j->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(j->easy, CURLOPT_HTTPHEADER, j->fields);
	curl_easy_setopt(j->easy, CURLOPT_TIMEOUT_MS, (long)options.timeout_ms);
	curl_easy_setopt(j->easy, CURLOPT_WRITEFUNCTION, more_body);
	curl_easy_setopt(j->easy, CURLOPT_WRITEDATA, j);
	curl_easy_setopt(j->easy, CURLOPT_PRIVATE, j);
	if (is(method, "HEAD")) {
		curl_easy_setopt(j->easy, CURLOPT_NOBODY, 1L);
	} else if (msg->len > body || is(method, "POST") || is(method, "PUT") || is(method, "PATCH")) {
		curl_easy_setopt(j->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(msg->len - body));
		curl_easy_setopt(j->easy, CURLOPT_POSTFIELDS, j->data + body);
	}
	if (!is(method, "HEAD"))
		curl_easy_setopt(j->easy, CURLOPT_CUSTOMREQUEST, method);
	/* On a connection that has been used before libcurl repeats what the server did not answer. */
	if (msg->once)
		curl_easy_setopt(j->easy, CURLOPT_FRESH_CONNECT, 1L);
	return &j->job;
}

static void start(struct lb_server *server, struct lb_job *job)
{
	struct job *j = (struct job *)job;

	(void)server;
	if (curl_multi_add_handle(multi, j->easy))
		fail("libcurl: no memory");
}

static void drop(struct lb_server *server, struct lb_job *job, bool running)
{
	(void)server, (void)running;
	free_job((struct job *)job);
}

static __u64 realtime_ns(struct lb_server *server)
{
	(void)server;
	return now_ns(CLOCK_REALTIME);
}

static const struct lb_server_ops ops = { .take = take, .start = start, .drop = drop, .send = server_send, .realtime_ns = realtime_ns };
struct lb_server server = { .ops = &ops };

/* A message of its fields and body, from what libcurl has of the answer. The length is that of the body, unless there is to be none. */
static void compose(struct job *j, long status, struct message *m)
{
	struct message connection = { 0 };
	struct curl_header *h = NULL;
	char *method = NULL;
	bool bodyless;

	while ((h = curl_easy_nextheader(j->easy, CURLH_HEADER, -1, h)))
		if (!strcasecmp(h->name, "Connection")) {
			message_add(&connection, h->value, strlen(h->value));
			message_add(&connection, ",", 1);
		}
	message_string(&connection, "");
	curl_easy_getinfo(j->easy, CURLINFO_EFFECTIVE_METHOD, &method);
	bodyless = is(method, "HEAD") || status == 304;
	while ((h = curl_easy_nextheader(j->easy, CURLH_HEADER, -1, h))) {
		if (!end_to_end(h->name, connection.data) || (!strcasecmp(h->name, "Content-Length") && !bodyless))
			continue;
		message_string(m, h->name);
		message_string(m, h->value);
	}
	free(connection.data);
	if (options.served_by) {
		message_string(m, "X-Kecho-Served-By");
		message_string(m, node_name);
	}
	message_string(m, "");
	message_add(m, j->body.data, j->body.len);
}

static void done(struct job *j, CURLcode result)
{
	bool unreached = result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST;
	bool cut = result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE;
	struct message m = { 0 };
	long status = 502;

	if (unreached || (cut && !j->job.once)) {
		down_until = now_ms() + DOWN_MS;
		lb_server_give_back(&server, &j->job, now_ms());
		return;
	}
	down_until = 0;
	if (result == CURLE_OK) {
		curl_easy_getinfo(j->easy, CURLINFO_RESPONSE_CODE, &status);
		compose(j, status, &m);
		j->too_large = j->job.asker && m.len > max_event;
	}
	/* The web server of the host that was asked can answer what is too large for an event. */
	if (j->too_large && j->job.asker && !j->job.once) {
		free(m.data);
		lb_server_give_back(&server, &j->job, now_ms());
		return;
	}
	if (result != CURLE_OK || j->too_large) {
		m.len = 0;
		status = result == CURLE_OPERATION_TIMEDOUT ? 504 : 502;
		message_string(&m, "Content-Type");
		message_string(&m, "text/plain");
		message_string(&m, "");
		if (j->too_large)
			message_add(&m, "the answer is too large\n", 24);
		else
			message_add(&m, "the web server gave no answer\n", 30);
	}
	lb_server_done(&server, &j->job, status, m.data, m.len, now_ms());
	free(m.data);
}

void back_start(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(multi = curl_multi_init()))
		fail("libcurl does not start");
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)options.slots);
	server.slots = options.slots;
	server.here_max = options.queue;
	server.others_max = options.others;
	server.queue_max = options.queue > QUEUE_MIN ? options.queue : QUEUE_MIN;
}

void back_run(void)
{
	int running, left;
	CURLMsg *msg;
	struct job *j;

	curl_multi_perform(multi, &running);
	while ((msg = curl_multi_info_read(multi, &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&j);
		done(j, msg->data.result);
	}
}

bool back_due(void)
{
	long ms = -1;

	curl_multi_timeout(multi, &ms);
	return !ms;
}

int back_poll(struct curl_waitfd *fds, unsigned int n, int timeout_ms)
{
	return curl_multi_poll(multi, fds, n, timeout_ms, NULL);
}

void back_stop(void)
{
	curl_multi_cleanup(multi);
	curl_global_cleanup();
}
