# SPDX-License-Identifier: GPL-2.0
load setup

@test "text: two lines by printf are two events, in order" {
	subscribe "$CH" 3 "$T/out"
	printf 'a\nb\n' >"$D/events"
	echo c >"$D/events"
	received "$READER_PID" "$T/out" a b c
}

@test "text: a read returns one event and one newline, never two events" {
	py <<'END'
	r = reader()
	pub(b'one\ntwo\nthree\n')
	eq(get(r), b'one\n')
	eq(get(r), b'two\n')
	eq(get(r), b'three\n')
END
}

@test "text: an empty line is an event" {
	py <<'END'
	r = reader()
	pub(b'\na\n\n')
	eq([get(r), get(r), get(r)], [b'\n', b'a\n', b'\n'])
END
}

@test "text: a line may arrive in several writes of one descriptor" {
	subscribe "$CH" 3 "$T/out"
	exec 8>"$D/events"
	printf 'ab' >&8
	echo between >"$D/events"
	printf 'c\nd' >&8
	printf 'e\n' >&8
	received "$READER_PID" "$T/out" between abc de
	exec 8>&-
}

@test "text: the unterminated tail is published at the last close only" {
	subscribe "$CH" 2 "$T/out"
	exec 8>"$D/events" 9>&8
	printf 'ta' >&8		# bash duplicates and closes the descriptor around each of these
	printf 'il' >&8
	exec 8>&-
	echo marker >"$D/events"
	wait_until lines_are "$T/out" 1
	exec 9>&-
	received "$READER_PID" "$T/out" marker tail
}

@test "text: printf without a newline is one event" {
	subscribe "$CH" 2 "$T/out"
	printf tail >"$D/events"
	wait_until lines_are "$T/out" 1
	printf 'x\ny' >>"$D/events"
	wait_exit "$READER_PID"
	[[ $(<"$T/out") == tail$'\n'x ]]
}

@test "text: a writer that closes between lines publishes nothing more" {
	py <<'END'
	r = reader()
	w = writer()
	os.write(w, b'a\n')
	os.close(w)
	time.sleep(0.1)
	pub(b'marker\n')
	eq([get(r), get(r)], [b'a\n', b'marker\n'])
END
}

@test "text: each open descriptor has a line of its own" {
	py <<'END'
	r, v, w = reader(), writer(), writer()
	os.write(v, b'vv')
	os.write(w, b'ww')
	os.write(w, b'W\n')
	os.write(v, b'V\n')
	eq([get(r), get(r)], [b'wwW\n', b'vvV\n'])
END
}

@test "text: bytes other than the newline are untouched" {
	py <<'END'
	r = reader()
	line = bytes(b for b in range(256) if b != 10)
	pub(line + b'\n')
	eq(get(r), line + b'\n')
END
}

@test "text: writev is one write" {
	py <<'END'
	r, w = reader(), writer()
	eq(os.writev(w, [b'a', b'b\nc', b'd\n']), 6)
	eq([get(r), get(r)], [b'ab\n', b'cd\n'])
END
}

