# SPDX-License-Identifier: GPL-2.0
# kecho-bench: that it measures, and not what. It needs what it compares with, so it is there only after `make bench`.
load setup

setup()
{
	T=$BATS_TEST_TMPDIR
	bench=$KECHO_BUILD/bin/kecho-bench
	[[ -x $bench ]] || skip "not built: make bench"
	[[ $KECHO_BACKEND == fuse ]] || skip "a guest is too slow to measure"
}
teardown() { :; }

@test "lists, explains, and refuses" {
	"$bench" --list | grep -q $'^ring/throughput\t'
	"$bench" --list | grep -q $'^rates/sleeping\t'
	"$bench" --help >/dev/null
	refused "no 'nothing'" "$bench" nothing
	refused 'not a number' "$bench" -n 0
	refused 'no node is mounted' "$bench" --mount "$T" -n 1 ring
}

@test "measures the node that is given, of which no channel is left" {
	local before
	before=$(ls "$KECHO_DIR")
	"$bench" --mount "$KECHO_DIR" -n 1 --ms 20 -o "$T" ring >"$T/report"
	grep -q '^| kecho, rings, 64 at once | [0-9]' "$T/report"
	"$KECHO_PYTHON" - "$T/ring.json" <<'END'
import json, sys
part = json.load(open(sys.argv[1]))
for result in part['results']:
    for entry in result['entries']:
        for name, figure in entry['figures'].items():
            assert len(figure['each']) == 1 and figure['median'] == figure['each'][0] >= 0, (result['table'], entry['name'], name)
END
	[[ $(ls "$KECHO_DIR") == "$before" ]]
}

@test "measures a link between two hosts, by both transports" {
	((EUID == 0)) || skip "not root"
	TMPDIR=$T "$bench" -n 1 --ms 50 links/stream links/latency >"$T/report"
	[[ $(grep -cE '^\| (kecho, rudp|kecho, tcp|TCP) \| [0-9]' "$T/report") == 6 ]]
	not compgen -G "$T/kecho-bench.*"
}

@test "a line that delays, by this kernel's netem or by TAP devices" {
	((EUID == 0)) || skip "not root"
	TMPDIR=$T "$bench" -n 1 --ms 300 -o "$T" links/lossy-latency >"$T/report"
	"$KECHO_PYTHON" -c 'import json, sys
assert all(10e6 < e["figures"]["p50_ns"]["median"] < 200e6 for r in json.load(open(sys.argv[1]))["results"] for e in r["entries"])' "$T/links.json"
	# Which of them, the report says.
	grep -q 'TAP devices' "$T/report" || unshare -n tc qdisc add dev lo root netem
	not compgen -G "$T/kecho-bench.*"
}

@test "what calls cost: each of them, and the system calls of it" {
	local before
	before=$(ls "$KECHO_DIR")
	"$bench" --mount "$KECHO_DIR" -n 1 --ms 20 -o "$T" calls/create calls/open calls/subscribe calls/submit-local calls/poll-empty >"$T/report"
	grep -q '^| libkecho | [0-9]' "$T/report"
	# Of what has one.
	[[ $(grep -c '^| null .* | 1.00 (1.00-1.00) | 1 |$' "$T/report") -ge 2 ]]
	"$KECHO_PYTHON" -c 'import json, sys
assert all(f["median"] >= 0 for r in json.load(open(sys.argv[1]))["results"] for e in r["entries"] for f in e["figures"].values())' "$T/calls.json"
	[[ $(ls "$KECHO_DIR") == "$before" && -z $(compgen -G '/dev/shm/calls-*') ]]
}

@test "measures submission, delivery and filters in a network of ten hosts" {
	((EUID == 0)) || skip "not root"
	TMPDIR=$T "$bench" -n 1 --ms 20 -o "$T" calls/join submission/hosts-100 delivery/half filters >"$T/report"
	for row in 'files, no link yet' 'files, 8' 'libkecho, 8' 'TCP, 8' libkecho 'files, expr, 1' 'files, acl, 0'; do
		grep -q "^| $row | [0-9]" "$T/report"
	done
	"$KECHO_PYTHON" -c 'import json, sys
assert json.load(open(sys.argv[1]))["results"][0]["entries"][0]["paper"] == 1.5e9' "$T/calls.json"
	not compgen -G "$T/kecho-bench.*"
}

@test "measures beside others, by sizes, subscribers and rates" {
	TMPDIR=$T "$bench" -n 1 --ms 10 -o "$T" peers sizes fanout rates >"$T/report"
	grep -q '^| FUSE, empty write | [0-9]' "$T/report"
	"$KECHO_PYTHON" - "$T" <<'END'
import json, sys
axes = {'peers': [None, None], 'sizes': ['event_bytes', 'event_bytes'], 'fanout': ['subscribers', 'subscribers'], 'rates': ['rate']}
names = 'kecho, rings', 'kecho, files', 'ZeroMQ, ipc', 'NATS', 'Redis', 'Mosquitto, QoS 0', 'FUSE'
for part, expected in axes.items():
    results = json.load(open(f'{sys.argv[1]}/{part}.json'))['results']
    assert len({r['table'] for r in results}) == len(expected), part
    for r in results:
        assert r['axis'] in expected, (part, r['axis'])
        values = {name: [e.get(r['axis']) for e in r['entries'] if e['name'] == name] for name in names}
        for name, of in values.items():
            assert of and of == sorted(set(of)) if r['axis'] else of == [None], (part, r['table'], name, of)
        for e in r['entries']:
            assert e['figures'] and e['settings'], (part, e['name'])
            assert 0 <= e['figures'].get('lost', {'median': 0})['median'] <= 1, (part, e['name'])
END
	not compgen -G "$T/kecho-bench.*"
}

