# SPDX-License-Identifier: GPL-2.0
# The load of hosts, as others see it, and filters that follow it.
load cluster

# resmon HOST [OPTION...]: says the load that is in $K/load.HOST
resmon()
{
	KECHO_DIR=$K/h$1 on_background "$1" "${WITH_LOADAVG[@]}" "$K/load.$1" "$KECHO_BUILD/bin/kecho" resmon -i 0.05 "${@:2}"
	RESMON[$1]=$LAST_PID
}
is() { [[ $(member "$K/h1/$1" "h$2" "$3") == "$4" ]]; }	# CHANNEL HOST KEY VALUE, as h1 sees it
# asked HOST: a question of h1 comes to it. Attributes and events arrive each in their own time.
asked()
{
	local question=$RANDOM$RANDOM
	publish "$K/h1/web" echo "$question"
	wait_until -t 1 grep -qxs "$question" "$K"/out.[23]
	has_line "$K/out.$1" "$question"
}

@test "a host whose load changes: the others see it, and least from=load follows it" {
	local h
	declare -A RESMON
	cluster_up 3
	join web 1 2 3
	join load 1 2 3
	for h in 2 3; do
		printf '%-60s\n' '' >"$K/load.$h"
		load_is "$K/load.$h" 9.00
	done
	listen web 1 2 3
	echo 'out least attr=load from=load maxage=60' >"$K/h1/web/filter"
	resmon 2
	resmon 3
	for h in 2 3; do wait_until is load "$h" load 9.0; done
	load_is "$K/load.2" 0.50
	wait_until is load 2 load 0.5
	wait_until asked 2
	load_is "$K/load.3" 0.10
	wait_until is load 3 load 0.1
	wait_until asked 3
	(($(member "$K/h1/load" h3 age_ms) < 60000))
	KECHO_DIR=$K/h1 "$KECHO_BUILD/bin/kecho" top -b -n 1 -d 0.05 | cut -f 1-4,15,16 >"$K/top"
	grep -xP 'host\th[123]\t.*' "$K/top" | cut -f 2-4,6 | diff <(printf '%s\talive\t%s\t2\n' h2 0.5 h3 0.1 h1 -) -
	[[ $(grep -cxP 'host\th[23]\talive\t0.[15]\t\d+\t2' "$K/top") == 2 ]]
	# The end of one: nothing is left of what it said.
	kill "${RESMON[3]}"
	wait_exit "${RESMON[3]}"
	wait_until is load 3 load ''
	wait_until is load 3 cpus ''
}
