# SPDX-License-Identifier: GPL-2.0
load setup

@test "the queue's default bound is 1024 events: the newest are kept" {
	py <<'END'
	r = reader(NB)
	w = writer()
	write_all(w, b''.join(b'%d\n' % i for i in range(3000)))
	s = sinks()[0]
	eq((s['queued'], s['lost']), ('1024', '1976'))
	eq(drain(r), [b'%d\n' % i for i in range(1976, 3000)])
	s = sinks()[0]
	eq((s['queued'], s['lost']), ('0', '1976'))
END
}

@test "drop-oldest keeps the newest kecho.queue events and counts the others" {
	set_attrs kecho.overflow=drop-oldest kecho.queue=4
	py <<'END'
	r = reader(NB)
	for i in range(1, 11):
		pub(b'%d\n' % i)
	eq((sinks()[0]['queued'], sinks()[0]['lost']), ('4', '6'))
	eq(drain(r), [b'7\n', b'8\n', b'9\n', b'10\n'])
	pub(b'11\n')
	eq(drain(r), [b'11\n'])
	eq(sinks()[0]['lost'], '6')
END
}

@test "drop-newest keeps the oldest" {
	set_attrs kecho.overflow=drop-newest kecho.queue=4
	py <<'END'
	r = reader(NB)
	for i in range(1, 11):
		pub(b'%d\n' % i)
	eq((sinks()[0]['queued'], sinks()[0]['lost']), ('4', '6'))
	eq(drain(r), [b'1\n', b'2\n', b'3\n', b'4\n'])
	pub(b'11\n')
	eq(drain(r), [b'11\n'])
END
}

@test "drop-oldest never takes away the line that is being read" {
	set_attrs kecho.queue=2
	py <<'END'
	r = reader(NB)
	pub(b'first\n')
	eq(get(r, 2), b'fi')
	pub(b'1\n2\n3\n4\n')
	got = b''.join(drain(r))
	eq(got.split(b'\n')[0], b'rst')
	eq(got.split(b'\n')[-2], b'4')
END
}

@test "losses are counted in members and stats" {
	set_attrs kecho.queue=2
	py <<'END'
	def stats():
		return {k: int(v) for k, v in (x.split('=') for x in
			slurp(ROOT + '/.node/stats').decode().split())}
	before = stats()
	r = reader()
	for i in range(10):
		pub(b'x\n')
	eq(own('lost'), '8')
	eq(stats()['lost_sink'] - before['lost_sink'], 8)
	eq(stats()['lost'] - before['lost'], 8)
END
}

@test "block: EAGAIN with O_NONBLOCK, OUT not set, until a read makes room" {
	set_attrs kecho.overflow=block kecho.queue=4
	py <<'END'
	r = reader()
	w = writer(NB)
	for i in range(4):
		eq(poll(w, OUT), OUT, i)
		eq(os.write(w, b'%d\n' % i), 2)
	eq(poll(w, OUT), 0)
	with raises(errno.EAGAIN):
		os.write(w, b'4\n')
	later(lambda: eq(get(r), b'0\n'))
	eq(poll(w, OUT, 5000), OUT)
	eq(os.write(w, b'4\n'), 2)
	with raises(errno.EAGAIN):
		os.write(w, b'5\n')
	os.close(w)
	os.set_blocking(r, False)
	eq(drain(r), [b'1\n', b'2\n', b'3\n', b'4\n'])
	eq(sinks()[0]['lost'], '0')
END
}

@test "block: a short non-blocking write says how much was published" {
	set_attrs kecho.overflow=block kecho.queue=4
	py <<'END'
	r, w = reader(NB), writer(NB)
	data = b''.join(b'%d\n' % i for i in range(50))
	got = []
	for tries in range(1000):
		try:
			data = data[os.write(w, data):]
		except BlockingIOError:
			got.append(get(r))
		if not data:
			break
	eq(data, b'')
	eq(got + drain(r), [b'%d\n' % i for i in range(50)])
END
}

@test "block: packets, whole or EAGAIN" {
	set_attrs kecho.overflow=block kecho.queue=1
	py <<'END'
	r, w = reader(DIRECT | NB), writer(DIRECT | NB)
	eq(os.write(w, b'first'), 5)
	with raises(errno.EAGAIN):
		os.write(w, b'second')
	eq(drain(r), [b'first'])
	eq(os.write(w, b'third'), 5)
	eq(drain(r), [b'third'])
END
}

