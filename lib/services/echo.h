/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
struct echo {
	struct kecho *channel;
	struct kecho_sub *requests;
};

int echo_start(struct echo *echo, const char *channel);
void echo_stop(struct echo *echo);
