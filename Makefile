# Everything that a person types. `make chat` and `make test` do all their own set-up on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
# A process for each processor; the tests of one file stay together, in the order of the files.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help install chat test test-long check format eval bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Locked versions with hashes first; the project itself after them, editable, without looking for anything newer.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/installed-dev: .venv/installed tests/requirements.lock
	$(BIN)/python -m pip install --quiet --require-hashes --requirement tests/requirements.lock
	@touch $@

install: .venv/installed ## Create .venv with everything in it

chat: .venv/installed ## Open the chat page (with the starter library when there are no papers yet)
	$(BIN)/citewise chat --starter

test: .venv/installed-dev ## Run the tests, offline
	$(PYTEST)

test-long: .venv/installed-dev ## Run the long tests too: 10,000 fuzz inputs, 30 kills
	HYPOTHESIS_PROFILE=long $(PYTEST) -m "slow or not slow"

check: .venv/installed-dev ## Lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: .venv/installed-dev ## Put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

eval: .venv/installed ## Measure answers on the shipped questions; fails when they got worse
	$(BIN)/citewise ingest --starter --library build/starter
	$(BIN)/citewise eval run eval/cases/starter.jsonl --library build/starter --config eval --labels eval/cases/starter_labels.csv --out build/eval \
		--gate "ndcg@10>=0.94,facts>=0.78,abstain_f1>=0.88"

bench: .venv/installed-dev ## Measure speed, memory and disk against a plain script, and growth (SIZES=1000,10000 KINDS=embedded,server,cluster)
	$(BIN)/python -m eval.bench $(if $(SIZES),--sizes $(SIZES)) $(if $(KINDS),--kinds $(KINDS))

# Needs uv. Universal locks: one file for all platforms and Python versions that pyproject.toml allows.
lock: ## Renew both lock files
	uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --extra cluster --extra observability pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --extra dev pyproject.toml --constraint requirements.lock --output-file tests/requirements.lock

clean: ## Remove what was built
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