@test "block: the publisher waits and continues, nothing is lost" {
	set_attrs kecho.overflow=block kecho.queue=4
	py <<'END'
	r = reader()
	p = subprocess.Popen(['seq', '100'], stdout=writer())
	wait_until(lambda: sinks()[0]['queued'] == '4')
	time.sleep(0.2)
	eq(p.poll(), None)
	eq(sinks()[0]['queued'], '4')
	eq([get(r) for i in range(100)], [b'%d\n' % i for i in range(1, 101)])
	eq(p.wait(), 0)
	eq(sinks()[0]['lost'], '0')
END
}

@test "block: a blocked publisher can be killed, and the channel goes on" {
	set_attrs kecho.overflow=block kecho.queue=4
	py <<'END'
	r = reader()
	for sig in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
		w = writer()
		p = subprocess.Popen(['seq', '100'], stdout=w)
		os.close(w)
		wait_until(lambda: sinks()[0]['queued'] == '4' and state(p.pid) == 'S')
		t = time.monotonic()
		p.send_signal(sig)
		eq(p.wait(), -sig)
		ok(time.monotonic() - t < 1 * SLOW, sig)
	eq([get(r) for i in range(4)], [b'%d\n' % i for i in range(1, 5)])
	os.set_blocking(r, False)
	drain(r)
	pub(b'alive\n')
	eq(drain(r)[-1], b'alive\n')
END
}

@test "block: the reader leaves, the publisher continues" {
	set_attrs kecho.overflow=block kecho.queue=4
	py <<'END'
	r = reader()
	p = subprocess.Popen(['seq', '1000'], stdout=writer())
	wait_until(lambda: sinks()[0]['queued'] == '4')
	os.close(r)
	eq(p.wait(10), 0)
END
}

@test "block: without a reader nothing blocks" {
	set_attrs kecho.overflow=block kecho.queue=1
	seq 5000 >"$D/events"
	[[ $(own "$CH" sent) == 5000 ]]
}

@test "block: one channel's blocked publisher does not hold up another channel" {
	set_attrs kecho.overflow=block kecho.queue=1
	mkdir "$KECHO_DIR/$CH-other"
	py <<'END'
	r = reader()
	ps = [subprocess.Popen(['seq', '100'], stdout=writer()) for i in range(12)]
	wait_until(lambda: sinks()[0]['queued'] == '1')
	o = ROOT + '/' + CH + '-other/events'
	b = os.open(o, os.O_RDWR)
	for i in range(20):
		os.write(b, b'x\n')
		eq(get(b), b'x\n')
	os.close(b)
	for i in range(1200):
		get(r)
	eq([p.wait(10) for p in ps], [0] * 12)
END
	wait_until rmdir "$KECHO_DIR/$CH-other"
}

@test "retain: a later reader gets the last N events, then the live ones" {
	set_attrs kecho.retain=3
	py <<'END'
	for i in range(1, 6):
		pub(b'%d\n' % i)
	r = reader(NB)
	eq(poll(r, IN), IN)
	pub(b'6\n')
	eq(drain(r), [b'3\n', b'4\n', b'5\n', b'6\n'])
	eq(drain(reader(NB)), [b'4\n', b'5\n', b'6\n'], 'and each reader again')
END
}

@test "retain: fewer events than N, none, and retain=0 again" {
	set_attrs kecho.retain=3
	py <<'END'
	eq(drain(reader(NB)), [])
	pub(b'1\n')
	eq(drain(reader(NB)), [b'1\n'])
	settings('kecho.retain=0')
	eq(drain(reader(NB)), [])
END
}

@test "retain: a reader of a type gets what is retained of the type" {
	mkdir "$D/alarm"
	set_attrs kecho.retain=4
	py <<'END'
	pub(b'plain\n')
	pub(b'typed\n', name='alarm/events')
	eq(drain(reader(NB, 'alarm/events')), [b'typed\n'])
	eq(drain(reader(NB)), [b'plain\n', b'typed\n'])
END
}
