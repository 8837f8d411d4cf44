/* SPDX-License-Identifier: GPL-2.0 */
/* What kecho serve and kecho req share. */
#ifndef TOOLS_KECHO_LB_H
#define TOOLS_KECHO_LB_H
#include "../../lib/services/lb_channel.h"

uint64_t lb_now_ms(void);
uint64_t lb_random(void);
void lb_open(struct lb_channel *c, const char *name, bool serves);
bool lb_receive(struct kecho_sub *sub, const char *name, void (*take)(const struct lb_msg *msg, void *arg), void *arg);
void lb_publish(struct lb_channel *c, const struct lb_msg *msg);
#endif
