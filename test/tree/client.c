// SPDX-License-Identifier: GPL-2.0
/*
 * client TEST [ARG]: one of libkecho's tests, on channel $CH, by the way that $KECHO_VIA says. Status 0, or what was wrong on stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <kecho/kecho.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SMALL 4096	/* the least ring */

static const char *channel;
static int soon = 10000;	/* milliseconds that nothing takes */

static _Noreturn void fail(int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "client.c:%d: ", line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

#define OK(cond) ((cond) ? (void)0 : fail(__LINE__, "false: %s", #cond))
#define EQ(a, b) eq(__LINE__, #a, a, b)

static void eq(int line, const char *what, long long got, long long want)
{
	if (got != want)
		fail(line, "%s is %lld, not %lld", what, got, want);
}

/* --- what the tests share --- */

static struct kecho *open_channel(__u32 size)
{
	struct kecho_options o = { .publish_size = size, .receive_size = size };
	struct kecho *k = kecho_open_with(channel, KECHO_CREATE, &o);

	EQ(kecho_error(k), 0);
	return k;
}

static struct kecho_sub *subscribe(struct kecho *k, const char *type)
{
	struct kecho_sub *s = kecho_subscribe(k, type, NULL, NULL);

	EQ(kecho_error(s), 0);
	return s;
}

static void end(struct kecho *k, struct kecho_sub *s)
{
	if (s)
		kecho_unsubscribe(s);
	EQ(kecho_flush(k, soon), 0);
	kecho_close(k);
}

static int publish_text(struct kecho *k, const char *type, const char *text, unsigned int flags)
{
	struct kecho_event ev = { .data = text, .len = strlen(text), .type = type, .type_len = type ? strlen(type) : 0 };

	return kecho_publish(k, &ev, flags);
}

static int publish_number(struct kecho *k, unsigned int n, unsigned int flags)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return publish_text(k, NULL, text, flags);
}

static bool text_is(const struct kecho_event *ev, const char *text)
{
	return ev->len == strlen(text) && !memcmp(ev->data, text, ev->len);
}

static unsigned int number(const struct kecho_event *ev)
{
	char text[16] = "";

	OK(ev->len < sizeof(text));
	memcpy(text, ev->data, ev->len);
	return strtoul(text, NULL, 10);
}

static void take(struct kecho_sub *s, struct kecho_event *ev)
{
	EQ(kecho_poll(s, ev, soon), 1);
}

static void expect_text(struct kecho_sub *s, const char *text)
{
	struct kecho_event ev;

	take(s, &ev);
	if (!text_is(&ev, text))
		fail(__LINE__, "got %.*s, not %s", (int)ev.len, (const char *)ev.data, text);
	kecho_event_put(s, &ev);
}

static void expect_number(struct kecho_sub *s, unsigned int n)
{
	struct kecho_event ev;

	take(s, &ev);
	EQ(number(&ev), n);
	EQ(ev.lost, 0);
	kecho_event_put(s, &ev);
}

static void expect_nothing(struct kecho_sub *s)
{
	struct kecho_event ev;

	EQ(kecho_poll(s, &ev, 50), 0);
}

static bool by_file(const char *via)
{
	return !strcmp(via, "file");
}

static void setting(struct kecho *k, const char *lines)
{
	EQ(kecho_attr_set(k, lines), 0);
}

