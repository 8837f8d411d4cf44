// SPDX-License-Identifier: GPL-2.0
/*
 * kecho_resmon: says on a channel how loaded this host is; lib/services/resmon.c says what and when, here it is measured. `kecho resmon`
 * does the same in user space.
 */
#define pr_fmt(fmt) "kecho_resmon: " fmt
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/power_supply.h>
#include <linux/sched.h>
#include <linux/sched/loadavg.h>
#include <linux/seq_file.h>
#include <linux/tick.h>
#include <linux/uio.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <kecho/kecho.h>
#include <kecho/version.h>
#include "../../lib/services/resmon.h"
#include "../compat.h"

static char *channel = "load";
module_param(channel, charp, 0444);
MODULE_PARM_DESC(channel, "channel to publish on; joined or created (load)");

static unsigned int period_ms = 1000;
module_param(period_ms, uint, 0644);
MODULE_PARM_DESC(period_ms, "time between two measurements, at least 10 (1000); the attribute resmon.period goes before");

static struct net *net;
static struct resmon resmon;
static struct delayed_work work;

/* --- measuring --- */

static u64 hundredths(unsigned long avg)
{
	return LOAD_INT(avg) * 100 + LOAD_FRAC(avg);
}

static void measure_cpus(struct load *l)
{
	u64 idle, waits, all = 0;
	unsigned int cpu;

	load_set(l, LOAD_CPUS, num_online_cpus());
	for_each_online_cpu(cpu) {
		idle = get_cpu_idle_time_us(cpu, NULL);
		waits = get_cpu_iowait_time_us(cpu, NULL);
		/* With nohz=off nobody counts. */
		if (idle == U64_MAX || waits == U64_MAX)
			return;
		all += idle + waits;
	}
	load_set(l, LOAD_CPU, all);
}

static void measure_memory(struct load *l)
{
	struct sysinfo si;

	si_meminfo(&si);
	load_set(l, LOAD_MEM_TOTAL, (u64)si.totalram * si.mem_unit);
	load_set(l, LOAD_MEM_AVAILABLE, (u64)si_mem_available() << PAGE_SHIFT);
}

/* What was submitted to block devices: layers of them do not count twice. */
static void measure_disk(struct load *l)
{
	unsigned long *events;

	/* Where nothing is counted all_vm_events() leaves what was there. */
	if (!IS_ENABLED(CONFIG_VM_EVENT_COUNTERS))
		return;
	events = kmalloc_array(NR_VM_EVENT_ITEMS, sizeof(*events), GFP_KERNEL);
	if (!events)
		return;
	all_vm_events(events);
	load_set(l, LOAD_DISK, ((u64)events[PGPGIN] + events[PGPGOUT]) << 9);
	kfree(events);
}

/* All devices but loopback. */
static void measure_network(struct load *l)
{
	struct rtnl_link_stats64 stats;
	struct net_device *dev;
	u64 rx = 0, tx = 0;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev) {
		if (dev->flags & IFF_LOOPBACK)
			continue;
		dev_get_stats(dev, &stats);
		rx += stats.rx_bytes;
		tx += stats.tx_bytes;
	}
	rcu_read_unlock();
	load_set(l, LOAD_NET_RX, rx);
	load_set(l, LOAD_NET_TX, tx);
}

/*
 * The kernel has no other way to ask for its pressure than this file, whose text, a seq_file's, is not for kernel_read(). So it has to
 * be that file and not what may be mounted there.
 */
static void measure_pressure(struct load *l, enum load_measure m, const char *name)
{
	struct kvec vec;
	unsigned int whole, cents;
	struct iov_iter to;
	char text[64];
	struct kiocb io;
	struct file *f;
	char *path;

	snprintf(text, sizeof(text), "/proc/pressure/%s", name);
	f = filp_open(text, O_RDONLY, 0);
	if (IS_ERR(f))
		return;
	path = dentry_path_raw(f->f_path.dentry, text, sizeof(text));
	if (file_inode(f)->i_sb->s_magic != PROC_SUPER_MAGIC || IS_ERR(path) || strncmp(path, "/pressure/", 10) || strcmp(path + 10, name))
		goto close;
	vec.iov_base = text;
	vec.iov_len = sizeof(text) - 1;
	memset(text, 0, sizeof(text));
	init_sync_kiocb(&io, f);
	iov_iter_kvec(&to, READ, &vec, 1, vec.iov_len);
	if (seq_read_iter(&io, &to) > 0 && sscanf(text, "some avg10=%u.%u", &whole, &cents) == 2)
		load_set(l, m, whole * 100 + cents);
close:
	fput(f);
}

