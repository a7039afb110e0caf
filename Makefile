# Each target works on a fresh machine with Python 3.11 or newer.
#   make report               the mini study, ends with results/report.html, a copy of results/mini/report.html
#   make report STUDY=smoke   the same in minutes
#   make demo                 trains nothing: a released model paints what sounds into a clip, with a page to play with
#   make restore              fetch results with DVC instead of making them (docs/artifacts.md)
#   make test                 the tests in minutes; changes nothing outside this folder and the temporary one
#   make test-cluster         those that need a real Slurm: says what it installs and writes as root, and asks (or YES=1)
#   make test-all             both, and the long ones
#   make faults N=20          injects every class of fault, most of them N times (docs/reliability.md)
#   make bench-gpu            what a GPU does here: agreement, speed, resuming; at most 8 minutes, needs no data
#   make lint, bench, lock, clean
PYTHON ?= python3
STUDY ?= mini
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

BIN := .venv/bin
PY := $(BIN)/python -m
PIP := $(PY) pip --quiet --disable-pip-version-check
READY := .venv/.ready
OVERLAY := $(if $(filter mini,$(STUDY)),,--configfile studies/$(STUDY).yaml)
SNAKEMAKE := $(PY) snakemake --cores $(CORES) $(OVERLAY)

# What snakemake --lint may say: docs/architecture.md answers it.
ANSWERED := Specify a conda|Mixed rules and functions|variable (SOUNDPROMPT|SETTINGS)

.PHONY: env report demo restore test test-cluster test-all faults lint bench bench-gpu lock clean

report: $(READY)
	$(SNAKEMAKE) --logger soundprompt -- all
	@$(PY) soundprompt headline --study $(STUDY)

# The clip is of the model's world, but of no study's data.
demo: $(READY)
	$(PY) soundprompt world --part scenes --study demo
	clip=$$(echo data/demo/avsbench/scenes/*) && $(PY) soundprompt predict $$clip/frames --audio $$clip/audio.wav \
	  --model demo/gavs-v1m --out results/demo/heard.mp4 --page results/demo/heard.html

# Files that DVC has verified are as good as made here: Snakemake is told so, and finds nothing to do.
TARGET ?=
restore: $(READY)
	$(PY) dvc pull $(TARGET)
	$(PY) dvc status --quiet $(TARGET) || { $(PY) dvc status $(TARGET); exit 1; }
	$(SNAKEMAKE) --quiet all --touch -- $(or $(TARGET),all)
	$(SNAKEMAKE) --quiet all -- $(or $(TARGET),all)

# Each whole run of the pipeline stays on one of the two workers (tests/conftest.py).
PYTEST := $(PY) pytest -n 2 --dist loadgroup --no-loadscope-reorder --durations 15

test: $(READY)
	$(PYTEST) -m "not slow and not cluster"

test-cluster: $(READY)
	$(BIN)/python tests/cluster/slurm.py ask
	YES=1 $(PYTEST) tests/cluster

test-all: $(READY)
	$(BIN)/python tests/cluster/slurm.py ask
	YES=1 $(PYTEST)

# Most faults are tried N times; kills of stages, which take seconds, N / 2 times each.
N ?= 20
faults: $(READY)
	FAULTS_N=$(N) $(PY) pytest -q -p no:xdist $(shell $(PYTHON) tests/faults/classes.py)

lint: $(READY)
	$(PY) ruff check .
	$(PY) ruff format --check .
	$(PY) snakefmt --check Snakefile workflow
	! $(PY) snakemake --lint 2>&1 | grep '^    \*' | grep -vE '$(ANSWERED)'
	$(PY) mypy

bench: $(READY)
	for script in $(filter-out %/gpu_check.py,$(wildcard benchmarks/*.py)); do $(BIN)/python $$script || exit 1; done

bench-gpu: $(READY)
	$(BIN)/python benchmarks/gpu_check.py

env: $(READY)

# The marker is touched last, so an interrupted installation is done again.
$(READY): requirements.lock requirements-torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "soundprompt needs Python 3.11 or newer: make PYTHON=python3.11 report")'
	$(PYTHON) -m venv .venv
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install -r requirements-torch.txt
	$(PIP) install --no-deps -e .
	$(PIP) check
	@touch $@

# Pins stay as they are unless pyproject.toml, or UPGRADE=--upgrade, asks for others. Needs uv, which reads all hashes of
# a release from the index.
lock:
	uv pip compile --quiet $(UPGRADE) pyproject.toml --output-file requirements.lock

# data/downloads stays: some of it was applied for, or took a night to fetch.
clean:
	rm -rf $(filter-out data/downloads,$(wildcard data/*)) weights features runs results logs .snakemake