static bool members_say(const char *what)
{
	char path[4096], text[65536];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/members", getenv("KECHO_DIR"), channel);
	f = fopen(path, "r");
	OK(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return strstr(text, what);
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t t;

	EQ(pthread_create(&t, NULL, run, arg), 0);
	return t;
}

/* --- the tests --- */

/* Prints the publisher's id. */
static void fields(const char *arg)
{
	static const char payload[] = "pay\nload\0end";
	struct kecho *k = open_channel(0);
	struct kecho_event ev = { .data = payload, .len = sizeof(payload), .type = "alarm", .type_len = 5, .prio = 7, .deadline_us = 250000000 };
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event got[3], none = { 0 };
	struct kecho_attr a;
	struct timespec now;
	char attrs[256];
	__u32 pos = 0;
	int i;

	OK(!kecho_via(k) && !kecho_sub_via(s));
	EQ(kecho_poll(s, &got[0], 0), 0);
	ev.attrs = attrs;
	ev.attrs_len = kecho_attr_encode("n=-3\nd=1.5\ns=a b\nq=\"7\"\n", attrs, sizeof(attrs));
	OK(ev.attrs_len);
	EQ(kecho_publish(k, &ev, 0), 0);
	take(s, &got[0]);
	/* What was received can be published on. */
	EQ(kecho_publish(k, &got[0], KECHO_NOWAIT), 0);
	EQ(kecho_publish(k, &none, 0), 0);
	take(s, &got[1]);
	take(s, &got[2]);
	clock_gettime(CLOCK_REALTIME, &now);
	for (i = 0; i < 2; i++) {
		OK(got[i].len == sizeof(payload) && !memcmp(got[i].data, payload, sizeof(payload)));
		OK(got[i].type_len == 5 && !memcmp(got[i].type, "alarm", 5));
		EQ(got[i].prio, 7);
		EQ(got[i].deadline_us, 250000000);
		OK(got[i].attrs_len == ev.attrs_len && !memcmp(got[i].attrs, attrs, ev.attrs_len));
	}
	for (i = 0; i < 3; i++) {
		EQ(got[i].flags, KECHO_FRAME_LOCAL);
		EQ(got[i].lost, 0);
		EQ(got[i].seq, got[0].seq + i);
		EQ(got[i].publisher, got[0].publisher);
		OK(llabs((long long)got[i].time_ns - (now.tv_sec * 1000000000ll + now.tv_nsec)) < 10000000000ll);
	}
	EQ(got[2].len + got[2].type_len + got[2].attrs_len + got[2].prio + got[2].deadline_us, 0);
	OK(kecho_attr_find(got[1].attrs, got[1].attrs_len, "s", &a) && a.str_len == 3 && !memcmp(a.str, "a b", 3));
	EQ(kecho_attr_text(&a, attrs, 3), 3);
	OK(!strcmp(attrs, "a "));
	OK(!kecho_attr_find(got[1].attrs, got[1].attrs_len, "x", &a));
	for (i = 0; kecho_attr_next(got[1].attrs, got[1].attrs_len, &pos, &a); i++) {
		static const char *const texts[] = { "1.5", "-3", "\"7\"", "a b" };

		EQ(kecho_attr_text(&a, attrs, sizeof(attrs)), strlen(texts[i]));
		OK(!strcmp(attrs, texts[i]));
	}
	EQ(i, 4);
	for (i = 0; i < 3; i++)
		kecho_event_put(s, &got[i]);
	if (getenv("KECHO_VIA")) {
		OK(!strcmp(kecho_via(k), getenv("KECHO_VIA")));
		OK(!strcmp(kecho_sub_via(s), getenv("KECHO_VIA")));
	}
	printf("%016llx\n", (unsigned long long)got[0].publisher);
	end(k, s);
}

/* Prints by which way one publishes and receives that is not told. */
static void by_itself(const char *arg)
{
	struct kecho *k = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);

	publish_number(k, 1, 0);
	expect_number(s, 1);
	printf("%s %s\n", kecho_via(k), kecho_sub_via(s));
	end(k, s);
}

static void batches(const char *arg)
{
	struct kecho *k = open_channel(16384);
	struct kecho_sub *s = subscribe(k, NULL);
	unsigned int n, i;

	for (n = 0; n < 10000; n += 100) {
		for (i = 0; i < 100; i++)
			EQ(publish_number(k, n + i, i < 99 ? KECHO_MORE : 0), 0);
		for (i = 0; i < 100; i++)
			expect_number(s, n + i);
	}
	expect_nothing(s);
	/* What nobody has told the node of is told by a flush, or at the end. */
	EQ(publish_number(k, n, KECHO_MORE), 0);
	EQ(kecho_flush(k, soon), 0);
	expect_number(s, n);
	EQ(publish_number(k, n, KECHO_MORE | KECHO_NOWAIT), 0);
	kecho_close(k);
	expect_number(s, n);
	kecho_unsubscribe(s);
}

/* Events that are held, while others come and go. */
static void held(const char *arg)
{
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event ev[20];
	unsigned int n = 0, i, want[ARRAY_SIZE(ev)];
	bool have[ARRAY_SIZE(ev)] = { false };

	srandom(1);
	for (i = 0; i < 10; i++)
		EQ(publish_number(k, i, 0), 0);
	for (i = 0; i < 10; i++)
		take(s, &ev[i]);
	for (i = 0; i < 10; i += 2)
		kecho_event_put(s, &ev[i]);
	expect_nothing(s);
	for (i = 1; i < 10; i += 2) {
		EQ(number(&ev[i]), i);
		kecho_event_put(s, &ev[i]);
	}
	for (n = 0; n < 5000; n++) {
		/* The ring has room for 70: none may be held for much longer than half of that. */
		for (i = 0; i < ARRAY_SIZE(ev); i++)
			if (have[i] && n - want[i] > 30)
				break;
		if (i == ARRAY_SIZE(ev))
			i = random() % ARRAY_SIZE(ev);
		if (have[i]) {
			EQ(number(&ev[i]), want[i]);
			kecho_event_put(s, &ev[i]);
		}
		EQ(publish_number(k, n, 0), 0);
		take(s, &ev[i]);
		want[i] = n;
		have[i] = true;
	}
	for (i = 0; i < ARRAY_SIZE(ev); i++) {
		EQ(number(&ev[i]), want[i]);
		kecho_event_put(s, &ev[i]);
	}
	end(k, s);
}

