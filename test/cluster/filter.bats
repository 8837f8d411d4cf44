# SPDX-License-Identifier: GPL-2.0
# Filters between hosts: who receives an event is decided by what the members say of themselves.
load cluster

# filter HOST CH LINE
filter() { printf '%s\n' "$3" >"$K/h$1/$2/filter"; }
kecho() { local h=$1; shift; KECHO_DIR=$K/h$h "$KECHO_BUILD/bin/kecho" "$@"; }	# HOST ARGUMENT...
# counted HOST CH INDEX SEEN PASSED
counted() { [[ $(pick "index=$3" seen <"$K/h$1/$2/filter") == "$4" && $(pick "index=$3" passed <"$K/h$1/$2/filter") == "$5" ]]; }

# loads LOAD...: of h2, h3 and so on, which h1 knows when this returns
loads()
{
	local h=2 load
	for load; do set_attr $((h++)) web "load=$load"; done
	h=2
	for load; do wait_until member_is 1 web $((h++)) load "$load"; done
}

# ask TEXT HOST...: h1 does, and it is for these
ask()
{
	local h
	publish "$K/h1/web" echo "$1"
	for h in "${@:2}"; do echo "$1" >>"$K/want.$h"; done
}

# The end is for all; what came until then is what had to come, and nothing else.
asked()	# HOST...
{
	local h
	publish "$K/h1/web" echo end
	for h; do
		wait_until has_line "$K/out.$h" end
		diff <(cat "$K/want.$h" 2>/dev/null; echo end) "$K/out.$h" || fail "h$h"
	done
}

@test "five hosts with changing loads: a request reaches the two with the least; one that dies is asked no more" {
	cluster_up 6
	join web 1 2 3 4 5 6
	listen web 1 2 3 4 5 6
	filter 1 web 'out least attr=load n=2'
	loads 0.1 0.2 0.3 0.4 0.5
	ask 1 2 3
	loads 0.5 0.1 0.2 0.3 0.4
	ask 2 3 4
	loads 7 -1 2.5 -1.5 1
	ask 3 3 5
	loads 3 4 5 1 2
	ask 4 5 6
	filter 1 web '=0 n=3'
	ask 5 5 6 2
	filter 1 web '=0 n=2'
	loads 100 90 80 0.001 0.002
	ask 6 5 6
	wait_until cmp -s "$K/want.5" "$K/out.5"
	kill "${READER[5]}"
	node_kill 5
	all_see web 1 2 3 4 6
	ask 7 6 4
	ask 8 6 4
	loads 1 2 3
	ask 9 6 2
	[[ $(pick index=0 seen <"$K/h1/web/filter") == 9 ]]
	filter 1 web -least
	asked 2 3 4 6
}

@test "the sinks of one host, which say each what they are, are chosen one by one" {
	local i
	local -a pid
	cluster_up 2
	join web 1 2
	listen web 1 2
	for i in 1 2 3; do
		kecho_sub $i -a "load=0.$i"
	done
	wait_until sinks_are 1 web 2 4
	told web 2 1
	filter 1 web 'out least attr=load n=1'
	publish "$K/h1/web" echo one
	filter 1 web '=0 n=2'
	publish "$K/h1/web" echo two
	for i in 1 2; do wait_until has_line "$K/sub.$i" two; done
	kill "${pid[1]}"
	wait_until sinks_are 1 web 2 3
	told web 2 1
	filter 1 web '=0 n=1'
	publish "$K/h1/web" echo three
	# The reader that says nothing has no load.
	filter 1 web '-0'
	publish "$K/h1/web" echo end
	wait_until has_line "$K/out.2" end
	for i in 2 3; do wait_until has_line "$K/sub.$i" end; done
	diff <(printf '%s\n' one two) "$K/sub.1"
	diff <(printf '%s\n' two three end) "$K/sub.2"
	diff <(printf '%s\n' end) "$K/sub.3"
	diff <(printf '%s\n' end) "$K/out.2"
	# However many of them get it, it crosses the link once.
	member_is 1 web 2 sent 4
}

