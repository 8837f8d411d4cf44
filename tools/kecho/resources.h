/* SPDX-License-Identifier: GPL-2.0 */
/* What the subcommands of kecho res share. */
#ifndef TOOLS_RESOURCES_H
#define TOOLS_RESOURCES_H
#include "kecho.h"
#include "res.h"

#define RES_CHANNEL	"resources"

/* The channel, subscribed to, and signals, which come by a descriptor. */
struct res {
	const char *channel;
	struct res_port port;
	struct kecho_sub *sub;
	int fd, signals;
};

int res_offer(int argc, char **argv);
int res_request(int argc, char **argv);
int res_release(int argc, char **argv);
int res_ls(int argc, char **argv);

/* Signals that end a process come by @r->signals from then on, and SIGCHLD. */
void res_open(struct res *r, const char *channel);
void res_close(struct res *r);
void res_send(const struct res_msg *msg, void *r);
/* Calls @take with each message that has come. Returns 0, or -ENODEV: the node has ended, or has left the channel. */
int res_each(struct res *r, void (*take)(void *arg, const struct res_msg *msg), void *arg);
_Noreturn void res_gone(const struct res *r);
/* Waits until there is something at @r->fd or @r->signals, or at @other (-1: nothing), or it is @until. Returns a signal, or 0. */
int res_wait(struct res *r, int *other, uint64_t until);
uint64_t res_now(void);
uint64_t res_random(void);
/* The names of the members' nodes, by id as members has it; the caller's. */
json_t *res_nodes(const struct res *r);
const char *res_node_name(json_t *nodes, uint64_t id);
void res_parse_amount(struct argp_state *state, const char *arg, char **name, uint32_t *amount);
uint32_t res_parse_ttl(struct argp_state *state, const char *arg);
#endif /* TOOLS_RESOURCES_H */
