/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of kecho-httpd-lb share. All of it runs in one thread, which calls back from main.c's loop alone. */
#ifndef TOOLS_HTTPD_LB_H
#define TOOLS_HTTPD_LB_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <curl/curl.h>
#include "../../lib/services/lb_channel.h"

#define LOCAL_MAX	(64u << 20)	/* of an answer that does not leave this host */

struct options {
	const char *channel;
	const char *listen;
	const char *backend;
	__u32 n;
	__u32 slots;
	__u32 queue;
	__u32 others;
	__u64 wait_ms;
	__u64 timeout_ms;
	bool served_by;
};

extern struct options options;
extern char node_name[];	/* of this host's node */
extern __u32 max_event;		/* and its limit */

__u64 now_ms(void);
__u64 number_of_its_own(void);
_Noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * message.c: a request or an answer, as it travels. Strings, each with its NUL: of a request method and target; then the fields, name and
 * value; an empty one; and the body, to the end.
 */
struct message {
	char *data;
	size_t len;
	size_t size;
};

enum { ANSWER = 0, REQUEST = 2 };	/* strings before the fields */

void message_add(struct message *m, const void *data, size_t len);
void message_string(struct message *m, const char *s);
/** message_body() - where the body begins; 0: it is none, or has what would mean something else in HTTP */
size_t message_body(const char *data, size_t len, int strings);
static inline const char *behind(const char *s) { return __builtin_strchr(s, '\0') + 1; }
/** end_to_end() - false: a field is of one connection only, as RFC 9110, 7.6.1 has it. @connection: the values of Connection */
bool end_to_end(const char *name, const char *connection);

/* front.c: clients, and what they have asked */
extern struct lb_asker asker;
int front_start(void);	/* Return: a descriptor, readable when there is something to do */
void front_run(void);
/** front_due() - there are answers to send */
bool front_due(void);
int front_timeout(int ms);
const void *front_data(struct lb_ask *ask, __u32 *len);
/** front_quiet() - take no more connections, and let those end that are here. Return: how many requests are not yet answered */
unsigned int front_quiet(void);
void front_stop(void);

/* back.c: the web server of this host */
extern struct lb_server server;
void back_start(void);
void back_run(void);
/** back_due() - there are requests to send */
bool back_due(void);
int back_poll(struct curl_waitfd *fds, unsigned int n, int timeout_ms);
/** back_down() - it has not been reached just now. Return: until when that counts, in ms, or 0 */
__u64 back_down(void);
void back_stop(void);

/* main.c: messages between the two, in this process or by the channel */
void asker_send(struct lb_asker *asker, struct lb_ask *ask, const struct lb_msg *msg);
void server_send(struct lb_server *server, const struct lb_msg *msg);

#endif
