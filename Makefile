# CI runs these targets. PYTHON selects the interpreter, VENV its environment.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help install lint test test-slow test-all test-install demo docs notebooks bench clean
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# The file .installed is newer than pyproject.toml and setup.py if the environment is up to date.
$(VENV)/.installed: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[serve,test]'
	touch $@

install: $(VENV)/.installed  ## create .venv and install the project with the extras serve and test

lint: install  ## check the code with ruff and the types of the public modules with mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0
test: lint  ## lint and run the tests except the slow ones (about 10 minutes on 2 cores, no network)
	$(PYTEST) -m "not slow"

test-slow: install  ## run the slow tests: trainings to convergence, exports, crash recovery (about 9 minutes)
	$(PYTEST) -m slow

test-all:  ## run the tests on each supported Python version that is installed
	@for version in 3.11 3.12 3.13; do \
	  if command -v python$$version >/dev/null 2>&1 && python$$version --version >/dev/null 2>&1; then \
	    echo "== Python $$version"; $(MAKE) test test-slow PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "== Python $$version is not installed"; fi; done

test-install: install  ## install the wheel and the packages of the Dockerfile in fresh environments (downloads packages)
	NIKE_TEST_INSTALL=1 $(BIN)/python -m pytest tests/test_wheel.py tests/test_docker.py

# The bundled weights were not trained on the bolt logo. AP and overlays are computed on held-out images.
DEMO = output/demo
BOLTS = --logo docs/images/bolt.svg --label bolt --size 512x512 --workers 2
demo: install  ## train on synthetic images of a new logo, with AP and overlays before and after (about 4 minutes on 2 cores)
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/nike synthesize --output $(DEMO)/data/train --count 64 --seed 1 $(BOLTS)
	$(BIN)/nike synthesize --output $(DEMO)/data/val --count 12 --seed 2 $(BOLTS)
	$(BIN)/nike evaluate --weights nike --dataset $(DEMO)/data --labels bolt=nike > $(DEMO)/before.txt
	$(BIN)/nike detect $(DEMO)/data/val --weights nike --output $(DEMO)/before
	$(BIN)/nike train --weights nike --dataset $(DEMO)/data --layers heads --image-size 384 --batch 4 --epochs 4 --lr 4e-4 --warmup 10 --validate-every 2 --logs $(DEMO)/logs
	$(BIN)/nike evaluate --weights last --logs $(DEMO)/logs --dataset $(DEMO)/data > $(DEMO)/after.txt
	$(BIN)/nike detect $(DEMO)/data/val --weights last --logs $(DEMO)/logs --output $(DEMO)/after
	@for run in before after; do echo "== $$run"; grep -E '^ +AP |^mask +[0-9]|^At score|^False' $(DEMO)/$$run.txt; done
	@echo "Overlays: $(DEMO)/before/overlay and $(DEMO)/after/overlay"

docs: install  ## build the documentation site into site/ and check its links
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html"

# This does not change the notebooks. `notebooks/run.py --save` stores their outputs.
notebooks: install  ## run all notebooks from top to bottom (under 20 minutes on 2 cores)
	$(BIN)/python -m pip install --quiet -e '.[notebooks]'
	$(BIN)/python notebooks/run.py

bench: install  ## measure speed and memory of detection and training on this machine
	$(BIN)/python -m mrcnn.benchmark
	$(BIN)/python -m nike.detection.runtimes

clean:  ## remove the files created by the other targets
	rm -rf .venv .venv-* build dist site $(DEMO) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
