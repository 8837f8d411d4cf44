# SPDX-License-Identifier: GPL-2.0
# kecho filter: what it says when it is refused.
load setup

kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
setup_filters() { [[ $KECHO_BACKEND != kernel ]] || insmod "$KECHO_BUILD/kmod/$(uname -r)/kecho-filter-type.ko" 2>/dev/null || :; }

@test "the chain is shown with what is disabled, and its arguments" {
	setup_filters
	kecho filter "$CH" add type only=alarm
	kecho filter "$CH" add in type not=debug budget_us=5
	diff <(printf '%s\n' $'0\tout\ttype\t0\t0\t0\tno\tonly=alarm' $'1\tin\ttype\t0\t0\t0\tno\tbudget_us=5\tnot=debug') <(kecho filter "$CH")
	kecho filter -j "$CH" ls | grep -q '"disabled": *false'
	kecho filter "$CH" set 1 not=alarm
	kecho filter "$CH" del type
	[[ $(kecho filter "$CH") == $'0\tin\ttype\t0\t0\t0\tno\tbudget_us=5\tnot=alarm' ]]
	kecho filter "$CH" del 0
}

@test "unknown: where it was looked for" {
	if [[ $KECHO_BACKEND == kernel ]]; then
		refused 'no such filter.*`modinfo kecho-filter-nothing` finds no module' kecho filter "$CH" add in nothing
		mkdir -p /lib/modules/0.0/updates/kecho
		touch /lib/modules/0.0/updates/kecho/kecho-filter-old.ko
		refused "another kernel, as /lib/modules/0.0/updates/kecho/kecho-filter-old.ko, and not for this one" kecho filter "$CH" add old
	else
		refused 'no such filter.*looked for nothing.so' kecho filter "$CH" add in nothing
		grep -q "no filter nothing: there is no /.*/nothing.so$" "$KECHO_DIR.run/log"
	fi
	refused 'no filter 0 in the chain: `kecho filter' kecho filter "$CH" del 0
	refused 'no filter 0 in the chain: `kecho filter' kecho filter "$CH" set 0 a=b
	refused 'no BPF program is pinned at /sys/fs/bpf/x: `bpftool prog load' kecho filter "$CH" add bpf:/sys/fs/bpf/x
	refused '/etc/passwd is no pinned BPF program' kecho filter "$CH" add out bpf:/etc/passwd
}

@test "refused: what the filter says, from the log if it may be read" {
	setup_filters
	if [[ $KECHO_BACKEND == kernel ]]; then
		refused "^kecho: channel $CH: filter type: takes only=TYPE" kecho filter "$CH" add type nonsense=1
		refused "^kecho: channel $CH: filter type: which types" kecho filter "$CH" add type
	else
		refused 'refuses these arguments: kechofsd.s log says why' kecho filter "$CH" add type nonsense=1
		grep -q "channel $CH: filter type: takes only=TYPE" "$KECHO_DIR.run/log"
	fi
}

@test "who may: the owner of the file; to load a module takes CAP_SYS_MODULE" {
	need_root
	refused 'permission denied' unpriv "$KECHO_BUILD/bin/kecho" filter "$CH" add type only=a
	[[ $KECHO_BACKEND == kernel ]] || return 0
	chmod 666 "$D/filter"
	refused 'takes CAP_SYS_MODULE: as root, `modprobe kecho-filter-nothing`' unpriv "$KECHO_BUILD/bin/kecho" filter "$CH" add nothing
	refused 'no BPF program is pinned at /sys/fs/bpf/x' unpriv "$KECHO_BUILD/bin/kecho" filter "$CH" add bpf:/sys/fs/bpf/x
}
