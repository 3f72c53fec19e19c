# OpenTill. `make` alone prints the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/opentill
SEED ?= 20261121
# Test workers: one more than cores, for many tests wait. `make test JOBS=0` runs all in one process.
JOBS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
# What the suite leaves out: the rig has the machine alone, both watch the clock.
LEFT_OUT = not soak and not rig
# Whether `make test` runs the rig after the suite, where its guest is cached or can be built: yes or
# no. ARGS chooses among the suite's tests, and then there is no rig.
RIG_TOO ?= no
PYTEST = $(BIN)/pytest -q -n $(JOBS) --dist worksteal
SEEDED = -p no:cacheprovider --randomly-seed=$(SEED) --hypothesis-seed=$(SEED)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON := python3
endif

.DEFAULT_GOAL := help
.PHONY: help run demo test coverage rig soak check bench pictures fmt clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Only wheels: nothing is compiled, nothing needs apt or node.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed (PYTHON=...)"; exit 1; }
	@test -x $(BIN)/python || { echo "Setting up $(VENV) (once)"; $(PYTHON) -m venv $(VENV) || { echo "make: install the Debian package python3-venv"; exit 1; }; }
	@$(BIN)/pip install --quiet --only-binary :all: "setuptools>=70.1"
	@$(BIN)/python tools/requirements.py run > $(VENV)/run.txt
	@$(BIN)/pip install --quiet --only-binary :all: -r $(VENV)/run.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run pyproject.toml tests/support/debian.sh
	@$(BIN)/python tools/requirements.py test > $(VENV)/test.txt
	@$(BIN)/pip install --quiet --only-binary :all: -r $(VENV)/test.txt
	@bash tests/support/debian.sh
	@touch $@

run: $(VENV)/.run ## start the test bank and a virtual handheld, and serve its page (ARGS= for till emulate)
	@exec $(BIN)/till emulate $(ARGS)

demo: $(VENV)/.run ## take one chip sale without a browser; leaves demo-out/*.png
	@$(BIN)/till demo --out demo-out

test: $(VENV)/.test ## the tests but soak and rig (installs what they need; under 15 minutes)
	@$(PYTEST) $(SEEDED) -m "$(LEFT_OUT)" $(ARGS)
ifeq ($(RIG_TOO)$(ARGS),yes)
	@$(BIN)/python -m tests.rig --if-possible
endif

coverage: $(VENV)/.test ## the same tests with a report of branch coverage (takes twice as long)
	@$(PYTEST) $(SEEDED) -m "$(LEFT_OUT)" --cov --cov-report=term:skip-covered $(ARGS)

soak: $(VENV)/.test ## every power cut two deep, then the suite ten times over
	@$(PYTEST) $(SEEDED) -m soak $(ARGS)
	@for run in 1 2 3 4 5 6 7 8 9 10; do echo "suite run $$run of 10"; \
	  $(PYTEST) --no-header -p no:cacheprovider --randomly-seed=$$run -m "$(LEFT_OUT)" $(ARGS) || exit 1; done

rig: $(VENV)/.test ## drivers against a real Linux kernel in QEMU (docs/rig.md; ARGS= for pytest there)
	@$(BIN)/python -m tests.rig $(ARGS)

check: $(VENV)/.test ## format, lint, types, portable modules, board files, catalogues, clause list
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/till board check
	@$(BIN)/till catalogue check
	@$(BIN)/till emv clauses
	@$(BIN)/pytest -q tests/house

bench: $(VENV)/.test ## benchmarks against their peers; writes bench/RESULTS.md
	@$(BIN)/python -m bench.run

pictures: $(VENV)/.test ## make the README's pictures
	@$(BIN)/python tools/pictures.py

fmt: $(VENV)/.test ## format the sources
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean: ## remove the virtual environment and build products
	@rm -rf $(VENV) build demo-out run-data .mypy_cache .ruff_cache .pytest_cache
