# Everything starts with one of these; `make help` lists them.
# `make PYTHON=python3.13 ...` chooses the interpreter that .venv is made from.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint lab bench constraints clean

BIN := .venv/bin
READY := .venv/.ready

help:  ## list these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(READY)  ## prepare data, train, evaluate and export the Donut line (about 8 minutes)
	@$(BIN)/sightbook demo donut

# Notebooks go first: they take longest. They stay in their order: evaluation follows training.
# What they make stays away from your own runs.
test: $(READY)  ## unit tests, and every notebook executed
	@rm -rf outputs/.tests
	@SIGHTBOOK_OUTPUTS=outputs/.tests OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
		--nbval-lax notebooks tests -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## style of code and notebooks, types, notebooks without outputs
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify notebooks/*.ipynb

lab: $(READY)  ## JupyterLab at the first notebook
	@$(BIN)/jupyter lab notebooks/00_start_here.ipynb

bench: $(READY)  ## side-by-side measurements (slow; numbers depend on the machine)
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

constraints: $(READY)  ## write what is installed now into constraints.txt
	@$(BIN)/python -c 'from importlib.metadata import distributions as found; \
	print(*sorted({f"{x.name.lower().replace(chr(95), chr(45))}=={x.version.split(chr(43))[0]}" \
	for x in found() if x.name.lower() not in ("sightbook", "pip", "wheel")}), sep="\n")' \
	> .constraints.new
	@mv .constraints.new constraints.txt

clean:  ## remove the environment and tool caches (not your runs)
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis outputs/.tests

# The stamp is newer than both files once everything is installed, so the next call is instant.
$(READY): pyproject.toml constraints.txt
	@echo "setting up .venv: some gigabytes to fetch the first time"
	@set -e; \
	if command -v uv > /dev/null; then \
		test -x $(BIN)/python || uv venv --quiet --python '>=3.11' .venv; \
		uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
		for python in $(PYTHON) python3 python3.13 python3.12 python3.11 none; do \
			$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null && break; \
		done; \
		test $$python != none || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }; \
		test -x $(BIN)/python || $$python -m venv .venv \
			|| { echo "no venv module: apt install python3-venv, or install uv"; exit 1; }; \
		$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip; \
		$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@