#if IS_REACHABLE(CONFIG_POWER_SUPPLY)
struct power {
	u32 batteries, charged, mains;
	u64 full;
};

/* Those of the host itself, not of its mouse. */
static int measure_supply(struct device *dev, void *arg)
{
	struct power_supply *psy = dev_get_drvdata(dev);
	union power_supply_propval val;
	struct power *p = arg;

	if (!power_supply_get_property(psy, POWER_SUPPLY_PROP_SCOPE, &val) && val.intval == POWER_SUPPLY_SCOPE_DEVICE)
		return 0;
	if (psy->desc->type != POWER_SUPPLY_TYPE_BATTERY && psy->desc->type != POWER_SUPPLY_TYPE_UPS) {
		p->mains += !power_supply_get_property(psy, POWER_SUPPLY_PROP_ONLINE, &val) && val.intval == 1;
		return 0;
	}
	p->batteries++;
	if (!power_supply_get_property(psy, POWER_SUPPLY_PROP_CAPACITY, &val) && val.intval >= 0) {
		p->charged++;
		p->full += val.intval;
	}
	return 0;
}

static void measure_power(struct load *l)
{
	struct power p = { 0 };

	compat_for_each_power_supply(&p, measure_supply);
	if (p.batteries)
		load_set(l, LOAD_ON_BATTERY, !p.mains);
	if (p.charged)
		load_set(l, LOAD_BATTERY, div_u64(p.full, p.charged));
}
#else
static void measure_power(struct load *l)
{
}
#endif

static void measure(struct load *l)
{
	load_set(l, LOAD_1, hundredths(avenrun[0]));
	load_set(l, LOAD_5, hundredths(avenrun[1]));
	measure_cpus(l);
	measure_memory(l);
	measure_disk(l);
	measure_network(l);
	measure_pressure(l, LOAD_PSI_CPU, "cpu");
	measure_pressure(l, LOAD_PSI_MEM, "memory");
	measure_pressure(l, LOAD_PSI_IO, "io");
	measure_power(l);
}

/* --- saying --- */

static int get(void *arg, const char *name, char *buf, size_t size)
{
	return kecho_attr_get(arg, name, buf, size);
}

static void resmon_work(struct work_struct *unused)
{
	struct load load = { 0 };
	u64 now;
	int err;

	resmon_settings(&resmon, (u64)READ_ONCE(period_ms) * NSEC_PER_MSEC, get, resmon.channel);
	if (resmon_due(&resmon, ktime_get_ns())) {
		measure(&load);
		err = resmon_measured(&resmon, &load, ktime_get_ns());
		if (err < 0)
			pr_warn_ratelimited("channel %s: error %d\n", channel, err);
	}
	now = ktime_get_ns();
	schedule_delayed_work(&work, nsecs_to_jiffies(max(resmon_next(&resmon, now), now) - now));
}

static int __init resmon_init(void)
{
	resmon.channel = kecho_open(channel, KECHO_CREATE);
	if (IS_ERR(resmon.channel)) {
		if (PTR_ERR(resmon.channel) == -ENXIO)
			pr_err("no node runs in this network namespace: mount -t kechofs kecho /kecho\n");
		else
			pr_err("channel %s: error %ld\n", channel, PTR_ERR(resmon.channel));
		return PTR_ERR(resmon.channel);
	}
	net = get_net(current->nsproxy->net_ns);
	INIT_DELAYED_WORK(&work, resmon_work);
	schedule_delayed_work(&work, 0);
	return 0;
}

static void __exit resmon_exit(void)
{
	cancel_delayed_work_sync(&work);
	resmon_stop(&resmon);
	kecho_close(resmon.channel);
	put_net(net);
}

module_init(resmon_init);
module_exit(resmon_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: publishes the load of this host");
