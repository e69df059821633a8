GO ?= go
# Pinned, and built by go when it is first asked for: no part of `make test`.
LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test demo bench simulate lint fmt deps

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

# From a bare Debian with Go, git, make and a C compiler to everything tested.
test: deps
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt'ed (make fmt):"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	# Some tests run the program, whose changes the test cache does not see.
	$(GO) test -count=1 -timeout 30m ./...

# A migration and a rollback under load, in a sandbox. OPENRESTY=openresty-….tar.gz builds that instead of
# the distribution's sources.
demo: deps
	@echo "compiling graft: about a minute the first time"
	@$(MAKE) --no-print-directory build
	$(GO) build -o bin/demo ./internal/demo
	OPENRESTY="$(OPENRESTY)" bin/demo bin/graft

bench: deps
	$(GO) test -run '^$$' -bench . -timeout 30m ./...

# False alarms and delays of the gates' tests, in drawn worlds, at full size: about ten minutes on two idle cores. The
# tables go into docs/gates.md.
simulate:
	$(GO) build -o bin/simulate ./internal/simulate
	bin/simulate

lint:
	$(LINT) run

fmt:
	gofmt -w .

deps:
	scripts/install-deps
