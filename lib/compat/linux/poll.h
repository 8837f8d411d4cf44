/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* poll's bits, which are the same by either name; the C library's header of them does not go with it. */
#ifndef COMPAT_LINUX_POLL_H
#define COMPAT_LINUX_POLL_H
#include <poll.h>
#ifndef EPOLLIN
#define EPOLLIN POLLIN
#define EPOLLOUT POLLOUT
#define EPOLLERR POLLERR
#define EPOLLHUP POLLHUP
#endif
#endif
