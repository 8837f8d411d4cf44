# SPDX-License-Identifier: GPL-2.0
load vm

faults()
{
	local f
	for f in failslab fail_page_alloc fail_usercopy; do
		echo 0 >"/sys/kernel/debug/$f/verbose"
		[[ $f == fail_usercopy ]] || echo N >"/sys/kernel/debug/$f/ignore-gfp-wait"
	done
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
	python faults.py "$@" >&3	# how many there were
}

need_faults() { [[ -e /proc/self/fail-nth ]] || skip "this kernel injects no faults: scripts/vm --kernel debug"; }

@test "faults in every system call on the tree" {
	need_faults
	mkdir "$K/h1"
	faults "$K/h1"
}

@test "faults in joining, using and leaving a channel with a remote member" {
	need_faults
	mkdir "$K/h1"
	faults "$K/h1" join
}
