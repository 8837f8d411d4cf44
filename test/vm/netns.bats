# SPDX-License-Identifier: GPL-2.0
load vm

publisher() { local n=0; while :; do echo "$1 $((++n))"; done >"$2/events"; }
arrives() { [[ $(stat -c %s "$1") -gt $2 ]]; }
# Something more comes into FILE.
flows() { wait_until arrives "$1" "$(stat -c %s "$1")"; }

# A publisher and a reader on host 1, which is connected to the second
first_host()
{
	cable
	node 1
	mkdir "$K/h1/web"
	subscribe "$K/h1/web" 0 "$K/out1"
	background publisher h1 "$K/h1/web"
}

# Nothing holds host 2's network any more: its end of the cable has gone, and so ours has.
cut_off() { ! net 1 link show dev eth0 >/dev/null 2>&1; }

@test "a network namespace goes with the processes, the mount and the traffic in it" {
	local i
	export -f publisher
	for i in {1..5}; do
		first_host
		mkdir -p "$K/h2"
		: >"$K/out2"
		background unshare --mount nsenter --net=/run/netns/host2 bash -c '
			mount -t kechofs -o "$1,peer=10.77.0.1" kecho "$2/h2"
			mkdir "$2/h2/web"
			for i in 1 2 3; do cat "$2/h2/web/events" >>"$2/out2" & done
			publisher h2 "$2/h2/web"' _ "$(node_options 2)" "$K"
		wait_until grep -q h1 "$K/out2"
		wait_until grep -q h2 "$K/out1"
		ip netns pids host2 | xargs kill -KILL
		ip netns del host2
		wait_until cut_off
		flows "$K/out1"
		wait_until sees 1 web h1
		reap
		umount "$K/h1"
		ip netns del host1
	done
}

@test "a network namespace lives as long as its mount" {
	local i
	for i in {1..5}; do
		first_host
		node 2 peer=10.77.0.1
		mkdir "$K/h2/web"
		subscribe "$K/h2/web" 0 "$K/out2"
		background publisher h2 "$K/h2/web"
		ip netns del host2
		flows "$K/out2"
		wait_until grep -q h2 "$K/out1"
		if cut_off; then fail "the network namespace has gone before its mount"; fi
		umount -l "$K/h2"
		kill -KILL "$LAST_PID" "$READER_PID"
		wait_until cut_off
		flows "$K/out1"
		wait_until sees 1 web h1
		reap
		umount "$K/h1"
		ip netns del host1
	done
}

orphans() { awk '$1 == "TCP:" { print $5 }' /proc/net/sockstat; }

# What it has to say yet goes nowhere: its socket must live on, or end, but not outlive its network.
@test "a network namespace deleted with a broken cable leaves no socket" {
	local i
	for i in {1..5}; do
		first_host
		on 2 sysctl -qw net.ipv4.tcp_orphan_retries=1
		on 1 sysctl -qw net.ipv4.tcp_orphan_retries=1
		node 2 peer=10.77.0.1
		mkdir "$K/h2/web"
		wait_until sees 1 web h1 h2
		subscribe "$K/h2/web" 0 "$K/out2"
		flows "$K/out2"
		net 1 link set eth0 down
		echo last >"$K/h2/web/events"
		kill -KILL "$READER_PID"
		wait_exit "$READER_PID" || :
		umount "$K/h2"
		ip netns del host2
		wait_until -t 20 cut_off
		flows "$K/out1"
		reap
		umount "$K/h1"
		ip netns del host1
		wait_until -t 20 '[[ $(orphans) == 0 ]]'
	done
}
