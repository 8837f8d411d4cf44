// SPDX-License-Identifier: GPL-2.0
/* The filesystem's type, its options, mount and unmount. */
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/utsname.h>
#include <net/net_namespace.h>
#include <kecho/version.h>
#include "fs.h"

#define KECHOFS_MAGIC 0x6b656368

struct workqueue_struct *kechofs_wq;

/**
 * struct options - while they are being given
 * @list: peer= or group=, of which the next word may be one more
 * @given: bits of those that were given
 * @filled: the superblock is new
 */
struct options {
	struct kecho_home_options home;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
	int list;
	u32 given;
	bool filled;
};

enum {
	OPT_NAME, OPT_LISTEN, OPT_GROUP, OPT_PEER, OPT_REGISTRY, OPT_INSECURE, OPT_KEY, OPT_UID, OPT_GID, OPT_MODE, OPT_QUEUE,
	OPT_MAX_EVENT, OPT_TRANSPORT, OPT_HEARTBEAT, OPT_LEASE,
};

static const struct fs_parameter_spec kechofs_parameters[] = {
	fsparam_string("name", OPT_NAME),
	fsparam_string("listen", OPT_LISTEN),
	fsparam_string("group", OPT_GROUP),
	fsparam_string("peer", OPT_PEER),
	fsparam_flag("registry", OPT_REGISTRY),
	fsparam_flag("insecure", OPT_INSECURE),
	fsparam_string("key", OPT_KEY),
	fsparam_u32("uid", OPT_UID),
	fsparam_u32("gid", OPT_GID),
	fsparam_u32oct("mode", OPT_MODE),
	fsparam_u32("queue", OPT_QUEUE),
	fsparam_u32("max_event", OPT_MAX_EVENT),
	fsparam_string("transport", OPT_TRANSPORT),
	fsparam_u32("heartbeat", OPT_HEARTBEAT),
	fsparam_u32("lease", OPT_LEASE),
	{}
};

static int option_host(struct fs_context *fc, const char *host, int opt)
{
	struct options *o = fc->fs_private;
	char **list = opt == OPT_PEER ? o->home.peers : o->home.groups;
	u32 *n = opt == OPT_PEER ? &o->home.npeers : &o->home.ngroups;

	if (!*host)
		return invalf(fc, "kechofs: peer= and group= take an address");
	if (*n == KECHO_PEERS_MAX)
		return invalf(fc, "kechofs: more than %u of peer= or group=", KECHO_PEERS_MAX);
	list[*n] = kstrdup(host, GFP_KERNEL_ACCOUNT);
	if (!list[*n])
		return -ENOMEM;
	++*n;
	o->list = opt;
	return 0;
}

static int option_number(struct fs_context *fc, const struct fs_parameter *param, u32 value, u32 least, u32 most, u32 *to)
{
	if (value < least || value > most)
		return invalf(fc, "kechofs: %s= takes a number from %u to %u", param->key, least, most);
	*to = value;
	return 0;
}

