# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Tests of the modules' own life, in a guest: scripts/vm [--kernel debug] -- bats test/vm. Each begins with loading them and ends with
# unloading them. They are scripts on top of vm.py.

[[ ! -e /sys/kernel/debug/kmemleak ]] || : "${KECHO_SLOW:=10}"
: "${KECHO_SLOW:=4}"
KECHO_BACKEND=kernel
load ../common

setup()
{
	[[ -d /run/kecho-vm ]] || skip "loads and unloads modules: scripts/vm -- bats test/vm"
	K=$BATS_TEST_TMPDIR
	modules_load
}

teardown()
{
	local m
	[[ -v K ]] || return 0
	reap
	while read -r m; do
		wait_until umount "$m"
	done < <(findmnt -rnt kechofs -o TARGET)
	ip -all netns delete
	modules_unload
}

# python SCRIPT [ARGUMENT...]: one of those here
python()
{
	: "${KECHO_PYTHON:=$(python3 -c 'import sys; print(sys.executable)')}"	# not a version manager's wrapper
	KECHO_MODULES=${KECHO_MODULES[*]} timeout $((200 * KECHO_SLOW)) "$KECHO_PYTHON" -BS "$BATS_TEST_DIRNAME/$1" "${@:2}" 3>&-
}
