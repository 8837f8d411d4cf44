# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A cluster in one kernel: host N is a network namespace with the address 10.77.0.N on a bridge, and a node whose mount is
# $K/hN. Host 0 has no node: it is the bridge and runs the group server. Nothing of it is seen from outside, so several
# suites can run at once. With KECHO_BACKEND=mixed the odd hosts have a kernel's node and the even ones a daemon.

load ../common

: "${HEARTBEAT:=$((200 * KECHO_SLOW))}"	# milliseconds; a node is gone after 8 of them
LEASE=$((2000 * KECHO_SLOW))
TEST_LIMIT=150				# seconds for one test
GROUP=10.77.0.100:7326

setup()
{
	((EUID == 0)) || skip "needs root: network namespaces"
	[[ $BATS_TEST_FILENAME != *-daemon.bats || $KECHO_BACKEND == fuse ]] || skip "only a daemon"
	K=$BATS_TEST_TMPDIR NET=kecho-$$ GROUP_PID=
	declare -gA UP=()
	export NET
	export -f kill_hosts kill_below watch
	trap 'echo "no end after $((TEST_LIMIT * KECHO_SLOW)) s"; exit 1' USR1
	setsid bash -c 'watch "$@"' _ "$BASHPID" $((TEST_LIMIT * KECHO_SLOW)) </dev/null >/dev/null 2>&1 3>&- &
	WATCHDOG=$!
}

