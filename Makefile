# The two commands of the README, and what engineers use daily. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help demo test start faults chaos lint format clean
.DEFAULT_GOAL := help

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing what requirements.txt pins into $(VENV) (about a minute) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

demo: $(STAMP) ## upload the sample catalogue through the real line, search it, print the hits, keep the site up
	@$(PY) manage.py demo

start: $(STAMP) ## run the site, the coordinator and one worker over what is in var/
	@$(PY) manage.py start

test: $(STAMP) ## every test that this machine can run but those of tests/chaos; says what it skipped and why
	@$(PY) -m pytest -n 2 --dist loadfile --ignore tests/chaos $(PYTEST)

faults: $(STAMP) ## tests/chaos: kills, full disks, cut cables, and what becomes of the photos (ten minutes)
	@$(PY) -m pytest tests/chaos

chaos: $(STAMP) ## 100 kills over one upload, Redis flushed in another; CHAOS="--seed 7 --postgres" says how
	@$(PY) -m tests.chaos.kills $(CHAOS)
	@$(PY) -m tests.chaos.flush $(CHAOS)

lint: $(STAMP) ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy config catalog workers recognition \
		&& (cd clients/python && ../../$(VENV)/bin/mypy src typed.py) \
		&& cd benchmarks && ../$(VENV)/bin/mypy --config-file= --ignore-missing-imports --follow-imports silent *.py

format: $(STAMP) ## ruff's fixes
	@$(VENV)/bin/ruff check --fix . ; $(VENV)/bin/ruff format .

clean: ## forget the local data (var/), keep the environment
	rm -rf var
