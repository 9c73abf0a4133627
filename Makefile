# Two commands do everything on a bare machine with Python 3.11+, make and git: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DIR    ?= .stack

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lint bench stack-up stack-down clean lock

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## move a live database end to end, with kills on the way (KEEP=1 leaves it running)
	$(BIN)/python -m deploy.demo.demo

test: lint ## every test but the long forms, on the real stack
	deploy/local/stack fetch --with mariadb,registry,postgresql15
	$(BIN)/pytest -m "not full" -n 2 --dist loadfile --no-loadscope-reorder

test-full: lint ## the long forms too
	deploy/local/stack fetch --with mariadb,registry,postgresql15
	$(BIN)/pytest

lint: $(READY) ## formatting, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## the figures of docs/performance.md, name and figure a line
	$(BIN)/python -m tests.bench.bench

stack-up: ## the local stack: PostgreSQL twice, Kafka, Kafka Connect with Debezium (DIR=.stack)
	deploy/local/stack up --dir $(DIR)

stack-down: ## end it and remove its data
	deploy/local/stack down --dir $(DIR)

lock: $(READY) ## rewrite the hash-locked requirements (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements-runtime.lock

clean: ## remove what was built here (the download cache stays)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
