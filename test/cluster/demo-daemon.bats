# SPDX-License-Identifier: GPL-2.0
# What README promises of `make demo`.
load cluster

@test "the demo: three hosts share the work of one, and one that lost its web server is done without" {
	"$KECHO_TOP/scripts/demo" >"$K/out" 2>&1 || fail "$(<"$K/out")"
	[[ $(grep -c '^    36 answers: status 200 by h1$' "$K/out") == 1 ]]
	# 36 answers each time, none without success; the second time by three hosts, the third by two.
	[[ $(awk '/answers: status 200 by/ { n += $1; k++ } END { print n, k }' "$K/out") == '108 6' ]]
	[[ ! -e /run/kecho-demo && ! -e /run/netns/demo-kecho-0 ]]
}
