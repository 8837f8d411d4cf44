// SPDX-License-Identifier: GPL-2.0
/* Kinds of filters, by name: shared objects NAME.so in the filters' folder. One that was loaded stays: its code may be running. */
#define pr_fmt(fmt) "kechofsd: " fmt
#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include "fs.h"

/* $KECHO_FILTERS, beside this program's build, or where it is installed. False: it does not fit. */
static bool filter_path(char *path, size_t size, const char *name)
{
	const char *env = getenv("KECHO_FILTERS");
	char self[PATH_MAX];
	ssize_t n;

	if (env)
		return (size_t)snprintf(path, size, "%s/%s.so", env, name) < size;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[max(n, (ssize_t)0)] = 0;
	dirname(dirname(self));
	if ((size_t)snprintf(path, size, "%s/filters/%s.so", self, name) < size && !access(path, F_OK))
		return true;
	return (size_t)snprintf(path, size, "%s/lib/kecho/filters/%s.so", self, name) < size;
}

const struct kecho_filter_ops *filter_get(struct kecho_node *node, const char *name)
{
	const struct kecho_filter_ops * const *ops;
	char path[PATH_MAX];
	void *so;

	if (!strncmp(name, "bpf:", 4))
		return &filter_bpf;
	if (!filter_path(path, sizeof(path), name) || access(path, F_OK)) {
		pr_warn("no filter %s: there is no %s\n", name, path);
		return ERR_PTR(-ENOENT);
	}
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!so) {
		pr_warn("filter %s: %s\n", name, dlerror());
		return ERR_PTR(-ENOEXEC);
	}
	ops = dlsym(so, "kecho_filter_so");
	if (!ops || strcmp((*ops)->name, name) || !(*ops)->run) {
		pr_warn("filter %s: %s has no kecho_filter_module() of that name\n", name, path);
		dlclose(so);
		return ERR_PTR(-ENOEXEC);
	}
	return *ops;
}

void filter_put(const struct kecho_filter_ops *ops)
{
}
