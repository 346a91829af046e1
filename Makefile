# `make` lists the words. Everything is installed into .venv; nothing else of the machine is changed, but for Debian
# packages that `make test` needs, and those only when it runs as root.

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$name && break; done)
BIN := .venv/bin
HOST ?= 127.0.0.1
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help up test test-cluster test-cluster-core lint format generate fuzz bench simulate clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: .venv/installed-local ## run the example chat on this machine: Redis shards, Sentinels, two gateways, a worker
	@$(BIN)/python examples/chat/manage.py migrate --verbosity 0
	@$(BIN)/python examples/chat/manage.py demo_data
	@exec $(BIN)/realtime-gateway up examples/chat/gateway.yaml --host $(HOST) --port $(PORT)

test: .venv/installed-dev ## everything that this machine can test; what is missing is skipped by name
	@tests/install_debian_packages.sh
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest

test-cluster: .venv/installed-dev ## the tests on Kubernetes: nodes of our own (root, Go), or what KUBECONFIG names
	@[ -n "$$KUBECONFIG" ] || tests/cluster/node/install_debian_packages.sh
	$(BIN)/pytest tests/cluster --verbose --durations=10 --capture=tee-sys

test-cluster-core: .venv/installed-dev ## the few of them that CI runs: a resource from apply to delete, and a trace
	@[ -n "$$KUBECONFIG" ] || tests/cluster/node/install_debian_packages.sh
	$(BIN)/pytest tests/cluster -m core --verbose --durations=5 --capture=tee-sys

lint: .venv/installed-dev ## style, types, import rules, generated files, known vulnerabilities of what is installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m realtime_gateway.resource --check manifests/crd.yaml charts/realtime-gateway/files/crd.yaml docs/resource.md
	$(BIN)/python -m charts.monitoring --check charts/realtime-gateway/files/monitoring/dashboards
	$(BIN)/python -m charts.monitoring --check --of-a-resource operator/realtime_operator/objects/grafana
	@$(BIN)/python -m tests.dependency_audit

format: .venv/installed-dev ## let ruff format and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: .venv/installed-dev ## write the files that are generated from code
	$(BIN)/python -m realtime_gateway.resource --write manifests/crd.yaml charts/realtime-gateway/files/crd.yaml docs/resource.md
	$(BIN)/python -m charts.monitoring --write charts/realtime-gateway/files/monitoring/dashboards
	$(BIN)/python -m charts.monitoring --write --of-a-resource operator/realtime_operator/objects/grafana

fuzz: .venv/installed-dev ## hostile frames and requests for a quarter of an hour; make test does it for seconds
	$(BIN)/python -m tests.fuzz.frame_path 20000
	$(BIN)/python -m tests.fuzz.requests --examples 10000
	$(BIN)/python -m tests.fuzz.first_read 5000

bench: .venv/installed-dev ## compare with stock Daphne and channels_redis in one run; prints ratios
	$(BIN)/python -m tests.benchmarks

simulate: .venv/installed-dev ## run the layer's simulation: SEEDS=1234 prints one run's log, SEEDS=0-19999 runs many
	@$(BIN)/python -m tests.simulation $(or $(SEEDS),0-1999)

clean: ## remove the virtual environment and what tools left
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .realtime-gateway tests/artefacts

.venv/created:
	@test -n "$(PYTHON)" || { echo "RealtimeGateway needs Python 3.11 or newer, and none is on PATH." \
		"Install it (Debian, Ubuntu: apt-get install python3 python3-venv) and run make again."; exit 1; }
	@echo "Creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "venv is missing: installing the Debian package python3-venv"; \
			apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear .venv; \
		else echo "Python's venv module is missing. Install it (sudo apt-get install python3-venv) and run make again."; \
			exit 1; fi; }
	@touch $@

.venv/installed-local: .venv/created pyproject.toml
	@echo "Installing the gateway and what \`realtime-gateway up\` needs into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[local]'
	@touch $@

.venv/installed-dev: .venv/created pyproject.toml
	@echo "Installing the gateway and the development tools into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/installed-local
