/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef COMPAT_LINUX_UIO_H
#define COMPAT_LINUX_UIO_H
#include <sys/uio.h>
/* The same layout in the kernel and here, so that a home hands the array to sendmsg as it is. */
#define kvec iovec
#endif
