// SPDX-License-Identifier: GPL-2.0
/* Clients by HTTP: libcurl, with connections that are kept, told by epoll(7) of what is ready. */
#include "balance.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS		64
#define LOOK_US		2000
#define START_MS	10000

static CURLM *multi;
static int epoll_fd;
static uint64_t curl_due = UINT64_MAX;	/* when libcurl wants to be called */
static char urls[WEB_HOSTS][64];

static void check(CURLMcode code)
{
	if (code)
		die("libcurl: %s", curl_multi_strerror(code));
}

/* libcurl: what of a connection it waits for. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct epoll_event e = { .data.fd = fd };

	(void)easy, (void)arg;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	e.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e))
		die("epoll: %m");
	curl_multi_assign(multi, fd, &epoll_fd);
	return 0;
}

static int on_timer(CURLM *m, long ms, void *arg)
{
	(void)m, (void)arg;
	curl_due = ms < 0 ? UINT64_MAX : now() + ms * 1000000ull;
	return 0;
}

/* The answer's first byte is the number of the host. */
static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct request *r = arg;

	if (n && data[0] >= '0' && data[0] < '0' + WEB_HOSTS)
		r->served = data[0] - '0';
	return size * n;
}

static void ask(struct request *r)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		die("libcurl: no memory");
	curl_easy_setopt(easy, CURLOPT_URL, urls[r->asked]);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
	check(curl_multi_add_handle(multi, easy));
}

static void collect(void)
{
	struct request *r;
	CURLMsg *msg;
	CURL *easy;
	bool well;
	int left;

	while ((msg = curl_multi_info_read(multi, &left))) {
		easy = msg->easy_handle;
		well = !msg->data.result;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&r);
		clients_ended(r, well ? r->served : -1);
		curl_multi_remove_handle(multi, easy);
		curl_easy_cleanup(easy);
	}
}

/* Exactly then, where a time in milliseconds would be late. */
static void wake_at(int timer, uint64_t when)
{
	struct itimerspec t = { .it_value = { when / 1000000000, when % 1000000000 } };

	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL))
		die("timerfd: %m");
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void run(struct scene *s, int timer)
{
	struct epoll_event events[EVENTS];
	int i, n, running;

	while (now() < s->until) {
		while (clients_next(s) <= now())
			ask(clients_take(s));
		if (curl_due <= now()) {
			curl_due = UINT64_MAX;
			check(curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running));
		}
		collect();
		wake_at(timer, earlier(earlier(clients_next(s), curl_due), s->until));
		n = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (i = 0; i < n; i++)
			if (events[i].data.fd != timer)
				check(curl_multi_socket_action(multi, events[i].data.fd, (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
							       (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
							       (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0), &running));
		collect();
	}
}

/* Until it listens. */
static void wait_for(const char *address, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	uint64_t end = now() + START_MS * 1000000ull;
	bool there;
	int fd;

	inet_pton(AF_INET, address, &a.sin_addr);
	for (;;) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		there = fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		if (there)
			return;
		if (now() > end)
			die("nobody listens at %s:%s", address, port);
		usleep(LOOK_US);
	}
}

void web_ask(struct scene *s, const struct balancing *b)
{
	struct epoll_event e = { .events = EPOLLIN };
	const char *address, *port = b->by->front ? b->by->front : WEB_PORT;
	unsigned int i;

	for (i = 0; i < s->hosts; i++) {
		address = line_address(b->by->central ? CLIENT : i);
		wait_for(address, port);
		snprintf(urls[i], sizeof(urls[0]), "http://%s:%s/", address, port);
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e.data.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (epoll_fd < 0 || e.data.fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e.data.fd, &e))
		die("epoll: %m");
	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	if (!multi)
		die("libcurl: no memory");
	check(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket));
	check(curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer));
	clients_begin(s);
	run(s, e.data.fd);
	clients_end(s, !b->by->central);
}
