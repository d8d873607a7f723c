# How the files of a release are made; docs/releasing.md explains them. Included by the Makefile at the top.

packages := target/packages
release := target/release-$(version)
static_target := x86_64-unknown-linux-musl
static_built := $(target)/$(static_target)/$(notdir $(built))

# No paths of this machine, and no times but the commit's.
ifeq ($(PROFILE),dist)
  here := $(CURDIR)
  crates := $(or $(CARGO_HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6)/.cargo)
  export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2> /dev/null || date +%s -r debian/changelog)
  export RUSTFLAGS := --remap-path-prefix=$(here)=bam --remap-path-prefix=$(crates)=cargo
  export CFLAGS := -O2 -ffile-prefix-map=$(here)=bam -ffile-prefix-map=$(crates)=cargo
  export CARGO_INCREMENTAL := 0
endif

.PHONY: static packages packages-test dist

# One file that needs nothing of the machine but a kernel.
static:
	@tests/need static
	CC_x86_64_unknown_linux_musl=musl-gcc cargo build --profile $(PROFILE) --locked --package bam-cli --features static \
	  --target $(static_target)

packages:
	@tests/need build packages
	rm -rf $(packages)
	mkdir -p $(packages)
	$(MAKE) --no-print-directory build
	PACKAGES=$(packages) BUILT=yes debian/rules clean binary
	PACKAGES=$(packages) debian/rules clean
	ls -l $(packages)

packages-test:
	@tests/packages/run

dist:
	packaging/dist $(release)
