# SPDX-License-Identifier: GPL-2.0
load cluster

@test "the contact dies: the longest-standing member takes over; .node/events tells of the link" {
	local epoch h
	cluster_up 3 4
	join web 1 2 3
	contact_is 3 web h1
	epoch=$(listed 3 web epoch)
	background cat "$K/h3/.node/events" >"$K/news"
	node_kill 1
	all_see web 2 3
	for h in 2 3; do
		wait_until contact_is "$h" web h2
		wait_until '(($(listed "$h" web epoch) > epoch))'
		wait_until listed_is "$h" web contact "$(own "$K/h2/web" id)"
	done
	flows web 3 2
	flows web 2 3
	node_up 4
	mkdir "$K/h4/web"
	all_see web 2 3 4
	flows web 4 2 3
	wait_until grep -qP '^peer\tid=[0-9a-f]{16}\tnode=h1\tstate=down$' "$K/news"
	wait_until grep -qP '^peer\tid=[0-9a-f]{16}\tnode=h4\tstate=up$' "$K/news"
}

@test "contacts die one after another, until one member is left" {
	local h
	cluster_up 4
	join web 1 2 3 4
	for h in 1 2 3; do
		node_kill "$h"
		wait_until contact_is 4 web "h$((h + 1))"
	done
	wait_until sees 4 web 4
	node_up 2
	mkdir "$K/h2/web"
	all_see web 2 4
	flows web 2 4
}

@test "the contact leaves: another takes over" {
	cluster_up 3 4
	join web 1 2 3
	leave web 1
	all_see web 2 3
	wait_until contact_is 2 web h2
	wait_until contact_is 3 web h2
	node_up 4
	mkdir "$K/h4/web"
	all_see web 2 3 4
	flows web 4 2 3
}

@test "the group server dies: channels go on; when it is back it lists them and a new host joins" {
	cluster_up 3 4
	join web 1 2 3
	join log 2 3
	group_stop
	flows web 1 2 3
	flows log 3 2
	set_attr 2 web up=1
	wait_until '[[ $(member "$K/h3/web" h2 up) == 1 ]]'
	group_up
	node_up 4
	wait_until -t 20 listed_is 4 web joined 0
	wait_until -t 20 listed_is 4 log joined 0
	[[ $(listed 4 log contact) == "$(own "$K/h2/log" id)" ]]
	mkdir "$K/h4/web"
	all_see web 1 2 3 4
	flows web 1 2 3 4
	flows web 4 1 2 3
}

@test "while the group server is away a member dies and another leaves" {
	cluster_up 4
	join web 1 2 3 4
	group_stop
	node_kill 1
	leave web 3
	all_see web 2 4
	wait_until contact_is 4 web h2
	flows web 4 2
	group_up
	wait_until -t 20 listed_is 3 web contact "$(own "$K/h2/web" id)"
	mkdir "$K/h3/web"
	all_see web 2 3 4
}

@test "a partition: both halves work, and become one again" {
	local h
	cluster_up 4
	join web 1 2 3 4
	switch br1 3 4
	all_see web 1 2
	all_see web 3 4
	contact_is 1 web h1
	contact_is 2 web h1
	for h in 3 4; do wait_until contact_is "$h" web h3; done
	flows web 1 2
	flows web 4 3
	switch br0 3 4
	all_see web 1 2 3 4
	wait_until one_contact web 1 2 3 4
	flows web 1 2 3 4
	flows web 4 1 2 3
}

@test "a partition without a group server heals as well" {
	net_up 3
	node_up 1 ''
	node_up 2 peer=10.77.0.1
	node_up 3 peer=10.77.0.1
	join web 1 2 3
	switch br1 3
	all_see web 1 2
	wait_until sees 3 web 3
	switch br0 3
	all_see web 1 2 3
	flows web 3 1 2
	flows web 1 2 3
}

@test "a host that falls silent is suspect, then gone" {
	cluster_up 3
	join web 1 2 3
	unplug 3
	wait_until '[[ $(member "$K/h1/web" h3 state) == suspect ]]'
	[[ $(member "$K/h1/web" h2 state) == alive ]]
	all_see web 1 2
	flows web 1 2
	plug 3
	all_see web 1 2 3
	flows web 1 2 3
}

@test "a node that is killed is suspect, then gone, and comes back as a new one" {
	local id
	cluster_up 2
	join web 1 2
	id=$(own "$K/h2/web" id)
	node_kill 2
	wait_until '[[ $(member "$K/h1/web" h2 state) != alive ]]'
	wait_until sees 1 web 1
	node_up 2
	mkdir "$K/h2/web"
	all_see web 1 2
	[[ $(own "$K/h2/web" id) != "$id" ]]
	flows web 1 2
}

@test "a node that is stopped is gone at once" {
	HEARTBEAT=$((5000 * KECHO_SLOW)) cluster_up 2
	join web 1 2
	node_stop 2
	wait_until -t 3 sees 1 web 1
}

@test "malformed peers are cut off and counted, and harm nobody" {
	local attack h
	cluster_up 2 5
	join web 1 2
	# Host 3 attacks the node and the group server on host 1, and the node on host 4, which calls it.
	find_python
	on_background 3 "$KECHO_PYTHON" -S "$BATS_TEST_DIRNAME/garbage.py" \
		10.77.0.3:7325 10.77.0.1:7325 "$GROUP" >"$K/attack" 2>&1
	attack=$LAST_PID
	wait_until grep -q listening "$K/attack"
	node_up 4 peer=10.77.0.3
	while ! gone "$attack"; do flows web 1 2; done
	wait_exit "$attack" || fail "$(<"$K/attack")"
	note "$(grep 7325: "$K/attack"), $(counter 1 protocol_errors) protocol errors counted"
	(($(counter 1 protocol_errors) > 0 && $(counter 4 protocol_errors) > 0))
	for h in 1 2; do sees "$h" web 1 2; done
	flows web 2 1
	mkdir "$K/h4/local"
	node_up 5
	mkdir "$K/h5/web"
	all_see web 1 2 5
	flows web 5 1 2
}
