// SPDX-License-Identifier: GPL-2.0
/* Clients: requests are read whole, their connections wait suspended, and get the answer whole. */
#include "httpd.h"
#include "../listen.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_S		60		/* a client that does nothing for so long is let go */
#define HEAD_MAX	(64 << 10)

/**
 * struct request - from the first line on until the answer has been sent
 * @ask: first; the asker's while @asked
 * @response: the answer, once it is there
 */
struct request {
	struct lb_ask ask;
	struct MHD_Connection *connection;
	char *target;
	struct message message;
	struct MHD_Response *response;
	unsigned int status;
	bool head;
	bool begun;
	bool too_large;
	bool asked;
};

static struct MHD_Daemon *front;
static unsigned int requests;
static bool quiet;
static bool resumed;	/* connections, of which MHD itself does not tell */

static const char *const idempotent[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" };

static bool is_once(const char *method)
{
	size_t i;

	for (i = 0; i < sizeof(idempotent) / sizeof(idempotent[0]); i++)
		if (!strcmp(method, idempotent[i]))
			return false;
	return true;
}

static void respond(struct request *r, unsigned int status, struct MHD_Response *response)
{
	if (!response)
		fail("%m");
	/* MHD has its own way with connections; of what was the web server's only that remains. */
	if (quiet)
		MHD_add_response_header(response, "Connection", "close");
	r->status = status;
	r->response = response;
}

static void refuse(struct request *r, unsigned int status, const char *why)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(why), (void *)why, MHD_RESPMEM_PERSISTENT);

	if (response)
		MHD_add_response_header(response, "Content-Type", "text/plain");
	if (response && status == 503)
		MHD_add_response_header(response, "Retry-After", "1");
	respond(r, status, response);
}

static ssize_t no_body(void *cls, uint64_t pos, char *buf, size_t max)
{
	(void)cls, (void)pos, (void)buf, (void)max;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void answered(struct request *r, const struct lb_msg *msg)
{
	size_t body = message_body(msg->data, msg->len, ANSWER);
	const char *name = msg->data, *value, *length = NULL;
	struct MHD_Response *response;

	if (!body || msg->status < 200 || msg->status > 599) {
		refuse(r, 502, "the host that was asked gave no answer of HTTP\n");
		return;
	}
	for (; *name; name = behind(value)) {
		value = behind(name);
		if (!strcasecmp(name, "Content-Length"))
			length = value;
	}
	/* To HEAD, and of what has not changed, the length is said of what is not sent. */
	if (r->head || (msg->status == 304 && length))
		response = MHD_create_response_from_callback(length ? strtoull(length, NULL, 10) : MHD_SIZE_UNKNOWN, 1024, no_body, NULL, NULL);
	else
		response = MHD_create_response_from_buffer(msg->len - body, (char *)msg->data + body, MHD_RESPMEM_MUST_COPY);
	for (name = msg->data; response && *name; name = behind(value)) {
		value = behind(name);
		if (strcasecmp(name, "Content-Length") && end_to_end(name, ""))
			MHD_add_response_header(response, name, value);
	}
	respond(r, msg->status, response);
}

static void done(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg)
{
	struct request *r = (struct request *)ask;

	(void)asker;
	r->asked = false;
	if (msg->type == LB_ANSWER)
		answered(r, msg);
	else if (msg->status != ETIMEDOUT)
		refuse(r, 502, "the host that was asked is lost, and it is not known how far it came\n");
	else if (ask->nholders)
		refuse(r, 504, "no answer in time\n");
	else
		refuse(r, 503, "no host has room and a web server that answers\n");
	MHD_resume_connection(r->connection);
	resumed = true;
}

static const struct lb_asker_ops ops = { .send = asker_send, .done = done };
struct lb_asker asker = { .ops = &ops };

const void *front_data(struct lb_ask *ask, __u32 *len)
{
	struct request *r = (struct request *)ask;

	*len = r->message.len;
	return r->message.data;
}

static enum MHD_Result connection_values(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct message *m = cls;

	(void)kind;
	if (value && !strcasecmp(name, "Connection")) {
		message_add(m, value, strlen(value));
		message_add(m, ",", 1);
	}
	return MHD_YES;
}

struct fields {
	struct message *message;
	const char *connection;
};

/* The body's length is that of the body, and who expects to be told to continue has been. */
static enum MHD_Result field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct fields *f = cls;

	(void)kind;
	if (!value || !end_to_end(name, f->connection) || !strcasecmp(name, "Content-Length") || !strcasecmp(name, "Expect"))
		return MHD_YES;
	message_string(f->message, name);
	message_string(f->message, value);
	return MHD_YES;
}

