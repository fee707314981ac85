PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-slow lint bench clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(f"Tilth needs Python 3.11 or later, found {sys.version.split()[0]}: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train,serve,dev]'
	@touch $@ $(VENV)/.train

quickstart: $(VENV)/.train
	$(BIN)/tilth run recipes/quickstart.yaml
	@if [ -t 0 ]; then $(BIN)/tilth chat runs/quickstart; \
	else $(BIN)/tilth chat runs/quickstart --temperature 0 --prompt 'What is 27 + 45?'; fi

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two test files at a time; threads that wait for others sleep, so that neither takes the other's core.
test: $(VENV)/.dev lint
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) build src/*.egg-info
