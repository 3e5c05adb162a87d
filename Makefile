# What a person or a machine does with this repository. `make` lists it.

CARGO ?= cargo
# How long each fuzz target runs, in seconds.
SECONDS ?= 600
TOOLS := $(CURDIR)/target/tools
BUILT := $${CARGO_TARGET_DIR:-target}

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-lab deny bench fuzz

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: ## Fetches a pinned chain node and client library into target/lab (npm)
	@scripts/setup.sh >/dev/null

demo: ## Shows Seawall on one real chain behind three providers that you can break
	@anvil=$$(scripts/setup.sh) && $(CARGO) build --locked --package seawall && rm -rf target/demo && \
		"$(BUILT)/debug/seawall" demo --anvil "$$anvil" --dir target/demo $(DEMO)

test: setup ## Formatting, lints and every test; needs only Rust and npm
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null

test-lab: setup ## Tests beside HAProxy, promtool and a Go verifier (Debian packages; root or sudo installs them)
	scripts/test-lab.sh

deny: ## Licences and sources of the dependencies (installs cargo-deny into target/tools)
	@[ -x "$(TOOLS)/bin/cargo-deny" ] || $(CARGO) install --quiet --locked cargo-deny@0.20.2 --root "$(TOOLS)"
	"$(TOOLS)/bin/cargo-deny" --locked --all-features check bans licenses sources

bench: ## The gateway beside HAProxy, and the data path by itself (some minutes)
	$(CARGO) build --locked --release --package seawall
	bench/gateway.sh -- "$(BUILT)/release/seawall" run bench/gateway.toml
	$(CARGO) run --quiet --release --manifest-path bench/subscribers/Cargo.toml -- "$(BUILT)/release/seawall"
	$(CARGO) bench --locked --workspace

fuzz: ## Every fuzz target for SECONDS each (needs a nightly toolchain; installs cargo-fuzz)
	@[ -x "$(TOOLS)/bin/cargo-fuzz" ] || $(CARGO) install --quiet --locked cargo-fuzz@0.13.2 --root "$(TOOLS)"
	@export PATH="$(TOOLS)/bin:$$PATH"; set -e; for target in $$($(CARGO) +nightly fuzz list); do \
		echo "fuzzing $$target for $(SECONDS) s"; \
		$(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(SECONDS) -print_final_stats=1; \
	done
