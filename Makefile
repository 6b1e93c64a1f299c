# `make` prints the targets. `make test` is the one command that has to pass before a change is proposed.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

# A go.work of the developer must not change what is built here.
export GOWORK := off

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0

# The version is part of the file name, so that another version is installed when the line above changes.
GOLANGCI_LINT := $(CURDIR)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOVULNCHECK := $(CURDIR)/bin/govulncheck-$(GOVULNCHECK_VERSION)

# How long the tests of one module may take, and how long a benchmark and a fuzz target run.
TIMEOUT ?= 8m
# Tests that wait for a network or a timeout leave the processor to others.
PARALLEL ?= 8
BENCHTIME ?= 100ms
FUZZTIME ?= 20s

# Every folder with a go.mod, committed or new: a new module cannot be forgotten. The root is ".". Two are left out: they need
# a client of 130 modules, half of them for its own tests, only to stand in a table.
MODULES := $(filter-out %/confluent,$(sort $(patsubst %/,%,$(dir $(wildcard $(shell git ls-files -co --exclude-standard go.mod '*/go.mod'))))))
ifeq ($(MODULES),)
$(error no module found: run make in a git checkout)
endif

# $(call each,COMMAND) runs COMMAND in the folder of every module and stops at the first failure.
define each
@set -e; for m in $(MODULES); do \
	printf '\n--> %s in module %s\n' '$@' "$$m"; \
	( cd "$$m"; $(1) ); \
done
endef

.PHONY: help
help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: lint unit ## Run the whole check: lint, then vet, tidiness and tests of every module.

.PHONY: unit
unit: ## Run vet, the tidiness check and the tests of every module, with the race detector.
	$(call each,go vet ./...; go mod tidy -diff; go test -race -shuffle=on -parallel=$(PARALLEL) -timeout=$(TIMEOUT) ./...)

.PHONY: slow
slow: ## Run what takes long: races on 1 and 80 processors, random programs, the bounds at full size.
	go test -race -shuffle=on -parallel=$(PARALLEL) -count=1 -cpu=1,80 -timeout=$(TIMEOUT) . ./internal/...
	E2E_MESSAGES=1000000 go -C internal/e2e test -race -count=1 -timeout=20m -run=TestRandom -v .
	E2E_FULL=1 go -C internal/e2e test -count=1 -timeout=20m -run='TestBounds|TestCut_atEach' -v .

.PHONY: integration
integration: ## Run the tests against Apache Kafka itself; needs Java 17 or later and Maven.
	KAFKA_TESTS=1 KAFKA_REQUIRED=1 go -C integration test -race -count=1 -p 1 -timeout=25m ./...

# PRODUCERS= (nothing) lets the peers run, too, and CONFLUENT=1 confluent-kafka-go among them, which needs a C compiler.
PRODUCERS ?= ^producer
.PHONY: chaos
chaos: ## Run scenarios against Apache Kafka; DURATION=30m goes on for as long, SEED=1 repeats, PRODUCERS= lets peers run, too.
	go -C integration$(if $(CONFLUENT),/confluent run ., run ./cmd/chaos) -producers '$(PRODUCERS)' $(if $(DURATION),-duration $(DURATION)) $(if $(SEED),-seed $(SEED)) $(if $(RATE),-rate $(RATE))

.PHONY: lint
lint: check-modules $(GOLANGCI_LINT) ## Run the linters on every module, with the one configuration of the root.
	$(call each,$(GOLANGCI_LINT) run -c $(CURDIR)/.golangci.yml ./...)

.PHONY: check-modules
check-modules: ## Check the go.mod files: requirements, replacements, Go version; and look for absolute paths.
	@scripts/check-modules $(MODULES)

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code of every module.
	$(call each,$(GOLANGCI_LINT) fmt -c $(CURDIR)/.golangci.yml ./...)

.PHONY: tidy
tidy: ## Run go mod tidy in every module.
	$(call each,go mod tidy)

.PHONY: cover
cover: ## Measure what the tests of each module cover of this repository; the profile is coverage.out.
	$(call each,go test -coverpkg=github.com/saramakit/producer/... -coverprofile=coverage.out ./...; go tool cover -func=coverage.out | tail -n 1)

# CONFLUENT=1 lets confluent-kafka-go run, too, which needs a C compiler.
.PHONY: bench
bench: ## Compare with every peer, against brokers that only acknowledge. Writes benchmarks/results; RUN= some comparisons, and writes nothing.
	go -C benchmarks$(if $(CONFLUENT),/confluent) run . -ratios $(if $(RUN),-run '$(RUN)',-out $(CURDIR)/benchmarks/results)

.PHONY: bench-kafka
bench-kafka: ## The same against one node of Apache Kafka; needs Java 17 or later and Maven.
	go -C integration run ./cmd/with-kafka sh -c 'cd $(CURDIR)/benchmarks$(if $(CONFLUENT),/confluent) && \
		go run . -ratios -kafka "$$KAFKA_BROKERS" $(if $(RUN),-run "$(RUN)",-out $(CURDIR)/benchmarks/results)'

.PHONY: microbench
microbench: ## Run the Go benchmarks of every module, for benchstat; BENCHTIME=2s for steadier numbers.
	$(call each,go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -timeout=30m ./...)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME.
	@git grep --untracked -oE '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | sed 's/func //' | while IFS=: read -r file target; do \
		printf '\n--> %s in %s\n' "$$target" "$$file"; \
		go -C "$$(dirname "$$file")" test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . || exit 1; \
	done

.PHONY: vuln
vuln: $(GOVULNCHECK) ## Look for known vulnerabilities in what every module calls.
	$(call each,$(GOVULNCHECK) ./...)

.PHONY: tools
tools: $(GOLANGCI_LINT) $(GOVULNCHECK) ## Install the tools into ./bin, at the versions named in the Makefile.

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv bin/golangci-lint $@

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/bin go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@mv bin/govulncheck $@
