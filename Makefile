# Everything that a fresh machine with Python 3.11 or newer needs is set up by the target that needs it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.layertui-ready
# Tests of the screen wait a third of their time for a program to come to rest.
WORKERS ?= $(shell expr \( $$(nproc 2>/dev/null || echo 2) \* 3 + 1 \) / 2)

.PHONY: help demo test soak check format screenshots snapshots bench bench-screen clean
.DEFAULT_GOAL := help

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "layertui needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## make a demo store, without root, and browse it
	@$(BIN)/layertui demo

test: $(READY) ## run the tests on all processors
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

soak: $(READY) ## let Podman, Buildah and us work on one store for ten minutes, as root
	LAYERTUI_SOAK_SECONDS=$${LAYERTUI_SOAK_SECONDS:-600} LAYERTUI_REQUIRE_ALL=1 \
		$(BIN)/pytest -q tests/interop/test_soak.py -k "$${LAYERTUI_SOAK_DRIVER:-overlay}" $(ARGS)

check: $(READY) ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshots: $(READY) ## take the tests' pictures of the screen anew; look at the differences before committing them
	$(BIN)/pytest -n auto tests/tui --snapshot-update

screenshots: $(READY) ## make the README's pictures from the real program
	$(BIN)/python screenshots/make.py

bench: $(READY) ## measure the core beside containers-storage
	$(BIN)/python benchmarks/core.py $(ARGS)

bench-screen: $(READY) ## measure the browser through a real terminal, beside dive where that is on PATH
	$(BIN)/python benchmarks/screen.py $(ARGS)
	$(BIN)/python benchmarks/dive_peer.py

clean: ## remove what the targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
