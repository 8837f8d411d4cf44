# SPDX-License-Identifier: GPL-2.0
load setup

@test "mkdir declares a type; its directory has events only" {
	mkdir "$D/alarm"
	[[ $(ls -A "$D/alarm") == events ]]
	[[ $(stat -c '%F %a %s' "$D/alarm/events") == 'regular empty file 644 0' ]]
	[[ $(ls -A "$D" | sort | xargs) == 'alarm attrs events filter members' ]]
	rmdir "$D/alarm"
	[[ ! -e $D/alarm ]]
}

@test "typed readers get their type; the channel's readers get all" {
	mkdir "$D/a" "$D/b"
	py <<'END'
	every, a, b = reader(NB), reader(NB, 'a/events'), reader(NB, 'b/events')
	pub(b'plain\n')
	pub(b'to a\n', name='a/events')
	pub(b'to b\n', name='b/events')
	eq(drain(every), [b'plain\n', b'to a\n', b'to b\n'])
	eq(drain(a), [b'to a\n'])
	eq(drain(b), [b'to b\n'])
END
}

@test "typed events by text, tail, packet and poll" {
	mkdir "$D/a"
	py <<'END'
	t, p = reader(0, 'a/events'), reader(DIRECT, 'a/events')
	eq(poll(t, IN), 0)
	pub(b'plain\n')
	eq(poll(t, IN), 0)
	later(lambda: pub(b'x\ny', DIRECT, 'a/events'))
	eq(poll(t, IN, 5000), IN)
	eq(get(t), b'x\ny\n')
	eq(get(p), b'x\ny')
	w = writer(0, 'a/events')
	os.write(w, b'ta')
	os.write(w, b'il')
	os.close(w)
	eq(get(t), b'tail\n')
	f = set_mode(reader(0, 'a/events'), FRAMED)
	pub(b'z\n', name='a/events')
	eq(Frame(get(f)).type, b'a')
END
}

@test "typed events do not fill the queue of another type's reader" {
	mkdir "$D/a" "$D/b"
	set_attrs kecho.overflow=block kecho.queue=2
	py <<'END'
	a = reader(NB, 'a/events')
	for i in range(10):
		pub(b'x\n', name='b/events')
		pub(b'x\n')
	pub(b'mine\n', name='a/events')
	eq(drain(a), [b'mine\n'])
END
}

@test "names of types: as of channels" {
	py <<'END'
	for good in 'x', 'A.b_c-9', 'y' * 64:
		os.mkdir(D + '/' + good)
		os.rmdir(D + '/' + good)
	for bad in 'y' * 65, '.hidden', 'a b', 'é', 'a:b', 'a\n':
		with raises(errno.EINVAL):
			os.mkdir(D + '/' + bad)
	for taken in 'events', 'attrs', 'filter', 'members':
		with raises(errno.EEXIST):
			os.mkdir(D + '/' + taken)
	os.mkdir(D + '/t')
	with raises(errno.EEXIST):
		os.mkdir(D + '/t')
END
}

@test "one level only" {
	mkdir "$D/a"
	refused 'not permitted|Invalid' mkdir "$D/a/b"
	[[ $(ls -A "$D/a") == events ]]
}

@test "rmdir of a type: EBUSY while its events are open, fine after" {
	mkdir "$D/a"
	exec 8>"$D/a/events"
	refused 'busy' rmdir "$D/a"
	refused 'busy' rmdir "$D"
	exec 8>&-
	wait_until rmdir "$D/a"
}

@test "a type lives on its own: the channel's open files do not hold it" {
	mkdir "$D/a"
	exec 8>"$D/events"
	rmdir "$D/a"
	mkdir "$D/a"
	exec 8>&-
}
