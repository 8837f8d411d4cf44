# SPDX-License-Identifier: GPL-2.0
load setup

@test "reading: header, then the payload" {
	py <<'END'
	r = set_mode(reader(), FRAMED)
	pub(b'hello\n')
	pub(b'a\nb', DIRECT)
	a, b = Frame(get(r)), Frame(get(r))
	for f, payload in (a, b'hello'), (b, b'a\nb'):
		eq(f.header, 48)
		eq(f.size, f.length)
		eq(f.payload, payload)
		eq((f.type, f.attrs, f.deadline, f.lost, f.flags), (b'', b'', 0, 0, LOCAL))
		eq('%016x' % f.publisher, own('id').lower())
		ok(abs(f.time_ns / 1e9 - time.time()) < 10)
	eq(b.seq, a.seq + 1)
	ok(b.time_ns >= a.time_ns)
END
}

@test "writing: type, attributes, priority and deadline arrive" {
	mkdir "$D/alarm"
	py <<'END'
	r, t = set_mode(reader(), FRAMED), reader(0, 'alarm/events')
	plain, packet = reader(), reader(DIRECT)
	w = set_mode(writer(), FRAMED)
	data = frame(b'pay\nload', b'alarm', b'load=5\nwhere=here\n', prio=7, deadline=250000000)
	eq(os.write(w, data), len(data))
	f = Frame(get(r))
	eq(f.size, f.length)
	eq((f.type, f.prio, f.deadline, f.payload), (b'alarm', 7, 250000000, b'pay\nload'))
	eq(sorted(f.attrs.split(b'\n')), [b'', b'load=5', b'where=here'])
	eq(get(t), b'pay\nload\n')
	eq(get(plain), b'pay\nload\n')
	eq(get(packet), b'pay\nload')
END
}

@test "an event without a payload is an event" {
	py <<'END'
	r, w = set_mode(reader(), FRAMED), set_mode(writer(), FRAMED)
	os.write(w, frame(b'', attrs=b'a=1\n'))
	f = Frame(get(r))
	eq((f.attrs, f.payload), (b'a=1\n', b''))
END
}

@test "a buffer too small: EMSGSIZE, and the event stays" {
	py <<'END'
	r = set_mode(reader(), FRAMED)
	pub(b'0123456789\n')
	for n in 1, 48, 57:
		with raises(errno.EMSGSIZE):
			get(r, n)
	eq(Frame(get(r, 58)).payload, b'0123456789')
END
}

@test "a malformed frame is EINVAL and publishes nothing" {
	py <<'END'
	r = reader()
	w = set_mode(writer(), FRAMED)
	good = frame(b'x')
	bad = [good[:1], good[:47],
	       frame(b'x', size=48), frame(b'x', size=50), frame(b'x', size=0),
	       frame(b'x', size=0xffffffff),
	       frame(b'x', header=0), frame(b'x', header=47), frame(b'x', header=0xffff),
	       good[:6] + b'\x02' + good[7:],			# a type longer than the frame
	       good[:6] + b'\xff' + good[7:],
	       good[:44] + b'\x02\x00' + good[46:],		# attributes longer than the frame
	       frame(b'x', b'a/b'), frame(b'x', b'.t'), frame(b'x', b't' * 65),
	       frame(b'x', attrs=b'no value\n'), frame(b'x', attrs=b'=1\n')]
	for at in 8, 16, 24, 32, 46:			# seq, time_ns, publisher, lost, flags
		bad.append(good[:at] + b'\1' + good[at + 1:])
	for i, data in enumerate(bad):
		try:
			os.write(w, data)
			ok(False, 'frame %d was accepted' % i)
		except OSError as e:
			eq(e.errno, errno.EINVAL, i)
	os.write(w, good)
	eq(get(r), b'x\n')
END
}

@test "the loss of a slow reader shows: lost, and a jump of seq" {
	set_attrs kecho.queue=4
	py <<'END'
	r = set_mode(reader(), FRAMED)
	for i in range(3):
		pub(b'%d\n' % i)
	first = [Frame(get(r)) for i in range(3)]
	eq([f.lost for f in first], [0] * 3)
	for i in range(10):
		pub(b'%d\n' % i)
	f = Frame(get(r))
	eq(f.payload, b'6')
	eq(f.seq, first[-1].seq + 7)
	eq(f.lost, 6)
END
}

@test "the mode can be set and set back; other values are EINVAL" {
	py <<'END'
	r = reader()
	set_mode(r, FRAMED)
	pub(b'a\n')
	eq(Frame(get(r)).payload, b'a')
	set_mode(r, PACKET)
	pub(b'b\n')
	eq(get(r), b'b')
	set_mode(r, TEXT)
	pub(b'c\n')
	eq(get(r), b'c\n')
	with raises(errno.EINVAL):
		set_mode(r, 99)
	with raises(errno.ENOTTY):
		fcntl.ioctl(r, KECHO_IOC_MODE + 50, struct.pack('=I', 0))
END
}

@test "no change of mode in the middle of a line or of an event" {
	py <<'END'
	r, w = reader(), writer()
	os.write(w, b'ab')
	with raises(errno.EBUSY):
		set_mode(w, FRAMED)
	os.write(w, b'c\n')
	set_mode(w, PACKET)
	eq(get(r, 2), b'ab')
	with raises(errno.EBUSY):
		set_mode(r, PACKET)
	eq(get(r), b'c\n')
	set_mode(r, PACKET)
END
}

@test "retained events are marked" {
	set_attrs kecho.retain=2
	py <<'END'
	pub(b'old\n')
	r = set_mode(reader(), FRAMED)
	pub(b'new\n')
	a, b = Frame(get(r)), Frame(get(r))
	eq([(f.payload, f.flags & RETAINED) for f in (a, b)], [(b'old', RETAINED), (b'new', 0)])
END
}

@test "one ioctl sets both directions of a descriptor" {
	py <<'END'
	f = set_mode(os.open(D + '/events', os.O_RDWR), FRAMED)
	os.write(f, frame(b'x'))
	eq(Frame(get(f)).payload, b'x')
END
}

@test "no ioctl on attrs and members" {
	py <<'END'
	for name in 'attrs', 'members':
		with raises(errno.ENOTTY, errno.EINVAL):
			set_mode(reader(0, name), FRAMED)
END
}
