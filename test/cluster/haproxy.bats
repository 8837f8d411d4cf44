# SPDX-License-Identifier: GPL-2.0
# haproxy in front of web servers, with the weights that kecho agent-check tells it.
load cluster
load web

kecho() { KECHO_DIR=$K/h$1 "$KECHO_BUILD/bin/kecho" "${@:2}"; }
agent_up()	# HOST ARGS...
{
	KECHO_DIR=$K/h$1 on_background "$1" "$KECHO_BUILD/bin/kecho" agent-check -l "10.77.0.$1:7327" "${@:2}"
	wait_until listens "$1" 7327
}
# What haproxy reads, which closes first.
agent_says() { on 0 timeout 5 nc -N "10.77.0.$1" 7327 </dev/null; }	# HOST

# haproxy's own view of a server: weight, status
seen_as() { echo 'show stat' | nc -N -U "$K/haproxy" | awk -F, -v s="h$1" '$1 == "hosts" && $2 == s { print $19, $18 }'; }
seen_is() { [[ $(seen_as "$1") == "$2" ]]; }

# ask N: so many requests, one after another; who has answered in $K/who, with how many
ask()
{
	local i
	for ((i = 0; i < $1; i++)); do echo "url = http://10.77.0.100:80/name"; done |
		on 0 timeout $((30 * KECHO_SLOW)) curl -sS --no-keepalive -K - | sort | uniq -c >"$K/who"
}
answered() { awk -v h="h$1" '$2 == h { n = $1 } END { print n + 0 }' "$K/who"; }

@test "haproxy's weights follow a load that changes, and a host that drains is asked nothing" {
	need haproxy nginx nc curl
	local h haproxy
	cluster_up 3
	join load 1 2 3
	for h in 1 2 3; do
		kecho $h attrs load load=0.2
		nginx_up $h "10.77.0.$h"
		agent_up $h --full 1
	done
	sed "s|/run/haproxy/admin.sock|$K/haproxy|; s/agent-inter 500ms/agent-inter 100ms/" "$KECHO_TOP/packaging/haproxy/haproxy.cfg" >"$K/haproxy.cfg"
	on_background 0 haproxy -db -f "$K/haproxy.cfg" 2>"$K/haproxy.err"
	haproxy=$LAST_PID
	wait_until '[[ -S $K/haproxy ]] || gone $haproxy'
	for h in 1 2 3; do wait_until seen_is $h '80 UP' || fail "$(<"$K/haproxy.err")"; done

	kecho 1 attrs load load=0.9
	kecho 2 attrs load load=7
	wait_until seen_is 1 '10 UP'
	wait_until seen_is 2 '1 UP'
	ask 91
	[[ $(answered 1) -ge 8 && $(answered 1) -le 12 && $(answered 2) -ge 1 && $(answered 2) -le 3 ]] || fail "$(<"$K/who")"
	(($(answered 1) + $(answered 2) + $(answered 3) == 91))

	kecho 3 attrs load drain=1
	wait_until seen_is 3 '80 DRAIN (agent)'
	ask 20
	[[ $(answered 3) == 0 && $(($(answered 1) + $(answered 2))) == 20 ]] || fail "$(<"$K/who")"
	kecho 3 attrs load drain= load=0.5
	wait_until seen_is 3 '50 UP'
	kecho 3 attrs load down=1
	wait_until seen_is 3 '50 DOWN (agent)'
	kecho 3 attrs load down=
	wait_until seen_is 3 '50 UP'

	kecho 3 leave load
	wait_until seen_is 3 '50 DRAIN (agent)'
	kecho 3 join load
	wait_until seen_is 3 '50 UP'
	kill -TERM "$haproxy"
	wait_exit "$haproxy" || :
}

@test "what agent-check says" {
	need nc
	cluster_up 1
	join work 1
	agent_up 1 -c work -a busy --full 8
	[[ $(agent_says 1) == 'up ready' ]]
	kecho 1 attrs work busy=2
	[[ $(agent_says 1) == 'up ready 75%' ]]
	kecho 1 attrs work busy=-1
	[[ $(agent_says 1) == 'up ready 100%' ]]
	kecho 1 attrs work busy=7.999
	[[ $(agent_says 1) == 'up ready 1%' ]]
	kecho 1 attrs work busy=much
	[[ $(agent_says 1) == 'up ready' ]]
	kecho 1 attrs work drain=1
	[[ $(agent_says 1) == drain ]]
	kecho 1 attrs work drain=0 busy=0
	[[ $(echo 'from agent-send' | on 0 timeout 5 nc -N 10.77.0.1 7327) == 'up ready 100%' ]]

	# Those who never close hold up nobody.
	on 0 python3 -c '
import socket
held = [socket.create_connection(("10.77.0.1", 7327)) for i in range(200)]
assert all(s.recv(64) == b"up ready 100%\n" for s in held[-60:])'
	[[ $(agent_says 1) == 'up ready 100%' ]]

	# A load average is beside the number of processors.
	kecho 1 attrs work busy= load="$(getconf _NPROCESSORS_ONLN)"
	kill "$LAST_PID"
	wait_exit "$LAST_PID" || :
	agent_up 1 -c work
	[[ $(agent_says 1) == 'up ready 1%' ]]
	kecho 1 attrs work load=0
	[[ $(agent_says 1) == 'up ready 100%' ]]

	kecho 1 leave work
	[[ $(agent_says 1) == drain ]]
	node_stop 1
	[[ $(agent_says 1) == drain ]]
}