struct counting {
	struct kecho *k;
	unsigned int next, wrong;
	bool blocked;
};

static void count(const struct kecho_event *ev, void *arg)
{
	struct counting *c = arg;
	sigset_t set;

	c->wrong += number(ev) != c->next;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	c->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGALRM);
	__atomic_add_fetch(&c->next, 1, __ATOMIC_SEQ_CST);
}

static void handlers(const char *arg)
{
	struct kecho *k = open_channel(SMALL);
	struct counting c = { .k = k }, other = { .k = k };
	struct kecho_sub *s, *t;
	struct kecho_event ev;
	struct pollfd gone;
	int i;

	setting(k, "kecho.overflow=block\n");
	s = kecho_subscribe(k, NULL, count, &c);
	EQ(kecho_error(s), 0);
	t = kecho_subscribe(k, "tick", count, &other);
	EQ(kecho_error(t), 0);
	EQ(kecho_poll(s, &ev, 0), -EINVAL);
	EQ(kecho_signal(s, SIGIO), -EINVAL);
	for (i = 0; i < 2000; i++)
		EQ(publish_number(k, i, 0), 0);
	for (i = 0; i < soon && __atomic_load_n(&c.next, __ATOMIC_SEQ_CST) < 2000; i++)
		usleep(1000);
	kecho_unsubscribe(t);
	gone.fd = kecho_fd(s);
	gone.events = POLLIN;
	EQ(poll(&gone, 1, 0), 0);
	kecho_unsubscribe(s);
	EQ(c.next, 2000);
	EQ(c.wrong, 0);
	OK(c.blocked);
	EQ(other.next, 0);
	end(k, NULL);
}

static void types(const char *arg)
{
	struct kecho *k = open_channel(0), *plain;
	struct kecho_sub *all = subscribe(k, NULL), *alarms = subscribe(k, "alarm");
	struct kecho_event ev;

	EQ(kecho_poll(alarms, &ev, 0), 0);
	EQ(publish_text(k, "note", "a", 0), 0);
	EQ(publish_text(k, NULL, "b", 0), 0);
	EQ(publish_text(k, "alarm", "c", 0), 0);
	expect_text(alarms, "c");
	expect_nothing(alarms);
	expect_text(all, "a");
	expect_text(all, "b");
	expect_text(all, "c");
	/* Only who may create it declares a type. */
	plain = kecho_open(channel, 0);
	EQ(kecho_error(plain), 0);
	EQ(kecho_error(kecho_subscribe(plain, "none", NULL, NULL)), -ENOENT);
	kecho_close(plain);
	kecho_unsubscribe(alarms);
	end(k, all);
}

static void attrs(const char *arg)
{
	struct kecho *k = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);
	char buf[64], *big = malloc(8192);

	EQ(kecho_attr_set(k, "load=0.25\nzone=a\nn=7\nq=\"7\"\n"), 0);
	EQ(kecho_attr_get(k, "load", buf, sizeof(buf)), 4);
	OK(!strcmp(buf, "0.25"));
	EQ(kecho_attr_get(k, "q", buf, sizeof(buf)), 3);
	OK(!strcmp(buf, "\"7\""));
	EQ(kecho_attr_get(k, "load", buf, 3), 4);
	OK(!strcmp(buf, "0."));
	EQ(kecho_attr_get(k, "load", NULL, 0), 4);
	EQ(kecho_attr_get(k, "loa", buf, sizeof(buf)), -ENOENT);
	EQ(kecho_attr_get(k, "kecho.queue", buf, sizeof(buf)), -ENOENT);
	EQ(kecho_attr_set(k, "n=8\nbad\n"), -EINVAL);
	EQ(kecho_attr_get(k, "n", buf, sizeof(buf)), 1);
	OK(!strcmp(buf, "7"));
	EQ(kecho_attr_set(k, "n="), 0);
	EQ(kecho_attr_get(k, "n", buf, sizeof(buf)), -ENOENT);
	memset(big, 'x', 8191);
	big[8191] = 0;
	EQ(kecho_sub_attr_set(s, big), -E2BIG);
	EQ(kecho_sub_attr_set(s, "bad\n"), -EINVAL);
	EQ(kecho_sub_attr_set(s, "role=sink\nprio=3\n"), 0);
	OK(members_say("prio=3\trole=sink"));
	EQ(kecho_sub_attr_set(s, "prio="), 0);
	OK(!members_say("prio=3"));
	free(big);
	end(k, s);
}

