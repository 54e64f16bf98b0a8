# Two commands to begin with: make demo, make test. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

DATASET ?= demo
WORKSPACE ?= workspace
CONFIG ?= configs/pipeline.yaml
TRAIN_CONFIG ?= configs/train/default.yaml
EXTRAS ?=#         optional parts: EXTRAS=ray
UPGRADE ?= --upgrade#  of `make lock`: empty keeps the versions that still fit
PERSONS ?= 150#    rendered people in the demo
SET ?=#            settings of the stages: SET='crop.margin_share=0.2 background.backend=none'
PHOTOS ?=#         folder or CSV of `make doctor`

export WORKSPACE
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --override overrides.txt --no-header --no-annotate
# The settings in SET that belong to a stage; first all are checked for all stages of this call.
STAGES = $(filter audit preprocess synth train,$(MAKECMDGOALS))
WITH_SETTINGS = set -f +B; $(if $(strip $(SET)),words="$$($(PY) -m facecurate settings $(STAGES) --only $@ $(SET))" || exit 2,words=);
# Of several commands only the last one names the next.
NOT_LAST := | sed -u '/^next: /d'
UNLESS_LAST = $(if $(filter $@,$(lastword $(MAKECMDGOALS))),,$(NOT_LAST))
BROWSER_FILES := 'curation_app/**/*.js' 'curation_app/**/*.css'

.PHONY: help setup doctor demo worth test test-fast check lint types javascript pytest format app audit preprocess synth train bench docs lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(INSTALLED) ## make .venv with the pinned requirements and the command `facecurate` (EXTRAS=ray adds an optional part)
ifneq ($(strip $(EXTRAS)),)
	$(VENV)/bin/uv pip install --python $(PY) --quiet --no-deps $(foreach extra,$(EXTRAS),-r requirements-$(extra).txt)
endif

