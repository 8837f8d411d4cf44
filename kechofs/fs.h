/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: The tree by FUSE
 *
 * An inode number is a directory's number and the kind of file in it, so that no table of inodes is needed: ino = number << 4 | kind.
 * The root is directory 0, kind 1. Numbers are never used again; what the kernel still knows of a removed directory gets ENOENT.
 *
 * What cannot be answered yet is parked: the request is kept in a list and answered when the core says that something has changed
 * (settle() in fs.c). So a blocked reader costs no thread. An interrupted request is answered EINTR from the same place.
 */
#ifndef KECHO_FS_H
#define KECHO_FS_H
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <linux/string.h>
#include "../lib/attr/text.h"
#include "../lib/channel/stream.h"
#include "../lib/channel/tree.h"
#include "home.h"

struct owner {
	uid_t uid;
	gid_t gid;
	mode_t mode;
	u64 mtime;	/* CLOCK_REALTIME ns */
};

/**
 * struct dir - a channel's directory, a type's, or .node
 * @parent: of a type: its channel's directory
 * @channel: NULL of the root; of .node: kecho_node_news()
 * @own: by kind; a channel's files follow each other from KIND_DIR
 * @version: counts changes of a file's text, by kind
 * @open: open files, which rmdir minds
 * @tails: ends of closed files in @blocked
 * @files: all open files
 * @blocked: parked writes, first come first served
 * @joining: the mkdir that waits for the channel to be joined
 * @changed: kinds with something to tell those who watch; @room: parked writes may go on
 */
struct dir {
	struct hlist_node hash, by_name;
	struct list_head node;
	u64 number;
	char name[KECHO_NAME_MAX + 1];
	struct dir *parent;
	struct kecho_channel *channel;
	struct owner own[KIND_MEMBERS + 1];
	u32 version[KIND_MEMBERS + 1];
	u32 open;
	u32 subdirs;
	u32 tails;
	struct list_head files;
	struct list_head blocked;
	struct list_head noted;
	struct parked *joining;
	u32 changed;
	bool room;
	bool joined;
};

/**
 * struct file - an open file
 * @reader, @writer: of events; NULL where not opened for it
 * @part: pieces of a packet longer than FUSE's largest request, @whole bytes in the end
 * @error: what a piece of a write met behind the first: write(2) returned what came before, so the next one is told
 * @token: proves to who asks for rings that this file is open; then it is @offered. @rings: read in its place
 * @text: what the others show, made anew by each read at offset 0
 * @seen: the version that was read last
 */
struct file {
	struct list_head node, noted;
	struct dir *dir;
	enum kecho_kind kind;
	int flags;
	struct kecho_reader *reader;
	struct kecho_writer *writer;
	u8 *part;
	size_t part_len, whole;
	int error;
	struct list_head reads;
	u64 token;
	struct list_head offered;
	struct rings *rings;
	struct boost *boost;
	struct fuse_pollhandle *ph;
	struct kecho_text text;
	u32 seen;
	u32 listing;
	u64 list_until;
	bool is_noted;
};

/**
 * struct parked - a request that waits
 * @req: NULL: has been answered; without @data it is the end of a closed file, whose last line may wait for room
 * @data: of a write: @size bytes, @done of them published; @answer is what write(2) returns in the end
 * @whole: of a read: the size of the caller's buffer
 */
struct parked {
	struct list_head node;
	struct list_head interrupted;
	fuse_req_t req;
	struct file *file;
	struct dir *dir;
	size_t size, whole, done, answer;
	u8 *data;
};

/** struct fs - the mount; @home first, so that it and the core's node lead here */
struct fs {
	struct home home;
	struct fuse_session *se;
	struct watch device;
	char *mountpoint;
	struct fuse_buf buf;
	uid_t uid;
	gid_t gid;
	mode_t mode;
	struct owner root;
	DECLARE_HASHTABLE(dirs, 10);
	DECLARE_HASHTABLE(names, 10);
	struct list_head channels;
	u64 last_dir;
	u32 last_listing;
	struct list_head noted_dirs, noted_files, interrupted, listings;
	struct dir *writing;
	struct rings_server *rings;
	struct list_head boosts;
	pid_t notifier;
	u8 *rdbuf;
};

static inline bool dir_is_type(const struct dir *d)
{
	return d->parent && d->parent->number != DIR_ROOT;
}

extern const struct fuse_lowlevel_ops fs_ops;
extern const struct kecho_node_ops fs_node_ops;

/* The largest request. One larger than FUSE_WHOLE may be a part of a larger read(2) or write(2) that the kernel has cut. */
#define FUSE_MAX (1u << 20)
#define FUSE_WHOLE (FUSE_MAX - 4096)

