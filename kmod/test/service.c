// SPDX-License-Identifier: GPL-2.0
/*
 * kecho_test_service: uses the API in every way that a kernel service does, for test/vm/service.bats.
 *
 * It publishes `ticks` events "tick N" of type tick from a timer (softirq), answers each event of type request by one of type reply
 * from its handler, and one of type stop by what it has counted: from a thread that polls.
 */
#define pr_fmt(fmt) "kecho_test_service: " fmt
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/timer.h>
#include <kecho/kecho.h>
#include <kecho/version.h>

static char *channel = "test";
module_param(channel, charp, 0444);
MODULE_PARM_DESC(channel, "channel to serve");

static unsigned int ticks = 100;
module_param(ticks, uint, 0444);
MODULE_PARM_DESC(ticks, "events to publish from a timer");

static unsigned int burst = 1;
module_param(burst, uint, 0444);
MODULE_PARM_DESC(burst, "events at each expiry of the timer");

static struct kecho *kecho;
static struct kecho_sub *requests, *stops;
static struct timer_list timer;
static struct task_struct *poller;
static unsigned int ticked;
static atomic_t refused, answered;

static int publish(const char *type, const char *text, const struct kecho_event *like, unsigned int flags)
{
	struct kecho_event event = like ? *like : (struct kecho_event) { 0 };

	event.type = type;
	event.type_len = strlen(type);
	event.data = text;
	event.len = strlen(text);
	return kecho_publish(kecho, &event, flags);
}

static void tick(struct timer_list *t)
{
	char text[32];
	unsigned int i;

	for (i = 0; i < burst && ticked < ticks; i++) {
		snprintf(text, sizeof(text), "tick %u", ticked + 1);
		if (publish("tick", text, NULL, KECHO_NOWAIT) < 0)
			atomic_inc(&refused);
		else
			ticked++;
	}
	if (ticked < ticks)
		mod_timer(t, jiffies + 1);
}

/* The answer has the request's attributes and priority. */
static void request(const struct kecho_event *event, void *arg)
{
	char text[128];

	might_sleep();
	snprintf(text, sizeof(text), "%s %.*s", (const char *)arg, (int)min_t(u32, event->len, 100), (const char *)event->data);
	if (publish("reply", text, event, 0) >= 0)
		atomic_inc(&answered);
}

static int poll_stops(void *unused)
{
	struct kecho_event event;
	char text[128];
	int n;

	while (!kthread_should_stop()) {
		n = kecho_poll(stops, &event, 100);
		if (n <= 0)
			continue;
		kecho_event_put(stops, &event);
		snprintf(text, sizeof(text), "ticked %u refused %d answered %d", ticked, atomic_read(&refused),
			 atomic_read(&answered));
		publish("stopped", text, NULL, 0);
	}
	return 0;
}

static int __init service_init(void)
{
	struct kecho_event none;
	int err;

	kecho = kecho_open(channel, KECHO_CREATE);
	if (IS_ERR(kecho))
		return PTR_ERR(kecho);
	requests = kecho_subscribe(kecho, "request", request, "re:");
	err = PTR_ERR_OR_ZERO(requests);
	if (err)
		goto err_close;
	/* What has a handler cannot be polled. */
	err = kecho_poll(requests, &none, 0) == -EINVAL ? 0 : -EPROTO;
	if (err)
		goto err_requests;
	stops = kecho_subscribe(kecho, "stop", NULL, NULL);
	err = PTR_ERR_OR_ZERO(stops);
	if (err)
		goto err_requests;
	err = kecho_sub_attr_set(requests, "serves=all\nbad\n") == -EINVAL ? kecho_sub_attr_set(requests, "serves=all\n") : -EPROTO;
	if (err)
		goto err_stops;
	err = kecho_attr_set(kecho, "service=yes\nbad\n") == -EINVAL ? kecho_attr_set(kecho, "service=yes\n") : -EPROTO;
	if (err)
		goto err_stops;
	poller = kthread_run(poll_stops, NULL, "kecho_test");
	err = PTR_ERR_OR_ZERO(poller);
	if (err)
		goto err_stops;
	timer_setup(&timer, tick, 0);
	mod_timer(&timer, jiffies + 1);
	return 0;
err_stops:
	kecho_unsubscribe(stops);
err_requests:
	kecho_unsubscribe(requests);
err_close:
	kecho_close(kecho);
	return err;
}

static void __exit service_exit(void)
{
	timer_delete_sync(&timer);
	kthread_stop(poller);
	kecho_unsubscribe(stops);
	kecho_unsubscribe(requests);
	kecho_close(kecho);
}

module_init(service_init);
module_exit(service_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: a service for the tests");
