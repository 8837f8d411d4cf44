// SPDX-License-Identifier: GPL-2.0
/*
 * kecho_bench: what the API costs inside the kernel, for kecho-bench(1).
 *
 * A line "OPERATION [NAME=VALUE...]" written to kecho_bench/run in debugfs is measured before write(2) returns, by the writer, in its
 * network namespace and on its CPU. Then kecho_bench/results has what came out, one value a line.
 */
#define pr_fmt(fmt) "kecho_bench: " fmt
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/inet.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/nsproxy.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/tcp.h>
#include <net/net_namespace.h>
#include <kecho/kecho.h>
#include <kecho/version.h>

#define LINE_BYTES	4096
#define EVENTS_MAX	100000
#define SIZE_MAX_BYTES	(1 << 20)
#define SINKS_MAX	64
#define PERIOD_MAX_US	USEC_PER_SEC
/* Handlers are waited for. */
#define HANDLED_MS	1000
/* What takes less than a look at the clock is done so often between two. */
#define TIMES		64

/**
 * struct bench - a measurement
 * @channel to @to: as written
 * @ns, @n: samples
 * @data: of an event
 * @given: receivers, of all events together
 * @handled: calls of handlers
 */
struct bench {
	const char *channel;
	u32 events, size, sinks, period_us;
	char *to;
	u64 *ns;
	u32 n;
	void *data;
	u64 given;
	atomic64_t handled;
};

struct results {
	u64 events, least_ns, median_ns, p99_ns, mean_ns, given, handled;
};

static DEFINE_MUTEX(running);	/* a measurement; guards @results */
static struct results results;
static struct dentry *dir;

/* Between two samples. */
static int rest(const struct bench *b)
{
	if (signal_pending(current))
		return -EINTR;
	cond_resched();
	if (b->period_us)
		usleep_range(b->period_us, b->period_us);
	return 0;
}

static void sample(struct bench *b, u64 began, u32 times)
{
	b->ns[b->n++] = div_u64(ktime_get_ns() - began, times);
}

/* --- operations --- */

static int bench_create(struct bench *b)
{
	u64 began = ktime_get_ns();
	struct kecho *k = kecho_open(b->channel, KECHO_CREATE);

	if (IS_ERR(k))
		return PTR_ERR(k);
	sample(b, began, 1);
	kecho_close(k);
	return 0;
}

static int bench_open(struct bench *b)
{
	struct kecho *k;
	int err = 0;
	u64 began;

	while (!err && b->n < b->events) {
		began = ktime_get_ns();
		k = kecho_open(b->channel, 0);
		if (IS_ERR(k))
			return PTR_ERR(k);
		sample(b, began, 1);
		kecho_close(k);
		err = rest(b);
	}
	return err;
}

static int bench_subscribe(struct bench *b)
{
	struct kecho *k = kecho_open(b->channel, KECHO_CREATE);
	struct kecho_sub *sub;
	int err = 0;
	u64 began;

	if (IS_ERR(k))
		return PTR_ERR(k);
	while (!err && b->n < b->events) {
		began = ktime_get_ns();
		sub = kecho_subscribe(k, NULL, NULL, NULL);
		err = PTR_ERR_OR_ZERO(sub);
		if (err)
			break;
		sample(b, began, 1);
		kecho_unsubscribe(sub);
		err = rest(b);
	}
	kecho_close(k);
	return err;
}

static void handler(const struct kecho_event *event, void *arg)
{
	struct bench *b = arg;

	atomic64_inc(&b->handled);
}

static int publish_all(struct bench *b, struct kecho *k)
{
	struct kecho_event event = { .data = b->data, .len = b->size };
	int n, err = 0;
	u64 began;

	while (!err && b->n < b->events) {
		began = ktime_get_ns();
		n = kecho_publish(k, &event, 0);
		if (n < 0)
			return n;
		sample(b, began, 1);
		b->given += n;
		err = rest(b);
	}
	return err;
}

