# SPDX-License-Identifier: GPL-2.0
# libkecho, by test/tree/client.c, over each way that there is on this backend; its examples; what is installed.
load setup
CLIENT=$KECHO_BUILD/test/tree/client
EXAMPLES=$KECHO_BUILD/examples

case $KECHO_BACKEND in
kernel) RINGS=device ;;
fuse) RINGS=socket ;;
esac
WAYS="$RINGS file"

# over_each TEST [ARG]: one after the other, on the test's channel
over_each()
{
	local via
	for via in $WAYS; do
		KECHO_VIA=$via "$CLIENT" "$@" || fail "over $via: client $* failed"
	done
}
kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
says() { grep -qx "$1" "$2"; }

@test "device: /dev/kecho" {
	[[ $KECHO_BACKEND == kernel ]] || skip "only the kernel's node has /dev/kecho: the tests below are over socket and file"
	[[ -c /dev/kecho && $(stat -c %a /dev/kecho) == 666 ]]
	[[ $("$CLIENT" by-itself) == 'device device' ]]
}

@test "socket: kechofsd's" {
	[[ $KECHO_BACKEND == fuse ]] || skip "only kechofsd has a socket: the tests below are over device and file"
	[[ $("$CLIENT" by-itself) == 'socket socket' ]]
}

@test "a way that is not there, and none that can be" {
	local other=device
	[[ $RINGS != device ]] || other=socket
	KECHO_VIA=$other "$CLIENT" absent
	refused 'is -22, not 0' env KECHO_VIA=air "$CLIENT" by-itself
	[[ $(KECHO_VIA='' "$CLIENT" by-itself) == "$RINGS $RINGS" ]]
}

@test "all that an event has arrives" {
	local via id
	id=$(own "$CH" id)
	for via in $WAYS; do
		[[ $(KECHO_VIA=$via "$CLIENT" fields) == "$id" ]]
	done
}

@test "batches: told of at once, in order; flush and close tell, too" { over_each batches; }
@test "events that are held stay as they are, and are put in any order" { over_each held; }
@test "handlers: all of it, in order, in a thread without signals" { over_each handlers; }
@test "types: only those of one; who creates declares" { over_each types; }
@test "attributes of the node and of a subscription" { over_each attrs; }
@test "events larger than the rings, among others; larger than max_event" { over_each large; }
@test "block: a full channel is a full ring; what waits for room; nothing is lost" { over_each block; }
@test "signals end each wait" { over_each interrupted; }
@test "what a slow subscription loses is counted" { over_each lost; }
@test "kecho_fd with epoll" { over_each descriptors; }
@test "three threads publish, two receive" { over_each threads; }
@test "errors" { over_each errors; }
@test "max_event becomes less: what is refused then is told" { need_root; over_each refused; }

@test "kecho_signal: a real-time signal for each event that is waited for" {
	local out
	out=$(KECHO_VIA=$RINGS "$CLIENT" signals)
	[[ -z $out ]]
	# The kernel's events file sends signals, one of FUSE cannot.
	out=$(KECHO_VIA=file "$CLIENT" signals)
	[[ $KECHO_BACKEND == kernel && -z $out || $KECHO_BACKEND == fuse && $out == none ]]
}

@test "permissions are those of the files" {
	need_root
	local client=$KECHO_ROOT/client via
	install -m 755 "$CLIENT" "$client"
	for via in $WAYS; do
		export KECHO_VIA=$via
		chmod 644 "$D/events"
		[[ $(unpriv "$client" denied) == 'publish -13 subscribe 0 set -13' ]]
		chmod 622 "$D/events"
		[[ $(unpriv "$client" denied) == 'publish 0 subscribe -13 set -13' ]]
	done
}

# A node that is not scheduled for a second goes to sleep, and is woken then: on a busy machine more than one try may be needed.
@test "no system call for a million events, in batches, to a receiver that spins" {
	command -v strace >/dev/null || skip "needs strace"
	local try
	for try in 1 2 3 4 5; do
		ASAN_OPTIONS=detect_leaks=0 KECHO_VIA=$RINGS strace -f -o "$T/trace" \
			"$CLIENT" quiet $((1000000 / KECHO_SLOW)) 2>"$T/said" || { cat "$T/said" >&2; false; }
		[[ $(grep -c getpgid "$T/trace") == 2 ]]
		awk '/getpgid/ { n++; next } n == 1' "$T/trace" >"$T/between"
		[[ -s $T/between ]] || break
		head "$T/between" >&2
	done
	((try <= 5)) && [[ ! -s $T/between ]]
}

