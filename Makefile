# The main targets are `make run` and `make test`; `make` lists all.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
DEMO     ?=
JSON     ?=
KILLS    ?= 1000

PROGRAMS := ./cmd/supervisor ./cmd/controlplane ./cmd/acs-plugin-manager
SHIMS    := amd64 arm64
SAMPLES  := $(patsubst examples/%/config.json,%,$(wildcard examples/*/config.json))

BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X pluginsupervisor/internal/version.built=$(VERSION)'
TOOL  := go tool -modfile=tools.mod
TESTS := $(TOOL) gotestsum --format pkgname $(if $(JSON),--jsonfile '$(JSON)')

# -ldflags sets the version. -buildvcs would fail in a checkout of another user.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build and run the demo (DEMO='--for 30s': its flags)
	bin/supervisor demo $(DEMO)

.PHONY: test
test: ## run all tests (ARGS='-run X': flags of go test; JSON=FILE: events)
	@$(TESTS) -- $(ARGS) ./...

.PHONY: race
race: ## run all tests under the race detector
	@CGO_ENABLED=1 $(TESTS) -- -race $(ARGS) ./...

.PHONY: test-all
test-all: ## run all tests with -race, as root (installs nginx, redis); a skip fails
	@SUPERVISOR_TEST_REQUIRE=all $(MAKE) --no-print-directory race

.PHONY: check
check: ## run all checks of a change (.ci/run): clean checkout, as root
	.ci/run

.PHONY: cover
cover: ## measure the coverage of all tests together: bin/cover.html
	@mkdir -p bin
	@$(TESTS) -- -coverpkg=./... -coverprofile=bin/cover.out $(ARGS) ./...
	@go tool cover -html=bin/cover.out -o bin/cover.html
	@go tool cover -func=bin/cover.out | tail -n 1

.PHONY: lint
lint: ## check format, vet, staticcheck, words, links, workflows
	@unformatted=$$($(TOOL) gofumpt -l .); \
	if [[ -n $$unformatted ]]; then echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(TOOL) staticcheck ./...
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	go test ./internal/tools/vocabulary ./internal/tools/links
	$(TOOL) actionlint .github/workflows/*.yml

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (10s)
	@grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file _ func; do \
		echo "== $${func#func } in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}" < /dev/null; \
	done

.PHONY: bench
bench: build ## run the benchmarks, a simulated year, and the measured budgets
	@packages=$$(grep -rlE --include='*_test.go' '^func Benchmark' . | xargs -r dirname | sort -u); \
	go test -run '^$$' -bench . -benchmem $$packages
	go test -run '^TestYear$$' -v -count 1 ./actors | grep -v '^=== '
	go run ./internal/tools/bench

.PHONY: scale
scale: build ## measure supervisors with up to 3,000 plugins (some minutes)
	go run ./internal/tools/bench -only scale

.PHONY: soak
soak: build ## kill a supervisor KILLS times (1000), and count the faults
	go run ./internal/tools/soak -kills $(KILLS)
	go run ./internal/tools/soak -upgrades $$(( ($(KILLS) + 3) / 4 ))

.PHONY: house
house: ## print code metrics (ARGS='-base DIR': compare with another version)
	@go run ./internal/tools/house $(ARGS)

.PHONY: spec
spec: ## list the rows of docs/spec.md with their tests (REQUIRE=all)
	@go run ./internal/tools/spec -require '$(REQUIRE)'

.PHONY: generate
generate: ## write the generated parts of the documents, which tests check
	go test -count 1 -run '^TestPicture$$' ./actors/policy -update
	go test -count 1 -run '^TestDocs$$' ./cmd/supervisor/internal/view ./internal/config ./internal/service ./internal/plugincheck -update
	go test -count 1 -run '^Test(Traces|Recorded|Differences)$$' ./cmd/acs-plugin-manager -update
	go test -count 1 -run '^TestDocs$$' ./internal/tools/links -update

.PHONY: build
build: ## build programs and sample plugins into bin/
	$(BUILD) -o bin/ $(PROGRAMS)
	@for arch in $(SHIMS); do GOOS=linux GOARCH=$$arch $(BUILD) -o bin/plugin-shim-$$arch ./cmd/plugin-shim; done
	@for s in $(SAMPLES); do \
		install -D -m 0644 -t bin/examples/$$s examples/$$s/config.json; \
		if [[ -e examples/$$s/run.sh ]]; then \
			install -m 0755 -t bin/examples/$$s examples/$$s/run.sh; \
			install -m 0644 -t bin/examples/$$s pluginkit/plugin.sh; \
		else \
			$(BUILD) -o bin/examples/$$s/ ./examples/$$s; \
		fi; \
	done

.PHONY: sbom
sbom: build ## write the SBOM of each program (CycloneDX): bin/PROGRAM.cdx.json
	@for p in $(notdir $(PROGRAMS)); do \
		$(TOOL) cyclonedx-gomod bin -json -std -noserial -notimestamp -version '$(VERSION)' -output bin/$$p.cdx.json bin/$$p 2>&1 | \
			{ grep -v 'failed to build pseudo version' || true; }; \
		echo bin/$$p.cdx.json; \
	done

.PHONY: vuln
vuln: ## find known vulnerabilities of dependencies (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
