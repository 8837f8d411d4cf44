# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# One backend a file, at $KECHO_DIR; one channel a test: its name in CH, its directory in D.
# A file may set KECHO_OPTIONS (mount options) before it loads this.

load ../common

# The real interpreter: a version manager's wrapper takes longer than a test.
find_python()
{
	KECHO_PYTHON=$(python3 -c 'import sys; print(sys.executable)')
	export KECHO_PYTHON
}

setup_file()
{
	KECHO_ROOT=$(mktemp -d "${TMPDIR:-/tmp}/kecho-tree.XXXXXX")
	chmod 755 "$KECHO_ROOT"
	export KECHO_ROOT KECHO_DIR=$KECHO_ROOT/mnt
	find_python
	backend_start "$KECHO_DIR" "name=tree${KECHO_OPTIONS:+,$KECHO_OPTIONS}"
}

teardown_file()
{
	local rc=0
	backend_stop "$KECHO_DIR" || rc=1
	[[ $KECHO_ROOT != */kecho-tree.* ]] || rm -rf --one-file-system "$KECHO_ROOT"
	return $rc
}

setup()
{
	local name=${BATS_TEST_FILENAME##*/}
	CH=${name%.bats}-$BATS_TEST_NUMBER
	D=$KECHO_DIR/$CH
	T=$BATS_TEST_TMPDIR
	export CH D T
	mkdir "$D"
}

# Nothing that the test has closed may keep the channel busy.
teardown()
{
	local t
	exec 8>&- 9>&-
	reap
	[[ -d $KECHO_DIR/.node ]]
	for t in "$D"/*/; do
		[[ ! -d $t ]] || wait_until -t 5 rmdir "$t"
	done
	[[ ! -d $D ]] || wait_until -t 5 rmdir "$D"
}

# py <<'END': a script on top of kio.py, indented by one tab, killed if it takes too long.
py()
{
	{ echo 'from kio import *'; sed 's/^\t//'; } | PYTHONPATH=$KECHO_TOP/test/tree \
		PYTHONDONTWRITEBYTECODE=1 "$KECHO_PYTHON" -S - "$@" 3>&- ||
		fail "the script above failed (status $?)"
}

# set_attrs LINE...: one write(2).
set_attrs() { printf '%s\n' "$@" >"$T/attrs.in"; dd if="$T/attrs.in" of="$D/attrs" bs=64K status=none; }
attr() { sed -n "s/^$1=//p" "$D/attrs"; }

unpriv() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
# `! cmd` cannot fail a bats test, this can.
not() { if "$@"; then fail "succeeded: $*"; fi; }
need_root() { ((EUID == 0)) || skip "needs root"; }
# refused REGEX CMD...: CMD fails and says why.
refused()
{
	local re=$1 out; shift
	if out=$("$@" 2>&1); then fail "succeeded: $*"; return 1; fi
	[[ $out =~ $re ]] || fail "$*: $out (expected $re)"
}
