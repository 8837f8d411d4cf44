# SPDX-License-Identifier: GPL-2.0
load setup

@test "poll: IN when and only when an event is queued" {
	py <<'END'
	r = reader()
	eq(poll(r, IN), 0)
	pub(b'a\nb\n')
	eq(poll(r, IN, 5000), IN)
	get(r)
	eq(poll(r, IN), IN)
	get(r)
	eq(poll(r, IN), 0)
	eq(poll(r, 0), 0, 'neither HUP nor ERR while the channel is there')
END
}

@test "poll: OUT when a write would not block" {
	py <<'END'
	w = writer()
	eq(poll(w, OUT), OUT)
	r = reader()
	os.write(w, b'a\n')
	eq(poll(w, OUT), OUT)
END
}

@test "poll: an event wakes it" {
	py <<'END'
	r = reader()
	for i in range(20):
		later(lambda: pub(b'a\n'), 0.02)
		t = time.monotonic()
		eq(poll(r, IN, 5000), IN)
		ok(time.monotonic() - t < 2 * SLOW)
		eq(get(r), b'a\n')
END
}

@test "poll: a timeout without an event, then an event" {
	py <<'END'
	r = reader()
	for i in range(5):
		eq(poll(r, IN, 10), 0)
	later(lambda: pub(b'a\n'))
	eq(poll(r, IN, 5000), IN)
END
}

@test "select" {
	py <<'END'
	r, w = reader(), writer()
	eq(select.select([r], [w], [], 0), ([], [w], []))
	later(lambda: pub(b'a\n'))
	eq(select.select([r], [], [], 5 * SLOW)[0], [r])
END
}

@test "epoll: level and edge triggered" {
	py <<'END'
	a, b = reader(NB), reader(NB)
	ep = select.epoll()
	ep.register(a, select.EPOLLIN)
	ep.register(b, select.EPOLLIN | select.EPOLLET)
	eq(ep.poll(0), [])
	for i in range(10):
		later(lambda: pub(b'x\n'), 0.02)
		seen = {}
		end = time.monotonic() + 5 * SLOW
		while len(seen) < 2 and time.monotonic() < end:
			seen.update(ep.poll(1))
		eq(seen, {a: IN, b: IN})
		eq(dict(ep.poll(0)).get(a), IN, 'level triggered')
		eq((drain(a), drain(b)), ([b'x\n'], [b'x\n']))
		eq(ep.poll(0), [])
END
}

@test "epoll: 100 subscriptions, each woken" {
	py <<'END'
	fds = [reader(NB) for i in range(100)]
	ep = select.epoll()
	for fd in fds:
		ep.register(fd, select.EPOLLIN)
	for i in range(3):
		later(lambda: pub(b'x\n'), 0.05)
		left = set(fds)
		while left:
			got = ep.poll(5 * SLOW)
			ok(got, '%d not woken' % len(left))
			for fd, ev in got:
				eq(get(fd), b'x\n')
				left.discard(fd)
		eq(ep.poll(0), [])
END
}

@test "poll: several programs wait for one channel" {
	local i pids=()
	for i in 1 2 3 4; do
		background timeout 20 "$KECHO_PYTHON" -Sc 'import os, select, sys
f = os.open(sys.argv[1], os.O_RDONLY)
p = select.poll(); p.register(f, select.POLLIN)
sys.exit(0 if p.poll(15000) and os.read(f, 99) == b"go\n" else 1)' "$D/events"
		pids+=("$LAST_PID")
	done
	wait_until own_is "$CH" sinks 4
	echo go >"$D/events"
	for i in "${pids[@]}"; do wait_exit "$i"; done
}

@test "poll: an idle poller survives the close of its descriptor by others" {
	py <<'END'
	a, b = reader(), reader()
	eq(poll(a, IN, 10), 0)
	os.close(a)
	pub(b'x\n')
	eq(poll(b, IN, 5000), IN)
	eq(get(b), b'x\n')
END
}

@test "attrs and members: PRI|ERR after a change since they were last read" {
	py <<'END'
	a, m, f = reader(0, 'attrs'), reader(0, 'members'), reader(0, 'filter')
	for fd in a, m, f:
		os.read(fd, 65536)
		eq(poll(fd, PRI | ERR), 0)
	settings('load=5')
	eq(poll(a, PRI | ERR, 5000), PRI | ERR)
	eq(poll(a, PRI | ERR), PRI | ERR, 'until it is read')
	ok(b'load=5\n' in os.pread(a, 65536, 0))
	eq(poll(a, PRI | ERR), 0)
	eq(poll(m, PRI | ERR, 5000), PRI | ERR, 'members show the attributes')
	os.pread(m, 65536, 0)
	eq(poll(m, PRI | ERR), 0)
	r = reader()
	eq(poll(m, PRI | ERR, 5000), PRI | ERR, 'a new sink')
	os.pread(m, 65536, 0)
	os.close(r)
	eq(poll(m, PRI | ERR, 5000), PRI | ERR, 'a sink gone')
	eq(poll(a, PRI | ERR), 0)
	eq(poll(f, PRI | ERR), 0)
END
}

@test "attrs and members: a change wakes a waiting poll" {
	py <<'END'
	a, m = reader(0, 'attrs'), reader(0, 'members')
	os.read(a, 65536)
	os.read(m, 65536)
	later(lambda: settings('x=1'))
	eq(poll(a, PRI, 5000), PRI | ERR)
	os.pread(m, 65536, 0)
	later(lambda: reader())
	eq(poll(m, PRI, 5000), PRI | ERR)
END
}

@test "attrs: each open descriptor has its own idea of what it has read" {
	py <<'END'
	a, b = reader(0, 'attrs'), reader(0, 'attrs')
	os.read(a, 65536)
	os.read(b, 65536)
	settings('x=1')
	os.pread(a, 65536, 0)
	eq(poll(a, PRI), 0)
	eq(poll(b, PRI, 5000), PRI | ERR)
END
}
