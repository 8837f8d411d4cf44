// SPDX-License-Identifier: GPL-2.0
/* kechofsd: a node, and its tree by FUSE. */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <kecho/version.h>
#include "fs.h"

#define REQUESTS_A_TURN 64
#define START_NS 1000000000ull	/* how long the start waits for the peers to be reached */
#define STOP_NS 200000000ull	/* and the end for readers to see it */

struct options {
	char name[KECHO_NAME_MAX + 1];
	const char *listen;
	const char *peers[KECHO_PEERS_MAX];
	const char *groups[KECHO_PEERS_MAX];
	u32 npeers, ngroups;
	bool registry, insecure, rudp;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	u64 queue, max_event, heartbeat, lease;
	bool foreground, debug;
	const char *args[2];
	int nargs;
	char *lists[64];
	u32 nlists;
};

const char *argp_program_version = "kechofsd " KECHO_VERSION;

static u64 number(const char *key, const char *value, u64 least, u64 most, int base)
{
	char *end;
	u64 v;

	errno = 0;
	v = value ? strtoull(value, &end, base) : 0;
	if (!value || !*value || *end || errno || *value == '-' || v < least || v > most)
		fail(base == 8 ? "%s= takes an octal number from %llo to %llo\n" : "%s= takes a number from %llu to %llu\n",
		     key, least, most);
	return v;
}

/* What mount(8) hands on, and means nothing to this filesystem. */
static bool is_mount_option(const char *key)
{
	static const char * const known[] = { "defaults", "rw", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "auto", "noauto",
					      "user", "nouser", "users", "_netdev", "nofail", "atime", "noatime", "relatime" };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(key, known[i]))
			return true;
	return !strncmp(key, "x-", 2);
}

static void host(struct options *o, const char *key, const char *value)
{
	bool peer = !strcmp(key, "peer");

	if ((peer ? o->npeers : o->ngroups) == KECHO_PEERS_MAX)
		fail("more than %u of %s=\n", KECHO_PEERS_MAX, key);
	if (peer)
		o->peers[o->npeers++] = value;
	else
		o->groups[o->ngroups++] = value;
}

static void option(struct options *o, char *key)
{
	char *value = strchr(key, '=');

	if (value)
		*value++ = 0;
	if (!strcmp(key, "name")) {
		if (!value || !kecho_name_valid(value, strlen(value)))
			fail("name= takes 1 to %u of A-Z a-z 0-9 . _ - and does not begin with a dot\n", KECHO_NAME_MAX);
		strcpy(o->name, value);
	} else if (!strcmp(key, "listen") && value && *value) {
		o->listen = value;
	} else if ((!strcmp(key, "peer") || !strcmp(key, "group")) && value && *value) {
		host(o, key, value);
	} else if (!strcmp(key, "registry") && !value) {
		o->registry = true;
	} else if (!strcmp(key, "insecure") && !value) {
		o->insecure = true;
	} else if (!strcmp(key, "transport") && value && (!strcmp(value, "tcp") || !strcmp(value, "rudp"))) {
		o->rudp = value[0] == 'r';
	} else if (!strcmp(key, "key")) {
		fail("key=: links cannot be keyed yet; on a trusted network say 'insecure'\n");
	} else if (!strcmp(key, "uid")) {
		o->uid = number(key, value, 0, U32_MAX - 1, 10);
	} else if (!strcmp(key, "gid")) {
		o->gid = number(key, value, 0, U32_MAX - 1, 10);
	} else if (!strcmp(key, "mode")) {
		o->mode = number(key, value, 0, 0777, 8);
	} else if (!strcmp(key, "queue")) {
		o->queue = number(key, value, 1, KECHO_QUEUE_MAX, 10);
	} else if (!strcmp(key, "max_event")) {
		o->max_event = number(key, value, KECHO_EVENT_MIN, KECHO_EVENT_MAX, 10);
	} else if (!strcmp(key, "heartbeat")) {
		o->heartbeat = number(key, value, KECHO_HEARTBEAT_MIN_MS, KECHO_HEARTBEAT_MAX_MS, 10);
	} else if (!strcmp(key, "lease")) {
		o->lease = number(key, value, KECHO_LEASE_MIN_MS, KECHO_LEASE_MAX_MS, 10);
	} else if (!is_mount_option(key)) {
		fail("no option %s%s; see kechofsd(8)\n", key, value ? "=" : "");
	}
}

