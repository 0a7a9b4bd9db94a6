# dmsnap. `make help` lists what there is; each line of it is a target's own comment here.

PREFIX  ?= /usr
DESTDIR ?=
SBINDIR  = $(PREFIX)/sbin
LIBDIR   = $(PREFIX)/lib
INCDIR   = $(PREFIX)/include
UDEVDIR  = $(PREFIX)/lib/udev/rules.d
UNITDIR  = $(PREFIX)/lib/systemd/system
MANDIR   = $(PREFIX)/share/man
DOCDIR   = $(PREFIX)/share/doc/dmsnap
VERSION  = 0.1.0

SWIFT   ?= swift
RELEASE  = .build/release
STAGE    = .build/stage
STATIC   = .build/static
# What is installed and its tests are one build: each module is compiled once. That tests see what is internal
# makes the program a twentieth larger, and no slower.
BUILD    = $(SWIFT) build -c release -Xswiftc -enable-testing
TESTS    = $(RELEASE)/dmsnapPackageTests.xctest --testing-library swift-testing
# For a library, unlike for a program, the compiler doesn't say where the static runtime is.
STATIC_RUNTIME = $(shell dirname $$(dirname $$(realpath $$(command -v $(SWIFT)))))/lib/swift_static/linux

# What Debian calls the libraries to build with, and the programs that the tests run.
BUILD_PACKAGES = libdevmapper-dev libblkid-dev libmount-dev zlib1g-dev libdeflate-dev libisal-dev \
	libcrypt-dev liburing-dev libxxhash-dev pkg-config gcc libc6-dev
TEST_PACKAGES  = user-mode-linux dmsetup udev kmod systemd e2fsprogs xfsprogs btrfs-progs dosfstools \
	f2fs-tools nilfs-tools jfsutils lvm2 cryptsetup-bin mdadm nbd-server nbd-client iproute2 \
	util-linux mount fdisk jq procps python3 dropbear-bin rclone xxhash \
	fuse3 fuse2fs

FUZZ_SECONDS ?=

.PHONY: help setup build unit integration soak lives xfstests fuzz sanitize test demo check fmt vm install uninstall bench clean

help: ## Show this help.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1|/' | column -t -s '|'

setup: ## Install what building and testing need (Debian 12, as root).
	@missing=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(BUILD_PACKAGES) $(TEST_PACKAGES) 2>/dev/null \
	    | awk '$$1 == "installed" { print $$2 }' | sort > .setup.have; \
	    printf '%s\n' $(BUILD_PACKAGES) $(TEST_PACKAGES) | sort | comm -23 - .setup.have; rm -f .setup.have); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	        --no-install-recommends $$missing; \
	fi
	@command -v $(SWIFT) > /dev/null || { echo "no swift: install Swift 6.3 from swift.org"; exit 1; }

build: $(STATIC)/libstdc++.a ## Build the program, the C library, and everything that is installed.
	$(BUILD) --product dmsnap
	$(BUILD) --product dmsnap-c -Xlinker -L$(STATIC_RUNTIME)

$(STATIC)/libstdc++.a:
	@install -d $(STATIC) && ln -sf $$(gcc -print-file-name=libstdc++.a) $@

.PHONY: tests units units-domain units-others
tests: $(STATIC)/libstdc++.a
	@# XCTest is left out, and with it an index of all that is compiled, in which its tests would be looked for.
	$(BUILD) --build-tests --disable-xctest --experimental-test-entry-point-path $(CURDIR)/Tests/EntryPoint.swift

units:
	@# Neither keeps all processors busy by itself.
	@$(MAKE) --no-print-directory -j2 --output-sync units-domain units-others

units-others:
	$(TESTS) --skip IntegrationTests --skip RebootTests --skip '^SessionsTests' --skip '^MonitorTests'

# In a process of their own: their simulated deaths reach into libc's calls.
units-domain:
	Tests/in-memory $(TESTS) --filter '^SessionsTests' --filter '^MonitorTests'

unit: tests units ## Run the tests that need no device-mapper and no root.

integration: stage tests ## Run the tests on the kernel's own device-mapper, in User-Mode Linux.
	Tests/integrate $(SUITE)

soak: stage tests ## Cut the power at every moment of recorded workloads, then live 300 lives (hours; DMSNAP_CUTS=N for a part).
	Tests/soak
	[ -n "$$DMSNAP_CUT" ] || DMSNAP_LIVES=0 DMSNAP_REAL_LIVES=$${DMSNAP_REAL_LIVES:-300} Tests/lives

lives: stage tests ## Live random lives of a device (hours; DMSNAP_LIVES=N simulated, DMSNAP_REAL_LIVES=N not).
	Tests/lives

xfstests: stage ## Run xfstests on activated devices, and restore every session (XFSTESTS=DIR, a built one).
	$(BUILD) --product vm
	XFSTESTS="$(XFSTESTS)" Tests/xfstests/run

fuzz: ## Throw hostile input at the readers, for FUZZ_SECONDS each (default: until interrupted).
	Tests/fuzz $(FUZZ_SECONDS)

sanitize: ## Run the unit and simulation tests under the address and the thread sanitizer.
	Tests/sanitize

test: setup check ## Do all set-up and pass every test.
	@$(MAKE) --no-print-directory unit stage
	Tests/integrate

demo: setup stage ## Do all set-up and show the main job in User-Mode Linux.
	$(BUILD) --product vm
	Tests/demo

check: ## Check format and documentation comments.
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests

fmt: ## Format the sources.
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

vm: setup stage ## Open a shell in the machine in which the tests run.
	$(BUILD) --product vm
	Tests/vm-shell

.PHONY: stage
stage: build
	@rm -rf $(STAGE)
	@$(MAKE) --no-print-directory install DESTDIR=$(STAGE) PREFIX=/usr