@test "how cost grows, and a report of it all with plots" {
	type gnuplot >/dev/null || skip "no gnuplot"
	TMPDIR=$T "$bench" -n 1 --ms 10 -o "$T" calls/poll-empty ring/sleeping scale/channels report >"$T/out"
	[[ $(grep -c '^| files | [0-9]* | [0-9]' "$T/out") == 5 ]]
	grep -q '^| polling, nothing is there | [0-9].* (pipe) | not at hand |$' "$T/report.md"
	grep -q '^| latency by rings, the subscriber sleeps, .* | at most 1.50 | [0-9]' "$T/report.md"
	grep -q '^| opening of a channel on another host, .* | - | not measured |$' "$T/report.md"
	grep -q '(scale.png)$' "$T/report.md"
	[[ $(head -c 4 "$T/scale.png") == $'\x89PNG' ]]
	not compgen -G "$T/kecho-bench.*"
	# Again, of the files alone.
	mv "$T/report.md" "$T/first"
	"$bench" -o "$T" report >/dev/null
	cmp "$T/first" "$T/report.md"
	refused 'no results' "$bench" -o "$T/none" report
}

@test "web servers, by who balances, and what it costs to be told of their load" {
	((EUID == 0)) || skip "not root"
	type gnuplot >/dev/null || skip "no gnuplot"
	local row
	TMPDIR=$T "$bench" --ms 100 -o "$T" balance/even updates/many report >"$T/out"
	for row in 'none | 22' 'kecho, soon | 22' 'HAProxy, leastconn | 22' 'NATS | 22' 'kecho | 5'; do
		grep -q "^| $row | [0-9]" "$T/out"
	done
	"$KECHO_PYTHON" - "$T" <<'END'
import json, sys
for part in 'balance', 'updates':
    for entry in json.load(open(f'{sys.argv[1]}/{part}.json'))['results'][0]['entries']:
        f = {name: figure['median'] for name, figure in entry['figures'].items()}
        # Not less than a server takes; of few requests a second none may have ended in so short a time. All are answered.
        assert 38e6 <= f.get('mean_ns', 38e6) < 1e9 and not f.get('timed_out'), (entry['name'], f)
        assert part == 'balance' or 0 < f['monitoring_ns_per_s'] < 1e9, f
END
	grep -q '(figure9.png)$' "$T/report.md"
	not compgen -G "$T/kecho-bench.*"
}

@test "counts of two versions are compared" {
	counts()
	{
		printf '{"tables": [{"table": "submit", "bases": ["pipe"]}], "results": [{"table": "submit", "entries": [
			{"name": "files", "figures": {"p50_ns": {"least": %s}}}, {"name": "pipe", "figures": {"p50_ns": {"least": %s}}}]}]}\n' "$1" "$1$1"
	}
	counts 1000 >"$T/base"
	counts 1029 >"$T/near"
	counts 1031 >"$T/worse"
	"$KECHO_TOP/scripts/bench-check" "$T/near" "$T/base" | grep -qxF '| submit: files | 1000 | 1029 | +2.90 % |'
	refused '1 of 1 have grown' "$KECHO_TOP/scripts/bench-check" "$T/worse" "$T/base"
	"$KECHO_TOP/scripts/bench-check" "$T/base" "$T/worse" >/dev/null
}

@test "goes on without a peer that is not installed" {
	local path=$T/path
	mkdir "$path"
	ln -s "$(type -P fusermount3)" "$path"
	PATH=$path "$bench" -n 1 --ms 20 peers/throughput >"$T/report"
	grep -q '^- Redis: .*NOT MEASURED: it is not installed' "$T/report"
	not grep -q '^| Redis |' "$T/report"
	grep -q '^| pipe |' "$T/report"
}

@test "stops the servers that it has started, whatever ends it" {
	local signal pid pids
	for signal in TERM KILL; do
		TMPDIR=$T "$bench" --ms 60000 peers >/dev/null 2>&1 3>&- &
		pid=$!
		wait_until 'compgen -G "$T/kecho-bench.*/socket"'
		pids=$(pgrep -P $pid)
		kill -$signal $pid
		wait_until gone $pid
		not wait $pid
		for pid in $pids; do
			wait_until "! kill -0 $pid 2>/dev/null"
		done
		[[ $signal == KILL ]] || not compgen -G "$T/kecho-bench.*"
	done
}
