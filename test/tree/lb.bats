# SPDX-License-Identifier: GPL-2.0
# kecho serve and kecho req, on one node.
load setup

kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
# serve OPTION... -- COMMAND...: in LAST_PID, once it can be asked
serve()
{
	background "$KECHO_BUILD/bin/kecho" serve "$@" 2>"$T/serve"
	wait_until serving "$LAST_PID" || fail "$(<"$T/serve")"
}
serving() { [[ -n $(sink "$CH" "$1" serves) ]] || gone "$1"; }
# ask OPTION... DATA: its answer in OUT, its exit status in STATUS
ask() { STATUS=0; OUT=$(kecho req "$@" 2>"$T/err" </dev/null) || STATUS=$?; }

teardown()
{
	reap
	wait_until rmdir "$D" "$D.answers"
}

@test "a request is a command's input, its output the answer, its status ours" {
	# shellcheck disable=SC2016
	serve "$CH" -- bash -c 'read -r x; echo "$x to you"; echo "$KECHO_CHANNEL ${#KECHO_REQUEST}"; exit "${x#good }"'
	ask "$CH" good 3
	[[ $STATUS == 3 && $OUT == $'good 3 to you\n'"$CH 16" ]]
	[[ $(printf 'good 0' | kecho req "$CH") == 'good 0 to you'* ]]
}

@test "bytes are as they were, up to max_event; what is larger is refused on either side" {
	serve "$CH" -- cat
	head -c 900000 /dev/urandom >"$T/data"
	kecho req "$CH" <"$T/data" | cmp - "$T/data"
	head -c 2000000 /dev/zero >"$T/large"
	STATUS=0
	kecho req "$CH" <"$T/large" 2>"$T/err" || STATUS=$?
	[[ $STATUS == 1 && $(<"$T/err") == *'max_event'* ]]
	kill "$LAST_PID"
	wait_exit "$LAST_PID"
	serve "$CH" -- head -c 2000000 /dev/zero
	ask "$CH" x
	[[ $STATUS == 1 && -z $OUT && $(<"$T/err") == *'could not answer: Message too long'* ]]
}

@test "some at a time, the others wait; what members say is its load" {
	# shellcheck disable=SC2016
	serve -j 2 -q 3 "$CH" -- bash -c 'read -r f; echo $$ >"$f"; exec tail -f --pid="$(cat '"$T/hold"')" /dev/null'
	background sleep 1000
	echo "$LAST_PID" >"$T/hold"
	local i hold=$LAST_PID asks=()
	for i in 1 2 3 4; do
		background "$KECHO_BUILD/bin/kecho" req "$CH" "$T/began.$i"
		asks+=("$LAST_PID")
	done
	wait_until '[[ $(compgen -G "$T/began.*" | wc -l) == 2 && $(pick serves=2 queue <"$D/members") == 2 ]]'
	[[ $(pick serves=2 load <"$D/members") == 2.0 ]]
	kill "$hold"
	for i in "${asks[@]}"; do wait_exit "$i"; done
	[[ $(compgen -G "$T/began.*" | wc -l) == 4 ]]
	wait_until '[[ $(pick serves=2 load <"$D/members") == 0.0 ]]'
}

@test "no server: status 124; one that comes later is found" {
	ask -W 0.3 "$CH" x
	[[ $STATUS == 124 && $(<"$T/err") == *'no answer in time: has any host a server'* ]]
	background "$KECHO_BUILD/bin/kecho" req "$CH" x
	local asker=$LAST_PID
	wait_until '[[ $(head -n 1 "$D.answers/members" | field sinks) == 1 ]]'
	serve "$CH" -- cat
	wait_exit "$asker"
}

@test "who gives up has the command killed, unless it must not be done twice" {
	# shellcheck disable=SC2016
	serve -j 2 "$CH" -- bash -c 'read -r f; echo $$ >"$f"; exec sleep 1000'
	ask -W 0.5 "$CH" "$T/twice"
	[[ $STATUS == 124 ]]
	wait_until gone "$(<"$T/twice")"
	ask -W 0.5 --once "$CH" "$T/once"
	[[ $STATUS == 124 ]]
	kill -0 "$(<"$T/once")"
	kill -KILL "$(<"$T/once")"
}

@test "once: it is begun, and answered; a server that dies then is an error, not another try" {
	# shellcheck disable=SC2016
	serve "$CH" -- bash -c 'read -r f; echo x >>"$f"; [[ $f == *good ]] || kill -KILL $PPID'
	ask --once "$CH" "$T/good"
	[[ $STATUS == 0 && $(<"$T/good") == x ]]
	ask --once "$CH" "$T/bad"
	[[ $STATUS == 1 && $(<"$T/bad") == x && $(<"$T/err") == *'it may have been done'* ]]
}

