#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0
# The tracepoints kecho:*, on two nodes of one kernel.

load ../common
T=/sys/kernel/tracing

setup()
{
	[[ -d /sys/module/kecho || -e $KECHO_BUILD/kmod/$(uname -r)/kecho.ko ]] || skip "needs a guest and the modules"
	KECHO_BACKEND=kernel A=$BATS_TEST_TMPDIR/a B=$BATS_TEST_TMPDIR/b
	modules_load
	ip netns add kecho-trace
	ip link add kecho-t0 type veth peer name eth0 netns kecho-trace
	ip addr add 10.78.0.1/24 dev kecho-t0
	ip link set kecho-t0 up
	ip -n kecho-trace addr add 10.78.0.2/24 dev eth0
	ip -n kecho-trace link set eth0 up
	mkdir -p "$A" "$B"
	echo >"$T/trace"
	echo 1 >"$T/events/kecho/enable"
	mount -t kechofs -o name=a,listen=10.78.0.1,insecure kecho "$A"
	nsenter --net=/run/netns/kecho-trace mount -t kechofs -o name=b,listen=10.78.0.2,insecure,peer=10.78.0.1 kecho "$B"
}

teardown()
{
	echo 0 >"$T/events/kecho/enable"
	[[ ! -v slow ]] || exec {slow}<&-
	reap
	umount "$A" "$B"
	ip netns del kecho-trace
	modules_unload
}

traced() { grep -qE "$1" "$T/trace" || { cat "$T/trace"; fail "not traced: $1"; }; }

@test "publish, send, receive, deliver, lose, join, leave, state" {
	mkdir "$A/ch" "$B/ch"
	wait_until '[[ $(grep -c "^id=" "$A/ch/members") == 2 ]]'
	a=$(sed -n '1s/^id=\([0-9a-f]*\).*/\1/p' "$A/ch/members")
	b=$(sed -n '1s/^id=\([0-9a-f]*\).*/\1/p' "$B/ch/members")
	echo kecho.queue=1 >"$A/ch/attrs"
	wait_until 'grep -qx kecho.queue=1 "$B/ch/attrs"'
	exec {slow}<"$A/ch/events"
	subscribe "$B/ch" 1 "$BATS_TEST_TMPDIR/out"
	wait_until '[[ $(member "$A/ch" b sinks) == 1 ]]'
	echo hello >"$A/ch/events"
	wait_exit "$READER_PID"
	echo again >"$A/ch/events"
	exec {slow}<&-
	traced "kecho_link_state: peer=a id=$a state=up resumed=0"
	traced "kecho_join: channel=ch member=$a"
	traced "kecho_join: channel=ch member=$b"
	traced 'kecho_publish: channel=ch seq=1 len=5 receivers=2'
	traced "kecho_link_send: peer=b id=$b type=[0-9]+ seq=[1-9][0-9]* len=[0-9]+"
	traced "kecho_link_receive: peer=a id=$a type=[0-9]+ seq=[1-9][0-9]* len=[0-9]+"
	traced "kecho_deliver: channel=ch publisher=$a seq=1 len=5 sinks=1"
	traced 'kecho_lose: channel=ch at=sink member=0+ events=1'
	wait_until rmdir "$B/ch"
	wait_until 'grep -qE "kecho_leave: channel=ch member=$b" "$T/trace"'
	umount "$B"
	wait_until 'grep -qE "kecho_link_state: peer=b id=$b state=down" "$T/trace"'
	nsenter --net=/run/netns/kecho-trace mount -t kechofs kecho "$B"
}
