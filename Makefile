# What people and machines type; `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help run build test lint bench bench-control clean packages-build packages-run packages-test

SCENE ?= scenes/demo.json
# More for the command line, for example: make run ARGS='--recording off --log-level debug'
ARGS ?=
# Property tests try the same cases on every run; PROPTEST_RNG_SEED=$$RANDOM tries others.
PROPTEST_RNG_SEED ?= 20260101

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: packages-build packages-run ## Build and put SCENE (scenes/demo.json) on air: http://localhost:4200, rtmp://localhost:1935/live/program
	cargo run --release --locked -- run $(SCENE) $(ARGS)

build: packages-build ## Build target/release/stream-manager
	cargo build --release --locked

test: packages-test lint ## Check format and lints, run every test
	PROPTEST_RNG_SEED=$(PROPTEST_RNG_SEED) cargo test --workspace --locked

lint: packages-build ## Check format and lints alone
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: packages-test ## Measure beside FFmpeg and libx264 into benches/RESULTS.md; on the air too with ARGS=--live
	cargo bench --locked --bench peers -- $(ARGS)

bench-control: packages-build ## Measure the API under load into benches/CONTROL.md
	cargo bench --locked --bench control -- $(ARGS)

clean: ## Remove what was built, and what tests and benches left
	cargo clean
	rm -rf benches/out tests/actual

packages-build:
	@scripts/install-packages.sh build

packages-run:
	@scripts/install-packages.sh run

packages-test:
	@scripts/install-packages.sh build run test
