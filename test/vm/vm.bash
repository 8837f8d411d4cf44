# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests of the modules' own life, in a guest: scripts/vm [--kernel debug] -- bats test/vm. Host N is a network namespace with the
# address 10.77.0.N; two hosts are joined by a cable. Each test begins without our modules and ends with unloading them.

DEBUG_KERNEL=
[[ ! -e /sys/kernel/debug/kmemleak ]] || DEBUG_KERNEL=1
: "${KECHO_SLOW:=${DEBUG_KERNEL:+10}}" "${KECHO_SLOW:=4}"
KECHO_BACKEND=kernel
load ../common
HEARTBEAT=$((300 * KECHO_SLOW))	# milliseconds; a node is gone after 8 of them

setup()
{
	[[ -d /run/kecho-vm ]] || skip "loads and unloads modules: scripts/vm -- bats test/vm"
	K=$BATS_TEST_TMPDIR
	modules_load
}

teardown()
{
	local m ns
	[[ -v K ]] || return 0
	exec 8>&- 9>&-
	reap
	while read -r m; do
		wait_until umount "$m"
	done < <(findmnt -rnt kechofs -o TARGET)
	for ns in $(hosts); do
		ip netns del "$ns"
	done
	modules_unload
}

# The hosts that there are.
hosts() { ip netns list | awk '$1 ~ /^host[0-9]+$/ { print $1 }'; }
on() { local h=$1; shift; nsenter "--net=/run/netns/host$h" "$@"; }
net() { ip -n "host$1" "${@:2}"; }

# cable: hosts 1 and 2
cable()
{
	local h
	ip netns add host1
	ip netns add host2
	for h in 1 2; do
		net "$h" -batch - <<-END
			link set lo up
			$( ((h == 2)) || echo link add eth0 type veth peer name eth0 netns host2)
			addr add 10.77.0.$h/24 dev eth0
			link set eth0 up
		END
	done
}

# node HOST [OPTIONS]: its mount is $K/hHOST
node_options() { echo "name=h$1,listen=10.77.0.$1,insecure,heartbeat=$HEARTBEAT${2:+,$2}"; }
node()
{
	mkdir -p "$K/h$1"
	on "$1" mount -t kechofs -o "$(node_options "$@")" kecho "$K/h$1"
}

# sees HOST CH NODE...: the channel's members there are just these
sees() { [[ $(sed -n 's/^id=.*\tnode=\([^\t]*\)\t.*/\1/p' "$K/h$1/$2/members" | sort | xargs) == "${*:3}" ]]; }
# knows HOST CH NODE N: so many sinks of that node's
knows() { [[ $(member "$K/h$1/$2" "$3" sinks) == "$4" ]]; }

# python SCRIPT [ARGUMENT...]: one of those here
python()
{
	: "${KECHO_PYTHON:=$(python3 -c 'import sys; print(sys.executable)')}"	# not a version manager's wrapper
	KECHO_MODULES=${KECHO_MODULES[*]} timeout $((200 * KECHO_SLOW)) "$KECHO_PYTHON" -BS "$BATS_TEST_DIRNAME/$1" "${@:2}" 3>&-
}
