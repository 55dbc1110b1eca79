# make alone lists the targets.
.DEFAULT_GOAL := help
PKGS := ./...
NOCOMPAT := $(shell go list ./... | grep -v /compat_test)

.PHONY: help build test race lint fmt fuzz compat check crash docs

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-10s %s\n", $$1, $$2}'

build: ## build the binary ./gokafka
	CGO_ENABLED=0 go build ./cmd/gokafka

test: ## the one test command
	go test $(PKGS)

race: ## tests under the race detector, compat tests apart
	go test -race $(NOCOMPAT)

lint: ## vet and staticcheck
	go vet $(PKGS)
	go tool staticcheck $(PKGS)

fmt: ## gofmt everything
	gofmt -w $(shell git ls-files '*.go')

fuzz: ## run each fuzz target for 60 s
	@for pkg in $(NOCOMPAT); do \
		for f in $$(go test -list 'Fuzz.*' $$pkg | grep ^Fuzz); do \
			echo "== $$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 60s $$pkg || exit 1; \
		done; \
	done

compat: ## real clients against the binary
	go test -v ./compat_test/...

docs: ## write the generated pages anew
	go test ./handlers ./config -run 'Docs' -update

check: ## what CI runs
	.ci/run
