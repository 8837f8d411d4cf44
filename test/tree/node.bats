# SPDX-License-Identifier: GPL-2.0
load setup

N() { echo "$KECHO_DIR/.node/$1"; }
conf() { sed -n "s/^$1=//p" "$(N config)"; }

@test ".node: files, modes, owner" {
	[[ $(stat -c '%n %a %u' "$KECHO_DIR"/.node/* | sed 's,.*/,,' | xargs) == \
		'channels 444 0 config 644 0 events 444 0 peers 444 0 stats 444 0' ]]
}

@test "config: name=value lines, all of them" {
	local k
	not grep -vP '^[a-z_]+=' "$(N config)"
	for k in name id listen insecure registry queue max_event heartbeat lease; do
		grep -q "^$k=" "$(N config)" || fail "no $k"
	done
	[[ $(conf name) == tree && $(conf id) =~ ^[0-9a-f]{16}$ ]]
	[[ $(conf queue) == 1024 && $(conf max_event) == 1048576 ]]
	[[ $(conf heartbeat) == 1000 && $(conf lease) == 15000 ]]
}

@test "config: queue is the default of new channels" {
	need_root
	echo queue=77 >"$(N config)"
	[[ $(conf queue) == 77 ]]
	mkdir "$KECHO_DIR/$CH-q"
	grep -qx kecho.queue=77 "$KECHO_DIR/$CH-q/attrs"
	grep -qx kecho.queue=1024 "$D/attrs"
	rmdir "$KECHO_DIR/$CH-q"
	echo queue=1024 >"$(N config)"
}

@test "config: heartbeat and lease can be set" {
	need_root
	printf 'heartbeat=500\nlease=20000\n' >"$(N config)"
	[[ $(conf heartbeat) == 500 && $(conf lease) == 20000 ]]
	printf 'heartbeat=1000\nlease=15000\n' >"$(N config)"
}

@test "config: max_event bounds lines, packets and frames" {
	need_root
	echo max_event=65536 >"$(N config)"
	mkdir "$KECHO_DIR/$CH-m"
	D=$KECHO_DIR/$CH-m py <<'END'
	r = reader(DIRECT)
	w = writer(DIRECT)
	os.write(w, b'p' * 65536)
	eq(get(r, 1 << 17) == b'p' * 65536, True)
	with raises(errno.EMSGSIZE):
		os.write(w, b'p' * 65537)
	os.write(w, b'after')
	eq(get(r, 1 << 17), b'after')
	f = set_mode(writer(), FRAMED)
	with raises(errno.EMSGSIZE):
		os.write(f, frame(b'p' * 65537))
	t = writer()
	eq(os.write(t, b't' * 65536 + b'\n'), 65537)
	eq(get(r, 1 << 17) == b't' * 65536, True)
	with raises(errno.EMSGSIZE):
		write_all(t, b't' * 65537 + b'\n')
	os.close(t)
	pub(b'end\n')
	eq(get(r, 1 << 17), b'end')
END
	wait_until rmdir "$KECHO_DIR/$CH-m"
	echo max_event=1048576 >"$(N config)"
}

@test "config: invalid values and what cannot be written are refused, nothing changes" {
	need_root
	cp "$(N config)" "$T/before"
	py <<'END'
	for line in 'queue=0', 'queue=-1', 'queue=x', 'queue=', 'queue=1.5', 'max_event=0', 'max_event=-5', \
			'max_event=99999999999999999999', 'heartbeat=0', 'heartbeat=soon', 'lease=-1', \
			'nosuch=1', 'queue', '=5', 'queue=5\nnosuch=1':
		with raises(errno.EINVAL):
			put(ROOT + '/.node/config', line.encode() + b'\n')
	for line in 'id=0000000000000001', 'name=other', 'listen=1.2.3.4', 'registry=1', 'insecure=1':
		with raises(errno.EINVAL, errno.EPERM, errno.EROFS, errno.EACCES):
			put(ROOT + '/.node/config', line.encode() + b'\n')
END
	diff "$T/before" "$(N config)"
}

@test "channels: a line for each channel that this node is on" {
	[[ $(grep -cP "^name=$CH\tcontact=[0-9a-f]{16}\taddr=[^\t]+\tepoch=\d+\tjoined=1\$" "$(N channels)") == 1 ]] ||
		fail "$(<"$(N channels)")"
	[[ $(grep -P "^name=$CH\t" "$(N channels)" | field contact) == "$(own "$CH" id)" ]]
	mkdir "$KECHO_DIR/$CH-x"
	grep -qP "^name=$CH-x\t" "$(N channels)"
	rmdir "$KECHO_DIR/$CH-x"
	not grep -qP "^name=$CH-x\t" "$(N channels)"
}

@test "peers: a local node has none" {
	[[ -z $(<"$(N peers)") ]]
}

@test "stats: counters that count" {
	local k
	not grep -vP '^[a-z0-9_]+=\d+$' "$(N stats)"
	for k in published delivered sent received lost lost_sink lost_link protocol_errors resumes \
			resets connects accepts refused; do
		grep -q "^$k=" "$(N stats)" || fail "no $k"
	done
	py <<'END'
	def stats():
		return dict(x.split('=') for x in slurp(ROOT + '/.node/stats').decode().split())
	a, b = reader(), reader()
	before = stats()
	pub(b'1\n2\n3\n')
	for r in a, b:
		for i in range(3):
			get(r)
	after = stats()
	eq(int(after['published']) - int(before['published']), 3)
	eq(int(after['delivered']) - int(before['delivered']), 6)
	eq(after['lost'], before['lost'])
END
}

@test "events, peers, channels and stats cannot be written" {
	local f
	for f in events peers channels stats; do
		refused . bash -c 'echo x >"$1"' _ "$(N $f)"
	done
}