@test "once: a server that is ended while it runs is an error, not another try" {
	# shellcheck disable=SC2016
	local command='read -r f; echo x >>"$f"; exec sleep 1000' first status=0
	serve "$CH" -- bash -c "$command"
	first=$LAST_PID
	background "$KECHO_BUILD/bin/kecho" req --once "$CH" "$T/begun" 2>"$T/err"
	local asker=$LAST_PID
	wait_until '[[ -s $T/begun ]]'
	serve "$CH" -- bash -c "$command"
	# Twice, or more often.
	wait_until 'kill -TERM "$first"; gone "$first"'
	wait_exit "$first"
	wait_exit "$asker" || status=$?
	[[ $status == 1 && $(<"$T/begun") == x && $(<"$T/err") == *'it may have been done'* ]]
}

@test "a command that cannot be started is given back, and the server lives" {
	local i asks=()
	serve -j 4 "$CH" -- bash -c 'read -r f; echo x >>"$f"; sleep 0.5'
	local server=$LAST_PID
	ask "$CH" "$T/first"	# by which it has all other descriptors
	# Room for one, which has three when it runs, and four before.
	prlimit --pid "$server" --nofile=$(($(ls "/proc/$server/fd" | awk '$1 < 200' | wc -l) + 4)):
	for i in 1 2 3; do
		background "$KECHO_BUILD/bin/kecho" req "$CH" "$T/done"
		asks+=("$LAST_PID")
	done
	for i in "${asks[@]}"; do wait_exit "$i"; done
	[[ $(wc -l <"$T/done") == 3 && $(<"$T/serve") == *'cannot start bash: Too many open files'* ]]
	! gone "$server"
}

@test "a server that is killed leaves no command behind, but what must not be done twice" {
	local pid
	serve -j 2 "$CH" -- bash -c 'read -r f; echo $$ >"$f"; exec sleep 1000'
	background "$KECHO_BUILD/bin/kecho" req -W 60 "$CH" "$T/twice"
	background "$KECHO_BUILD/bin/kecho" req -W 60 --once "$CH" "$T/once"
	wait_until '[[ -s $T/twice && -s $T/once ]]'
	pid=$(ps -o ppid= "$(<"$T/once")")
	kill -KILL $pid
	wait_until gone "$(<"$T/twice")"
	kill -0 "$(<"$T/once")"
	kill -KILL "$(<"$T/once")"
}

@test "SIGTERM: what runs is answered, then it ends; what waits is declined" {
	mkfifo "$T/go"
	serve -j 1 "$CH" -- bash -c "read -r x; echo \"\$x\"; read -r y <'$T/go'"
	local server=$LAST_PID
	background "$KECHO_BUILD/bin/kecho" req "$CH" one >"$T/one"
	local one=$LAST_PID
	wait_until '[[ $(pick serves=1 load <"$D/members") == 1.0 ]]'
	background "$KECHO_BUILD/bin/kecho" req -W 1 "$CH" two
	local two=$LAST_PID
	wait_until '[[ $(pick serves=1 load <"$D/members") == 2.0 ]]'
	kill "$server"
	local status=0
	wait_exit "$two" || status=$?
	[[ $status == 124 ]]
	echo >"$T/go"
	wait_exit "$one"
	[[ $(<"$T/one") == one ]]
	wait_exit "$server"
}

@test "a command that cannot be run, wrong words: what is wrong" {
	serve "$CH" -- "$T/nothing"
	ask "$CH" x
	[[ $STATUS == 127 && $(<"$T/serve") == *nothing*'No such file'* ]]
	local words
	for words in "serve $CH" serve req "req -n 0 $CH x" "req --once --cancel $CH x" "serve -j 0 $CH -- cat" "req ../x y"; do
		STATUS=0
		# shellcheck disable=SC2086
		kecho $words </dev/null 2>"$T/err" || STATUS=$?
		[[ $STATUS == 2 && -s $T/err ]] || fail "$words: $STATUS"
	done
	mkdir -p "$D.answers"
}

@test "kecho-httpd-lb: wrong words: what is wrong" {
	local at='-l 127.0.0.1:8181' to='-b 127.0.0.1:80' words why wrong=0
	while IFS=, read -r words why; do
		STATUS=0
		# shellcheck disable=SC2086
		timeout $((5 * KECHO_SLOW)) "$KECHO_BUILD/bin/kecho-httpd-lb" $words 2>"$T/err" || STATUS=$?
		[[ $STATUS == [12] && $(<"$T/err") == *"$why"* ]] || fail "$words: $STATUS, $(<"$T/err")"
		((++wrong))
	done <<-END
		-c $CH $at,it needs
		-c a/b $at $to,'a/b' is no name
		-c $(printf 'x%.0s' {1..57}) $at $to,1 to 56
		-c $CH -l 127.0.0.1:65536 $to,up to 65535
		-c $CH -l localhost $to,ADDRESS:PORT
		-c $CH $at -b localhost:x,ADDRESS:PORT
		-c $CH $at -b :80,ADDRESS:PORT
		-c $CH $at $to -n 17,from 1 to 16
		-c $CH $at $to more,Too many arguments
	END
	((wrong == 9))
	mkdir -p "$D.answers"
}
