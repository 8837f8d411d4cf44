// SPDX-License-Identifier: GPL-2.0
/* What another host sends for a web server or its client: any bytes; what is let through has the form that those rely on. */
#include <linux/slab.h>
#include "fuzz.h"
#include "../../tools/httpd-lb/message.c"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

void fail(const char *fmt, ...)
{
	abort();
}

static void walk(const char *data, size_t len, int strings)
{
	size_t body = message_body(data, len, strings);
	const char *s = data;
	int i;

	if (!body)
		return;
	CHECK(body <= len && !data[body - 1]);
	for (i = 0; i < strings; i++, s = behind(s))
		CHECK(*s && !strpbrk(s, " \t\r\n"));
	while (*s) {
		CHECK(!strpbrk(s, ": \t\r\n"));
		end_to_end(s, "close, X-Other");
		s = behind(s);
		CHECK(!strpbrk(s, "\r\n"));
		s = behind(s);
	}
	CHECK(s + 1 == data + body);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* Of its exact size, for who watches over memory. */
	char *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	walk(copy, size, ANSWER);
	walk(copy, size, REQUEST);
	free(copy);
	return 0;
}
