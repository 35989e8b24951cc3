# The front door: `make` alone explains itself. Everything works from a bare Debian 12 with make and python3.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
PYTEST := .venv/bin/pytest
STACK := $(PYTHON) -m deploy.local
PACKAGES := $(wildcard libs/* services/*)
SERVICE_TESTS := $(wildcard services/*/tests)

.PHONY: help
help: ## This list
	@echo 'Sema Link. Targets:'
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

## ---- the stack ------------------------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/.ok ## The main job, told line by line: real messages through all seven services, up to the signed webhook
	@$(PYTHON) -m deploy.local.demo

.PHONY: up
up: .venv/.ok ## Start the stack in the background, or mend it; addresses and credentials in .local/stack.env
	@$(STACK) up

.PHONY: down
down: .venv/.ok ## Stop the stack, stores and all
	@$(STACK) down

.PHONY: status
status: .venv/.ok ## What of the stack runs, and what it last said
	@$(STACK) status

.PHONY: account
account: .venv/.ok ## On the running stack: an account with credit and a key (NAME=… CREDIT=… [TIER=starter])
	$(call required,NAME CREDIT)
	@$(STACK) operators account create --name "$(NAME)" --credit "$(CREDIT)" --tier "$(or $(TIER),starter)"

## ---- proof ----------------------------------------------------------------------------------------------------

.PHONY: check
check: .venv/.ok ## The fast loop: lint, types, import rules, unit tests
	.venv/bin/ruff check -q .
	.venv/bin/ruff format -q --check .
	.venv/bin/mypy libs services/*/src deploy tests conftest.py
	@# One run per service: their tests share module names.
	@set -e; for tests in $(SERVICE_TESTS); do .venv/bin/mypy --no-error-summary $$tests; done
	.venv/bin/lint-imports --no-logo
	$(PYTEST) -q -n 2 -m "not stores and not stack"

.PHONY: test
test: check ## Everything: check, then all tests against real stores and the whole stack
	@# They wait for the stores more than they compute: twice as many as there are cores.
	$(PYTHON) -m tests.kit.stores $(PYTEST) -q -n 4 -m "stores and not stack and not long"
	@# They share one stack, and some break it on purpose: in order, so that a failure can be told from its cause.
	$(PYTEST) -q -p no:randomly -m "stack and not long"

.PHONY: faults
faults: .venv/.ok ## Every fault and fault point on a stack of its own, with a table of what healed when (SEED=…)
	SEED="$(SEED)" $(PYTEST) -v -p no:randomly tests/faults

.PHONY: mutants
mutants: .venv/.ok ## Seeded defects, each of which a test must catch (ONLY='ledger redirects')
	@ONLY="$(ONLY)" $(PYTHON) -m tests.mutants

.PHONY: bench
bench: .venv/.ok ## The table of what this machine carries, each figure beside its baseline
	@deploy/local/packages.sh wrk
	@$(PYTHON) -m tests.bench

.PHONY: stores
stores: .venv/.ok ## Keep one set of test stores running, so that single tests start at once (stop: make stores-down)
	@SEMA_PORT_BASE=23900 $(STACK) up --home .local/test --fast --only postgres,redis,rabbitmq

.PHONY: stores-down
stores-down: .venv/.ok
	@$(STACK) down --home .local/test

.PHONY: openapi
openapi: .venv/.ok ## Write again what is generated: the OpenAPI document, roles, settings, the dashboard
	@$(PYTHON) -m deploy.documents

## ---- release --------------------------------------------------------------------------------------------------

.PHONY: image
image: ## Build one service's image (SERVICE=sms-worker; also operations) with docker or buildah
	$(call required,SERVICE)
	@deploy/image.sh "$(SERVICE)"

.PHONY: release
release: .venv/.ok ## Version, changelog heading, commit and tag of one package (PACKAGE=sms-worker BUMP=minor)
	$(call required,PACKAGE BUMP)
	@$(PYTHON) -m deploy.release "$(PACKAGE)" "$(BUMP)"

.PHONY: lock
lock: .venv/.ok ## Refresh requirements.lock, keeping existing pins (UPGRADE=1 moves them)
	.venv/bin/uv pip compile -q --universal --generate-hashes --no-emit-index-url $(if $(UPGRADE),--upgrade) \
	    --no-emit-package sema-common --no-emit-package sema-content-checker --no-emit-package sema-aggregators \
	    --group pyproject.toml:dev libs/*/pyproject.toml services/*/pyproject.toml -o requirements.lock

## ---- what the others stand on -----------------------------------------------------------------------------------

.PHONY: packages
packages:
	@deploy/local/packages.sh

# uv comes by hash, everything else by uv by hash, our own packages as editable installs without an index.
.venv/.ok: requirements-uv.lock requirements.lock $(PACKAGES:%=%/pyproject.toml) | packages
	python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock
	.venv/bin/uv pip sync -q --compile-bytecode --python $(PYTHON) --require-hashes requirements.lock
	.venv/bin/uv pip install -q --python $(PYTHON) --offline --no-deps $(PACKAGES:%=-e ./%)
	@touch $@

required = $(foreach name,$(1),$(if $($(name)),,$(error give $(name)=…)))
