# Every target runs from this folder and stops at the first failure.  `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
PORT ?= 8080
UES ?= 200
STORE ?= sqlite
NODES ?= 1
NETWORK ?= 127.0.0
CQL_PORT ?= 9042
STORAGE_PORT ?= 7000
JMX_PORT ?= 7199
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## list the targets
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) bash tools/make_environment.sh $(VENV)
	@touch $@

venv: $(STAMP) ## make the virtual environment (.venv) from pinned, hashed wheels

preflight:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: install Python 3.11 to 3.13, or make PYTHON=/path/to/python3.12 demo" >&2; exit 1; }
	@$(PYTHON) laptop/preflight.py $(PORT)

demo: preflight $(STAMP) ## attach 200 UEs on this machine and show what happened (PORT=8080, UES=200, STORE=sqlite|cassandra)
	@$(BIN)/python -m laptop demo --port $(PORT) --ues $(UES) --store $(STORE)

up: preflight $(STAMP) ## serve the functions on this machine until Ctrl-C (PORT=8080)
	@$(BIN)/python -m laptop up --port $(PORT)

check: $(STAMP) ## formatting, lint and types (ruff, mypy strict)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: $(STAMP) ## the whole test suite
	$(BIN)/pytest -n 2 --dist loadfile -m "not lab"

images: $(STAMP) ## build every function's image and edge-tools, with inventories (REGISTRY=host, TAG=tag, PUSH=1, ARGS="--help")
	@$(BIN)/python -m tools.images $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(TAG),--tag "$(TAG)") $(if $(PUSH),--push) $(ARGS)

reload-zipapp: $(STAMP) ## make build/auto-reload, the single file that runs in any image with python3
	@mkdir -p build && $(BIN)/python -m reload.bundle build/auto-reload && ls -l build/auto-reload

reload-image: $(STAMP) ## put auto-reload into an image: BASE=host/name:tag, TO=host/name:tag, PLAIN_HTTP=1 without TLS
	@[ -n "$(BASE)" ] || { echo "say which: make reload-image BASE=registry.example:5000/nginx:1.22" >&2; exit 1; }
	@$(BIN)/python -m reload.image --base "$(BASE)" $(if $(TO),--to "$(TO)") $(if $(PLAIN_HTTP),--plain-http) $(if $(CREDENTIALS),--credentials "$(CREDENTIALS)") $(if $(BASE_CREDENTIALS),--base-credentials "$(BASE_CREDENTIALS)")

chart-push: ## package charts/CHART and push it: OCI=oci://host/charts, CHART=network-function (needs helm)
	@bash tools/push_chart.sh "$(or $(CHART),network-function)" "$(OCI)"

helm: $(STAMP) ## build helm from its Go module, once, for the tests of the charts
	@$(BIN)/python -c 'from tests.lab import artefacts; artefacts.provide((artefacts.HELM,))'

lab-up: $(STAMP) ## start two Kubernetes clusters, a registry and an S3 server here (root; built the first time)
	@$(BIN)/python -m tests.lab up

lab-down: $(STAMP) ## end them and leave nothing behind
	@$(BIN)/python -m tests.lab down

lab-status: $(STAMP) ## say what of the lab runs
	@$(BIN)/python -m tests.lab status

lab-test: $(STAMP) ## every test that needs the lab, started when it is not up (LAB_KUBECONFIGS: other clusters)
	@[ -n "$${LAB_KUBECONFIGS:-}" ] || $(BIN)/python -m tests.lab up >/dev/null
	@LAB_REQUIRED=1 $(BIN)/python -m tests.lab test

test-cassandra: $(STAMP) ## the tests on a real Cassandra: CASSANDRA_HOSTS names one, else a node is started
	@which="cassandra"; $(BIN)/python -m cassandra_lab check || { [ "$${CI:-}" != true ] || exit 1; [ -n "$${CASSANDRA_HOSTS:-}" ] || exit 0; \
		which="cassandra and not nodes"; echo "left out: what starts nodes of its own; the rest runs on CASSANDRA_HOSTS"; }; \
	$(BIN)/pytest --cassandra -m "$$which" tests/cassandra tests/durable tests/mme tests/edge/test_store.py tests/e2e/test_tickers.py tests/localfaas/test_cold_start.py

chaos: $(STAMP) ## 2000 UEs for MINUTES=10 while nodes, replicas and the ticker die; then judge (SEED=n, UES=n, NODES=3, STORE=sqlite)
	@$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),10) --ues $(if $(filter command line environment,$(origin UES)),$(UES),2000) --store $(if $(filter command line environment,$(origin STORE)),$(STORE),cassandra)$(if $(filter command line environment,$(origin NODES)), --nodes $(NODES))

chaos-short: $(STAMP) ## the chaos run of CI: two minutes, 120 UEs, three nodes
	@$(BIN)/python -m chaos --minutes 2 --ues 120

cassandra-up: $(STAMP) ## start real Cassandra nodes on loopback addresses (NODES=1|3, CQL_PORT, STORAGE_PORT, JMX_PORT, NETWORK)
	@$(BIN)/python -m cassandra_lab up --nodes $(NODES) --cql-port $(CQL_PORT) --storage-port $(STORAGE_PORT) --jmx-port $(JMX_PORT) --network $(NETWORK)

cassandra-down: $(STAMP) ## stop them; CLEAN=1 removes their data, too
	@$(BIN)/python -m cassandra_lab down $(if $(CLEAN),--clean)

bench: $(STAMP) ## measure, and write bench/results with the raw figures (STORE=sqlite|cassandra)
	$(BIN)/python -m bench --store $(STORE)

scaling: $(STAMP) ## measure 1 -> 20 -> 1 replicas under Prometheus and Alertmanager, batched, by waits, and an HSS of 40 ms (docs/scaling.md)
	$(BIN)/python -m bench --only scaling --only scaling-batched --only scaling-waits --only waiting

placement-helm: helm ## put helm beside the placement function's handler, from where its image takes it
	@cp "$$($(BIN)/python -c 'from tests.lab import artefacts; print(artefacts.program(artefacts.HELM, "helm"))')" functions/placement/helm

lock: ## compile requirements/*.txt anew (needs uv)
	cd requirements && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate dev.in -o dev.txt
	cd requirements && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -c dev.txt functions.in -o ../template/python3-flask-edge/requirements.txt
	cd requirements && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -c dev.txt kubernetes.in -o ../template/python3-flask-edge/requirements-kubernetes.txt
	cd requirements && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -c dev.txt tools.in -o ../images/edge-tools/requirements.txt
	cd requirements && uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate go.in -o go.txt

clean: ## remove what the other targets made
	rm -rf $(VENV) build .localfaas .mypy_cache .ruff_cache .pytest_cache .hypothesis


.PHONY: help images helm placement-helm reload-zipapp reload-image chart-push venv preflight chaos chaos-short demo up check test test-cassandra cassandra-up cassandra-down lab-up lab-down lab-status lab-test bench scaling lock clean
