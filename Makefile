# Everything a developer runs. Needs make and Python 3.10 to 3.14; all else goes into .venv, pinned by constraints.txt.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SHELLFLAGS := -euc

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := object_storage,s3

AIRFLOW := 3.3.2
# The supported Airflows that the wheel is proven beside, all on this Python. The oldest is proven on the oldest Python
# as well, and the newest on the newest that all of them support; with MATRIX=full each of them on both.
AIRFLOWS := $(shell sed -n 's/^\([0-9][^ ]*\) .*/\1/p' constraints/matrix.txt)
OLDEST_PYTHON := 3.10
NEWEST_PYTHON := 3.13
ON_OLDEST := $(if $(filter full,$(MATRIX)),$(AIRFLOWS),$(firstword $(AIRFLOWS)))
ON_NEWEST := $(if $(filter full,$(MATRIX)),$(AIRFLOWS),$(lastword $(AIRFLOWS)))
ENVIRONMENTS := $(AIRFLOWS) $(ON_OLDEST:%=%-python$(OLDEST_PYTHON)) $(ON_NEWEST:%=%-python$(NEWEST_PYTHON))

SETUP := $(VENV)/.setup
WHEEL := dist/.built
WHEEL_SOURCES := pyproject.toml README.md LICENSE $(shell find provider -type f -not -path '*/__pycache__/*')
CODE := $(wildcard provider tests dev scripts)

# A folder of tests that isn't there is no suite yet; cheap and telling ones come first.
SUITES := $(notdir $(wildcard tests/unit) $(wildcard tests/properties) $(wildcard tests/contract))
LATE_SUITES := $(notdir $(wildcard tests/airflow) $(wildcard tests/leaks) $(wildcard tests/faults) $(wildcard tests/crash) $(wildcard tests/browser))
ROTATION := tests/airflow/test_demo.py
REPORT := .pytest_cache/report
TIMED := scripts/timed.sh $(REPORT)/parts.txt
PYTEST = scripts/temp_airflow.sh $(BIN)/python -m pytest --junitxml=$(REPORT)/$@.xml
ALL_CORES := --numprocesses=auto
CORE := featurebase rotation audit

# Runs one part after the other, up to the first that fails, and ends with a table of times and the total of tests.
parts = status=0; export FEATUREBASE_CRASH=short FEATUREBASE_FAULTS=short FEATUREBASE_CONTRACT=short; \
	for part in $(1); do $(MAKE) --no-print-directory $$part || { status=$$?; break; }; done; \
	$(BIN)/python scripts/test_summary.py $(REPORT); exit $$status

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(SETUP) ## make .venv with the project and its tools, all pinned

$(SETUP): pyproject.toml constraints.txt scripts/setup_venv.sh
	scripts/setup_venv.sh "$(PYTHON)" $(VENV) $(EXTRAS)
	@touch $@

.PHONY: demo
demo: setup ## rotate a secret in a real Airflow against the sandbox, and show what happened
	$(BIN)/python -m dev.demo

.PHONY: up
up: setup ## the demo, left running; prints the UI's address and login
	$(BIN)/python -m dev.demo --keep

.PHONY: test
test: setup ## what to run before a commit: every quick check, and one rotation in a real Airflow; about 10 minutes on 2 cores
	@rm -rf $(REPORT); $(call parts,lint types imports $(SUITES) packaging rotation)

.PHONY: proofs
proofs: setup ## what takes longer: Dags, versions, leaks, faults, killed processes, the browser; about 55 minutes on 2 cores
	@$(if $(AFTER_TEST),,rm -rf $(REPORT);) $(call parts,coverage docs contract-rest matrix $(LATE_SUITES))

.PHONY: lint
lint: setup ## style, spelling, shell syntax, workflows
	@$(TIMED) $@ $(SHELL) -euc '$(BIN)/ruff check $(CODE); $(BIN)/ruff format --check $(CODE); \
	    $(BIN)/codespell; $(BIN)/zizmor --offline --quiet --strict-collection .github/workflows; for script in scripts/*.sh; do sh -n $$script; done; bash -n .ci/run'

.PHONY: types
types: setup ## mypy, strict
	@$(TIMED) $@ $(BIN)/mypy