install: ## Copy what `make build` made into DESTDIR and PREFIX (default /usr); builds nothing.
	@test -x $(RELEASE)/dmsnap -a -f $(RELEASE)/libdmsnap-c.so || \
	    { echo "nothing to install yet: run \`make build\` first"; exit 1; }
	install -D -m 0755 $(RELEASE)/dmsnap $(DESTDIR)$(SBINDIR)/dmsnap
	install -D -m 0644 $(RELEASE)/libdmsnap-c.so $(DESTDIR)$(LIBDIR)/libdmsnap.so.$(VERSION)
	ln -sf libdmsnap.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libdmsnap.so.0
	ln -sf libdmsnap.so.0 $(DESTDIR)$(LIBDIR)/libdmsnap.so
	install -D -m 0644 Sources/CDmsnap/include/dmsnap.h $(DESTDIR)$(INCDIR)/dmsnap.h
	install -d $(DESTDIR)$(UDEVDIR) $(DESTDIR)$(UNITDIR)
	sed 's|@SBINDIR@|$(SBINDIR)|' udev/59-dmsnap.rules > $(DESTDIR)$(UDEVDIR)/59-dmsnap.rules
	sed 's|@SBINDIR@|$(SBINDIR)|' systemd/dmsnap-monitor.service \
	    > $(DESTDIR)$(UNITDIR)/dmsnap-monitor.service
	sed 's|@SBINDIR@|$(SBINDIR)|' systemd/dmsnap-after-archive.service \
	    > $(DESTDIR)$(UNITDIR)/dmsnap-after-archive.service
	sed 's|@SBINDIR@|$(SBINDIR)|' systemd/dmsnap-checkpoint@.service \
	    > $(DESTDIR)$(UNITDIR)/dmsnap-checkpoint@.service
	install -m 0644 systemd/dmsnap-checkpoint@.timer $(DESTDIR)$(UNITDIR)/
	install -D -m 0644 -t $(DESTDIR)$(DOCDIR)/examples examples/*
	install -d $(DESTDIR)$(UNITDIR)/sysinit.target.wants
	ln -sf ../dmsnap-monitor.service $(DESTDIR)$(UNITDIR)/sysinit.target.wants/
	ln -sf dmsnap $(DESTDIR)$(SBINDIR)/mount.dmsnap
	install -D -m 0644 man/dmsnap.8 $(DESTDIR)$(MANDIR)/man8/dmsnap.8
	ln -sf dmsnap.8 $(DESTDIR)$(MANDIR)/man8/mount.dmsnap.8
	install -D -m 0644 man/dmsnap.toml.5 $(DESTDIR)$(MANDIR)/man5/dmsnap.toml.5
	@if [ -z "$(DESTDIR)" ]; then \
	    ldconfig; \
	    if [ -e /run/udev/control ]; then udevadm control --reload; fi; \
	    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi; \
	fi

REGISTRY = $(DESTDIR)/var/lib/dmsnap/registry.json

uninstall: ## Take away what `make install` copied, if nothing is activated; sessions and settings stay.
	@# Without the rule and the program nothing keeps fstab from the raw device after the next boot.
	@if [ -z "$(FORCE)" ] && grep -qs '"sessionPrefix"' $(REGISTRY); then \
	    echo "still activated:"; \
	    sed -n 's/^      "path" : "\(.*\)",*$$/  \1/p' $(REGISTRY); \
	    echo "deactivate each first (\`dmsnap deactivate DEVICE\`): what is written to it after the"; \
	    echo "next boot would be in no session. \`make uninstall FORCE=1\` goes on all the same."; \
	    exit 1; \
	fi
	@if [ -z "$(FORCE)" ] && [ -e $(REGISTRY) ] && ! grep -q '"activations"' $(REGISTRY); then \
	    echo "$(REGISTRY) is damaged, so nobody knows what is activated;"; \
	    echo "\`make uninstall FORCE=1\` goes on all the same."; \
	    exit 1; \
	fi
	rm -f $(DESTDIR)$(SBINDIR)/dmsnap $(DESTDIR)$(SBINDIR)/mount.dmsnap \
	    $(DESTDIR)$(INCDIR)/dmsnap.h \
	    $(DESTDIR)$(LIBDIR)/libdmsnap.so $(DESTDIR)$(LIBDIR)/libdmsnap.so.0 \
	    $(DESTDIR)$(LIBDIR)/libdmsnap.so.$(VERSION) \
	    $(DESTDIR)$(UDEVDIR)/59-dmsnap.rules $(DESTDIR)$(UNITDIR)/dmsnap-monitor.service \
	    $(DESTDIR)$(UNITDIR)/dmsnap-after-archive.service \
	    $(DESTDIR)$(UNITDIR)/dmsnap-checkpoint@.service \
	    $(DESTDIR)$(UNITDIR)/dmsnap-checkpoint@.timer \
	    $(DESTDIR)$(UNITDIR)/sysinit.target.wants/dmsnap-monitor.service \
	    $(DESTDIR)$(MANDIR)/man8/dmsnap.8 $(DESTDIR)$(MANDIR)/man8/mount.dmsnap.8 \
	    $(DESTDIR)$(MANDIR)/man5/dmsnap.toml.5
	rm -rf $(DESTDIR)$(DOCDIR)

bench: setup stage ## Measure dmsnap beside fio, dd, pigz, dmsetup and LVM (ONLY=part; installs fio and pigz).
	@for package in fio pigz; do \
	    command -v $$package > /dev/null || apt-get install -y -qq $$package > /dev/null; done
	$(BUILD) --product bench
	$(BUILD) --product vm
	Benchmarks/run

clean: ## Remove everything that was built.
	rm -rf .build .build-fuzz .build-address .build-thread
