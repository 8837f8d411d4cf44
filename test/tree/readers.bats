# SPDX-License-Identifier: GPL-2.0
# Many readers, slow readers, readers that die.
load setup

@test "500 readers of one channel each receive everything" {
	local i n=$((KECHO_SLOW < 10 ? 500 : 100))
	mkdir "$T/r"
	for ((i = 0; i < n; i++)); do
		head -n 20 "$D/events" >"$T/r/$i" 2>"$T/r.err" 3>&- &
		KECHO_PIDS[$!]=1
	done
	wait_until -t 30 own_is "$CH" sinks "$n"
	seq 20 >"$D/events"
	for i in "${!KECHO_PIDS[@]}"; do wait_exit "$i" 20; done
	cmp "$T/r/0" <(seq 20)
	[[ $(md5sum "$T"/r/* | cut -c-32 | uniq -c) == *" $n "* ]]
	wait_until own_is "$CH" sinks 0
}

@test "100 blocked readers and 100 blocked pollers leave the tree usable" {
	py <<'END'
	ps = []
	for i in range(100):
		ps.append(subprocess.Popen(['cat', D + '/events'], stdout=subprocess.DEVNULL))
	fds = [reader() for i in range(100)]
	p = select.poll()
	for fd in fds:
		p.register(fd, IN)
	wait_until(lambda: len(sinks()) == 200)
	t = time.monotonic()
	eq(p.poll(10), [])
	os.mkdir(D + '-x')
	os.rmdir(D + '-x')
	slurp('attrs')
	pub(b'x\n')
	while len(p.poll(5000)) < 100:
		ok(time.monotonic() - t < 5 * SLOW)
	for q in ps:
		q.kill()
	for q in ps:
		q.wait(10)
	wait_until(lambda: len(sinks()) == 100)
END
}

@test "a reader stopped by SIGSTOP delays nobody, and only it loses" {
	set_attrs kecho.queue=100
	subscribe "$CH" 0 "$T/slow"
	local slow=$READER_PID fast n
	subscribe "$CH" 2000 "$T/fast"
	fast=$READER_PID
	kill -STOP "$slow"
	wait_until grep -q '^State:.T' "/proc/$slow/status"
	local start=${EPOCHREALTIME/./}
	for ((n = 0; n < 2000; n += 50)); do
		seq $((n + 1)) $((n + 50)) >"$D/events"
		wait_until -t 5 '[[ $(wc -l <"$T/fast") -ge n+50 ]] || gone "$fast"'
	done
	wait_exit "$fast"
	((${EPOCHREALTIME/./} - start < 10000000 * KECHO_SLOW))
	cmp <(seq 2000) "$T/fast"
	# A read that was already waiting may have taken one event with it.
	local lost; lost=$(sink "$CH" "$slow" lost)
	((lost == 1900 || lost == 1899)) || fail "lost=$lost"
	[[ $(sink "$CH" "$slow" queued) == 100 ]]
	kill -CONT "$slow"
	wait_until 'tail -n 1 "$T/slow" | grep -qx 2000'
	tail -n 100 "$T/slow" | cmp - <(seq 1901 2000)
	sink_is "$CH" "$slow" queued 0
}

@test "a reader killed -9 in the middle changes nothing for the rest" {
	set_attrs kecho.overflow=block
	subscribe "$CH" 0 "$T/victim"
	local victim=$READER_PID
	local n=$((20000 / KECHO_SLOW)) rest w
	subscribe "$CH" "$n" "$T/out"
	rest=$READER_PID
	background bash -c 'exec seq "$2" >"$1"' _ "$D/events" "$n"
	w=$LAST_PID
	wait_until '[[ -s $T/victim ]]'
	kill -KILL "$victim"
	wait_exit "$rest" 30
	wait_exit "$w"
	cmp <(seq "$n") "$T/out"
	wait_until '[[ -z $(sink "$CH" "$victim" pid) ]]'
}

@test "block: killing the stopped reader frees the publisher" {
	set_attrs kecho.overflow=block kecho.queue=10
	subscribe "$CH" 0 "$T/victim"
	local victim=$READER_PID
	kill -STOP "$victim"
	background bash -c 'exec seq 1000 >"$1"' _ "$D/events"
	local w=$LAST_PID
	wait_until sink_is "$CH" "$victim" queued 10
	not gone "$w"
	kill -KILL "$victim"
	wait_exit "$w"
}

@test "readers come and go while events flow" {
	subscribe "$CH" 0 "$T/all"
	set_attrs kecho.overflow=block
	background bash -c 'for ((i = 0; i < 20; i++)); do seq $((i * 100 + 1)) $((i * 100 + 100)) >"$1"; done' _ "$D/events"
	local w=$LAST_PID i
	for ((i = 0; i < 20; i++)); do
		background head -n 1 "$D/events" >/dev/null
		timeout -s KILL 0.05 cat "$D/events" >/dev/null 3>&- || :
	done
	wait_exit "$w" 20
	wait_until lines_are "$T/all" 2000
	cmp <(seq 2000) "$T/all"
}
