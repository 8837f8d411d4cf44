# SPDX-License-Identifier: GPL-2.0
# Two machines with different kernels, and a network between them. Runs on the host, with two guests; their modules are built.
load common

KERNELS=([1]=6.1 [2]=6.12)
LINES=1000

setup() { K=$BATS_TEST_TMPDIR; mkdir "$K/net" "$K/out"; }
teardown() { for p in "${!KECHO_PIDS[@]}"; do kill -TERM "$p" 2>/dev/null || :; done; wait; }

# done_with WHAT N, both HERE: what guest N has come to, as files in the directory that all three share
done_with() { : >"/out/$1.$2"; }
both() { done_with "$1" "$N"; wait_until "[[ -e /out/$1.$M ]]"; }

# node N: what runs in guest N. It fails at the first command that does, and says which.
node()
{
	N=$1 M=$((3 - $1))
	set -eE
	trap 'echo "guest $N: status $?: $BASH_COMMAND"; cat "$KECHO_DIR"/*/members "$KECHO_DIR"/.node/peers || :' ERR
	. test/common.bash
	export KECHO_DIR=/run/kecho
	if ((N == 1)); then
		background "$KECHO_BUILD/bin/kecho-groupd" -f -l 10.78.0.1:7326 --insecure
	fi
	wait_until bash -c ': <>/dev/tcp/10.78.0.1/7326' 2>/dev/null
	((N == 1)) || wait_until '[[ -e /out/up.1 ]]'
	backend_start "$KECHO_DIR" "name=h$N,listen=10.78.0.$N,group=10.78.0.1:7326,insecure,heartbeat=$((200 * KECHO_SLOW))"
	mkdir "$KECHO_DIR/web"
	done_with up "$N"

	# The other's attributes
	echo "kernel=$(uname -r)" >"$KECHO_DIR/web/attrs"
	wait_until '[[ $(member web "h$M" kernel) ]]'
	member web "h$M" kernel >"/out/kernel.$M"
	[[ $(member web "h$M" state) == alive && $(member web "h$M" addr) == "10.78.0.$M:7325" ]]

	# Both publish, both read all
	((N == 2)) || echo kecho.overflow=block >"$KECHO_DIR/web/attrs"
	wait_until grep -qx kecho.overflow=block "$KECHO_DIR/web/attrs"
	subscribe web 0 "/run/heard"
	wait_until '[[ $(member web "h$M" sinks) == 1 ]]'
	seq -f "h$N %g" "$LINES" >"$KECHO_DIR/web/events"
	wait_until lines_are /run/heard $((2 * LINES))
	cmp <(seq -f "h$M %g" "$LINES") <(grep "^h$M " /run/heard)
	both heard

	# The second is cut off from power
	((N == 1)) || wait
	wait_until '[[ $(member web h2 state) == suspect ]]'
	done_with suspect 1
	wait_until '[[ -z $(member web h2 node) ]]'
	echo end >"$KECHO_DIR/web/events"
	wait_until lines_are /run/heard $((2 * LINES + 1))
	reap
	backend_stop "$KECHO_DIR"
	done_with gone 1
}

# guest N: its process in GUEST[N]
guest()
{
	background env KECHO_BACKEND=kernel KECHO_SLOW=4 KECHO_WAIT=20 BUILD="$KECHO_BUILD" LINES=$LINES \
		"$KECHO_TOP/scripts/vm" --kernel "${KERNELS[$1]}" --timeout 300 --net "$K/net:$1" --out "$K/out" -- \
		env BUILD="$KECHO_BUILD" LINES=$LINES bash -c "$(declare -f done_with both node); node $1" >"$K/guest$1" 2>&1
	GUEST[$1]=$LAST_PID
}
reached() { [[ -e $K/out/$1 ]] || gone "${GUEST[1]}" || gone "${GUEST[2]}"; }
until_reached() { wait_until -t 280 reached "$1"; [[ -e $K/out/$1 ]] || fail "never $1: $(cat "$K"/guest?)"; }

@test "6.1 and 6.12: members, attributes, events in both directions; one loses its power" {
	local -a GUEST
	cd "$KECHO_TOP"
	guest 1
	guest 2
	until_reached heard.1
	until_reached heard.2
	[[ $(<"$K/out/kernel.1") == "${KERNELS[1]}".* && $(<"$K/out/kernel.2") == "${KERNELS[2]}".* ]]
	kill -TERM "${GUEST[2]}"
	wait_exit "${GUEST[2]}" || (($? == 143))
	wait_until -t 120 gone "${GUEST[1]}"
	wait_exit "${GUEST[1]}" || fail "$(<"$K/guest1")"
	[[ -e $K/out/suspect.1 && -e $K/out/gone.1 ]]
}
