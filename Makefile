# Development tasks. `make` alone lists them. Each target installs what it needs, once.

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python 3.11 or newer that is found. To use another, run `make PYTHON=…`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST_ARGS ?=
# Processes that share the tests, each with separate servers. WORKERS=0 runs the tests in one process, in order.
WORKERS ?= 2
PARALLEL = --numprocesses $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-fast check lint types imports house schemas deploy-check format bench image audit lock clean clean-all
.DELETE_ON_ERROR:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/stamp-dev ## create the development environment (.venv), with every package pinned and hashed

demo: $(VENV)/stamp-demo ## replay the Complete Journey study on an embedded stack and check the numbers
	$(BIN)/couponry demo

up: $(VENV)/stamp-demo ## run everything on this machine until Ctrl-C; data is kept in .couponry/
	$(BIN)/couponry up

test: $(VENV)/stamp-dev ## run all tests, on a real broker and a real PostgreSQL (PYTEST_ARGS="-k …" for some)
	$(BIN)/pytest $(PARALLEL) $(PYTEST_ARGS)

test-fast: $(VENV)/stamp-dev ## run the fast tests, which need no broker
	$(BIN)/pytest $(PARALLEL) tests/unit tests/test_house.py $(PYTEST_ARGS)

# Duration and seed of `make fuzz` and `make faults`. The same seed repeats the same run.
SECONDS ?= 60
SEED ?= 1
.PHONY: fuzz faults
fuzz: $(VENV)/stamp-dev ## send mutated inputs to every entry point for SECONDS=60, then check the result (SEED=1)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

faults: $(VENV)/stamp-dev ## repeat the fault tests for SECONDS=60, each round with another seed (from SEED=1)
	$(BIN)/python -m tests.faults --seconds $(SECONDS) --seed $(SEED)

check: lint types imports schemas-check deploy-check house audit-offline ## run all checks that a change must pass in addition to the tests

lint: $(VENV)/stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/stamp-dev
	$(BIN)/mypy

imports: $(VENV)/stamp-dev
	$(BIN)/lint-imports

house: $(VENV)/stamp-dev
	$(BIN)/pytest -q tests/test_house.py

.PHONY: schemas-check
schemas-check: $(VENV)/stamp-dev
	$(BIN)/python -m schemas.generate --check

deploy-check: $(VENV)/stamp-dev
	$(BIN)/hadolint --config deploy/hadolint.yaml deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	@if docker compose version >/dev/null 2>&1; then \
		echo "docker compose config"; docker compose -f deploy/compose.yaml --env-file deploy/example.env config --quiet; \
	else echo "docker compose is not installed: compose.yaml was only checked against the Compose schema"; fi

audit: $(VENV)/stamp-dev ## check vulnerabilities, hashes, licences, secrets in files; write build/sbom.json (minutes)
	$(BIN)/python -m security.audit

.PHONY: audit-offline
audit-offline: $(VENV)/stamp-dev
	$(BIN)/python -m security.audit --offline

schemas: $(VENV)/stamp-dev ## generate the Avro and JSON Schema files from the models
	$(BIN)/python -m schemas.generate

format: $(VENV)/stamp-dev ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/stamp-dev ## compare orders per second with a plain consumer and a floor; write bench/latest.json
	$(BIN)/python -m bench

image: ## build the container image (needs a container engine)
	docker build -f deploy/Dockerfile -t couponry .

# Keep hosts, paths and options of this machine's package configuration out of the requirements files.
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: $(VENV)/stamp-dev ## pin every requirement again, with hashes (minutes; UPGRADE=--upgrade for newer ones)
	$(COMPILE) $(UPGRADE) -o requirements.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra embedded --extra demo --build-deps-for editable -c requirements.txt -o requirements-demo.txt pyproject.toml
	$(COMPILE) $(UPGRADE) -o requirements-dev.txt requirements-dev.in
	$(COMPILE) $(UPGRADE) --only-build-deps --build-deps-for wheel -c requirements-dev.txt -o requirements-build.txt pyproject.toml

clean: ## remove caches and builds
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean ## also remove the environment, Kafka's jars and the data of `make up`
	rm -rf $(VENV) .kafka .couponry

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Couponry needs Python 3.11 or newer, and none was found. Install it, or set make PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); echo "$(PYTHON) can't create an environment. On Debian and Ubuntu install its venv package (python3.11-venv)"; exit 1; }

# The stamp records the time of the last installation, so that a second run installs nothing.
$(VENV)/stamp-demo: requirements-demo.txt pyproject.toml | $(BIN)/python
	@echo "Installing the packages for the demo into $(VENV)"
	$(PIP) install --quiet --require-hashes -r requirements-demo.txt
	$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/stamp-dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing the packages for development into $(VENV)"
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	$(PIP) install --quiet --no-build-isolation --no-deps -e .
	@touch $@ $(VENV)/stamp-demo
