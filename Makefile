# Everything that CI runs can be typed here. PYTHON picks the interpreter; each version gets its own environment.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help install lint test test-all demo docs notebooks bench clean
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# The stamp is newer than setup.py exactly when the environment matches it.
$(VENV)/.installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

install: $(VENV)/.installed  ## create .venv and install the project with its test extra

lint: install  ## ruff
	$(BIN)/ruff check .

test: lint  ## lint and all tests (under 10 minutes on 2 cores, no network)
	$(BIN)/python -m pytest

test-all:  ## the tests on each supported Python that is installed
	@for version in 3.11 3.12 3.13; do \
	  if command -v python$$version >/dev/null 2>&1 && python$$version --version >/dev/null 2>&1; then \
	    echo "== Python $$version"; $(MAKE) test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "== Python $$version is not installed"; fi; done

# Measured and drawn on the held-out images only. The last checkpoint is taken, not the best one of these images.
demo: install  ## fine-tune the bundled weights on the sample images; AP and overlays of the held-out ones before and after
	mkdir -p output/demo
	$(BIN)/nike evaluate --weights nike > output/demo/before.txt
	$(BIN)/nike detect nike/sample_data/val --weights nike --output output/demo/before
	$(BIN)/nike train --weights nike --epochs 6 --lr 4e-5 --warmup 10 --logs logs/demo
	$(BIN)/nike evaluate --weights last --logs logs/demo > output/demo/after.txt
	$(BIN)/nike detect nike/sample_data/val --weights last --logs logs/demo --output output/demo/after
	@for run in before after; do echo "== $$run"; grep -E '^ +AP |^mask +[0-9]|^At score|^False' output/demo/$$run.txt; done
	@echo "Overlays: output/demo/before/overlay and output/demo/after/overlay"

docs: install  ## build the documentation site into site/, links checked
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html"

# Their own extra, in the same environment; nothing is stored: `notebooks/run.py --save` does that.
notebooks: install  ## run all notebooks from top to bottom (under 20 minutes on 2 cores)
	$(BIN)/python -m pip install --quiet -e '.[notebooks]'
	$(BIN)/python notebooks/run.py

bench: install  ## speed and memory of detection and training on this machine
	$(BIN)/python -m mrcnn.benchmark

clean:  ## remove what the other targets made
	rm -rf .venv .venv-* build dist site *.egg-info .pytest_cache .ruff_cache .hypothesis
