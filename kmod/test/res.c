// SPDX-License-Identifier: GPL-2.0
/* kecho_test_res: a kernel service that offers a resource, gpu, or has a lease on one while it is loaded; for test/vm/service.bats. */
#define pr_fmt(fmt) "kecho_test_res: " fmt
#include <linux/err.h>
#include <linux/module.h>
#include <kecho/res.h>
#include <kecho/version.h>

static unsigned int offer, request;
module_param(offer, uint, 0444);
MODULE_PARM_DESC(offer, "how much to offer");
module_param(request, uint, 0444);
MODULE_PARM_DESC(request, "how much to request, from who has least");

static bool held, lost;
module_param(lost, bool, 0444);
MODULE_PARM_DESC(lost, "the lease was lost");

static int get_held(char *buf, const struct kernel_param *param);
static const struct kernel_param_ops held_ops = { .get = get_held };
module_param_cb(held, &held_ops, &held, 0444);

static struct kecho_res *manager, *lease;

static int get_held(char *buf, const struct kernel_param *param)
{
	return sprintf(buf, "%d %016llx\n", lease && kecho_res_held(lease), lease ? kecho_res_id(lease) : 0);
}

static void on_lost(void *arg)
{
	WRITE_ONCE(lost, true);
}

static int __init res_init(void)
{
	struct kecho_res_want want = {
		.channel = "resources", .name = "gpu", .best = "least:size", .amount = request, .ttl_ms = 2000, .timeout_ms = 5000,
		.lost = on_lost,
	};
	struct kecho_res *bad;

	if (offer) {
		bad = kecho_res_offer("resources", "gpu", offer, "no line", 2000, KECHO_RES_NEW);
		if (bad != ERR_PTR(-EINVAL))
			return -EPROTO;
		manager = kecho_res_offer("resources", "gpu", offer, "home=kernel\n", 2000, KECHO_RES_NEW);
		return PTR_ERR_OR_ZERO(manager);
	}
	lease = kecho_res_request(&want);
	return PTR_ERR_OR_ZERO(lease);
}

static void __exit res_exit(void)
{
	if (lease)
		kecho_res_release(lease);
	if (manager)
		kecho_res_withdraw(manager);
}

module_init(res_init);
module_exit(res_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The KECho project");
MODULE_VERSION(KECHO_VERSION);
MODULE_DESCRIPTION("KECho: a service with a lease, for the tests");