/* To receivers that are there, and @sinks of our own, of which each says its number as the attribute k. */
static int bench_publish(struct bench *b)
{
	struct kecho *k = kecho_open(b->channel, KECHO_CREATE);
	struct kecho_sub *subs[SINKS_MAX];
	char line[16];
	int err = 0, i;
	u32 n = 0;

	if (IS_ERR(k))
		return PTR_ERR(k);
	while (!err && n < b->sinks) {
		subs[n] = kecho_subscribe(k, NULL, handler, b);
		err = PTR_ERR_OR_ZERO(subs[n]);
		if (err)
			break;
		snprintf(line, sizeof(line), "k=%u\n", ++n);
		err = kecho_sub_attr_set(subs[n - 1], line);
	}
	if (!err)
		err = publish_all(b, k);
	for (i = 0; !err && b->sinks && i < HANDLED_MS && atomic64_read(&b->handled) < b->given; i++)
		msleep(1);
	while (n)
		kecho_unsubscribe(subs[--n]);
	kecho_close(k);
	return err;
}

static int poll_all(struct bench *b, struct kecho *k, struct kecho_sub *sub, int there)
{
	struct kecho_event event = { .data = b->data, .len = b->size }, got;
	int err = 0, i, n;
	u64 began;

	while (!err && b->n < b->events) {
		for (i = 0; there && i < TIMES; i++) {
			n = kecho_publish(k, &event, 0);
			if (n < 0)
				return n;
		}
		began = ktime_get_ns();
		for (i = 0; i < TIMES; i++) {
			n = kecho_poll(sub, &got, 0);
			if (n != there)
				return n < 0 ? n : -EPROTO;
			if (n)
				kecho_event_put(sub, &got);
		}
		sample(b, began, TIMES);
		err = rest(b);
	}
	return err;
}

static int poll(struct bench *b, int there)
{
	struct kecho *k = kecho_open(b->channel, KECHO_CREATE);
	struct kecho_sub *sub;
	int err;

	if (IS_ERR(k))
		return PTR_ERR(k);
	sub = kecho_subscribe(k, NULL, NULL, NULL);
	err = PTR_ERR_OR_ZERO(sub);
	if (!err) {
		err = poll_all(b, k, sub, there);
		kecho_unsubscribe(sub);
	}
	kecho_close(k);
	return err;
}

static int bench_poll(struct bench *b)
{
	return poll(b, 1);
}

static int bench_poll_empty(struct bench *b)
{
	return poll(b, 0);
}

/* --- what the kernel has without us: a send for each of TCP's connections --- */

static struct socket *connect_to(char *address)
{
	struct net *net = current->nsproxy->net_ns;
	char *host = strsep(&address, ":");
	struct sockaddr_storage to;
	struct socket *sock;
	int err;

	err = inet_pton_with_scope(net, AF_INET, host, address, &to);
	if (err)
		return ERR_PTR(err);
	err = sock_create_kern(net, AF_INET, SOCK_STREAM, IPPROTO_TCP, &sock);
	if (err)
		return ERR_PTR(err);
	tcp_sock_set_nodelay(sock->sk);
	err = kernel_connect(sock, (struct sockaddr *)&to, sizeof(struct sockaddr_in), 0);
	if (!err)
		return sock;
	sock_release(sock);
	return ERR_PTR(err);
}

static int send_all(struct bench *b, struct socket **socks, u32 n)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL };
	struct kvec vec;
	int err = 0, sent;
	u64 began;
	u32 i;

	while (!err && b->n < b->events) {
		began = ktime_get_ns();
		for (i = 0; i < n; i++) {
			vec = (struct kvec){ b->data, b->size };
			sent = kernel_sendmsg(socks[i], &msg, &vec, 1, b->size);
			if (sent != b->size)
				return sent < 0 ? sent : -EIO;
		}
		sample(b, began, 1);
		b->given += n;
		err = rest(b);
	}
	return err;
}

static int bench_sendmsg(struct bench *b)
{
	struct socket *socks[SINKS_MAX];
	char *list = b->to, *address;
	int err = list ? 0 : -EINVAL;
	u32 n = 0;

	while (!err && (address = strsep(&list, ","))) {
		if (n == SINKS_MAX) {
			err = -E2BIG;
			break;
		}
		socks[n] = connect_to(address);
		err = PTR_ERR_OR_ZERO(socks[n]);
		n += !err;
	}
	if (!err)
		err = send_all(b, socks, n);
	while (n)
		sock_release(socks[--n]);
	return err;
}

