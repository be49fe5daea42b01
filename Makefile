# Each target installs what it needs into $(VENV). The machine needs Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.layertui-ready
DOCS_READY := $(VENV)/.layertui-docs-ready
# Half again as many workers as processors: tests of the browser spend a third of their time waiting.
WORKERS ?= $(shell expr \( $$(nproc 2>/dev/null || echo 2) \* 3 + 1 \) / 2)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test soak check docs format screenshots snapshots bench bench-screen clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "layertui needs Python 3.11 or newer; to use another one: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(DOCS_READY): $(READY)
	$(INSTALL) --editable '.[dev,docs]'
	@touch $@

demo: $(READY) ## create a demo store and browse it (no root needed)
	@$(BIN)/layertui demo

test: $(READY) ## run the tests in parallel
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

soak: $(READY) ## write to one store with Podman, Buildah and layertui for ten minutes (root)
	LAYERTUI_SOAK_SECONDS=$${LAYERTUI_SOAK_SECONDS:-600} LAYERTUI_REQUIRE_ALL=1 \
		$(BIN)/pytest -q tests/interop/test_soak.py -k "$${LAYERTUI_SOAK_DRIVER:-overlay}" $(ARGS)

check: $(READY) ## lint, check the format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS_READY) ## build the documentation in site/
	$(BIN)/properdocs build --strict

format: $(READY) ## fix lint and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

snapshots: $(READY) ## update the screen pictures of the tests; review each change before committing it
	$(BIN)/pytest -n auto tests/tui --snapshot-update

screenshots: $(READY) ## make the pictures for the README
	$(BIN)/python screenshots/make.py

bench: $(READY) ## benchmark the core beside containers-storage (root)
	$(BIN)/python benchmarks/core.py $(ARGS)

bench-screen: $(READY) ## benchmark the browser in a pseudo-terminal, beside dive if it is on PATH
	$(BIN)/python benchmarks/screen.py $(ARGS)
	$(BIN)/python benchmarks/dive_peer.py

clean: ## delete everything that the other targets create
	rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