# watch PID SECONDS: whatever hangs, after that time the test ends. The daemons die, and so every call on their mounts fails;
# what waits for a kernel's node is killed, or interrupted if it is the test itself.
watch()
{
	sleep "$2"
	while :; do
		kill -USR1 "$1"
		kill_hosts
		kill_below "$1"
		sleep 1
	done
}
kill_below()
{
	local p
	for p in $(cat "/proc/$1/task/$1/children"); do
		((p != $$)) || continue
		kill_below "$p"
		kill -KILL "$p"
	done
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
		node_stop "$h" || rc=1
	done
	if [[ $GROUP_PID ]]; then group_stop TERM || rc=1; fi
	[[ $rc == 0 && $BATS_TEST_COMPLETED ]] || kill_hosts
	for ns in /run/netns/"$NET"-*; do
		[[ ! -e $ns ]] || echo "netns del ${ns##*/}"
	done | ip -batch - || rc=1
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
at() { local h=${1#"$K/h"}; exec nsenter "--net=/run/netns/$NET-h${h%%/*}" "${@:2}"; }
net() { ip -n "$NET-h$1" "${@:2}"; }

# net_up N: hosts 1 to N, with two switches: br0, and br1 for a partition.
net_up()
{
	local hosts=()
	mapfile -t hosts < <(seq "$1")
	sweep
	ip netns add "$NET-h0"
	net 0 -batch - <<-END
		link add br0 type bridge
		link add br1 type bridge
		addr add ${GROUP%:*}/24 dev br0
		link set lo up
		link set br0 up
		link set br1 up
	END
	hosts_up "${hosts[@]}"
}
hosts_up()	# HOST...
{
	local h
	printf "netns add $NET-h%s\n" "$@" | ip -batch -
	for h; do echo "link add p$h master br0 up type veth peer name eth0 netns $NET-h$h"; done | net 0 -batch -
	for h; do
		net "$h" -batch - <<-END
			link set lo up
			addr add 10.77.0.$h/24 dev eth0
			link set eth0 up
		END
	done
}
# host_lost HOST: it has lost its power. Nobody hears a goodbye, and what it still had to send is lost with it.
host_lost()
{
	net 0 link del "p$1"
	umount -l "$K/h$1"
	ip netns del "$NET-h$1"
}

# switch BRIDGE HOST...: plug them in there; unplug HOST, plug HOST: its cable
switch() { local b=$1 h; shift; for h; do net 0 link set "p$h" master "$b"; done; }
unplug() { net 0 link set "p$1" down; }
plug() { net 0 link set "p$1" up; }

# group_up; group_stop [SIGNAL]: the group server
group_up()
{
	on_background 0 "$KECHO_BUILD/bin/kecho-groupd" -f -l "$GROUP" --insecure --lease "$LEASE" 2>>"$K/group.log"
	GROUP_PID=$LAST_PID
	wait_until '[[ $(on 0 ss -Hltn "sport = :7326") ]] || gone $GROUP_PID'
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

# The backend of HOST.
backend_of()
{
	case $KECHO_BACKEND in
	mixed) (($1 % 2)) && echo kernel || echo fuse ;;
	*) echo "$KECHO_BACKEND" ;;
	esac
}

# node_up HOST [OPTIONS instead of group=]; node_stop HOST
node_up()
{
	local more=${2-group=$GROUP} KECHO_ENTER=(nsenter "--net=/run/netns/$NET-h$1") backend
	backend=$(backend_of "$1")
	[[ -e /run/netns/$NET-h$1 ]] || hosts_up "$1"
	KECHO_BACKEND=$backend backend_start "$K/h$1" "name=h$1,listen=10.77.0.$1,insecure,heartbeat=$HEARTBEAT,lease=$LEASE${KECHO_TRANSPORT:+,transport=$KECHO_TRANSPORT}${more:+,$more}"
	UP[$1]=1
}
node_stop()
{
	local backend
	backend=$(backend_of "$1")
	unset "UP[$1]"
	KECHO_BACKEND=$backend backend_stop "$K/h$1"
}
node_pid() { cat "$K/h$1.run/pid"; }
# node_kill HOST: a daemon is killed; a kernel only dies with its host.
node_kill()
{
	unset "UP[$1]"
	if [[ $(backend_of "$1") == kernel ]]; then
		host_lost "$1"
	else
		kill -KILL "$(node_pid "$1")"
		wait_until backend_ended "$K/h$1"
		umount -lq "$K/h$1" || :
	fi
}
# node_freeze HOST, node_thaw HOST: a while in which it takes nothing; a kernel that does not run shows as a cable without
# a signal.
node_freeze() { if [[ $(backend_of "$1") == kernel ]]; then unplug "$1"; else kill -STOP "$(node_pid "$1")"; fi; }
node_thaw() { if [[ $(backend_of "$1") == kernel ]]; then plug "$1"; else kill -CONT "$(node_pid "$1")"; fi; }

# cluster_up N [HOSTS]: nodes 1 to N and a group server, with the networks of HOSTS hosts ready
cluster_up()
{
	local h
	net_up "${2:-$1}"
	group_up
	for ((h = 1; h <= $1; h++)); do node_up "$h"; done
}

# sees HOST CH HOST...: the first one's members are just these, all alive; all_see CH HOST...
sees()
{
	local line h n=0 lines=() members=()
	mapfile -t lines <"$K/h$1/$2/members" || return
	for line in "${lines[@]}"; do [[ $line != id=* ]] || members[n++]=$line; done
	((n == $# - 2)) || return
	for h in "${@:3}"; do
		for line in "${members[@]}"; do
			[[ $line != *$'\t'"node=h$h"$'\t'*$'\t'state=alive$'\t'* ]] || continue 2
		done
		return 1
	done
}
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
contact_of() { pick contact=1 node <"$K/h$1/$2/members"; }	# HOST CH
one_contact() { [[ $(for h in "${@:2}"; do contact_of "$h" "$1" || :; done | sort | uniq -c) =~ ^\ *$(($# - 1))\ h[0-9]+$ ]]; } # CH HOST...
contact_is() { [[ $(contact_of "$1" "$2") == "$3" ]]; }
listed() { pick "name=$2" "$3" <"$K/h$1/.node/channels"; }	# HOST CH KEY
listed_is() { [[ $(listed "$@") == "$4" ]]; }
member_is() { [[ $(member "$K/h$1/$2" "h$3" "$4") == "$5" ]]; }	# HOST CH OTHER KEY VALUE

# told CH BY TO: what BY has said of itself and its sinks so far TO knows
told()
{
	local mark=$RANDOM$RANDOM
	set_attr "$2" "$1" "mark=$mark"
	wait_until member_is "$3" "$1" "$2" mark "$mark"
}

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
	publish "$K/h$from/$ch" echo "$tag"
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
