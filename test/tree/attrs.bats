# SPDX-License-Identifier: GPL-2.0
load setup

@test "a new channel has the default settings, in this order" {
	diff - "$D/attrs" <<-'END'
	kecho.order=fifo
	kecho.overflow=drop-oldest
	kecho.queue=1024
	kecho.retain=0
	kecho.transport=tcp
	END
}

@test "writing merges; reading sorts by name, settings last" {
	echo zeta=1 >"$D/attrs"
	printf 'b=2\na=3\n' >"$D/attrs"
	echo b=4 >>"$D/attrs"
	[[ $(head -n 3 "$D/attrs") == $'a=3\nb=4\nzeta=1' ]]
	[[ $(sed -n 4p "$D/attrs") == kecho.order=fifo ]]
	[[ $(wc -l <"$D/attrs") == 8 ]]
}

@test "the newline of the last line may be missing" {
	printf a=1 >"$D/attrs"
	[[ $(attr a) == 1 ]]
}

@test "name= removes" {
	set_attrs a=1 b=2
	echo a= >"$D/attrs"
	[[ $(grep -v ^kecho "$D/attrs") == b=2 ]]
	set_attrs b= c=3
	[[ $(grep -v ^kecho "$D/attrs") == c=3 ]]
}

@test "one write is applied whole or not at all" {
	set_attrs a=1
	cp "$D/attrs" "$T/before"
	py <<'END'
	for bad in b'b=2\nno value\n', b'bad name=1\nb=2\n', b'b=2\nkecho.queue=many\n', \
			b'a=\nb=2\nkecho.nosuch=1\n', b'kecho.queue=7\nb=\x01\n', b'a=5\n=1\n':
		with raises(errno.EINVAL):
			put('attrs', bad)
END
	diff "$T/before" "$D/attrs"
}

@test "integers, decimals and strings read back as they were written" {
	local v
	for v in 0 1 -1 42 9223372036854775807 -9223372036854775808 0.5 -0.5 1.25 3.000000001 \
			-12.123456789 hello a-b_c.d /path:x 1.2.3 0x10 1e5 12a - . é; do
		echo "v=$v" >"$D/attrs"
		[[ $(attr v) == "$v" || $(attr v) == "\"$v\"" ]] || fail "$v: $(attr v)"
	done
	set_attrs int=42 dec=1.25 str=hello
	[[ $(attr int) == 42 && $(attr dec) == 1.25 && $(attr str) == hello ]]
}

@test "quotes force a string; a string that looks like a number is shown quoted" {
	set_attrs 'a="12"' 'b="1.5"' 'c="word"' 'd="-7"'
	[[ $(attr a) == '"12"' && $(attr b) == '"1.5"' && $(attr c) == word && $(attr d) == '"-7"' ]]
	# What is read can be written back.
	grep -v ^kecho "$D/attrs" >"$T/copy"
	set_attrs a= b= c= d=
	dd if="$T/copy" of="$D/attrs" bs=4096 status=none
	diff <(grep -v ^kecho "$D/attrs") "$T/copy"
}

@test "a number that does not fit is refused or kept as it is, never altered" {
	local v
	for v in 9223372036854775808 -9223372036854775809 99999999999999999999999 1.1234567891 \
			99999999999999999999.5; do
		echo v=old >"$D/attrs"
		if echo "v=$v" >"$D/attrs" 2>/dev/null; then
			[[ $(attr v) == "$v" || $(attr v) == "\"$v\"" ]] || fail "$v: $(attr v)"
		else
			[[ $(attr v) == old ]]
		fi
	done
}

@test "strings: 255 bytes, no control characters" {
	py <<'END'
	put('attrs', b's=' + b'x' * 255 + b'\n')
	ok(b's=' + b'x' * 255 + b'\n' in slurp('attrs'))
	for bad in b'x' * 256, b'a\x01b', b'a\tb', b'a\x7fb', b'a\0b', b'a\x1b[0m':
		with raises(errno.EINVAL):
			put('attrs', b's=' + bad + b'\n')
	ok(b's=' + b'x' * 255 + b'\n' in slurp('attrs'))
END
}

