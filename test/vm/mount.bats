#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0
# What mount(8) of the kernel's filesystem does that a daemon's mount cannot: more than one mount of a node, remount, SIGIO.

load ../common

setup()
{
	[[ -d /sys/module/kecho || -e $KECHO_BUILD/kmod/$(uname -r)/kecho.ko ]] || skip "needs a guest and the modules"
	KECHO_BACKEND=kernel K=$BATS_TEST_TMPDIR/k L=$BATS_TEST_TMPDIR/l
	modules_load
	mkdir "$K" "$L"
	mount -t kechofs -o name=a,queue=7,mode=640 kecho "$K"
}

teardown()
{
	reap
	umount -q "$L" || :
	umount "$K"
	modules_unload
}

refused() { ! "$@" 2>/dev/null; }

@test "a second mount shows the same node; the options are the same, or none" {
	mount -t kechofs kecho "$L"
	mkdir "$L/ch"
	[[ -d $K/ch ]]
	umount "$L"
	mount -t kechofs -o queue=7,name=a kecho "$L"
	umount "$L"
	refused mount -t kechofs -o queue=8 kecho "$L"
	refused mountpoint -q "$L"
	[[ $(sed -n 's/^queue=//p' "$K/.node/config") == 7 ]]
}

@test "a remount changes no option in silence" {
	mount -o remount "$K"
	mount -o remount,mode=640 "$K"
	refused mount -o remount,mode=666 "$K"
	refused mount -o remount,name=b "$K"
	mount -o remount,ro "$K"
	refused mkdir "$K/ch"
	mount -o remount,rw "$K"
	mkdir "$K/ch"
}

@test "another network namespace has a node of its own, and one without a mount none" {
	mkdir "$K/ch"
	unshare -n mount -t kechofs -o name=b kecho "$L"
	[[ $(ls -A "$L") == .node ]]
	[[ $(sed -n 's/^name=//p' "$L/.node/config") == b ]]
	umount "$L"
	[[ -d $K/ch ]]
}
