# How the files of a release are made; docs/releasing.md explains them. Included by the Makefile at the top.

packages := target/packages
release := target/release-$(version)
static_target := x86_64-unknown-linux-musl
static_built := $(target)/$(static_target)/$(notdir $(built))

# No paths of this machine, and no times but the commit's: packaging/reproducible looks whether that holds.
ifeq ($(PROFILE),dist)
  crates := $(or $(CARGO_HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6)/.cargo)
  toolchain := $(shell rustc --print sysroot)
  # Of two that fit, the last one counts.
  maps := $(CURDIR)=bam $(abspath $(target))=bam/target $(crates)=cargo $(toolchain)=rust
  export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2> /dev/null || date +%s -r debian/changelog)
  export RUSTFLAGS := $(addprefix --remap-path-prefix=,$(maps))
  export BAM_PREFIX_MAPS := $(addprefix -ffile-prefix-map=,$(maps))
  export PATH := $(CURDIR)/packaging/cc:$(PATH)
  export CARGO_INCREMENTAL := 0
  # Writes the crates into the program, for `cargo audit bin`.
  auditable := $(if $(shell command -v cargo-auditable),auditable)
endif
cargo_build = cargo $(auditable) build --profile $(PROFILE) --locked

.PHONY: static packages packages-test dist reproducible

# One file that needs nothing of the machine but a kernel.
static:
	@tests/need static
	CC_x86_64_unknown_linux_musl=musl-gcc $(cargo_build) --package bam-cli --features static \
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
	@tests/need build packages static
	packaging/dist $(release)
	packaging/sizes $(release)

reproducible:
	packaging/reproducible $(release)