@test "a program that is killed: its sink goes, and nobody is disturbed" {
	local via
	for via in $WAYS; do
		KECHO_VIA=$via background "$CLIENT" busy >"$T/busy"
		wait_until says busy "$T/busy"
		[[ $(sink "$CH" "$LAST_PID" comm) == client ]]
		kill -KILL "$LAST_PID"
		wait_until own_is "$CH" sinks 0
		[[ $(own "$CH" role) == - ]]
		KECHO_VIA=$via "$CLIENT" batches
	done
}

@test "a node that is killed: -ENODEV, in each way to wait" {
	[[ $KECHO_BACKEND == fuse ]] || skip "the kernel's node cannot be killed"
	need_root
	local KECHO_DIR=$T/node via style pid pids=()
	kecho up -H fuse -o name=mine
	for via in $WAYS; do
		for style in block spin epoll publish flush handler; do
			CH=$style-$via KECHO_VIA=$via background "$CLIENT" survive $style >"$T/$style-$via"
			pids+=("$LAST_PID")
		done
	done
	for via in $WAYS; do
		for style in block spin epoll publish flush handler; do
			wait_until says ready "$T/$style-$via"
		done
	done
	kill -KILL "$(sed -n 's/^pid=//p' "$T/node/.node/config")"
	for pid in "${pids[@]}"; do
		wait_exit "$pid"
	done
	kecho up -H fuse -o name=mine
	kecho down
}

@test "kecho pub and sub, over each way" {
	local via
	for via in $WAYS; do
		KECHO_VIA=$via background "$KECHO_BUILD/bin/kecho" sub -n 1002 "$CH" >"$T/out"
		wait_until subscribed "$CH" "$LAST_PID"
		seq 1000 | KECHO_VIA=$via kecho pub -l "$CH"
		head -c 300000 /dev/zero | tr '\0' x | KECHO_VIA=$via kecho pub "$CH"
		KECHO_VIA=$via kecho pub "$CH" last
		wait_exit "$LAST_PID"
		{ seq 1000; head -c 300000 /dev/zero | tr '\0' x; printf '\nlast\n'; } | cmp - "$T/out"
	done
}

# --- examples ---

# The sources that the manual shows, named there in a comment before each.
shown() { sed -n 's/^\.\\" \([a-z/]*\.[ch]\)$/\1/p' "$KECHO_TOP/man/libkecho.3"; }

without_node() { [[ $KECHO_BACKEND == fuse ]] || skip "needs no node: done on fuse"; }

