// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <kecho/kecho.h>
#include "echo.h"

/* Events of type request come back as type reply, with their id. */
static void answer(const struct kecho_event *request, void *arg)
{
	struct kecho_event reply = *request;
	struct kecho_attr attr;
	__u32 at = 0, next = 0;
	struct echo *echo = arg;

	reply.type = "reply";
	reply.type_len = 5;
	reply.attrs_len = 0;
	/* One attribute of a list is a list. */
	while (kecho_attr_next(request->attrs, request->attrs_len, &next,
			       &attr)) {
		if (attr.name_len == 2 && attr.name[0] == 'i' &&
		    attr.name[1] == 'd') {
			reply.attrs = (const char *)request->attrs + at;
			reply.attrs_len = next - at;
		}
		at = next;
	}
	kecho_publish(echo->channel, &reply, 0);
}

int echo_start(struct echo *echo, const char *channel)
{
	int err;

	echo->channel = kecho_open(channel, KECHO_CREATE);
	err = kecho_error(echo->channel);
	if (err)
		return err;
	echo->requests = kecho_subscribe(echo->channel, "request", answer,
					 echo);
	err = kecho_error(echo->requests);
	if (err)
		kecho_close(echo->channel);
	return err;
}

void echo_stop(struct echo *echo)
{
	kecho_unsubscribe(echo->requests);
	kecho_close(echo->channel);
}
