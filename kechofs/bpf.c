// SPDX-License-Identifier: GPL-2.0
/* BPF filters: a pinned program of the socket filter type, run by the kernel when asked to test it. */
#define pr_fmt(fmt) "kechofsd: " fmt
#include <linux/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kernel.h>
#include "../lib/channel/bpf.h"
#include "fs.h"

/*
 * A socket filter is tested on a frame as it arrives, and sees it without the Ethernet header; one of a type for experiments is
 * looked into by nobody else.
 */
#define FRAME_HEADER 14
#define FRAME_TYPE { 0x88, 0xb5 }

struct state {
	int fd;
	bool told;
	struct {
		u8 unused[2];	/* for the packet's alignment */
		u8 header[FRAME_HEADER];
		u8 packet[KECHO_BPF_PACKET];
	} frame __attribute__((aligned(8)));
};

static int bpf(int cmd, union bpf_attr *attr)
{
	int ret = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

static bool is_socket_filter(int fd)
{
	char path[64], line[64];
	int type = -1;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "re");
	while (info && fgets(line, sizeof(line), info))
		sscanf(line, "prog_type: %d", &type);
	if (info)
		fclose(info);
	return type == BPF_PROG_TYPE_SOCKET_FILTER;
}

static int attached(struct kecho_filter *f)
{
	const char *path = f->name + 4;
	struct state *s = f->state;
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	fd = s->fd = bpf(BPF_OBJ_GET, &attr);
	if (fd >= 0 && !is_socket_filter(fd))
		fd = -EINVAL;
	if (fd < 0) {
		kecho_filter_refuse(f, "no program of the type socket filter at %s: %s", path, strerror(-fd));
		return fd;
	}
	memcpy(s->frame.header + FRAME_HEADER - 2, (u8[])FRAME_TYPE, 2);
	return 0;
}

static void detached(struct kecho_filter *f)
{
	struct state *s = f->state;

	if (s->fd >= 0)
		close(s->fd);
}

static bool keep(struct kecho_filter *f, u32 len)
{
	struct state *s = f->state;
	union bpf_attr attr;
	int err;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = s->fd;
	attr.test.data_in = (uintptr_t)s->frame.header;
	attr.test.data_size_in = FRAME_HEADER + len;
	attr.test.repeat = 1;
	err = bpf(BPF_PROG_TEST_RUN, &attr);
	if (err && !s->told)
		pr_warn("filter %s: the kernel does not run it, so all candidates are kept: %s\n", f->name, strerror(-err));
	s->told = err;
	return err || attr.test.retval;
}

static void run(struct kecho_filter *f, struct kecho_pass *p)
{
	struct state *s = f->state;

	kecho_bpf_run(f, p, s->frame.packet, keep);
}

const struct kecho_filter_ops filter_bpf = {
	.name = "bpf",
	.state = sizeof(struct state),
	.setup = kecho_bpf_setup,
	.attached = attached,
	.detached = detached,
	.run = run,
};
