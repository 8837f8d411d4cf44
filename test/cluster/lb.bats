# SPDX-License-Identifier: GPL-2.0
# kecho serve and kecho req between hosts.
load cluster

kecho() { local h=$1; shift; on "$h" env KECHO_DIR="$K/h$h" "$KECHO_BUILD/bin/kecho" "$@"; }	# HOST ARGUMENT...
asking() { on_background "$1" env KECHO_DIR="$K/h$1" "$KECHO_BUILD/bin/kecho" req "${@:2}" >/dev/null; }	# HOST ARGUMENT...
# serve HOST...: each writes who it is for every request, and answers so; a request is a command, too
serve()
{
	local h
	for h; do
		# shellcheck disable=SC2016
		on_background "$h" env KECHO_DIR="$K/h$h" HOST="h$h" "$KECHO_BUILD/bin/kecho" serve -j 1 jobs -- \
			bash -c 'IFS= read -r x; echo "$HOST" >>"$0.begun"; eval "$x"; echo "$HOST" >>"$0.done"; echo "$HOST"' "$K/jobs"
		SERVER[h]=$LAST_PID
	done
}
declare -A SERVER
load_is() { [[ $(pick serves=1 load <"$K/h$1/jobs/members") == "$2" ]]; }
# loaded HOST LOAD: its server, and h1 knows
loaded()
{
	wait_until load_is "$1" "$2"
	(($1 == 1)) || told jobs "$1" 1
}
ready() { local h; for h; do loaded "$h" 0.0; done; }	# HOST...
begun() { sort "$K/jobs.begun" 2>/dev/null | uniq -c | tr -s ' \n' ' '; }

@test "the server with the least load is asked, its answer is the only one" {
	cluster_up 4
	join jobs 1 2 3 4
	join jobs.answers 1 2 3 4
	serve 2 3 4
	ready 2 3 4
	asking 1 -W 0 jobs "read -r x <$K/go2"
	local busy=$LAST_PID
	mkfifo "$K/go2"
	wait_until '[[ $(begun) ]]'
	local first; first=$(<"$K/jobs.begun")
	loaded "${first#h}" 1.0
	local i answers
	answers=$(for i in 1 2 3 4 5 6; do kecho 1 req jobs true; done)
	[[ $answers != *"$first"* && $(wc -l <<<"$answers") == 6 ]]
	echo >"$K/go2"
	wait_exit "$busy"
	# All three do it, and one answer comes.
	rm "$K/jobs.begun"
	[[ $(kecho 1 req -n 3 jobs sleep 0.3 | wc -l) == 1 ]]
	[[ $(wc -l <"$K/jobs.begun") -ge 2 ]]
}

@test "first this host's server; when it has not begun in time, or its queue is full, others" {
	cluster_up 2
	join jobs 1 2
	join jobs.answers 1 2
	serve 1 2
	ready 1 2
	[[ $(kecho 1 req jobs true) == h1 ]]
	mkfifo "$K/go"
	asking 1 -W 0 -w 600 jobs "read -r x <$K/go"
	local busy=$LAST_PID answer
	loaded 1 1.0
	answer=$(kecho 1 req -v -w 0.2 jobs true 2>"$K/said") || fail "$(<"$K/said")"
	[[ $answer == h2 ]] || fail "$answer: $(<"$K/said")"
	# What waited here was taken back.
	loaded 1 1.0
	[[ $(grep -c h1 "$K/jobs.begun") == 2 ]]
	echo >"$K/go"
	wait_exit "$busy"
}

@test "kill -9 of a server: another one does it; one whose host dies: likewise; what must not be done twice is not" {
	cluster_up 3
	join jobs 1 2 3
	join jobs.answers 1 2 3
	serve 2 3
	ready 2 3
	local h status=0
	asking 1 -W 0 jobs "[[ -e $K/again ]] || { touch $K/again; sleep 1000; }"
	local asker=$LAST_PID
	wait_until '[[ -e $K/again ]]'
	h=$(<"$K/jobs.begun") h=${h#h}
	kill -KILL "${SERVER[$h]}"
	wait_exit "$asker"
	[[ $(begun) == *"h$((5 - h))"* ]]
	asking 1 -W 0 --once jobs 'sleep 1000'
	asker=$LAST_PID
	wait_until '[[ $(wc -l <"$K/jobs.begun") == 3 ]]'
	node_kill $((5 - h))
	wait_exit "$asker" || status=$?
	[[ $status == 1 && $(wc -l <"$K/jobs.begun") == 3 ]]
}

@test "cancel: who begins later stops; nothing is left anywhere" {
	cluster_up 4
	join jobs 1 2 3 4
	join jobs.answers 1 2 3 4
	serve 2 3 4
	ready 2 3 4
	local i
	for i in 1 2 3; do
		[[ $(kecho 1 req -n 3 --cancel jobs sleep 0.5 | wc -l) == 1 ]]
		ready 2 3 4
	done
	# One did it, and none of those that were stopped.
	[[ $(wc -l <"$K/jobs.done") == 3 ]]
}

@test "kecho_lb: the kernel forwards for the programs of its host, also while it is loaded and unloaded" {
	[[ $(backend_of 1) == kernel ]] || skip "a module"
	local ko i answers busy status=0 wait_ms=$((300 * KECHO_SLOW))
	ko=$KECHO_BUILD/kmod/$(uname -r)/kecho_lb.ko
	cluster_up 2
	join jobs 1 2
	join jobs.answers 1 2
	on 1 insmod "$ko" channel=jobs wait_ms=$wait_ms
	grep -qx lb=kernel "$K/h1/jobs/attrs"
	printf 'out type not=ask\n' >"$K/h1/jobs/filter"
	serve 2
	ready 2
	# Who asks again has asked other hosts himself.
	kecho 1 pub -t ask -a id=4711 -a attempt=2 jobs "touch $K/again"
	kecho 1 pub -t ask -a id=4712 jobs "touch $K/forwarded"
	wait_until '[[ -e $K/forwarded ]]'
	[[ ! -e $K/again ]]
	serve 1
	ready 1 2
	[[ $(kecho 1 req jobs true) == h1 ]]
	mkfifo "$K/go"
	asking 1 -W 0 jobs "read -r x <$K/go"
	busy=$LAST_PID
	loaded 1 1.0
	[[ $(kecho 1 req jobs true) == h2 ]]
	# Who gives up takes it back, everywhere.
	kecho 1 req -W $KECHO_SLOW jobs 'sleep 1000' || status=$?
	[[ $status == 124 ]]
	loaded 2 0.0
	echo >"$K/go"
	wait_exit "$busy"
	ready 1
	# By then it forwards, or who asks does.
	for i in 1 2 3; do
		asking 1 jobs true
		answers+=" $LAST_PID"
		rmmod kecho_lb
		on 1 insmod "$ko" channel=jobs wait_ms=$wait_ms
	done
	# One whose forwarder goes while it waits is still answered by the server that has it.
	for i in $answers; do wait_exit "$i"; done
	rmmod kecho_lb
	[[ $(grep -c '^lb=' "$K/h1/jobs/attrs") == 0 ]]
}