$(INSTALLED): requirements.txt pyproject.toml
	@python3 -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("error: Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0])'
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@echo "installing the pinned requirements (README: size and time)"
	$(VENV)/bin/uv pip sync --python $(PY) requirements.txt
	$(VENV)/bin/uv pip install --python $(PY) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## render a demo data set and run all stages on it, up to a report
	@$(PY) -m synth demo $(WORKSPACE)/photos/demo --persons $(PERSONS) --seed 1 $(NOT_LAST)
	@$(PY) -m data_manifests ingest $(WORKSPACE)/photos/demo --layout profiles --name demo $(NOT_LAST)
	@$(PY) -m data_manifests split demo@photos $(NOT_LAST)
	@$(PY) -m preprocess run demo@photos --config configs/demo.yaml "steps=[crop]" --tag original $(NOT_LAST)
	@$(PY) -m synth review demo@photos --truth $(WORKSPACE)/photos/demo/truth.csv --out $(WORKSPACE)/corrections/demo-truth.csv $(NOT_LAST)
	@$(PY) -m data_manifests apply demo@original $(WORKSPACE)/corrections/demo-truth.csv --tag relabelled $(NOT_LAST)
	@$(PY) -m preprocess run demo@relabelled --config configs/demo.yaml "steps=[background, drop_ages]" --tag preprocessed $(NOT_LAST)
	@$(PY) -m synth run demo@preprocessed --config configs/demo.yaml --tag balanced $(NOT_LAST)
	@$(PY) -m train fit demo@balanced --config configs/train/demo.yaml --once $(NOT_LAST)
	@$(PY) -m train compare demo@original demo@relabelled demo@preprocessed demo@balanced --val demo@preprocessed \
		--config configs/train/embedding.yaml --seeds 3 --leak demo@preprocessed

# Versions 1 to 3 of `worth` are those of its first three commands, also when it is run again.
worth: setup ## compare the steps one by one: a network from scratch on each version of the demo's people (half an hour)
	@$(PY) -m synth demo $(WORKSPACE)/photos/demo --persons $(PERSONS) --seed 1 $(NOT_LAST)
	@$(PY) -m data_manifests ingest $(WORKSPACE)/photos/demo --layout profiles --name worth $(NOT_LAST)
	@$(PY) -m data_manifests split worth@1 $(NOT_LAST)
	@$(PY) -m preprocess detect worth@2 $(NOT_LAST)
	@$(PY) -m data_manifests tag worth@3 original $(NOT_LAST)
	@$(PY) -m synth review worth@original --truth $(WORKSPACE)/photos/demo/truth.csv --out $(WORKSPACE)/corrections/worth-truth.csv $(NOT_LAST)
	@$(PY) -m data_manifests apply worth@original $(WORKSPACE)/corrections/worth-truth.csv --tag relabelled $(NOT_LAST)
	@$(PY) -m preprocess run worth@relabelled --config configs/demo.yaml "steps=[drop_ages]" --tag ages-removed $(NOT_LAST)
	@$(PY) -m preprocess run worth@relabelled --config configs/demo.yaml "steps=[crop]" --tag cropped $(NOT_LAST)
	@$(PY) -m preprocess run worth@relabelled --config configs/demo.yaml "steps=[background]" --tag background $(NOT_LAST)
	@$(PY) -m preprocess run worth@cropped --config configs/demo.yaml "steps=[background]" --tag both $(NOT_LAST)
	@$(PY) -m synth run worth@both --config configs/demo.yaml stage=1 --tag stage1 $(NOT_LAST)
	@$(PY) -m synth run worth@both --config configs/demo.yaml stage=2 --tag stage2 $(NOT_LAST)
	@$(PY) -m train compare $(addprefix worth@,original relabelled ages-removed cropped background both stage1 stage2) \
		--val worth@relabelled --config configs/train/demo.yaml --seeds 3

doctor: setup ## look into the folder or CSV PHOTOS: contents, suspects, and the next commands
	@$(PY) -m facecurate doctor $(if $(PHOTOS),'$(PHOTOS)',$(error make doctor needs a folder or CSV of photos: make doctor PHOTOS=path/to/photos))

app: setup ## open the review app on localhost
	$(VENV)/bin/streamlit run curation_app

audit: setup ## score every label of DATASET's photos, write queue and report (moves the tag `photos`)
	@$(WITH_SETTINGS) $(PY) -m audit run $(DATASET)@photos --tag photos $$words $(UNLESS_LAST)

preprocess: setup ## run detect, landmarks, crop, background, drop-ages on DATASET (tags the result `preprocessed`)
	@$(WITH_SETTINGS) $(PY) -m preprocess run $(DATASET)@photos --config $(CONFIG) --tag preprocessed $$words $(UNLESS_LAST)

synth: setup ## rebalance DATASET with synthetic profiles (tags the result `balanced`)
	@$(WITH_SETTINGS) $(PY) -m synth run $(DATASET)@preprocessed --config $(CONFIG) --tag balanced $$words $(UNLESS_LAST)

train: setup ## train on DATASET@balanced; print the path of the report
	@$(WITH_SETTINGS) $(PY) -m train fit $(DATASET)@balanced --config $(TRAIN_CONFIG) --once $$words $(UNLESS_LAST)

test: setup check pytest ## run lint, types and all tests, with coverage

test-fast: setup ## run the tests that need no browser, no Redis and no worker processes
	$(PY) -m pytest -n auto --dist loadscope -m "not browser and not redis and not workers and not slow"

check: lint types javascript ## run lint, types and JavaScript checks only

lint: setup
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .

types: setup
	$(VENV)/bin/mypy

javascript: setup
	$(VENV)/bin/oxlint curation_app
	$(VENV)/bin/oxfmt --check $(BROWSER_FILES)

pytest: setup
	$(PY) -m pytest -n auto --dist loadscope --cov

format: setup ## format Python, JavaScript and CSS as `make check` requires
	$(VENV)/bin/ruff check --quiet --fix .
	$(VENV)/bin/ruff format --quiet .
	$(VENV)/bin/oxfmt $(BROWSER_FILES)

bench: setup ## run every benchmark; each prints its figures as JSON on the last line
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(PY) -m $$(echo $${file%.py} | tr / .) --json; done

docs: setup ## write the pages that are generated from the code
	$(PY) docs/make.py

lock: ## pin requirements*.in again (for Linux, macOS, Windows; Python 3.11 to 3.13); UPGRADE= keeps what still fits
	$(COMPILE) $(UPGRADE) requirements.in requirements-dev.in -o requirements.txt
	for extra in ray wandb; do $(COMPILE) $(UPGRADE) --constraint requirements.txt requirements-$$extra.in -o requirements-$$extra.txt; done

clean: ## remove .venv and caches; data and runs in WORKSPACE stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage build *.egg-info
