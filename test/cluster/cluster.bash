# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A cluster in one kernel: host N is a network namespace with the address 10.77.0.N on a bridge (in a namespace of its
# own), and a node whose mount is $K/hN. Nothing of it is seen from outside, so several suites can run at once.

load ../common

: "${HEARTBEAT:=$((200 * KECHO_SLOW))}"	# milliseconds; a node is gone after 8 of them
LEASE=$((2000 * KECHO_SLOW))
TEST_LIMIT=150				# seconds for one test

setup()
{
	((EUID == 0)) || skip "needs root: network namespaces"
	K=$BATS_TEST_TMPDIR NET=kecho-$$ GROUP_PID=
	declare -gA UP=()
	export NET
	export -f kill_hosts
	# Whatever hangs: after that time the daemons die, and so every call on their mounts fails.
	setsid bash -c 'sleep "$1"; kill_hosts' _ $((TEST_LIMIT * KECHO_SLOW)) </dev/null >/dev/null 2>&1 3>&- &
	WATCHDOG=$!
}

teardown()
{
	local h ns rc=0
	[[ -v WATCHDOG ]] || return 0
	kill -- "-$WATCHDOG" || kill "$WATCHDOG" || :
	exec 8>&- 9>&-
	unset "KECHO_PIDS[${GROUP_PID:-0}]"
	reap || rc=1
	for h in "${!UP[@]}"; do
		backend_stop "$K/h$h" || rc=1
	done
	if [[ $GROUP_PID ]]; then group_stop TERM || rc=1; fi
	kill_hosts
	for ns in /run/netns/"$NET"-*; do
		[[ ! -e $ns ]] || ip netns del "${ns##*/}" || rc=1
	done
	for h in "$K"/h*.run; do
		[[ -d $h ]] || continue
		umount -lq "${h%.run}" || :
		[[ $BATS_TEST_COMPLETED || ! -s $h/log ]] || tail -n 20 "$h/log" | sed "s/^/${h##*/}: /"
	done
	return $rc
}

# All that runs in the namespaces of this test.
kill_hosts()
{
	local ns
	for ns in /run/netns/"$NET"-*; do
		[[ ! -e $ns ]] || ip netns pids "${ns##*/}" | xargs -r kill -KILL
	done 2>/dev/null || :
}

