# SPDX-License-Identifier: GPL-2.0
# kecho-httpd-lb in front of real web servers.
load cluster
load web

# lb_up HOST ARGS...: clients at 10.77.0.HOST:80, its pid in LB[HOST]
declare -gA LB=()
lb_up()
{
	KECHO_DIR=$K/h$1 on_background "$1" "$KECHO_BUILD/bin/kecho-httpd-lb" -c web -l "10.77.0.$1:80" -b 127.0.0.1:8080 "${@:2}" 2>"$K/lb.$1"
	LB[$1]=$LAST_PID
	wait_until "listens $1 80 || gone $LAST_PID"
	! gone "$LAST_PID" || fail "kecho-httpd-lb: $(<"$K/lb.$1")"
}

# web_up N ARGS...: N hosts with a web server each, which takes one request after another, RATE[HOST] or 250 a second
declare -gA RATE=()
web_up()
{
	local h o hosts=()
	need nginx curl python3
	find_python
	mapfile -t hosts < <(seq "$1")
	cluster_up "$1"
	for h in "${hosts[@]}"; do
		nginx_up "$h" 127.0.0.1 "limit_req_zone \$server_port zone=z:1m rate=${RATE[$h]-250}r/s;" \
			'limit_req zone=z burst=1000;' 'error_page 405 =200 $uri;'
		lb_up "$h" "${@:2}"
	done
	all_see web "${hosts[@]}"
	all_see web.answers "${hosts[@]}"
	for h in "${hosts[@]}"; do
		for o in "${hosts[@]}"; do
			[[ $h == "$o" ]] || wait_until "sinks_are $h web $o 1 && sinks_are $h web.answers $o 1"
		done
	done
}

# drive RATE COUNT METHOD HOST...: what came of it in $K/drive
drive()
{
	local rate=$(($1 / KECHO_SLOW)) count=$2 method=$3
	shift 3
	on 0 "$KECHO_PYTHON" -S "$KECHO_TOP/test/cluster/drive.py" "$rate" "$count" "$method" "${@/#/10.77.0.}" >"$K/drive"
}
# count CONDITION: how many of the lines of the drive, by awk
count() { awk "BEGIN { n = 0 } $1 { n++ } END { print n }" "$K/drive"; }
asked() { cat "$K"/asked.*; }

nginx_kill()	# HOST
{
	kill -KILL "${NGINX[$1]}"
	wait_until "! listens $1 8080"
}

