// SPDX-License-Identifier: GPL-2.0
/*
 * Hosts and lines between them: network namespaces with a virtual cable, or several with a switch, which delay, lose and pace as
 * tc-netem(8) is told; where there is none, two with a line by tap.c. Each is held by a process that does nothing else, so they are gone
 * with us.
 */
#include "bench.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Behind the last host: where the switch is, or who is the line. */
static pid_t hosts[HOSTS_MAX + 1], owner;
static bool by_tap;

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
	for (i = 0; i <= HOSTS_MAX; i++)
		process_kill(&hosts[i]);
	by_tap = false;
}

/* @netem: it is the line between the first two hosts; NULL: a host. */
static bool host_start(int i, const char *netem)
{
	int ready[2];
	char c;

	if (pipe2(ready, O_CLOEXEC))
		die("pipe: %m");
	hosts[i] = process_start(SIGKILL);
	if (!hosts[i]) {
		if (netem)
			tap_run(netem, ready[1]);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
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

void line_sent(int host, uint64_t *packets, uint64_t *bytes)
{
	unsigned long long b, p;
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/dev", hosts[host]);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " eth0: %*u %*u %*u %*u %*u %*u %*u %*u %llu %llu", &b, &p) == 2;
	if (!found)
		die("%s: no eth0", path);
	fclose(f);
	*packets += p;
	*bytes += b;
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
	pid_t pid = process_start(SIGKILL);

	if (!pid) {
		line_enter(host);
		if (netem && *netem)
			no_offload();
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(EXIT_FAILURE);
	}
	return !process_wait(pid);
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

	snprintf(command, sizeof(command), "ip link add p%d master br0 up type veth peer name eth0 address 02:00:00:00:00:%02x netns %d",
		 host, host + 1, hosts[host]);
	return run(sw, NULL, command);
}

/* A real switch does not take the hosts' time to look through the rules of a firewall. */
#define NF_CALL	"/proc/sys/net/bridge/bridge-nf-call-iptables"
#define SWITCH	"ip link add br0 up type bridge && { [ ! -e " NF_CALL " ] || echo 0 >" NF_CALL "; }"

/* The hosts are there, and what connects them. @tap: the line that netem cannot be */
static bool hosts_start(int n, const char *tap)
{
	int i;

	for (i = 0; i < n; i++)
		if (!host_start(i, NULL))
			return false;
	if (n == 2)
		return tap ? host_start(n, tap) : cable();
	if (!host_start(n, NULL) || !run(n, NULL, SWITCH))
		return false;
	for (i = 0; i < n; i++)
		if (!plug(i, n))
			return false;
	return true;
}

static bool host_up(int i, const char *netem)
{
	char command[512];

	snprintf(command, sizeof(command), "ip link set lo up && ip link set eth0 txqueuelen 10000 && ip addr add %s/24 dev eth0 && "
		 "ip link set eth0 up && { [ -z '%s' ] || tc qdisc add dev eth0 root netem limit 100000 %s 2>/dev/null; }", line_address(i), netem, netem);
	return run(i, netem, command);
}

/* The congestion control that Linux has by itself, if the machine has another one. */
static void use_cubic(int i)
{
	if (!run(i, NULL, "{ echo cubic >/proc/sys/net/ipv4/tcp_congestion_control; } 2>/dev/null"))
		warning("TCP has another congestion control than cubic: sysctl net.ipv4.tcp_allowed_congestion_control='reno cubic' "
			"lets it be chosen");
}

/* Who has which address: what hosts find out themselves is in one table of the kernel, in which more than 32 do not find room. */
static bool introduce(int i, unsigned int n)
{
	char command[256];

	snprintf(command, sizeof(command), "for i in $(seq %u); do printf 'neigh replace 10.79.0.%%d lladdr 02:00:00:00:00:%%02x dev eth0 "
		 "nud permanent\\n' $i $i; done | ip -batch -", n);
	return run(i, NULL, command);
}

static bool netem_there(void)
{
	bool there = host_start(0, NULL) && run(0, NULL, "tc qdisc add dev lo root netem 2>/dev/null");

	line_down();
	return there;
}

const char *line_note(void)
{
	return by_tap ? " The cable is a process between two TAP devices, on any CPU, before all others." : "";
}

bool line_up(const char *netem, unsigned int n)
{
	unsigned int i;

	owner = getpid();
	atexit(line_down);
	by_tap = *netem && n == 2 && !netem_there();
	if (!hosts_start(n, by_tap ? netem : NULL)) {
		warning("not measured: network namespaces%s cannot be made, which takes root", by_tap ? ", or TAP devices," : "");
		return false;
	}
	for (i = 0; i < n; i++) {
		if (n > 2 && !introduce(i, n))
			die("eth0: neighbours cannot be set");
		if (!host_up(i, by_tap ? "" : netem)) {
			warning("not measured: there is no 'tc qdisc add ... netem %s' here", netem);
			return false;
		}
		if (i < 2)
			use_cubic(i);
	}
	return true;
}
