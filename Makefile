# The course from one command. `make` alone lists the targets.
# Every target re-uses the virtual environment that an earlier one made; it is brought up to date when pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
# options of every `pip install`, and more for torch alone, e.g. TORCH_ARGS="--index-url ..." for a build without CUDA
PIP_ARGS ?=
TORCH_ARGS ?=
# APT=no: set-up installs no package of the system, also where root could
APT ?= yes
PYTEST_ARGS ?=
# what `make lab` hands on to JupyterLab, e.g. LAB_ARGS="--no-browser --port 8889"
LAB_ARGS ?=
LAB ?=
# what `make grade` hands on, e.g. GRADE_ARGS="--workers 4 --time-limit 900"; see `python -m grading autograde --help`
GRADE_ARGS ?=
FORMAT ?= csv
ZIP ?=
# Moodle's grading worksheet for `make collect`: who each participant is, and when they handed in
WORKSHEET ?=

# on a terminal pip shows what it downloads
QUIET := $(shell test -t 2 || echo --quiet)
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/.ready
SHELL := /bin/sh

# nbgrader calls alembic by name, so the environment's programs come first
export PATH := $(BIN):$(PATH)
# the networks here are small: on a busy machine a second thread costs several times what it gives
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# torch and torchvision fit each other only in pairs, so one command chooses both, before anything else can choose one of them
TORCH := 'torch>=2.6,<3' 'torchvision>=0.21,<1'
# its metadata asks for a torch that no current Python can install, hence --no-deps; what it needs is in pyproject.toml
AUTO_LIRPA := 'auto-LiRPA>=0.3,<1'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup test test-all coverage lint demo lab build release student grade feedback report export collect formgrader doctor clean

help: ## list the targets
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-14s%s\n", $$1, $$2}'