# kecho_sub N ARGUMENT...: on h2, its output in $K/sub.N, its pid in pid[N]
kecho_sub()
{
	background env "KECHO_DIR=$K/h2" "$KECHO_BUILD/bin/kecho" sub "${@:2}" web >"$K/sub.$1"
	pid[$1]=$LAST_PID
	wait_until '[[ $(sink "$K/h2/web" "$LAST_PID" sink) ]]'
}

@test "the first answer wins: three are sent, one is delivered, two are counted" {
	local h id
	cluster_up 5
	join ask 1 2 3 4
	join answers 1 2 3 4 5
	listen answers 2 1 5
	for h in 3 4; do
		wait_until sinks_are "$h" answers 1 1
		wait_until sinks_are "$h" answers 5 1
	done
	for h in 2 3 4; do
		filter "$h" answers 'out reply'
		# shellcheck disable=SC2016
		on_background "$h" env "KECHO_DIR=$K/h$h" "PATH=$KECHO_BUILD/bin:$PATH" bash -c '
			kecho sub -n 2 --format "%i %{id} %p\n" ask | while read -r asker id question; do
				kecho pub -a to="$asker" -a re="$id" answers "$question: $0"
			done' "h$h"
		wait_until sinks_are 1 ask "$h" 1
	done
	filter 1 answers 'in dedup'
	id=$(own "$K/h1/answers" id)
	kecho 1 pub -a id="$id-1" ask one
	wait_until counted 1 answers 0 3 1
	kecho 1 pub -a id="$id-2" ask two
	wait_until counted 1 answers 0 6 2
	publish "$K/h2/answers" echo end
	heard 1 3
	[[ $(<"$K/out.1") =~ ^one:\ h[234]$'\n'two:\ h[234]$'\n'end$ ]] || fail "$(<"$K/out.1")"
	# Who has not asked hears nothing of it.
	heard 5 1
	[[ $(<"$K/out.5") == end ]]
}

# traffic N CMD: from h1 to h2, while CMD is done N times
traffic()
{
	local p i n
	cluster_up 2
	join web 1 2
	setting web kecho.overflow=block 1 2
	listen web 1 2
	set_attr 2 web load=1
	wait_until member_is 1 web 2 load 1
	# shellcheck disable=SC2016
	background publish "$K/h1/web" bash -c 'for ((i = 0; ; i += 500)); do seq $((i + 1)) $((i + 500)); [[ ! -e $0 ]] || break; done' "$K/stop"
	p=$LAST_PID
	for ((i = 1; i <= $1; i++)); do
		"$2" "$i"
	done
	: >"$K/stop"
	wait_exit "$p" 30
	publish "$K/h1/web" echo end
	wait_until -t 30 has_line "$K/out.2" end
	n=$(own "$K/h1/web" sent)
	cmp <(seq $((n - 1)); echo end) "$K/out.2"
	note "$n events"
}

@test "parameters change under traffic: no event is lost, none comes twice" {
	change()
	{
		if (($1 == 1)); then
			filter 1 web 'out type not=a'
			filter 1 web 'out least attr=load n=1'
			filter 2 web 'in dedup'
			filter 2 web 'in type not=a'
		fi
		filter 1 web "=0 not=a$1"
		filter 1 web "=1 n=$(($1 % 2 + 1))"
		filter 2 web "=0 size=$(($1 % 100 + 1))"
		filter 2 web "=1 not=a$1"
	}
	traffic 100 change
}

@test "filters come and go under traffic: no event is lost, none comes twice" {
	change()
	{
		filter 1 web 'out type not=a'
		filter 2 web 'in dedup'
		filter 2 web 'in type not=a'
		[[ $(backend_of 1) != kernel ]] || in_use type
		filter 1 web -type
		filter 2 web -0
		filter 2 web -type
	}
	in_use() { local out; if out=$(rmmod "kecho-filter-$1" 2>&1); then fail "$1 was unloaded"; fi; [[ $out == *'in use'* ]] || fail "$out"; }
	traffic 30 change
	[[ ! -s $K/h1/web/filter && ! -s $K/h2/web/filter ]]
}
