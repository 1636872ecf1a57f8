# The course in a few commands. `make` alone lists them.

PYTHON ?= python3
PORT ?= 8888
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := $(VENV)/.compiled
UV_VERSION := 0.13.9
JUPYTER_FLAGS := --port=$(PORT) --ServerApp.root_dir="$(CURDIR)" $(if $(filter 0,$(shell id -u)),--allow-root)

# Notebooks run in their own folder, so a relative path must not depend on where it is read.
ifdef ATTNPRUNE_DATA
export ATTNPRUNE_DATA := $(shell test -f "$$ATTNPRUNE_DATA" && echo "$$(cd "$$(dirname "$$ATTNPRUNE_DATA")" && pwd)/$$(basename "$$ATTNPRUNE_DATA")" || echo "$$ATTNPRUNE_DATA")
endif

# A process for each core, and one thread in each process: threads of two processes wait for each other. One process more for
# the tests that often wait, for a page or for another process. A notebook's cells stay together, and so do the tests that need
# the same lesson in the browser.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q
ONE_MORE = $(shell $(BIN)/python -c "import psutil; print((psutil.cpu_count(logical=False) or 1) + 1)")

.DEFAULT_GOAL := help
.PHONY: help lab demo test zoo mutants data notebooks checkpoints bench lock clean

help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

# uv installs in a tenth of pip's time. It does not read pip's settings, so find-links and index-url are handed over.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python 3.10 or later is needed; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) \
		|| { echo "Python's venv module is missing; on Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@setting() { $(BIN)/pip config get "global.$$1" 2>/dev/null || true; }; \
	export UV_FIND_LINKS="$${UV_FIND_LINKS-$${PIP_FIND_LINKS-$$(setting find-links)}}"; \
	export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX-$${PIP_INDEX_URL-$$(setting index-url)}}"; \
	test -n "$$UV_FIND_LINKS" || unset UV_FIND_LINKS; \
	test -n "$$UV_DEFAULT_INDEX" || unset UV_DEFAULT_INDEX; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --link-mode=copy -r requirements.lock --editable .
	@$(BIN)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements >/dev/null 2>&1 || true
	@touch $@

# The tests start a hundred processes, each of which would compile torch's Python files anew where no byte code may be written.
$(COMPILED): $(READY)
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true # some packages carry files that no Python compiles
	@touch $@

lab: $(READY) ## set everything up and open lesson 00 in JupyterLab (PORT=8888)
	$(BIN)/jupyter lab $(JUPYTER_FLAGS) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

demo: $(READY) ## run lesson 00 without a browser and leave it as one HTML page
	$(BIN)/python tools/notebooks.py --html build 00_start_here
	@echo "The lesson, run on this machine: build/00_start_here.html"

test: $(COMPILED) ## set everything up and run every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -n $(ONE_MORE) --dist loadgroup
	ATTNPRUNE_DATA=shapes $(PYTEST) -n auto --dist loadfile -p no:cacheprovider --nbval-lax --nbval-cell-timeout=300 notebooks

zoo: $(READY) ## cut every classification network of torchvision and compare, in ONNX Runtime as well
	$(PYTEST) -m zoo tests/pruning/test_zoo.py

SAMPLE ?= 20
mutants: $(READY) ## break a module in small ways to see whether its tests notice (ONLY=file SAMPLE=20)
	@$(BIN)/python -c "import mutmut" 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check 'attnprune-edu[mutants]'
	OMP_NUM_THREADS=1 $(BIN)/python tools/mutants.py --sample $(SAMPLE) $(ONLY)

data: $(READY) ## download CIFAR-10 (170 MB), resuming where an earlier try broke off
	$(BIN)/attnprune-edu data

notebooks: $(READY) ## write every notebook from its lesson and run it (on the data that ATTNPRUNE_DATA names)
	$(BIN)/python tools/notebooks.py --execute

checkpoints: $(READY) ## train the networks that ship with the package again
	$(BIN)/python benchmarks/train_checkpoints.py

bench: $(READY) ## measure the training loop against a DataLoader and against the network alone
	$(BIN)/python benchmarks/train_throughput.py

# nvidia-*, cuda-* and triton come with torch where its build needs them; locked, they would reach CPU builds as well.
lock: $(READY) ## resolve the newest versions that fit pyproject.toml and constraints.txt into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra lab --extra test --constraint constraints.txt --universal \
		--python-version 3.10 --upgrade --no-annotate --no-header --quiet | grep -vE '^(nvidia-|cuda-|triton==)' > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
