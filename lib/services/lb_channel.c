// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <stdio.h>
#include <string.h>
#endif
#include <kecho/limits.h>
#include "lb_channel.h"

int lb_channel_open(struct lb_channel *c, const char *name, bool serves, kecho_handler_t handler, void *arg)
{
	char answers[KECHO_NAME_MAX + 1];
	int err;

	if (strlen(name) + strlen(LB_ANSWERS) > KECHO_NAME_MAX)
		return -EINVAL;
	snprintf(answers, sizeof(answers), "%s%s", name, LB_ANSWERS);
	memset(c, 0, sizeof(*c));
	c->request = kecho_open(name, KECHO_CREATE);
	err = kecho_error(c->request);
	if (err)
		return err;
	c->answer = kecho_open(answers, KECHO_CREATE);
	err = kecho_error(c->answer);
	if (err)
		goto err_request;
	/* First this: nothing that comes of a request may be missed. */
	c->answers = kecho_subscribe(c->answer, NULL, handler, arg);
	err = kecho_error(c->answers);
	if (err)
		goto err_answer;
	if (!serves)
		return 0;
	c->serves = kecho_subscribe(c->request, NULL, handler, arg);
	err = kecho_error(c->serves);
	if (!err)
		return 0;
	kecho_unsubscribe(c->answers);
err_answer:
	kecho_close(c->answer);
err_request:
	kecho_close(c->request);
	return err;
}

void lb_channel_close(struct lb_channel *c)
{
	if (c->serves)
		kecho_unsubscribe(c->serves);
	kecho_unsubscribe(c->answers);
	kecho_close(c->answer);
	kecho_close(c->request);
}

int lb_channel_send(struct lb_channel *c, const struct lb_msg *msg, unsigned int flags)
{
	struct kecho_event event;
	char attrs[LB_ATTRS_MAX];
	int err = lb_encode(msg, attrs, &event);

	if (err)
		return err;
	return kecho_publish(msg->type <= LB_REQUEST ? c->request : c->answer, &event, flags);
}

int lb_channel_load(struct lb_channel *c, const struct lb_server *server)
{
	__u64 load = (__u64)(server->busy + server->queued) * 1000;
	char lines[96];

	/* No 64-bit division: 32 bits do, by the bounds of both. */
	load = (__u32)load / server->slots;
	snprintf(lines, sizeof(lines), "load=%u.%03u\nserves=%u\nqueue=%u\n", (__u32)load / 1000, (__u32)load % 1000, server->slots,
		 server->queued);
	return kecho_sub_attr_set(c->serves, lines);
}