@test "names: 1-64 of A-Za-z0-9._-" {
	py <<'END'
	for good in 'a', 'Z9._-', 'x' * 64:
		settings(good + '=1')
		ok(('\n%s=1\n' % good).encode() in b'\n' + slurp('attrs'), good)
	for bad in '', 'x' * 65, 'a b', 'a/b', 'a:b', ' a', 'a ', 'é', 'a"', '*':
		with raises(errno.EINVAL):
			settings(bad + '=1')
	for bad in b'noequals\n', b'\0', b'a=1\n\0\n', b'a':
		with raises(errno.EINVAL):
			put('attrs', bad)
END
}

@test "many attributes, read in small pieces" {
	py <<'END'
	for i in range(20):
		settings('n%02d=%s' % (i, 'v' * 50))
	whole = slurp('attrs')
	a, got = reader(0, 'attrs'), b''
	while True:
		piece = os.read(a, 7)
		if not piece:
			break
		got += piece
	eq(got, whole)
	eq(os.pread(a, 11, 5), whole[5:16])
	eq(os.pread(a, 11, len(whole) + 5), b'')
END
}

@test "a flood of attributes is refused at some limit, and the channel lives on" {
	py <<'END'
	try:
		for i in range(100000):
			settings('n%d=%s' % (i, 'v' * 255))
		ok(False, 'no limit')
	except OSError as e:
		ok(e.errno in (errno.E2BIG, errno.ENOSPC, errno.EINVAL, errno.EMSGSIZE, errno.EDQUOT), e)
	ok(i > 3, i)
	try:
		write_all(writer(0, 'attrs'), b'a=1\n' * 100000)
	except OSError as e:
		ok(e.errno in (errno.E2BIG, errno.ENOSPC, errno.EINVAL, errno.EMSGSIZE, errno.EDQUOT), e)
	settings('n0=')
	r = reader()
	pub(b'x\n')
	eq(get(r), b'x\n')
END
}

@test "settings: every legal value" {
	local s
	for s in kecho.overflow={drop-newest,block,drop-oldest} kecho.queue={1,7,1024} \
			kecho.retain={1,100,0} kecho.order={priority,deadline,fifo} kecho.transport={rudp,tcp}; do
		echo "$s" >"$D/attrs"
		grep -qx "$s" "$D/attrs"
	done
	set_attrs kecho.queue=9 kecho.retain=2 load=1
	[[ $(attr kecho.queue) == 9 && $(attr kecho.retain) == 2 && $(attr load) == 1 ]]
}

@test "settings: bad names and values are EINVAL" {
	cp "$D/attrs" "$T/before"
	py <<'END'
	for bad in 'nosuch=1', 'overflow=never', 'overflow=1', 'queue=0', 'queue=-1', 'queue=x', \
			'queue=1.5', 'queue=99999999999999999999', 'retain=-1', 'retain=x', \
			'order=lifo', 'transport=udp', 'transport=pigeon', '=1':
		with raises(errno.EINVAL):
			settings('kecho.' + bad)
END
	diff "$T/before" "$D/attrs"
}

@test "attributes show on this node's line of members" {
	set_attrs load=5 'who=me'
	[[ $(own "$CH" load) == 5 && $(own "$CH" who) == me ]]
	set_attrs load=
	[[ -z $(own "$CH" load) ]]
	not grep -q kecho "$D/members"
}

@test "settings need the owner of the directory; attributes only write permission" {
	need_root
	chmod 666 "$D/attrs"
	unpriv bash -c 'echo load=1 >"$1"' _ "$D/attrs"
	refused 'not permitted' unpriv bash -c 'echo kecho.queue=5 >"$1"' _ "$D/attrs"
	py <<'END'
	eq(as_nobody(lambda: put('attrs', b'load=2\nkecho.queue=5\n')), errno.EPERM)
END
	[[ $(attr load) == 1 && $(attr kecho.queue) == 1024 ]]
	chown 65534 "$D"
	unpriv bash -c 'echo kecho.queue=5 >"$1"' _ "$D/attrs"
	[[ $(attr kecho.queue) == 5 ]]
	echo kecho.queue=6 >"$D/attrs"		# root always may
	[[ $(attr kecho.queue) == 6 ]]
}
