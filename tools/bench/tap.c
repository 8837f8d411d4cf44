// SPDX-License-Identifier: GPL-2.0
/*
 * A line that delays, loses and paces as tc-netem(8) would, for kernels without it: a TAP device in each host, and a process that passes
 * frames from one to the other. It goes before all ordinary processes, as a cable waits for nobody. What cannot be handed over when it
 * is due, for the process was not run, is late; tools that need better have netem.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FRAME_MAX	2048
/* As netem's limit in line.c. */
#define FRAMES_MAX	100000
/* Frames that are read from one side before the other has its turn. */
#define ROUND		64

struct frame {
	struct frame *next;
	uint64_t due;
	size_t len;
	char data[];
};

/**
 * struct way - one direction
 * @from, @to: TAP devices
 * @first, @last, @n: frames on their way, by @due
 * @idle: when the line has sent all of them
 * @random: state of xorshift64*, so that each run loses the same ones (Vigna, "An experimental exploration of Marsaglia's xorshift
 *	generators, scrambled", 2016)
 */
struct way {
	int from, to;
	struct frame *first, **last;
	unsigned int n;
	uint64_t idle, random;
};

static struct {
	double delay_ms, loss_percent, rate_mbit;
} line;

/* In netem's words: of them, those. */
static void parse(const char *netem)
{
	char word[16];
	double value;
	int n;

	for (; sscanf(netem, " %15s %lf%*[a-z%]%n", word, &value, &n) == 2; netem += n) {
		if (!strcmp(word, "delay"))
			line.delay_ms = value;
		else if (!strcmp(word, "loss"))
			line.loss_percent = value;
		else if (!strcmp(word, "rate"))
			line.rate_mbit = value;
		else
			die("no line has %s", word);
	}
}

static int tap_open(int host)
{
	struct ifreq r = { .ifr_name = "eth0", .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd;

	line_enter(host);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r))
		_exit(EXIT_FAILURE);
	return fd;
}

static bool lost(struct way *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (double)(w->random * 2685821657736338717ull) < line.loss_percent / 100 * 18446744073709551616.0;
}

/* False: it has nothing more to send now. */
static bool take(struct way *w)
{
	static char data[FRAME_MAX];
	ssize_t len = read(w->from, data, sizeof(data));
	uint64_t at = now();
	struct frame *f;

	if (len <= 0)
		return false;
	if (lost(w) || w->n == FRAMES_MAX)
		return true;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return true;
	if (line.rate_mbit) {
		w->idle = (w->idle > at ? w->idle : at) + len * 8e3 / line.rate_mbit;
		at = w->idle;
	}
	f->due = at + line.delay_ms * 1e6;
	f->len = len;
	memcpy(f->data, data, len);
	f->next = NULL;
	*w->last = f;
	w->last = &f->next;
	w->n++;
	return true;
}

static void hand_over(struct way *w)
{
	struct frame *f;

	while ((f = w->first) && f->due <= now()) {
		/* A device that does not take it, as when it is down, loses it. */
		if (write(w->to, f->data, f->len) < 0 && errno == EAGAIN)
			break;
		w->first = f->next;
		if (!w->first)
			w->last = &w->first;
		w->n--;
		free(f);
	}
}

static void wait_for(const struct way *ways)
{
	struct pollfd p[2] = { { .fd = ways[0].from, .events = POLLIN }, { .fd = ways[1].from, .events = POLLIN } };
	uint64_t due = UINT64_MAX, at;
	struct timespec t;
	int i;

	for (i = 0; i < 2; i++)
		if (ways[i].first && ways[i].first->due < due)
			due = ways[i].first->due;
	at = now();
	at = due > at ? due - at : 0;
	t = (struct timespec){ at / 1000000000, at % 1000000000 };
	ppoll(p, 2, due == UINT64_MAX ? NULL : &t, NULL);
}

void tap_run(const char *netem, int ready)
{
	struct way ways[2] = { { .random = 1 }, { .random = 2 } };
	int i, n;

	parse(netem);
	for (i = 0; i < 2; i++) {
		ways[i].from = ways[!i].to = tap_open(i);
		ways[i].last = &ways[i].first;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }) || write(ready, "", 1) != 1)
		_exit(EXIT_FAILURE);
	for (;;) {
		wait_for(ways);
		for (i = 0; i < 2; i++) {
			hand_over(&ways[i]);
			for (n = 0; n < ROUND && take(&ways[i]); n++)
				;
		}
	}
}
