# What a person types. `make help` explains.
PYTHON ?= $(shell for each in python3 python3.12 python3.11; do \
  $$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$each && break; done)
TIPHYS = .venv/bin/tiphys
TORCH ?=
DATA ?=
IMAGES ?=
BASE ?=
OFFLINE ?=
WORKERS = -n 2 --dist loadgroup
TRIPS = $(or $(TIPHYS_HOME),.tiphys)/simulated-trips
.DEFAULT_GOAL = help
.PHONY: help setup run test test-long lint format lock up down clean images audit

help: ## this list
	@echo "usage: make TARGET [DATA=FOLDER] [TORCH=cpu] [PYTHON=python3.11]"
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

setup: ## both environments, Java, Spark's jars; says first what it downloads
	@$(or $(PYTHON),$(error Python 3.11 or 3.12 is needed and is not on PATH; on Debian 12 or Ubuntu 24.04: apt-get install python3)) \
	  -m tiphys.bootstrap $(if $(TORCH),--torch $(TORCH))

run: setup ## the whole pipeline on simulated trips, or on real ones with DATA=FOLDER; leaves the model serving
	@$(TIPHYS) up
	@$(if $(DATA),,$(TIPHYS) simulate $(TRIPS) --keep)
	@$(TIPHYS) run continuous-training --upload source=$(or $(DATA),$(TRIPS))

up: setup ## start the embedded servers
	@$(TIPHYS) up

down: ## stop everything that `make run` or `make up` left running
	@$(TIPHYS) down

test test-long: export PYTHONDONTWRITEBYTECODE = # else every worker compiles all tests and libraries anew, each time

test: setup lint ## lint, types, import contracts, golden files, and every test that needs no cluster, GPU or long time
	@.venv/bin/pytest $(WORKERS) -m "not long and not cluster and not gpu"

test-long: setup lint ## the same with the long ones, and all examples of each property
	@.venv/bin/pytest $(WORKERS) --thorough -m "not cluster and not gpu"

lint: setup ## ruff, mypy --strict, import contracts, stale manifests and reference pages
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(TIPHYS) render --check

format: setup ## format the code
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

lock: setup ## resolve both environments anew
	@.venv/bin/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet -o requirements.lock $(UPGRADE)
	@.venv/bin/uv pip compile requirements-triton.in --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet -o requirements-triton.lock $(UPGRADE)

images: setup ## one image a step and service, with docker, podman or buildah; IMAGES="ingest load_test", BASE=IMAGE or BASE=bootstrap
	@$(TIPHYS) images build $(IMAGES) $(if $(BASE),--base $(BASE)) $(if $(TORCH),--torch $(TORCH))

audit: setup ## pins, known vulnerabilities, and what lies in the images that are here; OFFLINE=1 asks no service
	@$(TIPHYS) images audit $(if $(OFFLINE),--offline)

clean: down ## throw the state away (models, data, logs); keeps the environments
	@rm -rf $(or $(TIPHYS_HOME),.tiphys)
