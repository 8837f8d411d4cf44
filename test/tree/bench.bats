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
		not wait $pid
		for pid in $pids; do
			wait_until "! kill -0 $pid 2>/dev/null"
		done
		[[ $signal == KILL ]] || not compgen -G "$T/kecho-bench.*"
	done
}