setup: $(READY) ## make .venv and install the course and what it needs

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "set-up: '$(PYTHON)' was not found. Install Python 3.11 or later (Debian: apt install python3 python3-venv)," >&2; \
	  echo "        or name one: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "set-up: $$($(PYTHON) --version) is too old; the course needs Python 3.11 or later." >&2; \
	  echo "        Name a later one: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "set-up: $(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "set-up: everything goes into $(VENV) and is removed with it."
	@test "$$(uname -s)-$$(uname -m)" != Linux-x86_64 || test -n "$(TORCH_ARGS)" || { \
	  echo "        To download: about 3.6 GB, of which torch with CUDA is 3.3; on disk 6.5 GB. Nothing here uses CUDA;"; \
	  echo "        README.md, 'A smaller set-up', says how to install torch without it."; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "set-up 1/6: making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VENV); }
	@echo "set-up 2/6: torch and torchvision (the largest part: some minutes the first time)"
	@$(BIN)/python -m pip install $(QUIET) $(PIP_ARGS) $(TORCH_ARGS) $(TORCH)
	@echo "set-up 3/6: the course with JupyterLab, nbgrader and the test tools (about 0.3 GB)"
	@$(BIN)/python -m pip install $(QUIET) $(PIP_ARGS) --editable '.[all,dev]'
	@echo "set-up 4/6: auto-LiRPA, without the old torch that its metadata asks for"
	@$(BIN)/python -m pip install $(QUIET) $(PIP_ARGS) --no-deps $(AUTO_LIRPA)
	@echo "set-up 5/6: filling the caches that a first use would wait for (about a minute)"
	@$(BIN)/python -m course_utils.warm_up
	@# nbgrader's assignment list wants an exchange folder that a student's machine does not have
	@$(BIN)/jupyter labextension disable --level=sys_prefix @jupyter/nbgrader:assignment-list 2>/dev/null
	@if command -v bwrap >/dev/null; then echo "set-up 6/6: bubblewrap, the sandbox of grading, is here"; \
	elif test "$(APT)" = yes && test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
	  echo "set-up 6/6: apt-get install bubblewrap, the sandbox of grading (APT=no leaves it out)"; \
	  apt-get install -y bubblewrap || { apt-get update && apt-get install -y bubblewrap; } || true; \
	else echo "set-up 6/6: bubblewrap, the sandbox of grading, is not installed here"; fi
	@command -v bwrap >/dev/null || { echo "        All but the grading of others' work does without it. To add it:"; \
	  echo "        apt install bubblewrap (as root; Fedora: dnf install bubblewrap)"; }
	@touch $(READY)
	@echo "set-up done: $(VENV)"

test: $(READY) ## run the tests that take less than five seconds each, in some minutes
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not slow' $(PYTEST_ARGS)

test-all: $(READY) ## run all tests, also those that grade whole labs
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

coverage: $(READY) ## run the tests of `make test`, and report which lines ran in build/coverage/index.html
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not slow' --cov --cov-report=term:skip-covered --cov-report=html $(PYTEST_ARGS)

lint: $(READY) ## ruff's rules and format, and mypy on all that is not a test or a lab
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

demo: $(READY) ## train, verify, draw, release lab 1 and grade two submissions, in under three minutes
	@$(BIN)/python -m grading demo

lab: $(READY) ## release the labs, copy each once to work/ and open JupyterLab there
	@$(BIN)/python -m grading release --quick
	@$(BIN)/python -m grading work
	@$(BIN)/python -m course_utils.lab work $(LAB_ARGS)

build: $(READY) ## build each lab's notebook from its text source
	@$(BIN)/python -m grading build

release: $(READY) ## make the students' version of every lab, or of LAB=...
	@$(BIN)/python -m grading release $(LAB)

student: $(READY) ## make the archive that students receive, dist/nn-verification-course-student.zip
	@$(BIN)/python -m grading release --quick
	@$(BIN)/python -m grading student

grade: $(READY) ## autograde the submissions of LAB=..., found in gradebook/submitted/STUDENT/LAB/
	@test -n "$(LAB)" || { echo "make grade: which lab? e.g. make grade LAB=lab1_circle" >&2; exit 2; }
	@$(BIN)/python -m grading autograde $(LAB) $(GRADE_ARGS)

feedback: $(READY) ## write the feedback pages of LAB=... to gradebook/feedback/STUDENT/LAB/
	@test -n "$(LAB)" || { echo "make feedback: which lab? e.g. make feedback LAB=lab1_circle" >&2; exit 2; }
	@$(BIN)/python -m grading feedback $(LAB)

report: $(READY) ## write a page on the points of LAB=... to gradebook/reports/
	@test -n "$(LAB)" || { echo "make report: which lab? e.g. make report LAB=lab1_circle" >&2; exit 2; }
	@$(BIN)/python -m grading report $(LAB)

export: $(READY) ## write the points of LAB=... for FORMAT=csv, canvas or moodle to gradebook/exports/
	@test -n "$(LAB)" || { echo "make export: which lab? e.g. make export LAB=lab1_circle" >&2; exit 2; }
	@$(BIN)/python -m grading export $(LAB) --format $(FORMAT)

collect: $(READY) ## unpack ZIP=..., a download of Moodle or Canvas, as submissions of LAB=...
	@test -n "$(LAB)" && test -n "$(ZIP)" || { echo "make collect: e.g. make collect LAB=lab1_circle ZIP=x.zip" >&2; exit 2; }
	@$(BIN)/python -m grading collect "$(ZIP)" --lab $(LAB) $(if $(WORKSHEET),--worksheet "$(WORKSHEET)")

formgrader: $(READY) ## open nbgrader's formgrader, to grade by hand and to look at what was graded
	@cd grading && $(BIN)/jupyter lab --LabApp.default_url=/formgrader --ServerApp.root_dir=.. $$(test "$$(id -u)" = 0 && echo --allow-root) $(LAB_ARGS)

doctor: $(READY) ## say what is missing in the environment, and the command that cures it
	@$(BIN)/python -m course_utils.doctor
	@# a student never grades; who does asks `python -m grading doctor`, which fails without a sandbox
	@$(BIN)/python -m grading doctor --without-sandbox

clean: ## remove what was built; work/, submissions, the gradebook and .venv stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis gradebook/release
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './work/*' -prune -exec rm -rf {} +
