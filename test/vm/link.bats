# SPDX-License-Identifier: GPL-2.0
load vm

resets() { sed -n 's/^resumes=//p' "$K/h1/.node/stats"; }

@test "a link cut and restored under traffic: nothing is lost, nothing comes twice" {
	local i p n=$((DEBUG_KERNEL ? 1000 : 5000)) before
	HEARTBEAT=$((2000 * KECHO_SLOW))
	cable
	node 1
	mkdir "$K/h1/web"
	node 2 peer=10.77.0.1
	mkdir "$K/h2/web"
	wait_until sees 1 web h1 h2
	echo kecho.overflow=block >"$K/h1/web/attrs"
	wait_until grep -qx kecho.overflow=block "$K/h2/web/attrs"
	subscribe "$K/h2/web" 0 "$K/out"
	wait_until knows 1 web h2 1
	for i in {0..9}; do
		before=$(resets)
		background seq $((i * n + 1)) $((i * n + n)) >"$K/h1/web/events"
		p=$LAST_PID
		wait_until '(($(wc -l <"$K/out") > i * n))'
		case $((i % 3)) in
		0)
			net $((1 + i % 2)) link set eth0 down
			sleep 1	# the outage
			net $((1 + i % 2)) link set eth0 up
			;;
		*)
			on "$((i % 3))" ss -K dst "10.77.0.$((3 - i % 3))" >/dev/null
			wait_until '(($(resets) > before))'
			;;
		esac
		wait_exit "$p" 60
	done
	wait_until -t 60 lines_are "$K/out" $((10 * n))
	cmp <(seq $((10 * n))) "$K/out"
	[[ $(member "$K/h2/web" h1 lost) == 0 ]]
}
