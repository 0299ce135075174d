# Everything runs in .venv, which each target makes for itself where only python3 is there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests

.PHONY: test demo bench fix lint clean

$(VENV)/.ready: pyproject.toml batcher/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

$(VENV)/.demo: pyproject.toml batcher/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	touch $@

demo: $(VENV)/.demo  ## real events through the Lambda handler into an embedded S3, and back
	$(BIN)/batcher demo

test: lint  ## lint, types and tests
	$(BIN)/python -m pytest $(TESTS)

lint: $(VENV)/.ready
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy

fix: $(VENV)/.ready  ## format, and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.ready  ## the handler against boto3 and the bare floor, in one run
	$(BIN)/python bench/throughput.py

clean:
	rm -rf $(VENV)
