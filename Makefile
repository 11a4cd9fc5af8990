# docfleet: `make demo` sets up and runs the main job on the samples; `make test` sets up and passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

.PHONY: help setup setup-dev demo test test-all check check-deploy docs dashboards bench bench-service chaos images lock clean samples
.DEFAULT_GOAL := help

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.installed  ## Install docfleet into .venv

setup-dev: $(VENV)/.installed-dev  ## Install docfleet with its development tools into .venv

demo: setup  ## Read the sample documents into results/ and say where to look
	$(BIN)/python tools/demo.py

test: setup-dev  ## Run the tests
	$(PYTEST) -m "not slow"

test-all: setup-dev  ## Run the tests with the slow ones and with more examples, which takes longer than all the others
	$(PYTEST) --hypothesis-profile thorough

check: setup-dev  ## Lint, types, import order, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/write_reference.py --check
	$(BIN)/python tools/write_monitoring.py --check

docs: setup-dev  ## Write the generated reference pages anew
	$(BIN)/python tools/write_reference.py

dashboards: setup-dev  ## Write rules, alarms, routes and dashboards anew
	$(BIN)/python tools/write_monitoring.py

samples: setup-dev  ## Draw the sample documents anew
	$(BIN)/python tools/draw_samples.py

bench: setup-dev  ## Measure against peers and print one table (installs the peers aside; takes a while)
	$(BIN)/python -m bench

bench-service: setup-dev  ## Measure the service on a real Postgres and Redis and print one table
	$(BIN)/python -m bench.service --out docs/benchmarks-service.md

chaos: setup-dev  ## Prove that nothing is lost: 100,000 simulated storms, then a real one; takes about fifteen minutes
	$(BIN)/python tools/chaos.py --slow 0.02 --out docs/reliability.md

images:  ## Build the images with docker, podman or buildah (TARGETS="api worker-pdf" for some of them)
	deploy/images/build.sh $(TARGETS)

check-deploy: setup-dev  ## Check what is deployed: Dockerfile, compose file, workflows, manifests (fetches schemas; takes minutes)
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/yamllint --strict deploy .github
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/zizmor --offline .github
	$(BIN)/python -m pytest -q tests/unit/test_deploy_images.py tests/unit/test_deploy_compose.py tests/unit/test_deploy_workflows.py
	$(BIN)/python -m pytest -q tests/deploy tests/integration/test_role_packages.py tests/integration/test_compose_pieces.py
	$(BIN)/python tools/check_deploy.py

# what each image holds, and what builds them
ROLES := api dispatcher worker worker-cloud documentai-server console build

lock: setup-dev  ## Lock the dependencies anew, with hashes
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal \
	    pyproject.toml --extra build --extra service --extra local --extra fleet --extra console --extra telemetry -o requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal \
	    pyproject.toml --extra build --extra service --extra local --extra fleet --extra console --extra telemetry --extra documentai-server --extra dev -c requirements.txt -o requirements-dev.txt
	for role in $(ROLES); do $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal \
	    deploy/requirements/$$role.in -c requirements-dev.txt -o deploy/requirements/$$role.txt || exit 1; done

clean:  ## Remove what was installed and made
	rm -rf $(VENV) results .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis
