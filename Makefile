# `make` alone tells what there is. Everything runs in $(VENV), which `setup` makes; nothing else is touched.
VENV ?= .venv
PY := $(abspath $(VENV))/bin/python
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock bench bench-campaign bench-plan chaos fortnight screenshots clean

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1mmake %-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make the environment in .venv (VENV=... for another place, PYTHON=... for another Python)

$(STAMP): requirements.lock pyproject.toml sdk/python/pyproject.toml scripts/setup
	@sh scripts/setup "$(abspath $(VENV))"
	@touch $@

demo: setup  ## run everything with a simulated WhatsApp and a first campaign (ONCE=1 ends after it)
	$(PY) -m cli.main demo $(if $(ONCE),--once)

# A file's tests stay together, since they share servers; the long ones that mostly wait begin before the end.
SIDE_BY_SIDE = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup check  ## the checks, then every test
	$(PY) -m pytest $(SIDE_BY_SIDE) $(TESTS)

check: setup  ## formatting, lint, types and the rules on who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## put the code into its shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## pin every package anew from pyproject.toml (UPGRADE=1: also what is pinned already)
	printf 'waqtor @ ./sdk/python\n' | $(BIN)/uv pip compile pyproject.toml --group dev --overrides - \
	  --no-emit-package waqtor --universal --python-version 3.11 --no-annotate \
	  --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) --quiet --output-file requirements.lock

bench: setup  ## all measurements, into bench/results
	$(PY) -m bench

bench-campaign: setup  ## one campaign through all processes, measured
	$(PY) -m bench.campaign $(ARGS)

bench-plan: setup  ## planning a large campaign, measured
	$(PY) -m bench.plan $(ARGS)

chaos: setup  ## kill processes while a campaign runs, then compare our books with WhatsApp's
	$(PY) -m bench.chaos $(ARGS)

fortnight: setup  ## two weeks of five senders on advanced clocks, checked by WhatsApp's books
	$(PY) -m bench.fortnight $(ARGS)

screenshots: setup  ## pictures for the documentation
	$(PY) -m bench.screenshots $(ARGS)

clean:  ## remove what tools left behind; the environment and the data stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache build dist
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