static int option(struct fs_context *fc, struct fs_parameter *param, int opt, const struct fs_parse_result *result)
{
	struct options *o = fc->fs_private;

	switch (opt) {
	case OPT_NAME:
		if (!kecho_name_valid(param->string, strlen(param->string)))
			return invalf(fc, "kechofs: name= takes 1 to %u of A-Z a-z 0-9 . _ - and does not begin with a dot",
				      KECHO_NAME_MAX);
		strscpy(o->home.name, param->string, sizeof(o->home.name));
		return 0;
	case OPT_LISTEN:
		if (!*param->string || strscpy(o->home.listen, param->string, sizeof(o->home.listen)) < 0)
			return invalf(fc, "kechofs: listen= takes an IP address, with or without :PORT");
		return 0;
	case OPT_GROUP:
	case OPT_PEER:
		return option_host(fc, param->string, opt);
	case OPT_REGISTRY:
		o->home.registry = true;
		return 0;
	case OPT_INSECURE:
		o->home.insecure = true;
		return 0;
	case OPT_TRANSPORT:
		if (strcmp(param->string, "tcp") && strcmp(param->string, "rudp"))
			return invalf(fc, "kechofs: transport= takes tcp or rudp");
		o->home.rudp = param->string[0] == 'r';
		return 0;
	case OPT_KEY:
		return invalf(fc, "kechofs: key=: links cannot be keyed yet; on a trusted network say 'insecure'");
	case OPT_UID:
		o->uid = make_kuid(fc->user_ns, result->uint_32);
		return uid_valid(o->uid) ? 0 : invalf(fc, "kechofs: uid=: no such user");
	case OPT_GID:
		o->gid = make_kgid(fc->user_ns, result->uint_32);
		return gid_valid(o->gid) ? 0 : invalf(fc, "kechofs: gid=: no such group");
	case OPT_MODE:
		if (result->uint_32 > 0777)
			return invalf(fc, "kechofs: mode= takes an octal number from 0 to 777");
		o->mode = result->uint_32;
		return 0;
	case OPT_QUEUE:
		return option_number(fc, param, result->uint_32, 1, KECHO_QUEUE_MAX, &o->home.queue);
	case OPT_MAX_EVENT:
		return option_number(fc, param, result->uint_32, KECHO_EVENT_MIN, KECHO_EVENT_MAX, &o->home.max_event);
	case OPT_HEARTBEAT:
		return option_number(fc, param, result->uint_32, KECHO_HEARTBEAT_MIN_MS, KECHO_HEARTBEAT_MAX_MS, &o->home.heartbeat);
	case OPT_LEASE:
		return option_number(fc, param, result->uint_32, KECHO_LEASE_MIN_MS, KECHO_LEASE_MAX_MS, &o->home.lease);
	default:
		return -EINVAL;
	}
}

static int kechofs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct options *o = fc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fc, kechofs_parameters, param, &result), list = o->list;

	/* A comma also stands between the hosts of group= and peer=; what is no option then is one more of them. */
	if (opt == -ENOPARAM && list >= 0 && param->type == fs_value_is_flag && strpbrk(param->key, ":."))
		return option_host(fc, param->key, list);
	if (opt < 0)
		return opt;
	o->given |= BIT(opt);
	o->list = -1;
	return option(fc, param, opt, &result);
}

/* --- the superblock --- */

static struct kechofs *sb_fs(struct super_block *sb)
{
	struct kechofs_dir *root = d_inode(sb->s_root)->i_private;

	return root->fs;
}

static void kechofs_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (inode->i_private)
		dir_put(inode->i_private);
}

static int kechofs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	int err = simple_statfs(dentry, buf);

	buf->f_namelen = KECHO_NAME_MAX;
	buf->f_files = READ_ONCE(sb_fs(dentry->d_sb)->home->node.nchannels);
	return err;
}

static int kechofs_show_options(struct seq_file *m, struct dentry *root)
{
	struct kechofs *fs = sb_fs(root->d_sb);
	struct kecho_home_options *o = &fs->options;
	u32 i;

	seq_printf(m, ",name=%s", o->name);
	if (o->listen[0])
		seq_show_option(m, "listen", o->listen);
	for (i = 0; i < o->npeers; i++)
		seq_show_option(m, "peer", o->peers[i]);
	for (i = 0; i < o->ngroups; i++)
		seq_show_option(m, "group", o->groups[i]);
	seq_puts(m, o->registry ? ",registry" : "");
	seq_puts(m, o->insecure ? ",insecure" : "");
	seq_puts(m, o->rudp ? ",transport=rudp" : "");
	seq_printf(m, ",uid=%u,gid=%u,mode=%o", from_kuid_munged(&init_user_ns, fs->uid), from_kgid_munged(&init_user_ns, fs->gid),
		   fs->mode);
	return 0;
}

static const struct super_operations kechofs_super_ops = {
	.statfs = kechofs_statfs,
	.drop_inode = generic_delete_inode,
	.evict_inode = kechofs_evict_inode,
	.show_options = kechofs_show_options,
};

