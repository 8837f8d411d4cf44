# SPDX-License-Identifier: GPL-2.0
load setup

@test "a channel has events, attrs, filter and members, with their modes" {
	[[ $(ls -A "$D" | sort | xargs) == 'attrs events filter members' ]]
	[[ $(stat -c '%F %a' "$D") == 'directory 755' ]]
	[[ $(stat -c %a "$D"/{events,attrs,filter,members} | xargs) == '644 644 600 444' ]]
	[[ $(stat -c %U "$D/filter") == root ]]
	[[ $(stat -c %u "$D" "$D/events" | xargs) == "$EUID $EUID" ]]
}

@test "the root shows .node and the channels" {
	ls -A "$KECHO_DIR" | grep -qx .node
	ls -A "$KECHO_DIR" | grep -qx "$CH"
	[[ $(ls -A "$KECHO_DIR/.node" | sort | xargs) == 'channels config events peers stats' ]]
	ls -laR "$KECHO_DIR" >/dev/null
	find "$KECHO_DIR" -name members | grep -q "$CH/members"
	df "$KECHO_DIR" >/dev/null
}

@test "mkdir: names of 1 to 64 of A-Za-z0-9._-, not starting with a dot" {
	py <<'END'
	for good in 'x', 'A', '0', '-', '_', 'a.', 'A.b_c-9', 'n' * 64:
		os.mkdir(ROOT + '/' + good)
		ok(good in os.listdir(ROOT))
		os.rmdir(ROOT + '/' + good)
		ok(good not in os.listdir(ROOT))
	for bad in 'n' * 65, 'n' * 200, '.hidden', '..x', 'a b', ' ', 'é', '日本', 'a:b', 'a,b', 'a=b', \
			'a\n', 'a\tb', 'a\\b', '*', '~', 'a+b', '\udcff':
		with raises(errno.EINVAL):
			os.mkdir(ROOT + '/' + bad)
END
}

@test "mkdir of what exists is EEXIST; what does not exist is ENOENT" {
	py <<'END'
	for name in CH, '.node':
		with raises(errno.EEXIST):
			os.mkdir(ROOT + '/' + name)
	with raises(errno.ENOENT):
		os.rmdir(ROOT + '/nosuch')
	with raises(errno.ENOENT):
		os.mkdir(ROOT + '/nosuch/type')
	with raises(errno.ENOENT):
		os.open(ROOT + '/nosuch/events', os.O_RDONLY)
	with raises(errno.ENOENT):
		os.stat(D + '/nosuch')
	with raises(errno.ENOTDIR):
		os.mkdir(D + '/events/x')
END
}

@test "rmdir: EBUSY while a file is open, fine after" {
	py <<'END'
	for flags, name in (os.O_RDONLY, 'events'), (os.O_WRONLY, 'events'), (os.O_RDWR, 'events'), \
			(os.O_RDONLY, 'attrs'), (os.O_RDONLY, 'members'):
		ch = ROOT + '/' + CH + '-busy'
		os.mkdir(ch)
		fd = os.open(ch + '/' + name, flags)
		with raises(errno.EBUSY):
			os.rmdir(ch)
		if flags == os.O_RDWR:		# and it still works
			os.write(fd, b'x\n')
			eq(get(fd), b'x\n')
		os.close(fd)
		def gone():
			try:
				os.rmdir(ch)
				return True
			except OSError as e:
				eq(e.errno, errno.EBUSY)
				return False
		wait_until(gone)
END
}

@test "a channel made again is a new one" {
	local c=$KECHO_DIR/$CH-again i
	for i in 1 2 3; do
		mkdir "$c"
		[[ $(grep -c . "$c/attrs") == 5 ]]
		[[ $(own "$CH-again" sent) == 0 ]]
		printf 'a=1\nkecho.queue=3\nkecho.retain=5\n' >"$c/attrs"
		chmod 600 "$c/events"
		mkdir "$c/type"
		echo x >"$c/events"
		rmdir "$c/type"
		wait_until rmdir "$c"
	done
	mkdir "$c"
	[[ $(stat -c %a "$c/events") == 644 ]]
	rmdir "$c"
}

