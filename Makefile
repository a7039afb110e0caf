# Each target works on a fresh machine with Python 3.11 or newer.
#   make report               the mini study, ends with results/report.html, a copy of results/mini/report.html
#   make report STUDY=smoke   the same in minutes
#   make restore              fetch results with DVC instead of making them (docs/artifacts.md)
#   make test, lint, bench, clean
PYTHON ?= python3
STUDY ?= mini
CORES ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

BIN := .venv/bin
PY := $(BIN)/python -m
READY := .venv/.ready
OVERLAY := $(if $(filter mini,$(STUDY)),,--configfile studies/$(STUDY).yaml)
SNAKEMAKE := $(PY) snakemake --cores $(CORES) $(OVERLAY)

# What snakemake --lint may say: docs/architecture.md answers it.
ANSWERED := Specify a conda|Mixed rules and functions|variable SOUNDPROMPT

.PHONY: env report restore test lint bench clean

report: $(READY)
	$(SNAKEMAKE) --logger soundprompt -- all
	@$(PY) soundprompt headline --study $(STUDY)

# Files that DVC has verified are as good as made here: Snakemake is told so, and finds nothing to do.
TARGET ?=
restore: $(READY)
	$(PY) dvc pull $(TARGET)
	$(PY) dvc status --quiet $(TARGET) || { $(PY) dvc status $(TARGET); exit 1; }
	$(SNAKEMAKE) --quiet all --touch -- $(or $(TARGET),all)
	$(SNAKEMAKE) --quiet all -- $(or $(TARGET),all)

test: $(READY)
	$(PY) pytest -n 2 --dist loadgroup --no-loadscope-reorder

lint: $(READY)
	$(PY) ruff check .
	$(PY) ruff format --check .
	$(PY) snakefmt --check Snakefile workflow
	! $(PY) snakemake --lint 2>&1 | grep '^    \*' | grep -vE '$(ANSWERED)'

bench: $(READY)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

env: $(READY)

# The marker is touched last, so an interrupted installation is done again.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "soundprompt needs Python 3.11 or newer: make PYTHON=python3.11 report")'
	$(PYTHON) -m venv .venv
	$(PY) pip install --quiet --disable-pip-version-check -r requirements.lock
	$(PY) pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# data/downloads stays: some of it was applied for, or took a night to fetch.
clean:
	rm -rf $(filter-out data/downloads,$(wildcard data/*)) weights features runs results logs .snakemake
