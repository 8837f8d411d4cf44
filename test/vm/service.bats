#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0
# Kernel services: the API, by kmod/test/service.c, and kecho_resmon.

load ../common
KO=$KECHO_BUILD/kmod/$(uname -r)

setup()
{
	[[ -d /sys/module/kecho || -e $KO/kecho.ko ]] || skip "needs a guest and the modules"
	KECHO_BACKEND=kernel
	export K=$BATS_TEST_TMPDIR/kecho KECHO_DIR=$BATS_TEST_TMPDIR/kecho
	modules_load
	backend_start "$K"
}

teardown()
{
	reap
	rmmod kecho_test_service kecho_resmon 2>/dev/null || :
	backend_stop "$K"
	modules_unload
}

@test "a service publishes from atomic context: all of it, in order" {
	insmod "$KO/kecho_test_service.ko" ticks=0
	rmmod kecho_test_service
	mkdir "$K/test/tick"
	# A reader on a slow machine does not keep up with so many.
	echo kecho.queue=2000 >"$K/test/attrs"
	subscribe "$K/test/tick" 2000 "$BATS_TEST_TMPDIR/out"
	insmod "$KO/kecho_test_service.ko" ticks=2000 burst=50
	wait_exit "$READER_PID" 30
	diff <(seq -f 'tick %.0f' 2000) "$BATS_TEST_TMPDIR/out"
}

@test "a handler answers, with the attributes of the request; a thread polls" {
	insmod "$KO/kecho_test_service.ko" ticks=0
	mkdir "$K/test/"{request,reply,stop,stopped}
	subscribe "$K/test/reply" 3 "$BATS_TEST_TMPDIR/out"
	replies=$READER_PID
	subscribe "$K/test/stopped" 1 "$BATS_TEST_TMPDIR/stopped"
	printf 'one\ntwo\n' >"$K/test/request/events"
	"$KECHO_BUILD/bin/kecho" pub -t request -a a=1 test three
	received "$replies" "$BATS_TEST_TMPDIR/out" "re: one" "re: two" "re: three"
	echo >"$K/test/stop/events"
	received "$READER_PID" "$BATS_TEST_TMPDIR/stopped" "ticked 0 refused 0 answered 3"
	grep -qx service=yes "$K/test/attrs"
	grep -qx bad "$K/test/attrs" && false
	[[ $(grep -c $'^  .*comm=kecho_test_serv.*type=request\tsink=[0-9]*\tserves=all$' "$K/test/members") == 1 ]]
	[[ $(sed -n 's/^  .*comm=\([^\t]*\).*/\1/p' "$K/test/members" | grep -c kecho_test_serv) == 2 ]]
}

@test "block: a service in atomic context is refused, one that may sleep waits; nothing is lost" {
	mkdir "$K/test"
	printf 'kecho.overflow=block\nkecho.queue=4\n' >"$K/test/attrs"
	mkdir "$K/test/"{tick,stop,stopped}
	exec {slow}<"$K/test/tick/events"
	insmod "$KO/kecho_test_service.ko" ticks=100 burst=10
	sleep 0.5
	mapfile -t -n 100 -u "$slow" lines
	exec {slow}<&-
	diff <(seq -f 'tick %.0f' 100) <(printf '%s\n' "${lines[@]}")
	subscribe "$K/test/stopped" 1 "$BATS_TEST_TMPDIR/out"
	echo >"$K/test/stop/events"
	wait_exit "$READER_PID"
	grep -qE '^ticked 100 refused [1-9][0-9]* answered 0$' "$BATS_TEST_TMPDIR/out"
}

@test "an open channel is not left, its node does not end, and a service without a node says so" {
	insmod "$KO/kecho_test_service.ko" ticks=0
	[[ $(rmdir "$K/test" 2>&1) == *busy* ]]
	umount "$K"
	# The node is there still, with its channel.
	mount -t kechofs kecho "$K"
	[[ -d $K/test ]]
	rmmod kecho_test_service
	rmdir "$K/test"
	umount "$K"
	[[ $(insmod "$KO/kecho_test_service.ko" 2>&1) == *"No such device or address"* ]]
	mount -t kechofs kecho "$K"
}

@test "mkdir by a service is seen by inotify, also over a name that was looked up in vain" {
	[[ ! -e $K/test ]]
	background inotifywait -q -t 20 -e create --format %f "$K" >"$BATS_TEST_TMPDIR/out"
	wait_until 'grep -qs inotify /proc/$LAST_PID/fdinfo/*'
	insmod "$KO/kecho_test_service.ko" ticks=0
	wait_exit "$LAST_PID"
	[[ $(<"$BATS_TEST_TMPDIR/out") == test ]]
	[[ -d $K/test && $(ls "$K") == test ]]
}

@test "kecho_resmon: the load of the host as attributes, and a line a period" {
	insmod "$KO/kecho_resmon.ko" period_ms=50
	subscribe load 3 "$BATS_TEST_TMPDIR/out"
	wait_exit "$READER_PID"
	for a in load load5 cpus mem_total mem_free net_rx net_tx net_dropped; do
		grep -qE "^$a=[0-9.]+$" "$K/load/attrs"
		[[ $(grep -cE "(^| )$a=[0-9.]+( |$)" "$BATS_TEST_TMPDIR/out") == 3 ]]
	done
	[[ $(sed -n 's/^mem_total=//p' "$K/load/attrs") == $(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024)) ]]
	echo 60000 >/sys/module/kecho_resmon/parameters/period_ms
}
