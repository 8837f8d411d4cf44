# SPDX-License-Identifier: GPL-2.0
# The modules as a user installs, loads and unloads them. In a guest: they are installed into its /lib/modules.
load ../common

setup_file()
{
	KVER=$(uname -r)
	export KVER KECHO_DIR=/run/kecho
	[[ $(</proc/sys/kernel/hostname) == kecho-vm ]] || fail "installs kernel modules: run it by scripts/vm"
	# Ours alone: under emulation depmod would take minutes for Debian's.
	cp "/lib/modules/$KVER"/modules.{order,builtin*} "$BATS_FILE_TMPDIR"
	mount -t tmpfs tmpfs "/lib/modules/$KVER"
	cp "$BATS_FILE_TMPDIR"/modules.* "/lib/modules/$KVER"
	make --no-print-directory -C "$KECHO_TOP" install-modules
	mkdir -p "$KECHO_DIR"
	# What other tests may have left loaded.
	! grep -q ^kecho /proc/modules || modules_unload
}

teardown_file() { umount "/lib/modules/$KVER"; }

# What there is, and who uses it, from the top.
ALL='kechofs kecho_ecalls kecho kecho_group kecho_cm kecho_nwmon kecho_attr'
loaded() { grep -c '^kecho' /proc/modules; }
# By name, for modprobe takes only one level of what a module has used with it.
# shellcheck disable=SC2086
unload() { modprobe -r $ALL; }

setup() { T=$BATS_TEST_TMPDIR; }
teardown()
{
	exec 8<&-
	! mountpoint -q "$KECHO_DIR" || umount "$KECHO_DIR"
	! mountpoint -q "$T/node" || "$KECHO_BUILD/bin/kecho" down "$T/node"
	unload
	[[ $(loaded) == 0 ]]
}

kecho() { "$KECHO_BUILD/bin/kecho" "$@"; }
# refused REGEX CMD...: CMD fails and says why.
refused()
{
	local re=$1 out; shift
	if out=$("$@" 2>&1); then fail "succeeded: $*"; return 1; fi
	[[ $out =~ $re ]] || fail "$*: $out (expected $re)"
}

@test "modinfo: what each module is" {
	local m version
	version=$(kecho version)
	for m in $ALL kecho_resmon; do
		[[ $(modinfo -F filename "$m") == "/lib/modules/$KVER/updates/kecho/$m.ko" ]]
		[[ $(modinfo -F description "$m") == 'KECho: '* ]]
		[[ $(modinfo -F license "$m") == GPL && $(modinfo -F author "$m") ]]
		[[ $(modinfo -F version "$m") == "${version#kecho }" ]]
	done
	[[ $(modinfo -p kecho_resmon) == *'period_ms:time between two measurements'* ]]
	[[ ! -e /lib/modules/$KVER/updates/kecho/kecho_test_service.ko ]]
}

@test "mount -t kechofs loads what it needs; nothing of it unloads while mounted" {
	local m
	[[ $(loaded) == 0 ]]
	mount -t kechofs kecho "$KECHO_DIR"
	[[ $(loaded) == 7 ]]
	for m in ${ALL/kecho_ecalls}; do
		refused 'in use' rmmod "$m"
	done
	refused 'in use' unload
	mkdir "$KECHO_DIR/c"
	exec 8<"$KECHO_DIR/c/events"
	refused busy umount "$KECHO_DIR"
	exec 8<&-
	umount "$KECHO_DIR"
	unload
	[[ $(loaded) == 0 ]]
}

@test "modprobe kechofs resolves the others; rmmod in reverse, a lower one not before" {
	local m
	modprobe kechofs
	for m in kecho kecho_group kecho_cm kecho_nwmon kecho_attr; do
		refused 'in use' rmmod "$m"
	done
	for m in $ALL; do
		rmmod "$m"
	done
}