@test "the manual's examples are those of the source" {
	without_node
	local f
	diff <(shown | sort) <(cd "$KECHO_TOP" && printf '%s\n' examples/*.c lib/services/echo.[ch] | sort)
	for f in $(shown); do
		sed -n "/^\.\\\\\" ${f//\//\\/}$/,/^\.Ed/{/^\./d;s/\\\\e/\\\\/g;p}" "$KECHO_TOP/man/libkecho.3" |
			diff - <(tail -n +2 "$KECHO_TOP/$f")
	done
}

@test "examples: batches to a handler and to an epoll loop" {
	background "$EXAMPLES/handler" "$CH" >"$T/handler"
	background "$EXAMPLES/epoll" "$CH" >"$T/epoll"
	wait_until own_is "$CH" sinks 2
	seq 250 | "$EXAMPLES/batch" "$CH"
	wait_until lines_are "$T/handler" 250
	wait_until lines_are "$T/epoll" 250
	diff <(seq 250) "$T/epoll"
	sed "s/^$CH [0-9]*: //" "$T/handler" | diff <(seq 250) -
	grep -qx "$CH 250: 250" "$T/handler"
}

@test "examples: a service answers, with the request's id alone" {
	if [[ $KECHO_BACKEND == kernel && -e $KECHO_BUILD/kmod/$(uname -r)/kecho_echo.ko ]]; then
		insmod "$KECHO_BUILD/kmod/$(uname -r)/kecho_echo.ko" channel="$CH"
		answers
		rmmod kecho_echo
	fi
	background "$EXAMPLES/echod" "$CH"
	wait_until '[[ -d $D/request && $(own "$CH" sinks) == 1 ]]'
	answers
}
answers()
{
	kecho join "$CH/reply"
	background "$KECHO_BUILD/bin/kecho" sub -n 1 -t reply --format '%{id} %a %r %p' "$CH" >"$T/reply"
	wait_until subscribed "$D/reply" "$LAST_PID"
	kecho pub -t request -p 3 -a id=17 -a x=1 "$CH" hello
	wait_exit "$LAST_PID"
	[[ $(<"$T/reply") == '17 id=17 3 hello' ]]
	wait_until kecho leave "$CH/reply"
}

# --- what is installed ---

@test "make install: the manual's examples compile with pkg-config, shared and static, in C and in C++" {
	without_node
	local root=$T/root f name san=
	make -s --no-print-directory -C "$KECHO_TOP" install DESTDIR="$root" KVER=none
	export PKG_CONFIG_PATH=$root/usr/local/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$root/usr/local/lib
	[[ $(pkg-config --modversion kecho) == "$(kecho version | cut -d' ' -f2)" ]]
	[[ $(pkg-config --cflags kecho) != *-fsanitize* ]] || san=1
	mkdir "$T/src"
	for f in $(shown); do
		sed -n "/^\.\\\\\" ${f//\//\\/}$/,/^\.Ed/{/^\./d;s/\\\\e/\\\\/g;p}" "$root/usr/local/share/man/man3/libkecho.3" >"$T/src/${f##*/}"
	done
	cd "$T/src"
	for name in batch handler epoll 'echod echo'; do
		f=${name%% *}
		# shellcheck disable=SC2046,SC2086
		{
			cc -Wall -Wextra -Werror -Wno-unused-parameter -o "$f" ${name// /.c }.c $(pkg-config --cflags --libs kecho)
			[[ $san ]] || cc -static -o "$f.static" ${name// /.c }.c $(pkg-config --static --cflags --libs kecho)
		}
		readelf -d "$f" | grep -q 'NEEDED.*libkecho\.so\.0'
	done
	background ./echod "$CH"
	wait_until '[[ -d $D/request && $(own "$CH" sinks) == 1 ]]'
	answers
	seq 3 | ./batch "$CH"
	[[ $san ]] || seq 3 | ./batch.static "$CH"
	# shellcheck disable=SC2046
	{
		echo '#include <kecho/kecho.h>' | cc -x c -std=c11 -pedantic-errors -Wall -Wextra -Werror $(pkg-config --cflags kecho) -fsyntax-only -
		echo '#include <kecho/kecho.h>' | clang++ -x c++ -std=c++11 -pedantic-errors -Wall -Wextra -Werror $(pkg-config --cflags kecho) \
			-fsyntax-only -
	}
	make -s --no-print-directory -C "$KECHO_TOP" uninstall DESTDIR="$root" KVER=none
	[[ -z $(find "$root/usr/local" -name '*kecho*' ! -type d) ]]
}

@test "the libraries show what kecho.h declares, and nothing else" {
	without_node
	local lib=$KECHO_BUILD/lib
	cc -E -P -I"$KECHO_TOP/lib/include" -I"$KECHO_TOP/lib/include/uapi" "$KECHO_TOP/lib/include/kecho/kecho.h" |
		grep -v '^static inline' | grep -oE '\bkecho_[a-z_]+\(' | tr -d '(' | sort -u >"$T/declared"
	nm -D --defined-only "$lib/libkecho.so" | sed -n 's/.* T \(.*\)@@KECHO_0$/\1/p' | sort | diff "$T/declared" -
	nm -g --defined-only "$lib/libkecho.a" | sed -n 's/.* [A-Z] //p' | sort | diff "$T/declared" -
	[[ $(readlink -f "$lib/libkecho.so") == "$(readlink -f "$lib/libkecho.so.0")" ]]
	readelf -d "$lib/libkecho.so" | grep -q 'SONAME.*\[libkecho\.so\.0\]'
}
