/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The version of everything in this repository; the Makefile reads it here, too. */
#ifndef KECHO_VERSION_H
#define KECHO_VERSION_H

#define KECHO_VERSION "0.1.0"

#endif
