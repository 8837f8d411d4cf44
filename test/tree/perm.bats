# SPDX-License-Identifier: GPL-2.0
load setup

# write_as FILE LINE, as another user
write_as() { unpriv bash -c 'echo "$2" >"$1"' _ "$1" "$2"; }

@test "others may subscribe and not publish, by default" {
	need_root
	background unpriv timeout 20 head -n 1 "$D/events" >"$T/out"
	wait_until own_is "$CH" sinks 1
	refused 'Permission denied' write_as "$D/events" no
	echo yes >"$D/events"
	wait_exit "$LAST_PID"
	[[ $(<"$T/out") == yes ]]
}

@test "write permission publishes" {
	need_root
	chmod o+w "$D/events"
	subscribe "$CH" 1 "$T/out"
	write_as "$D/events" hello
	received "$READER_PID" "$T/out" hello
}

@test "read permission subscribes: chmod and chown are obeyed" {
	need_root
	chmod 600 "$D/events"
	[[ $(stat -c %a "$D/events") == 600 ]]
	refused 'Permission denied' unpriv cat "$D/events"
	chown 65534:65534 "$D/events"
	[[ $(stat -c '%u %g' "$D/events") == '65534 65534' ]]
	subscribe "$CH" 1 "$T/out"
	write_as "$D/events" mine
	received "$READER_PID" "$T/out" mine
	chmod 200 "$D/events"
	refused 'Permission denied' unpriv cat "$D/events"
	write_as "$D/events" mine
	chmod 400 "$D/events"
	refused 'Permission denied' write_as "$D/events" no
	chgrp 65533 "$D/events"
	chown 65533 "$D/events"
	chmod 660 "$D/events"
	refused 'Permission denied' write_as "$D/events" no
}

@test "the directory's permissions count" {
	need_root
	chmod 700 "$D"
	refused 'Permission denied' unpriv cat "$D/members"
	refused 'Permission denied' unpriv ls "$D"
	chown 65534 "$D"
	unpriv cat "$D/members" >/dev/null
	unpriv mkdir "$D/type"
	[[ $(stat -c %u "$D/type") == 65534 ]]
}

@test "others can neither make nor leave channels nor declare types" {
	need_root
	refused 'Permission denied' unpriv mkdir "$KECHO_DIR/$CH-x"
	refused 'Permission denied' unpriv rmdir "$D"
	refused 'Permission denied' unpriv mkdir "$D/type"
	refused 'not permitted' unpriv chmod 666 "$D/events"
	refused 'not permitted' unpriv chown 65534 "$D/events"
}

@test "members and attrs: read by all, attrs written by the owner" {
	need_root
	unpriv cat "$D/members" "$D/attrs" >/dev/null
	refused 'Permission denied' write_as "$D/attrs" a=1
	refused 'Permission denied' write_as "$D/members" a=1
}

@test "filter is root's" {
	need_root
	refused 'Permission denied' unpriv cat "$D/filter"
	refused 'Permission denied' write_as "$D/filter" x
	chown 65534 "$D"
	refused 'Permission denied' unpriv cat "$D/filter"
}

@test ".node is read by all, config written by root" {
	need_root
	unpriv cat "$KECHO_DIR"/.node/{config,peers,channels,stats} >/dev/null
	unpriv dd "if=$KECHO_DIR/.node/events" iflag=nonblock count=0 status=none
	refused 'Permission denied' write_as "$KECHO_DIR/.node/config" queue=5
	refused 'Permission denied' unpriv mkdir "$KECHO_DIR/.node/x"
	refused 'not permitted|denied' unpriv chmod 666 "$KECHO_DIR/.node/config"
}

@test "a type's events have permissions of their own" {
	need_root
	mkdir "$D/alarm"
	chmod 600 "$D/events"
	chmod 666 "$D/alarm/events"
	subscribe "$CH" 1 "$T/out"
	refused 'Permission denied' write_as "$D/events" no
	write_as "$D/alarm/events" yes
	received "$READER_PID" "$T/out" yes
}

@test "what was opened with permission stays open" {
	need_root
	background unpriv timeout 20 head -n 1 "$D/events" >"$T/out"
	wait_until own_is "$CH" sinks 1
	chmod 600 "$D/events"
	echo still >"$D/events"
	wait_exit "$LAST_PID"
	[[ $(<"$T/out") == still ]]
}