static const struct operation {
	const char *name;
	int (*run)(struct bench *b);
} operations[] = {
	{ "create", bench_create },	/* one channel, which is not there yet */
	{ "open", bench_open },
	{ "subscribe", bench_subscribe },
	{ "publish", bench_publish },
	{ "poll", bench_poll },
	{ "poll-empty", bench_poll_empty },
	{ "sendmsg", bench_sendmsg },	/* to=ADDRESS:PORT,... */
};

/* --- debugfs --- */

static int number(const char *text, u32 least, u32 most, u32 *value)
{
	int err = kstrtou32(text, 10, value);

	return err ? err : *value < least || *value > most ? -EINVAL : 0;
}

static int set(struct bench *b, const char *name, char *value)
{
	if (!strcmp(name, "events"))
		return number(value, 1, EVENTS_MAX, &b->events);
	if (!strcmp(name, "size"))
		return number(value, 1, SIZE_MAX_BYTES, &b->size);
	if (!strcmp(name, "sinks"))
		return number(value, 0, SINKS_MAX, &b->sinks);
	if (!strcmp(name, "period_us"))
		return number(value, 0, PERIOD_MAX_US, &b->period_us);
	if (!strcmp(name, "to"))
		b->to = value;
	else if (!strcmp(name, "channel"))
		b->channel = value;
	else
		return -EINVAL;
	return 0;
}

static const struct operation *parse(struct bench *b, char *line)
{
	const struct operation *op = NULL;
	char *word;
	int err, i;

	word = strsep(&line, " ");
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(word, operations[i].name))
			op = &operations[i];
	if (!op)
		return ERR_PTR(-EOPNOTSUPP);
	while ((word = strsep(&line, " "))) {
		char *name = strsep(&word, "=");

		if (!*name && !word)
			continue;
		err = word ? set(b, name, word) : -EINVAL;
		if (err)
			return ERR_PTR(err);
	}
	return op;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void summarize(struct bench *b)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < b->n; i++)
		sum += b->ns[i];
	sort(b->ns, b->n, sizeof(*b->ns), compare, NULL);
	results = (struct results){
		.events = b->n, .least_ns = b->ns[0], .median_ns = b->ns[(b->n - 1) / 2], .p99_ns = b->ns[(b->n * 99ull + 99) / 100 - 1],
		.mean_ns = div_u64(sum, b->n), .given = b->given, .handled = atomic64_read(&b->handled),
	};
}

static int run(struct bench *b, const struct operation *op)
{
	int err;

	b->ns = kvmalloc_array(b->events, sizeof(*b->ns), GFP_KERNEL);
	b->data = kvzalloc(b->size, GFP_KERNEL);
	err = b->ns && b->data ? mutex_lock_interruptible(&running) : -ENOMEM;
	if (!err) {
		err = op->run(b);
		if (!err)
			summarize(b);
		mutex_unlock(&running);
	}
	kvfree(b->data);
	kvfree(b->ns);
	return err;
}

static ssize_t run_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct bench b = { .channel = "bench", .events = 1000, .size = 100 };
	const struct operation *op;
	char *line;
	int err;

	if (count > LINE_BYTES)
		return -E2BIG;
	line = memdup_user_nul(buf, count);
	if (IS_ERR(line))
		return PTR_ERR(line);
	op = parse(&b, strim(line));
	err = IS_ERR(op) ? PTR_ERR(op) : run(&b, op);
	kfree(line);
	return err ? err : count;
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE, .open = simple_open, .write = run_write, .llseek = noop_llseek,
};

static int results_show(struct seq_file *m, void *unused)
{
	struct results r;

	mutex_lock(&running);
	r = results;
	mutex_unlock(&running);
	seq_printf(m, "events=%llu\nleast_ns=%llu\nmedian_ns=%llu\np99_ns=%llu\nmean_ns=%llu\ngiven=%llu\nhandled=%llu\n", r.events,
		   r.least_ns, r.median_ns, r.p99_ns, r.mean_ns, r.given, r.handled);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

static int __init bench_init(void)
{
	dir = debugfs_create_dir("kecho_bench", NULL);
	debugfs_create_file("run", 0200, dir, NULL, &run_fops);
	debugfs_create_file("results", 0400, dir, NULL, &results_fops);
	return PTR_ERR_OR_ZERO(dir);
}

static void __exit bench_exit(void)
{
	debugfs_remove(dir);
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: what the API costs, for kecho-bench");
