# SPDX-License-Identifier: GPL-2.0
# `make help` says what there is.

BUILD ?= build
CC ?= gcc
PREFIX ?= /usr/local
KVER ?= $(shell uname -r)
SAN ?=
# Where dkms and depmod are.
export PATH := $(PATH):/usr/sbin:/sbin

CFLAGS ?= -O2 -g
KFLAGS := -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter $(SAN)
COREFLAGS := $(KFLAGS) -Ilib/compat -Ilib/include -Ilib/include/uapi
FUSEFLAGS := $(shell pkg-config --cflags fuse3 2>/dev/null)
LIBS := -lpthread
CORE_LIBS := $(LIBS) -lsodium

CORE := $(wildcard lib/compat/*.c lib/attr/*.c lib/cm/*.c lib/group/*.c lib/channel/*.c lib/ecalls/*.c)
HOME_SRC := kechofs/home.c kechofs/net.c kechofs/tcp.c kechofs/rudp.c kechofs/log.c kechofs/daemon.c
FS_SRC := $(filter-out $(HOME_SRC),$(wildcard kechofs/*.c))
# Services: what has no I/O is tested by itself.
SERVICES_CORE := $(addprefix lib/services/,lb_msg.c lb_server.c lb_ask.c)
SERVICES_SRC := $(filter-out lib/services/echo.c,$(wildcard lib/services/*.c))
CLI_SRC := $(wildcard tools/kecho/*.c) tools/chain.c tools/listen.c
HTTPD_SRC := $(wildcard tools/httpd-lb/*.c) tools/chain.c tools/listen.c
BENCH_SRC := $(wildcard tools/bench/*.c)
CLIENT_SRC := $(wildcard lib/client/*.c lib/attr/*.c lib/compat/*.c)
UNIT := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/*_test.c))
UNIT_LIB := $(filter-out %_test.c,$(wildcard test/unit/*.c))
FUZZ := $(patsubst test/fuzz/%.c,$(BUILD)/test/fuzz/%,$(wildcard test/fuzz/*_fuzz.c))

# V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2))

# The core and what is written against it; for libkecho; ordinary programs.
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
pic = $(patsubst %.c,$(BUILD)/obj/pic/%.o,$(1))
program = $(patsubst %.c,$(BUILD)/obj/program/%.o,$(1))

UNITS := $(wildcard packaging/systemd/*.service)
VERSION := $(shell sed -n 's/^\#define KECHO_VERSION "\(.*\)"/\1/p' lib/include/kecho/version.h)
FILTERS_SRC := $(filter-out %.bpf.c,$(wildcard filters/*.c))
MODULES := $(patsubst %.o,%,$(shell sed -n 's/^obj-m := //p' kmod/Kbuild)) $(patsubst filters/%.c,kecho-filter-%,$(FILTERS_SRC))
MODULES_BUILT := $(addprefix $(BUILD)/kmod/$(KVER)/,$(addsuffix .ko,$(MODULES)))
MODULES_SRC := $(DESTDIR)/usr/src/kecho-$(VERSION)
FILTERS := $(patsubst filters/%.c,$(BUILD)/filters/%.so,$(FILTERS_SRC))
# Examples, of which nothing else depends: only where their compiler is.
BPF := $(if $(shell command -v clang),$(patsubst filters/%.c,$(BUILD)/filters/%.o,$(wildcard filters/*.bpf.c)))
PROGRAMS := $(BUILD)/bin/kechofsd $(BUILD)/bin/kecho-groupd $(BUILD)/bin/kecho $(BUILD)/bin/kecho-httpd-lb
LIBRARY := $(addprefix $(BUILD)/lib/,libkecho.so.$(VERSION) libkecho.so.0 libkecho.so libkecho.a kecho.pc)
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))

.PHONY: all unit unit-threads san fuzzers deps run demo bench bench-check check check-unit check-san check-tree check-cluster check-asan check-debug check-debug-kernel check-sparse check-selftest check-vm kmod install install-modules uninstall clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAMS) $(LIBRARY) $(FILTERS) $(BPF) $(EXAMPLES) $(BUILD)/test/tree/client

$(BUILD)/bin/kechofsd: $(call obj,$(CORE) $(HOME_SRC) $(FS_SRC))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -rdynamic -o $@ $^ $(shell pkg-config --libs fuse3) $(CORE_LIBS)

# What filters call is in the daemon that loads them.
$(BUILD)/filters/%.so: filters/%.c $(wildcard lib/include/kecho/*.h)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -shared -fPIC $(CFLAGS) $(KFLAGS) -Ilib/include -Ilib/include/uapi -o $@ $<

$(BUILD)/filters/%.bpf.o: filters/%.bpf.c lib/include/uapi/linux/kecho_bpf.h
	@mkdir -p $(@D)
	$(call say,BPF,$@)
	$(Q)clang -target bpf -O2 -Wall -Wextra -Werror -Ilib/include/uapi -I/usr/include/$(shell $(CC) -print-multiarch) -c -o $@ $<

$(BUILD)/bin/kecho-groupd: $(call obj,$(CORE) $(HOME_SRC) tools/kecho-groupd.c)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(CORE_LIBS)

$(BUILD)/bin/kecho: $(call program,$(CLI_SRC) $(SERVICES_SRC)) $(BUILD)/lib/libkecho.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs ncursesw) -ljansson $(LIBS)

$(BUILD)/bin/kecho-httpd-lb: $(call program,$(HTTPD_SRC) $(SERVICES_SRC)) $(BUILD)/lib/libkecho.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libmicrohttpd libcurl) $(LIBS)

# Not of all: it needs what it compares with.
$(BUILD)/bin/kecho-bench: $(call program,$(BENCH_SRC)) $(BUILD)/lib/libkecho.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libzmq libnats libmosquitto hiredis fuse3 libmicrohttpd libcurl) -ljansson -lm $(LIBS)

# Of either form only what the map names can be seen.
$(BUILD)/lib/libkecho.so.$(VERSION): lib/client/libkecho.map $(call pic,$(CLIENT_SRC))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(SAN) $(LDFLAGS) -Wl,-soname,libkecho.so.0 -Wl,--version-script=$< -o $@ $(filter %.o,$^) $(LIBS)

$(BUILD)/lib/libkecho.so.0 $(BUILD)/lib/libkecho.so: $(BUILD)/lib/libkecho.so.$(VERSION)
	$(Q)ln -sf $(<F) $@

$(BUILD)/lib/libkecho.a: lib/client/libkecho.map $(call pic,$(CLIENT_SRC))
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)$(CC) -nostdlib -r -o $(@:.a=.o) $(filter %.o,$^)
	$(Q)objcopy $$(sed -n 's/^\t\(.*\);$$/--keep-global-symbol=\1/p' $<) $(@:.a=.o)
	$(Q)rm -f $@ && ar rcs $@ $(@:.a=.o)

$(BUILD)/lib/kecho.pc: lib/client/kecho.pc.in lib/include/kecho/version.h
	@mkdir -p $(@D)
	$(Q)sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@SAN@|$(SAN)|' $< >$@

$(BUILD)/examples/echod: $(call program,lib/services/echo.c)
$(EXAMPLES) $(BUILD)/test/tree/client: $(BUILD)/%: $(BUILD)/obj/program/%.o $(BUILD)/lib/libkecho.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) $(BUILD)/lib/libkecho.a $(LIBS)

$(BUILD)/test/unit/%_test: $(BUILD)/obj/test/unit/%_test.o $(call obj,$(UNIT_LIB) $(SERVICES_CORE) $(CORE))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ -lcmocka $(CORE_LIBS)

# libFuzzer's own main; the core is compiled with its counters.
$(BUILD)/test/fuzz/%: test/fuzz/%.c test/fuzz/fuzz.h $(CORE) $(wildcard lib/*/*.h filters/*.c)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(COREFLAGS) -o $@ $< $(SERVICES_CORE) $(CORE) $(CORE_LIBS)

$(BUILD)/obj/program/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -MMD -MP $(CFLAGS) $(KFLAGS) -Ilib/include -Ilib/include/uapi -Ilib/services -c -o $@ $<

$(BUILD)/obj/pic/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -MMD -MP $(CFLAGS) $(COREFLAGS) -fPIC -c -o $@ $<

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -MMD -MP $(CFLAGS) $(COREFLAGS) $(FUSEFLAGS) -c -o $@ $<

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

deps:
	@scripts/dependencies vm

unit: $(UNIT)

# Those that start threads: for the others TSan has nothing to find.
unit-threads: $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(shell grep -l pthread_create test/unit/*_test.c))

run:
	@scripts/dependencies build
	@$(MAKE) --no-print-directory all
	@scripts/run

# Three hosts on this one, and a web cluster that balances its load.
demo:
	@scripts/dependencies demo
	@$(MAKE) --no-print-directory all
	@scripts/demo $(if $(KEEP),keep)

check: deps
	@$(MAKE) --no-print-directory -j2 all unit $(BUILD)/bin/kecho-bench
	@$(MAKE) --no-print-directory -j2 san
	@scripts/check

bench:
	@scripts/dependencies bench
	@$(MAKE) --no-print-directory all $(BUILD)/bin/kecho-bench
	@$(BUILD)/bin/kecho-bench -o $(BUILD)/bench

# In instructions, in a guest; those of another version are BASE, a file that this has made there.
COUNTS := $(BUILD)/bench/icount/calls.json
bench-check:
	@[ ! '$(BASE)' -ef $(COUNTS) ] || { echo 'BASE is what this writes: make a copy of it' >&2; exit 1; }
	@scripts/dependencies vm
	@$(MAKE) --no-print-directory all $(BUILD)/bin/kecho-bench
	@scripts/bench-icount $(COUNTS)
	@$(if $(BASE),scripts/bench-check $(COUNTS) $(BASE))

# The kernel modules, for the running kernel or KVER; their tests run in guests.
kmod:
	@scripts/kmod $(KVER)

check-sparse:
	@scripts/dependencies vm
	@scripts/check sparse

# The unit tests as a module, in guests.
check-selftest:
	@scripts/dependencies vm
	@scripts/check selftest

check-vm:
	@scripts/dependencies vm
	@$(MAKE) --no-print-directory -j2 all
	@scripts/check vm

check-unit: deps
	@$(MAKE) --no-print-directory -j2 unit
	@scripts/check unit

check-tree check-cluster: check-%: deps
	@$(MAKE) --no-print-directory -j2 all $(BUILD)/bin/kecho-bench
	@scripts/check $*

# The unit tests again under the sanitizers, and the fuzzers of what comes from outside.
san:
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/asan SAN='-fsanitize=address,undefined -fno-sanitize-recover=all' CFLAGS='-O1 -g' unit
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/tsan SAN='-fsanitize=thread' CFLAGS='-O1 -g' unit-threads
	@$(MAKE) --no-print-directory -j2 fuzzers

fuzzers: $(FUZZ)

check-san: deps
	@$(MAKE) --no-print-directory san
	@scripts/check san fuzz

# The tree and cluster suites with the programs under ASan and UBSan.
check-asan: deps
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/asan SAN='-fsanitize=address,undefined -fno-sanitize-recover=all' CFLAGS='-O1 -g' all
	@BUILD=$(BUILD)/asan scripts/check tree cluster

# The kernel's node on a kernel with KASAN, lockdep and the like, which is built first.
check-debug-kernel: deps
	@$(MAKE) --no-print-directory -j2 all
	@scripts/check debug

check-debug: check-asan
	@$(MAKE) --no-print-directory check-debug-kernel

# The modules that have been built for KVER are installed, too; for other kernels DKMS builds them from the source.
install: all $(if $(wildcard $(MODULES_BUILT)),install-modules)
	install -D -m755 -t $(DESTDIR)$(PREFIX)/sbin $(BUILD)/bin/kechofsd $(BUILD)/bin/kecho-groupd $(BUILD)/bin/kecho-httpd-lb
	ln -sf kechofsd $(DESTDIR)$(PREFIX)/sbin/kechofs
	install -D -m755 -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/bin/kecho
	install -D -m644 -t $(DESTDIR)$(PREFIX)/lib $(BUILD)/lib/libkecho.so.$(VERSION) $(BUILD)/lib/libkecho.a
	ln -sf libkecho.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libkecho.so.0
	ln -sf libkecho.so.0 $(DESTDIR)$(PREFIX)/lib/libkecho.so
	mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed 's|^prefix=.*|prefix=$(PREFIX)|' $(BUILD)/lib/kecho.pc >$(DESTDIR)$(PREFIX)/lib/pkgconfig/kecho.pc
	$(if $(DESTDIR),,ldconfig)
	install -D -m644 -t $(DESTDIR)$(PREFIX)/lib/kecho/filters $(FILTERS) $(BPF)
	install -D -m644 -t $(DESTDIR)$(PREFIX)/include/linux lib/include/uapi/linux/kecho.h lib/include/uapi/linux/kecho_bpf.h
	install -D -m644 -t $(DESTDIR)$(PREFIX)/include/kecho $(addprefix lib/include/kecho/,kecho.h filter.h limits.h)
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man1 man/kecho.1
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man3 man/*.3
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man5 man/*.5
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man7 man/*.7
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man8 man/*.8
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/doc/kecho packaging/haproxy/haproxy.cfg
	install -D -m644 completion/kecho.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/kecho
	mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	for u in $(notdir $(UNITS)); do \
		sed 's|/usr/|$(PREFIX)/|' packaging/systemd/$$u >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$u || exit 1; \
	done
	rm -rf $(MODULES_SRC)
	mkdir -p $(MODULES_SRC)
	cp -r --parents lib kmod filters scripts/kmod $(MODULES_SRC)
	sed 's/@VERSION@/$(VERSION)/; s/@MODULES@/$(MODULES)/' packaging/dkms/dkms.conf >$(MODULES_SRC)/dkms.conf

# Found by modprobe after depmod, which is left to the package's installation if there is a DESTDIR. With the versions of their
# symbols, which a filter of one's own is built against.
install-modules:
	@test -z "$(filter-out $(wildcard $(MODULES_BUILT)),$(MODULES_BUILT))" || \
		{ echo 'the modules for $(KVER) are not built: make kmod KVER=$(KVER)' >&2; exit 1; }
	install -D -m644 -t $(DESTDIR)/lib/modules/$(KVER)/updates/kecho $(MODULES_BUILT) $(BUILD)/kmod/$(KVER)/Module.symvers
	strip -g $(addprefix $(DESTDIR)/lib/modules/$(KVER)/updates/kecho/,$(addsuffix .ko,$(MODULES)))
	$(if $(DESTDIR),,depmod $(KVER))

uninstall:
	$(if $(DESTDIR),,! dkms status kecho/$(VERSION) 2>/dev/null | grep . || dkms remove kecho/$(VERSION) --all)
	rm -rf $(MODULES_SRC) $(DESTDIR)$(PREFIX)/include/kecho $(DESTDIR)$(PREFIX)/share/doc/kecho
	for d in $(DESTDIR)/lib/modules/*/updates/kecho; do \
		[ ! -d $$d ] || { rm -r $$d && $(if $(DESTDIR),:,v=$${d%/updates/kecho} && depmod $${v##*/}); } || exit 1; \
	done
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,sbin/kechofsd sbin/kechofs sbin/kecho-groupd sbin/kecho-httpd-lb bin/kecho include/linux/kecho.h include/linux/kecho_bpf.h \
		lib/libkecho.so lib/libkecho.so.0 lib/libkecho.so.$(VERSION) lib/libkecho.a lib/pkgconfig/kecho.pc \
		$(patsubst $(BUILD)/%,lib/kecho/%,$(FILTERS) $(BPF)) \
		$(addprefix lib/systemd/system/,$(notdir $(UNITS))) share/bash-completion/completions/kecho $(foreach p,$(wildcard man/*),share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p))))
	[ ! -d $(DESTDIR)$(PREFIX)/lib/kecho ] || find $(DESTDIR)$(PREFIX)/lib/kecho -type d -empty -delete

clean:
	rm -rf $(BUILD)

help:
	@echo 'make                build the programs into $(BUILD)/bin, libkecho into $(BUILD)/lib'
	@echo 'make run            install what is missing, build, start a node at /kecho and show an event travel'
	@echo 'make demo           three hosts in network namespaces, from nothing to a balanced web cluster; KEEP=1: it stays'
	@echo 'make check          install what is missing and run every test'
	@echo 'make check-unit     unit tests          make check-san      the same under sanitizers, and the fuzzers'
	@echo 'make check-tree     the mounted tree    make check-cluster  several hosts in network namespaces'
	@echo 'make check-debug    both of these:'
	@echo 'make check-asan          tree and cluster tests with the programs under ASan and UBSan'
	@echo 'make check-debug-kernel  the tree, cluster and unit tests and those of the modules on a kernel with KASAN and lockdep'
	@echo 'make bench          install what is missing and measure: kecho-bench(1); the report is $(BUILD)/bench/report.md'
	@echo 'make bench-check BASE=FILE  count instructions, and compare with FILE, which this has made of another version:'
	@echo '                    $(COUNTS); without BASE, only count'
	@echo 'make kmod           the kernel modules, for this kernel or KVER=release, into $(BUILD)/kmod'
	@echo 'make check-sparse   the modules'"'"' sources by sparse, byte orders too'
	@echo 'make check-selftest the unit tests inside Debian'"'"'s kernels 6.1 and 6.12'
	@echo 'make check-vm       the tree and cluster suites on the modules, in guests with Debian'"'"'s kernels 6.1 and 6.12'
	@echo 'make install        into PREFIX=$(PREFIX) (DESTDIR is respected), with the modules if they have been built for this kernel'
	@echo '                    or KVER, and their source for DKMS: dkms install kecho/$(VERSION); make uninstall'
	@echo 'make install-modules  only the modules'
	@echo 'make clean'
