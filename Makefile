# Kairos: the commands a person types. Every target first makes the environment; that is instant once it stands.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Every process we start: threads that wait give up their core, and nothing phones home.
export OMP_WAIT_POLICY = PASSIVE
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
export FEAST_USAGE = False

READY := .venv/.ready

$(READY): requirements.lock requirements-dev.lock pyproject.toml infra/bootstrap.sh
	@bash infra/bootstrap.sh

.PHONY: demo up test browser pictures check bench clean help

demo: $(READY)  ## the main job on real data: events to a published push plan, with a drift report
	@.venv/bin/kairos demo

up: $(READY)  ## Postgres, the Prefect server with its UI, a worker and every schedule; Ctrl-C stops all of it
	@.venv/bin/kairos up

# Most tests of flows share one finished cycle; these two share another, and go with all else: that makes the halves
# about as long.
OTHER_CYCLE := tests/flows/test_rerun.py tests/flows/test_up.py
ALL_ELSE := $(filter-out tests/flows,$(wildcard tests/*)) features models monitoring infra flows $(OTHER_CYCLE)
test: $(READY) browser  ## the whole test suite; the half with most flows runs beside the other, and is printed after it
	@half=$$(mktemp); trap 'rm -f "$$half"; kill $$(jobs -p) 2>/dev/null || true' EXIT; failed=0; \
	.venv/bin/pytest tests/flows $(addprefix --ignore=,$(OTHER_CYCLE)) >"$$half" 2>&1 & flows=$$!; \
	.venv/bin/pytest $(ALL_ELSE) || failed=$$?; \
	wait $$flows || failed=$$?; cat "$$half"; exit $$failed

browser:
	@bash infra/bootstrap.sh browser

pictures: $(READY) browser  ## the README's pictures of the web pages, taken anew
	@.venv/bin/pytest tests/flows/test_up.py -m browser --pictures docs/pictures

check: $(READY)  ## ruff, mypy, the architecture's import rules, and the linters of what deploys it
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec infra/deploy/compose.yaml
	@.venv/bin/hadolint infra/deploy/Dockerfile
	@.venv/bin/kubernetes-validate --strict $(filter-out %/kustomization.yaml,$(wildcard infra/deploy/kubernetes/*.yaml))

bench: $(patsubst tests/benchmarks/%.py,bench-%,$(wildcard tests/benchmarks/*.py))  ## every benchmark

bench-%: $(READY)  ## one benchmark: a table, and KAIROS_HOME/bench/NAME.json; options in ARGS="...", data in SOURCE=
	@$(if $(SOURCE),KAIROS_SOURCE="$(SOURCE)" ).venv/bin/python tests/benchmarks/$*.py $(ARGS)

clean:  ## remove the environment and the caches; the platform's state (.kairos) stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
