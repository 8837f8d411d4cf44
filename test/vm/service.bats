#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0
# Kernel services: the API, by kmod/test/service.c, kecho_resmon, and leases, by kmod/test/res.c.

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
	rmmod kecho_test_service kecho_resmon kecho_test_res kecho_res 2>/dev/null || :
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

@test "kecho_resmon: the load of the host, by the same names and in the same units as kecho resmon says it" {
	mkdir "$K/load"
	echo resmon.again=0 >"$K/load/attrs"
	subscribe load 3 "$BATS_TEST_TMPDIR/out"
	insmod "$KO/kecho_resmon.ko" period_ms=50
	wait_exit "$READER_PID"
	for a in load load5 cpus cpu mem_total mem_available disk net_rx net_tx psi_cpu psi_mem psi_io; do
		wait_until 'grep -qE "^$a=[0-9.]+$" "$K/load/attrs"' || fail "$a: $(<"$K/load/attrs")"
		# The first line has no rates yet. The kernel's counts of what is idle go back now and then: that time there is none.
		[[ $a == cpu || $(sed 1d "$BATS_TEST_TMPDIR/out" | grep -cE "(^| )$a=[0-9.]+( |$)") == 2 ]] || fail "$a: $(<"$BATS_TEST_TMPDIR/out")"
	done
	background "$KECHO_BUILD/bin/kecho" resmon -c programs -i 0.05
	wait_until grep -qs ^disk= "$K/programs/attrs"
	diff <(sed '/^resmon\./d; s/=.*//' "$K/load/attrs") <(sed 's/=.*//' "$K/programs/attrs")
	for a in mem_total cpus; do
		[[ $(sed -n "s/^$a=//p" "$K/load/attrs") == $(sed -n "s/^$a=//p" "$K/programs/attrs") ]]
	done
	mapfile -t mem < <(sed -n 's/^mem_available=//p' "$K/load/attrs" "$K/programs/attrs")
	((mem[0] > mem[1] * 8 / 10 && mem[0] < mem[1] * 12 / 10))
	echo 60000 >/sys/module/kecho_resmon/parameters/period_ms
	rmmod kecho_resmon
	[[ $(<"$K/load/attrs") != *cpu* ]]
}

@test "leases: a service's resource for programs, and a program's for a service; what is lost, it is told" {
	local kecho=$KECHO_BUILD/bin/kecho held lease
	insmod "$KO/kecho_res.ko"
	insmod "$KO/kecho_test_res.ko" offer=2
	"$kecho" res request -w $((20 * KECHO_SLOW)) gpu=2 -- "$kecho" res ls >"$BATS_TEST_TMPDIR/out"
	[[ $(<"$BATS_TEST_TMPDIR/out") == $'gpu\t'*$'\t2\t0\t0\t'*home=kernel* ]]
	background "$kecho" res request gpu=1 -- sleep 1000
	wait_until '[[ $("$KECHO_BUILD/bin/kecho" res ls -l) == *granted ]]'
	rmmod kecho_test_res		# it tells the holder
	wait_until gone "$LAST_PID"

	[[ $(insmod "$KO/kecho_test_res.ko" request=1 2>&1) == *"imed out"* ]]
	background "$kecho" res offer -n gpu=1
	insmod "$KO/kecho_test_res.ko" request=1
	read -r held lease </sys/module/kecho_test_res/parameters/held
	((held == 1)) && [[ $("$kecho" res ls -l) == "$lease"$'\tgpu\t'*$'\tgranted' ]]
	kill -TERM "$LAST_PID"
	wait_until '[[ $(</sys/module/kecho_test_res/parameters/lost) == Y ]]'
	rmmod kecho_test_res
	wait_exit "$LAST_PID"
}