@test "text: tee, append, a shell's read loop" {
	background bash -c 'while read -r l; do echo "<$l>"; [[ $l != end ]] || break; done <"$1/events" >"$2"' _ "$D" "$T/out"
	wait_until subscribed "$CH" "$LAST_PID"
	echo 'one  two\' | tee "$D/events" >"$T/copy"
	echo end >>"$D/events"
	wait_exit "$LAST_PID"
	diff - "$T/out" <<-'END'
	<one  two\>
	<end>
	END
	[[ $(<"$T/copy") == 'one  two\' ]]
}

@test "text: a short buffer gets the rest by the next read, and no more than that" {
	py <<'END'
	r = reader()
	pub(b'abcdef\nnext\n')
	eq(get(r, 3), b'abc')
	eq(poll(r, IN), IN)
	eq(get(r, 3), b'def')
	eq(poll(r, IN), IN, 'the newline is left')
	eq(get(r, 3), b'\n')
	eq(get(r, 5), b'next\n')
	eq(poll(r, IN), 0)
END
}

@test "text: one byte at a time" {
	background dd if="$D/events" of="$T/out" bs=1 count=7 status=none
	wait_until subscribed "$CH" "$LAST_PID"
	printf 'abc\nde\n' >"$D/events"
	wait_exit "$LAST_PID"
	[[ $(<"$T/out") == abc$'\n'de ]]
}

@test "text: a long stream under kecho.overflow=block is complete and in order" {
	local n=$((100000 / KECHO_SLOW)) w
	set_attrs kecho.overflow=block
	subscribe "$CH" "$n" "$T/out"
	background bash -c 'exec seq "$2" >"$1"' _ "$D/events" "$n"
	w=$LAST_PID
	wait_exit "$READER_PID" 60
	wait_exit "$w"
	cmp <(seq "$n") "$T/out"
}

@test "text: a line of exactly max_event passes" {
	py <<'END'
	r = reader()
	line = b'x' * (MAX - 1) + b'y\n'
	w = writer()
	write_all(w, line)
	got = b''
	while len(got) < len(line):
		got += get(r, 1 << 22)
	eq(got == line, True)
	write_all(w, b'z' * MAX)	# as a tail, too
	os.close(w)
	got = b''
	while len(got) <= MAX:
		got += get(r, 100000)
	eq(got == b'z' * MAX + b'\n', True)
END
}

@test "a read longer than 1 MiB, when an event fills just that much, ends with the event" {
	py <<'END'
	r = reader()
	for n in MAX - 2, MAX - 1:
		write_all(writer(), b'x' * n + b'\n')
	pub(b'next\n')
	for n in MAX - 2, MAX - 1:
		eq(get_aligned(r, 4 * MAX) == b'x' * n + b'\n', True)
	eq(get_aligned(r, 4 * MAX), b'next\n')
END
}

@test "text: a line of 1 MiB into a buffer anywhere" {
	py <<'END'
	r = reader()
	pub(b'x' * (MAX - 1) + b'\n' + b'next\n')
	got = b''
	while len(got) < MAX:
		got += get(r, 4 * MAX)
	eq(got == b'x' * (MAX - 1) + b'\n', True)
	eq(get(r), b'next\n')
END
}

@test "text: one byte more than max_event is EMSGSIZE and nothing of it is published" {
	py <<'END'
	r = reader()
	w = writer()
	with raises(errno.EMSGSIZE):
		write_all(w, b'x' * (MAX + 1) + b'\n')
	os.close(w)
	pub(b'marker\n')
	eq(get(r), b'marker\n')
	w = writer()
	with raises(errno.EMSGSIZE):
		for i in range(17):	# cut as cat would
			write_all(w, b'x' * 65536)
	os.close(w)
	pub(b'marker\n')
	eq(get(r), b'marker\n')
END
}

@test "text: a line too long spoils neither the lines before it nor later descriptors" {
	py <<'END'
	r = reader()
	w = writer()
	os.write(w, b'before\n')
	with raises(errno.EMSGSIZE):
		write_all(w, b'x' * (MAX + 1) + b'\n')
	eq(get(r), b'before\n')
	pub(b'after\n')
	eq(get(r), b'after\n')
END
}

@test "nothing queued: EAGAIN with O_NONBLOCK, set at open or later" {
	py <<'END'
	r = reader(NB)
	with raises(errno.EAGAIN):
		get(r)
	pub(b'a\n')
	eq(drain(r), [b'a\n'])
	r = reader()
	fcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | NB)
	with raises(errno.EAGAIN):
		get(r)
END
}

@test "nothing queued: a read blocks until there is an event" {
	py <<'END'
	r = reader()
	t = time.monotonic()
	later(lambda: pub(b'a\n'))
	eq(get(r), b'a\n')
	ok(time.monotonic() - t > 0.1)
END
}

@test "a subscription starts at its open" {
	py <<'END'
	pub(b'before\n')
	r = reader(NB)
	pub(b'after\n')
	eq(drain(r), [b'after\n'])
END
}

@test "an open for reading and writing is both" {
	py <<'END'
	f = os.open(D + '/events', os.O_RDWR)
	os.write(f, b'x\n')
	eq(get(f), b'x\n')
	later(lambda: os.write(f, b'y\n'))	# a blocked read does not block it
	eq(get(f), b'y\n')
END
}

@test "every descriptor is a subscription of its own; duplicates share one" {
	py <<'END'
	a, b = reader(NB), reader(NB)
	c = os.dup(b)
	pub(b'1\n2\n')
	eq(drain(a), [b'1\n', b'2\n'])
	eq(get(b), b'1\n')
	eq(get(c), b'2\n')
	eq(drain(b), [])
END
}

@test "a blocked cat ends at once by SIGINT, SIGTERM and SIGKILL" {
	py <<'END'
	for sig in signal.SIGINT, signal.SIGTERM, signal.SIGKILL:
		p = blocked(['cat', D + '/events'])
		t = time.monotonic()
		p.send_signal(sig)
		eq(p.wait(), -sig)
		ok(time.monotonic() - t < 1 * SLOW, sig)
	wait_until(lambda: not sinks())
END
}

@test "a signal's handler runs while a read is blocked, and the read goes on or fails with EINTR" {
	py <<'END'
	class Stop(Exception):
		pass
	def stop(*a):
		raise Stop
	r = reader()
	signal.signal(signal.SIGUSR1, stop)
	t = time.monotonic()
	later(lambda: os.kill(os.getpid(), signal.SIGUSR1))
	try:
		get(r)
		ok(False, 'read returned')
	except Stop:
		ok(time.monotonic() - t < 1 * SLOW)
	pub(b'a\n')		# the interrupted read has taken nothing
	eq(get(r), b'a\n')
	signal.signal(signal.SIGUSR1, lambda *a: pub(b'b\n'))
	later(lambda: os.kill(os.getpid(), signal.SIGUSR1))
	eq(get(r), b'b\n')
END
}

@test "an interrupted read loses nothing of a line half read" {
	py <<'END'
	class Stop(Exception):
		pass
	def stop(*a):
		raise Stop
	signal.signal(signal.SIGALRM, stop)
	r = reader()
	pub(b'abc\n')
	eq(get(r, 4), b'abc\n')
	for i in range(20):
		try:
			signal.setitimer(signal.ITIMER_REAL, 0.01 * SLOW)
			get(r)
			ok(False, 'read returned')
		except Stop:
			pass
		pub(b'%d\n' % i)
		eq(get(r, 1) + get(r, 9), b'%d\n' % i)
END
}

@test "lseek, pread and pwrite: ESPIPE" {
	py <<'END'
	f = os.open(D + '/events', os.O_RDWR)
	for how in os.SEEK_SET, os.SEEK_CUR, os.SEEK_END:
		with raises(errno.ESPIPE):
			os.lseek(f, 0, how)
	with raises(errno.ESPIPE):
		os.pread(f, 10, 0)
	with raises(errno.ESPIPE):
		os.pwrite(f, b'a\n', 0)
	os.set_blocking(f, False)
	eq(drain(f), [])
END
}

@test "O_TRUNC, O_APPEND and O_CREAT are accepted and mean nothing" {
	py <<'END'
	r = reader()
	f = os.open(D + '/events', os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600)
	os.write(f, b'a\n')
	g = os.open(D + '/events', os.O_WRONLY | os.O_APPEND)
	os.write(g, b'b\n')
	h = os.open(D + '/events', os.O_WRONLY | os.O_TRUNC)	# takes nothing from the queue
	eq([get(r), get(r)], [b'a\n', b'b\n'])
	eq(stat.S_IMODE(os.fstat(f).st_mode), 0o644)
	with raises(errno.EEXIST):
		os.open(D + '/events', os.O_WRONLY | os.O_CREAT | os.O_EXCL)
END
}

@test "truncate to a size is refused" {
	refused 'Invalid argument|not permitted' truncate -s 5 "$D/events"
	refused 'Invalid argument|not permitted' truncate -s 100 "$D/attrs"
	py <<'END'
	with raises(errno.EINVAL, errno.EPERM):
		os.truncate(D + '/events', 7)
	w = writer()
	with raises(errno.EINVAL, errno.EPERM):
		os.ftruncate(w, 7)
END
	[[ $(stat -c %s "$D/events") == 0 ]]
}

@test "stat: a regular file of size 0 whose mtime is the time of the last event" {
	py <<'END'
	def now():
		return os.stat(D + '/events').st_mtime_ns
	s = os.stat(D + '/events')
	ok(stat.S_ISREG(s.st_mode))
	eq(s.st_size, 0)
	for i in range(2):
		before = now()
		time.sleep(0.05)
		eq(now(), before)
		pub(b'a\n')
		wait_until(lambda: now() > before, 2)
		ok(abs(now() / 1e9 - time.time()) < 2)
	eq(os.stat(D + '/events').st_size, 0)
END
}

@test "many writers at once: each one's events in order, none lost, none mixed" {
	local i n=$((2000 / KECHO_SLOW))
	set_attrs kecho.overflow=block
	subscribe "$CH" $((4 * n)) "$T/out"
	for i in a b c d; do
		background bash -c 'exec seq -f "$2%g" "$3" >"$1"' _ "$D/events" "$i" "$n"
	done
	wait_exit "$READER_PID" 30
	for i in a b c d; do
		cmp <(grep "^$i" "$T/out") <(seq -f "$i%g" "$n")
	done
}
