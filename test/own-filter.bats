# SPDX-License-Identifier: GPL-2.0
# A filter of a user's own, as kecho-filter(7) has it, built against what `make install` leaves. The modules must be built for the
# kernels of the guests.
load common

setup_file()
{
	export T=$BATS_FILE_TMPDIR
	local ver f vers=()
	for ver in /lib/modules/*/build; do
		ver=${ver%/build}
		[[ ! -e $KECHO_BUILD/kmod/${ver##*/}/Module.symvers ]] || vers+=("${ver##*/}")
	done
	export VERS="${vers[*]}"
	make -s --no-print-directory -C "$KECHO_TOP" install DESTDIR="$T/root" KVER="${VERS%% *}"
	# What the manual shows, but for the directory that all is installed below.
	mkdir "$T/own"
	for f in kecho-filter-first.c Makefile; do
		sed -n "/^\.\\\\\" $f\$/,/^\.Ed/{/^\./d;p}" "$T/root/usr/local/share/man/man7/kecho-filter.7" |
			sed "s|/usr/local|$T/root&|; s|/lib/modules/\$K/updates|$T/root&|" >"$T/own/$f"
	done
	make -s -C "$T/own" CC="gcc -Wall -Wextra -Werror -Wno-unused-parameter -I$T/root/usr/local/include" first.so
}

# works: of two readers of one node, whose filters are tried, the first alone receives. For both homes.
works()
{
	local first second
	export KECHO_DIR=$1
	backend_start "$KECHO_DIR"
	mkdir "$KECHO_DIR/c"
	subscribe c 1 "$KECHO_DIR.first"; first=$READER_PID
	subscribe c 1 "$KECHO_DIR.second"; second=$READER_PID
	"$KECHO_BUILD/bin/kecho" filter c add in first
	echo one >"$KECHO_DIR/c/events"
	received "$first" "$KECHO_DIR.first" one
	"$KECHO_BUILD/bin/kecho" filter c | grep -qP '^0\tin\tfirst\t1\t1\t'
	echo two >"$KECHO_DIR/c/events"
	received "$second" "$KECHO_DIR.second" two
	if [[ $KECHO_BACKEND == kernel ]]; then
		! rmmod kecho-filter-first
	fi
	"$KECHO_BUILD/bin/kecho" filter c del first
	rmdir "$KECHO_DIR/c"
	backend_stop "$KECHO_DIR"
}

@test "five lines of Makefile" {
	[[ $(wc -l <"$T/own/Makefile") == 5 ]]
}

@test "the shared object, in kechofsd" {
	export KECHO_FILTERS=$T/own
	works "$T/mnt"
	# Installed beside the daemon it is found without being told.
	cp "$T/own/first.so" "$T/root/usr/local/lib/kecho/filters"
	unset KECHO_FILTERS
	KECHOFSD=$T/root/usr/local/sbin/kechofsd
	works "$T/mnt2"
}

@test "the module, with each kernel's headers and versions of symbols, in the kernel" {
	local ver k
	[[ $VERS ]] || skip "no modules are built"
	for ver in $VERS; do
		make -s --no-print-directory -C "$KECHO_TOP" install-modules DESTDIR="$T/root" KVER="$ver"
		rm -rf "$T/$ver"
		cp -a "$T/own" "$T/$ver"	# with the times: first.so is up to date
		make -s -C "$T/$ver" K="$ver" 2>"$T/$ver/said" || { cat "$T/$ver/said" >&2; false; }
		! grep -i warning "$T/$ver/said" | grep -v 'compiler differs'
		[[ $(modinfo -F vermagic "$T/$ver/kecho-filter-first.ko") == "$ver "* ]]
		k=$(cut -d. -f-2 <<<"$ver")
		# shellcheck disable=SC2016
		KECHO_SLOW=4 scripts/vm --kernel "$k" --timeout 300 -- bash -euo pipefail -c "$(declare -f works)"'
			[[ $(uname -r) == "$1" ]]
			. test/common.bash
			KECHO_BACKEND=kernel
			modules_load
			insmod "$2/kecho-filter-first.ko"
			works /run/kecho
			rmmod kecho-filter-first
			modules_unload
			echo "works in $1"' _ "$ver" "$T/$ver" | tee "$T/$ver/guest"
		grep -qx "works in $ver" "$T/$ver/guest"
	done
}