/* A comma also stands between the hosts of group= and peer=; what is no option then is one more of them. */
static void options(struct options *o, char *list)
{
	char *p, *rest, *last = NULL;

	for (p = strtok_r(list, ",", &rest); p; p = strtok_r(NULL, ",", &rest)) {
		if (last && !strchr(p, '=') && (strchr(p, ':') || strchr(p, '.'))) {
			host(o, last, p);
			continue;
		}
		option(o, p);
		last = !strcmp(p, "group") ? "group" : !strcmp(p, "peer") ? "peer" : NULL;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'f':
		o->foreground = true;
		return 0;
	case 'd':
		o->debug = true;
		return 0;
	case 'o':
		/* A copy, which stays: ps shows the arguments as they were given. */
		if (o->nlists == ARRAY_SIZE(o->lists))
			fail("more than %zu of -o\n", ARRAY_SIZE(o->lists));
		o->lists[o->nlists] = strdup(arg);
		if (!o->lists[o->nlists])
			fail("out of memory\n");
		options(o, o->lists[o->nlists++]);
		return 0;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case ARGP_KEY_ARG:
		if (o->nargs == 2)
			argp_usage(state);
		o->args[o->nargs++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->nargs)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ NULL, 'f', NULL, 0, "stay in the foreground, log to stderr", 0 },
	{ NULL, 'd', NULL, 0, "log more", 0 },
	{ NULL, 'o', "OPTIONS", 0, "name= listen= group= peer= registry insecure uid= gid= mode= queue= max_event= transport= heartbeat= lease=, "
	  "separated by commas", 0 },
	{ NULL, 'h', NULL, OPTION_HIDDEN, NULL, 0 },
	{ 0 }
};

static const struct argp argp = {
	.options = argp_options,
	.parser = parse,
	.args_doc = "[SOURCE] MOUNTPOINT",
	.doc = "A KECho node: serves the tree of event channels at MOUNTPOINT.\vSee kechofsd(8) and kechofs(5).",
};

static void on_device(struct watch *w, uint32_t events)
{
	struct fs *fs = container_of(w, struct fs, device);
	int i, n;

	(void)events;
	for (i = 0; i < REQUESTS_A_TURN; i++) {
		n = fuse_session_receive_buf(fs->se, &fs->buf);
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			/* Unmounted by somebody else. */
			if (n < 0 && n != -ENODEV)
				pr_err("reading /dev/fuse: %s\n", strerror(-n));
			fs->home.stop = true;
			return;
		}
		fuse_session_process_buf(fs->se, &fs->buf);
		if (fuse_session_exited(fs->se)) {
			fs->home.stop = true;
			return;
		}
	}
}

static void mount_fs(struct fs *fs, const char *mountpoint)
{
	char *argv[] = { "kechofsd", "-o", "fsname=kecho,subtype=kechofs,allow_other,default_permissions,auto_unmount", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	char path[PATH_MAX + 16];
	struct stat st;

	/* What a killed daemon has left. */
	if (stat(mountpoint, &st) && errno == ENOTCONN && umount2(mountpoint, MNT_DETACH))
		fail("%s: a mount without a daemon is in the way: %s; try umount -l\n", mountpoint, strerror(errno));
	if (stat(mountpoint, &st))
		fail("%s: %s; create it with mkdir\n", mountpoint, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		fail("%s is not a directory\n", mountpoint);
	snprintf(path, sizeof(path), "%s/.node/config", mountpoint);
	if (!stat(path, &st))
		fail("%s: a node serves it already\n", mountpoint);
	fs->mountpoint = realpath(mountpoint, NULL);
	fs->se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), fs);
	fuse_opt_free_args(&args);
	if (!fs->mountpoint || !fs->se)
		fail("cannot start FUSE: out of memory, or libfuse does not know an option\n");
	if (fuse_session_mount(fs->se, fs->mountpoint))
		fail("%s: cannot mount; is /dev/fuse there, and are you root?\n", fs->mountpoint);
	fs->device = (struct watch){ .fd = fuse_session_fd(fs->se), .fn = on_device };
	fcntl(fs->device.fd, F_SETFL, fcntl(fs->device.fd, F_GETFL) | O_NONBLOCK);
	if (home_watch(&fs->home, &fs->device, EPOLLIN))
		fail("epoll: %s\n", strerror(errno));
}

