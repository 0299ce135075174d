# Everything runs in .venv, which each target makes for itself where only python3 is there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests

.PHONY: test demo bench bench-full fuzz soak kill fix lint clean

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

$(VENV)/.bench: pyproject.toml batcher/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

bench: $(VENV)/.bench  ## all questions of bench/ in their short form: figures, ratios, charts; ten minutes
	$(BIN)/python bench/run.py $(BENCH)

bench-full: $(VENV)/.bench  ## all cases and rounds; an hour or more on a machine that does nothing else
	$(BIN)/python bench/run.py --full $(BENCH)

soak: $(VENV)/.ready  ## ten minutes at full load, with faults on 5 % of the requests
	PYTHONPATH=tests $(BIN)/python -m soak.run $(SOAK)

kill: $(VENV)/.ready  ## kill -9 at 200 random moments of a write
	PYTHONPATH=tests $(BIN)/python -m soak.kill $(KILL)

FUZZ_TARGETS := events anything settings partitions values inputs stored
FUZZ_SECONDS ?= 60

fuzz: $(VENV)/.ready  ## arbitrary input for a minute a target, guided by coverage; Linux only
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3,<4'
	for target in $(FUZZ_TARGETS); do \
		$(BIN)/python tests/fuzz/run_atheris.py --target $$target --seconds $(FUZZ_SECONDS) || exit; \
	done

clean:
	rm -rf $(VENV)