.PHONY: imports
imports: setup ## the layers: imports run one way
	@$(TIMED) $@ $(BIN)/lint-imports

.PHONY: audit-dependencies
audit-dependencies: setup ## the pins: consistent, licensed, without known vulnerabilities
	@$(TIMED) $@ $(BIN)/python scripts/audit_dependencies.py

.PHONY: unit
unit: setup ## unit tests; two minutes on 2 cores
	@$(TIMED) $@ $(PYTEST) $(ALL_CORES) tests/unit

.PHONY: properties
properties: setup ## 2,000 stories of overlapping Dag runs, and hostile input, as Hypothesis makes them up
	@$(TIMED) $@ $(PYTEST) $(ALL_CORES) tests/properties

.PHONY: contract
contract: setup ## one suite for all stores; the vendor's own client against the sandbox
	@$(TIMED) $@ $(PYTEST) $(ALL_CORES) tests/contract

.PHONY: contract-rest
contract-rest: setup ## what `make test` leaves out of that: further formats and servers, shapes of files, recipes
	@$(TIMED) $@ env FEATUREBASE_CONTRACT=rest $(PYTEST) $(ALL_CORES) tests/contract

.PHONY: coverage
coverage: setup ## branch coverage of featurebase/, rotation/ and audit/, by their own unit tests
	@$(TIMED) $@ scripts/temp_airflow.sh $(BIN)/python -m pytest -q $(CORE:%=tests/unit/%) \
	    --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

.PHONY: packaging
packaging: setup $(WHEEL) ## the wheel's content, provider metadata, compose files
	@$(TIMED) $@ $(PYTEST) tests/packaging --ignore=tests/packaging/test_matrix.py

.PHONY: rotation
rotation: setup ## one whole rotation in a real Airflow: the demo, as users run it
	@$(TIMED) $@ $(PYTEST) $(ROTATION)

.PHONY: airflow
airflow: setup ## Dags in Airflow, its tasks in one process
	@$(TIMED) $@ $(PYTEST) $(ALL_CORES) tests/airflow --ignore=$(ROTATION)

.PHONY: leaks
leaks: setup ## secrets looked for in all that real runs leave: database, logs, processes, REST API
	@$(TIMED) $@ $(PYTEST) tests/leaks

# On CPython 3.11 the API server of Airflow 3.3 dies (SIGSEGV) when two clients list Dag runs at the same moment.
UI_ENVIRONMENT := .matrix/$(lastword $(AIRFLOWS))-python$(NEWEST_PYTHON)

.PHONY: browser
browser: setup $(UI_ENVIRONMENT)/.setup ## the UI in a real browser; Airflow and the wheel on the newest Python
	@$(TIMED) $@ env FEATUREBASE_UI_PYTHON=$(UI_ENVIRONMENT)/bin/python $(PYTEST) tests/browser

# `make proofs` plays the short form of faults and crash; FEATUREBASE_FAULTS=full and FEATUREBASE_CRASH=full all of it.
.PHONY: faults
faults: setup ## each call and store of a rotation meets each fault; compared with docs/reliability-matrix.md
	@$(TIMED) $@ env FEATUREBASE_FAULTS=$${FEATUREBASE_FAULTS:-full} $(PYTEST) $(ALL_CORES) --dist=loadgroup tests/faults

# A row that fails stays in the page as it was. FAULTS="-k cut_over" plays a part of them.
.PHONY: reliability
reliability: setup ## play the whole fault matrix, and write its table into docs/reliability-matrix.md anew
	@rows=$$(mktemp -d); status=0; \
	    FEATUREBASE_FAULTS=full FEATUREBASE_FAULT_ROWS=$$rows $(PYTEST) $(ALL_CORES) --dist=loadgroup tests/faults $(FAULTS) || status=$$?; \
	    $(BIN)/python -m tests.faults.table $$rows || status=$$?; rm -rf $$rows; exit $$status

.PHONY: crash
crash: setup ## kill processes at every step of a rotation; writes crash.json and docs/crash-matrix.md
	@$(TIMED) $@ env FEATUREBASE_CRASH=$${FEATUREBASE_CRASH:-full} $(PYTEST) -s tests/crash

