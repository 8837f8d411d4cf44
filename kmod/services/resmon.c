// SPDX-License-Identifier: GPL-2.0
/*
 * kecho_resmon: says on a channel how loaded this host is, as attributes of its node and, for readers, as one event a period. Programs
 * see the attributes in members of every host on the channel; filters choose by them.
 */
#define pr_fmt(fmt) "kecho_resmon: " fmt
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/loadavg.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <kecho/kecho.h>
#include <kecho/version.h>

#define PERIOD_MIN_MS 10
#define LINES_MAX 256

static char *channel = "load";
module_param(channel, charp, 0444);
MODULE_PARM_DESC(channel, "channel to publish on; joined or created (load)");

static unsigned int period_ms = 1000;
module_param(period_ms, uint, 0644);
MODULE_PARM_DESC(period_ms, "time between two reports, at least 10 (1000)");

static struct kecho *kecho;
static struct net *net;
static struct delayed_work report;

/* Fixed point, as avenrun is. */
static int put_load(char *buf, size_t size, const char *name, unsigned long avg)
{
	return scnprintf(buf, size, "%s=%lu.%02lu\n", name, LOAD_INT(avg), LOAD_FRAC(avg));
}

static int put_memory(char *buf, size_t size)
{
	struct sysinfo si;

	si_meminfo(&si);
	return scnprintf(buf, size, "mem_total=%llu\nmem_free=%llu\n", (u64)si.totalram * si.mem_unit,
			 (u64)si.freeram * si.mem_unit);
}

/* All devices but loopback. */
static int put_network(char *buf, size_t size)
{
	u64 rx = 0, tx = 0, dropped = 0;
	struct rtnl_link_stats64 stats;
	struct net_device *dev;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev) {
		if (dev->flags & IFF_LOOPBACK)
			continue;
		dev_get_stats(dev, &stats);
		rx += stats.rx_bytes;
		tx += stats.tx_bytes;
		dropped += stats.rx_dropped + stats.tx_dropped;
	}
	rcu_read_unlock();
	return scnprintf(buf, size, "net_rx=%llu\nnet_tx=%llu\nnet_dropped=%llu\n", rx, tx, dropped);
}

static void report_work(struct work_struct *work)
{
	struct kecho_event event = { 0 };
	char lines[LINES_MAX];
	int n = 0, err;

	n += put_load(lines + n, sizeof(lines) - n, "load", avenrun[0]);
	n += put_load(lines + n, sizeof(lines) - n, "load5", avenrun[1]);
	n += scnprintf(lines + n, sizeof(lines) - n, "cpus=%u\n", num_online_cpus());
	n += put_memory(lines + n, sizeof(lines) - n);
	n += put_network(lines + n, sizeof(lines) - n);
	err = kecho_attr_set(kecho, lines);
	if (!err) {
		/* One line of text, for `while read -r line`. */
		strreplace(lines, '\n', ' ');
		event.data = lines;
		event.len = n - 1;
		err = kecho_publish(kecho, &event, KECHO_NOWAIT);
	}
	/* Readers that hold up the channel miss a report: the next one says more than a late one. */
	if (err < 0 && err != -EAGAIN)
		pr_warn_ratelimited("channel %s: error %d\n", channel, err);
	schedule_delayed_work(&report, msecs_to_jiffies(max(READ_ONCE(period_ms), (unsigned int)PERIOD_MIN_MS)));
}

static int __init resmon_init(void)
{
	kecho = kecho_open(channel, KECHO_CREATE);
	if (IS_ERR(kecho)) {
		if (PTR_ERR(kecho) == -ENXIO)
			pr_err("no node runs in this network namespace: mount -t kechofs kecho /kecho\n");
		else
			pr_err("channel %s: error %ld\n", channel, PTR_ERR(kecho));
		return PTR_ERR(kecho);
	}
	net = get_net(current->nsproxy->net_ns);
	INIT_DELAYED_WORK(&report, report_work);
	schedule_delayed_work(&report, 0);
	return 0;
}

static void __exit resmon_exit(void)
{
	cancel_delayed_work_sync(&report);
	kecho_close(kecho);
	put_net(net);
}

module_init(resmon_init);
module_exit(resmon_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: publishes the load of this host");
