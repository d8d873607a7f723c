# How the files of a release are made; docs/releasing.md explains them. Included by the Makefile at the top.

comma := ,
packages := target/packages
release := target/release-$(version)

# ARCH names the kind of machine that is built for, as Debian calls it; by default this one. For another one cargo needs to be told
# the target, and its programs are run by qemu.
here := $(shell dpkg --print-architecture 2> /dev/null)
ARCH ?= $(here)
cpu := $(or $(patsubst arm64,aarch64,$(filter arm64,$(ARCH))),x86_64)
gnu := $(cpu)-linux-gnu
static_target := $(cpu)-unknown-linux-musl
static_built := $(target)/$(static_target)/$(notdir $(built))
export CC_$(cpu)_unknown_linux_musl := musl-gcc
ifneq ($(ARCH),$(here))
  cross := --target $(cpu)-unknown-linux-gnu
  built := $(target)/$(cpu)-unknown-linux-gnu/$(notdir $(built))
  runner := qemu-$(cpu)-static
  needs := cross
  as_host := dpkg-architecture --host-arch $(ARCH) --force --command
  prefix := CARGO_TARGET_$(shell echo $(cpu) | tr a-z A-Z)_UNKNOWN_LINUX
  export $(prefix)_GNU_LINKER := $(gnu)-gcc
  export $(prefix)_MUSL_LINKER := $(gnu)-gcc
  export PKG_CONFIG_ALLOW_CROSS := 1
  export PKG_CONFIG_LIBDIR_$(cpu)_unknown_linux_gnu := /usr/lib/$(gnu)/pkgconfig:/usr/share/pkgconfig
  export CC_$(cpu)_unknown_linux_musl := $(cpu)-linux-musl-gcc
  packages := $(packages)-$(ARCH)
endif

# No paths of this machine, and no time but the version's, in debian/changelog: packaging/reproducible looks whether that holds.
ifeq ($(PROFILE),dist)
  crates := $(or $(CARGO_HOME),$(shell getent passwd "$$(id -u)" | cut -d: -f6)/.cargo)
  toolchain := $(shell rustc --print sysroot)
  # Of two that fit, the last one counts.
  maps := $(CURDIR)=bam $(abspath $(target))=bam/target $(crates)=cargo $(toolchain)=rust
  export SOURCE_DATE_EPOCH ?= $(shell sed -n '/^ -- /{s/.*>  //p;q}' debian/changelog | date --file - +%s)
  export RUSTFLAGS := $(addprefix --remap-path-prefix=,$(maps))
  export BAM_CC_FLAGS := $(addprefix -ffile-prefix-map=,$(maps)) -fno-asynchronous-unwind-tables
  # Half a megabyte of relocations in some kilobytes: Debian 12's glibc is the first that reads them so.
  packed := $(if $(filter x86_64,$(cpu)),-C link-arg=-Wl$(comma)-z$(comma)pack-relative-relocs)
  export PATH := $(CURDIR)/packaging/cc:$(PATH)
  export CARGO_INCREMENTAL := 0
  # A macro in age's messages goes through a hash map: in the same order in every build.
  export BAM_FIXED_RANDOM := $(abspath $(target))/fixed-random.so
  export RUSTC_WRAPPER := $(CURDIR)/packaging/rustc
  # Writes the crates into the program, for `cargo audit bin`.
  auditable := $(if $(shell command -v cargo-auditable),auditable)
endif
cargo_build = cargo $(auditable) build --profile $(PROFILE) --locked

build: export RUSTFLAGS += $(packed)

build static: $(BAM_FIXED_RANDOM)

$(BAM_FIXED_RANDOM): packaging/fixed-random.c
	mkdir -p $(@D)
	cc -shared -fPIC -O2 -o $@ $<

.PHONY: static packages packages-test dist reproducible

# One file that needs nothing of the machine but a kernel.
static:
	@tests/need static $(needs)
	@packaging/has-target $(static_target)
	$(cargo_build) --package bam-cli --features static --target $(static_target)

packages:
	@tests/need build packages $(needs)
	@packaging/has-target $(cpu)-unknown-linux-gnu
	rm -rf $(packages)
	mkdir -p $(packages)
	$(MAKE) --no-print-directory build
	PACKAGES=$(packages) BUILT=yes $(as_host) debian/rules clean $(if $(cross),binary-arch,binary)
	PACKAGES=$(packages) debian/rules clean
	ls -l $(packages)

packages-test:
	@tests/packages/run

dist:
	@tests/need build packages static cross
	packaging/dist $(release)
	packaging/sizes $(release)

reproducible:
	packaging/reproducible $(release)
