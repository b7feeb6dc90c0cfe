# Two commands are all that a newcomer needs:
#
#   make demo                 a simulated building catches fire; KEEP=1 leaves it running,
#                             RECORDING=FILE.csv.gz plays a recorded fire
#   make test                 lint and every test, in at most 10 minutes on two cores
#
#   make evaluate DATA=DIR    recordings scored against a fixed detector; SITE=FILE, REPORT=DIR
#
# The others: bench, fuzz, crash, lint, kernel, lock, clean. Everything Python lives in .venv; a repeated
# run installs nothing. PYTHON=... chooses an interpreter, otherwise the newest suitable is taken.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Brokers and systemd tools live in sbin, which is not on a user's path on Debian.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL := $(PY) -m pip install -qq --only-binary :all: --require-hashes

# A moved clone and an upgraded system Python both leave a .venv that is no longer usable.
USABLE := $(shell test "$$(cat $(VENV)/.made-place 2>/dev/null || pwd)" = "$$(pwd)" \
            && $(PY) -c 'import pip, sys; print(sys.version_info >= (3, 11))' 2>/dev/null)
ifneq ($(USABLE),True)
REMAKE := FORCE
endif

.PHONY: help demo test bench crash evaluate fuzz lint lock kernel clean runtime dev built-kernel test-tools FORCE

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

demo: runtime
	$(PY) -m agent.cli.main demo $(if $(KEEP),--keep) $(if $(RECORDING),--recording '$(RECORDING)')

test: test-tools dev lint
	$(PY) -m pytest -n 2 --dist loadfile

# What takes longer than a test may: many more examples of every property.
fuzz: dev
	$(PY) -m pytest -m hypothesis --hypothesis-profile=fuzz --timeout=3600

# The record's disk loses power 500 times, its process is killed 1,000 times, every call fails in turn.
crash: dev
	CRASH_SUITE=whole $(PY) -m pytest -s tests/crash --timeout=7200

bench: test-tools runtime
	PYTHONPATH=tests $(PY) -m bench.run

evaluate: runtime
	@scripts/evaluate-data '$(DATA)' '$(or $(REPORT),build/evaluation)' $(if $(SITE),'$(SITE)')

lint: dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

# --- installation into .venv --------------------------------------------------------------

runtime: $(VENV)/.made-runtime $(VENV)/.made-project built-kernel
dev: runtime $(VENV)/.made-dev

$(VENV)/.made-place: $(REMAKE)
	@if [ "$(USABLE)" != True ]; then python=$$(scripts/find-python); \
	  echo "making $(VENV) with $$python"; rm -rf $(VENV); "$$python" -m venv $(VENV); fi
	@pwd > $@

$(VENV)/.made-runtime: requirements.lock $(VENV)/.made-place
	@echo "installing requirements.lock into $(VENV)"
	@$(PIP_INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.made-dev: requirements-dev.lock $(VENV)/.made-runtime
	@echo "installing requirements-dev.lock into $(VENV)"
	@$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@

# The product itself: nothing of it comes from outside, so there is no hash to check.
$(VENV)/.made-project: pyproject.toml $(VENV)/.made-runtime
	@$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

# Without a C compiler, or the headers of Python, the gateway runs on its cached or plain kernel.
built-kernel: $(VENV)/.made-project
	@scripts/build-kernel $(VENV)

kernel: $(VENV)/.made-project
	@rm -f $(VENV)/.made-kernel
	@scripts/build-kernel $(VENV)

# Programs that the tests run against: a real broker, pseudo-terminals, an independent master.
test-tools:
	@scripts/test-tools

# --- upkeep -------------------------------------------------------------------------------

# Both locks, from pyproject.toml. pip-tools stays out of them, in an environment of its own.
LOCK_VENV := build/lock-venv
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(LOCK_VENV)/bin/pip-compile --quiet --upgrade \
  --allow-unsafe --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links \
  --no-emit-trusted-host --no-emit-options
lock:
	@python=$$(scripts/find-python) && "$$python" -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/pip install --quiet 'pip-tools>=7.5'
	@$(LOCK_VENV)/bin/python scripts/dev_requirements.py > build/requirements-dev.in
	$(LOCK) --output-file requirements-dev.lock pyproject.toml build/requirements-dev.in
	$(LOCK) --output-file requirements.lock --constraint requirements-dev.lock pyproject.toml
	@$(LOCK_VENV)/bin/python scripts/clean_lock.py requirements.lock requirements-dev.lock

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  demo-state embergate-state .bench ./*.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
