# proofload: `make help` lists what there is. Every target sets up what it needs first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
GPU_VENV := .venv-gpu
GPU_STAMP := $(GPU_VENV)/.set-up
DOCKER ?= docker
# DOCKER_BUILD_FLAGS: such as '--network host', where a build needs it

.PHONY: help setup demo test mutants selftest check format bench gpu cells fixtures images wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Put everything into .venv, .venv/bin/proofload included

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "proofload needs Python 3.11 or later; $$($(PYTHON) --version 2>&1) is what '$(PYTHON)' gives." ; \
	  echo "next: install one and name it, like: make setup PYTHON=python3.12" ; exit 2 ; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "This Python cannot make a virtual environment (on Debian and Ubuntu the venv module is a package of its own)." ; \
	  echo "next: sudo apt-get install python3-venv" ; exit 2 ; }
	@echo "installing into $(VENV): about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

fixtures: setup ## Build the models, payloads and goldens into fixtures/build
	@$(BIN)/proofload fixtures

DEMO := capacity soak peak-10x cold-start canary-rollback skew

demo: setup ## Compare the four reference servers, then put one through five ordeals (about nine minutes, and one of set-up the first time)
	@rm -rf out/demo && mkdir -p out/demo
	@for scenario in $(DEMO) ; do \
	  $(BIN)/proofload run $$scenario --quick --out out/demo/$$scenario || case $$? in 1|3) ;; *) exit 1 ;; esac ; done
	@$(BIN)/proofload report $(addprefix out/demo/,$(DEMO)) > /dev/null
	@echo ; echo "All of it on one page: out/demo/report.html"
	@echo "That a run does not pass is a finding about its target, and no error of the demo."

test: setup fixtures ## Run the tests: three at a time, then those that measure, each alone
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --durations=15 -m "not quiet" ; together=$$? ; \
	$(BIN)/python -m pytest -q --durations=15 -m quiet ; alone=$$? ; exit $$(( together || alone ))

mutants: setup fixtures ## Change analysis/ and verdict/ by a token, 200 times: do the tests notice? (minutes; goes on where it stopped)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-mutants.txt
	@$(BIN)/python tests/mutation/mutants.py --count 200 --seed 1

selftest: setup fixtures ## Try the lab on itself; writes reports/selftest.md (hours; goes on where it stopped)
	@$(BIN)/proofload selftest --report reports

check: setup ## Lint, format and type gates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests fixtures benchmarks docs observability reference_servers/build_images.py reference_servers/slim_environment.py

format: setup ## Put the code into the house's format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup fixtures ## Ratios against peers, measured in one run (nginx, wrk and hey are used if installed)
	@$(BIN)/python benchmarks/run_all.py

cells: setup fixtures images ## Five scenarios × four servers, in containers and as processes (half an hour; goes on where it stopped)
	@$(BIN)/python benchmarks/runtime_cells.py --report reports/containers.md

images: setup fixtures ## Build the servers' container images and tell their sizes (GPU=1: the one for GPUs, too)
	@DOCKER="$(DOCKER)" DOCKER_BUILD_FLAGS="$(DOCKER_BUILD_FLAGS)" $(BIN)/python reference_servers/build_images.py $(if $(GPU),--gpu)

gpu: setup fixtures ## GPU tests, and CPU against CUDA against TensorRT into reports/gpu.md; without a GPU, says so
	@$(BIN)/python benchmarks/gpu_comparison.py --look || { code=$$? ; [ $$code -eq 3 ] && exit 0 ; exit $$code ; } && \
	  $(MAKE) --no-print-directory $(GPU_STAMP) && \
	  PROOFLOAD_REQUIRE_GPU=1 $(GPU_VENV)/bin/python -m pytest -q -m gpu && \
	  $(GPU_VENV)/bin/python benchmarks/gpu_comparison.py

$(GPU_STAMP): requirements.txt requirements-gpu.txt pyproject.toml
	@echo "installing the GPU set-up into $(GPU_VENV): about 3 GB"
	@$(PYTHON) -m venv $(GPU_VENV)
	@grep -v '^onnxruntime==' requirements.txt | $(GPU_VENV)/bin/python -m pip install --quiet \
	  --disable-pip-version-check --no-deps -r /dev/stdin -r requirements-gpu.txt
	@$(GPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

wheel: setup ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

clean: ## Remove what was built; run folders in out/ stay
	@rm -rf $(VENV) $(GPU_VENV) dist fixtures/build .pytest_cache .mypy_cache .ruff_cache .hypothesis
