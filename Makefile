# The one door: the same commands for people and for CI. Every target says what it does and does nothing twice.
#
#   make run      install, build, start a demo backend and the edge, send requests through it, stay up until Ctrl-C
#   make test     all tests                       make check    types, style, import table, clippy, licences
#   make native   only the addon                  make bench    cost beside nghttpx, and decide() by itself
#   make docs     generated pages                 make clean    forget what was built
#   make fresh    `make run` and `make test` on bare Debians, made by debootstrap; as root
#   make fuzz     some minutes of files and bytes changed at random; with cargo-fuzz the targets of native/fuzz too
#   make routes   what 10, 1,000 and 10,000 routes cost
#   make rotations 100 certificates changed in a minute under load, broken ones in between
#   make reloads  1,000 reloads in five minutes under load, mistakes in between; then workers killed meanwhile
#   make change   what is lost while certificates and configuration change: the edge beside its peers
#   make chaos    a backend misbehaves, and overload: the edge beside nginx, HAProxy, Envoy, Caddy
#
# CARGO_TARGET_DIR moves cargo's files out of the tree; PROFILE is release (fat LTO, slow to build) or ci (the same code, built in a third
# of the time, with overflow checks and debug assertions).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-ts test-rust check check-ts check-rust native certs bench routes chaos rotations reloads change fuzz docs fresh fresh-short clean

PROFILE := $(or $(PROFILE),release)
TEST_PROFILE := $(or $(TEST_PROFILE),ci)
LYCHGATE_CACHE := $(or $(LYCHGATE_CACHE),$(HOME)/.cache/lychgate)
export LYCHGATE_CACHE
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):$(HOME)/.cargo/bin

arch := $(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
addon := native/lychgate.linux-$(arch)-gnu.node
installed := node_modules/.lychgate-installed
rust := $(shell find native/core native/binding -name '*.rs' 2>/dev/null) $(wildcard native/*/Cargo.toml) native/Cargo.toml native/Cargo.lock
cargo := node native/patch.mjs && cd native && cargo
say = @printf '\033[1m== %s\033[0m\n'

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# The whole machine is asked before anything is downloaded: one answer names everything that is missing.
$(installed): package.json package-lock.json
	@native/require.sh
	$(say) 'npm install: what package-lock.json names'
	@# Not `npm ci`: it refuses a lockfile without the optional packages of platforms that the registry at hand does not carry.
	@npm install --no-save --no-fund --no-audit --loglevel=error
	@node -e 'process.exit(parseInt(process.versions.node) < 24 ? 1 : 0)' || { echo "make: this is Node $$(node --version), and npm did not bring Node 24:" \
	  'its package `node` needs install scripts (npm config get ignore-scripts)' >&2; exit 1; }
	@touch $@

$(addon): $(rust) native/build.mjs native/patch.mjs native/quiche.patch native/require.sh | $(installed)
	$(say) 'addon: $(PROFILE) build (BoringSSL too, the first time)'
	@native/require.sh
	@node native/build.mjs --profile $(PROFILE)
	@touch $@

native: $(addon)

certs:
	@certs/make.sh

run: $(installed) $(addon) certs
	$(say) 'lychgate'
	@exec node docs/demo/run.ts

check: check-ts check-rust

check-ts: $(installed)
	$(say) 'types, style, import table, unused exports'
	@npm run --silent check

check-rust: $(installed)
	$(say) 'rustfmt, clippy'
	@native/require.sh
	@{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || { echo 'make: the checks of Rust need rustfmt and clippy beside it' \
	  '(rustup component add rustfmt clippy)' >&2; exit 1; }
	@$(cargo) fmt --all --check
	@$(cargo) clippy --workspace --all-targets --locked --profile $(TEST_PROFILE) -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(cargo) deny --log-level error check licenses bans sources; \
	else echo 'make: cargo-deny is not installed, licences and sources of crates are not checked (cargo install cargo-deny)'; fi

test: test-rust test-ts

test-ts: $(installed) $(addon) certs
	$(say) 'TypeScript tests'
	@mkdir -p .tap
	@{ tap run --reporter=tap 2>&1; echo "exit $$?"; } | tee .tap/last.tap | node test/support/tally.mjs --follow
	@node test/support/tally.mjs .tap/last.tap

test-rust: $(installed)
	$(say) 'Rust tests'
	@native/require.sh
	@mkdir -p .tap
	@{ ($(cargo) test --workspace --locked --profile $(TEST_PROFILE)) 2>&1; echo "exit $$?"; } | tee .tap/last.cargo
	@node test/support/tally.mjs .tap/last.cargo

bench: $(installed) $(addon) certs
	$(say) 'bench: the edge beside nghttpx, alternating'
	@node bench/run.ts $(BENCH)

routes: $(installed) $(addon)
	$(say) 'routes: what they cost at start and reload'
	@node bench/routes.ts $(ROUTES)

chaos: $(installed) $(addon)
	$(say) 'chaos: whom the edge and its peers choose while a backend misbehaves'
	@node bench/chaos/run.ts $(CHAOS)

rotations: $(installed) $(addon) certs
	$(say) '100 certificates changed in a minute, under load'
	@ROTATIONS=100 ROTATION_MS=600 node test/journey/rotation.test.ts | grep -E '^ *not ok|^ok|^ +# in use|^# '

reloads: $(installed) $(addon) certs
	$(say) '1,000 reloads in five minutes, under load; then 40 with workers killed meanwhile'
	@RELOADS=1000 RELOAD_MS=300 KILLS=40 node test/journey/reloads.test.ts | grep -E '^ *not ok|^ok|^ +# .*(→|reloads)|^# '

change: $(installed) $(addon)
	$(say) 'what is lost through a change: the edge and its peers'
	@node bench/change/run.ts $(CHANGE)

# FUZZ_SECONDS is for each target of native/fuzz, FUZZ for the number of changed files of each kind.
fuzz: $(installed) $(addon) certs
	$(say) 'configurations, certificates and keys changed at random'
	@FUZZ=$(or $(FUZZ),10000) tap run --timeout=3600 test/config/mutations.test.ts
	$(say) 'certificates of clients and tickets changed at random'
	@export PROPTEST_CASES=$(or $(FUZZ),10000); $(cargo) test -p lychgate-core --locked --profile $(TEST_PROFILE) --lib robust
	@if cargo fuzz --version >/dev/null 2>&1; then cd native && for target in $$(RUSTC_BOOTSTRAP=1 cargo fuzz list); do \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run $$target -- -max_total_time=$(or $(FUZZ_SECONDS),60) || exit 1; done; \
	else echo 'make: cargo-fuzz is not installed, the targets of native/fuzz did not run (cargo install cargo-fuzz)'; fi

fresh:
	$(say) 'fresh: what README.md says, on bare Debians'
	@test/fresh/fresh.sh

# What require.sh and install.sh decide on bare and on partial systems; a part of CI, for it needs root and downloads.
fresh-short: $(installed)
	$(say) 'fresh, the short form'
	@mkdir -p .tap
	@{ tap run --reporter=tap --timeout=1500 test/fresh/decisions.test.ts 2>&1; echo "exit $$?"; } | tee .tap/last.fresh | node test/support/tally.mjs --follow
	@node test/support/tally.mjs .tap/last.fresh

docs: $(installed)
	$(say) 'generated pages'
	@npm run --silent docs

clean:
	rm -rf dist .tap coverage native/target native/.patched native/*.node node_modules certs/*.pem certs/*.key