static void fill(char *p, __u32 len, unsigned int n)
{
	__u32 i;

	for (i = 0; i < len; i++)
		p[i] = i * 31 + n * 7 + (i >> 8);
}

/* Larger than a place in the rings, and than the rings; in their order among small ones. */
static void large(const char *arg)
{
	static const __u32 sizes[] = { 0, SMALL / 4 - 48, SMALL / 4 - 47, 1, SMALL, 5000, 70000, 300000, 2, 1 << 20, 3 };
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	char *out = malloc((1 << 20) + 1), *want = malloc(1 << 20), attrs[64];
	struct kecho_event ev = { .data = out }, got[ARRAY_SIZE(sizes)];
	unsigned int i, round;

	OK(out && want);
	EQ(kecho_poll(s, &got[0], 0), 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			ev.len = sizes[i];
			fill(out, sizes[i], i);
			ev.type = round ? "big" : NULL;
			ev.type_len = round ? 3 : 0;
			ev.attrs = attrs;
			ev.attrs_len = round == 2 ? kecho_attr_encode("id=5\nwhere=\"1\"\n", attrs, sizeof(attrs)) : 0;
			EQ(kecho_publish(k, &ev, i & 1 ? KECHO_MORE : 0), 0);
		}
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			take(s, &got[i]);
			EQ(got[i].len, sizes[i]);
			EQ(got[i].seq, got[0].seq + i);
			EQ(got[i].type_len, ev.type_len);
			OK(got[i].attrs_len == ev.attrs_len && !memcmp(got[i].attrs, attrs, ev.attrs_len));
			EQ(got[i].flags, KECHO_FRAME_LOCAL);
		}
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			fill(want, sizes[i], i);
			OK(!memcmp(got[i].data, want, sizes[i]));
			kecho_event_put(s, &got[i]);
		}
	}
	ev.len = (1 << 20) + 1;
	EQ(kecho_publish(k, &ev, 0), -EMSGSIZE);
	ev.len = ~0u;
	EQ(kecho_publish(k, &ev, KECHO_NOWAIT), -EMSGSIZE);
	expect_nothing(s);
	free(out);
	free(want);
	end(k, s);
}

struct publisher {
	struct kecho *k;
	unsigned int from, to, step, flags, pause_us;
	int err;
};

static void *publish_numbers(void *arg)
{
	struct publisher *p = arg;
	unsigned int n;

	for (n = p->from; n < p->to && !p->err; n += p->step) {
		p->err = publish_number(p->k, n, p->flags);
		if (p->pause_us && n % 3 == 0)
			usleep(p->pause_us);
	}
	if (!p->err)
		p->err = kecho_flush(p->k, soon);
	return NULL;
}

/* A full channel that may not drop anything. */
static void block(const char *arg)
{
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	struct publisher more = { .k = k, .step = 1 };
	unsigned int n, i;
	struct kecho_event ev;
	pthread_t t;
	int err, left;

	setting(k, "kecho.overflow=block\nkecho.queue=4\n");
	EQ(kecho_poll(s, &ev, 0), 0);
	for (n = 0; n < 10000; n++) {
		err = publish_number(k, n, KECHO_NOWAIT);
		/* The node may be at it still. */
		if (err == -EAGAIN && kecho_flush(k, 200) >= 0)
			err = publish_number(k, n, KECHO_NOWAIT);
		if (err)
			break;
	}
	EQ(err, -EAGAIN);
	OK(n >= 4 && n < 1000);
	left = kecho_flush(k, 0);
	if (by_file(kecho_via(k)))
		EQ(left, 0);
	else
		OK(left > 0 && left < (int)n - 3);
	EQ(kecho_flush(k, 100), left);
	/* One for which there never is a place in the ring waits behind the others. */
	ev = (struct kecho_event){ .data = &ev, .len = SMALL };
	OK(by_file(kecho_via(k)) || kecho_publish(k, &ev, KECHO_NOWAIT) == -EAGAIN);
	more.from = n;
	more.to = n + 500;
	t = start(publish_numbers, &more);
	for (i = 0; i < n + 500; i++)
		expect_number(s, i);
	pthread_join(t, NULL);
	EQ(more.err, 0);
	expect_nothing(s);
	/* A signal ends the wait. */
	end(k, s);
}

