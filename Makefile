# gossip: build, try out and check the whole suite. `make help` lists what there is.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s
BENCH    ?= .
N        ?= 10,30,100,300,1000

# Static, without paths of the machine that built it, and the same flags for each use, so that builds share
# the compiler's cache.
GOBUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: build
build: ## Build gossip, gossip-lbsync and terraform-provider-gossip into bin/ (the default)
	$(GOBUILD) -o bin/ ./agent/cmd/gossip ./lbsync/cmd/gossip-lbsync
	$(GOBUILD) -o bin/terraform-provider-gossip ./terraform-provider

.PHONY: demo
demo: build ## Three agents, DNS, HAProxy, Terraform and a failure, in under a minute (KEEP=1 leaves it running)
	@.ci/deps demo
	@go build -trimpath -o bin/.demo ./examples/demo && exec bin/.demo -bin bin $(if $(filter 1 y yes true,$(KEEP)),-keep)

.PHONY: test
test: build deps ## Run all tests, with the race detector if there is a C compiler
	@.ci/test

.PHONY: check
check: ## gofmt, vet, lint, tidy modules, builds alone and for six platforms
	@.ci/check

.PHONY: lint
lint: ## Only the linter, which is built on first use
	@.ci/lint

.PHONY: bench
bench: bench-go bench-dns bench-gossip bench-lbsync ## Run all measurements: about an hour, alone on the machine

.PHONY: bench-go
bench-go: ## Run the benchmarks with memory figures (BENCH=regexp chooses)
	go test -run '^$$' -bench '$(BENCH)' -benchmem $$(go list -m -f '{{.Dir}}/...')

.PHONY: bench-gossip
bench-gossip: build ## Measure clusters of real agents, and Serf's where it is installed (ARGS="-tests event,fail")
	go build -trimpath -o bin/.bench ./agent/internal/bench && exec bin/.bench $(ARGS)

.PHONY: bench-dns
bench-dns: ## Measure DNS beside NSD, Knot, BIND and CoreDNS, as far as they are installed (Linux; minutes)
	go build -trimpath -o bin/.bench-dns ./dnsserver/internal/bench
	bin/.bench-dns
	bin/.bench-dns -free
	bin/.bench-dns -sockets 256 -outstanding 1
	bin/.bench-dns -rate 10000 -mix service

.PHONY: bench-lbsync
bench-lbsync: build ## Measure HAProxy and nginx under load while members come and go, beside a template that reloads (minutes)
	go build -trimpath -o bin/.bench-lbsync ./examples/internal/lbbench
	bin/.bench-lbsync $(ARGS)
	go test -run '^$$' -bench EventToHAProxy -benchtime 200x ./lbsync/internal/reconcile
	go test -run '^$$' -bench Churn -benchtime 1x -count 3 ./lbsync/internal/reconcile

.PHONY: simulate
simulate: ## Measure clusters that exist only in memory, Serf's timing beside ours (N=10000 or N=10,100,1000)
	go run ./agent/internal/sim/cmd/simulate -n $(N) $(if $(SEED),-seed $(SEED))

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: deps
deps: ## Install what tests and demo need from Debian, if it is missing
	@.ci/deps test

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
