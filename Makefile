# The commands of this project. Two are enough on a fresh machine: make demo, make test.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Set in many images to keep them small. Here each of thousands of processes would compile all that
# it imports once more: three times the work of a start.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
# Tests wait for servers half of their time: one worker more than there are processors.
PYTEST_WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
# Tests of one file share servers, so a file stays with one worker; 0 runs all in one process.
WORKERS := $(if $(filter-out 0 1,$(PYTEST_WORKERS)),-n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder)
ONLY := $(if $(K),-k '$(K)')

help: ## list these targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: .venv/.product ## fit four NIST data sets through the whole gateway and compare with the certified values
	@$(BIN)/python -m tools.demo

run: .venv/.product ## serve on this computer, with a first user and one finished example fit
	@$(BIN)/bumps-gateway run --example

test: setup system compute ## run all tests; K='words' runs only those
	$(BIN)/python -m $(if $(K),pytest $(WORKERS) $(ONLY),tools.run_tests $(WORKERS))

check: check-lint ## what to run before a commit: lint, types, layers, and the quick tests
	$(BIN)/python -m pytest $(WORKERS) -m 'not slow and not compute and not browser' $(ONLY)

check-lint: setup ## ruff, mypy, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	cd client && ../$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## measure what the README states
	$(BIN)/python -m benchmarks

golden: setup ## render the batch scripts of tests/recorded again; then read the diff
	$(BIN)/python -m tests.jobs.test_script

faults: setup ## kill every process at every named point, and count what ran (SITE=slurm, slurm-ssh)
	$(BIN)/python -m tests.faults $(or $(N),1000) $(or $(SITE),local)

units: setup ## as root: follow docs/deployment.rst on a fresh Debian under systemd, and restart it all
	$(BIN)/python -m tools.units

lighthouse: setup ## let Lighthouse (by npm) look at our pages: accessibility, jumps, first paint
	@mkdir -p .lighthouse && cp tools/lighthouse/package.json .lighthouse/
	@npm install --prefix .lighthouse --no-audit --no-fund --loglevel=error >/dev/null
	$(BIN)/python -m tools.lighthouse

screenshots: setup ## take the screenshots of README.rst again, of a real fit
	$(BIN)/python -m tools.screenshots

docs: setup ## write the reference pages in docs/ again from code and defaults
	$(BIN)/python -m tools.reference

pins: setup ## write constraints.txt again from what is installed
	$(BIN)/python -m tools.pins

setup: .venv/.ready ## make .venv with the gateway, the client and all that the tests need

system: ## install the Debian packages that tests use (as root), or say what is missing
	@tools/system.sh

compute: .venv-fit/.ready ## make .venv-fit, the environment of a compute node with refl1d and sasmodels

clean: ## remove environments, caches and builds
	rm -rf .venv .venv-fit build dist client/build client/dist *.egg-info client/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the product needs is installed first and alone: make demo does not wait for our tools.
.venv/.product: setup.py client/pyproject.toml constraints.txt tools/make-venv.sh
	@tools/make-venv.sh .venv
	$(PIP) -c constraints.txt -e '.[fit,embedded]' -e client
	@touch $@

.venv/.ready: .venv/.product
	$(PIP) -c constraints.txt -e '.[dev]' -e client
	@touch $@

.venv-fit/.ready: config/compute-requirements.txt tools/make-venv.sh
	@tools/make-venv.sh .venv-fit
	.venv-fit/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -r config/compute-requirements.txt
	@touch $@

.PHONY: help demo run test check check-lint bench golden faults units lighthouse screenshots docs pins setup system compute clean
