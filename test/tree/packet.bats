# SPDX-License-Identifier: GPL-2.0
load setup

@test "one write is one event, one read returns one event" {
	py <<'END'
	r, w = reader(DIRECT), writer(DIRECT)
	for data in b'a\nb\n', b'no newline', b'\n', b'\0', b'\n\n':
		os.write(w, data)
	for data in b'a\nb\n', b'no newline', b'\n', b'\0', b'\n\n':
		eq(get(r), data)
END
}

@test "all 256 byte values by dd, untouched" {
	py <<'END' >"$T/in"
	sys.stdout.buffer.write(bytes(range(256)) * 2)
END
	background dd if="$D/events" of="$T/out" iflag=direct bs=4096 count=1 status=none
	wait_until subscribed "$CH" "$LAST_PID"
	dd if="$T/in" of="$D/events" oflag=direct bs=4096 status=none
	wait_exit "$LAST_PID"
	cmp "$T/in" "$T/out"
}

@test "sizes from one byte up, aligned or not" {
	py <<'END'
	r, w = reader(DIRECT), writer(DIRECT)
	for n in 1, 2, 47, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 500001, MAX - 4097:
		data = os.urandom(n)
		eq(os.write(w, data), n)
		eq(get(r, MAX) == data, True, n)
END
}

@test "a write of no bytes publishes nothing" {
	py <<'END'
	r, w = reader(DIRECT | NB), writer(DIRECT)
	eq(os.write(w, b''), 0)
	os.write(w, b'x')
	eq(drain(r), [b'x'])
END
}

@test "1 MiB by dd oflag=direct iflag=fullblock" {
	head -c 1M /dev/urandom >"$T/in"
	background dd if="$D/events" of="$T/out" iflag=direct bs=1M count=1 status=none
	wait_until subscribed "$CH" "$LAST_PID"
	head -c 1M "$T/in" | dd of="$D/events" bs=1M oflag=direct iflag=fullblock status=none
	wait_exit "$LAST_PID"
	cmp "$T/in" "$T/out"
	py <<'END'
	r, w = reader(DIRECT), writer(DIRECT)
	page = mmap.mmap(-1, MAX)	# aligned, as dd's buffer is
	page.write(b'm' * MAX)
	eq(os.write(w, page), MAX)
	os.write(w, b'next')
	eq(get_aligned(r, 4 * MAX) == b'm' * MAX, True)
	eq(get(r), b'next')
END
}

@test "a buffer too small: EMSGSIZE, and the event stays" {
	py <<'END'
	r = reader(DIRECT)
	pub(b'0123456789', DIRECT)
	pub(b'next', DIRECT)
	for n in 1, 9:
		with raises(errno.EMSGSIZE):
			get(r, n)
		eq(poll(r, IN), IN)
	eq(get(r, 10), b'0123456789')
	eq(get(r, 10), b'next')
END
}

@test "EAGAIN with O_NONBLOCK" {
	py <<'END'
	r = reader(DIRECT | NB)
	with raises(errno.EAGAIN):
		get(r)
	pub(b'a', DIRECT)
	eq(drain(r), [b'a'])
END
}

@test "O_DIRECT counts at open: clearing or setting it later changes nothing" {
	py <<'END'
	def setfl(fd, on, off):
		fl = fcntl.fcntl(fd, fcntl.F_GETFL) & ~off | on
		try:
			fcntl.fcntl(fd, fcntl.F_SETFL, fl)
			return True
		except OSError as e:	# no O_DIRECT but at open: as good
			ok(on, e)
			return False
	r, w = reader(DIRECT), writer(DIRECT)
	setfl(r, 0, DIRECT)
	setfl(w, 0, DIRECT)
	os.write(w, b'a\nb')
	os.write(w, b'c\n')
	with raises(errno.EMSGSIZE):
		get(r, 2)
	eq([get(r), get(r)], [b'a\nb', b'c\n'])
	r, w = reader(), writer()
	setfl(r, DIRECT, 0)
	setfl(w, DIRECT, 0)
	os.write(w, b'a\nb')
	os.write(w, b'c\n')
	eq([get(r, 1), get(r, 9), get(r)], [b'a', b'\n', b'bc\n'])
END
}

@test "dd's last, partial block is an event like the others" {
	head -c 1400 /dev/urandom >"$T/in"
	background dd if="$D/events" of="$T/out" iflag=direct bs=4096 count=3 status=none
	wait_until subscribed "$CH" "$LAST_PID"
	dd if="$T/in" of="$D/events" oflag=direct bs=512 status=none
	wait_exit "$LAST_PID"
	cmp "$T/in" "$T/out"
}

@test "text and packets meet: a newline is added for text readers only" {
	py <<'END'
	t, p = reader(), reader(DIRECT)
	pub(b'line\n')
	pub(b'a\nb', DIRECT)
	eq([get(t), get(t)], [b'line\n', b'a\nb\n'])
	eq([get(p), get(p)], [b'line', b'a\nb'])
END
}

@test "no tail: closing a packet writer publishes nothing" {
	py <<'END'
	r = reader(DIRECT)
	pub(b'abc', DIRECT)
	pub(b'marker', DIRECT)
	eq([get(r), get(r)], [b'abc', b'marker'])
END
}

@test "writev is one event" {
	py <<'END'
	r, w = reader(DIRECT), writer(DIRECT)
	os.writev(w, [b'a\n', b'b', b'c' * 5000])
	eq(get(r), b'a\nb' + b'c' * 5000)
END
}
