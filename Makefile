# Needs Python 3.11 or newer, pip and make; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# `make train` writes a fresh run folder each time; `make train SEED=3` or `make train RUN=runs/mine` choose.
SEED ?= 0
RUN ?= runs/CartPole-v1/dqn/$(shell date +%Y%m%d-%H%M%S)-$(shell echo $$$$)
RUN := $(RUN)

# The install is one link per file (setuptools' strict editable mode), so a new, moved or removed file, an edited
# pyproject.toml, a fresh .venv, a moved checkout or a lost build/ each call for a new one. The stamp's name holds the
# list of files and the checkout's place; it lies in build/ so that it is lost together with the links.
FOLDERS := core agents envs evaluation perception planners presets replay
FILES := $(CURDIR) $(sort $(shell find $(FOLDERS) -type f ! -name '*.pyc'))
INSTALLED := build/.installed-$(firstword $(shell echo '$(FILES)' | cksum))
DEV := $(VENV)/.dev

# What `make bench` runs; the other scripts there need to be told a run or an agent. They take different options, so
# each has its own: `make bench STARTUP_ARGS='--runs 5' DQN_ATARI_ARGS='--steps 800'`.
BENCHMARKS := benchmarks/startup.py benchmarks/dqn_atari.py benchmarks/dqn_cartpole.py benchmarks/replay.py benchmarks/act.py
STARTUP_ARGS ?=
DQN_ATARI_ARGS ?=
DQN_CARTPOLE_ARGS ?=
REPLAY_ARGS ?=
ACT_ARGS ?=
arguments_of = $($(shell basename $(1) .py | tr a-z A-Z)_ARGS)

.DEFAULT_GOAL := help
.PHONY: help install train test lint lint-style lint-types lint-imports format bench clean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

$(VENV)/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo "make: '$(PYTHON)' was not found: Tengen needs Python 3.11 or newer; say where it is with 'make PYTHON=/path/to/python3.11'" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: '$(PYTHON)' is $$($(PYTHON) --version 2>&1): Tengen needs Python 3.11 or newer; say where it is with 'make PYTHON=/path/to/python3.11'" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# setuptools goes into .venv so that a reinstall builds without fetching it again (--no-build-isolation).
$(INSTALLED): $(VENV)/pyvenv.cfg pyproject.toml
	@rm -f build/.installed-*
	$(PIP) install --quiet 'setuptools>=80'
	$(PIP) install --quiet --no-build-isolation --editable .
	@mkdir -p build && touch $@

$(DEV): pyproject.toml $(VENV)/pyvenv.cfg | $(INSTALLED)
	$(PIP) install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

install: $(INSTALLED) ## make .venv and install Tengen into it

train: $(INSTALLED) ## train DQN on CartPole-v1 and evaluate it; fails below a mean return of 475
	$(BIN)/python train.py dqn --env CartPole-v1 --seed $(SEED) --run-dir $(RUN)
	@echo "Evaluating 100 episodes; a mean return of at least 475 is wanted."
	@$(BIN)/tengen evaluate $(RUN) --episodes 100 --seed 100000 --min-return 475 && code=0 || code=$$?; \
	echo "Run folder: $(RUN)"; exit $$code

test: $(DEV) ## run the tests, without those that take minutes
	$(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow" $(PYTEST_ARGS)

lint: lint-style lint-types lint-imports ## check style, format, types and the direction of imports

lint-style: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q tests/test_house.py -k executes  # allow_pickle too, for which ruff has no rule

lint-types: $(DEV)
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy train.py $(wildcard tests/*.py) $(wildcard benchmarks/*.py)

# It has no -m, and its first line is wrong in a moved checkout.
lint-imports: $(DEV)
	$(BIN)/python $(BIN)/lint-imports --no-logo

format: $(DEV) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(DEV) ## run the benchmarks, all of them even if one fails (STARTUP_ARGS, DQN_ATARI_ARGS, ...)
	@failed=; \
	$(foreach script,$(BENCHMARKS),echo "== $(script)"; \
	$(BIN)/python $(script) $(call arguments_of,$(script)) || failed="$$failed $(script)"; \
	)if [ -n "$$failed" ]; then echo "make bench: failed:$$failed" >&2; exit 1; fi

clean: ## remove .venv and all that was built; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage coverage.xml htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
