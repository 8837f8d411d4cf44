// SPDX-License-Identifier: GPL-2.0
/* An event in framed mode: taken apart, and printed. */
#include "kecho.h"
#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONVERSIONS	"cstTiyrlpaL%"
#define ESCAPES		"ntr0\\"

bool parse_event(struct event *event, const char *channel, const char *buf, size_t len)
{
	const struct kecho_frame *frame = (const struct kecho_frame *)buf;
	size_t front;

	if (len < sizeof(*frame) || frame->size != len || frame->header < sizeof(*frame))
		return false;
	front = frame->header + frame->type_len + frame->attrs_len;
	if (front > len)
		return false;
	event->channel = channel;
	event->frame = frame;
	event->type = buf + frame->header;
	event->attrs = event->type + frame->type_len;
	event->payload = buf + front;
	event->payload_len = len - front;
	return true;
}

static void format_time(char *text, size_t size, uint64_t ns)
{
	time_t seconds = ns / 1000000000;
	char date[32];
	struct tm tm;

	strftime(date, sizeof(date), "%FT%T", gmtime_r(&seconds, &tm));
	snprintf(text, size, "%s.%09" PRIu64 "Z", date, ns % 1000000000);
}

static json_t *attributes_json(const struct event *event)
{
	char *text = strndup(event->attrs, event->frame->attrs_len);
	json_t *attrs;

	if (!text)
		die("%m");
	attrs = parse_pairs(text, true);
	free(text);
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
void print_event_json(const struct event *event)
{
	const struct kecho_frame *f = event->frame;
	json_t *out, *payload = json_stringn(event->payload, event->payload_len);
	char time[64], id[17];

	format_time(time, sizeof(time), f->time_ns);
	snprintf(id, sizeof(id), "%016" PRIx64, (uint64_t)f->publisher);
	out = json_pack("{ss sI ss sI ss so si sI sI sb sb so so}", "channel", event->channel,
			"seq", (json_int_t)f->seq, "time", time, "time_ns", (json_int_t)f->time_ns,
			"publisher", id,
			"type", f->type_len ? json_text(event->type, f->type_len) : json_null(),
			"prio", f->prio, "deadline_us", (json_int_t)f->deadline_us,
			"lost", (json_int_t)f->lost, "retained", f->flags & KECHO_FRAME_RETAINED,
			"local", f->flags & KECHO_FRAME_LOCAL, "attributes", attributes_json(event),
			payload ? "payload" : "payload_base64",
			payload ?: base64_json(event->payload, event->payload_len));
	if (!out)
		die("out of memory");

	json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(out);
}

/* The attributes' lines with a space between them. */
static void print_attributes(const struct event *event)
{
	size_t i, len = event->frame->attrs_len;

	if (len && event->attrs[len - 1] == '\n')
		len--;
	for (i = 0; i < len; i++)
		putchar(event->attrs[i] == '\n' ? ' ' : event->attrs[i]);
}

/* The value of the attribute whose name is from @name to a brace; behind that. */
static const char *print_attribute(const struct event *event, const char *name)
{
	const char *end = strchr(name, '}'), *line = event->attrs, *nl;
	const char *attrs_end = line + event->frame->attrs_len;
	size_t len = end - name;

	for (; line < attrs_end; line = nl + 1) {
		nl = memchr(line, '\n', attrs_end - line) ?: attrs_end;
		if ((size_t)(nl - line) > len && line[len] == '=' && !memcmp(line, name, len))
			fwrite(line + len + 1, 1, nl - line - len - 1, stdout);
	}
	return end;
}

static void print_conversion(const struct event *event, char conversion)
{
	const struct kecho_frame *f = event->frame;
	char time[64];

	switch (conversion) {
	case 'c':
		fputs(event->channel, stdout);
		break;
	case 's':
		printf("%" PRIu64, (uint64_t)f->seq);
		break;
	case 't':
		printf("%" PRIu64 ".%09" PRIu64, (uint64_t)f->time_ns / 1000000000,
		       (uint64_t)f->time_ns % 1000000000);
		break;
	case 'T':
		format_time(time, sizeof(time), f->time_ns);
		fputs(time, stdout);
		break;
	case 'i':
		printf("%016" PRIx64, (uint64_t)f->publisher);
		break;
	case 'y':
		fwrite(event->type, 1, f->type_len, stdout);
		break;
	case 'r':
		printf("%u", f->prio);
		break;
	case 'l':
		printf("%zu", event->payload_len);
		break;
	case 'p':
		fwrite(event->payload, 1, event->payload_len, stdout);
		break;
	case 'a':
		print_attributes(event);
		break;
	case 'L':
		printf("%" PRIu64, (uint64_t)f->lost);
		break;
	case '%':
		putchar('%');
		break;
	}
}

/* As checked by format_error(). */
void print_event_format(const struct event *event, const char *format)
{
	static const char escaped[] = "\n\t\r\0\\";

	for (; *format; format++) {
		if (format[0] == '%' && format[1] == '{')
			format = print_attribute(event, format + 2);
		else if (*format == '%')
			print_conversion(event, *++format);
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
