// SPDX-License-Identifier: GPL-2.0
/* kecho_echo: lib/services/echo.c as a module; examples/echod.c makes a program of it. */
#define pr_fmt(fmt) "kecho_echo: " fmt
#include <linux/module.h>
#include <kecho/kecho.h>
#include <kecho/version.h>
#include "../../lib/services/echo.h"

static char *channel = "echo";
module_param(channel, charp, 0444);
MODULE_PARM_DESC(channel, "channel to serve; joined or created (echo)");

static struct echo service;

static int __init echo_init(void)
{
	return echo_start(&service, channel);
}

static void __exit echo_exit(void)
{
	echo_stop(&service);
}

module_init(echo_init);
module_exit(echo_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: answers each request on a channel by a reply");