@test "a request, and its answer, as they are" {
	web_up 1
	local url=http://10.77.0.1/name
	[[ $(on 1 curl -sS $url) == h1 ]]
	on 1 curl -sSI $url >"$K/head"
	grep -qx $'Content-Length: 3\r' "$K/head"
	grep -qx $'X-Kecho-Served-By: h1\r' "$K/head"
	grep -q '^ETag: ' "$K/head"
	[[ $(on 1 curl -sS -X POST -d a=b "$url?x=y%20z&e") == h1 ]]
	[[ $(on 1 curl -sS -o "$K/none" -w '%{http_code}' http://10.77.0.1/%6Eone) == 404 ]]
	[[ $(on 1 curl -sS -o "$K/delete" -w '%{http_code}' -X DELETE $url) == 200 ]]
	diff - "$K/asked.1" <<-'END'
		GET /name HTTP/1.1 200
		HEAD /name HTTP/1.1 200
		POST /name?x=y%20z&e HTTP/1.1 200
		GET /%6Eone HTTP/1.1 404
		DELETE /name HTTP/1.1 200
	END

	head -c 900000 /dev/urandom >"$K/nginx.1/big"
	on 1 curl -sS http://10.77.0.1/big | cmp - "$K/nginx.1/big"
	[[ $(on 1 curl -sS --data-binary "@$K/nginx.1/big" $url) == h1 ]]
	[[ $(head -c 1100000 /dev/zero | on 1 curl -sS -o "$K/413" -w '%{http_code}' --data-binary @- $url) == 413 ]]
	[[ $(head -c 1100000 /dev/zero | on 1 curl -sS -o "$K/413" -w '%{http_code}' -T - $url) == 413 ]]
	[[ $(grep -c 'big\|POST\|PUT' "$K/asked.1") == 3 ]]
}

@test "what the web server sees: the fields of the request, but those of the connection" {
	web_up 1
	nginx_kill 1
	on_background 1 "$KECHO_PYTHON" -S -c '
import socket, sys
c = socket.create_server(("127.0.0.1", 8080)).accept()[0]
while b"\r\n\r\n" not in sys.argv[1].encode():
    sys.argv[1] += c.recv(4096).decode()
open(sys.argv[2], "w").write(sys.argv[1])
c.sendall(b"HTTP/1.1 200 OK\r\nConnection: x-mine\r\nX-Mine: 1\r\nX-Yours: 2\r\nContent-Length: 2\r\n\r\nok")' '' "$K/seen"
	wait_until listens 1 8080
	on 1 curl -sSi -H 'Connection: close, x-drop' -H 'X-Drop: 1' -H 'X-Keep: a  b' -H 'X-Keep: c' -H 'TE: trailers' -H 'Host: web.example' \
		-H 'Accept:' -H 'User-Agent:' http://10.77.0.1/a >"$K/answer"
	diff - <(tr -d '\r' <"$K/seen") <<-'END'
		GET /a HTTP/1.1
		Host: web.example
		X-Keep: a  b
		X-Keep: c
		Via: 1.1 kecho
		X-Forwarded-For: 10.77.0.1

	END
	grep -q '^X-Yours: 2' "$K/answer"
	! grep -q '^X-Mine' "$K/answer" || fail "$(<"$K/answer")"
}

@test "what has not changed: the length is that of what is not sent" {
	web_up 1
	nginx_kill 1
	on_background 1 "$KECHO_PYTHON" -S -c '
import socket
s = socket.create_server(("127.0.0.1", 8080))
while True:
    c = s.accept()[0]
    c.recv(4096)
    c.sendall(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 123\r\n\r\n")
    c.close()'
	wait_until listens 1 8080
	on 1 curl -sSi http://10.77.0.1/a >"$K/answer"
	grep -q '^HTTP/1.1 304 ' "$K/answer"
	[[ $(grep -i '^Content-Length' "$K/answer") == $'Content-Length: 123\r' ]]
}

@test "what comes by the channel and is no request does not reach the web server" {
	web_up 1
	local i=1 bad
	for bad in '' 'GET' 'GET\0/bad' 'GET\0/bad\0' 'GET\0/bad\0A\0' 'GET\0/bad\0A\0b\0' 'GET\0\0\0' 'GET /x\0/bad\0\0' 'GET\0/bad HTTP/1.1\r\nA: b\0\0' \
		'GET\0/bad\0A\0b\r\nC: d\0\0' 'GET\0/bad\0A: b\r\nC\0d\0\0'; do
		printf "$bad" | KECHO_DIR=$K/h1 "$KECHO_BUILD/bin/kecho" pub -t ask -a "id=$((i++))" -f - web
	done
	printf 'GET\0/name\0A\0b\0\0' | KECHO_DIR=$K/h1 "$KECHO_BUILD/bin/kecho" pub -t ask -a "id=$i" -f - web
	wait_until '[[ -s $K/asked.1 ]]'
	[[ $(<"$K/asked.1") == 'GET /name HTTP/1.1 200' ]]
	[[ $(on 1 curl -sS http://10.77.0.1/name) == h1 ]]
}

@test "under even load every host serves its own" {
	web_up 3
	drive 180 270 GET 1 2 3
	[[ $(count '$3 == 200 && $1 == $5') == 270 ]] || fail "$(<"$K/drive")"
}

@test "a slow host forwards: all is answered soon, also by post" {
	RATE[1]=5
	web_up 3 -s 1 -q 4 -w 0.2
	drive 60 90 GET 1
	[[ $(count '$3 == 200') == 90 && $(count '$5 == "h1"') -ge 3 && $(count '$5 == "h2"') -ge 15 && $(count '$5 == "h3"') -ge 15 ]] ||
		fail "$(<"$K/drive")"
	((KECHO_SLOW > 1 || $(count '$4 > 1000') == 0)) || fail "$(<"$K/drive")"
	drive 60 60 POST 1
	[[ $(count '$3 == 200') == 60 && $(count '$5 != "h1"') -ge 30 ]] || fail "$(<"$K/drive")"
	[[ $(asked | grep -c POST) == 60 && $(asked | grep POST | sort -u | wc -l) == 60 ]]
}

@test "what is too large for an event is answered by the host that was asked" {
	local driver curl nginx
	web_up 2 -s 1 -q 0 -w 0.2
	for h in 1 2; do head -c 1100000 /dev/zero >"$K/nginx.$h/large"; done
	nginx=${NGINX[1]}
	kill -STOP $nginx
	background drive 500 1 GET 1
	driver=$LAST_PID
	wait_until sink_is "$K/h1/web" "${LB[1]}" load 1.0
	on_background 1 curl -sS -D "$K/head" -o "$K/large" http://10.77.0.1/large
	curl=$LAST_PID
	wait_until grep -q /large "$K/asked.2"
	kill -CONT $nginx
	wait_exit "$curl" 30
	wait_exit "$driver"
	cmp "$K/large" "$K/nginx.1/large"
	grep -qx $'X-Kecho-Served-By: h1\r' "$K/head"
}

@test "a web server and a host are killed under load: everything is answered" {
	local driver
	RATE[1]=5
	web_up 3 -s 1 -q 4 -w 0.2
	background drive 50 150 GET 1 2
	driver=$LAST_PID
	wait_until '(($(asked | wc -l) > 25))'
	nginx_kill 2
	wait_until '(($(asked | wc -l) > 60))'
	kill -KILL "${LB[3]}"
	rm "$K/nginx.2/pid"
	nginx_up 2 127.0.0.1
	wait_exit "$driver" 30
	[[ $(count '$3 == 200') == 150 && $(count '$5 == "h3"') -ge 5 ]] || fail "$(<"$K/drive")"
}

@test "wrk at a bounded rate, a slow host, a web server killed: no request is lost" {
	local wrk
	RATE[1]=5
	web_up 3 -s 1 -q 4 -w 0.2
	on_background 0 wrk -t 1 -c 8 -d $((3 * KECHO_SLOW))s --timeout $((10 * KECHO_SLOW))s -s "$KECHO_TOP/test/cluster/rate.lua" \
		http://10.77.0.1/name >"$K/wrk"
	wrk=$LAST_PID
	wait_until '(($(asked | wc -l) > 25))'
	nginx_kill 3
	wait_exit "$wrk" 20 || fail "$(<"$K/wrk")"
	[[ $(<"$K/wrk") != *@(errors|Non-2xx)* ]] || fail "$(<"$K/wrk")"
	(($(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$K/wrk") > 25)) || fail "$(<"$K/wrk")"
}

@test "a host is killed under load: what is posted is done at most once" {
	local driver
	RATE[1]=5 RATE[3]=20
	web_up 3 -s 2 -q 4 -w 0.2
	background drive 50 100 POST 1
	driver=$LAST_PID
	wait_until '(($(asked | wc -l) > 25))'
	kill -KILL "${LB[3]}"
	wait_exit "$driver" 30
	# What was at the host that has died may have been done: nobody knows.
	[[ $(count '$3 == 200') -ge 90 && $(count '$3 != 200 && $3 != 502') == 0 ]] || fail "$(<"$K/drive")"
	[[ $(asked | cut -d ' ' -f 2 | sort | uniq -d) == '' ]] || fail "$(asked | sort)"
	asked | awk '$4 == 200 { print $2 }' | sort >"$K/posted"
	[[ $(awk '$3 == 200 { print "/name?" $2 }' "$K/drive" | sort | comm -23 - "$K/posted") == '' ]]
}

@test "two hosts are asked, one of them hangs: the other one answers, and it is told to stop" {
	local driver h i
	web_up 3 -s 1 -q 0 -n 2
	kill -STOP "${NGINX[1]}" "${NGINX[3]}"
	background drive 500 1 GET 1
	driver=$LAST_PID
	wait_until sink_is "$K/h1/web" "${LB[1]}" load 1.0
	for ((i = 0; i < 4; i++)); do
		[[ $(on 1 curl -m $((5 * KECHO_SLOW)) -sS http://10.77.0.1/name) == h2 ]]
		wait_until sink_is "$K/h3/web" "${LB[3]}" load 0.0
		wait_until sink_is "$K/h2/web" "${LB[2]}" load 0.0
	done
	kill -CONT "${NGINX[1]}" "${NGINX[3]}"
	wait_exit "$driver"
	[[ $(count '$3 == 200 && $5 == "h1"') == 1 ]]
	# It may be told to stop before it has begun, but not each time.
	wait_until '[[ -s $K/asked.3 ]]'
}

@test "SIGTERM: what runs is answered, what waits goes to others" {
	local driver nginx
	web_up 2 -s 4 -w 30
	nginx=${NGINX[1]}
	kill -STOP $nginx
	background drive 500 20 GET 1
	driver=$LAST_PID
	wait_until sink_is "$K/h1/web" "${LB[1]}" queue 16
	kill -TERM "${LB[1]}"
	wait_until '(($(wc -l <"$K/asked.2") == 16))'
	kill -CONT $nginx
	wait_exit "$driver" 30
	wait_exit "${LB[1]}"
	[[ $(count '$3 == 200 && $5 == "h1"') == 4 && $(count '$3 == 200 && $5 == "h2"') == 16 ]] || fail "$(<"$K/drive")"
}

@test "nobody has room: 503; no answer: 504" {
	local driver
	web_up 1 -s 1 -q 0 -t 0.5
	nginx_kill 1
	on_background 1 nc -lk 127.0.0.1 8080 >"$K/seen"
	wait_until listens 1 8080
	background drive 100 1 GET 1
	driver=$LAST_PID
	wait_until '[[ -s $K/seen ]]'
	on 1 curl -sSi http://10.77.0.1/name >"$K/503"
	grep -q '^HTTP/1.1 503 ' "$K/503"
	grep -qx $'Retry-After: 1\r' "$K/503"
	wait_exit "$driver"
	[[ $(count '$3 == 504') == 1 ]] || fail "$(<"$K/drive")"
}

@test "the node ends, and another one starts: requests are answered all the while, and forwarded again" {
	[[ $(backend_of 1) == fuse ]] || skip "the channel keeps a kernel's node"
	RATE[1]=5
	web_up 2 -s 1 -q 4 -w 0.2
	node_kill 1
	wait_until grep -q 'the node has gone' "$K/lb.1"
	[[ $(on 1 curl -sS http://10.77.0.1/name) == h1 ]]
	node_up 1
	all_see web 1 2
	all_see web.answers 1 2
	wait_until "sinks_are 1 web 2 1 && sinks_are 2 web.answers 1 1"
	drive 60 30 GET 1
	[[ $(count '$3 == 200') == 30 && $(count '$5 == "h2"') -ge 15 ]] || fail "$(<"$K/drive")"
	grep -q least "$K/h1/web/filter"
}