# Namespaces of a suite that was killed before it could clean up.
sweep()
{
	local ns NET
	for ns in /run/netns/kecho-*; do
		NET=${ns##*/} NET=${NET%-*}
		[[ -e $ns && ! -d /proc/${NET#kecho-} ]] || continue
		kill_hosts
		ip netns del "${ns##*/}" || :
	done
}

# on HOST CMD...: in the host's network, but among our mounts (ip netns exec would hide new ones).
on() { local h=$1; shift; nsenter "--net=/run/netns/$NET-h$h" "$@"; }
on_background() { background exec nsenter "--net=/run/netns/$NET-h$1" "${@:2}"; }
net() { ip -n "$NET-$1" "${@:2}"; }

# net_up N: hosts 1 to N, with two switches: br0, and br1 for a partition.
net_up()
{
	local h
	sweep
	ip netns add "$NET-sw"
	for h in br0 br1; do
		net sw link add "$h" type bridge
		net sw link set "$h" up
	done
	for ((h = 1; h <= $1; h++)); do
		ip netns add "$NET-h$h"
		net "h$h" -batch - <<-END
			link set lo up
			link add eth0 type veth peer name p$h netns $NET-sw
			addr add 10.77.0.$h/24 dev eth0
			link set eth0 up
		END
		net sw link set "p$h" master br0 up
	done
}

# switch BRIDGE HOST...: plug them in there
switch() { local b=$1 h; shift; for h; do net sw link set "p$h" master "$b"; done; }

# group_up; group_stop [SIGNAL]: the group server, on host 1
group_up()
{
	on_background 1 "$KECHO_BUILD/bin/kecho-groupd" -f -l 10.77.0.1:7326 --insecure --lease "$LEASE" 2>>"$K/group.log"
	GROUP_PID=$LAST_PID
	wait_until '[[ $(on 1 ss -Hltn "sport = :7326") ]] || gone $GROUP_PID'
	! gone "$GROUP_PID" || fail "kecho-groupd ended: $(<"$K/group.log")"
}
group_stop()
{
	local rc=0
	kill "-${1:-KILL}" "$GROUP_PID"
	wait_exit "$GROUP_PID" || rc=$?
	GROUP_PID=
	[[ ${1:-KILL} == KILL || $rc == 0 ]] || fail "kecho-groupd: status $rc: $(<"$K/group.log")"
}

# node_up HOST [OPTIONS instead of group=]; node_kill HOST; node_stop HOST
node_up()
{
	local more=${2-group=10.77.0.1:7326}
	mkdir -p "$K/h$1.run"
	# Executed, not run: what backend_start takes for the daemon's pid is the daemon's.
	printf '#!/bin/sh\nexec nsenter --net=/run/netns/%s-h%s %q "$@"\n' "$NET" "$1" "$KECHOFSD" >"$K/h$1.run/exec"
	chmod +x "$K/h$1.run/exec"
	KECHOFSD=$K/h$1.run/exec backend_start "$K/h$1" \
		"name=h$1,listen=10.77.0.$1,insecure,heartbeat=$HEARTBEAT,lease=$LEASE${more:+,$more}"
	UP[$1]=1
}
node_pid() { cat "$K/h$1.run/pid"; }
node_kill()
{
	kill -KILL "$(node_pid "$1")"
	unset "UP[$1]"
	wait_until backend_ended "$K/h$1"
	umount -lq "$K/h$1" || :
}
node_stop() { unset "UP[$1]"; backend_stop "$K/h$1"; }
# A node without a network.
local_up() { backend_start "$K/h1" "name=h1"; UP[1]=1; }

# cluster_up N [HOSTS]: nodes 1 to N and a group server, with the networks of HOSTS hosts ready
cluster_up()
{
	local h
	net_up "${2:-$1}"
	group_up
	for ((h = 1; h <= $1; h++)); do node_up "$h"; done
}

# sees HOST CH HOST...: the first one's members are just these, all alive; all_see CH HOST...
alive() { sed -n 's/^id=.*\tnode=\([^\t]*\)\t.*\tstate=alive\t.*/\1/p' "$K/h$1/$2/members" 2>/dev/null | sort | xargs; }
others() { sed -n '2,${/^id=/p}' "$K/h$1/$2/members" 2>/dev/null; }
sees() { [[ $(alive "$1" "$2") == "$(printf 'h%s\n' "${@:3}" | sort | xargs)" && $(others "$1" "$2" | wc -l) == $(($# - 3)) ]]; }
all_see()
{
	local h
	for h in "${@:2}"; do
		wait_until -t 20 sees "$h" "$@" || fail "h$h: $(<"$K/h$h/$1/members")" || return
	done
}
# join CH HOST...
join()
{
	local h
	for h in "${@:2}"; do mkdir "$K/h$h/$1"; done
	all_see "$@"
}

# leave CH HOST...: what has the channel's files open may just be closing them
leave() { local h; for h in "${@:2}"; do wait_until rmdir "$K/h$h/$1"; done; }

sinks() { member "$K/h$1/$2" "h$3" sinks; }		# HOST CH OTHER: how many the first one knows of
sinks_are() { [[ $(sinks "$1" "$2" "$3") == "$4" ]]; }
contact_of() { sed -n '/^id=.*\tcontact=1\(\t\|$\)/p' "$K/h$1/$2/members" | field node; }	# HOST CH
one_contact() { [[ $(for h in "${@:2}"; do contact_of "$h" "$1" || :; done | sort | uniq -c) =~ ^\ *$(($# - 1))\ h[0-9]+$ ]]; } # CH HOST...
contact_is() { [[ $(contact_of "$1" "$2") == "$3" ]]; }
listed() { { grep -P "(^|\t)name=$2(\t|\$)" "$K/h$1/.node/channels" || :; } | field "$3"; }	# HOST CH KEY
listed_is() { [[ $(listed "$@") == "$4" ]]; }
counter() { sed -n "s/^$2=//p" "$K/h$1/.node/stats"; }	# HOST NAME
set_attr() { printf '%s\n' "${@:3}" >"$K/h$1/$2/attrs"; }	# HOST CH LINE...
has_line() { grep -qxF -- "$2" "$1"; }
# setting CH LINE HOST...: set by the first, and seen by all
setting()
{
	local h
	set_attr "$3" "$1" "$2"
	for h in "${@:3}"; do wait_until has_line "$K/h$h/$1/attrs" "$2"; done
}

# flows CH FROM TO...: an event published on one host reaches the others, once
flows()
{
	local ch=$1 from=$2 h tag=event-$RANDOM$RANDOM
	local -A pid=() had=()
	shift 2
	for h; do
		had[$h]=$(sinks "$from" "$ch" "$h")
		subscribe "$K/h$h/$ch" 1 "$K/flow$h"
		pid[$h]=$READER_PID
	done
	for h; do wait_until sinks_are "$from" "$ch" "$h" $((had[$h] + 1)); done
	echo "$tag" >"$K/h$from/$ch/events"
	for h; do
		received "${pid[$h]}" "$K/flow$h" "$tag" || fail "h$from to h$h" || return
		wait_until sinks_are "$from" "$ch" "$h" "${had[$h]}"
	done
}

# listen CH FROM HOST...: a reader on each, into $K/out.HOST, that FROM knows of; its pid in READER[HOST]
declare -gA READER=()
listen()
{
	local h
	for h in "${@:3}"; do
		subscribe "$K/h$h/$1" 0 "$K/out.$h"
		READER[$h]=$READER_PID
	done
	for h in "${@:3}"; do
		[[ $h == "$2" ]] || wait_until sinks_are "$2" "$1" "$h" 1
	done
}
# heard HOST N [SECONDS]: its reader has so many lines
heard() { wait_until -t "${3:-30}" lines_are "$K/out.$1" "$2" || fail "h$1 received $(wc -l <"$K/out.$1")"; }

# The interpreter itself in KECHO_PYTHON: a version manager's wrapper would be another process, and slow.
find_python() { : "${KECHO_PYTHON:=$(python3 -c 'import sys; print(sys.executable)')}"; }
note() { echo "# $*" >&3; }
