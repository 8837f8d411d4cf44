# SPDX-License-Identifier: GPL-2.0
# BPF programs as filters.
load setup
FILTERS=$KECHO_BUILD/filters
eval "tree_$(declare -f setup)"
eval "tree_$(declare -f teardown)"

# Programs are pinned in a file system of their own, at PIN.
setup()
{
	tree_setup
	need_root
	command -v bpftool >/dev/null || skip "needs bpftool"
	PIN=$T/bpf
	mkdir "$PIN"
	mount -t bpf bpf "$PIN" || skip "needs BPF"
}

teardown()
{
	tree_teardown
	umount "$T/bpf"
}

pin() { bpftool prog load "$1" "$PIN/$2" type "${3:-socket}"; }
# compile SOURCE OBJECT
compile()
{
	clang -target bpf -O2 -Wall -Werror -I"$KECHO_TOP/lib/include/uapi" -I"/usr/include/$(gcc -print-multiarch)" -c -o "$2" "$1"
}
program() { printf '__attribute__((section("socket"), used)) int program(void *x) { return %s; }\n' "$1" >"$T/p.c" && compile "$T/p.c" "$T/p.o"; }
filter() { printf '%s\n' "$*" >"$D/filter"; }
publish() { local e; for e; do printf '%s\n' "$e" >"$D/events"; done; }
counts() { sed -n "s/.*\(seen=[0-9]*\)\t\(passed=[0-9]*\).*/\1 \2/p" "$D/filter"; }

@test "load.bpf.c: candidates below its limit are kept, until it is removed; the pin is not needed meanwhile" {
	pin "$FILTERS/load.bpf.o" load
	subscribe "$CH" 4 "$T/out"
	filter in "bpf:$PIN/load" attrs=load
	publish unknown
	set_attrs load=0.5
	publish half
	set_attrs load=0.800000000
	publish limit
	set_attrs load=0.799999999
	publish below
	rm "$PIN/load"
	set_attrs load=2
	publish two
	set_attrs load=-1
	publish negative
	set_attrs load=high
	publish high
	[[ $(counts) == 'seen=7 passed=3' ]]
	grep -qP "^index=0\tdir=in\tname=bpf:$PIN/load\t.*\tdisabled=0\tattrs=load$" "$D/filter"
	filter "-bpf:$PIN/load"
	[[ ! -s $D/filter ]]
	publish after
	received "$READER_PID" "$T/out" half below negative after
}

@test "what a program sees, field by field" {
	local text n
	compile "$BATS_TEST_DIRNAME/layout.bpf.c" "$T/layout.o"
	pin "$T/layout.o" layout
	mkdir "$D/alarm"
	filter in "bpf:$PIN/layout" attrs=load,text,big,n
	set_attrs load=-1.5 text=0123456789012345678901234567890abcdefghi big=10000000000
	subscribe "$D/alarm" 1 "$T/out"
	printf -v text '%02044d' 0
	printf -v n '%0951d' 0
	text=keep${text:0:2043}l$n
	"$KECHO_BUILD/bin/kecho" pub -t alarm -p 4 -a n=2 "$CH" "$text"$'\n'
	[[ $(counts) == 'seen=1 passed=0' ]]
	"$KECHO_BUILD/bin/kecho" pub -t alarm -p 5 -a n=2 "$CH" "$text"$'\n'
	[[ $(counts) == 'seen=2 passed=1' ]]
	received "$READER_PID" "$T/out" "$text"
}

@test "several programs: each sees what those before have left; the arguments of one change while it runs" {
	program 1; pin "$T/p.o" all
	program 0; pin "$T/p.o" none
	pin "$FILTERS/load.bpf.o" load
	subscribe "$CH" 1 "$T/out"
	filter "in bpf:$PIN/all"
	filter "in bpf:$PIN/load"
	filter "in bpf:$PIN/none"
	set_attrs load=0.1
	publish one
	[[ $(counts) == $'seen=1 passed=1\nseen=1 passed=0\nseen=0 passed=0' ]]
	filter =1 attrs=load
	publish two
	[[ $(counts) == $'seen=2 passed=2\nseen=2 passed=1\nseen=1 passed=0' ]]
	filter -2
	publish three
	received "$READER_PID" "$T/out" three
}

@test "what cannot be attached, and why" {
	refused 'No such file' filter "out bpf:$PIN/missing"
	program 1; pin "$T/p.o" xdp xdp
	refused 'Invalid argument' filter "out bpf:$PIN/xdp"
	bpftool map create "$PIN/map" type hash key 4 value 4 entries 1 name m
	refused 'Invalid argument' filter "out bpf:$PIN/map"
	refused 'Permission denied' filter out bpf:/etc/passwd
	refused 'Invalid argument' filter out bpf:relative
	refused 'Invalid argument' filter out bpf:
	pin "$T/p.o" p
	refused 'Invalid argument' filter "out bpf:$PIN/p" attrs=a,,b
	refused 'Invalid argument' filter "out bpf:$PIN/p" attrs=a,b,c,d,e,f,g,h,i
	refused 'Invalid argument' filter "out bpf:$PIN/p" attr=a
	filter "out bpf:$PIN/p" attrs=a,b,c,d,e,f,g,h
	refused 'Invalid argument' filter =0 attrs=a,b,c,d,e,f,g,h,i
	grep -q 'attrs=a,b,c,d,e,f,g,h$' "$D/filter"
	[[ $(wc -l <"$D/filter") == 1 ]]
}

@test "removing the channel lets go of the program" {
	program 1; pin "$T/p.o" p
	filter "out bpf:$PIN/p"
	n=$(bpftool prog show pinned "$PIN/p" | sed -n '1s/:.*//p')
	rm "$PIN/p"
	bpftool prog show id "$n"
	rmdir "$D"
	wait_until not bpftool prog show id "$n"
}
