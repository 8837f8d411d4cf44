# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Helpers of the tree and cluster suites: a backend at a mount point, bounded
# waiting, readers that are known to be subscribed.
#
#   KECHO_BACKEND  fuse (default) or kernel
#   BUILD          the build directory (default: build)
#   KECHO_SLOW     multiplies every time limit (an emulated machine, sanitizers)
#   KECHO_BY       what publish and subscribe use: files (default) or libkecho, with rings

export LC_ALL=C
KECHO_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
KECHO_BUILD=${BUILD:-build}
[[ $KECHO_BUILD == /* ]] || KECHO_BUILD=$KECHO_TOP/$KECHO_BUILD
: "${KECHO_BACKEND:=fuse}" "${KECHO_SLOW:=1}" "${KECHO_WAIT:=10}" "${KECHO_BY:=files}"
: "${KECHOFSD:=$KECHO_BUILD/bin/kechofsd}"
export KECHO_TOP KECHO_BUILD KECHO_BACKEND KECHO_SLOW KECHO_WAIT KECHOFSD

# bats has bash call this before every command, to know where a test fails, and there does so much that helpers that look and wait
# take thirty times as long. The line of the test itself is enough.
bats_debug_trap()
{
	[[ ${FUNCNAME[1]} == @("${BATS_TEST_NAME-}"|teardown) && ${BATS_INTERRUPTED-no}${BATS_TIMED_OUT-no} == nono ]] || return 0
	BATS_DEBUG_LASTLAST_STACK_TRACE=("${BATS_DEBUG_LAST_STACK_TRACE[@]}")
	BATS_DEBUG_LAST_LINENO=("${BASH_LINENO[@]}")
	BATS_DEBUG_LAST_SOURCE=("${BASH_SOURCE[@]}")
	bats_capture_stack_trace
}

declare -gA KECHO_PIDS=()	# children that reap ends

fail() { printf '%s\n' "$*" >&2; return 1; }

# A moment, by a read from a pipe that nobody writes.
exec {KECHO_NEVER}<> <(:)
printf -v KECHO_PAUSE %d.%02d $((KECHO_SLOW / 50)) $((2 * KECHO_SLOW % 100))
pause() { read -rt "$KECHO_PAUSE" -u "$KECHO_NEVER" || :; }

# wait_until [-t SECONDS] CMD [ARG...]: until CMD succeeds; a single argument is shell text.
wait_until()
{
	local _limit=$KECHO_WAIT _end
	if [[ $1 == -t ]]; then _limit=$2; shift 2; fi
	_end=$((${EPOCHREALTIME/./} + _limit * KECHO_SLOW * 1000000))
	while :; do
		if (($# == 1)); then
			if eval "$1"; then return 0; fi
		elif "$@"; then
			return 0
		fi
		((${EPOCHREALTIME/./} < _end)) || break
		pause
	done
	fail "timed out after $((_limit * KECHO_SLOW)) s: $*"
}

# A zombie is gone too: bash may not have been told of its end yet.
gone()
{
	local _stat
	kill -0 "$1" 2>/dev/null || return 0
	read -r _stat <"/proc/$1/stat" 2>/dev/null && [[ ${_stat##*)} == ' Z '* ]]
}

# wait_exit PID [SECONDS]: the exit status of a child, which must end in time.
wait_exit()
{
	wait_until -t "${2:-$KECHO_WAIT}" gone "$1" || return 254
	unset "KECHO_PIDS[$1]"
	wait "$1"
}

# background CMD...: a child in LAST_PID, killed by reap.
background()
{
	"$@" 3>&- &
	LAST_PID=$!
	KECHO_PIDS[$LAST_PID]=1
}

# Kill what subscribe and background started, and only that.
reap()
{
	local _p
	for _p in "${!KECHO_PIDS[@]}"; do
		kill -KILL "$_p" 2>/dev/null || :
	done
	for _p in "${!KECHO_PIDS[@]}"; do
		wait_until -t 5 gone "$_p" || return 1
		wait "$_p" 2>/dev/null || :
	done
	KECHO_PIDS=()
}

# The directory of CHANNEL (a name under $KECHO_DIR, or a path), in DIR, and its members file, in MEMBERS.
channel_dir() { DIR=$1; [[ $1 == /* ]] || DIR=$KECHO_DIR/$1; }
members_of() { channel_dir "$1"; MEMBERS=$DIR/members; [[ -e $MEMBERS ]] || MEMBERS=${DIR%/*}/members; }

# The lines of members and the like are looked at again and again while a test waits: by the shell alone, since to start a
# program takes a hundred times as long in an emulated machine.

# value LINE KEY: in LINE's tab-separated fields
value()
{
	local _l=$'\t'${1#"${1%%[! ]*}"}$'\t'
	[[ $_l == *$'\t'"$2="* ]] || return 0
	_l=${_l#*$'\t'"$2="}
	printf '%s\n' "${_l%%$'\t'*}"
}
# pick KEY=VALUE KEY: the value of KEY in the first line of stdin that has the field KEY=VALUE
pick()
{
	local _l _lines
	mapfile -t _lines
	for _l in "${_lines[@]}"; do
		[[ $'\t'${_l#"${_l%%[! ]*}"}$'\t' != *$'\t'"$1"$'\t'* ]] || { value "$_l" "$2"; return; }
	done
}
# field KEY: its value in the first line of stdin
field() { local _l; IFS= read -r _l || :; value "$_l" "$1"; }

# own CHANNEL KEY: from this node's line of members.
own() { members_of "$1" && field "$2" <"$MEMBERS"; }
# sink CHANNEL PID KEY: from a local reader's line.
sink() { members_of "$1" && pick "pid=$2" "$3" <"$MEMBERS"; }
# member CHANNEL NODE KEY: from the line of the member whose node= is NODE.
member() { members_of "$1" && pick "node=$2" "$3" <"$MEMBERS"; }

sink_is() { [[ $(sink "$1" "$2" "$3") == "$4" ]]; }
own_is() { [[ $(own "$1" "$2") == "$3" ]]; }
subscribed() { [[ -n $(sink "$1" "$2" pid) ]] || gone "$2"; }
lines_are() { [[ $(wc -l <"$1") == "$2" ]]; }

# subscribe CHANNEL N OUTFILE: a reader of N events (0: until killed) in READER_PID,
# which members shows when this returns.
subscribe()
{
	local DIR MEMBERS; channel_dir "$1"
	if [[ $KECHO_BY == libkecho ]]; then
		by_rings sub "$2" >"$3" 2>"$3.err" 3>&- &
	elif (($2)); then
		stdbuf -oL head -n "$2" "$DIR/events" >"$3" 2>"$3.err" 3>&- &
	else
		cat "$DIR/events" >"$3" 2>"$3.err" 3>&- &
	fi
	READER_PID=$!
	KECHO_PIDS[$READER_PID]=1
	wait_until subscribed "$DIR" "$READER_PID" || { cat "$3.err" >&2; return 1; }
}

# publish CHANNEL CMD...: each line that CMD says is an event
publish()
{
	local DIR; channel_dir "$1"
	if [[ $KECHO_BY == libkecho ]]; then
		"${@:2}" | by_rings pub
	else
		"${@:2}" >"$DIR/events"
	fi
}

# by_rings pub|sub [N]: on DIR, in a process that the caller waits for
by_rings()
{
	local _way=device _options=(-l)
	! grep -q ^pid= "${DIR%/*}/.node/config" || _way=socket
	[[ $1 == pub ]] || _options=()
	((!${2-0})) || _options=("--count=$2")
	at "$DIR" env "KECHO_DIR=${DIR%/*}" "KECHO_VIA=$_way" "$KECHO_BUILD/bin/kecho" "$1" "${_options[@]}" "${DIR##*/}"
}
# at DIR CMD...: in the network of the node that serves DIR, for rings are not to be had elsewhere
at() { exec "${@:2}"; }

