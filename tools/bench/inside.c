// SPDX-License-Identifier: GPL-2.0
/* Inside the kernel: the module kecho_bench, of this build or an installed one, measures and we ask. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIR	"/sys/kernel/debug/kecho_bench"

static pid_t loader;

static void unload(void)
{
	if (getpid() == loader)
		syscall(SYS_delete_module, "kecho_bench", O_NONBLOCK);
}

/* False: not beside this program's build. */
static bool insert(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *end;
	int fd, err;

	path[len > 0 ? len : 0] = '\0';
	end = strstr(path, "/bin/kecho-bench");
	if (!end)
		return false;
	snprintf(end, path + sizeof(path) - end, "/kmod/%s/kecho_bench.ko", machine_kernel());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	err = syscall(SYS_finit_module, fd, "", 0);
	close(fd);
	return !err;
}

static bool load_module(void)
{
	if (!access(DIR, F_OK))
		return true;
	if (!insert() && system("modprobe -q kecho_bench 2>/dev/null"))
		return false;
	loader = getpid();
	atexit(unload);
	return !access(DIR, F_OK);
}

bool inside_there(void)
{
	static enum { UNKNOWN, THERE, NOT } state;

	if (!state && node_is_kernel()) {
		state = load_module() ? THERE : NOT;
		if (state == NOT)
			warning("not measured inside the kernel: no module kecho_bench: scripts/kmod %s TESTS=m, or no debugfs",
				machine_kernel());
	}
	return state == THERE;
}

void inside_run(struct inside *result, const char *fmt, ...)
{
	char line[4096], name[32];
	unsigned long long value;
	va_list args;
	FILE *f;
	int fd, n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	fd = open(DIR "/run", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, n) != n)
		die("kecho_bench: %s: %m", line);
	close(fd);
	f = fopen(DIR "/results", "re");
	if (!f)
		die("kecho_bench: %m");
	while (fscanf(f, "%31[^=]=%llu\n", name, &value) == 2) {
		if (!strcmp(name, "median_ns"))
			result->median = value;
		else if (!strcmp(name, "p99_ns"))
			result->p99 = value;
		else if (!strcmp(name, "mean_ns"))
			result->mean = value;
		else if (!strcmp(name, "handled"))
			result->handled = value;
	}
	fclose(f);
}