static void fs_tick(struct home *h, u64 now)
{
	struct fs *fs = container_of(h, struct fs, home);

	text_tick(fs, now);
	boost_tick(fs, now);
}

static bool files_open(struct fs *fs)
{
	struct dir *d;

	list_for_each_entry(d, &fs->channels, node)
		if (d->channel && d->open)
			return true;
	return false;
}

/* Readers see the end, then the mount goes, then the links. Open files go on using the channels until tree_exit(). */
static void stop_fs(struct fs *fs)
{
	u64 until = home_now() + STOP_NS;
	struct dir *d;

	list_for_each_entry(d, &fs->channels, node)
		if (d->channel && !dir_is_type(d))
			kecho_channel_leave(kecho_channel_get(d->channel), home_now());
	notify_stop();
	do
		home_turn(&fs->home, 10);
	while (files_open(fs) && home_now() < until && !fuse_session_exited(fs->se));
	fuse_session_unmount(fs->se);
}

int main(int argc, char **argv)
{
	static struct fs fs;
	struct home *h = &fs.home;
	static struct options o = { .mode = 0644, .queue = KECHO_QUEUE_DEFAULT, .max_event = KECHO_EVENT_DEFAULT,
				    .heartbeat = KECHO_HEARTBEAT_MS, .lease = KECHO_LEASE_MS };
	u64 until;
	u32 i;
	int err;

	log_open("kechofsd", true, false);
	o.uid = getuid();
	o.gid = getgid();
	daemon_hostname(o.name);
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_open("kechofsd", o.foreground, o.debug);
	if (!o.foreground)
		daemon_fork();

	err = home_init(h, o.name, o.registry ? o.lease * 1000000 : 0, &fs_node_ops);
	if (err)
		fail("cannot start: %s\n", strerror(-err));
	INIT_LIST_HEAD(&fs.noted_dirs);
	INIT_LIST_HEAD(&fs.noted_files);
	INIT_LIST_HEAD(&fs.interrupted);
	INIT_LIST_HEAD(&fs.listings);
	INIT_LIST_HEAD(&fs.boosts);
	h->settle = fs_settle;
	h->busy = rings_busy;
	h->tick = fs_tick;
	h->insecure = o.insecure;
	h->node.cm.rudp = o.rudp;
	h->node.queue = o.queue;
	h->node.max_event = o.max_event;
	h->node.cm.heartbeat = o.heartbeat * 1000000;
	fs.uid = o.uid;
	fs.gid = o.gid;
	fs.mode = o.mode;
	fs.rdbuf = malloc(FUSE_MAX);
	if (!fs.rdbuf)
		fail("out of memory\n");
	tree_init(&fs);

	if (!o.listen && o.registry)
		o.listen = "127.0.0.1";
	else if (!o.listen && (o.npeers || o.ngroups))
		o.listen = "127.0.0.1:0";
	if (o.listen && net_listen(h, o.listen, o.registry ? KECHO_GROUP_PORT : KECHO_PORT))
		return 1;
	for (i = 0; i < o.npeers; i++)
		if (net_call(h, o.peers[i], KECHO_PORT))
			fail("peer=%s: give HOST or HOST:PORT\n", o.peers[i]);
	for (i = 0; i < o.ngroups; i++)
		if (net_call(h, o.groups[i], KECHO_GROUP_PORT))
			fail("group=%s: give HOST or HOST:PORT\n", o.groups[i]);
	mount_fs(&fs, o.args[o.nargs - 1]);
	err = notify_start(&fs);
	if (err)
		pr_warn("no inotify for what comes from other hosts: %s\n", strerror(-err));

	for (until = home_now() + START_NS; !kecho_cm_settled(&h->node.cm) && home_now() < until && !h->stop; )
		home_turn(h, 10);
	pr_info("node %s at %s\n", o.name, fs.mountpoint);
	daemon_ready(!o.foreground);

	home_run(h);
	stop_fs(&fs);
	boost_tick(&fs, U64_MAX);
	rings_exit(&fs);
	tree_exit(&fs);
	home_exit(h);
	fuse_session_destroy(fs.se);
	free(fs.buf.mem);
	free(fs.mountpoint);
	free(fs.rdbuf);
	return 0;
}