static void options_free(struct kecho_home_options *o)
{
	u32 i;

	for (i = 0; i < o->npeers; i++)
		kfree(o->peers[i]);
	for (i = 0; i < o->ngroups; i++)
		kfree(o->groups[i]);
}

/* No inode is left. */
static void kechofs_end(struct kechofs *fs)
{
	wait_event(fs->idle, !atomic_read(&fs->ndirs));
	/* The last directory's work has woken us before it ended. */
	flush_workqueue(kechofs_wq);
	options_free(&fs->options);
	kfree(fs);
}

static bool kechofs_hold(struct kecho_home *h)
{
	struct kechofs *fs = h->fs;

	return atomic_inc_not_zero(&fs->sb->s_active);
}

static void kechofs_release(struct kecho_home *h)
{
	struct kechofs *fs = h->fs;

	deactivate_super(fs->sb);
}

static const struct kecho_tree_ops kechofs_tree_ops = {
	.listed = text_listed,
	.hold = kechofs_hold,
	.release = kechofs_release,
	.open = kechofs_service_open,
	.close = kechofs_service_close,
	.lend = events_lend,
	.give_back = events_give_back,
};

static int kechofs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct options *o = fc->fs_private;
	struct kechofs *fs = kzalloc(sizeof(*fs), GFP_KERNEL_ACCOUNT);
	int err;

	if (!fs)
		return -ENOMEM;
	fs->sb = sb;
	fs->uid = o->uid;
	fs->gid = o->gid;
	fs->mode = o->mode;
	spin_lock_init(&fs->lock);
	INIT_LIST_HEAD(&fs->dirs);
	init_waitqueue_head(&fs->idle);
	atomic64_set(&fs->last_dir, -1);
	INIT_LIST_HEAD(&fs->listings);
	sb->s_blocksize = 4096;
	sb->s_blocksize_bits = 12;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_magic = KECHOFS_MAGIC;
	sb->s_time_gran = 1;
	sb->s_op = &kechofs_super_ops;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;

	fs->home = kecho_home_start(fc->net_ns, &o->home, fc);
	if (IS_ERR(fs->home)) {
		err = PTR_ERR(fs->home);
		kfree(fs);
		return err;
	}
	fs->options = o->home;
	o->home.npeers = o->home.ngroups = 0;
	fs->home->fs = fs;
	err = kechofs_fill(fs);
	if (!err)
		kecho_home_ready(fs->home, &kechofs_tree_ops);
	/* kill_sb ends what the root leads to. */
	if (err && !sb->s_root) {
		kecho_home_stop(fs->home);
		kechofs_end(fs);
	}
	o->filled = !err;
	return err;
}

static bool hosts_are(char * const *a, u32 na, char * const *b, u32 nb)
{
	u32 i;

	for (i = 0; i < na && na == nb; i++)
		if (strcmp(a[i], b[i]))
			return false;
	return na == nb;
}

/* Are those that were given as the node has them? The others are what they are. */
static bool options_are(const struct options *o, const struct kechofs *fs)
{
	const struct kecho_home_options *a = &o->home, *b = &fs->options;

#define SAME(opt, cond) (!(o->given & BIT(opt)) || (cond))
	return SAME(OPT_NAME, !strcmp(a->name, b->name)) && SAME(OPT_LISTEN, !strcmp(a->listen, b->listen)) &&
	       SAME(OPT_PEER, hosts_are(a->peers, a->npeers, b->peers, b->npeers)) &&
	       SAME(OPT_GROUP, hosts_are(a->groups, a->ngroups, b->groups, b->ngroups)) &&
	       SAME(OPT_REGISTRY, b->registry) && SAME(OPT_INSECURE, b->insecure) && SAME(OPT_UID, uid_eq(o->uid, fs->uid)) &&
	       SAME(OPT_GID, gid_eq(o->gid, fs->gid)) && SAME(OPT_MODE, o->mode == fs->mode) &&
	       SAME(OPT_QUEUE, a->queue == b->queue) && SAME(OPT_MAX_EVENT, a->max_event == b->max_event) &&
	       SAME(OPT_TRANSPORT, a->rudp == b->rudp) &&
	       SAME(OPT_HEARTBEAT, a->heartbeat == b->heartbeat) && SAME(OPT_LEASE, a->lease == b->lease);
#undef SAME
}

