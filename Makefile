# Every target sets up .venv by itself. Needs Python 3.11 or newer, make and git.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all check bench docs clean

demo: $(READY)  ## find a rate for a real network, train with it, show the evidence
	$(BIN)/stepsize tune digits
	@echo
	@echo "Look at it: open the picture, or run"
	@echo "  $(BIN)/tensorboard --logdir runs"
	@echo "and open the address it prints in a browser."

test: $(READY)  ## the tests, also of the examples in README and docs, but for those that take long
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-all: $(READY)  ## all tests, as CI runs them
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(READY)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.docs  ## the site, in docs/build/html; a warning, a broken link or an undocumented name fails
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/build/html
	@echo "Open docs/build/html/index.html"

.venv/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[docs]'
	touch $@

bench: $(READY)  ## full-count measurements; logs go to benchmarks/logs
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/control.py
	$(BIN)/python benchmarks/watch.py
	$(BIN)/python benchmarks/schedules.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/digits.py
	$(BIN)/python benchmarks/feedback.py
	$(BIN)/python benchmarks/range_test.py
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/steer_storm.py
	$(BIN)/python benchmarks/steering.py
	$(BIN)/python benchmarks/guard.py
	$(BIN)/python benchmarks/tasks.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/sweep_kills.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/ray_kills.py
	$(BIN)/python benchmarks/questions/rate.py
	$(BIN)/python benchmarks/questions/convergence.py
	$(BIN)/python benchmarks/questions/validation.py
	$(BIN)/python benchmarks/questions/optimizers.py
	$(BIN)/python benchmarks/questions/batch_size.py
	$(BIN)/python benchmarks/questions/adapters.py
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .rivals timm==1.0.31 pytorch_optimizer==4.1.0
	$(BIN)/python benchmarks/optimizers.py --rivals .rivals
	$(BIN)/python benchmarks/clipping.py
	$(BIN)/python benchmarks/agreement.py
	$(BIN)/python benchmarks/large_batch.py
	$(BIN)/python benchmarks/courses.py
	$(BIN)/python benchmarks/papers.py
	$(BIN)/python benchmarks/finders/oracle.py
	$(BIN)/python benchmarks/finders/measure.py --set tuning
	$(BIN)/python benchmarks/finders/measure.py --set report
	$(BIN)/python benchmarks/finders/intervals.py
	$(BIN)/python benchmarks/finders/scale.py
	$(BIN)/python benchmarks/scale/own_tasks.py
	$(BIN)/python benchmarks/scale/per_layer.py
	$(BIN)/python benchmarks/scale/warmup.py
	test ! -d "$(STEPSIZE_DATA)/steplaw" || $(BIN)/python benchmarks/scale/steplaw.py --data $(STEPSIZE_DATA)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "stepsize needs Python 3.11 or newer"'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[all,dev]'
	touch $@

clean:  ## remove what the targets above made, but not your runs
	rm -rf .venv .rivals .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/build docs/gallery docs/api