@test "two channels know nothing of each other" {
	mkdir "$KECHO_DIR/$CH-b"
	py <<'END'
	a = reader(NB)
	b = os.open(D + '-b/events', os.O_RDONLY | NB)
	pub(b'to a\n')
	pub(b'to b\n', name='../' + CH + '-b/events')
	eq((drain(a), drain(b)), ([b'to a\n'], [b'to b\n']))
END
	wait_until rmdir "$KECHO_DIR/$CH-b"
}

@test "rename, link, symlink, mknod, new files and unlink are refused" {
	py <<'END'
	os.mkdir(ROOT + '/' + CH + '-b')
	os.mkdir(D + '/type')
	E = (errno.EPERM, errno.EINVAL)
	r, n = ROOT, ROOT + '/.node'
	for src, dst in (D, D + '-c'), (D, D + '-b'), (D + '/events', D + '/x'), (D + '/type', D + '/t2'), \
			(D + '/events', D + '/attrs'), (D + '/events', D + '-b/events'), (n + '/stats', n + '/s'), \
			(D + '/type', r + '/type'), (D + '-b', D + '/type'):
		with raises(*E):
			os.rename(src, dst)
	for d in r, n, D, D + '/type':
		with raises(*E):
			os.link(D + '/events', d + '/new')
		with raises(*E):
			os.symlink('events', d + '/new')
		with raises(*E):
			os.mkfifo(d + '/new')
		with raises(*E):
			os.mknod(d + '/new', stat.S_IFREG | 0o644)
		with raises(*E):
			os.open(d + '/new', os.O_WRONLY | os.O_CREAT, 0o644)
		ok('new' not in os.listdir(d))
	with raises(*E):
		os.mkdir(n + '/new')
	for f in D + '/events', D + '/attrs', D + '/members', D + '/filter', n + '/stats':
		with raises(*E):
			os.unlink(f)
		os.stat(f)
	with raises(errno.EPERM, errno.EINVAL, errno.EBUSY, errno.ENOTEMPTY):
		os.rmdir(n)
	with raises(errno.ENOTDIR):
		os.rmdir(D + '/events')
	os.rmdir(ROOT + '/' + CH + '-b')
END
	refused . touch "$D/new"
}

@test "filter: an unknown filter is ENOENT, a bad line EINVAL" {
	need_root
	py <<'END'
	eq(slurp('filter'), b'')
	for line in b'nosuch', b'out nosuch', b'in nosuch n=3', b'nosuch a=1 b=two', b'-nosuch':
		with raises(errno.ENOENT):
			put('filter', line + b'\n')
	for line in b'in', b'out', b'-', b'=', b'=x n=1', b'nosuch novalue', b'out a/b', b'sideways x', \
			b'nosuch =3', b'x' * 5000, b'\0', b'nosuch a=\x01':
		with raises(errno.EINVAL):
			put('filter', line + b'\n')
	for line in b'-0', b'-5', b'=0 n=1':	# no such filter in the chain
		with raises(errno.ENOENT, errno.EINVAL):
			put('filter', line + b'\n')
	eq(slurp('filter'), b'')
END
}

@test "mkdir and rmdir again and again, three at a time" {
	local i
	for i in 1 2 3; do
		background bash -ec 'for ((i = 0; i < $2; i++)); do mkdir "$1"; : <"$1/attrs"; until rmdir "$1" 2>/dev/null; do :; done; done' _ "$D-$i" $((100 / KECHO_SLOW))
	done
	for i in "${!KECHO_PIDS[@]}"; do wait_exit "$i" 20; done
	not compgen -G "$D-*"
}
