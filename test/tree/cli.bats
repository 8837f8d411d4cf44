# SPDX-License-Identifier: GPL-2.0
# kecho(1) against the mounted tree.
load setup

kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }

# exits STATUS CMD...: and what it prints is in OUT, its messages in ERR
exits()
{
	local want=$1 rc=0; shift
	"$@" >"$T/stdout" 2>"$T/stderr" 3>&- || rc=$?
	OUT=$(<"$T/stdout") ERR=$(<"$T/stderr")
	((rc == want)) || fail "$*: status $rc, not $want: $OUT $ERR"
}
says() { [[ $ERR =~ $1 ]] || fail "$ERR (expected $1)"; }

# json EXPRESSION: d, the JSON of stdin, is as it says
json() { "$KECHO_PYTHON" -S -c 'import json, sys; d = json.load(sys.stdin); assert eval(f"({sys.argv[1]})"), d' "$1"; }

# kecho_sub ARGS... CHANNEL: in the background, output in $T/out, subscribed when this returns
kecho_sub()
{
	background "$KECHO_BUILD/bin/kecho" sub "$@" >"$T/out" 2>"$T/err"
	wait_until subscribed "$KECHO_DIR/${!#}" "$LAST_PID"
}
ended() { local rc=0; wait_exit "$LAST_PID" || rc=$?; ((rc == $1)) || fail "status $rc, not $1: $(<"$T/err")"; }

