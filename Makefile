# What CI runs is `make check`; the fast loop is `make test-fast`.
RUN := .venv/bin/python -m
.PHONY: setup fmt lint types imports arch test test-fast check chaos bench

setup: ## make .venv with everything for development
	./minilab setup --dev

fmt: ## format and mend what can be mended
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

lint: ## style and bug patterns
	$(RUN) ruff format --check .
	$(RUN) ruff check .

types: ## mypy --strict
	$(RUN) mypy

imports: ## the arrows between the packages
	.venv/bin/lint-imports

arch: ## sizes, generated pages, repository hygiene
	$(RUN) pytest -q tests/architecture

test: ## everything this machine can run
	$(RUN) pytest -q -n 4 --dist loadfile

test-fast: ## pure and contract tests, about a minute
	$(RUN) pytest -q -n 4 --dist loadfile -m "not real and not e2e and not containers and not chaos"

check: lint types imports test

MINUTES ?= 5
chaos: ## kill agents and Redis for MINUTES and count what must not happen
	$(RUN) tests.chaos --minutes $(MINUTES)
