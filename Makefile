# Copyright 2026 The vidseg_ros developers
# SPDX-License-Identifier: Apache-2.0

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

PYTHON ?= python3

# With a ROS 2 sourced, the environment stands on the system's packages: its own rclpy, NumPy and
# OpenCV (a newer NumPy breaks the system's cv_bridge). Without one, rclpy comes from PyPI.
ROS := $(if $(ROS_DISTRO),$(shell $(PYTHON) -c 'import rclpy' 2>/dev/null && echo $(ROS_DISTRO)))
VENV := .venv$(ROS:%=-%)
BIN := $(VENV)/bin
ifdef ROS
CONSTRAINTS := $(VENV)/constraints.txt
RUNTIME := -e '.[report]'
else
CONSTRAINTS := constraints.txt
RUNTIME := -e '.[opencv,report]' -r requirements/ros.txt
endif
TRAINING := -e 'training[huggingface,tensorboard]'
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --quiet -c $(CONSTRAINTS)

# The stamp of an installation names the content it was made from.
stamp = $(VENV)/.$(1)-$(firstword $(shell cat $(2) | cksum))
RUNTIME_FILES := setup.py constraints.txt requirements/ros.txt
RUNTIME_STAMP := $(call stamp,runtime,$(RUNTIME_FILES))
TRAINING_STAMP := $(call stamp,training,$(RUNTIME_FILES) training/pyproject.toml)
TEST_STAMP := $(call stamp,test,$(RUNTIME_FILES) training/pyproject.toml requirements/test.txt)

.PHONY: help demo training test lint types contracts pytest browser colcon clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(RUNTIME_STAMP)  ## Segment a made-up drive, VIDEO=file or BAG=folder [TOPIC=name] in a live node
	@$(BIN)/vidseg demo $(if $(VIDEO),--video '$(VIDEO)') $(if $(BAG),--bag '$(BAG)') \
		$(if $(TOPIC),--topic '$(TOPIC)')

training: $(TRAINING_STAMP)  ## Install vidseg-train (PyTorch) into the virtual environment
	@echo 'installed: $(BIN)/vidseg-train'

test: lint types contracts pytest  ## All checks and tests

lint: $(TEST_STAMP)  ## Style (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# NumPy's own types before 2.3 (Python 3.10, ROS 2 Jazzy) disagree with the later ones.
types: $(TEST_STAMP)  ## Types (mypy --strict)
	@if $(BIN)/python -c 'import numpy, sys; from packaging.version import Version; \
		sys.exit(Version(numpy.__version__) < Version("2.3"))'; then \
		echo $(BIN)/mypy; $(BIN)/mypy; \
	else echo 'types: not checked, they need NumPy 2.3 or later'; fi

contracts: $(TEST_STAMP)  ## Which package may import which (import-linter)
	$(BIN)/lint-imports

pytest: $(TEST_STAMP)  ## Tests; PYTEST_ARGS goes to pytest
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

browser: $(TEST_STAMP)  ## A Chromium for the tests of the report page, where there is none
	$(BIN)/playwright install --with-deps chromium

colcon: $(TEST_STAMP)  ## Build as a ROS 2 package into install/
	$(BIN)/colcon build

clean:  ## Remove what builds, tests and the demo left (not the virtual environment)
	rm -rf build install log demo_output *.egg-info training/*.egg-info .coverage \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(if $(ROS),--system-site-packages) $(VENV)

$(VENV)/constraints.txt: constraints.txt | $(BIN)/python
	@$(BIN)/python -c 'import cv2' || { echo 'OpenCV is missing: rosdep install' \
		'--from-paths . --ignore-src, or apt install python3-opencv' >&2; exit 1; }
	grep -vE '^(numpy|opencv)' constraints.txt > $@
	$(BIN)/python -c 'import numpy; print(f"numpy=={numpy.__version__}")' >> $@

$(RUNTIME_STAMP): | $(BIN)/python $(CONSTRAINTS)
	$(PIP_INSTALL) $(RUNTIME)
	@touch $@

$(TRAINING_STAMP): | $(RUNTIME_STAMP)
	$(PIP_INSTALL) $(RUNTIME) $(TRAINING)
	@touch $@

$(TEST_STAMP): | $(RUNTIME_STAMP)
	$(PIP_INSTALL) $(RUNTIME) $(TRAINING) -r requirements/test.txt
	@touch $@
