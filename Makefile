# What a fresh Debian machine with a Rust toolchain needs is installed by `make deps`; everything else asks for it first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON := target/python/bin/python
PACKAGES := postgresql clang libclang-dev gcc libc6-dev make procps python3 python3-venv
TESTS ?=
# primary:shadow
MAJORS ?= 14:18 15:18

.PHONY: help deps demo test test-majors soak conformance fuzz lint bench micro-bench image

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 22

deps: ## install the Debian packages that are missing (server, parser's build needs, python for the driver tests)
	@missing=(); \
	for package in $(PACKAGES); do \
		[[ "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null || true)" == installed ]] || missing+=("$$package"); \
	done; \
	if (( $${#missing[@]} )); then \
		echo "installing: $${missing[*]}"; \
		$(SUDO) apt-get update -q; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-upgrade "$${missing[@]}"; \
	fi

demo: deps ## the whole thing on two throw-away clusters, about a minute after the build
	cargo build --locked --bin crossfade
	target/debug/crossfade demo

test: deps $(PYTHON) ## every test, on real clusters that it starts and stops itself; TESTS="filter" for some
	@if cargo nextest --version >/dev/null 2>&1; then \
		echo "cargo nextest run $(TESTS)"; \
		cargo nextest run --locked --no-fail-fast $(TESTS); \
	else \
		echo "cargo test $(TESTS)"; \
		cargo test --locked --no-fail-fast --lib --bins --tests -- --test-threads=2 $(TESTS); \
	fi

test-majors: deps $(PYTHON) target/majors/installed ## mirror, check, backfill, reads and storm from 14 and 15 to 18; MAJORS="16:17" for other servers
	tests/majors/run $(MAJORS)

# The servers of all majors, pinned by their checksums; npm only where it is missing.
target/majors/installed: tests/majors/package.json tests/majors/package-lock.json tests/majors/.npmrc
	command -v npm >/dev/null || $(MAKE) deps PACKAGES=npm
	mkdir -p target/majors
	cp $^ target/majors
	cd target/majors && npm ci
	touch $@

soak: deps $(PYTHON) ## the long forms: TPC-B for 30 s in each mode, the shadow away for 20 s, storms of minutes, faults by the dozen
	CROSSFADE_SOAK=1 cargo nextest run --profile soak --locked --no-fail-fast -E 'binary(e2e) and test(/mirror|outage|memory|reads|check|storm|faults|histories|planted|compare/)'

conformance: deps ## PostgreSQL's and drivers' own test suites, direct and through crossfade; SUITES, STAGES, TESTS for some
	cargo build --locked --bin crossfade
	TESTS="$(TESTS)" tests/conformance/run.py

fuzz: deps ## libFuzzer on protocol, session and rewrite; FUZZ_SECONDS for each target (300), TARGETS="session" for some
	fuzz/run

# The drivers that the tests speak through, in an environment of their own.
$(PYTHON): tests/e2e/drivers/requirements.txt
	rm -rf target/python
	python3 -m venv target/python
	target/python/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

lint: deps ## formatting, clippy and documentation, without a warning
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

bench: deps ## against the server itself and through crossfade, pgbouncer and haproxy in turn; PARTS, ROUNDS, SECONDS_EACH …
	cargo build --locked --release --bin crossfade
	benches/end_to_end/run.py

micro-bench: deps ## criterion: framing, statement analysis, rewrite
	cargo bench --locked

image: ## the container image
	docker build -t crossfade .
