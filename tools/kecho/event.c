// SPDX-License-Identifier: GPL-2.0
/* An event, printed. */
#include "kecho.h"
#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <kecho/limits.h>

#define CONVERSIONS	"cstTiyrlpaL%"
#define ESCAPES		"ntr0\\"

static void format_time(char *text, size_t size, uint64_t ns)
{
	time_t seconds = ns / 1000000000;
	char date[32];
	struct tm tm;

	strftime(date, sizeof(date), "%FT%T", gmtime_r(&seconds, &tm));
	snprintf(text, size, "%s.%09" PRIu64 "Z", date, ns % 1000000000);
}

/* The value of @attr as the file attrs shows it; valid until the next call. */
static const char *attr_text(const struct kecho_attr *attr)
{
	static char text[KECHO_ATTR_VALUE_MAX + sizeof("\"\"")];

	if (kecho_attr_text(attr, text, sizeof(text)) < 0)
		die("out of memory");
	return text;
}

static json_t *attributes_json(const struct kecho_event *event)
{
	json_t *attrs = json_object();
	struct kecho_attr attr;
	char name[KECHO_NAME_MAX + 1];
	__u32 pos = 0;

	while (kecho_attr_next(event->attrs, event->attrs_len, &pos, &attr)) {
		snprintf(name, sizeof(name), "%.*s", attr.name_len, attr.name);
		json_object_set_new(attrs, name, attr_json(attr_text(&attr)));
	}
	return attrs;
}

static json_t *base64_json(const char *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((len + 2) / 3 * 4 + 1), *p = text;
	const unsigned char *in = (const unsigned char *)data;
	uint32_t v;
	size_t i;
	json_t *string;

	if (!text)
		die("%m");
	for (i = 0; i < len; i += 3) {
		v = in[i] << 16;
		v |= i + 1 < len ? in[i + 1] << 8 : 0;
		v |= i + 2 < len ? in[i + 2] : 0;
		*p++ = digits[v >> 18];
		*p++ = digits[v >> 12 & 63];
		*p++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < len ? digits[v & 63] : '=';
	}
	string = json_stringn(text, p - text);
	free(text);
	return string;
}

/* Numbers are exact: those of 64 bits are integers of JSON. */
void print_event_json(const char *channel, const struct kecho_event *event)
{
	json_t *out, *payload = json_stringn(event->data, event->len);
	char time[64], id[17];

	format_time(time, sizeof(time), event->time_ns);
	snprintf(id, sizeof(id), "%016" PRIx64, (uint64_t)event->publisher);
	out = json_pack("{ss sI ss sI ss so si sI sI sb sb so so}", "channel", channel,
			"seq", (json_int_t)event->seq, "time", time, "time_ns", (json_int_t)event->time_ns,
			"publisher", id,
			"type", event->type_len ? json_text(event->type, event->type_len) : json_null(),
			"prio", event->prio, "deadline_us", (json_int_t)event->deadline_us,
			"lost", (json_int_t)event->lost, "retained", event->flags & KECHO_FRAME_RETAINED,
			"local", event->flags & KECHO_FRAME_LOCAL, "attributes", attributes_json(event),
			payload ? "payload" : "payload_base64",
			payload ?: base64_json(event->data, event->len));
	if (!out)
		die("out of memory");

	json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(out);
}

/* As lines of the file attrs, but with a space between them. */
static void print_attributes(const struct kecho_event *event)
{
	struct kecho_attr attr;
	__u32 pos = 0;

	while (kecho_attr_next(event->attrs, event->attrs_len, &pos, &attr))
		printf("%.*s=%s%s", attr.name_len, attr.name, attr_text(&attr),
		       pos < event->attrs_len ? " " : "");
}

/* The value of the attribute whose name is from @name to a brace; behind that. */
static const char *print_attribute(const struct kecho_event *event, const char *name)
{
	const char *end = strchr(name, '}');
	char *copy = strndup(name, end - name);
	struct kecho_attr attr;

	if (!copy)
		die("%m");
	if (kecho_attr_find(event->attrs, event->attrs_len, copy, &attr))
		fputs(attr_text(&attr), stdout);
	free(copy);
	return end;
}

static void print_conversion(const char *channel, const struct kecho_event *event, char conversion)
{
	char time[64];

	switch (conversion) {
	case 'c':
		fputs(channel, stdout);
		break;
	case 's':
		printf("%" PRIu64, (uint64_t)event->seq);
		break;
	case 't':
		printf("%" PRIu64 ".%09" PRIu64, (uint64_t)event->time_ns / 1000000000,
		       (uint64_t)event->time_ns % 1000000000);
		break;
	case 'T':
		format_time(time, sizeof(time), event->time_ns);
		fputs(time, stdout);
		break;
	case 'i':
		printf("%016" PRIx64, (uint64_t)event->publisher);
		break;
	case 'y':
		fwrite(event->type, 1, event->type_len, stdout);
		break;
	case 'r':
		printf("%u", event->prio);
		break;
	case 'l':
		printf("%u", event->len);
		break;
	case 'p':
		fwrite(event->data, 1, event->len, stdout);
		break;
	case 'a':
		print_attributes(event);
		break;
	case 'L':
		printf("%" PRIu64, (uint64_t)event->lost);
		break;
	case '%':
		putchar('%');
		break;
	}
}

/* As checked by format_error(). */
void print_event_format(const char *channel, const struct kecho_event *event, const char *format)
{
	static const char escaped[] = "\n\t\r\0\\";

	for (; *format; format++) {
		if (format[0] == '%' && format[1] == '{')
			format = print_attribute(event, format + 2);
		else if (*format == '%')
			print_conversion(channel, event, *++format);
		else if (*format == '\\')
			putchar(escaped[strchr(ESCAPES, *++format) - ESCAPES]);
		else
			putchar(*format);
	}
}

const char *format_error(const char *format)
{
	for (; *format; format++) {
		if (*format != '%' && *format != '\\')
			continue;
		if (format[0] == '%' && format[1] == '{' && strchr(format, '}')) {
			format = strchr(format, '}');
			continue;
		}
		if (!format[1] || !strchr(*format == '%' ? CONVERSIONS : ESCAPES, format[1]))
			return format;
		format++;
	}
	return NULL;
}
