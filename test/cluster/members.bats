# SPDX-License-Identifier: GPL-2.0
load cluster

@test "three hosts join a channel, list it and leave it" {
	local h id
	cluster_up 3
	join web 1 2 3
	id=$(own "$K/h1/web" id)
	for h in 1 2 3; do
		wait_until listed_is "$h" web contact "$id"
		listed_is "$h" web joined 1
		listed_is "$h" web addr 10.77.0.1:7325
		contact_is "$h" web h1
		own_is "$K/h$h/web" addr "10.77.0.$h:7325"
	done
	leave web 2
	all_see web 1 3
	wait_until listed_is 2 web joined 0
	flows web 1 3
	flows web 3 1
	leave web 1 3
	for h in 1 2 3; do wait_until listed_is "$h" web joined ''; done
}

@test "the same name again, after all have left" {
	cluster_up 2
	join web 1 2
	flows web 1 2
	leave web 1 2
	join web 2 1
	flows web 1 2
	flows web 2 1
}

@test "eight hosts: one publishes, seven read" {
	local h
	cluster_up 8
	join web 1 2 3 4 5 6 7 8
	listen web 1 2 3 4 5 6 7 8
	seq 1000 >"$K/h1/web/events"
	for h in 2 3 4 5 6 7 8; do
		heard "$h" 1000
		cmp <(seq 1000) "$K/out.$h"
	done
}

@test "eight hosts: all publish at once, all receive all, each publisher's in order" {
	local h from
	cluster_up 8
	join web 1 2 3 4 5 6 7 8
	setting web kecho.queue=2000 1 2 3 4 5 6 7 8
	listen web 1 1 2 3 4 5 6 7 8
	for from in 2 3 4 5 6 7 8; do
		for h in 1 2 3 4 5 6 7 8; do [[ $h == "$from" ]] || wait_until sinks_are "$from" web "$h" 1; done
	done
	for h in 1 2 3 4 5 6 7 8; do
		background seq -f "h$h %g" 200 >"$K/h$h/web/events"
	done
	for from in 1 2 3 4 5 6 7 8; do seq -f "h$from %g" 200; done >"$K/all"
	for h in 1 2 3 4 5 6 7 8; do
		heard "$h" 1600
		cmp "$K/all" <(sort -s -k 1,1 "$K/out.$h")
	done
}

@test "mkdir waits until joined, and no longer: what is published right after it arrives" {
	local i line start
	cluster_up 2
	for i in {1..10}; do
		mkdir "$K/h1/c$i"
		exec 8<"$K/h1/c$i/events"
		start=${EPOCHREALTIME/./}
		mkdir "$K/h2/c$i"
		((${EPOCHREALTIME/./} - start < 1000000 * KECHO_SLOW)) || fail "took $((${EPOCHREALTIME/./} - start)) us"
		echo "$i" >"$K/h2/c$i/events"
		IFS= read -r -t 5 -u 8 line
		[[ $line == "$i" ]]
		exec 8<&-
	done
}

@test "what is published once a new subscription shows arrives" {
	local i line
	cluster_up 2
	for i in {1..10}; do
		mkdir "$K/h1/c$i" "$K/h2/c$i"
		exec 8<"$K/h2/c$i/events"
		wait_until sinks_are 1 "c$i" 2 1
		echo "$i" >"$K/h1/c$i/events"
		IFS= read -r -t 5 -u 8 line
		[[ $line == "$i" ]]
		exec 8<&-
	done
}

@test "two hosts make the same channel at once" {
	local i
	cluster_up 2
	for i in {1..5}; do
		background mkdir "$K/h1/c$i"
		mkdir "$K/h2/c$i"
		wait_exit "$LAST_PID"
		all_see "c$i" 1 2
		wait_until one_contact "c$i" 1 2
	done
	flows c5 1 2
	flows c5 2 1
}

