// SPDX-License-Identifier: GPL-2.0
/* Memory that both ends have, with an eventfd to sleep at, or alone. It is not lossless: for low rates. */
#include "bench.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS	1024

const char only_memory[] = "";

static union {
	struct payload p;
	char bytes[BYTES];
} *slots;
static int fd = -1;
static bool wakes, sleeps;
static uint64_t next;

static void prepare(const struct entry *e)
{
	wakes = e->variant != only_memory;
	next = 1;
	slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	fd = wakes ? eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE) : -1;
	if (slots == MAP_FAILED || (wakes && fd < 0))
		die("memory and eventfd: %m");
}

static void open_end(const struct entry *e, enum end end, unsigned int nth)
{
	(void)nth;
	sleeps = end == SLEEPS;
	if (sleeps && !wakes)
		die("%s: there is nothing to sleep at", e->name);
}

static void send(const struct payload *p, bool more)
{
	struct payload *slot = &slots[p->seq % SLOTS].p;
	uint64_t one = 1;

	(void)more;
	slot->due = p->due;
	slot->last = p->last;
	__atomic_store_n(&slot->seq, p->seq, __ATOMIC_RELEASE);
	if (wakes && write(fd, &one, sizeof(one)) < 0)
		die("eventfd: %m");
}

static const struct payload *receive(void)
{
	struct payload *slot = &slots[next % SLOTS].p;
	uint64_t n;

	if (sleeps && read(fd, &n, sizeof(n)) < 0)
		die("eventfd: %m");
	if (__atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE) != next)
		return NULL;
	next++;
	return slot;
}

static void tidy(void)
{
	munmap(slots, SLOTS * sizeof(*slots));
	if (fd >= 0)
		close(fd);
}

const struct subject eventfd_subject = {
	.prepare = prepare,
	.open = open_end,
	.send = send,
	.receive = receive,
	.tidy = tidy,
};
