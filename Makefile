# `make help` lists the commands. Written for GNU make 3.81 and later, and any POSIX shell.

VENV := .venv
PY := $(VENV)/bin/python
# Holds the folder that the environment was made in: its presence says that the installation was finished.
STAMP := $(VENV)/made-in
PYTHONS := python3 python3.13 python3.12 python3.11 python3.14 python

# Modules of somebody else's project must not shadow ours.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help setup lab fresh test soak bench notebooks format lock clean clean-work

help:
	@echo 'make lab                   open the lessons in JupyterLab (NO_BROWSER=1 only prints the address, PORT=… picks a port)'
	@echo 'make fresh LESSON=05       a new copy of lesson 05 beside your old one'
	@echo 'make setup                 make or renew .venv; lab, test and the others call it'
	@echo 'make test                  verify everything: lint, types, tests, doctests, notebooks'
	@echo 'make soak                  repeat what must be proved by repetition; log in tests/soak.log'
	@echo 'make bench                 the benchmarks: ratios, side by side, from one run'
	@echo 'make notebooks             run the lessons in notebooks/ and save their outputs (LESSON=05: one of them)'
	@echo 'make format                format the code and the notebooks'
	@echo 'make lock                  renew requirements.txt from pyproject.toml (UPGRADE=yes: to the newest versions)'
	@echo 'make clean                 remove all that was made, except your copies in work/'
	@echo 'make clean-work CONFIRM=yes   delete work/ as well'

setup: $(STAMP)
	@$(if $(filter setup,$(MAKECMDGOALS)),echo 'setup: .venv is ready',:)

# Stale when the environment's Python is gone, or when the folder was moved since.
ifneq ($(shell $(PY) -c '' 2>/dev/null && cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): requirements.txt pyproject.toml
	@set -e; \
	if [ -d $(VENV) ] && ! $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setup: the Python of $(VENV) is gone, too old or incomplete; making it anew"; rm -rf $(VENV); \
	elif [ -f $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ]; then \
	    echo "setup: this folder was moved since $(VENV) was made; making it anew"; rm -rf $(VENV); \
	fi; \
	rm -f $(STAMP); \
	if [ ! -d $(VENV) ]; then \
	    for candidate in $(if $(PYTHON),'$(PYTHON)',$(PYTHONS)); do \
	        if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "setup: no Python 3.11 or later found (looked for: $(if $(PYTHON),$(PYTHON),$(PYTHONS)))." >&2; \
	        echo "       Install one (Debian 12, Ubuntu 24.04 or later: sudo apt install python3 python3-venv; macOS: brew install python)," >&2; \
	        echo "       or name one: make setup PYTHON=/path/to/python3.12" >&2; \
	        exit 1; \
	    fi; \
	    echo "setup: making $(VENV) with $$("$$python" -V)"; \
	    if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	        echo "setup: this Python cannot make environments: its module venv or ensurepip is missing." >&2; \
	        echo "       Debian and Ubuntu: sudo apt install python3-venv, then again." >&2; \
	        exit 1; \
	    fi; \
	    "$$python" -m venv $(VENV) || { rm -rf $(VENV); echo "setup: '$$python -m venv $(VENV)' failed (above is why)." >&2; exit 1; }; \
	fi; \
	echo "setup: installing what requirements.txt lists (the first time: a minute or two)"; \
	$(PY) -m pip install -qq --disable-pip-version-check --no-input --only-binary :all: -r requirements.txt || { \
	    echo "setup: the installation failed (above is why). Is there a network? Then run the same command again." >&2; \
	    echo "       'No matching distribution' means that a package has no ready-made wheel for this system or Python;" >&2; \
	    echo "       README.md names the tested ones. Another Python: make clean, then make setup PYTHON=python3.12" >&2; exit 1; }; \
	$(PY) -m pip install -qq --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .; \
	printf '%s' "$(CURDIR)" > $(STAMP); \
	echo "setup: installed"

lab: setup
	@$(PY) -m labkit.classroom lab $(if $(NO_BROWSER)$(filter no none 0 false,$(BROWSER)),--no-browser) $(if $(filter command,$(origin PORT)),--port $(PORT))

fresh: setup
	@test -n "$(LESSON)" || { echo "fresh: which lesson? For example: make fresh LESSON=05" >&2; exit 2; }
	@$(PY) -m labkit.classroom fresh "$(LESSON)"

test: setup
	@$(PY) -m tests

soak: setup
	@mkdir -p build
	@{ $(PY) -u -m tests.soak 2>&1; echo $$? > build/soak.status; } | tee tests/soak.log; exit $$(cat build/soak.status)

bench: setup
	@$(PY) -m bench

notebooks: setup
	@$(PY) -m labkit.classroom save $(LESSON)

format: setup
	@$(PY) -m ruff check -q --fix-only .
	@$(PY) -m ruff format .

lock: setup
	@echo "lock: resolving the ranges of pyproject.toml"
	@$(PY) -m uv pip compile -q --universal --python-version 3.11 --extra dev --no-annotate --no-header $(if $(UPGRADE),--upgrade) -o requirements.txt pyproject.toml
	@echo "lock: requirements.txt is renewed; make setup installs it"

clean:
	@echo "clean: removing .venv, build, dist and caches"
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find . \( -name .git -o -name work \) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +
	@test ! -d work || echo "clean: work/ holds your own copies of the lessons and stays (make clean-work CONFIRM=yes deletes it)"

clean-work:
	@test "$(CONFIRM)" = yes || { echo "clean-work: this deletes your own copies of the lessons, for good. If you mean it: make clean-work CONFIRM=yes" >&2; exit 2; }
	@rm -rf work
	@echo "clean-work: work/ is deleted"
