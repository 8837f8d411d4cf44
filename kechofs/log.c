// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include "home.h"

static bool log_debug, log_syslog;
static const char *log_ident;

static void log_write(int level, const char *fmt, va_list ap)
{
	if (level >= LOG_DEBUG && !log_debug)
		return;
	if (log_syslog) {
		vsyslog(level, fmt, ap);
		return;
	}
	fprintf(stderr, "%s: ", log_ident);
	/* The core's messages carry the kernel's prefix. */
	vfprintf(stderr, fmt + (strncmp(fmt, "kecho: ", 7) ? 0 : 7), ap);
}

void log_open(const char *ident, bool foreground, bool debug)
{
	log_ident = ident;
	log_debug = debug;
	kecho_log = log_write;
	setvbuf(stderr, NULL, _IOLBF, 0);
	if (!foreground)
		openlog(ident, LOG_PID, LOG_DAEMON);
}

void log_to_syslog(void)
{
	log_syslog = true;
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_write(LOG_ERR, fmt, ap);
	va_end(ap);
	exit(1);
}
