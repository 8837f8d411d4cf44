# SPDX-License-Identifier: GPL-2.0
# kecho res on one host.
load setup

kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
res() { kecho res "$1" -c "$CH" "${@:2}"; }
# exits STATUS CMD...: and what it prints is in OUT, its messages in ERR
exits()
{
	local want=$1 rc=0; shift
	"$@" >"$T/stdout" 2>"$T/stderr" 3>&- || rc=$?
	OUT=$(<"$T/stdout") ERR=$(<"$T/stderr")
	((rc == want)) || fail "$*: status $rc, not $want: $OUT $ERR"
}
says() { [[ $ERR =~ $1 ]] || fail "$ERR (expected $1)"; }
json() { "$KECHO_PYTHON" -S -c 'import json, sys; d = json.load(sys.stdin); assert eval(f"({sys.argv[1]})"), d' "$1"; }

# offer ARGS...: a manager, in MANAGER, that is there when this returns
offer()
{
	: >"$T/offer"
	background "$KECHO_BUILD/bin/kecho" res offer -c "$CH" "$@" >"$T/offer" 2>"$T/offer.err"
	MANAGER=$LAST_PID
	wait_until '[[ -s $T/offer ]] || gone $MANAGER'
}
# hold ARGS...: who has a lease when this returns, in HOLDER; its id in LEASE
hold()
{
	: >"$T/lease"
	background "$KECHO_BUILD/bin/kecho" res request -c "$CH" "$@" >"$T/lease" 2>"$T/hold.err"
	HOLDER=$LAST_PID
	wait_until '[[ -s $T/lease ]] || gone $HOLDER'
	read -r LEASE _ <"$T/lease"
}
free_is() { [[ $(res ls -w 0.1 | cut -f 1,4) == *"gpu"$'\t'"$1"* ]]; }

@test "a command runs with a lease, and exits with its status; the lease ends with it" {
	offer -n -a zone=x gpu=2
	exits 7 res request gpu=2 -w 10 -- sh -c 'echo $KECHO_RES_ID $KECHO_RES_HOST $KECHO_RES_NAME $KECHO_RES_AMOUNT; exit 7'
	[[ $OUT =~ ^[0-9a-f]{16}' tree gpu 2'$ ]]
	free_is 2
	exits 127 res request gpu=2 -w 10 -- no-such-command
	free_is 2
}

@test "ls: resources and leases, columns and JSON; request waits no longer than it is told" {
	offer -n -a zone=x gpu=3 cpu memory disk
	hold -t 20 gpu=2
	exits 124 res request -w 0.2 gpu=2
	says 'nobody has given 2 of gpu.*res ls'
	res ls -w 0.2 -j >"$T/ls"
	json "[(r['resource'], r['amount'], r['free'], r['host'], r['attributes']) for r in d['resources']][2] ==
		('gpu', 3, 1, 'tree', {'load': 0.666, 'zone': 'x'})" <"$T/ls"
	json "d['resources'][0]['amount'] == $(nproc) and d['resources'][1]['free'] > 0 and d['resources'][3]['free'] > 0 and
		[(l['lease'], l['amount'], l['holder'], l['state']) for l in d['leases']] == [('$LEASE', 2, 'tree', 'granted')]" <"$T/ls"
	exits 0 res ls -l -w 0.2
	[[ $OUT =~ ^"$LEASE"$'\tgpu\ttree\t2\ttree\t'[1-9]$'\tgranted'$ ]]	# the manager's limit is 10
	kill -TERM "$HOLDER"
	wait_exit "$HOLDER"
	free_is 3
}

@test "release: the holder ends its command, then the lease is free" {
	offer -n gpu=1
	background "$KECHO_BUILD/bin/kecho" res request -c "$CH" gpu=1 -- sh -c 'echo $$ $KECHO_RES_ID; exec sleep 1000' >"$T/lease" 2>"$T/err"
	wait_until '[[ -s $T/lease ]]'
	local pid id
	read -r pid id <"$T/lease"
	exits 0 res release "$id"
	free_is 1
	wait_until gone "$pid"
	refused '' wait_exit "$LAST_PID"
	grep -q "lease $id on gpu is lost" "$T/err"
	exits 1 res release "$id"
	says "nobody knows of a lease $id"
}

@test "the holder is killed: so is its command, and the lease is free when its time is over" {
	offer -n gpu=1
	background "$KECHO_BUILD/bin/kecho" res request -c "$CH" -t 1 gpu=1 -- sh -c 'echo $$; exec sleep 1000' >"$T/pid"
	wait_until '[[ -s $T/pid ]]'
	kill -KILL "$LAST_PID"
	wait_until gone "$(<"$T/pid")"
	exits 0 res request -w 20 gpu=1 -- true
}

@test "the manager is killed: the next one gives nothing until old leases have ended" {
	local now
	offer -n -t 1 gpu=1
	hold gpu=1 -- sh -c 'echo $$; exec sleep 1000'
	kill -KILL "$MANAGER"
	refused '' wait_exit "$MANAGER"
	now=${EPOCHREALTIME/./}
	offer -t 1 gpu=1
	# The command of the holder, in LEASE, has ended first.
	exits 0 res request -w 20 gpu=1 -- sh -c '! kill -0 "$1" 2>/dev/null' _ "$LEASE"
	((${EPOCHREALTIME/./} - now > 900000))
	refused '' wait_exit "$HOLDER"
	grep -q 'is lost' "$T/hold.err"
}

@test "the manager leaves: its holders are told, and it waits for them" {
	offer -n gpu=1
	exits 1 res offer gpu=1
	says 'offered by another process'
	hold gpu=1
	kill -TERM "$MANAGER"
	wait_exit "$MANAGER" 5
	refused '' wait_exit "$HOLDER"
}

@test "a lease that has ended before its holder could look is asked for again" {
	local asker
	kecho join "$CH/request" "$CH/accept"
	background "$KECHO_BUILD/bin/kecho" sub -n 1 -t request --format '%{id}\n' "$CH" >"$T/id"
	background "$KECHO_BUILD/bin/kecho" sub -n 1 -t accept --format '%{stamp}\n' "$CH" >"$T/stamp"
	wait_until '[[ $(grep -c "comm=kecho" "$D/members") == 2 ]]'
	background "$KECHO_BUILD/bin/kecho" res request -c "$CH" gpu=1 -- true
	asker=$LAST_PID
	wait_until '[[ -s $T/id ]]'
	local from=(-a "id=\"$(tr -d \" <"$T/id")\"" -a 'manager="00000000000000aa"' -a resource=gpu -a amount=1 -a ttl=10000)
	kecho pub -t offer "${from[@]}" "$CH" x
	wait_until '[[ -s $T/stamp ]]'
	kill -STOP "$asker"
	kecho pub -t grant "${from[@]}" -a "stamp=$(<"$T/stamp")" "$CH" x
	kecho pub -t end "${from[@]}" "$CH" x
	kill -CONT "$asker"
	offer -n gpu=1
	wait_exit "$asker" 10
}

@test "the command line is wrong: status 2" {
	local args
	for args in 'res' 'res nope' 'res offer' 'res offer gpu' 'res offer gpu=0' 'res offer gpu=x' 'res offer a/b=1' 'res offer -a x gpu=1' \
		'res offer -t 0.01 gpu=1' 'res request' 'res request gpu' 'res request gpu=1 cpu=1' 'res request -b best gpu=1' \
		'res request gpu=1 --' 'res release' 'res release 12' 'res ls x'; do
		# shellcheck disable=SC2086
		exits 2 kecho $args
		[[ $ERR ]]
	done
}
