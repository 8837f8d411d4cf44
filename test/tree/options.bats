# SPDX-License-Identifier: GPL-2.0
# The mount options other than name= (which setup.bash always gives).
KECHO_OPTIONS=uid=65534,gid=65533,mode=0660,queue=8,max_event=4096,transport=rudp
load setup

@test "uid, gid, mode: files and directories" {
	need_root
	[[ $(stat -c '%u %g %a' "$KECHO_DIR" | xargs) == '65534 65533 770' ]]
	[[ $(stat -c %a "$D" "$D/events" "$D/attrs" | xargs) == '770 660 660' ]]
	[[ $(stat -c %u "$D") == "$EUID" ]]	# a channel is its maker's
	[[ $(stat -c '%a' "$D/filter" "$KECHO_DIR/.node/config" | xargs) == '600 644' ]]
}

@test "uid: that user makes channels, and they are his" {
	need_root
	unpriv mkdir "$D-his"
	[[ $(stat -c %u "$D-his" "$D-his/events" | xargs) == '65534 65534' ]]
	unpriv bash -c 'echo kecho.queue=5 >"$1/attrs"; echo x >"$1/events"' _ "$D-his"
	refused 'Permission denied' setpriv --reuid=65532 --regid=65532 --clear-groups ls "$KECHO_DIR"
	refused 'Permission denied' setpriv --reuid=65532 --regid=65532 --clear-groups cat "$D-his/events"
	wait_until unpriv rmdir "$D-his"
}

@test "queue: the default length of new channels" {
	[[ $(attr kecho.queue) == 8 ]]
	py <<'END'
	r = reader(NB)
	for i in range(20):
		pub(b'%d\n' % i)
	eq(drain(r), [b'%d\n' % i for i in range(12, 20)])
END
}

@test "max_event: one byte more is EMSGSIZE" {
	py <<'END'
	r = reader(DIRECT | NB)
	pub(b'x' * 4096, DIRECT)
	pub(b'y' * 4096 + b'\n')
	for flags in DIRECT, 0:
		with raises(errno.EMSGSIZE):
			write_all(writer(flags), b'z' * 4097 + b'\n')
	eq(drain(r), [b'x' * 4096, b'y' * 4096])
END
}

@test "transport: as the node's settings tell" {
	grep -qx transport=rudp "$KECHO_DIR/.node/config"
	[[ $(attr kecho.transport) == tcp ]]
}
