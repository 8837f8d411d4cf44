# SPDX-License-Identifier: GPL-2.0
# DKMS builds the modules from what `make install` leaves, in trees of its own. Needs headers, and no kernel that loads them.
load common

@test "dkms build: all modules, from the installed source alone" {
	local ver m tree=$BATS_TEST_TMPDIR
	ver=$(cd /lib/modules && printf '%s\n' */build/Makefile | sort -V | sed -n '$s|/.*||p')
	make -s --no-print-directory -C "$KECHO_TOP" install DESTDIR="$tree" KVER="$ver"
	mkdir "$tree/dkms"
	PATH=$PATH:/usr/sbin dkms build "kecho/$("$KECHO_BUILD/bin/kecho" version | cut -d' ' -f2)" -k "$ver" \
		--sourcetree "$tree/usr/src" --dkmstree "$tree/dkms" ||
		{ cat "$tree"/dkms/kecho/*/build/make.log >&2; fail "see the log above"; }
	for m in kecho_attr kecho_nwmon kecho_cm kecho_group kecho kecho_ecalls kechofs kecho_resmon kecho_res kecho_lb; do
		[[ $(modinfo -F vermagic "$tree"/dkms/kecho/*/"$ver"/*/module/$m.ko*) == "$ver "* ]]
	done
}
