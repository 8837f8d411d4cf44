/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOOLS_CHAIN_H
#define TOOLS_CHAIN_H

/**
 * chain_fill() - give a channel filters, if it has none and one may
 * Where there are some, their owner has thought of something. What a filter refuses is said on standard error.
 * @mount: of the node
 * @lines: as the file filter takes them; NULL ends them
 */
void chain_fill(const char *mount, const char *channel, const char *const *lines);

/** chain_fill_lb() - likewise, those of load balancing, to both its channels. Without them all are asked, and told: kecho-lb(7) */
void chain_fill_lb(const char *mount, const char *channel);

#endif
