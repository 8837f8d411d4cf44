# SPDX-License-Identifier: GPL-2.0
# The file filter, IN filters, and what sinks say of themselves.
load setup

setup()
{
	need_root
	CH=filter-$BATS_TEST_NUMBER
	D=$KECHO_DIR/$CH
	T=$BATS_TEST_TMPDIR
	export CH D T
	mkdir "$D"
}

# filter LINE: one write(2)
filter() { printf '%s\n' "$1" >"$D/filter"; }
# chain LINE...: the filters are these: direction, name and arguments
chain() { diff <((($#)) && printf '%s\n' "$@") <(shown); }
shown() { sed -E 's/^index=[0-9]+\tdir=([a-z]+)\tname=([^\t]+)\tseen=[0-9]+\tpassed=[0-9]+\tmean_ns=[0-9]+\tdisabled=0/\1 \2/; s/\t/ /g' "$D/filter"; }
# counted INDEX SEEN PASSED
counted() { [[ $(pick "index=$1" seen <"$D/filter") == "$2" && $(pick "index=$1" passed <"$D/filter") == "$3" ]] || fail "$(<"$D/filter")"; }
# logged TEXT: of this channel
logged() { wait_until -t 5 "log | grep -qF -- 'channel $CH: $1'" || fail "$(log | tail -n 5)"; }
log() { if [[ $KECHO_BACKEND == kernel ]]; then dmesg; else cat "$KECHO_DIR.run/log"; fi; }
# users_are KIND N: so many chains have a filter of that kind; a daemon does not tell
users_are() { [[ $KECHO_BACKEND != kernel || $(<"/sys/module/kecho_filter_$1/refcnt") == "$2" ]]; }
kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
sink_is_described() { [[ $(sink "$CH" "$1" sink) ]]; }

@test "a filter is shown with its direction, arguments and counters" {
	[[ ! -s $D/filter ]]
	filter 'in type only=alarm budget_us=500000'
	[[ $(<"$D/filter") == $'index=0\tdir=in\tname=type\tseen=0\tpassed=0\tmean_ns=0\tdisabled=0\tbudget_us=500000\tonly=alarm' ]]
	subscribe "$CH" 2 "$T/out"
	kecho pub -t alarm "$CH" one
	kecho pub "$CH" two
	kecho pub -t alert "$CH" three
	kecho pub -t alarm "$CH" four
	received "$READER_PID" "$T/out" one four
	counted 0 4 2
	(($(field mean_ns <"$D/filter") > 0))
	kecho filter "$CH" >"$T/cli"
	[[ $(<"$T/cli") == $'0\tin\ttype\t4\t2\t'* ]]
}

@test "filters stand in the order in which they were added; OUT if nothing is said" {
	filter 'type only=a'
	filter 'in type not=b'
	filter 'out type not=c'
	filter 'in type only=a,b,c'
	chain 'out type only=a' 'in type not=b' 'out type not=c' 'in type only=a,b,c'
	[[ $(cut -f 1 "$D/filter" | tr '\n' ' ') == 'index=0 index=1 index=2 index=3 ' ]]
	subscribe "$CH" 1 "$T/out"
	kecho pub -t b "$CH" b
	kecho pub -t d "$CH" d
	kecho pub -t a "$CH" a
	received "$READER_PID" "$T/out" a
	# What one has left no sink the next does not see; and what goes to other nodes, nothing does here.
	counted 1 3 2
	counted 3 2 1
	counted 0 0 0
}

@test "removed by name, the first of it, or by index" {
	filter 'in type not=a'
	filter 'in type not=b'
	filter 'in reply'
	filter 'in type not=c'
	filter -type
	chain 'in type not=b' 'in reply' 'in type not=c'
	filter -1
	chain 'in type not=b' 'in type not=c'
	filter -1
	filter -0
	chain
	refused 'No such file' filter -0
	refused 'No such file' filter -type
}

@test "parameters change while it stands: the counters stay, what is refused changes nothing" {
	filter 'in type only=a'
	subscribe "$CH" 3 "$T/out"
	kecho pub -t a "$CH" 1
	kecho pub -t b "$CH" 2
	filter '=0 only=b'
	chain 'in type only=b'
	counted 0 2 1
	kecho pub -t a "$CH" 3
	kecho pub -t b "$CH" 4
	refused 'Invalid' filter '=0 not=b'
	refused 'Invalid' filter '=0 only='
	chain 'in type only=b'
	filter '=0 only= not=b budget_us=200000'
	chain 'in type budget_us=200000 not=b'
	kecho pub -t b "$CH" 5
	kecho pub -t c "$CH" 6
	received "$READER_PID" "$T/out" 1 4 6
	counted 0 6 3
	refused 'No such file' filter '=1 only=a'
}

@test "words and quotes" {
	local line lines
	filter $'\t in\ttype   only=a,b  '
	filter "in type only='12'"
	filter 'in type only="a"'",'b'"
	filter "in reply attr='not \"a name\"'"
	printf 'in type not=x' >"$D/filter"
	mapfile -t lines < <(shown)
	diff - <(printf '%s\n' "${lines[@]}") <<-END
	in type only=a,b
	in type only="12"
	in type only=a,b
	in reply attr=not "a name"
	in type not=x
	END
	# What is shown can be written, where no value has blanks.
	for line in 0 1 2 4; do filter "${lines[line]}"; done
	chain "${lines[@]}" "${lines[@]:0:3}" "${lines[4]}"
}

@test "what is wrong changes nothing: ENOENT, EINVAL" {
	filter 'in type only=a'
	cp "$D/filter" "$T/before"
	py <<'END'
	for bad in 'nosuch', 'in nosuch a=1', '-nosuch', '-1', '-999999999', '-99999999999999999999', '=1 only=a', '=999999999 only=a':
		with raises(errno.ENOENT):
			put('filter', bad.encode() + b'\n')
	for bad in '', ' ', 'in', 'out', '-', '- type', '-type x', '-0 x', '=', '=0', '=0 ', '=x only=a', 'in =0 only=b', \
			'=type only=b', '=4294967296 only=a', 'type', 'in type', 'type only', 'type only=', 'type =a', 'type only=12', \
			'type only=a not=b', 'type only=a nosuch=1', 'type only=a budget_us=0', 'type only=a budget_us=x', \
			'type only="a', "type only='a", 'type only="a\'', 'type only=\x01', 'type only=' + 'a' * 256, 'type only=a\0', \
			'a/b', '../type', '.type', 'x' * 65, 'in type only=a\nin type only=b', 'in type only=a\n', '\nin type only=a':
		with raises(errno.EINVAL):
			put('filter', bad.encode() + b'\n')
END
	diff "$T/before" "$D/filter"
}

@test "why it was refused is in the log" {
	refused Invalid filter 'in type'
	logged 'filter type: which types?'
	refused Invalid filter 'out acl allow=x'
	logged 'filter acl: it judges who published'
	refused Invalid filter 'in dedup size=0'
	logged 'filter dedup: takes attr=NAME'
	refused Invalid filter 'in type only=a budget_us=0'
	logged 'filter type: budget_us takes a number'
	refused 'log says why|strict=0 or 1' kecho filter "$CH" add in reply strict=2
	logged 'filter reply: takes attr=NAME'
}

@test "poll tells PRI|ERR after a change, and only then" {
	py <<'END'
	f = reader(0, 'filter')
	os.read(f, 65536)
	eq(poll(f, PRI | ERR), 0)
	for line in 'in type only=a', '=0 only=b', 'out type only=c', '-0', '-type':
		put('filter', line.encode() + b'\n')
		eq(poll(f, PRI | ERR, 5000), PRI | ERR, line)
		os.pread(f, 65536, 0)
		eq(poll(f, PRI | ERR), 0, line)
	for line in 'in type', '-0', 'nosuch':
		with raises(errno.EINVAL, errno.ENOENT):
			put('filter', line.encode() + b'\n')
		eq(poll(f, PRI | ERR), 0, line)
	later(lambda: put('filter', b'in type only=a\n'))
	eq(poll(f, PRI, 5000), PRI | ERR)
END
}

@test "IN_MODIFY on filter after a change" {
	local line
	background inotifywait -m --format '%w%f %e' -e modify "$D/filter" >"$T/seen" 2>"$T/watch"
	wait_until grep -q 'Watches established' "$T/watch"
	for line in 'in type only=a' '=0 only=b' -0; do
		: >"$T/seen"
		filter "$line"
		wait_until -t 5 grep -qxF "$D/filter MODIFY" "$T/seen"
	done
}

@test "a channel has at most 64" {
	py <<'END'
	for i in range(64):
		put('filter', b'in type not=a%d\n' % i)
	with raises(errno.ENOSPC):
		put('filter', b'in type not=b\n')
	eq(len(slurp('filter').splitlines()), 64)
	put('filter', b'-63\n')
	put('filter', b'out type not=b\n')
	with raises(errno.ENOSPC):
		put('filter', b'out type not=b\n')
	r = reader()
	pub(b'x\n')
	eq(get(r), b'x\n')
	eq([b'seen=1\tpassed=1\t' in x for x in slurp('filter').splitlines()], [True] * 63 + [False])
END
}

@test "rmdir takes the filters with it" {
	filter 'in type only=a'
	filter 'in type only=a'
	filter 'out dedup'
	users_are type 2
	[[ $KECHO_BACKEND != kernel ]] || refused 'in use' rmmod kecho-filter-type
	rmdir "$D"
	users_are type 0
	users_are dedup 0
	mkdir "$D"
	chain
	subscribe "$CH" 1 "$T/out"
	publish "$CH" echo x
	received "$READER_PID" "$T/out" x
}

@test "a channel that a filter watches can be left; then nothing is heard of it" {
	mkdir "$KECHO_DIR/watched"
	filter 'out least attr=load from=watched'
	echo x >"$KECHO_DIR/watched/events"
	rmdir "$KECHO_DIR/watched"
	chain 'out least attr=load from=watched'
	echo x >"$D/events"
	filter -0
	users_are least 0
}

@test "a node that ends takes its filters with it" {
	# shellcheck disable=SC2034
	local KECHO_ENTER=(unshare --net)
	backend_start "$T/own" name=own
	mkdir "$T/own/"{a,b}
	echo 'in type only=x' >"$T/own/a/filter"
	echo 'out dedup' >"$T/own/a/filter"
	echo 'out type only=x' >"$T/own/b/filter"
	echo 'out least attr=load from=a' >"$T/own/b/filter"
	echo x >"$T/own/a/events"
	users_are type 2
	backend_stop "$T/own"
	wait_until users_are type 0
	users_are dedup 0
}

@test "an event that the filters leave no sink for is not retained" {
	echo kecho.retain=10 >"$D/attrs"
	filter 'in type only=a'
	exec 8<"$D/events"
	kecho pub -t b "$CH" b
	kecho pub -t a "$CH" a
	exec 8<&-
	subscribe "$CH" 1 "$T/out"
	received "$READER_PID" "$T/out" a
}

@test "the filter file is root's" {
	[[ $(stat -c '%a %u' "$D/filter") == '600 0' ]]
	refused 'denied' unpriv cat "$D/filter"
	refused 'denied' unpriv bash -c 'echo "in type only=a" >"$1"' _ "$D/filter"
	chain
}

@test "acl: publishers by id and by name" {
	local id
	id=$(own "$CH" id)
	filter 'in acl allow=nobody,tree'
	subscribe "$CH" 3 "$T/out"
	publish "$CH" echo 1
	filter '=0 allow= deny=tree'
	publish "$CH" echo 2
	filter "=0 deny='$id'"
	publish "$CH" echo 3
	filter "=0 deny= allow='$id'"
	publish "$CH" echo 4
	filter "=0 allow=0123456789abcdef"
	publish "$CH" echo 5
	filter -acl
	publish "$CH" echo 6
	received "$READER_PID" "$T/out" 1 4 6
}

@test "dedup: the first answer is delivered, the others are counted" {
	filter 'in dedup'
	subscribe "$CH" 4 "$T/out"
	kecho pub -a re=1.7 "$CH" first second third
	kecho pub -a re=1.8 "$CH" fourth
	kecho pub "$CH" none none
	received "$READER_PID" "$T/out" first fourth none none
	counted 0 6 4
}

@test "reply: for this node, for one of its sinks, for another node" {
	local id plain one two
	id=$(own "$CH" id)
	filter 'in reply'
	subscribe "$CH" 3 "$T/plain"
	plain=$READER_PID
	background "$KECHO_BUILD/bin/kecho" sub -n 3 -a me=1 "$CH" >"$T/one"
	one=$LAST_PID
	background "$KECHO_BUILD/bin/kecho" sub -n 2 -a me=2 "$CH" >"$T/two"
	two=$LAST_PID
	wait_until sink_is_described "$one"
	wait_until sink_is_described "$two"
	[[ ! $(sink "$CH" "$plain" sink) && $(sink "$CH" "$one" me) == 1 ]]
	kecho pub -a to=0123456789abcdef "$CH" elsewhere
	kecho pub -a "to=$id:$(sink "$CH" "$one" sink)" "$CH" mine
	kecho pub -a "to=$id" "$CH" ours
	kecho pub "$CH" all
	wait_exit "$two"
	wait_exit "$one"
	diff <(printf '%s\n' mine ours all) "$T/one"
	diff <(printf '%s\n' ours all) "$T/two"
	filter '=0 strict=1'
	kecho pub "$CH" nobody
	filter '=0 strict=0'
	publish "$CH" echo last
	received "$plain" "$T/plain" ours all last
}

@test "a sink says of itself what members shows: KECHO_IOC_ATTRS" {
	py <<'END'
	r, plain, w, both = reader(), reader(), writer(), os.open(D + '/events', os.O_RDWR)
	eq([('sink' in s) for s in sinks()], [False] * 3)
	set_attrs(r, 'load=0.5', 'who=a b', 'n="1"')
	set_attrs(both, 'x=1')
	eq(own('sinks'), '3')
	one, two, three = sinks()
	eq((one['load'], one['who'], one['n']), ('0.5', 'a b', '"1"'))
	ok('sink' not in two and three['x'] == '1')
	ok(one['sink'] != three['sink'] and int(one['sink']) > 0)
	# Merged, and removed; without any it is as the others.
	set_attrs(r, 'load=0.7', 'who=')
	one = sinks()[0]
	ok(one['load'] == '0.7' and one['n'] == '"1"' and 'who' not in one)
	set_attrs(r, 'load=', 'n=')
	ok('sink' not in sinks()[0])
	# All or nothing.
	set_attrs(r, 'a=1')
	for bad in ('a=2', 'b'), ('a=2', 'bad name=1'), ('a=2', '=1'), ('a=2', 'b=\x01'), ('a=2', 'b=' + 'x' * 256):
		with raises(errno.EINVAL):
			set_attrs(r, *bad)
	with raises(errno.EINVAL):
		fcntl.ioctl(r, KECHO_IOC_ATTRS, bytearray(b'a=2\n'.ljust(4096, b'\n')))
	for i in range(15):
		set_attrs(r, 'b%02d=%s' % (i, 'x' * 255))
	with raises(errno.E2BIG):
		set_attrs(r, 'a=2', 'b15=' + 'x' * 255)
	eq(sinks()[0]['a'], '1')
	with raises(errno.EBADF):
		set_attrs(w, 'a=1')
	with raises(errno.ENOTTY):
		set_attrs(reader(0, 'members'), 'a=1')
	pub(b'x\n')
	eq([get(f) for f in (r, plain, both)], [b'x\n'] * 3)
	os.close(r)
	wait_until(lambda: len(sinks()) == 2)
END
}

@test "kecho sub -a; members -s shows it; --format prints an attribute" {
	refused "is no attribute" kecho sub -a x "$CH"
	refused 'refuses the attributes' kecho sub -a "x=$(printf '%256s')" "$CH"
	background "$KECHO_BUILD/bin/kecho" sub -n 2 -a zone=a -a 'n=7' --format '%{id}|%{x}|%{i}|%%{id}\n' "$CH" >"$T/out"
	wait_until sink_is_described "$LAST_PID"
	kecho members -sj "$CH" | "$KECHO_PYTHON" -S -c 'import json, sys
d = json.load(sys.stdin)[0]
assert d["attributes"] == {"n": 7, "zone": "a"} and d["sink"] > 0, d'
	kecho pub -a id=5 -a 'x=a b' "$CH" one
	kecho pub -a iid=5 "$CH" two
	wait_exit "$LAST_PID"
	diff <(printf '%s\n' '5|a b||%{id}' '|||%{id}') "$T/out"
}

@test "a filter that takes too long is disabled: .node/events, the file and its watchers say so; a change has it run again" {
	local expr
	printf -v expr 'load < 1%s' "$(printf ' || load < 1%.0s' {1..18})"
	filter "in expr budget_us=1 expr='$expr'"
	D=$D py <<'END'
	news = os.open(ROOT + '/.node/events', os.O_RDONLY | os.O_NONBLOCK)
	watch = os.open(D + '/filter', os.O_RDONLY)
	slurp(D + '/filter')
	readers = [reader() for i in range(64)]
	os.pread(watch, 65536, 0)
	for i in range(10):
		pub(b'%d\n' % i)
	eq(poll(watch, select.POLLPRI) & select.POLLPRI != 0, True)
	line = os.read(news, 4096).decode().rstrip('\n').split('\t')
	eq(line[:2] + line[3:5], ['filter', 'channel=' + os.path.basename(D), 'name=expr', 'disabled=1'])
	eq('disabled=1' in slurp(D + '/filter').decode().split('\t'), True)
	# Those after it were not held back.
	eq(get(readers[0], 100)[-1:], b'\n')
	put('filter', b'=0 budget_us=100000\n')
	eq('disabled=0' in slurp(D + '/filter').decode().split('\t'), True)
END
}
