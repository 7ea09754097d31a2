# Every target sets up what it needs on a machine that has Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
NODE := $(shell command -v npm 2>/dev/null)
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup demo tiny test check format crash optimum bench bench-quick clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1: /'

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("edgepipe needs Python 3.11 or newer, this is " + sys.version if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(RUNTIME),build,demo,dev]'
	touch $@

setup: $(VENV)/.ready ## a virtual environment with everything, pinned by constraints.txt

demo: setup ## pretrained MiniLM and 10,000 sentences to a distilled, quantized, measured bundle
	$(BIN)/edgepipe run pipelines/movie-reviews.toml
	$(BIN)/edgepipe predict artifacts/movie-reviews/bundle "A quiet film that stays with you." "Two hours I will never get back."

tiny: setup ## the same way in a minute, from scratch
	$(BIN)/edgepipe run pipelines/tiny.toml

tests/node/node_modules/.ready: tests/node/package-lock.json
ifneq ($(NODE),)
	cd tests/node && npm ci --loglevel=error && touch node_modules/.ready
else
	@echo "npm is not installed: the transformers.js test is skipped"
endif

# waiting threads that spin would steal the cores from the other half of the suite
test: export OMP_WAIT_POLICY := PASSIVE
test: setup $(if $(NODE),tests/node/node_modules/.ready) ## the whole test suite
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope

check: setup ## linter, formatter, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## mend what the linter and the formatter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crash: setup ## kill, or fill the disk, at every disk operation of a run
	$(BIN)/python tests/end_to_end/crash_matrix.py

.venv-optimum/.ready: benchmarks/peers/environments/optimum.txt
	$(PYTHON) -m venv .venv-optimum
	.venv-optimum/bin/python -m pip install --quiet --requirement benchmarks/peers/environments/optimum.txt
	touch $@

optimum: setup .venv-optimum/.ready ## whether optimum's ORTModel, in an environment of its own, loads bundles
	EDGEPIPE_OPTIMUM_PYTHON=$(CURDIR)/.venv-optimum/bin/python $(BIN)/python -m pytest tests/contracts/test_ort_model.py

bench: setup ## beside every peer: the whole comparison, resumed where it was interrupted (90 minutes)
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.peers.page

bench-quick: setup ## a small part of it, to see that it works
	$(BIN)/python -m benchmarks.peers --quick

clean: ## remove the environment and what runs left behind
	rm -rf $(VENV) .venv-optimum .venv-peers artifacts/*/ tests/node/node_modules
