# Every target with a '##' lists itself under `make`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON := .venv/bin/python
CPP := $(wildcard server/realtime_serve/model/cpp/*.cpp server/realtime_serve/model/cpp/*/*.h)
RESULTS := $(or $(RTS_CACHE),$(HOME)/.cache/realtime-serve)/results

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: ## .venv with both packages and the tools
	@hack/venv.sh

.PHONY: demo
demo: venv ## cluster, images, operator, a model, and a version swap under 32 live streams
	@$(PYTHON) -m hack.demo

.PHONY: demo-down
demo-down: venv ## take down what the demo brought up
	@$(PYTHON) -m hack.hub down
	@$(PYTHON) -m hack.cluster down

.PHONY: test
test: venv ## everything: check, then the tests on a real cluster
	@$(PYTHON) -m hack.testrun

.PHONY: check
check: venv lint types layers verify quick ## lint, types, layers, generated files, quick tests: what to run before each commit

.PHONY: lint
lint: venv ## ruff, both as linter and as formatter, and clang-format
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@.venv/bin/clang-format --dry-run --Werror $(CPP)

.PHONY: types
types: venv ## mypy --strict
	@$(PYTHON) -m mypy

.PHONY: layers
layers: venv ## imports go one way (contracts in pyproject.toml)
	@.venv/bin/lint-imports --no-cache

.PHONY: quick
quick: venv ## those tests that need no cluster, start no processes and wait for nothing
	@$(PYTHON) -m pytest -q -m "not cluster and not plane and not slow"

.PHONY: unit
unit: venv ## tests that need no cluster
	@$(PYTHON) -m pytest -q -n 2 --dist loadfile -m "not cluster and not plane"

.PHONY: plane
plane: venv ## tests of the operator on API servers of their own, where calls fail and programs stop
	@$(PYTHON) -m pytest -q -n 3 -m plane tests/plane

.PHONY: e2e
e2e: venv ## tests on the real local cluster
	@$(PYTHON) -m pytest -q -m cluster tests/e2e

.PHONY: verify
verify: venv ## generated files equal the committed ones
	@$(PYTHON) -m hack.generate --check

.PHONY: generate
generate: venv ## write the generated files anew
	@$(PYTHON) -m hack.generate

.PHONY: fmt
fmt: venv ## format, and mend what the linter can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .
	@.venv/bin/clang-format -i $(CPP)

.PHONY: images
images: venv ## build both images and push them to the local registry
	@$(PYTHON) -m hack.images build all

.PHONY: cluster-up
cluster-up: venv ## a real Kubernetes on this machine (kind with Docker, plain processes without)
	@$(PYTHON) -m hack.cluster up

.PHONY: cluster-down
cluster-down: venv ## end it
	@$(PYTHON) -m hack.cluster down

.PHONY: bench
bench: venv ## speed, as ratios against a peer in one run (TABLES="throughput prefix")
	@$(PYTHON) -m bench $(TABLES)

.PHONY: constraints
constraints: venv ## renew constraints.txt from the ranges in pyproject.toml
	@hack/constraints.sh