static void on_alarm(int signo)
{
}

/* A signal ends each wait. */
static void interrupted(const char *arg)
{
	struct sigaction alarms = { .sa_handler = on_alarm };
	struct itimerspec often = { .it_interval = { .tv_nsec = 50000000 }, .it_value = { .tv_nsec = 50000000 } };
	struct sigevent ring = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event ev;
	timer_t timer;
	int n, err = 0;

	setting(k, "kecho.overflow=block\nkecho.queue=4\n");
	EQ(kecho_poll(s, &ev, 0), 0);
	sigaction(SIGALRM, &alarms, NULL);
	EQ(timer_create(CLOCK_MONOTONIC, &ring, &timer), 0);
	EQ(timer_settime(timer, 0, &often, NULL), 0);
	EQ(kecho_poll(s, &ev, -1), -EINTR);
	for (n = 0; n < 10000 && !err; n++)
		err = publish_number(k, n, 0);
	EQ(err, -EINTR);
	if (!by_file(kecho_via(k)))
		EQ(kecho_flush(k, -1), -EINTR);
	timer_delete(timer);
	kecho_unsubscribe(s);
	end(k, NULL);
}

/* Every event is received or counted. */
static void lost(const char *arg)
{
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	unsigned int n, got = 0;
	struct kecho_event ev;
	__u64 seq, missing = 0;

	setting(k, "kecho.queue=4\n");
	EQ(publish_number(k, 0, 0), 0);
	take(s, &ev);
	seq = ev.seq;
	kecho_event_put(s, &ev);
	for (n = 0; n < 500; n++)
		EQ(publish_number(k, n, 0), 0);
	EQ(kecho_flush(k, soon), 0);
	for (; kecho_poll(s, &ev, 100) == 1; got++) {
		missing += ev.seq - seq - 1;
		seq = ev.seq;
		n = number(&ev);
		kecho_event_put(s, &ev);
	}
	EQ(n, 499);
	EQ(publish_number(k, 500, 0), 0);
	take(s, &ev);
	EQ(number(&ev), 500);
	EQ(ev.lost, 500 - got);
	EQ(missing, 500 - got);
	OK(got >= 4 && got < 500);
	kecho_event_put(s, &ev);
	end(k, s);
}

static int ready(int epfd, int ms)
{
	struct epoll_event ev;

	return epoll_wait(epfd, &ev, 1, ms);
}

static void descriptors(const char *arg)
{
	struct kecho *k = open_channel(SMALL), *other = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);
	struct publisher p = { .k = other, .to = 3000, .step = 1, .pause_us = 100 };
	int epfd = epoll_create1(0), i;
	struct epoll_event in = { .events = EPOLLIN };
	struct kecho_event ev, first;
	unsigned int n = 0;
	pthread_t t;

	setting(k, "kecho.overflow=block\n");
	EQ(kecho_poll(s, &ev, 0), 0);
	/* What is there before is told, too. */
	EQ(publish_text(k, NULL, "before", 0), 0);
	EQ(kecho_flush(k, soon), 0);
	EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, kecho_fd(s), &in), 0);
	EQ(ready(epfd, soon), 1);
	expect_text(s, "before");
	EQ(kecho_poll(s, &ev, 0), 0);
	EQ(ready(epfd, 50), 0);
	/* An event that is held is no news. */
	EQ(publish_text(k, NULL, "held", 0), 0);
	EQ(ready(epfd, soon), 1);
	take(s, &first);
	EQ(kecho_poll(s, &ev, 0), 0);
	EQ(ready(epfd, 50), 0);
	EQ(kecho_poll(s, &ev, 50), 0);
	OK(text_is(&first, "held"));
	kecho_event_put(s, &first);
	t = start(publish_numbers, &p);
	while (n < p.to) {
		EQ(ready(epfd, soon), 1);
		/* Now and then all that is there, now and then less. */
		for (i = n % 2 ? 1 : 1000; i && kecho_poll(s, &ev, 0) == 1; i--) {
			EQ(number(&ev), n++);
			kecho_event_put(s, &ev);
		}
	}
	pthread_join(t, NULL);
	EQ(p.err, 0);
	EQ(kecho_poll(s, &ev, 0), 0);
	EQ(ready(epfd, 50), 0);
	close(epfd);
	kecho_close(other);
	end(k, s);
}

