PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := probe monitor
SOURCES := $(PACKAGES) tests examples docs
# The tests wait for processes more than they compute, so three go at a time; those of a file stay together, and the
# files come in the order of tests/conftest.py.
AT_A_TIME := -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format bench rescue diagnosis docs screenshots clean

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,frameworks,logs,web,test,dev]'
	@touch $@

demo: $(READY)  ## Watch a real training on real data (make demo FAULT=nan makes it sick)
	@$(BIN)/bedside demo $(if $(FAULT),--fault $(FAULT)) $(ARGS)

test: $(READY)  ## Run the tests (under 10 minutes on two cores)
	$(BIN)/python -m pytest $(AT_A_TIME) -m 'not slow' $(ARGS)

test-all: $(READY)  ## Run the tests and those that take longer
	$(BIN)/python -m pytest $(AT_A_TIME) $(ARGS)

check: $(READY)  ## Format, lint, types, layers and generated pages: everything but the tests
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: $(READY)  ## Put the code into its form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(READY)  ## Measure what the probe costs and what the run file takes
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

diagnosis: $(READY)  ## Show that the alerts are right: the zoo, the published rules, real logs (CORPUS=FOLDER)
	$(BIN)/python -m tests.diagnosis.run $(if $(CORPUS),--corpus $(CORPUS)) $(ARGS)

rescue: $(READY)  ## Train sick runs twice, left alone and rescued by what their alerts offer
	$(BIN)/python tests/benchmarks/rescue.py $(ARGS)

docs: $(READY)  ## Write the generated pages anew (rules, wire, commands)
	$(BIN)/python docs/generate.py

screenshots: $(READY)  ## Take the pictures of the README and the docs from the real program (needs chromium)
	$(BIN)/python docs/make_screenshots.py

clean:  ## Remove the virtual environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
