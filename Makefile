# make demo    set up, and run the main job on data the project makes
# make test    set up, and run the tests
# make lint    style and types
# `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := output/demo
# The other Paddle line that is supported: the newest paddlepaddle-gpu on PyPI.
VENV2 := .venv-paddle2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-paddle2 lint clean-demo

help:
	@sed -n 's/^# //p' Makefile | head -4

setup: $(VENV)/.ready

# PaddleSeg asks for opencv-python, whose wheels want a desktop's libGL and glib; the headless wheel
# of the same version is the same library without them.
define install
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || \
		{ echo "$(PYTHON) must be Python 3.10 to 3.12; name one: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python's venv is missing; run: apt-get install -y python3-venv"; exit 1; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[$(2)]' $(3)
	$(1)/bin/pip uninstall -q -y opencv-python
	$(1)/bin/pip install -q --disable-pip-version-check --no-deps -c constraints.txt opencv-python-headless
	@$(1)/bin/python -m paddleseg_sclc
	@touch $@
endef

$(VENV)/.ready: setup.py constraints.txt
	$(call install,$(VENV),cpu$(comma)test$(comma)dev)

$(VENV2)/.ready: setup.py constraints.txt
	$(call install,$(VENV2),cpu$(comma)test,paddlepaddle==2.6.2)

comma := ,

# Slides -> data set -> network -> figures and pictures, with the commands that one uses for one's
# own slides; here on slides that the project draws.
demo: $(VENV)/.ready clean-demo
	$(BIN)/python tools/make_demo_slides.py --output $(DEMO)/slides --slides 8
	$(BIN)/python tools/prepare_dataset.py --slides $(DEMO)/slides --output $(DEMO)/dataset --folds 4
	$(BIN)/python tools/train.py --config configs/demo/msunet_2blocks.yml --do_eval \
		--save_interval 50 --save_dir $(DEMO)/run
	$(BIN)/python tools/val.py --run $(DEMO)/run --output $(DEMO)/table \
		--report $(DEMO)/report.html --figure $(DEMO)/figure4.png
	$(BIN)/python tools/predict.py --run $(DEMO)/run --image_path $(DEMO)/dataset/val.txt \
		--save_dir $(DEMO)/predictions --probability
	@echo
	@echo "Look at:"
	@echo "  $(DEMO)/report.html                          the report: open it in a browser"
	@echo "  $(DEMO)/dataset/previews                     the patches with their outlines"
	@echo "  $(DEMO)/predictions/added_prediction/images  what the network found"

clean-demo:
	rm -rf $(DEMO)

test: $(VENV)/.ready
	$(BIN)/python -m pytest -q

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -q -m slow

# What touches Paddle; the rest does not know which one is installed.
test-paddle2: $(VENV2)/.ready
	$(VENV2)/bin/python -m pytest -q tests/test_compat.py tests/test_package.py tests/models \
		tests/losses tests/metrics tests/training tests/inference tests/tools/test_trained_tools.py

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
