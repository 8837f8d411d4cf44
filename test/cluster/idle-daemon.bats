# SPDX-License-Identifier: GPL-2.0
# What a daemon costs while nothing happens.
load cluster

# calls PID SECONDS: how many system calls it begins in that time. The first second is left out: to attach to a thread
# ends the call that it is in.
calls()
{
	local start=$EPOCHREALTIME
	timeout -s INT $(($2 + 1)) strace -qq -f -ttt -o "$K/strace" -p "$1" || (($? == 124)) || return
	awk -v t="$start" '$2 > t + 1 && !/resumed>|detached|^[0-9]+ +[0-9.]+ (---|\+\+\+)/ { n++ } END { print n + 0 }' "$K/strace"
}

# A node without a network.
local_up() { backend_start "$K/h1" "name=h1"; UP[1]=1; }

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(node_pid 1)/status"; }
tasks() { local t=("/proc/$(node_pid 1)/task/"*); echo ${#t[@]}; }
real_memory() { ! grep -q __asan_init "$KECHOFSD" || skip "a sanitizer's memory is not the program's"; }

@test "an idle local node makes no system calls" {
	local n
	local_up
	mkdir "$K/h1/web"
	subscribe "$K/h1/web" 0 "$K/out"
	echo x >"$K/h1/web/events"
	wait_until lines_are "$K/out" 1
	n=$(calls "$(node_pid 1)" 3)
	((n == 0)) || fail "$n calls: $(tail -n 5 "$K/strace")"
}

@test "an idle cluster only sends heartbeats and renews leases" {
	local n
	cluster_up 2
	join web 1 2
	listen web 1 2
	n=$(calls "$(node_pid 2)" 3)
	note "$n system calls in 3 s, with a heartbeat each $HEARTBEAT ms"
	((n > 0 && n <= 300))
}

@test "2,000 blocked readers cost no threads and less than 1 KiB each" {
	local before tasks after reader
	real_memory
	local_up
	mkdir "$K/h1/web"
	cat >"$K/readers.py" <<-'END'
		import os, resource, sys, threading
		path, n = sys.argv[1], int(sys.argv[2])
		hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
		resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
		threading.stack_size(64 << 10)
		got = []
		def read(fd):
		    got.append(os.read(fd, 100))
		threads = [threading.Thread(target=read, args=(os.open(path, os.O_RDONLY),)) for _ in range(n)]
		for t in threads: t.start()
		for t in threads: t.join()
		sys.exit(got != [b'x\n'] * n)
	END
	readers()	# N: that many threads, each blocked in a read
	{
		background "$KECHO_PYTHON" -S "$K/readers.py" "$K/h1/web/events" "$1"
		reader=$LAST_PID
		wait_until -t 30 own_is "$K/h1/web" sinks "$1"
		wait_until -t 30 '(($(cat /proc/$reader/task/*/syscall | grep -c "^0 ") == '"$1))"
	}
	find_python
	readers 50	# whatever the daemon needs for the first ones
	echo x >"$K/h1/web/events"
	wait_exit "$reader"
	wait_until own_is "$K/h1/web" sinks 0
	before=$(rss) tasks=$(tasks)
	readers 2000
	after=$(rss)
	note "2000 blocked readers: $(((after - before) * 1024 / 2000)) bytes each, $(tasks) threads (before: $tasks)"
	(($(tasks) <= tasks))
	((after - before < 2000))
	echo x >"$K/h1/web/events"
	wait_exit "$reader" 30
}

@test "1,000 idle channels: less than 4 KiB each" {
	local before after
	real_memory
	local_up
	mkdir "$K"/h1/warm{1..200}
	before=$(rss)
	mkdir "$K"/h1/c{1..1000}
	after=$(rss)
	note "1000 idle channels: $(((after - before) * 1024 / 1000)) bytes each"
	((after - before < 4000))
	rmdir "$K"/h1/c{1..1000}
}