.PHONY: slow-receivers
slow-receivers: setup ## both strategies with slow receivers, and how much arrives twice; writes tables of docs/overlap.md
	@rows=$$(mktemp -d); $(TIMED) $@ env FEATUREBASE_OVERLAP_ROWS=$$rows $(PYTEST) --numprocesses=2 tests/overlap && \
	    $(BIN)/python -m tests.overlap.page $$rows; status=$$?; rm -rf $$rows; exit $$status

.PHONY: pair-states
pair-states: setup ## all states of a pair, and what a run does in each, into docs/pair-states.md anew
	$(BIN)/python -m tests.world.pair_states_page

.PHONY: screenshots
screenshots: setup ## the pictures in docs/images anew
	FEATUREBASE_SCREENSHOTS=docs/images $(MAKE) --no-print-directory browser

.PHONY: matrix
matrix: setup $(ENVIRONMENTS:%=.matrix/%/.setup) ## the wheel in every supported Airflow, with all daemons; MATRIX=full: more Pythons
	@$(TIMED) $@ env FEATUREBASE_MATRIX="$(ENVIRONMENTS)" $(PYTEST) $(ALL_CORES) tests/packaging/test_matrix.py

# The script makes the target, but not without the Python that the environment is named after.
.SECONDEXPANSION:
.matrix/%/.setup: $(WHEEL) constraints/airflow-$$(firstword $$(subst -, ,$$*)).txt scripts/matrix_venv.sh
	scripts/matrix_venv.sh $(BIN)/uv "$$($(BIN)/python -c 'import sys; print(sys.executable)')" $* dist/*.whl

.PHONY: docs
docs: $(VENV)/.docs ## the documentation site into build/docs; warnings are errors
	@$(TIMED) $@ scripts/temp_airflow.sh $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs auto -c docs . build/docs
	@echo "build/docs/index.html"

.PHONY: docs-links
docs-links: $(VENV)/.docs ## whether the pages' links to other sites work; needs the internet
	scripts/temp_airflow.sh $(BIN)/sphinx-build --quiet -b linkcheck -c docs . build/docs-links

$(VENV)/.docs: $(SETUP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group docs
	@touch $@

.PHONY: wheel
wheel: $(WHEEL) ## build sdist and wheel into dist/

$(WHEEL): $(SETUP) $(WHEEL_SOURCES)
	rm -rf dist
	$(BIN)/uv build --quiet --python $(BIN)/python --build-constraints constraints.txt
	@touch $@

# BENCH="--only exposure" runs one of them.
.PHONY: bench
bench: setup ## the benchmarks: a table each, and bench.json; about 20 minutes
	scripts/temp_airflow.sh $(BIN)/python -m dev.bench $(BENCH)

.PHONY: soak
soak: setup ## many rotations under random faults, and a year in the calendar, while events flow; at most 20 minutes
	$(PYTEST) tests/soak
	scripts/temp_airflow.sh $(BIN)/python -m dev.soak $(SOAK)

# CLUSTER="--help" tells the options.
.PHONY: cluster
cluster: $(VENV)/.cluster ## rotate on a cluster of Airflow's daemons, some of which are killed; writes the journal in docs/cluster.md
	scripts/temp_airflow.sh $(BIN)/python -m dev.cluster $(CLUSTER) --page docs/cluster.md

$(VENV)/.cluster: $(SETUP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group cluster
	@touch $@

# Goes on where an earlier run stopped; MUTANTS="--help" tells the options.
.PHONY: mutants
mutants: setup ## changes of the code that no test notices; MUTANTS="rotation/plan.py", or "--sample 200 --seed 1"
	scripts/temp_airflow.sh $(BIN)/python -m dev.mutants $(MUTANTS)

.PHONY: schema
schema: setup ## write the rotation file's JSON Schema, and the page of its fields, anew
	$(BIN)/python -m featurebase_provider.config.schema
	$(BIN)/python -m dev.docs.configuration

.PHONY: lock
lock: setup ## pin versions in the constraints files: today's newest, and for each Airflow of the matrix those of its time
	scripts/lock.sh $(BIN)/uv $(AIRFLOW)

.PHONY: clean
clean: ## remove all that make has made
	rm -rf $(VENV) .bench .matrix .cluster .demo .mutants dist bench.json crash.json soak.json .coverage* .*_cache .hypothesis
