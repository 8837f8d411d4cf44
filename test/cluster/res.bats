# SPDX-License-Identifier: GPL-2.0
# kecho res on several hosts.
load cluster

TTL=$KECHO_SLOW

# res HOST COMMAND ARGS...
res() { KECHO_DIR=$K/h$1 "$KECHO_BUILD/bin/kecho" res "${@:2}"; }
# manager HOST ARGS...: its pid in MANAGER[HOST]
declare -gA MANAGER=()
manager()
{
	KECHO_DIR=$K/h$1 background "$KECHO_BUILD/bin/kecho" res offer -n -t "$TTL" "${@:2}" >"$K/offer.$1"
	MANAGER[$1]=$LAST_PID
	wait_until "[[ -s $K/offer.$1 ]]"
}
# holder HOST NAME ARGS...: a command that tells its host and pid, in WHERE and PID, then sleeps; kecho's pid in HOLDER
holder()
{
	: >"$K/held.$2"
	# shellcheck disable=SC2016
	KECHO_DIR=$K/h$1 background "$KECHO_BUILD/bin/kecho" res request "${@:3}" -- sh -c 'echo $KECHO_RES_HOST $$; exec sleep 1000' \
		>"$K/held.$2"
	HOLDER=$LAST_PID
	wait_until "[[ -s $K/held.$2 ]] || gone $HOLDER"
	read -r WHERE PID <"$K/held.$2"
}

refused() { if "$@"; then fail "succeeded: $*"; fi; }

TTL=$((1 * KECHO_SLOW))

@test "three hosts: the best offer is taken; manager and holder killed, nothing is used twice" {
	local first second
	cluster_up 3
	join resources 1 2 3
	manager 1 -a speed=1 gpu=1
	manager 2 -a speed=3 gpu=1
	manager 3 -a speed=2 gpu=1
	wait_until '(($(res 1 ls -w 0.1 | wc -l) == 3))'
	holder 1 a -b most:speed gpu=1
	[[ $WHERE == h2 ]]
	first=$PID second=$HOLDER
	holder 3 b -b least gpu=1
	[[ $WHERE != h2 ]]
	kill -KILL "${MANAGER[2]}"
	wait_until gone "$first"
	refused wait_exit "$second"
	# The killed holder's command is gone before its lease is.
	kill -KILL "$HOLDER"
	wait_until gone "$PID"
	holder 1 c gpu=1
	holder 2 d gpu=1
	[[ $WHERE == h[13] && $(cut -d' ' -f 1 "$K/held.c") == h[13] && $WHERE != "$(cut -d' ' -f 1 "$K/held.c")" ]]
	[[ $(res 3 ls -l -w 0.2 | wc -l) == 2 ]]
}

@test "a node is killed, and one is cut off: the command has ended when another gets the lease" {
	local pid
	cluster_up 3
	join resources 1 2 3
	manager 1 gpu=1
	holder 2 a gpu=1
	switch br1 2
	pid=$PID
	holder 3 b gpu=1
	gone "$pid" || fail "both use it"
	switch br0 2
	all_see resources 1 2 3
	pid=$PID
	node_kill 3
	wait_until gone "$pid"
	holder 2 c -w 30 gpu=1
	[[ $WHERE == h1 ]]
}
