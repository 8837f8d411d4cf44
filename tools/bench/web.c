// SPDX-License-Identifier: GPL-2.0
/*
 * A web server with one slot: one request at a time takes its time, which is not the CPU's, and the others wait in turn. What nobody waits
 * for any more is not begun. The answer is the number of the host.
 */
#include "balance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <sys/socket.h>

#define CONNECTIONS	4096

/* From its first line until its answer has been sent. */
struct waiting {
	struct waiting *next;
	struct MHD_Connection *connection;
	bool done;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct waiting *first, **last;
} queue = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first };

static struct scene *scene;
static unsigned int self;
static char answer[16];

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
			      const char *upload, size_t *upload_len, void **arg)
{
	struct waiting *w = *arg;
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)cls, (void)url, (void)method, (void)version, (void)upload;
	if (!w) {
		*arg = w = calloc(1, sizeof(*w));
		return w ? MHD_YES : MHD_NO;
	}
	if (*upload_len) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (w->done) {
		response = MHD_create_response_from_buffer(sizeof(answer), answer, MHD_RESPMEM_PERSISTENT);
		result = MHD_queue_response(connection, MHD_HTTP_OK, response);
		MHD_destroy_response(response);
		return result;
	}
	w->connection = connection;
	MHD_suspend_connection(connection);
	scene->here[self]++;
	pthread_mutex_lock(&queue.lock);
	*queue.last = w;
	queue.last = &w->next;
	pthread_cond_signal(&queue.more);
	pthread_mutex_unlock(&queue.lock);
	return MHD_YES;
}

static void completed(void *cls, struct MHD_Connection *connection, void **arg, enum MHD_RequestTerminationCode how)
{
	(void)cls, (void)connection, (void)how;
	free(*arg);
}

static struct waiting *next(void)
{
	struct waiting *w;

	pthread_mutex_lock(&queue.lock);
	while (!queue.first)
		pthread_cond_wait(&queue.more, &queue.lock);
	w = queue.first;
	queue.first = w->next;
	if (!queue.first)
		queue.last = &queue.first;
	pthread_mutex_unlock(&queue.lock);
	return w;
}

static bool gone(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	char c;

	return recv(info->connect_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0 && errno != EAGAIN;
}

static uint64_t service_ns(const struct scene *s)
{
	static unsigned short seed[3];	/* each server is a process, the same in all trials */
	const uint64_t mean = SERVICE_MS * 1000000ull, other = mean * LONG_EVERY / (LONG_EVERY - 1 + LONG_TIMES);

	if (!s->varied)
		return mean;
	if (!seed[0])
		seed[0] = self + 1;
	return erand48(seed) * LONG_EVERY < 1 ? other * LONG_TIMES : other;
}

void web_serve(struct scene *s, unsigned int host)
{
	struct timespec service = { 0 };
	struct MHD_Daemon *daemon;
	struct waiting *w;

	scene = s;
	self = host;
	snprintf(answer, sizeof(answer), "%u", host);
	daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, atoi(WEB_PORT), NULL, NULL, handle, NULL,
				  MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
				  MHD_OPTION_LISTEN_BACKLOG_SIZE, CONNECTIONS, MHD_OPTION_END);
	if (!daemon)
		die("libmicrohttpd does not start: %m");
	s->ready++;
	for (;;) {
		w = next();
		errno = 0;
		if (!gone(w->connection)) {
			s->executions++;
			service.tv_nsec = service_ns(s);
			nanosleep(&service, NULL);
		}
		s->here[host]--;
		w->done = true;
		MHD_resume_connection(w->connection);
	}
}
