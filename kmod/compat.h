/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the modules are built for. The rest is written for the newest; HAVE_* come from probes.
 */
#ifndef KECHO_COMPAT_H
#define KECHO_COMPAT_H
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/power_supply.h>
#include <net/sock.h>

/* 6.3: mounts map ids by a type of their own. */
#ifdef HAVE_MNT_IDMAP
#define compat_idmap mnt_idmap
#define compat_nop_idmap (&nop_mnt_idmap)
#else
#define compat_idmap user_namespace
#define compat_nop_idmap (&init_user_ns)
#endif

/* 6.6 */
#ifdef HAVE_FILLATTR_MASK
#define compat_fillattr generic_fillattr
#else
#define compat_fillattr(idmap, mask, inode, stat) generic_fillattr(idmap, inode, stat)
#endif

/* 6.15: mkdir may return another dentry than the one given. */
#ifdef HAVE_MKDIR_DENTRY
#define compat_mkdir_t struct dentry *
#define compat_mkdir_ret(err) ERR_PTR(err)
#else
#define compat_mkdir_t int
#define compat_mkdir_ret(err) (err)
#endif

/* 6.5 */
#ifdef HAVE_COPY_SPLICE_READ
#define compat_splice_read copy_splice_read
#else
#define compat_splice_read generic_file_splice_read
#endif

/* 6.14: a kernel socket keeps its network namespace, which its timers use, until TCP is done with it, as a program's does. */
#ifndef HAVE_SK_NET_REFCNT_UPGRADE
static inline void sk_net_refcnt_upgrade(struct sock *sk)
{
	sk->sk_net_refcnt = 1;
	get_net_track(sock_net(sk), &sk->ns_tracker, GFP_KERNEL);
	sock_inuse_add(sock_net(sk), 1);
}
#endif

/* 6.10 */
#ifndef HAVE_FSNOTIFY_SB_HAS_WATCHERS
static inline bool fsnotify_sb_has_watchers(struct super_block *sb)
{
	return atomic_long_read(&sb->s_fsnotify_connectors);
}
#endif

/* 6.11 */
#ifndef HAVE_POWER_SUPPLY_FOR_EACH_DEVICE
#define compat_for_each_power_supply(data, fn) class_for_each_device(power_supply_class, NULL, data, fn)
#else
#define compat_for_each_power_supply power_supply_for_each_device
#endif
#endif
