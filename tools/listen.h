/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_LISTEN_H
#define TOOLS_LISTEN_H
#include <stdbool.h>

bool port_valid(const char *port);

/**
 * listen_at() - listen for TCP connections
 * @where: ADDRESS:PORT, [ADDRESS]:PORT, or :PORT for all addresses
 * @why: gets the reason of a failure
 * Return: a socket that does not block and is not inherited; or -1.
 */
int listen_at(const char *where, const char **why);

#endif