# terminal CMD...: its output on a terminal of 200 columns
terminal() { script -qec "stty cols 200; $(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r'; }

@test "the command line is wrong: status 2, and nothing is done" {
	local args
	for args in '' nope 'help nope' 'ls x' members 'members a b' join leave 'join a/b/c' 'join .x' "join ok-$CH bad/" pub sub \
		"pub -l -f x $CH" "pub $CH -p 8" "pub $CH -a x" "pub $CH --timeout x" "sub -n 0 $CH" "sub -W x $CH" "sub -t / $CH" \
		"sub --format %z $CH" "sub --json --format %p $CH" "attrs $CH =1" "attrs $CH novalue" attrs filter "filter $CH nope" \
		"filter $CH set 0" "filter $CH del" "filter $CH add" 'stat x' 'version x' 'up a b' 'down a b' 'ls --nope' 'resmon x' top; do
		# shellcheck disable=SC2086
		exits 2 kecho $args
		[[ $ERR ]]
	done
	[[ ! -e $KECHO_DIR/ok-$CH ]]
}

@test "help and version" {
	local command
	exits 0 kecho help
	for command in up down ls join leave pub sub members attrs filter res serve req resmon top stat version; do
		[[ $OUT == *$'\n'"  $command "* ]]
		exits 0 kecho "$command" --help
		[[ $OUT == "Usage: kecho $command"* ]]
		cp "$T/stdout" "$T/help"
		exits 0 kecho help "$command"
		cmp "$T/help" "$T/stdout"
		kecho help >"$T/stdout"; OUT=$(<"$T/stdout")
	done
	exits 0 kecho --version
	[[ $OUT == 'kecho '* ]]
}

@test "no node: status 1, and what to do about it" {
	local command
	mkdir "$T/empty"
	for command in ls stat "members $CH" "sub $CH" "pub $CH x" "join $CH" "leave $CH" "attrs $CH" "filter $CH" "serve $CH -- cat" "req $CH x"; do
		# shellcheck disable=SC2086
		KECHO_DIR=$T/empty exits 1 kecho $command
		says 'no node runs at .*kecho up'
	done
	KECHO_DIR=$T/empty exits 1 kecho down
	says 'no node is mounted'
}

@test "no such channel or type: status 1, and what to do about it" {
	local command
	for command in members sub pub attrs filter; do
		exits 1 kecho "$command" nothing </dev/null
		says 'no channel nothing here.*kecho join nothing'
	done
	exits 1 kecho sub -t mine "$CH"
	says "no type $CH/mine here.*kecho join $CH/mine"
	exits 1 kecho leave nothing
	says 'not on nothing'
	exits 1 kecho join nothing/type
	says 'kecho join nothing'
}

@test "join and leave: channels and types, several at once, again is no error" {
	exits 0 kecho join "$CH-a" "$CH-b" "$CH-a/mine" "$CH-a"
	[[ -d $KECHO_DIR/$CH-a/mine && -d $KECHO_DIR/$CH-b ]]
	exits 1 kecho leave "$CH-a" "$CH-b"		# goes on with the others
	says 'has types'
	[[ -d $KECHO_DIR/$CH-a && ! -d $KECHO_DIR/$CH-b ]]
	exec 8<"$KECHO_DIR/$CH-a/events"
	exits 1 kecho leave "$CH-a"
	says 'in use.*members -s'
	exec 8<&-
	wait_until kecho leave "$CH-a/mine"
	wait_until kecho leave "$CH-a"
}

@test "ls: columns, tab-separated in a pipe, JSON" {
	exits 0 kecho ls
	[[ $OUT == "$CH"$'\tyes\t1\t'* && $(head -n 1 <<<"$OUT" | awk -F'\t' '{print NF}') == 6 ]]
	kecho ls -j | json "[c for c in d if c['name'] == '$CH' and c['joined'] is True and c['members'] == 1 and c['epoch'] >= 0]"
	terminal "$KECHO_BUILD/bin/kecho" ls >"$T/screen"
	[[ $(<"$T/screen") == 'NAME '*' JOINED  MEMBERS  CONTACT '* && $(<"$T/screen") != *$'\t'* ]]
}

@test "members: columns, tab-separated in a pipe, JSON, sinks" {
	kecho attrs "$CH" load=0.25 rack=r7
	subscribe "$CH" 0 "$T/reader"
	exits 0 kecho members "$CH"
	local line=$'^[0-9a-f]{16}\ttree\t.*\tload=0.25\track=r7$'
	[[ $OUT =~ $line ]]
	exits 0 kecho members -s "$CH"
	[[ $OUT == "$READER_PID"$'\tcat\t0\t-\t0\t-\t-\t-' ]]
	kecho members -j "$CH" | json "d[0]['node'] == 'tree' and d[0]['attributes'] == {'load': 0.25, 'rack': 'r7'} and
		d[0]['sinks'] == 1 and d[0]['contact'] is True and d[0]['local_sinks'][0]['pid'] == $READER_PID"
	kecho members --sinks --json "$CH" | json "d[0]['comm'] == 'cat' and d[0]['lost'] == 0 and len(d) == 1"
	terminal "$KECHO_BUILD/bin/kecho" members "$CH" >"$T/screen"
	[[ $(<"$T/screen") == 'ID '*' NODE  '*'load=0.25 rack=r7'*PID*COMM*"$READER_PID"* ]]
}

@test "attrs: show, set, all or nothing, JSON" {
	exits 0 kecho attrs "$CH" n=7 s='a b' q='"7"' d=-1.5 big=123456789012345678901 kecho.queue=5
	exits 0 kecho attrs "$CH"
	[[ $OUT == *$'d\t-1.5\n'*$'kecho.queue\t5\n'* ]]
	kecho attrs -j "$CH" | json "(d['n'], d['s'], d['q'], d['d'], d['big'], d['kecho.queue'], d['kecho.overflow']) ==
		(7, 'a b', '7', -1.5, '123456789012345678901', 5, 'drop-oldest')"
	exits 1 kecho attrs "$CH" n=8 kecho.overflow=perhaps
	says 'nothing was set'
	[[ $(attr n) == 7 ]]
	exits 0 kecho attrs "$CH" n= q= d= big=
	[[ -z $(attr n) && $(attr s) == 'a b' ]]
	local i many=()
	for ((i = 0; i < 30; i++)); do many+=("n$i=$(printf '%0200dx' 0)"); done
	exits 1 kecho attrs "$CH" "${many[@]}"
	says '4096 bytes'
	terminal "$KECHO_BUILD/bin/kecho" attrs "$CH" >"$T/screen"
	[[ $(<"$T/screen") == 'NAME '*' VALUE'*'a b'* ]]
}

@test "filter: what there is, and what is refused" {
	need_root
	exits 0 kecho filter "$CH"
	[[ -z $OUT ]]
	kecho filter -j "$CH" | json 'd == []'
	exits 1 kecho filter "$CH" add in nothing key=value
	says 'no such filter'
	exits 1 kecho filter "$CH" add out nothing noargument
	says 'refuses these arguments'
	exits 1 kecho filter "$CH" del 0
	says 'no filter 0'
	exits 1 kecho filter "$CH" set 0 key=value
	says 'no filter 0'
}

@test "stat: counters, links, JSON" {
	exits 0 kecho stat
	[[ $OUT == *$'published\t'* ]]
	exits 0 kecho stat -p
	[[ -z $OUT ]]
	kecho stat -j | json "d['stats']['channels'] >= 1 and d['peers'] == []"
	kecho stat -jp | json 'd == []'
	terminal "$KECHO_BUILD/bin/kecho" stat >"$T/screen"
	[[ $(<"$T/screen") == 'NAME '*' VALUE'*'published '* ]]
}

@test "pub and sub: messages, standard input, lines, a file" {
	kecho_sub -n 7 "$CH"
	kecho pub "$CH" one 'two words' ''
	printf 'all of\nit\n' | kecho pub "$CH"
	printf 'line\n\nlast' | kecho pub -l "$CH"
	ended 0
	printf 'one\ntwo words\n\nall of\nit\n\nline\n\nlast\n' | cmp - "$T/out"
}

@test "pub and sub: 1 MiB of any bytes; one more is refused" {
	head -c 1M /dev/urandom >"$T/in"
	kecho_sub -n 1 --format %p "$CH"
	kecho pub -f "$T/in" "$CH"
	ended 0
	cmp "$T/in" "$T/out"
	echo >>"$T/in"
	exits 1 kecho pub -f - "$CH" <"$T/in"
	says '1048577 bytes is larger.*max_event'
}

@test "pub and sub: type, priority, attributes, in JSON and in a format" {
	kecho join "$CH/mine"
	kecho_sub -n 2 -j -t mine "$CH"
	kecho pub "$CH" not-this
	kecho pub -t mine -p 7 -a k=3 -a 's=x y' "$CH" $'caf\xc3\xa9'
	kecho pub -t mine "$CH" $'\xff\x01'
	ended 0
	head -n 1 "$T/out" | json "(d['channel'], d['type'], d['prio'], d['attributes'], d['payload'], d['local'], d['lost']) ==
		('$CH', 'mine', 7, {'k': 3, 's': 'x y'}, 'caf\\u00e9', True, 0) and len(d['publisher']) == 16"
	sed -n 2p "$T/out" | json "d['payload_base64'] == '/wE=' and 'payload' not in d and d['seq'] == 3 and d['time_ns'] > 10**18"
	kecho_sub -n 1 --format '%c|%s|%y|%r|%l|%p|%a|%L|%i|%%\t\n' "$CH"
	kecho pub -t mine -p 3 -a b=1 -a a=2 "$CH" text
	ended 0
	[[ $(<"$T/out") =~ ^"$CH|4|mine|3|4|text|a=2 b=1|0|"[0-9a-f]{16}'|%'$'\t'$ ]]
	kecho_sub -n 1 --format '%t %T' "$CH"
	kecho pub "$CH" x
	ended 0
	[[ $(<"$T/out") =~ ^[0-9]+\.[0-9]{9}\ 20[0-9-]{8}T[0-9:]{8}\.[0-9]{9}Z$ ]]
	exits 1 kecho pub -a "not a name=1" "$CH" x
	says 'refuses the event'
}

@test "sub: several channels, a time limit, losses, the end of a channel" {
	kecho join "$CH-2"
	kecho_sub -n 2 "$CH-2" "$CH"
	kecho pub "$CH" a
	wait_until lines_are "$T/out" 1
	kecho pub "$CH-2" b
	ended 0
	[[ $(xargs <"$T/out") == 'a b' ]]
	exits 124 kecho sub -W 0.1 "$CH" "$CH-2"
	kecho leave "$CH-2"

	kecho attrs "$CH" kecho.queue=2
	kecho_sub -n 4 "$CH"
	kill -STOP "$LAST_PID"
	kecho pub "$CH" 1 2 3 4 5 6 7 8
	kecho attrs "$CH" kecho.queue=8
	kill -CONT "$LAST_PID"
	kecho pub "$CH" 9 10 11 12
	ended 0
	grep -E "^kecho: $CH: [0-9]+ events lost" "$T/err"
}

@test "sub: the end of its output ends it" {
	background bash -c '"$@" | head -n 1' _ "$KECHO_BUILD/bin/kecho" sub "$CH" >"$T/out"
	wait_until own_is "$CH" sinks 1
	kecho pub "$CH" one
	wait_exit "$LAST_PID"			# and not with the next event, which does not come
	[[ $(<"$T/out") == one ]]
	background "$KECHO_BUILD/bin/kecho" sub "$CH" >/dev/full 2>"$T/err"
	wait_until own_is "$CH" sinks 1
	kecho pub "$CH" two
	ended 1
	exits 1 bash -c '"$1" ls >/dev/full' _ "$KECHO_BUILD/bin/kecho"
	says 'No space left'
}

@test "pub: a full channel with kecho.overflow=block, and --timeout" {
	kecho attrs "$CH" kecho.overflow=block kecho.queue=2
	exec 8<"$D/events"
	exits 124 kecho pub --timeout 0.1 "$CH" 1 2 3 4
	says 'is full, 2 events were published'
	background bash -c 'echo 3 >"$1"' _ "$D/events"		# holds up all who write without asking before
	exits 124 kecho pub --timeout 0.1 "$CH" x
	head -c 1M /dev/zero >"$T/in"
	background "$KECHO_BUILD/bin/kecho" pub -f "$T/in" "$CH"
	background bash -c 'exec cat <&8' >"$T/cat"
	wait_until '(($(stat -c %s "$T/cat") == 1048577 + 6))'
	exec 8<&-
}

@test "pub: full for the readers of one type only" {
	kecho join "$CH/mine"
	kecho attrs "$CH" kecho.overflow=block kecho.queue=2
	exec 8<"$D/mine/events"
	exits 124 kecho pub -t mine --timeout 0.1 "$CH" 1 2 3
	says 'is full, 2 events were published'
	exits 0 kecho pub --timeout 5 "$CH" 4
	exec 8<&-
}

@test "pub --wait-members: a time limit; this node alone is one" {
	exits 0 kecho pub --wait-members 1 "$CH" x
	exits 124 kecho pub --wait-members 2 --timeout 0.1 "$CH" x
	says '1 of 2 members'
}

@test "others than the owner: what they may, and what is said when they may not" {
	need_root
	local kecho=$KECHO_ROOT/kecho-cli
	install -m 755 "$KECHO_BUILD/bin/kecho" "$kecho"
	exits 1 unpriv "$kecho" pub "$CH" x
	says 'events: permission denied.*chmod'
	exits 1 unpriv "$kecho" join "$CH-x"
	says 'not allowed to join'
	exits 1 unpriv "$kecho" leave "$CH"
	says 'not allowed to leave'
	exits 1 unpriv "$kecho" filter "$CH"
	says 'permission denied'
	chmod 666 "$D/attrs"
	exits 0 unpriv "$kecho" attrs "$CH" a=1
	exits 1 unpriv "$kecho" attrs "$CH" kecho.queue=3
	says 'belong to the owner'
	chmod 700 "$D"
	exits 0 unpriv "$kecho" ls
	[[ $OUT == *"$CH"$'\tyes\t-\t'* ]]
	exits 1 unpriv "$kecho" members "$CH"
}

@test "up and down: a node of its own, by FUSE" {
	need_root
	local KECHO_DIR=$T/node
	exits 0 kecho up -n -H fuse -o name=mine
	[[ $OUT == 'home: user space (FUSE)'*"kechofsd -o name=mine $T/node" ]]
	exits 0 kecho up --home=fuse -o name=mine -o queue=9
	[[ $OUT == "a node in user space (FUSE) runs at $T/node" ]]
	exits 1 kecho up
	says 'mounted at .* already.*kecho down'
	exits 0 kecho join c
	kecho members -j c | json "d[0]['node'] == 'mine'"
	kecho attrs -j c | json "d['kecho.queue'] == 9"
	exec 8<"$T/node/c/attrs"
	exits 1 kecho down
	says 'in use.*fuser'
	exec 8<&-
	local daemon; daemon=$(sed -n 's/^pid=//p' "$T/node/.node/config")
	exits 0 kecho down
	wait_until gone "$daemon"	# it has ended, and now init has heard of it
	exits 1 kecho up -H fuse -o nonsense=1
	says 'no option nonsense'
}

@test "up: without a home given, it says why the node is not the kernel's" {
	need_root
	local KECHO_DIR=$T/node
	if [[ $KECHO_BACKEND == kernel ]]; then
		exits 0 kecho up -o name=other
		[[ $OUT == *"(FUSE) runs at $T/node: this network namespace has a node in the kernel already, with other options" ]]
		kecho down
		exits 1 kecho up -H kernel -o name=other
		says 'has a node in the kernel already'
		exits 0 kecho up
		[[ $OUT == "a node in the kernel runs at $T/node" && -d $T/node/$CH ]]
		kecho down
	fi
	install -m 755 "$KECHO_BUILD/bin/kecho" "$KECHO_ROOT/kecho-up"
	exits 0 unpriv "$KECHO_ROOT/kecho-up" up -n
	[[ $OUT == *"only root may mount the kernel's"* || $OUT == *'no kernel module'* ]]
	exits 2 kecho up -H moon
}

@test "the node dies: sub and pub end, and say so" {
	need_root
	local KECHO_DIR=$T/node pub
	kecho up -H fuse -o name=mine
	kecho join c
	background "$KECHO_BUILD/bin/kecho" pub --wait-members 2 c x 2>"$T/pub"
	pub=$LAST_PID
	kecho_sub c
	kill -KILL "$(sed -n 's/^pid=//p' "$T/node/.node/config")"
	ended 1
	[[ $(<"$T/err") == 'kecho: channel c is gone' ]]
	refused '' wait_exit "$pub"
	grep -q 'has died or was stopped' "$T/pub"
	kecho up -H fuse -o name=mine
	kecho down
}

@test "completion: channels, types, attributes, commands" {
	kecho join "$CH/mine"
	kecho attrs "$CH" load=1
	# complete WORD...: the completions of the last one
	cat >"$T/complete" <<-'END'
		_init_completion() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }
		_filedir() { :; }
		compopt() { :; }
		. "$KECHO_TOP/completion/kecho.bash"
		COMP_WORDS=(kecho "$@") COMP_CWORD=$#
		_kecho
		echo "${COMPREPLY[*]}"
	END
	[[ $(bash "$T/complete" m) == members ]]
	[[ $(bash "$T/complete" sub "${CH%?}") == *"$CH"* ]]
	[[ $(bash "$T/complete" pub "$CH") == "$CH" ]]
	[[ -z $(bash "$T/complete" pub "$CH" "$CH") ]]
	[[ $(bash "$T/complete" sub -t mi) == mine ]]
	[[ $(bash "$T/complete" attrs "$CH" lo) == load= ]]
	[[ $(bash "$T/complete" filter "$CH" a) == add ]]
	[[ $(bash "$T/complete" pub --wait) == --wait-members ]]
	[[ $(bash "$T/complete" leave "$CH"/m) == "$CH/mine" ]]
}

@test "pub --deadline: an event that nobody reads in time is dropped, and counted" {
	exec {r}<"$D/events"
	kecho pub --deadline 20 "$CH" late
	kecho pub --deadline 100000 "$CH" in-time
	kecho pub -p 7 "$CH" always
	sleep 0.1
	read -r -t 5 -u "$r" line
	[[ $line == in-time ]]
	read -r -t 5 -u "$r" line
	[[ $line == always ]]
	[[ $(sink "$CH" $$ expired) == 1 || $(grep -c expired=1 "$D/members") == 1 ]]
	grep -qx expired=1 "$KECHO_DIR/.node/stats"
	exec {r}<&-
	refused 'deadline' kecho pub --deadline 0 "$CH" x
	refused 'deadline' kecho pub --deadline soon "$CH" x
}
