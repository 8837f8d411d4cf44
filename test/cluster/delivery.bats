# SPDX-License-Identifier: GPL-2.0
load cluster

reset() { on "$1" ss -K dst "10.77.0.$2" >/dev/null 2>&1; }

# More than all queues have room for.
FLOOD=$((KECHO_SLOW < 10 ? 20000 : 5000))

@test "100,000 events in order and complete, though connections break and an interface fails" {
	local i p h n=$((10000 / KECHO_SLOW))
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 3
	join web 1 2 3
	setting web kecho.overflow=block 1 2 3
	listen web 1 2 3
	for i in {0..9}; do
		background publish "$K/h1/web" seq $((i * n + 1)) $((i * n + n))
		p=$LAST_PID
		wait_until '(($(wc -l <"$K/out.2") > i * n))'
		case $i in
		4)
			net 2 link set eth0 down
			sleep 1.5	# the outage
			net 2 link set eth0 up
			;;
		*) reset 1 2; reset $((2 + i % 2)) 1 ;;
		esac
		wait_exit "$p" 60
	done
	publish "$K/h1/web" echo end
	for h in 2 3; do
		heard "$h" $((10 * n + 1)) 60
		cmp <(seq $((10 * n)); echo end) "$K/out.$h"
		[[ $(member "$K/h$h/web" h1 lost) == 0 ]]
		[[ $(sink "$K/h$h/web" "${READER[$h]}" lost) == 0 ]]
	done
	note "resumed $(counter 1 resumes) times"
	# By rudp nothing breaks that the test can break.
	[[ ${KECHO_TRANSPORT:-tcp} == rudp ]] || (($(counter 1 resumes) >= 5))
}

# Every event of h1 is accounted for at HOST, where PID reads into FILE: published = received + queued + lost
accounted()
{
	local host=$1 pid=$2 file=$3 published have queued lost before
	published=$(own "$K/h1/web" sent)
	balanced()
	{
		have=$(wc -l <"$file") queued=$(sink "$K/h$host/web" "$pid" queued)
		lost=$(sink "$K/h$host/web" "$pid" lost) before=$(member "$K/h$host/web" h1 lost)
		((have + queued + lost + before == published))
	}
	wait_until balanced ||
		fail "h$host: $published published, $have received, $queued queued, lost $lost at the reader and $before before it"
}

@test "drop-oldest: every event is received or counted as lost, and order holds" {
	cluster_up 3
	join web 1 2 3
	listen web 1 3
	exec 8<"$K/h2/web/events"	# and reads nothing yet
	wait_until sinks_are 1 web 2 1
	publish "$K/h1/web" seq $FLOOD
	publish "$K/h1/web" echo 99999
	wait_until has_line "$K/out.3" 99999
	timeout $((30 * KECHO_SLOW)) sed -u /99999/q <&8 >"$K/out.2"
	sort -nuc "$K/out.2"
	sort -nuc "$K/out.3"
	(($(wc -l <"$K/out.2") <= FLOOD))
	[[ $(own "$K/h1/web" sent) == $((FLOOD + 1)) ]]
	accounted 2 $BASHPID "$K/out.2"
	accounted 3 "${READER[3]}" "$K/out.3"
}

@test "drop-newest: likewise" {
	cluster_up 2
	join web 1 2
	setting web kecho.overflow=drop-newest 1 2
	exec 8<"$K/h2/web/events"
	wait_until sinks_are 1 web 2 1
	publish "$K/h1/web" seq $FLOOD
	# The first of the queue are there; take them, and the next one finds room.
	timeout $((30 * KECHO_SLOW)) sed -u 100q <&8 >"$K/out.2"
	cmp <(seq 100) "$K/out.2"
	background bash -c 'exec sed -u /99999/q <&8' >>"$K/out.2"
	wait_until 'publish "$K/h1/web" echo 99999; has_line "$K/out.2" 99999'
	wait_exit "$LAST_PID"
	sort -nuc "$K/out.2"
	accounted 2 $BASHPID "$K/out.2"
}

@test "block: a reader that stops holds the publisher, and nothing is lost" {
	local queued pid=$BASHPID n=$((KECHO_SLOW > 1 ? 4000 : 20000))	# each byte is a read
	cluster_up 2
	join web 1 2
	setting web kecho.overflow=block 1 2
	setting web kecho.queue=50 1 2
	exec 8<"$K/h2/web/events"
	wait_until sinks_are 1 web 2 1
	background publish "$K/h1/web" seq $n
	wait_until "((\$(sink '$K/h2/web' $pid queued) >= 10))"
	queued=$(sink "$K/h2/web" "$pid" queued)
	((queued <= 50))
	kill -0 "$LAST_PID"
	timeout $((60 * KECHO_SLOW)) sed -u ${n}q <&8 >"$K/out.2"
	cmp <(seq $n) "$K/out.2"
	wait_exit "$LAST_PID"
}

@test "a member that stands still does not hold up the others" {
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 3
	join web 1 2 3
	listen web 1 2 3
	node_freeze 3
	publish "$K/h1/web" seq 1000
	heard 2 1000 5
	cmp <(seq 1000) "$K/out.2"
	node_thaw 3
	heard 3 1000
	cmp <(seq 1000) "$K/out.3"
}

@test "a host without readers is sent no events" {
	cluster_up 3
	join web 1 2 3
	listen web 1 2
	publish "$K/h1/web" seq 100
	heard 2 100
	[[ $(member "$K/h1/web" h2 sent) == 100 ]]
	[[ $(member "$K/h1/web" h3 sent) == 0 ]]
}

@test "packets cross hosts untouched" {
	cluster_up 2
	join bin 1 2
	head -c 100000 /dev/urandom >"$K/in"
	background dd if="$K/h2/bin/events" of="$K/out" iflag=direct bs=1M count=1 status=none
	wait_until sinks_are 1 bin 2 1
	dd if="$K/in" of="$K/h1/bin/events" oflag=direct bs=1M count=1 status=none
	wait_exit "$LAST_PID"
	cmp "$K/in" "$K/out"
}

@test "inotify: IN_MODIFY when an event arrives from another host, though nobody reads it" {
	local i
	cluster_up 2
	join web 1 2
	exec 8<"$K/h2/web/events"
	wait_until sinks_are 1 web 2 1
	background inotifywait -m -e modify --format %w "$K/h2/web/events" >"$K/seen" 2>"$K/watch"
	wait_until grep -q 'Watches established' "$K/watch"
	for i in 1 2 3; do
		publish "$K/h1/web" echo "$i"
		wait_until '(($(wc -l <"$K/seen") >= i))'
	done
}

@test "block between nodes whose default queues differ" {
	net_up 2
	node_up 1 queue=4
	node_up 2 peer=10.77.0.1
	join web 1 2
	setting web kecho.overflow=block 1 2
	[[ $(grep kecho.queue "$K/h2/web/attrs") == kecho.queue=4 ]]
	listen web 1 2
	background publish "$K/h1/web" seq 200
	heard 2 200 10
	cmp <(seq 200) "$K/out.2"
}

@test "a node that is stopped first sends what it has published" {
	HEARTBEAT=$((1000 * KECHO_SLOW)) cluster_up 2
	join web 1 2
	listen web 1 2
	for i in {1..800}; do printf '%01000d\n' "$i"; done >"$K/in"
	on 1 tc qdisc add dev eth0 root tbf rate 16mbit burst 16k limit 10mb	# 0.4 s for all
	publish "$K/h1/web" cat "$K/in"
	node_stop 1
	heard 2 800 10
	cmp "$K/in" "$K/out.2"
}
