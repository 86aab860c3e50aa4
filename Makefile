# parley: every check runs locally exactly as it runs in .ci/run. `make` alone lists the targets.
#
#   run    a hub with every door and a small demo      test   what every change must pass
#
# Go and make are enough for these two; the check tools are built from tools/go.mod at their pinned
# versions, and `make interop` installs the clients that it drives.

GO      ?= go
TOOL     = $(GO) tool -modfile=$(CURDIR)/tools/go.mod
NESTED   = test bench
RUN_ARGS ?=

# The race detector needs cgo and a C compiler. Without them the tests run all the same, and say so.
CC_FOUND := $(and $(filter 1,$(shell $(GO) env CGO_ENABLED)),$(shell command -v $$($(GO) env CC)))
RACE     := $(if $(CC_FOUND),-race)

# gotestsum prints one line per package, what failed in full, and a summary as its last line.
SUM      = $(TOOL) gotestsum --format=pkgname-and-test-fails --format-hide-empty-pkg \
           --hide-summary=skipped --
# Slow tests skip under -short and say so; `make full` runs them. The tag switches assertions on.
TESTARGS = -short -shuffle=on -tags=check -timeout=9m

FUZZ_SMOKE_SECONDS = 60
FUZZ_SECONDS       = 60

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# ---- the two commands of the README

.PHONY: build
build: ## bin/parley
	$(GO) build -o bin/parley ./cmd/parley

.PHONY: run
run: build ## a hub with every door and the demo services (RUN_ARGS='--listen-all')
	./bin/parley serve --demo $(RUN_ARGS)

.PHONY: test
test: format vet unit alloc crashes fuzz-smoke clients ## what every change must pass (under 10 minutes on 2 cores)

# ---- the parts of `make test`

.PHONY: format
format: ## gofmt, every module
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## go vet, every module
	$(GO) vet -tags=check ./...
	@for m in $(NESTED); do echo "$(GO) vet in $$m"; (cd $$m && $(GO) vet ./...) || exit 1; done

.PHONY: unit
unit: ## import rules, unit, contract and scenario tests of the root module
	@$(if $(RACE),:,echo "no race detector: it needs CGO_ENABLED=1 and a C compiler")
	$(SUM) $(RACE) $(TESTARGS) ./...

# Allocation promises hold without -race only: sync.Pool drops items at random there. Every test
# that counts has Alloc in its name (internal/archtest), and skips or is not built under -race.
ALLOC_PKGS = $(sort $(dir $(shell grep -rl --include='*_test.go' testing.AllocsPerRun \
             --exclude-dir=archtest ./internal ./hub 2>/dev/null)))
.PHONY: alloc
alloc: ## allocation promises, without -race
	$(SUM) -run=Alloc -count=1 $(ALLOC_PKGS)

# 2,000 seeds, every byte and every seventh bit: too slow with the race detector.
.PHONY: crashes
crashes: ## simulated crashes and damage, without -race
	$(SUM) -run='TestRow0[145]' -count=1 ./internal/store

.PHONY: fuzz-smoke
fuzz-smoke: ## every fuzz target, 60 s in all
	scripts/fuzz.sh total $(FUZZ_SMOKE_SECONDS)

.PHONY: clients
clients: ## third-party Go clients and the other nested modules
	cd test && $(SUM) $(RACE) -short -timeout=9m ./...
	cd bench && $(SUM) -short -timeout=3m ./...

# ---- the linters

.PHONY: lint
lint: ## golangci-lint, formatting and go.mod of every module
	$(TOOL) golangci-lint config verify
	$(TOOL) golangci-lint fmt --diff
	@for m in . $(NESTED); do \
		echo "golangci-lint in $$m"; \
		(cd $$m && $(TOOL) golangci-lint run ./...) || exit 1; \
	done
	@for m in . $(NESTED); do \
		echo "go mod tidy and verify in $$m"; \
		(cd $$m && $(GO) mod tidy -diff && $(GO) mod verify) || exit 1; \
	done

# ---- before every commit, and now and then

.PHONY: commit
commit: lint test ## the commit lane: lint, then test

.PHONY: full
full: ## the slow lane: tests without -short, every fuzz target, dead code, 386, one processor
	$(SUM) $(RACE) -shuffle=on -tags=check -timeout=20m ./...
	cd test && $(SUM) -count=1 -timeout=10m ./doors/... ./scale/...
	GOMAXPROCS=1 $(SUM) -shuffle=on -timeout=20m ./...
	GOARCH=386 CGO_ENABLED=0 $(GO) vet ./...
	$(TOOL) deadcode -test ./...
	$(GO) generate ./... && git diff --exit-code
	$(MAKE) fuzz

.PHONY: fuzz
fuzz: ## every fuzz target, 60 s each (FUZZ_SECONDS=600)
	scripts/fuzz.sh each $(FUZZ_SECONDS)

.PHONY: bench
bench: ## parley beside RabbitMQ, ActiveMQ, NATS and JetStream; writes docs/performance.md
	cd bench && $(GO) run . $(BENCH_ARGS)

.PHONY: interop
interop: build ## clients in other languages, installed from Debian and npm, and RabbitMQ as oracle
	scripts/interop.sh

.PHONY: interop-full
interop-full: build ## the same with every table of every client
	scripts/interop.sh full

# Most rows need Linux, two of them root and loop devices, one strace: without them they skip.
FOR ?= 1m
.PHONY: faults
faults: ## crash, power loss and other faults, for a time (FOR=30m); see docs/reliability.md
	cd test && $(GO) run ./faults -for $(FOR)

.PHONY: faults-proof
faults-proof: ## seeded bugs, each of which the fault tests have to catch
	cd test && $(GO) run ./faults -proof

.PHONY: vuln
vuln: ## known vulnerabilities; needs the database of vuln.go.dev
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0 ./...
