# SPDX-License-Identifier: GPL-2.0
load setup

# KECHO_IOC_BOOST as boost(policy, nice, max_us) of the reader f, which this process favours itself by.
boost() { py "$@" < <(cat <<'END'
	import ctypes
	NONE, NICE, FIFO = 0, 1, 2
	f = reader()
	def boost(policy, nice=0, max_us=0):
		fcntl.ioctl(f, 1 << 30 | 12 << 16 | ord('k') << 8 | 6, struct.pack('IiI', policy, nice, max_us))
	def favoured():
		policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
		return {os.SCHED_FIFO: 'fifo', os.SCHED_OTHER: os.getpriority(os.PRIO_PROCESS, 0)}[policy]
	# Of sched_getattr(2): 0 before Linux 6.12, or where it has another number than 315.
	def slice_ns():
		attr = ctypes.create_string_buffer(48)
		if os.uname().machine != 'x86_64' or ctypes.CDLL(None).syscall(315, 0, attr, 48, 0):
			return 0
		return struct.unpack_from('Q', attr, 24)[0]
	def shown():
		lines = [l for l in open(D + '/members') if 'pid=%d\t' % os.getpid() in l]
		return [w[6:].strip() for w in lines[0].split('\t') if w.startswith('boost=')]
	own, own_slice = favoured(), slice_ns()
END
cat); }

@test "favoured while an event waits, not when it has asked for more and there was none" {
	boost <<'END'
	for policy, nice, want in (NICE, -5, -5), (FIFO, 0, 'fifo'):
		boost(policy, nice, 1000000)
		eq(favoured(), own)
		pub(b'a\nb\n')
		wait_until(lambda: favoured() == want)
		eq(get(f), b'a\n')
		eq(favoured(), want)
		eq(get(f), b'b\n')
		os.set_blocking(f, False)
		with raises(errno.EAGAIN):
			get(f)
		os.set_blocking(f, True)
		wait_until(lambda: favoured() == own, 0.5)
		eq(slice_ns(), own_slice)
END
}

@test "a reader that sleeps in read is favoured when it wakes up" {
	boost <<'END'
	boost(NICE, -5, 1000000)
	def later():
		time.sleep(0.2 * SLOW)
		pub(b'x\n')
	t = threading.Thread(target=later)
	t.start()
	eq(get(f), b'x\n')
	wait_until(lambda: favoured() == -5, 0.5)
	t.join()
END
}

@test "not longer than max_us, though the event is not read" {
	boost <<'END'
	boost(NICE, -5, 100000)
	pub(b'x\n')
	wait_until(lambda: favoured() == -5)
	wait_until(lambda: favoured() == own)
	pub(b'y\n')
	wait_until(lambda: favoured() == -5)
END
}

@test "so long after each event that comes" {
	boost <<'END'
	boost(NICE, -5, 1000000)
	pub(b'x\n')
	wait_until(lambda: favoured() == -5)
	time.sleep(0.6)
	pub(b'y\n')
	time.sleep(0.6)
	eq(favoured(), -5)
END
}

@test "members shows it; another one replaces it, none ends it; so does the end of the file" {
	boost <<'END'
	eq(shown(), [])
	boost(NICE, -5, 1000000)
	eq(shown(), ['nice:-5'])
	pub(b'x\n')
	wait_until(lambda: favoured() == -5)
	boost(FIFO)
	eq(shown(), ['fifo'])
	boost(NONE)
	eq(shown(), [])
	eq(favoured(), own)
	boost(NICE, -5, 1000000)
	pub(b'x\n')
	wait_until(lambda: favoured() == -5)
	os.close(f)
	wait_until(lambda: favoured() == own, 0.5)
END
}

@test "what the program has chosen meanwhile stays" {
	boost <<'END'
	boost(NICE, -5, 100000)
	pub(b'x\n')
	wait_until(lambda: favoured() == -5)
	os.setpriority(os.PRIO_PROCESS, 0, 7)
	time.sleep(0.3 * SLOW)
	eq(favoured(), 7)
	eq(slice_ns(), own_slice)
	# Less urgent than it is by itself: nothing is changed.
	os.setpriority(os.PRIO_PROCESS, 0, 0)
	boost(NICE, 5)
	pub(b'y\n')
	time.sleep(0.1 * SLOW)
	eq(favoured(), 0)
END
}

@test "refused: no such wish; not a reader; without the right" {
	boost <<'END'
	for bad in (3, 0), (NICE, 20), (NICE, -21):
		with raises(errno.EINVAL):
			boost(*bad)
	w = writer()
	with raises(errno.EBADF):
		fcntl.ioctl(w, 1 << 30 | 12 << 16 | ord('k') << 8 | 6, struct.pack('IiI', NICE, 0, 0))
	os.close(w)
	import resource
	resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
	resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
	os.setuid(65534)
	for no in (NICE, -1), (FIFO,):
		with raises(errno.EPERM):
			boost(*no)
	boost(NICE, 0)
	boost(NICE, 5)
	boost(NONE)
END
}

@test "kecho sub --boost" {
	local kecho=$KECHO_BUILD/bin/kecho
	background "$kecho" sub -n 1 --boost "$CH"
	wait_until 'grep -q "comm=kecho.*boost=nice:-10" "$D/members"'
	echo x >"$D/events"
	wait_exit "$LAST_PID"
	background "$kecho" sub -n 1 --boost=fifo "$CH"
	wait_until 'grep -q "comm=kecho.*boost=fifo" "$D/members"'
	echo x >"$D/events"
	wait_exit "$LAST_PID"
	run "$kecho" sub --boost=20 "$CH"
	[[ $status == 2 && $output == *--boost* ]]
	run setpriv --reuid=65534 --clear-groups --inh-caps=-all "$kecho" sub -W 1 --boost "$CH"
	[[ $status == 1 && $output == *'ulimit -e'* ]]
}
