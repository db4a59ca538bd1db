# Two commands matter: `make simulate` rehearses the whole network, `make test` proves it. `make federation` runs the
# rounds over Flower's own processes on this machine; it needs nginx (Debian: apt-get install nginx-light).
# Both make .venv first; nothing is downloaded but packages from the index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/simulate
READY := $(VENV)/.ready
PACKAGES := eyebright_common eyebright_learning eyebright_server eyebright_client eyebright_edge eyebright_simulations
PYTEST := $(BIN)/python -m pytest
export FLWR_TELEMETRY_ENABLED := 0
export ORT_DISABLE_TELEMETRY := 1
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: simulate federation test environment lint types contracts lean-wheel clean

simulate: environment
	$(BIN)/eyebright simulate --out $(OUT) $(ARGS)

federation: environment
	$(BIN)/python -m eyebright_simulations.federation_demo --out runs/federation $(ARGS)

# Fast tests first, so that a broken habit is heard of in seconds; then the slow and the kill tests.
test: environment
	$(PYTEST) -m "not slow and not kill" tests/unit tests/property
	$(PYTEST) -m "not slow and not kill" tests/integration tests/e2e
	$(PYTEST) -m "slow or kill" tests

environment: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Eyebright needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]" --group dev
	touch $(READY)

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: environment
	$(BIN)/mypy $(addprefix -p ,$(PACKAGES))

contracts: environment
	$(BIN)/lint-imports

lean-wheel: environment
	$(BIN)/python tests/support/lean_wheel.py

clean:
	rm -rf runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
