# SPDX-License-Identifier: GPL-2.0
# kecho resmon, what it says and when; kecho top.
load setup

kecho() { exec "$KECHO_BUILD/bin/kecho" "$@"; }
ALL=(load load5 cpus cpu mem_total mem_available disk net_rx net_tx psi_cpu psi_mem psi_io)
attr_is() { [[ $(attr "$1") == "$2" ]]; }
has_attr() { [[ -n $(attr "$1") ]]; }

@test "the load of this host: as attributes, and as events that have them, too; at its end they are taken back" {
	local a
	set_attrs resmon.again=0
	subscribe "$CH" 0 "$T/out"
	background kecho sub -n 4 --json "$CH" >"$T/json"
	wait_until own_is "$CH" sinks 2
	json=$LAST_PID
	background kecho resmon -c "$CH" -i 0.05
	resmon=$LAST_PID
	wait_exit "$json"
	wait_until '(($(wc -l <"$T/out") >= 4))'
	for a in "${ALL[@]}"; do
		[[ -e /proc/pressure || $a != psi_* ]] || continue
		[[ $(attr "$a") =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail "$a=$(attr "$a")"
		# The first has no rates yet.
		sed -n 2,4p "$T/out" | grep -cE "(^| )$a=[0-9.]+( |$)" | grep -qx 3
		tail -n 1 "$T/json" | grep -q "\"$a\": *[0-9.]*[,}]"
	done
	[[ $(attr mem_total) == $(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024)) ]]
	[[ $(attr cpus) == "$(getconf _NPROCESSORS_ONLN)" ]]
	# The channel is in use until it ends.
	refused busy rmdir "$D"
	kill "$resmon"
	wait_exit "$resmon"
	not has_attr load
	not has_attr cpus
	[[ $(attr resmon.again) == 0 ]]
}

# mains 0|1: it has been said
mains()
{
	printf '%s' "$1" 1<>"$T/power/AC/online"
	wait_until attr_is on_battery $((1 - $1))
}

@test "said when it changes enough; batteries" {
	need_root
	local a
	printf '%-60s\n' '' >"$T/loadavg"
	load_is "$T/loadavg" 0.20
	mkdir -p "$T/power/"{AC,BAT0,BAT1,mouse}
	echo Mains >"$T/power/AC/type"
	echo 0 >"$T/power/AC/online"
	echo Battery | tee "$T/power/"{BAT0,BAT1,mouse}/type >/dev/null
	echo 90 >"$T/power/BAT0/capacity"
	echo 50 | tee "$T/power/"{BAT1,mouse}/capacity >/dev/null
	echo Device >"$T/power/mouse/scope"
	for a in "${ALL[@]:1}"; do echo "resmon.min.$a=9223372036854775807"; done >"$T/never"
	set_attrs resmon.period=0.02 resmon.again=3600 "$(<"$T/never")"
	subscribe "$CH" 0 "$T/out"
	background exec "${WITH_LOADAVG[@]}" "$T/loadavg" sh -c 'mount --bind "$0" /sys/class/power_supply && exec "$@"' "$T/power" \
		"$KECHO_BUILD/bin/kecho" resmon -c "$CH" -i 60
	wait_until has_attr cpu
	[[ $(attr load) == 0.2 && $(attr on_battery) == 1 && $(attr battery) == 0.7 ]]
	load_is "$T/loadavg" 0.24
	load_is "$T/loadavg" 0.70
	wait_until attr_is load 0.7
	set_attrs resmon.min.load=9
	# The second change is said by one that has seen the setting, and later what has become of the load.
	mains 1
	mains 0
	load_is "$T/loadavg" 5.00
	mains 1
	mains 0
	wait_until lines_are "$T/out" 7
	diff <(printf '%s\n' 'load=0.20 1' 'load=0.20 1' 'load=0.70 1' 'load=0.70 0' 'load=0.70 1' 0 'load=5.00 1') \
		<(sed -E 's/^(load=[^ ]*) .* on_battery=([01]) battery=0.70$/\1 \2/; 6s/^load=[^ ]* //' "$T/out")
}

# top OPTION...: in a pipe
top() { "$KECHO_BUILD/bin/kecho" top -c "$CH" "$@" | cat; }

@test "top -b: hosts, channels with rates and losses, filters; a line each in a pipe" {
	set_attrs load=2.5 cpu=0.25 cpus=4 mem_total=1000 mem_available=400 disk=123456 battery=0.5
	[[ $KECHO_BACKEND != kernel ]] || insmod "$KECHO_BUILD/kmod/$(uname -r)/kecho-filter-type.ko" 2>/dev/null || :
	echo 'in type not=debug' >"$D/filter"
	exec {slow}<"$D/events"
	set_attrs kecho.queue=2
	seq 10 >"$D/events"
	top -b -n 1 -d 0.05 >"$T/out"
	grep -qxP "host\ttree\talive\t2.5\t0.25\t4\t0.6\t123456\t-\t-\t-\t-\t-\t0.5\t-\t\d+" "$T/out" || fail "$(<"$T/out")"
	grep -qxP "channel\t$CH\t1\t1\t0\t0\t0\t8\t0\t1" "$T/out"
	grep -qxP "filter\t$CH\t0\tin\ttype\t0\t0\t\d+\tno\tnot=debug" "$T/out"
	# Rates, while ten events come.
	background top -j -n 2 -d "$((KECHO_SLOW * 3 / 10)).$((KECHO_SLOW * 3 % 10))" >"$T/json"
	wait_until '[[ -s $T/json ]]'
	seq 10 >"$D/events"
	wait_exit "$LAST_PID"
	"$KECHO_PYTHON" - "$T/json" "$CH" <<-'END'
		import json, sys
		first, last = map(json.loads, open(sys.argv[1]))
		c = next(c for c in last['channels'] if c['channel'] == sys.argv[2])
		assert 0 < c['published/s'] < 40 and c['lost'] == 18 and c['lost/s'] == c['published/s'] == c['delivered/s'], c
		f = next(f for f in last['filters'] if f['channel'] == sys.argv[2])
		assert f['seen'] == 20 and f['seen/s'] == f['passed/s'] == c['published/s'], f
		h = last['hosts'][0]
		assert (h['node'], h['load'], h['mem'], last['node']) == ('tree', 2.5, 0.6, 'tree') and last['time'] > first['time'] + 0.2, last
	END
	exec {slow}<&-
	echo -type >"$D/filter"
}
@test "top on a terminal: keys" {
	set_attrs load=2.5 disk=123456
	printf sq | TERM=xterm timeout $((10 * KECHO_SLOW)) script -qec "stty rows 20 cols 130; exec '$KECHO_BUILD/bin/kecho' top -c $CH" /dev/null >"$T/screen"
	grep -q 'every 2 s, by load' "$T/screen"
	# Only what is different is drawn.
	grep -qF '[0;7mcpu' "$T/screen"
	grep -q 'NODE.*LOAD.*AGE_MS' "$T/screen"
	grep -q '2\.50.*123\.5k' "$T/screen"
	# What is wider than the screen is cut, and covers nothing.
	printf q | TERM=xterm timeout $((10 * KECHO_SLOW)) script -qec "stty rows 20 cols 25; exec '$KECHO_BUILD/bin/kecho' top -c $CH" /dev/null >"$T/screen"
	grep -q NODE "$T/screen"
	! grep -q 'quit' "$T/screen" || fail "$(<"$T/screen")"
}

@test "refused: what it cannot do, and why" {
	refused "'.x' is no name of a channel" kecho resmon -c .x
	refused 'seconds are a number' kecho resmon -i x
	refused 'no node runs at' env KECHO_DIR="$T" "$KECHO_BUILD/bin/kecho" resmon
	refused 'the output is no terminal' kecho top
	refused "cannot sort by 'x'" kecho top -b -s x
	refused 'at least 0.01' kecho top -b -d 0
}
