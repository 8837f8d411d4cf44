# SPDX-License-Identifier: GPL-2.0
load setup

# watch FILE...: inotifywait in the background, its lines "PATH EVENTS" in $T/seen.
watch()
{
	inotifywait -m --format '%w%f %e' -e modify,create,delete "$@" >"$T/seen" 2>"$T/watch" 3>&- &
	KECHO_PIDS[$!]=1
	wait_until grep -q 'Watches established' "$T/watch"
}
seen() { wait_until -t 5 grep -qxF -- "$1" "$T/seen"; }
count() { grep -cxF -- "$1" "$T/seen" || :; }

@test "IN_MODIFY on events when an event is published" {
	local n
	watch "$D/events"
	for n in 1 2 3; do
		echo "$n" >"$D/events"
		wait_until '(($(count "$D/events MODIFY") >= n))'
	done
}

@test "IN_MODIFY on events for packets and for the tail at the last close" {
	watch "$D/events"
	printf x | dd of="$D/events" oflag=direct status=none
	seen "$D/events MODIFY"
	: >"$T/seen"
	printf tail >"$D/events"
	seen "$D/events MODIFY"
}

@test "IN_MODIFY reaches a watch on the channel's directory" {
	watch "$D"
	echo a >"$D/events"
	seen "$D/events MODIFY"
}

@test "inotifywait as the operator uses it" {
	background timeout 20 inotifywait -qq -e modify "$D/events"
	# Not shown anywhere when the watch stands, so publish until it ends.
	wait_until 'echo x >"$D/events"; gone "$LAST_PID"'
	wait "$LAST_PID"
}

@test "a watched channel publishes each event once, and to sinks of users only" {
	watch "$D/events" "$D/attrs" "$D/members"
	py <<'END'
	r = reader(NB)
	for i in range(50):
		pub(b'%d\n' % i)
	time.sleep(0.3)		# whatever a notification might publish
	eq(drain(r), [b'%d\n' % i for i in range(50)])
	eq(len(sinks()), 1)
	eq(own('sent'), '50')
END
	seen "$D/events MODIFY"
}

@test "IN_MODIFY on the type's events and the channel's" {
	mkdir "$D/alarm"
	watch "$D/events" "$D/alarm/events"
	echo a >"$D/alarm/events"
	seen "$D/alarm/events MODIFY"
	seen "$D/events MODIFY"
	: >"$T/seen"
	echo plain >"$D/events"
	seen "$D/events MODIFY"
	[[ $(count "$D/alarm/events MODIFY") == 0 ]]
}

@test "IN_MODIFY on attrs and, as it shows them, on members" {
	watch "$D/attrs" "$D/members"
	set_attrs load=1
	seen "$D/attrs MODIFY"
	seen "$D/members MODIFY"
}

@test "IN_MODIFY on members when a reader comes and when it goes" {
	watch "$D/members"
	subscribe "$CH" 0 "$T/out"
	seen "$D/members MODIFY"
	: >"$T/seen"
	kill "$READER_PID"
	seen "$D/members MODIFY"
}

@test "mkdir and rmdir of channels and types show" {
	watch "$KECHO_DIR" "$D"
	mkdir "$KECHO_DIR/$CH-new" "$D/alarm"
	seen "$KECHO_DIR/$CH-new CREATE,ISDIR"
	seen "$D/alarm CREATE,ISDIR"
	rmdir "$KECHO_DIR/$CH-new" "$D/alarm"
	seen "$KECHO_DIR/$CH-new DELETE,ISDIR"
	seen "$D/alarm DELETE,ISDIR"
}
