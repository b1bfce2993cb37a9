# `make` lists what you can do here. Nothing is installed outside .venv, except that the first
# `make test` or `make demo` keeps a layer of Debian packages in /var/cache/slp-reconciler-lab.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help venv ready test test-trixie test-generators check unit mutants layer layer-trixie demo bench shell clean clean-lab root

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.made-from
# Absolute: it goes into boxes, and to processes whose directory is another.
DATA := $(CURDIR)/.coverage-data
MEASURED := COVERAGE_PROCESS_START=$(CURDIR)/tests/coveragerc COVERAGE_FILE=$(DATA)/.coverage
# A test waits for a third of its time, at least, so there are more at once than processors.
WORKERS ?= 4
BOXES ?= 4
# Not empty: `make test` measures what is reached, in boxes too, which takes a fifth longer.
COVERAGE ?=
# Not empty: what takes minutes is done too: a kill at each step of a pass, attacks that hold all of Apache.
THOROUGH ?=
ARGS ?=
AGAIN := --last-failed --last-failed-no-failures none --maxfail 3
export SLP_THOROUGH := $(THOROUGH)
# Each box begins with what is compiled out here: without, a test costs 0.3 s more of a processor.
unexport PYTHONDONTWRITEBYTECODE
# What depends on the versions of Apache, mod_wsgi, Python, systemd and Django, and not on our own code alone.
RELEASED := lab serving live accounts anew classic expected protocol daemon systemd sandboxed_apache readme \
  embedded attacks_mended
# What only a box reaches: a process in its jail, limits of the kernel, systemd. Of the branches of
# all else, as many per cent are to be reached without one.
BOXED := reconciler/observe/jail.py,reconciler/watch/kernel.py,reconciler/publish/unit.py
BRANCHES := 90

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

venv: $(STAMP)  ## make .venv: the program as it stands here, and the tools, at locked versions

# The distribution's Python where it can: mod_wsgi embeds that one, and boxes see it.
$(STAMP): tests/requirements.lock pyproject.toml
	@for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
	  "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
	  python=
	done
	[ -n "$$python" ] || { echo "make: no Python of 3.11 or later with venv here: apt-get install python3-venv" >&2; exit 1; }
	"$$python" -m venv --clear $(VENV)
	$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps -r tests/requirements.lock
	$(PYTHON) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# By itself: a recipe that names $(MAKE) is run by `make -n` too, and all of it.
ready: root
	@$(MAKE) --no-print-directory --jobs=2 check layer  # one waits for the network, mostly

test: ready  ## everything: linters, then all tests, in boxes too (root; COVERAGE=1 measures)
	@rm -rf $(DATA) .coverage && mkdir $(DATA)
	code=0
	tests() { env $(if $(COVERAGE),$(MEASURED)) SLP_REQUIRE_BOX=1 $(PYTHON) -m pytest -m "$$@" $(ARGS); }
	for part in '$(WORKERS) not box' '$(BOXES) box'; do
	  tests "$${part#* }" -n "$${part%% *}" --dist worksteal && continue || status=$$?
	  [ $$status -ne 5 ] || continue  # of this kind ARGS chooses none
	  # Of two processors, three boxes and a real clock a test may have had too little.
	  echo 'make: what failed, once more and by itself; a test that passes now is one to mend'
	  [ $$status -eq 1 ] && tests "$${part#* }" -p no:xdist -rA $(AGAIN) || code=$$status
	done
	[ -n "$(COVERAGE)" ] || exit $$code
	$(VENV)/bin/coverage combine --quiet --rcfile tests/coveragerc --data-file .coverage $(DATA) || true
	$(VENV)/bin/coverage report --rcfile tests/coveragerc --data-file .coverage || [ $$code -ne 0 ] || code=1
	exit $$code

check: $(STAMP)  ## the linters: format, ruff, mypy --strict, the layers of the architecture
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --strict -p reconciler
	$(VENV)/bin/lint-imports

unit: $(STAMP)  ## the tests that need neither root nor a box, and how much of the program they reach
	@rm -rf $(DATA) .coverage && mkdir $(DATA)
	$(MEASURED) $(PYTHON) -m pytest -m 'not box' --ignore tests/box -n $(WORKERS) $(ARGS)
	$(VENV)/bin/coverage combine --quiet --rcfile tests/coveragerc --data-file .coverage $(DATA)
	$(VENV)/bin/coverage report --rcfile tests/coveragerc --data-file .coverage --omit '$(BOXED)'
	[ -z "$(ARGS)" ] || exit 0  # a choice of tests is no measure
	$(VENV)/bin/coverage json -q --rcfile tests/coveragerc --data-file .coverage --omit '$(BOXED)' -o - |
	$(PYTHON) -c 'import json, sys
	found = json.load(sys.stdin)["totals"]["percent_branches_covered"]
	sys.exit(f"{found:.1f} % of branches; it should be at least $(BRANCHES)" if found < $(BRANCHES) else 0)'

mutants: $(STAMP)  ## mutation testing: a change of the code that no test fails for (ARGS="decide/plan.py")
	@$(PYTHON) -m tests.mutants $(ARGS)

layer: root
	@tests/lab/layer >/dev/null

layer-trixie: root $(STAMP)
	@SLP_BOX_SUITE=trixie tests/lab/layer >/dev/null

# No part of `test`: half an hour, and the first time a Debian mirror and pip's index.
test-trixie: root $(STAMP) layer-trixie  ## unit tests and a choice of box tests with the packages of Debian 13 (root)
	@export SLP_BOX_SUITE=trixie SLP_REQUIRE_BOX=1
	tests/lab/box -- dpkg-query -W apache2 libapache2-mod-wsgi-py3 python3 python3-django systemd
	[ -n "$(ARGS)" ] || tests/lab/box -- /opt/slp-lab/bin/python -m pytest -m 'not box' -n $(WORKERS) -p no:cacheprovider tests/unit
	$(PYTHON) -m pytest -m box -n $(BOXES) --dist worksteal $(or $(ARGS),$(RELEASED:%=tests/box/test_%.py))

# No part of `test`: some minutes for virtualenvs by pip, and the first time pip's index.
test-generators: root $(STAMP) layer  ## projects as each Django, Wagtail, ... make them, with packages from pip (root)
	@export SLP_REQUIRE_BOX=1 SLP_WHEELS="$$(tests/lab/wheels)"
	$(PYTHON) -m pytest -p no:xdist $(or $(ARGS),tests/box/test_generators.py)

demo: root $(STAMP) layer  ## a class of students, live, on http://127.0.0.1:8080 (root; KEEP=1 lets it run on)
	@KEEP= tests/lab/box --host-net -- $(CURDIR)/$(PYTHON) -m tests.lab.demo stable
	tests/lab/box --systemd --host-net -- $(CURDIR)/$(PYTHON) -m tests.lab.demo isolated

bench: root $(STAMP) layer  ## ours beside rivals and floors, in boxes (root; ARGS="scan --quick")
	@$(PYTHON) -m tests.bench $(ARGS)

shell: root $(STAMP) layer  ## a shell on a disposable machine with Apache and Django (root)
	@tests/lab/box -- bash -i

clean:  ## remove .venv and what the tools left in the repository
	rm -rf $(VENV) .coverage .coverage-data .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

clean-lab: root  ## remove the layers of Debian packages that boxes lie on (root)
	rm -rf "$${SLP_LAB_CACHE:-/var/cache/slp-reconciler-lab}"

root:
	@[ "$$(id -u)" = 0 ] || { echo "make: this needs root, for disposable machines: sudo make $(MAKECMDGOALS) (or, without: make check unit)" >&2; exit 1; }
