# Two commands on a machine with Python, make and pip: `make sweep` and `make test`.
# Both make the environment `.venv` with exactly the packages of constraints.txt.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SWEEP_ARGUMENTS ?= --model cnn --trials 50

.PHONY: sweep test check soak measure clean

sweep: $(VENV)/.installed
	$(BIN)/sweep run $(SWEEP_ARGUMENTS)

test: $(VENV)/.installed-for-tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder

check: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/.installed-for-tests
	SWEEP_SOAK=soak.log $(BIN)/python -m pytest tests/acceptance/test_soak.py -n 2
	cat soak.log

measure: $(VENV)/.installed-for-tests
	PYTHONPATH=.:tests $(BIN)/python tests/measure/claims.py --sampler none

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/.made: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) setuptools
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml
	$(INSTALL) --no-build-isolation -e '.[export]'
	touch $@

$(VENV)/.installed-for-tests: $(VENV)/.made pyproject.toml
	$(INSTALL) --no-build-isolation -e '.[test]'
	touch $@ $(VENV)/.installed
