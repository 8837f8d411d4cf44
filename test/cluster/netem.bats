# SPDX-License-Identifier: GPL-2.0
# Bad networks. A kernel without sch_netem lets a guest do it: the tests there are this file's, and so is what comes out.
load cluster

setup_file()
{
	[[ ! -v KECHO_GUEST ]] || return 0
	((EUID == 0)) || return 0
	! unshare -n tc qdisc add dev lo root netem delay 1ms 2>/dev/null || return 0
	# Inside bats, bats is another program.
	"$KECHO_TOP/scripts/vm" --smp 2 --timeout 300 -- env PATH="${PATH//"$BATS_LIBEXEC:"/}" KECHO_GUEST=1 KECHO_SLOW=3 \
		KECHO_TRANSPORT="${KECHO_TRANSPORT-}" KECHO_BY="$KECHO_BY" BUILD="$KECHO_BUILD" bats --tap "$BATS_TEST_FILENAME" >"$BATS_FILE_TMPDIR/tap" 2>&1 3>&- || :
}

# Whether this test has run in the guest; then it ends here if it did not succeed there.
elsewhere()
{
	local tap=$BATS_FILE_TMPDIR/tap
	[[ -e $tap ]] || return 1
	grep '^# ' "$tap" | grep -F "$BATS_TEST_DESCRIPTION:" >&3 || :
	grep '^ok ' "$tap" | grep -qF " $BATS_TEST_DESCRIPTION" || { cat "$tap"; exit 1; }
}

# netem HOST...: all that these send, as $BAD says
# shellcheck disable=SC2086
netem() { local h; for h; do on "$h" tc qdisc replace dev eth0 root netem $BAD; done; }
say() { note "$BATS_TEST_DESCRIPTION: $*"; }

@test "delay, loss and reordering: all events arrive, in order" {
	elsewhere && return
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 2
	join web 1 2
	setting web kecho.overflow=block 1 2
	BAD='delay 20ms 10ms loss 3% duplicate 1% reorder 25% 50%' netem 1 2
	listen web 1 2
	background publish "$K/h1/web" seq 5000
	heard 2 5000 30
	wait_exit "$LAST_PID"
	cmp <(seq 5000) "$K/out.2"
	[[ $(member "$K/h2/web" h1 lost) == 0 ]]
}

@test "rtt_us shows the delay" {
	elsewhere && return
	cluster_up 2
	join web 1 2
	BAD='delay 60ms' netem 2
	wait_until '(($(member "$K/h1/web" h2 rtt_us) >= 50000))'
	say "$(member "$K/h1/web" h2 rtt_us) us"
	(($(member "$K/h1/web" h2 rtt_us) < 60000 + 200000 * KECHO_SLOW))
	sees 1 web 1 2
}

@test "a member on a slow line does not hold up the others" {
	elsewhere && return
	local start
	cluster_up 3
	join web 1 2 3
	listen web 1 2 3
	BAD='delay 300ms rate 256kbit' netem 3
	start=$EPOCHREALTIME
	publish "$K/h1/web" seq 1000
	heard 2 1000 10
	say "the others had 1000 events after $((${EPOCHREALTIME/./} / 1000 - ${start/./} / 1000)) ms"
	cmp <(seq 1000) "$K/out.2"
	sees 2 web 1 2 3
}

@test "a host joins over a line that loses a fifth" {
	elsewhere && return
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 2
	BAD='delay 10ms loss 20%' netem 2
	join web 1 2
	flows web 1 2
	flows web 2 1
}

@test "rudp: losses of a hundredth, a twentieth and a fifth, duplicates and reordering" {
	elsewhere && return
	[[ ${KECHO_TRANSPORT-} == rudp ]] || skip "TCP waits too long at the last"
	local loss n=0 start
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 2
	join web 1 2
	setting web kecho.overflow=block 1 2
	listen web 1 2
	for loss in 1 5 20; do
		BAD="delay 10ms 5ms loss $loss% duplicate 2% reorder 10% 50%" netem 1 2
		start=$EPOCHREALTIME
		background publish "$K/h1/web" seq $((n + 1)) $((n += 1000))
		heard 2 "$n" 60
		wait_exit "$LAST_PID"
		say "$loss %: 1000 events in $((${EPOCHREALTIME/./} / 1000 - ${start/./} / 1000)) ms, $(member "$K/h1/web" h2 loss_ppm) ppm lost"
	done
	cmp <(seq "$n") "$K/out.2"
	[[ $(member "$K/h2/web" h1 lost) == 0 && $(member "$K/h2/web" h1 via) == rudp ]]
	(($(member "$K/h1/web" h2 loss_ppm) > 50000))
}
