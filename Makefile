# Every target does its own set-up, may be repeated, and is quick when nothing changed.

.DEFAULT_GOAL := help
.PHONY: help setup demo down slots session screenshot test lint format typecheck unit integration e2e bench bench-tools bench-latency bench-burst bench-steady bench-fanout bench-found bench-churn bench-peers bench-capacity bench-checks bench-swarm bench-faults bench-slots bench-zero-loss soak docs docs-cli clean venv versions prometheus chromium
# Two targets at once would set the same things up twice.
.NOTPARALLEL:

bin := .venv/bin
# Two processes share the tests: one begins with those that use the engine, which mostly wait.
two := -n 2

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch a service scale 1 -> 8 -> 3 behind one port, with no reload
	@scripts/demo

slots: ## Show the slot map of the running demo
	@scripts/stack exec -T reconciler reconciler slots

session: venv ## Record docs/session.md anew, on real containers
	@scripts/setup
	@scripts/record-session

down: ## Stop the demo and everything that was started for it
	@scripts/down

test: lint typecheck versions prometheus chromium ## Set everything up, then run every check and every test
	@scripts/setup || [ $$? = 3 ]
	$(bin)/pytest $(two)

unit: venv ## Run the tests that need no HAProxy and no Docker
	$(bin)/pytest $(two) -m "not integration and not e2e"

integration: venv versions prometheus chromium ## Run the tests on real HAProxy versions, Prometheus and Chromium
	$(bin)/pytest $(two) -m integration

e2e: venv ## Run the tests on a real Docker engine
	@scripts/setup || [ $$? = 3 ]
	$(bin)/pytest -m e2e

lint: venv ## Check style, format and docstrings
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/interrogate --quiet src tests

format: venv ## Put the code in its format and mend what can be mended
	$(bin)/ruff format
	$(bin)/ruff check --fix

typecheck: venv ## Check types
	$(bin)/mypy

bench: bench-latency bench-burst bench-steady bench-fanout bench-found bench-churn bench-peers bench-capacity ## Every measure of speed and size, in turn: 50 minutes

bench-latency: bench-tools ## Measure from a container's start to its slot being ready, and the way out
	@scripts/setup
	$(bin)/python benchmarks/latency

bench-burst: bench-tools versions ## Up to 10,000 endpoints at once, beside the raw limit of the socket
	$(bin)/python benchmarks/burst

bench-steady: bench-tools versions ## What an event, a resync and idling cost with 10 to 10,000 containers
	$(bin)/python benchmarks/steady

bench-fanout: bench-tools versions ## 1, 5 and 20 HAProxies, one of them stalled and one down
	$(bin)/python benchmarks/fanout

bench-found: bench-tools versions ## HAProxies that come while the daemon runs: how soon each is full
	$(bin)/python benchmarks/found

bench-swarm: bench-tools ## A swarm of three nodes: how late slots are, and whether a request is lost
	@scripts/setup
	$(bin)/python benchmarks/swarm

bench-churn: bench-tools versions ## 100,000 starts and stops: what grows, what gets slower
	$(bin)/python benchmarks/churn

bench-peers: bench-tools ## Beside DNS and reloads: how soon, how many lost, at what cost
	@scripts/setup
	$(bin)/python benchmarks/peers

bench-capacity: bench-tools versions ## What slots, threads and sessions cost each HAProxy version
	$(bin)/python benchmarks/capacity

bench-tools: venv
	@scripts/venv bench

bench-faults: venv versions ## Walk through 2,000 random faults and see that nothing leaks
	$(bin)/python benchmarks/faults --strict

bench-checks: bench-tools versions ## How soon a newcomer with a check is up: alone, and after HAProxy restarts
	@scripts/setup
	$(bin)/python benchmarks/checks

bench-slots: venv versions ## Time `slots` on 10,000 slots that are all taken
	$(bin)/python benchmarks/slots

bench-zero-loss: venv ## Count requests lost under churn: slots, DNS, reloads
	@scripts/venv bench
	@scripts/setup
	$(bin)/python benchmarks/zero_loss

MINUTES ?= 5
soak: venv ## Random churn under load for MINUTES=5, and what it left behind
	@scripts/setup
	$(bin)/python benchmarks/soak --minutes $(MINUTES)

screenshot: venv ## Take the pictures of the page anew, of the real daemon
	@scripts/screenshot

docs: venv ## Build the documents as a site into site/
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict

docs-cli: venv ## Write docs/cli.md anew from the commands' help
	@UPDATE_SNAPSHOTS=1 $(bin)/pytest -q tests/unit/docs/test_cli_page.py

setup: venv versions prometheus chromium ## Only set up: environment, HAProxy versions, engine, images, browser
	@scripts/setup

venv: ## Make the virtual environment with all tools
	@scripts/venv dev

# A version that cannot be had here is named by the tests that skip for want of it.
versions: venv
	@scripts/haproxy-versions || echo "some HAProxy versions are missing; tests that need them will say so"

# For the tests of metrics, alerts and dashboard; without it they say that they need it.
prometheus:
	@scripts/prometheus || echo "Prometheus is missing; tests that need it will say so"

# For the tests of the page.
chromium:
	@scripts/chromium >/dev/null || echo "there is no chromium; tests of the page will say so"

clean: ## Remove what the other targets made in this folder
	rm -rf .cache .venv site wheelhouse .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
