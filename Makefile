# `make` alone tells what there is. Everything runs in $(VENV), which `setup` makes; nothing else is touched.
VENV ?= .venv
PY := $(abspath $(VENV))/bin/python
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test tests check format lock bench bench-campaign bench-plan bench-webhooks bench-dashboard bench-ws soak-ws chaos chaos-webhooks fuzz-ws fortnight screenshots words clean

help:  ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1mmake %-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make the environment in .venv (VENV=... for another place, PYTHON=... for another Python)

$(STAMP): requirements.lock pyproject.toml sdk/python/pyproject.toml scripts/setup
	@sh scripts/setup "$(abspath $(VENV))"
	@touch $@

demo: setup  ## run everything with a simulated WhatsApp and a first campaign (ONCE=1 ends after it)
	$(PY) -m cli.main demo $(if $(ONCE),--once)

# A file's tests stay together, since they share servers; the long ones that mostly wait begin before the end. More workers
# than cores were tried: three on two cores took as long, with each test slower.
SIDE_BY_SIDE = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup  ## the checks, and beside them every test
	@$(MAKE) --no-print-directory --jobs=2 check tests

tests: setup
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

bench-webhooks: setup  ## webhooks: deliveries a second, and from commit to arrival beside dead and hanging receivers
	$(PY) -m bench.webhooks $(ARGS)

bench-dashboard: setup  ## the dashboard in a browser: first page, each page among 100,000, twenty sessions side by side
	$(PY) -m bench.dashboard $(ARGS)

bench-ws: setup  ## the WebSocket gateway beside other servers, measured
	$(PY) -m bench.ws $(ARGS)

soak-ws: setup  ## many clients for ten minutes while two API processes restart in turn behind a proxy
	$(PY) -m bench.soak_ws $(ARGS)

bench-plan: setup  ## planning a large campaign, measured
	$(PY) -m bench.plan $(ARGS)

chaos: setup  ## kill processes while a campaign runs, then compare our books with WhatsApp's
	$(PY) -m bench.chaos $(ARGS)

chaos-webhooks: setup  ## kill processes while webhooks leave, then compare what happened with what arrived
	$(PY) -m bench.chaos_webhooks $(ARGS)

fuzz-ws: setup  ## 10,000 wrong handshakes, and frames that are none: nobody comes in, nothing stays
	$(PY) -m bench.fuzz_ws $(ARGS)

fortnight: setup  ## two weeks of five senders on advanced clocks, checked by WhatsApp's books
	$(PY) -m bench.fortnight $(ARGS)

screenshots: setup  ## pictures for the documentation
	$(PY) -m bench.screenshots $(ARGS)

words: setup  ## collect what the dashboard says into its catalogues, and list what has no translation
	$(PY) -m ui.collect

clean:  ## remove what tools left behind; the environment and the data stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache build dist
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
