# SPDX-License-Identifier: GPL-2.0
# kecho(1) on several hosts.
load cluster

# kecho HOST ARGS...
kecho() { KECHO_DIR=$K/h$1 "$KECHO_BUILD/bin/kecho" "${@:2}"; }
json() { python3 -S -c 'import json, sys; d = json.load(sys.stdin); assert eval(f"({sys.argv[1]})"), d' "$1"; }
# kecho_sub HOST ARGS...: in the background, output in $K/sub.HOST
kecho_sub() { KECHO_DIR=$K/h$1 background "$KECHO_BUILD/bin/kecho" sub "${@:2}" >"$K/sub.$1"; }

@test "an event of kecho pub reaches the kecho sub of two other hosts" {
	local pub id first second
	cluster_up 3
	kecho 1 join web
	KECHO_DIR=$K/h1 background "$KECHO_BUILD/bin/kecho" pub --wait-members 3 --timeout 60 -a k=1 -p 2 web first
	pub=$LAST_PID
	kecho 2 join web
	kecho_sub 2 -n 2 -j web
	first=$LAST_PID
	wait_until sinks_are 1 web 2 1
	kecho 3 join web
	wait_exit "$pub"
	kecho_sub 3 -n 1 --format '%p %L\n' web
	second=$LAST_PID
	wait_until sinks_are 1 web 3 1
	id=$(own "$K/h1/web" id)
	head -c 500K /dev/urandom >"$K/in"
	kecho 1 pub web second
	kecho 1 pub -f "$K/in" web
	wait_exit "$first"
	wait_exit "$second"
	[[ $(<"$K/sub.3") == 'second 0' ]]
	head -n 1 "$K/sub.2" | json "(d['publisher'], d['payload'], d['prio'], d['attributes'], d['local'], d['seq']) ==
		('$id', 'first', 2, {'k': 1}, False, 1)"
	sed -n 2p "$K/sub.2" | json "d['payload'] == 'second' and d['seq'] == 2"
}

@test "members, attrs, ls and stat show the other hosts" {
	cluster_up 3
	kecho 1 join web only1
	kecho 2 join web
	kecho 2 attrs web load=0.5 rack=r2
	wait_until '[[ $(member "$K/h1/web" h2 rack) == r2 ]]'
	kecho 1 members -j web | json "[m['node'] for m in d] == ['h1', 'h2'] and d[1]['attributes'] == {'load': 0.5, 'rack': 'r2'} and
		d[1]['via'] == '${KECHO_TRANSPORT:-tcp}' and d[1]['addr'] == '10.77.0.2:7325' and d[0]['contact'] and not d[1]['contact']"
	# A channel that only another host is on, as the group server tells
	kecho 3 ls -j | json "[(c['name'], c['joined'], c['addr']) for c in d] ==
		[('only1', False, '10.77.0.1:7325'), ('web', False, '10.77.0.1:7325')]"
	[[ $(kecho 2 ls | cut -f 1-3) == $'only1\tno\t-\nweb\tyes\t2' ]]
	kecho 1 stat -jp | json "'h2' in [p['node'] for p in d if p['state'] == 'up']"
	kecho 2 leave web
	wait_until '[[ $(kecho 1 members web | wc -l) == 1 ]]'
}

@test "a host that dies: members shows it, and a full channel waits for it no longer" {
	cluster_up 2
	kecho 1 join web
	kecho 2 join web
	setting web kecho.queue=2 1 2
	setting web kecho.overflow=block 1 2
	kecho_sub 2 web
	wait_until sinks_are 1 web 2 1
	kill -STOP "$LAST_PID"
	seq 100000 | KECHO_DIR=$K/h1 "$KECHO_BUILD/bin/kecho" pub -l --timeout 0.3 web 2>"$K/pub.err" && fail "never full"
	grep -q 'web is full' "$K/pub.err"
	node_kill 2
	wait_until '[[ $(kecho 1 members web | wc -l) == 1 ]]'
	kecho 1 pub --timeout 10 web again
}