# received PID OUTFILE LINE...: the reader ended well and received exactly these.
received()
{
	local _pid=$1 _out=$2; shift 2
	wait_exit "$_pid" || fail "reader $_pid: status $?, $(cat "$_out.err")" || return 1
	diff <(printf '%s\n' "$@") "$_out" >&2
}

# backend_status MOUNTPOINT: the daemon's exit status, once it has ended. A file for each pid: the
# end of one that was killed may be noticed after the next one's start.
backend_status() { cat "$1.run/status.$(cat "$1.run/pid" 2>/dev/null)" 2>/dev/null; }
backend_ended() { [[ -n $(backend_status "$1") ]]; }

# modules_load, modules_unload: the kernel's modules, as built for it. With all filters: what is not installed modprobe does not find.
KECHO_MODULES=(kecho_attr kecho_nwmon kecho_cm kecho_group kecho kecho_ecalls kechofs)
modules_load()
{
	local _ko _m _dir
	_dir=$KECHO_BUILD/kmod/$(uname -r)
	for _ko in "${KECHO_MODULES[@]/%/.ko}" "$_dir"/kecho-filter-*.ko; do
		_ko=${_ko##*/} _m=${_ko%.ko}
		[[ -d /sys/module/${_m//-/_} ]] || insmod "$_dir/$_ko" || return 1
	done
}
modules_unload()
{
	local _i
	for _i in /sys/module/kecho_filter_*; do
		[[ ! -d $_i ]] || rmmod "${_i##*/}" || return 1
	done
	for ((_i = ${#KECHO_MODULES[@]} - 1; _i >= 0; _i--)); do
		rmmod "${KECHO_MODULES[_i]}" || return 1
	done
}

# backend_start MOUNTPOINT [OPTIONS]; the daemon's pid and log are in MOUNTPOINT.run. KECHO_ENTER is the command that starts it, in
# another network say; it executes what it is given.
KECHO_ENTER=()
backend_start()
{
	local _mnt=$1 _opts=${2:-} _run=$1.run
	mkdir -p "$_run"
	mkdir -p "$_mnt" 2>/dev/null || :	# fails on what a killed daemon left
	rm -f "$_run/pid"
	case $KECHO_BACKEND in
	kernel)
		modules_load || return 1
		cat /proc/sys/kernel/tainted >"$_run/tainted"
		"${KECHO_ENTER[@]}" mount -t kechofs ${_opts:+-o "$_opts"} kecho "$_mnt"
		;;
	fuse)
		[[ -x $KECHOFSD ]] || fail "no $KECHOFSD" || return 1
		(
			rc=0
			"${KECHO_ENTER[@]}" "$KECHOFSD" -f ${_opts:+-o "$_opts"} "$_mnt" &
			rm -f "$_run/status.$!"
			echo $! >"$_run/pid"
			wait $! || rc=$?
			echo "$rc" >"$_run/status.$!"
		) </dev/null >"$_run/log" 2>&1 3>&- &
		if ! wait_until '[[ -s $_run/pid ]] && { backend_ended "$_mnt" || mountpoint -q "$_mnt"; }' || backend_ended "$_mnt"; then
			cat "$_run/log" >&2
			return 1
		fi
		;;
	*)	fail "KECHO_BACKEND=$KECHO_BACKEND: fuse or kernel" ;;
	esac
}

# backend_stop MOUNTPOINT: fails if the backend crashed, hung, complained or left its mount.
backend_stop()
{
	local _mnt=$1 _run=$1.run _bad=0 _before _after
	if [[ $KECHO_BACKEND == kernel ]]; then
		wait_until -t 5 umount "$_mnt" || { _bad=1; umount -l "$_mnt" || :; }
		_before=$(<"$_run/tainted") _after=$(</proc/sys/kernel/tainted)
		# 128: the kernel died (oops), 512: it warned
		if (((_after & ~_before) & (128 | 512))); then
			dmesg | tail -n 60 >&2
			fail "the kernel oopsed or warned" || _bad=1
		fi
		return $_bad
	fi
	[[ -s $_run/pid ]] || fail "never started" || return 1
	if backend_ended "$_mnt"; then
		fail "kechofsd ended early, status $(backend_status "$_mnt")" || _bad=1
	else
		kill -TERM "$(<"$_run/pid")" 2>/dev/null || :
		if ! wait_until backend_ended "$_mnt"; then
			kill -KILL "$(<"$_run/pid")" 2>/dev/null || :
			_bad=1
		elif [[ $(backend_status "$_mnt") != 0 ]]; then
			fail "kechofsd: status $(backend_status "$_mnt") at SIGTERM" || _bad=1
		fi
	fi
	if findmnt -rn "$_mnt" >/dev/null; then
		fail "$_mnt is still mounted" || _bad=1
		umount -l "$_mnt" || :
	fi
	if grep -E 'Sanitizer|runtime error:|[Aa]ssert' "$_run/log" >&2; then _bad=1; fi
	((_bad == 0)) || tail -n 60 "$_run/log" >&2
	return $_bad
}

# Before a command: FILE in place of /proc/loadavg, for that command alone.
WITH_LOADAVG=(unshare -m sh -c 'mount --bind "$0" /proc/loadavg && exec "$@"')
# load_is FILE N: N.NN, in one write
load_is() { printf '%s 0.00 0.00 1/1 1\n' "$2" 1<>"$1"; }
