# `make` alone prints what there is.
.DEFAULT_GOAL := help
.PHONY: help install web run test check fmt bench bench-goals bench-peers clean nightly servers
SHELL := /bin/bash
# Images for containers like to set it; each of the hundreds of servers that tests start would then compile all anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
UV = $(shell command -v uv || echo $(CURDIR)/.tools/bin/uv)

help: ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/.installed ## Make .venv with everything, the local model included

.venv/.installed: pyproject.toml uv.lock tools/setup.sh
	@PYTHON=$(PYTHON) bash tools/setup.sh
	@touch $@

web: install ## Build the dashboard, if its sources are newer than what is built
	@bash tools/web.sh

run: install web ## Start on http://127.0.0.1:8000 with a real local model
	@$(BIN)/llm-scheduler serve --sample-model

servers:
	@bash tools/servers.sh

test: install servers web ## Run all tests
	@$(BIN)/pytest -q -n 2 --dist worksteal

nightly: install servers ## Run the long profiles
	@$(BIN)/pytest -q -m nightly -s

check: install ## Lint, types, layers, module lengths, dependencies, secrets
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python tools/module_length.py
	@$(BIN)/deptry src
	@$(BIN)/bandit -q -c pyproject.toml -r src
	@$(BIN)/python tools/secret_scan.py
	@bash tools/web.sh check

fmt: install ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install servers ## Run every benchmark and print its figure
	@for name in version drain llm_shape submit idle million; do echo "== bench/$$name.py"; $(BIN)/python -m bench.$$name || exit 1; done

bench-goals: install ## Print the goals of scheduling beside what is reached; takes half an hour
	@for name in goals pacing concurrency prediction placing limits; do echo "== bench/$$name.py"; $(BIN)/python -m bench.$$name || exit 1; done

bench-peers: install servers ## Compare with other task queues; needs uv, Node and npm, takes half an hour
	@$(BIN)/python -m bench.peers

clean: ## Remove what was made
	rm -rf .venv .tools dist build .pytest_cache .ruff_cache .hypothesis web/node_modules src/llm_scheduler/_web