static void begin(struct request *r, struct MHD_Connection *connection, const char *method)
{
	const union MHD_ConnectionInfo *client = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
	struct message tokens = { 0 };
	struct fields f = { .message = &r->message };
	char host[NI_MAXHOST];

	r->begun = true;
	r->connection = connection;
	r->head = !strcmp(method, "HEAD");
	r->ask.once = is_once(method);
	MHD_get_connection_values(connection, MHD_HEADER_KIND, connection_values, &tokens);
	message_string(&tokens, "");
	f.connection = tokens.data;
	message_string(&r->message, method);
	message_string(&r->message, r->target);
	MHD_get_connection_values(connection, MHD_HEADER_KIND, field, &f);
	free(tokens.data);
	message_string(&r->message, "Via");
	message_string(&r->message, "1.1 kecho");
	if (client && !getnameinfo(client->client_addr, client->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
				   sizeof(struct sockaddr_in), host, sizeof(host), NULL, 0, NI_NUMERICHOST)) {
		message_string(&r->message, "X-Forwarded-For");
		message_string(&r->message, host);
	}
	message_string(&r->message, "");
	if (!message_body(r->message.data, r->message.len, REQUEST))
		refuse(r, 400, "bad request\n");
	else if (!strcmp(method, "CONNECT"))
		refuse(r, 501, "no CONNECT here\n");
	else if (r->message.len > max_event || (length && strtoull(length, NULL, 10) > max_event - r->message.len))
		refuse(r, 413, "larger than an event\n");
}

static void ask(struct request *r)
{
	r->ask.id = number_of_its_own();
	r->ask.n = options.n;
	r->ask.wait_ms = options.wait_ms;
	r->ask.timeout_ms = options.timeout_ms;
	r->asked = true;
	MHD_suspend_connection(r->connection);
	r->ask.here_ms = LB_HERE_MS;
	lb_ask(&asker, &r->ask, false, now_ms());
}

/* MHD calls it when the head is here, for each piece of the body, then to have the answer: again once that is there. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			      const char *upload, size_t *upload_len, void **arg)
{
	struct request *r = *arg;

	(void)cls, (void)url, (void)version;
	if (!r)
		return MHD_NO;
	if (!r->begun) {
		begin(r, connection, method);
		if (!r->response)
			return MHD_YES;
	} else if (*upload_len) {
		if (*upload_len > max_event - r->message.len)
			r->too_large = true;
		else
			message_add(&r->message, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	} else if (!r->response) {
		if (!r->too_large) {
			ask(r);
			return MHD_YES;
		}
		refuse(r, 413, "larger than an event\n");
	}
	return MHD_queue_response(connection, r->status, r->response);
}

/* Before the first line is taken apart. */
static void *first_line(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct request *r = calloc(1, sizeof(*r));

	(void)cls, (void)connection;
	if (!r)
		return NULL;
	r->target = strdup(target);
	if (!r->target) {
		free(r);
		return NULL;
	}
	requests++;
	return r;
}

static void completed(void *cls, struct MHD_Connection *connection, void **arg, enum MHD_RequestTerminationCode how)
{
	struct request *r = *arg;

	(void)cls, (void)connection, (void)how;
	if (!r)
		return;
	if (r->asked)
		lb_ask_end(&asker, &r->ask);
	if (r->response)
		MHD_destroy_response(r->response);
	free(r->message.data);
	free(r->target);
	free(r);
	requests--;
}

int front_start(void)
{
	const union MHD_DaemonInfo *info;
	const char *why;
	int fd = listen_at(options.listen, &why);

	if (fd < 0)
		fail("%s: %s", options.listen, why);
	front = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL,
				 MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, first_line, NULL,
				 MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	info = front ? MHD_get_daemon_info(front, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		fail("libmicrohttpd does not start: %m");
	return info->epoll_fd;
}

void front_run(void)
{
	resumed = false;
	MHD_run(front);
}

bool front_due(void)
{
	return resumed;
}

int front_timeout(int ms)
{
	MHD_UNSIGNED_LONG_LONG own;

	if (resumed)
		return 0;
	return MHD_get_timeout(front, &own) == MHD_YES && own < (unsigned int)ms ? (int)own : ms;
}

unsigned int front_quiet(void)
{
	int fd;

	if (!quiet) {
		quiet = true;
		fd = MHD_quiesce_daemon(front);
		if (fd >= 0)
			close(fd);
	}
	return requests;
}

void front_stop(void)
{
	MHD_stop_daemon(front);
}
