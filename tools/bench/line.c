// SPDX-License-Identifier: GPL-2.0
/*
 * Hosts and lines between them: network namespaces with a virtual cable, or several with a switch, which delay, lose and pace as
 * tc-netem(8) is told. Each is held by a process that does nothing else, so they are gone with us.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Behind the last host: where the switch is. */
static pid_t hosts[HOSTS_MAX + 1], owner;

const char *line_address(int host)
{
	static char addresses[HOSTS_MAX][32];

	snprintf(addresses[host], sizeof(addresses[0]), "10.79.0.%d", host + 1);
	return addresses[host];
}

void line_down(void)
{
	int i;

	if (getpid() != owner)
		return;
	for (i = 0; i <= HOSTS_MAX; i++) {
		if (hosts[i] <= 0)
			continue;
		kill(hosts[i], SIGKILL);
		waitpid(hosts[i], NULL, 0);
		hosts[i] = 0;
	}
}

static bool host_start(int i)
{
	int ready[2];
	char c;

	if (pipe2(ready, O_CLOEXEC))
		die("pipe: %m");
	hosts[i] = fork();
	if (hosts[i] < 0)
		die("fork: %m");
	if (!hosts[i]) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != owner || unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(EXIT_FAILURE);
		for (;;)
			pause();
	}
	close(ready[1]);
	c = read(ready[0], &c, 1) == 1;
	close(ready[0]);
	return c;
}

void line_enter(int host)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", hosts[host]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("%s: %m", path);
	close(fd);
}

/* Frames as long as they are on a real line: nothing is left for a network card to cut. */
static void no_offload(void)
{
	struct ethtool_value v = { .cmd = ETHTOOL_STXCSUM };
	struct ifreq r = { .ifr_name = "eth0", .ifr_data = (void *)&v };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &r))
		die("eth0: %m");
	close(fd);
}

/* In a host: false if the command fails. */
static bool run(int host, const char *netem, const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %m");
	if (!pid) {
		line_enter(host);
		if (netem && *netem)
			no_offload();
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(EXIT_FAILURE);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return !status;
}

static bool cable(void)
{
	char command[128];

	snprintf(command, sizeof(command), "ip link add eth0 type veth peer name eth0 netns %d", hosts[1]);
	return run(0, NULL, command);
}

static bool plug(int host, int sw)
{
	char command[128];

	snprintf(command, sizeof(command), "ip link add p%d master br0 up type veth peer name eth0 netns %d", host, hosts[host]);
	return run(sw, NULL, command);
}

/* The hosts are there, and what connects them. */
static bool hosts_start(int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (!host_start(i))
			return false;
	if (n == 2)
		return cable();
	if (!host_start(n) || !run(n, NULL, "ip link add br0 up type bridge"))
		return false;
	for (i = 0; i < n; i++)
		if (!plug(i, n))
			return false;
	return true;
}

static bool host_up(int i, const char *netem)
{
	char command[256];

	snprintf(command, sizeof(command), "ip link set lo up && ip addr add %s/24 dev eth0 && ip link set eth0 up && "
		 "{ [ -z '%s' ] || tc qdisc add dev eth0 root netem limit 100000 %s 2>/dev/null; }", line_address(i), netem, netem);
	return run(i, netem, command);
}

bool line_up(const char *netem, unsigned int n)
{
	unsigned int i;

	owner = getpid();
	atexit(line_down);
	if (!hosts_start(n)) {
		warning("not measured: network namespaces cannot be made, which takes root");
		return false;
	}
	for (i = 0; i < n; i++) {
		if (!host_up(i, netem)) {
			warning("not measured: there is no 'tc qdisc add ... netem %s' here", netem);
			return false;
		}
	}
	return true;
}