static int kechofs_get_tree(struct fs_context *fc)
{
	struct options *o = fc->fs_private;
	struct super_block *sb;
	int err = get_tree_keyed(fc, kechofs_fill_super, get_net(fc->net_ns));

	if (err || o->filled || options_are(o, sb_fs(fc->root->d_sb)))
		return err;
	sb = fc->root->d_sb;
	dput(fc->root);
	fc->root = NULL;
	deactivate_locked_super(sb);
	errorf(fc, "kechofs: this network namespace has a node already, with other options; to mount it once more give the same, or none");
	return -EBUSY;
}

static int kechofs_reconfigure(struct fs_context *fc)
{
	if (options_are(fc->fs_private, sb_fs(fc->root->d_sb)))
		return 0;
	return invalf(fc, "kechofs: a node's options do not change while it runs; see .node/config for what does");
}

static void kechofs_free_fc(struct fs_context *fc)
{
	struct options *o = fc->fs_private;

	if (fc->s_fs_info)
		put_net(fc->s_fs_info);
	if (o)
		options_free(&o->home);
	kfree(o);
}

static const struct fs_context_operations kechofs_context_ops = {
	.free = kechofs_free_fc,
	.parse_param = kechofs_parse_param,
	.get_tree = kechofs_get_tree,
	.reconfigure = kechofs_reconfigure,
};

static int kechofs_init_fs_context(struct fs_context *fc)
{
	struct options *o = kzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);
	const char *host = utsname()->nodename;
	size_t len = strcspn(host, ".");

	if (!o)
		return -ENOMEM;
	if (kecho_name_valid(host, len))
		memcpy(o->home.name, host, len);
	else
		strscpy(o->home.name, "node", sizeof(o->home.name));
	o->home.queue = KECHO_QUEUE_DEFAULT;
	o->home.max_event = KECHO_EVENT_DEFAULT;
	o->home.heartbeat = KECHO_HEARTBEAT_MS;
	o->home.lease = KECHO_LEASE_MS;
	o->uid = current_fsuid();
	o->gid = current_fsgid();
	o->mode = 0644;
	o->list = -1;
	fc->fs_private = o;
	fc->ops = &kechofs_context_ops;
	return 0;
}

static void kechofs_kill_sb(struct super_block *sb)
{
	struct kechofs *fs = sb->s_root ? sb_fs(sb) : NULL;
	struct net *net = sb->s_fs_info;

	if (fs) {
		kechofs_stop(fs);
		/* Before the superblock is taken from the list: a mount that comes now waits for it, and starts the next node. */
		kecho_home_stop(fs->home);
	}
	kill_litter_super(sb);
	if (fs)
		kechofs_end(fs);
	put_net(net);
}

static struct file_system_type kechofs_type = {
	.owner = THIS_MODULE,
	.name = "kechofs",
	.init_fs_context = kechofs_init_fs_context,
	.parameters = kechofs_parameters,
	.kill_sb = kechofs_kill_sb,
};

static int __init kechofs_init(void)
{
	int err;

	kechofs_wq = alloc_workqueue("kechofs", WQ_UNBOUND, 0);
	if (!kechofs_wq)
		return -ENOMEM;
	err = register_filesystem(&kechofs_type);
	if (err)
		destroy_workqueue(kechofs_wq);
	else
		request_module("kecho_ecalls");	/* /dev/kecho, for who has it */
	return err;
}

static void __exit kechofs_exit(void)
{
	unregister_filesystem(&kechofs_type);
	rcu_barrier();
	destroy_workqueue(kechofs_wq);
}

module_init(kechofs_init);
module_exit(kechofs_exit);
MODULE_ALIAS_FS("kechofs");
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: the tree of event channels");