@test "attributes set on each host show on all" {
	local h from
	cluster_up 3
	join load 1 2 3
	for h in 1 2 3; do set_attr "$h" load "load=0.$h" "rack=r$h" "cpus=$h"; done
	for h in 1 2 3; do
		for from in 1 2 3; do
			wait_until '[[ $(member "$K/h$h/load" "h$from" load) == 0.$from ]]'
			[[ $(member "$K/h$h/load" "h$from" rack) == "r$from" ]]
			[[ $(member "$K/h$h/load" "h$from" cpus) == "$from" ]]
		done
	done
	set_attr 2 load rack= cpus=64
	wait_until '[[ $(member "$K/h3/load" h2 cpus) == 64 ]]'
	[[ -z $(member "$K/h3/load" h2 rack) ]]
	[[ $(member "$K/h3/load" h1 rack) == r1 ]]
}

@test "attributes reach a host that joins later" {
	cluster_up 2
	mkdir "$K/h1/load"
	set_attr 1 load load=0.5 'rack="7"'
	mkdir "$K/h2/load"
	wait_until '[[ $(member "$K/h2/load" h1 load) == 0.5 ]]'
	[[ $(member "$K/h2/load" h1 rack) == '"7"' ]]
}

@test "settings made on one host show on all, and on one that joins later" {
	cluster_up 3
	join web 1 2
	setting web kecho.overflow=block 1 2
	setting web kecho.queue=77 2 1
	setting web kecho.retain=5 2 1
	setting web kecho.order=priority 1 2
	mkdir "$K/h3/web"
	local s
	for s in overflow=block queue=77 retain=5 order=priority; do
		wait_until has_line "$K/h3/web/attrs" "kecho.$s"
	done
}

@test "without a group server: nodes that know a peer" {
	local h
	net_up 3
	node_up 1 ''
	node_up 2 peer=10.77.0.1
	node_up 3 peer=10.77.0.1:7325
	for h in 2 3; do wait_until '[[ $(field state <"$K/h$h/.node/peers") == up ]]'; done
	join web 1 2 3
	flows web 1 2 3
	flows web 3 1 2
	[[ $(listed 2 web joined) == 1 ]]
}

@test "a registry inside a node" {
	local h
	net_up 3
	node_up 1 registry
	for h in 2 3; do node_up "$h" group=10.77.0.1; done
	join web 1 2 3
	join log 2 3
	wait_until listed_is 1 log joined 0
	flows web 1 2 3
	flows log 3 2
}

@test "several group servers: the first that answers" {
	net_up 3
	group_up
	node_up 1
	node_up 2 "group=10.77.0.3:7326,group=$GROUP"
	join web 1 2
	flows web 1 2
}

@test "retained events reach a host that joins later" {
	cluster_up 2
	mkdir "$K/h1/state"
	set_attr 1 state kecho.retain=3
	seq 5 >"$K/h1/state/events"
	mkdir "$K/h2/state"
	listen state 1 2
	heard 2 3
	echo 6 >"$K/h1/state/events"
	heard 2 4
	cmp <(seq 3 6) "$K/out.2"
}

@test "nodes that listen on every address find each other" {
	net_up 3
	node_up 1 listen=0.0.0.0
	node_up 2 'listen=*,peer=10.77.0.1'
	node_up 3 listen=0.0.0.0,peer=10.77.0.2
	join web 1 2 3
	flows web 1 2 3
	flows web 3 1 2
	[[ $(member "$K/h3/web" h1 addr) == 10.77.0.1:7325 ]]
}

@test "the same list of peers on all hosts: a node that is told of itself calls itself once" {
	local h before
	net_up 2
	for h in 1 2; do node_up "$h" peer=10.77.0.1,peer=10.77.0.2; done
	join web 1 2
	flows web 1 2
	wait_until '! grep -q state=connecting "$K/h1/.node/peers" "$K/h2/.node/peers"'
	before=$(counter 1 connects)
	sleep 1
	[[ $(counter 1 connects) == "$before" ]]
}

@test "2,000 channels on one node do not keep another from linking" {
	net_up 2
	node_up 1 ''
	(cd "$K/h1" && seq -f c%g 2000 | xargs mkdir)
	node_up 2 peer=10.77.0.1
	wait_until '[[ $(field state <"$K/h2/.node/peers") == up ]]'
	mkdir "$K/h2/c2000"
	flows c2000 1 2
	[[ $(counter 1 resets) == 0 ]]
}
