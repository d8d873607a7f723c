# `make` says what there is. Everything here works on a Debian 12 with a Rust toolchain.

PREFIX ?= /usr/local
DESTDIR ?=
# Drush 8 looks here, whatever the site (Drush runs from PATH, its global folders don't move with PREFIX).
DRUSH_COMMANDS ?= /usr/share/drush/commands

LIBRARIES ?= $(PREFIX)/lib
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions

# What is built and installed; `dev` is built faster and runs slower, `dist` is what releases are made with.
PROFILE ?= release

# The one place of the version; tests/e2e/test_version.py says where else it stands.
version := $(shell sed -n '/^\[workspace.package\]/,/^$$/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
target := $(or $(CARGO_TARGET_DIR),target)
built := $(target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
to := $(DESTDIR)$(PREFIX)
libraries := $(DESTDIR)$(LIBRARIES)
share := $(PREFIX)/share/bam

.DEFAULT_GOAL := help

include packaging/dist.mk

.PHONY: help build demo test lint fuzz miri sanitize shuttle bench faults soak scale servers site site10 install install-files uninstall

help:
	@echo 'make demo      what bam does, on a small sample site (compiles it first: some minutes, once)'
	@echo 'make test      every test there is; the last line counts them'
	@echo 'make faults    POINTS=… SEED=…: kills, full disks and errors at the calls of every operation; then what must hold'
	@echo 'make soak      TIME=seconds: a changing site, all verbs in rounds, with faults'
	@echo 'make scale     SCALE=part: memory and time with a million files, 20 000 tables, 100 000 backups, a year of nights'
	@echo 'make servers   the database tests on the MySQL, MariaDB and PostgreSQL of newer Debians (as root)'
	@echo 'make lint      rustfmt, clippy, php -l, shellcheck, codespell, cargo deny'
	@echo 'make fuzz      libFuzzer over every parser and the C interface, TIME=60 seconds each (nightly Rust)'
	@echo 'make miri      the pointers of the C interface under Miri (nightly Rust with miri and rust-src)'
	@echo 'make sanitize  the C interface and the engine under AddressSanitizer and ThreadSanitizer (nightly Rust with rust-src)'
	@echo 'make shuttle   ORDERS=…: so many orders of threads for everything that waits for another'
	@echo 'make bench     speed and memory beside other tools'
	@echo 'make site      a real Drupal 7 with Drush 8 for the tests (needs a Composer registry)'
	@echo 'make site10    the same with Drupal 10 and Drush 12 or 13'
	@echo 'make install   builds and installs below PREFIX=$(PREFIX) (and DESTDIR)'
	@echo 'make uninstall takes it away again; keys, settings and backups stay'
	@echo 'make packages  Debian packages, in target/packages (docs/releasing.md); ARCH=arm64 for other machines'
	@echo 'make packages-test tries them in clean roots of Debian 12 and 13 (as root)'
	@echo 'make dist      all files of a release, in target/release-$(version)'
	@echo 'make reproducible makes them once more elsewhere, and compares'

# Program and library one after the other, of the same crates: cargo auditable puts what it writes about each into one file, as both are called
# bam, and side by side one gets the other's list.
build:
	@tests/need build
	$(cargo_build) $(cross) --package bam-cli --package bam-capi --bins
	$(cargo_build) $(cross) --package bam-cli --package bam-capi --lib

# Built fast rather than to be fast, without the release's slow linking: the demonstration moves a few megabytes. What is
# compiled for it the tests need as well.
demo: demo_built := target/debug
demo:
	@tests/need build demo
	@[ -x $(demo_built)/bam ] || echo 'Compiling bam first: once, a few minutes, as long as cargo counts the crates below.'
	cargo build --locked --package bam-cli --package bam-capi
	@tests/demo/run $(demo_built)/bam

test:
	@tests/need build test
	@tests/run

lint:
	@tests/need build test
	@tests/run lint

fuzz:
	@tests/fuzz $(or $(TIME),60)

miri:
	@tests/miri

sanitize:
	@tests/sanitize

shuttle:
	@tests/shuttle

bench:
	@tests/need build test
	cargo build --profile $(PROFILE) --locked
	cargo build --profile $(PROFILE) --locked --package bam --example transfer
	@tests/bench/run
	@tests/bench/database
	@tests/bench/repository
	@if [ -n "$$BAM_TEST_DRUPAL_ROOT" ]; then tests/bench/drupal; else echo "BAM_TEST_DRUPAL_ROOT names no site: Backup and Migrate is left out"; fi
	@tests/bench/transfer --program $(built)/examples/transfer
	@tests/bench/transfer --program $(built)/examples/transfer --latency 50 --rounds 3
	@tests/bench/objects --program $(built)/examples/transfer

faults: POINTS ?= 10000
faults:
	@tests/need build faults
	cargo build --locked --package bam-cli
	@tests/faults/run --points $(POINTS) $(if $(SEED),--seed $(SEED))

soak: TIME ?= 600
soak:
	@tests/need build faults
	cargo build --locked --package bam-cli
	@tests/faults/soak --seconds $(TIME) $(if $(SEED),--seed $(SEED))

scale: SCALE ?= 1
scale:
	@tests/need build faults
	cargo build --locked --package bam-cli --package bam-bench-data
	@tests/faults/scale --scale $(SCALE)
	@tests/faults/year --days $$(awk 'BEGIN { print int(4 + 361 * $(SCALE)) }')

servers:
	@tests/need build servers
	@tests/servers/run

site:
	composer install --no-interaction --working-dir=tests/site
	@echo 'export BAM_TEST_DRUPAL_ROOT=$(CURDIR)/tests/site/web BAM_TEST_DRUSH=$(CURDIR)/tests/site/vendor/bin/drush'

site10:
	composer install --no-interaction --working-dir=tests/site10
	@echo 'export BAM_TEST_DRUPAL10_ROOT=$(CURDIR)/tests/site10/web BAM_TEST_DRUSH10=$(CURDIR)/tests/site10/vendor/bin/drush'

# Root often has no Rust toolchain: then it installs what somebody else has built here.
install:
	@if command -v cargo > /dev/null; then $(MAKE) --no-print-directory build; \
	elif [ ! -x $(built)/bam ]; then echo 'Run `make build` first, as the user who has the Rust toolchain.'; exit 1; fi
	@$(MAKE) --no-print-directory install-files

# Of what is built; packagers call this alone.
install-files:
	install -d $(to)/bin $(libraries)/pkgconfig $(to)/include $(DESTDIR)$(share)/include
	install -m 755 $(built)/bam $(to)/bin/bam
	install -m 644 $(built)/libbam.so $(libraries)/libbam.so.1
	ln -sf libbam.so.1 $(libraries)/libbam.so
	install -m 644 include/bam.h $(to)/include/bam.h
	install -m 644 include/bam.h $(DESTDIR)$(share)/include/bam.h
	sed 's|@VERSION@|$(version)|; s|@PREFIX@|$(PREFIX)|; s|@LIBRARIES@|$(LIBRARIES)|' packaging/bam.pc.in > $(libraries)/pkgconfig/bam.pc
	rm -rf $(addprefix $(DESTDIR)$(share)/,php-shim drush drupal7 drupal10 examples)
	cp -r --no-preserve=ownership php-shim drush drupal7 drupal10 $(DESTDIR)$(share)/
	cp -r --no-preserve=ownership docs/examples $(DESTDIR)$(share)/examples
	rm -rf $(DESTDIR)$(share)/php-shim/tests $(DESTDIR)$(share)/php-shim/vendor
	packaging/composer-version $(version) $(addprefix $(DESTDIR)$(share)/,php-shim drush drupal10)
	install -d $(DESTDIR)$(DRUSH_COMMANDS)
	ln -sfn $(share)/drush $(DESTDIR)$(DRUSH_COMMANDS)/bam
	install -d $(to)/share/bash-completion/completions $(DESTDIR)$(ZSH_COMPLETIONS) $(to)/share/fish/vendor_completions.d
	install -d $(to)/share/man/man1
	$(runner) $(built)/bam manual $(to)/share/man/man1
	$(runner) $(built)/bam completions bash > $(to)/share/bash-completion/completions/bam
	$(runner) $(built)/bam completions zsh > $(DESTDIR)$(ZSH_COMPLETIONS)/_bam
	$(runner) $(built)/bam completions fish > $(to)/share/fish/vendor_completions.d/bam.fish

uninstall:
	@for file in /etc/cron.d/bam-* /etc/systemd/system/bam-*.timer; do [ ! -e "$(DESTDIR)$$file" ] || \
	  echo "$$file runs bam and stays: remove it, or before this \`bam --config FILE schedule remove\`"; done
	rm -f $(to)/bin/bam $(addprefix $(libraries)/,libbam.so libbam.so.1 pkgconfig/bam.pc) $(to)/include/bam.h
	rm -f $(DESTDIR)$(DRUSH_COMMANDS)/bam
	rm -f $(to)/share/bash-completion/completions/bam $(DESTDIR)$(ZSH_COMPLETIONS)/_bam
	rm -f $(to)/share/fish/vendor_completions.d/bam.fish $(to)/share/man/man1/bam.1 $(to)/share/man/man1/bam-*.1
	rm -rf $(DESTDIR)$(share)
