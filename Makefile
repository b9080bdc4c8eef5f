# Two commands on a machine with Python, make and pip: `make sweep` and `make test`.
# Both make the environment `.venv` with exactly the files whose hashes stand in constraints*.txt.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Nothing is built in isolation, where pip would take what builds it without a hash: the project is
# built with setuptools of constraints.txt, the tests' packages with those of constraints-build.txt.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	--no-build-isolation
SWEEP_ARGUMENTS ?= --model cnn --trials 50
# Of tests, two a core: many wait for a lease, a server or a browser.
PROCESSES ?= $$($(BIN)/python -c 'import os; print(min(8, 2 * (os.cpu_count() or 1)))')

.PHONY: sweep test check docs package soak bench lock clean

sweep: $(VENV)/.installed
	$(BIN)/sweep run $(SWEEP_ARGUMENTS)

test: $(VENV)/.installed-for-tests
	$(BIN)/python -m pytest --processes $(PROCESSES)

check: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Into site/; a link that leads nowhere fails it.
docs: $(VENV)/.installed-for-docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees docs site

package: $(VENV)/.installed
	$(BIN)/python deploy/package.py

soak: $(VENV)/.installed-for-tests
	SWEEP_SOAK=soak.log $(BIN)/python -m pytest tests/acceptance/test_soak.py
	cat soak.log

# Tables of ratios, each measured side by side in one run; the head of each program tells of more.
bench: $(VENV)/.installed-for-tests
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/throughput.py --events 64 --rounds 5 cnn mlp
	PYTHONPATH=.:tests $(BIN)/python benchmarks/overhead.py --begun 100,1000 --claims 10
	$(BIN)/python benchmarks/scaling.py
	rm -rf build/peers
	$(BIN)/python benchmarks/peers.py --quick --out build/peers

clean:
	rm -rf $(VENV) build site *.egg-info

lock: $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target build/uv uv
	PYTHONPATH=build/uv $(BIN)/python deploy/lock.py $(LOCK_ARGUMENTS)

# A PyTorch without CUDA where pip's settings lead to one, such as
# PIP_FIND_LINKS=https://download.pytorch.org/whl/cpu/torch/; PyPI's needs CUDA's packages on Linux.
$(VENV)/.made: constraints.txt constraints-cuda.txt constraints-cpu.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("python: \
	has no pinned packages, got " + sys.version.split()[0] + ", expected 3.11 to 3.14; name \
	another one: make PYTHON=python3.14")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes -r constraints-cpu.txt 2>/dev/null \
		|| $(INSTALL) --require-hashes -r constraints-cuda.txt
	$(INSTALL) --require-hashes -r constraints.txt
	touch $@

# Compiled like all that pip installs, also where Python is told to write no bytecode itself.
$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(INSTALL) -e .
	$(BIN)/python -m compileall -q models storage sweep
	touch $@

$(VENV)/.installed-for-docs: $(VENV)/.installed constraints-docs.txt
	$(INSTALL) --require-hashes -r constraints-docs.txt
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed-for-docs constraints-test.txt \
		constraints-build.txt
	$(INSTALL) --require-hashes -r constraints-build.txt
	$(INSTALL) --require-hashes -r constraints-test.txt
	touch $@
