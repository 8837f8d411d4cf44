#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0
# kecho_bench: that it measures inside the kernel, and not what.

load vm
RUN=/sys/kernel/debug/kecho_bench/run RESULTS=/sys/kernel/debug/kecho_bench/results

setup_node()
{
	mkdir -p "$K/n"
	mount -t kechofs kecho "$K/n"
	insmod "$KECHO_BUILD/kmod/$(uname -r)/kecho_bench.ko"
}

# result NAME: is a number
result() { sed -n "s/^$1=\([0-9]*\)$/\1/p" "$RESULTS"; }

# refused WHY LINE: nothing is measured
refused() { local said; ! said=$(echo "$2" 2>&1 >"$RUN") && [[ $said == *"$1"* ]]; }

@test "each operation is measured, with as many events and handlers as it is told" {
	local op
	setup_node
	echo 'create channel=one' >"$RUN"
	[[ -d $K/n/one && $(result events) == 1 ]]
	for op in open subscribe publish poll poll-empty; do
		echo "$op channel=one events=50 size=1024" >"$RUN"
		[[ $(result events) == 50 ]]
		(($(result least_ns) <= $(result median_ns) && $(result median_ns) <= $(result p99_ns) && $(result median_ns) > 0))
	done
	echo 'publish channel=one events=20 sinks=8 period_us=1000' >"$RUN"
	[[ $(result given) == 160 && $(result handled) == 160 ]]
	echo 'in expr expr="k <= 3"' >"$K/n/one/filter"
	echo 'publish channel=one events=20 sinks=8' >"$RUN"
	[[ $(result handled) == 60 ]]
	rmmod kecho_bench
	[[ ! -e $RUN && $(ls "$K/n") == one ]]
}

@test "a send for each of the connections, and what cannot be is refused" {
	setup_node
	background python3 -Sc '
import socket
listener = socket.create_server(("127.0.0.1", 7001))
ends = [listener.accept()[0] for i in range(2)]
assert all(len(end.recv(1000, socket.MSG_WAITALL)) == 1000 for end in ends)'
	wait_until 'ss -Hltn "sport = :7001" | grep -q .'
	echo 'sendmsg to=127.0.0.1:7001,127.0.0.1:7001 events=10 size=100' >"$RUN"
	[[ $(result given) == 20 ]]
	wait_exit "$LAST_PID"
	refused 'Connection refused' 'sendmsg to=127.0.0.1:7001'
	refused 'Operation not supported' 'nothing'
	refused 'No such file' 'open channel=none'
	for line in 'sendmsg' 'publish channel=.no' 'publish events=0' 'publish events=100001' 'publish size=1048577' 'publish sinks=65' \
		'publish period_us=x' 'publish other=1' 'publish events'; do
		refused 'Invalid argument' "$line"
	done
	umount "$K/n"
	refused 'No such device' 'publish'
	rmmod kecho_bench
}

@test "a signal ends it" {
	setup_node
	background bash -c "echo 'publish events=100000 period_us=100000' >$RUN"
	sleep 0.5
	kill "$LAST_PID"
	[[ $(wait_exit "$LAST_PID"; echo $?) != 0 ]]
	rmmod kecho_bench
}

@test "kecho-bench loads it, has its column, and leaves nothing" {
	bench=$KECHO_BUILD/bin/kecho-bench
	[[ -x $bench ]] || skip "not built: make bench"
	[[ $(uname -r) != *debug* ]] || skip "its trials have limits of time that such a kernel is too slow for"
	mkdir -p "$K/n"
	mount -t kechofs kecho "$K/n"
	"$bench" --mount "$K/n" -n 1 --ms 20 calls/poll calls/submit-remote delivery/arrival >"$K/report"
	[[ $(grep -c '^| kernel | [0-9]' "$K/report") == $(grep -c '^| files | [0-9]' "$K/report") ]]
	grep -q '^| one subscriber | [0-9]' "$K/report"
	[[ ! -d /sys/module/kecho_bench && -z $(ls "$K/n") ]]
}
