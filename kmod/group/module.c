// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <kecho/version.h>

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: finding a channel's contact");