static void await(const sigset_t *set, int signo)
{
	struct timespec limit = { soon / 1000, 0 };

	EQ(sigtimedwait(set, NULL, &limit), signo);
}

static void signals(const char *arg)
{
	struct timespec at_once = { 0, 0 };
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL), *late = subscribe(k, NULL);
	struct kecho_event ev;
	int signo = SIGRTMIN + 1, i, err;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	EQ(kecho_signal(s, -1), -EINVAL);
	err = kecho_signal(s, signo);
	if (err == -EOPNOTSUPP && by_file(kecho_sub_via(s))) {
		puts("none");
		kecho_unsubscribe(late);
		end(k, s);
		return;
	}
	EQ(err, 0);
	EQ(kecho_poll(late, &ev, 0), 0);
	EQ(kecho_signal(late, signo), 0);
	kecho_unsubscribe(late);
	for (i = 0; i < 300; i++) {
		EQ(kecho_poll(s, &ev, 0), 0);
		EQ(publish_number(k, i, 0), 0);
		await(&set, signo);
		expect_number(s, i);
	}
	EQ(kecho_signal(s, 0), 0);
	EQ(kecho_poll(s, &ev, 0), 0);
	while (sigtimedwait(&set, NULL, &at_once) == signo)
		;
	EQ(publish_number(k, i, 0), 0);
	expect_number(s, i);
	EQ(sigtimedwait(&set, NULL, &at_once), -1);
	end(k, s);
}

struct receiver {
	struct kecho_sub *s;
	unsigned int *got, *next;
};

static void *receive_numbers(void *arg)
{
	struct receiver *r = arg;
	struct kecho_event ev;

	while (__atomic_load_n(r->got, __ATOMIC_SEQ_CST) < 6000) {
		int n = kecho_poll(r->s, &ev, 200);

		if (n == 0)
			continue;
		EQ(n, 1);
		__atomic_add_fetch(&r->next[number(&ev)], 1, __ATOMIC_SEQ_CST);
		kecho_event_put(r->s, &ev);
		__atomic_add_fetch(r->got, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Three publish by one channel that is open, two receive by one subscription; and one receives all, in each publisher's order. */
static void threads(const char *arg)
{
	static unsigned int seen[6000];
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL), *both = subscribe(k, NULL);
	struct publisher p[3] = {
		{ .k = k, .to = 6000, .step = 3 }, { .k = k, .from = 1, .to = 6000, .step = 3, .flags = KECHO_MORE },
		{ .k = k, .from = 2, .to = 6000, .step = 3, .pause_us = 10 },
	};
	unsigned int last[3] = { 0 }, first[3] = { 1, 1, 1 }, i, n, got = 0;
	struct receiver r = { both, &got, seen };
	pthread_t t[3], u[2];
	struct kecho_event ev;

	setting(k, "kecho.overflow=block\n");
	for (i = 0; i < 2; i++)
		u[i] = start(receive_numbers, &r);
	for (i = 0; i < 3; i++)
		t[i] = start(publish_numbers, &p[i]);
	for (i = 0; i < 6000; i++) {
		take(s, &ev);
		n = number(&ev);
		OK(first[n % 3] || n == last[n % 3] + 3);
		first[n % 3] = 0;
		last[n % 3] = n;
		kecho_event_put(s, &ev);
	}
	for (i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		EQ(p[i].err, 0);
	}
	for (i = 0; i < 2; i++)
		pthread_join(u[i], NULL);
	for (i = 0; i < 6000; i++)
		EQ(seen[i], 1);
	kecho_unsubscribe(both);
	end(k, s);
}

static void errors(const char *arg)
{
	static const char *const names[] = { "", ".x", "a/b", "a b", ".", "..",
		"12345678901234567890123456789012345678901234567890123456789012345" };
	struct kecho_options nowhere = { .dir = "/" }, elsewhere = { .dir = "/nowhere" }, no_way = { .via = "air" };
	struct kecho *k = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event ev = { .data = "x", .len = 1 }, none;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EQ(kecho_error(kecho_open(names[i], KECHO_CREATE)), -EINVAL);
		EQ(kecho_error(kecho_subscribe(k, names[i], NULL, NULL)), -EINVAL);
	}
	EQ(kecho_error(kecho_open(channel, 2)), -EINVAL);
	EQ(kecho_error(kecho_open("not-there", 0)), -ENOENT);
	EQ(kecho_error(kecho_open_with(channel, 0, &nowhere)), -ENXIO);
	EQ(kecho_error(kecho_open_with(channel, 0, &elsewhere)), -ENXIO);
	EQ(kecho_error(kecho_open_with(channel, 0, &no_way)), -EINVAL);
	ev.prio = 8;
	EQ(kecho_publish(k, &ev, 0), -EINVAL);
	ev.prio = 0;
	EQ(kecho_publish(k, &ev, 4), -EINVAL);
	ev.type = ".x";
	ev.type_len = 2;
	EQ(kecho_publish(k, &ev, 0), -EINVAL);
	ev.type_len = 0;
	ev.attrs = "\1\1\1\1\1";
	ev.attrs_len = 5;
	EQ(kecho_publish(k, &ev, 0), -EINVAL);
	ev.attrs_len = 0;
	OK(!kecho_via(k));
	expect_nothing(s);
	EQ(kecho_flush(k, -1), 0);
	EQ(kecho_publish(k, &ev, KECHO_NOWAIT), 0);
	expect_text(s, "x");
	EQ(kecho_poll(s, &none, 0), 0);
	/* An attribute list with no room for it. */
	EQ(kecho_attr_encode("a=1", (void *)names, 1), -E2BIG);
	EQ(kecho_attr_encode("a", (void *)names, 1), -EINVAL);
	end(k, s);
}

static void node_setting(const char *line)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/.node/config", getenv("KECHO_DIR"));
	f = fopen(path, "w");
	OK(f);
	fputs(line, f);
	EQ(fclose(f), 0);
}