@test "kecho up loads the modules and takes the kernel; names are looked up for it" {
	local out
	out=$(kecho up -o name=mine,defaults,nosuid -o peer=localhost:7401,127.0.0.1:7402,listen=localhost:7400)
	[[ $out == "a node in the kernel runs at $KECHO_DIR" ]]
	[[ $(findmnt -no FSTYPE,SOURCE "$KECHO_DIR") == 'kechofs '*kecho ]]
	[[ $(findmnt -no OPTIONS "$KECHO_DIR") =~ name=mine,listen=(127.0.0.1|\[::1\]):7400,peer=(127.0.0.1|\[::1\]):7401,peer=127.0.0.1:7402 ]]
	[[ $(kecho up -o name=other "$T/node") == "a node in user space (FUSE) runs at $T/node: "*', with other options' ]]
	kecho down "$T/node"
	kecho join c
	exec 8<"$KECHO_DIR/c/attrs"
	refused 'in use.*fuser' kecho down
	exec 8<&-
	kecho down
	[[ ! -d $KECHO_DIR/.node ]]
	[[ $(kecho up --home=fuse) == "a node in user space (FUSE) runs at $KECHO_DIR" ]]
	kecho down
	[[ $(kecho up -n -o peer=localhost) =~ ^'home: the kernel'$'\n''mount -t kechofs -o peer='(127.0.0.1|::1)" kecho $KECHO_DIR"$ ]]
}

@test "a filter's module is loaded for the chain that it is added to, and stays until it is removed" {
	local there=/lib/modules/$KVER/updates/kecho/kecho-filter-type.ko
	modprobe kechofs
	mount -t kechofs kecho "$KECHO_DIR"
	mkdir "$KECHO_DIR/c"
	kecho filter c add type only=alarm
	refused 'in use' rmmod kecho-filter-type
	kecho filter c del type
	rmmod kecho-filter-type
	# For a kernel of another kind, or not there any more.
	cp "$there" "$T/type.ko"
	sed -i 's/\(vermagic=[^ ]*\) SMP /\1 UMP /' "$there"
	refused "kecho-filter-type.ko cannot be loaded: .modprobe kecho-filter-type. and dmesg say why" kecho filter c add type only=alarm
	rm "$there"
	refused 'no such filter.*modinfo kecho-filter-type. finds no module' kecho filter c add type only=alarm
	[[ $(echo 'type only=alarm' 2>&1 >"$KECHO_DIR/c/filter") == *'No such file'* ]]
	cp "$T/type.ko" "$there"
	kecho filter c add in type only=alarm
	rmdir "$KECHO_DIR/c"
	umount "$KECHO_DIR"
	rmmod kecho-filter-type
}

@test "kecho up: what is wrong with the options" {
	refused "^kecho: Unknown parameter 'nonsense'$" kecho up -o nonsense=1
	refused '^kecho: name= takes 1 to 64 of' kecho up -o name=.x
	refused '^kecho: queue= takes a number from 1 to' kecho up -o queue=0
	refused '^kecho: key=: links cannot be keyed yet' kecho up -o key=file
	refused "^kecho: listen=10.0.0.1: .*or say 'insecure'" kecho up -o listen=10.0.0.1
	refused '^kecho: listen=10.0.0.1: -EADDRNOTAVAIL$' kecho up -o listen=10.0.0.1,insecure
	refused '^kecho: peer=1.2.3.4.5: .*resolves, or an IP address' kecho up -o peer=1.2.3.4.5
	refused '^kecho: peer=1:2:3: give an IP address' kecho up -o peer=1:2:3
	[[ ! -d $KECHO_DIR/.node ]]
}

@test "kecho up for a service: systemd is told when the kernel's node is there" {
	background timeout 60 python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print(s.recv(100).split()[0].decode())' "$T/notify" >"$T/told"
	# shellcheck disable=SC2016
	wait_until '[[ -S $T/notify ]]'
	NOTIFY_SOCKET=$T/notify kecho up -f -H auto -o defaults
	mountpoint -q "$KECHO_DIR"
	wait_exit "$LAST_PID"
	[[ $(<"$T/told") == READY=1 ]]
	kecho down
}

@test "kecho up without modules: FUSE, and why" {
	mkdir -p /etc/modprobe.d
	echo 'install kechofs /bin/false' >/etc/modprobe.d/kecho-test.conf
	[[ $(kecho up "$T/node") == "a node in user space (FUSE) runs at $T/node: no kernel module, as \`modprobe kechofs\` shows" ]]
	kecho down "$T/node"
	refused 'no kernel module' kecho up -H kernel
	rm /etc/modprobe.d/kecho-test.conf
}

@test "make uninstall takes the modules away" {
	make --no-print-directory -C "$KECHO_TOP" uninstall
	[[ ! -e /lib/modules/$KVER/updates/kecho ]]
	refused 'not found' modprobe kechofs
	make --no-print-directory -C "$KECHO_TOP" install-modules
}
