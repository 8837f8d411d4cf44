# SPDX-License-Identifier: GPL-2.0
# What only a daemon can do: die, be restarted, be started wrongly.
load setup

setup_file() { find_python; }
teardown_file() { :; }

setup()
{
	OWN=
	[[ $KECHO_BACKEND == fuse ]] || skip "only a daemon"
	T=$BATS_TEST_TMPDIR
	OWN=$(mktemp -d "${TMPDIR:-/tmp}/kecho-daemon.XXXXXX")	# never a KECHO_DIR from outside
	KECHO_DIR=$OWN
	CH=ch D=$KECHO_DIR/ch
	export KECHO_DIR CH D T
}

teardown()
{
	reap
	[[ -n ${OWN:-} ]] || return 0
	[[ ! -s $OWN.run/pid ]] || backend_ended "$OWN" || kill -KILL "$(daemon)" 2>/dev/null || :
	while findmnt -rn "$OWN" >/dev/null; do umount -l "$OWN" || break; done
	rm -rf --one-file-system "$OWN" "$OWN.run"
}

start() { backend_start "$KECHO_DIR" "name=daemon" && mkdir "$D"; }
daemon() { cat "$KECHO_DIR.run/pid"; }
ended() { wait_until '[[ $(backend_status "$KECHO_DIR") == 0 ]]' && wait_until not_mounted; }
stop() { kill -TERM "$(daemon)"; ended; }
not_mounted() { ! findmnt -rn "$KECHO_DIR" >/dev/null; }

@test "SIGTERM and umount: unmounted, status 0" {
	start
	stop
	[[ -z $(ls -A "$KECHO_DIR") ]]
	start
	umount "$KECHO_DIR"
	ended
}

@test "SIGTERM: the channel is gone, so a blocked cat ends" {
	start
	subscribe "$CH" 0 "$T/out"
	echo last >"$D/events"
	wait_until grep -q last "$T/out"
	stop
	wait_exit "$READER_PID"
}

@test "SIGTERM: blocked pollers and publishers are released" {
	start
	printf 'kecho.overflow=block\nkecho.queue=1\n' >"$D/attrs"
	PID=$(daemon) py <<'END'
	pid = int(os.environ['PID'])
	r = reader()
	q = subprocess.Popen([sys.executable, '-Sc', '''
	import os, select, sys
	f = os.open(sys.argv[1], os.O_RDONLY)
	p = select.poll()
	p.register(f, select.POLLIN)
	print("ready", flush=True)
	while True:
	    ev = p.poll(20000)
	    if not ev or ev[0][1] & (select.POLLHUP | select.POLLERR): sys.exit(0 if ev else 1)
	    os.read(f, 99)
	''', D + '/events'], stdout=subprocess.PIPE)
	q.stdout.readline()
	w = subprocess.Popen(['seq', '1000'], stdout=writer(), stderr=subprocess.DEVNULL)
	wait_until(lambda: any(s['queued'] == '1' for s in sinks()))
	os.kill(pid, signal.SIGTERM)
	eq(q.wait(10), 0)
	w.wait(10)
END
	ended
}

@test "killed -9: readers fail at once; the mount goes away by itself" {
	start
	subscribe "$CH" 0 "$T/out"
	kill -KILL "$(daemon)"
	wait_exit "$READER_PID" || [[ $? != 254 ]]
	wait_until not_mounted
	[[ -z $(ls -A "$KECHO_DIR") ]]
}

@test "killed -9 and restarted at once on the same mount point" {
	local i
	for i in 1 2 3; do
		start
		subscribe "$CH" 0 "$T/out"
		kill -KILL "$(daemon)"
		start
		kill -KILL "$READER_PID" 2>/dev/null || :
		subscribe "$CH" 1 "$T/out$i"
		echo "again $i" >"$D/events"
		received "$READER_PID" "$T/out$i" "again $i"
		stop
	done
}

@test "without -f: when the command returns, the mount works" {
	# No wait: the daemon's descriptors must not hold the test's pipes either.
	timeout 10 "$KECHOFSD" -o name=bg "$KECHO_DIR" 3>&- | timeout 10 cat
	mountpoint -q "$KECHO_DIR"
	grep -qx name=bg "$KECHO_DIR/.node/config"
	mkdir "$D"
	rmdir "$D"
	umount "$KECHO_DIR"
	not_mounted
}