/* What the node refuses though it was right when the rings were made is not lost without a word. */
static void refused(const char *arg)
{
	struct kecho *k = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);
	char data[200] = "";
	struct kecho_event ev = { .data = data, .len = sizeof(data) }, got;
	int err;

	EQ(kecho_publish(k, &ev, 0), 0);
	take(s, &got);
	kecho_event_put(s, &got);
	EQ(kecho_flush(k, soon), 0);
	node_setting("max_event=100\n");
	err = kecho_publish(k, &ev, 0);
	if (!err)
		err = kecho_flush(k, soon);
	node_setting("max_event=1048576\n");
	EQ(err, -EMSGSIZE);
	EQ(kecho_publish(k, &ev, 0), 0);
	EQ(kecho_flush(k, soon), 0);
	take(s, &got);
	kecho_event_put(s, &got);
	expect_nothing(s);
	end(k, s);
}

/* What permissions of the files refuse. */
static void denied(const char *arg)
{
	struct kecho *k = kecho_open(channel, 0);
	struct kecho_sub *s;

	EQ(kecho_error(k), 0);
	s = kecho_subscribe(k, NULL, NULL, NULL);
	printf("publish %d subscribe %d set %d\n", publish_text(k, NULL, "denied", 0), kecho_error(s), kecho_attr_set(k, "a=1"));
	if (s)
		kecho_unsubscribe(s);
	kecho_close(k);
}

/* The way is not there. */
static void absent(const char *arg)
{
	struct kecho *k = open_channel(0);
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event ev;

	EQ(publish_text(k, NULL, "x", 0), -ENXIO);
	EQ(kecho_poll(s, &ev, 0), -ENXIO);
	EQ(kecho_fd(s), -ENXIO);
	EQ(kecho_signal(s, SIGIO), -ENXIO);
	EQ(kecho_error(kecho_subscribe(k, NULL, count, NULL)), -ENXIO);
	kecho_unsubscribe(s);
	kecho_close(k);
}

/* For strace: this many events between two calls that nobody else makes. */
static void quiet(const char *arg)
{
	struct kecho_options o = { .publish_size = 1 << 20, .receive_size = 1 << 20, .idle_us = KECHO_RING_IDLE_MAX };
	unsigned long total = strtoul(arg, NULL, 10), done, i;
	struct kecho *k = kecho_open_with(channel, KECHO_CREATE, &o);
	struct kecho_event ev = { 0 }, got;
	struct timespec from, to;
	struct kecho_sub *s;
	__u64 n = 0;

	EQ(kecho_error(k), 0);
	s = subscribe(k, NULL);
	EQ(kecho_poll(s, &got, 0), 0);
	EQ(publish_number(k, 0, 0), 0);
	expect_number(s, 0);
	ev.data = &n;
	ev.len = sizeof(n);
	clock_gettime(CLOCK_MONOTONIC, &from);
	syscall(SYS_getpgid, 0x1234567);
	for (done = 0; done < total; done += 1000) {
		for (i = 0; i < 1000; i++, n++)
			if (kecho_publish(k, &ev, KECHO_NOWAIT | (i < 999 ? KECHO_MORE : 0)))
				goto out;
		for (i = 0; i < 1000; i++) {
			int err;

			while (!(err = kecho_poll(s, &got, 0)))
				;
			if (err < 0 || *(const __u64 *)got.data != done + i)
				goto out;
			kecho_event_put(s, &got);
		}
	}
out:
	syscall(SYS_getpgid, 0x1234567);
	clock_gettime(CLOCK_MONOTONIC, &to);
	EQ(done, total);
	fprintf(stderr, "%lu events in %lld us\n", total,
		(to.tv_sec - from.tv_sec) * 1000000ll + (to.tv_nsec - from.tv_nsec) / 1000);
	end(k, s);
}

