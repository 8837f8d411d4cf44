# SPDX-License-Identifier: GPL-2.0
load setup

@test "this node comes first, with every key" {
	[[ $(wc -l <"$D/members") == 1 ]]
	grep -qP '^id=[0-9a-f]{16}\tnode=tree\taddr=[^\t]+\tvia=local\tstate=alive\trole=(p|s|ps|-)\tsinks=0\tcontact=[01]\trtt_us=\d+\tsent=\d+\treceived=\d+\tlost=0$' "$D/members" ||
		fail "$(<"$D/members")"
	[[ $(own "$CH" addr) == - && $(own "$CH" contact) == 1 ]]
	# The node's id is the same everywhere.
	[[ $(own "$CH" id) == "$(sed -n 's/^id=//p' "$KECHO_DIR/.node/config")" ]]
}

@test "a local sink: pid, comm, queued, lost" {
	background cat "$D/events"
	wait_until subscribed "$CH" "$LAST_PID"
	[[ $(wc -l <"$D/members") == 2 ]]
	[[ $(sed -n 2p "$D/members") == "  pid=$LAST_PID"$'\tcomm=cat\tqueued=0\tlost=0' ]]
	[[ $(own "$CH" sinks) == 1 ]]
	kill "$LAST_PID"
	wait_until own_is "$CH" sinks 0
	[[ $(wc -l <"$D/members") == 1 ]]
}

@test "queued counts what the reader has not read" {
	py <<'END'
	r = reader()
	pub(b'1\n2\n3\n4\n5\n')
	eq(sinks()[0]['queued'], '5')
	get(r)
	get(r)
	eq(sinks()[0]['queued'], '3')
	eq(sinks()[0]['pid'], str(os.getpid()))
END
}

@test "a line for each sink; a reader of a type shows it" {
	mkdir "$D/alarm"
	py <<'END'
	a, b, t = reader(), reader(), reader(0, 'alarm/events')
	eq(sorted(s.get('type', '') for s in sinks()), ['', '', 'alarm'])
	eq(own('sinks'), '3')
	os.close(b)
	wait_until(lambda: own('sinks') == '2')
END
}

@test "role: s by a reader, p by a writer" {
	py <<'END'
	eq(own('role'), '-')
	r = reader()
	eq(own('role'), 's')
	w = writer()
	os.write(w, b'x\n')
	eq(own('role'), 'ps')
	os.close(r)
	wait_until(lambda: own('role') == 'p')
END
}

@test "own counters: published, delivered to local sinks, lost at them" {
	set_attrs kecho.queue=4
	py <<'END'
	eq([own(k) for k in ('sent', 'received', 'lost')], ['0', '0', '0'])
	a, b = reader(NB), reader(NB)
	for i in range(3):
		pub(b'x\n')
	eq(own('sent'), '3')
	eq(own('lost'), '0')
	eq((len(drain(a)), len(drain(b))), (3, 3))
	eq(own('received'), '6')
	for i in range(6):
		pub(b'x\n')
	eq(own('sent'), '9')
	eq(own('lost'), '4')
END
}

@test "members cannot be written, not even by root" {
	[[ $(stat -c %a "$D/members") == 444 ]]
	refused . bash -c 'echo x >"$1"' _ "$D/members"
	[[ $(wc -l <"$D/members") == 1 ]]
}

@test "members read in small pieces is one consistent text" {
	py <<'END'
	fds = [reader() for i in range(30)]
	m, got = reader(0, 'members'), b''
	while True:
		piece = os.read(m, 13)
		if not piece:
			break
		got += piece
		if fds:
			os.close(fds.pop())
	lines = got.decode().split('\n')
	eq(lines.pop(), '')
	eq(len(lines), 31)
	ok(lines[0].startswith('id='))
	for x in lines[1:]:
		ok(x.startswith('  pid=%d\tcomm=' % os.getpid()), x)
END
}