@test "-h and -V" {
	timeout 5 "$KECHOFSD" -h | grep -qi usage
	timeout 5 "$KECHOFSD" -V | grep -qi kecho
}

@test "options by several -o, and repeated" {
	timeout 10 "$KECHOFSD" -o name=two -o queue=5,max_event=8192 -o heartbeat=700 "$KECHO_DIR" 3>&-
	grep -qx name=two "$KECHO_DIR/.node/config"
	grep -qx queue=5 "$KECHO_DIR/.node/config"
	grep -qx max_event=8192 "$KECHO_DIR/.node/config"
	grep -qx heartbeat=700 "$KECHO_DIR/.node/config"
	umount "$KECHO_DIR"
}

# wrong REGEX ARG...: kechofsd refuses to start, says why, and mounts nothing.
wrong()
{
	local re=$1 rc=0; shift
	timeout 10 "$KECHOFSD" "$@" >"$T/err" 2>&1 3>&- || rc=$?
	((rc != 0 && rc < 124)) || fail "status $rc: $*"
	grep -Eqi "$re" "$T/err" || fail "$*: $(<"$T/err")"
	not_mounted
}

@test "a wrong command line is refused with a message" {
	wrong . -f
	wrong . -f /nonexistent/directory
	wrong 'nosuch' -f -o nosuch=1 "$KECHO_DIR"
	wrong 'key' -f -o key=/dev/null "$KECHO_DIR"
	wrong 'queue' -f -o queue=0 "$KECHO_DIR"
	wrong 'queue' -f -o queue=many "$KECHO_DIR"
	wrong 'max_event' -f -o max_event=-1 "$KECHO_DIR"
	wrong 'mode' -f -o mode=999 "$KECHO_DIR"
	wrong 'name' -f -o 'name=a b' "$KECHO_DIR"
	wrong 'listen' -f -o listen=nonsense:x "$KECHO_DIR"
	wrong . -o nosuch=1 "$KECHO_DIR"
}

@test "an address that others can reach needs insecure" {
	wrong 'insecure' -f -o listen=0.0.0.0 "$KECHO_DIR"
	wrong 'insecure' -o listen=0.0.0.0:17325 "$KECHO_DIR"
}

@test "a local node opens no sockets" {
	start
	# The inodes of all network sockets, and those that the daemon holds.
	awk '{ print "socket:[" $10 "]" }' "/proc/$(daemon)"/net/{tcp,tcp6,udp,udp6} | sort -u >"$T/net"
	find "/proc/$(daemon)/fd" -type l -printf '%l\n' | sort -u >"$T/fds"
	[[ -z $(comm -12 "$T/net" "$T/fds") ]]
	stop
}

@test "a mount point in use: a second daemon does no harm to the first" {
	start
	background timeout 10 "$KECHOFSD" -f "$KECHO_DIR" >"$T/second" 2>&1
	wait_until 'gone "$LAST_PID" || [[ ! -d $D ]]'
	kill -TERM "$LAST_PID" 2>/dev/null || :
	wait_exit "$LAST_PID" || :
	wait_until '[[ -d $D ]]'
	echo x >"$D/events"
	not gone "$(daemon)"
}

@test "SIGHUP changes nothing" {
	start
	subscribe "$D" 1 "$T/out"
	kill -HUP "$(daemon)"
	echo after >"$D/events"
	wait_until 'grep -qx after "$T/out"'
	stop
}

@test "Type=notify: READY=1 once the mount works" {
	local sock=$T/notify
	background timeout 20 "$KECHO_PYTHON" -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(s.recv(64).decode(), os.path.exists(sys.argv[2] + "/.node/stats"))' "$sock" "$KECHO_DIR" >"$T/ready"
	wait_until '[[ -S $T/notify ]]'
	NOTIFY_SOCKET=$sock start
	wait_until '[[ -s $T/ready ]]'
	[[ $(<"$T/ready") == 'READY=1 True' ]]
	stop
}