/* Publishes and receives until it is killed, with events that it holds, and that nobody has been told of. */
static void busy(const char *arg)
{
	struct kecho *k = open_channel(SMALL);
	struct kecho_sub *s = subscribe(k, NULL);
	struct kecho_event held, ev;
	unsigned int n;

	EQ(publish_number(k, 0, 0), 0);
	take(s, &held);
	for (n = 1;; n++) {
		EQ(publish_number(k, n, KECHO_MORE), 0);
		if (n % 10 == 0 && kecho_poll(s, &ev, 0) == 1)
			kecho_event_put(s, &ev);
		if (n == 1000) {
			puts("busy");
			fflush(stdout);
		}
	}
}

/* Until the node dies: then each style must end with -ENODEV. */
static void survive(const char *style)
{
	struct kecho *k = open_channel(SMALL);
	struct counting c = { .k = k };
	bool handler = !strcmp(style, "handler");
	struct kecho_sub *s = kecho_subscribe(k, NULL, handler ? count : NULL, &c);
	int fd = strcmp(style, "epoll") && !handler ? -1 : kecho_fd(s), err = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct kecho_event ev;

	EQ(kecho_error(s), 0);
	EQ(publish_number(k, 0, 0), 0);
	EQ(kecho_flush(k, soon), 0);
	if (!handler)
		expect_number(s, 0);
	puts("ready");
	fflush(stdout);
	while (err >= 0) {
		if (!strcmp(style, "block"))
			err = kecho_poll(s, &ev, -1);
		else if (!strcmp(style, "spin"))
			err = kecho_poll(s, &ev, 0);
		else if (!strcmp(style, "epoll"))
			err = poll(&p, 1, -1) < 0 ? -errno : kecho_poll(s, &ev, 0);
		else if (!strcmp(style, "publish"))
			err = publish_number(k, 1, KECHO_NOWAIT), usleep(1000);
		else if (!strcmp(style, "flush"))
			err = publish_number(k, 1, 0), err = err ? err : kecho_flush(k, -1), usleep(1000);
		else if (handler)
			err = poll(&p, 1, -1) < 0 ? -errno : kecho_poll(s, &ev, 0);
		else
			fail(__LINE__, "no style %s", style);
		if (err == -EAGAIN)
			err = 0;
	}
	EQ(err, -ENODEV);
	/* What was published into memory that nobody looks at any more is not said to be taken. */
	err = publish_number(k, 1, 0);
	EQ(err ? err : kecho_flush(k, soon), -ENODEV);
	kecho_unsubscribe(s);
	kecho_close(k);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *arg);
	} tests[] = {
		{ "fields", fields }, { "by-itself", by_itself }, { "batches", batches }, { "held", held }, { "handlers", handlers },
		{ "types", types }, { "attrs", attrs }, { "large", large }, { "block", block }, { "interrupted", interrupted },
		{ "lost", lost }, { "descriptors", descriptors }, { "signals", signals }, { "threads", threads }, { "errors", errors }, { "refused", refused },
		{ "denied", denied }, { "absent", absent }, { "quiet", quiet }, { "busy", busy }, { "survive", survive },
	};
	unsigned int i;

	channel = getenv("CH");
	soon *= atoi(getenv("KECHO_SLOW") ?: "1");
	/* Unhandled: one that hangs dies of it. */
	alarm(6 * soon / 1000);
	for (i = 0; argc > 1 && channel && i < ARRAY_SIZE(tests); i++) {
		if (strcmp(argv[1], tests[i].name))
			continue;
		tests[i].run(argc > 2 ? argv[2] : "");
		return 0;
	}
	fprintf(stderr, "usage: client TEST [ARG], with CH, KECHO_DIR and maybe KECHO_VIA\n");
	return 2;
}
