// SPDX-License-Identifier: GPL-2.0
#include "httpd.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

void message_add(struct message *m, const void *data, size_t len)
{
	if (m->len + len > m->size) {
		m->size = (m->len + len) * 2;
		m->data = realloc(m->data, m->size);
		if (!m->data)
			fail("%m");
	}
	if (len)
		memcpy(m->data + m->len, data, len);
	m->len += len;
}

void message_string(struct message *m, const char *s)
{
	message_add(m, s, strlen(s) + 1);
}

static bool token(const char *s)
{
	return *s && !s[strspn(s, TOKEN)];
}

/* @least: the first that may be there; DEL never may, tabs as blanks do. */
static bool clean(const char *s, unsigned char least)
{
	for (; *s; s++)
		if (((unsigned char)*s < least && !(*s == '\t' && least == ' ')) || *s == 0x7f)
			return false;
	return true;
}

size_t message_body(const char *data, size_t len, int strings)
{
	const char *s = data, *end = data + len;
	int i;

	for (i = 0; s < end && memchr(s, '\0', end - s); s = behind(s), i++) {
		if (i < strings) {
			if (i == 0 ? !token(s) : !*s || !clean(s, '!'))
				return 0;
		} else if ((i - strings) % 2) {
			if (!clean(s, ' '))
				return 0;
		} else if (!*s) {
			return s + 1 - data;
		} else if (!token(s)) {
			return 0;
		}
	}
	return 0;
}

/* @list: names with commas and blanks between them. */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name), n;

	for (; *(list += strspn(list, ", \t")); list += n) {
		n = strcspn(list, ", \t");
		if (n == len && !strncasecmp(list, name, n))
			return true;
	}
	return false;
}

bool end_to_end(const char *name, const char *connection)
{
	return !listed("Connection,Proxy-Connection,Keep-Alive,TE,Trailer,Transfer-Encoding,Upgrade,Proxy-Authenticate,Proxy-Authorization",
		       name) && !listed(connection, name);
}