static inline struct fs *req_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct fs *node_fs(struct kecho_node *node)
{
	return container_of(node, struct fs, home.node);
}

/* tree.c */
void tree_init(struct fs *fs);
void tree_exit(struct fs *fs);
struct dir *dir_find(struct fs *fs, u64 number);
/** ino_dir() - the directory that an inode is or is in; NULL if it is gone. */
struct dir *ino_dir(struct fs *fs, fuse_ino_t ino);
struct owner *dir_owner(struct dir *d, enum kecho_kind kind);
void tree_mkdir_done(struct fs *fs, struct dir *d);
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* events.c */
int events_open(struct file *f, const struct fuse_ctx *ctx);
/** events_close() - frees the file, at once or when its unterminated last line has been published */
void events_close(struct file *f);
/** file_done() - free a file that was open for writing and has nothing more to publish */
void file_done(struct file *f);
void events_read(struct fs *fs, fuse_req_t req, struct file *f, size_t size, off_t off);
void events_write(struct fs *fs, fuse_req_t req, struct file *f, const void *data, size_t size, off_t off);
/** events_ioctl() - @tid: who calls; @out: room for what it answers, of which @out_size becomes the length */
int events_ioctl(struct file *f, pid_t tid, unsigned int cmd, const void *in, size_t size, void *out, size_t *out_size);
u32 events_poll(struct file *f);
/** events_ready() - answers parked reads as far as there are events */
void events_ready(struct file *f);
/** events_room() - goes on with parked writes */
void events_room(struct fs *fs, struct dir *d);
void parked_free(struct parked *p);
void park(struct parked *p);

/* ecalls.c */
/** rings_offer() - where, and by which token, a program gets the rings of this file */
int rings_offer(struct fs *fs, struct file *f, struct kecho_socket *s);
/** rings_take() - gives the program an event that is not queued yet. False: it is to be */
bool rings_take(struct rings *r, struct kecho_msg *msg);
/** rings_ready() - gives the program what is queued at the file's sink */
void rings_ready(struct rings *r);
/** rings_room() - goes on with what the channel had no room for */
void rings_room(struct rings *r);
/** rings_apart() - the event that a read of the file is to return, or NULL */
struct kecho_msg *rings_apart(struct rings *r);
/** rings_close() - the file is being closed */
void rings_close(struct file *f);
/** rings_busy() - serves those whose program need not wake us. True: there are such */
bool rings_busy(struct home *h);
/** rings_settle() - tells programs of their events, and wakes them. False: there is none to tell */
bool rings_settle(struct fs *fs);
void rings_exit(struct fs *fs);

/* proc.c */
/** proc_read() - the beginning of /proc/@pid/@name, ended by a NUL; its length, 0 if it cannot be read */
size_t proc_read(pid_t pid, const char *name, char *buf, size_t size);

/* boost.c */
/** boost_set() - favour the thread @tid, which is waiting for our answer. -EINVAL, -EPERM, -ENOMEM */
int boost_set(struct file *f, const struct kecho_boost *wish, pid_t tid);
/** boost_raise() - an event waits */
void boost_raise(struct fs *fs, struct boost *b);
/** boost_lower() - none does */
void boost_lower(struct boost *b);
/** boost_free() - NULL is allowed */
void boost_free(struct boost *b);
void boost_tick(struct fs *fs, u64 now);

/* filter.c: see struct kecho_node_ops */
const struct kecho_filter_ops *filter_get(struct kecho_node *node, const char *name);
void filter_put(const struct kecho_filter_ops *ops);

/* bpf.c: what bpf:PATH is */
extern const struct kecho_filter_ops filter_bpf;

/* text.c */
void text_open(struct file *f);
void text_read(struct fs *fs, fuse_req_t req, struct file *f, size_t size, off_t off);
void text_write(struct fs *fs, fuse_req_t req, struct file *f, const char *data, size_t size);
u32 text_poll(struct file *f);
void text_listed(struct fs *fs, u32 request, const char *name, const struct kecho_holding *h);
void text_tick(struct fs *fs, u64 now);
void text_close(struct file *f);

/* notify.c */
int notify_start(struct fs *fs);
/** notify_modified() - have inotify see that this file was modified. */
void notify_modified(struct fs *fs, struct dir *d, enum kecho_kind kind);
/** notify_withdraw() - a writer is to be parked on its events. False: it cannot be, the notifier is waiting for that inode */
bool notify_withdraw(struct dir *d);
void notify_stop(void);

/* fs.c */
void file_note(struct fs *fs, struct file *f);
void file_free(struct file *f);
void dir_note(struct fs *fs, struct dir *d);
bool fs_settle(struct home *h);
/** fs_settle_file() - of that, a file whose readers are to be answered. False: there is none */
bool fs_settle_file(struct fs *fs);
#endif
