# Two commands do everything on a fresh machine with Python 3.11+, git and make:
#   make demo    one scenario over a real provider map, then a summary and a report
#   make test    format, lint, types, import direction, the whole test suite
# Set-up runs once for each state of pyproject.toml: stamp files remember it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The suite starts some thousand processes: each would compile every module it imports anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# pip compiles on one core; that some files of libraries are no valid modules is no matter.
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || :
FOR_DEMO := $(VENV)/.installed-demo
FOR_TEST := $(VENV)/.installed-test
CORES := $(shell getconf _NPROCESSORS_ONLN)
# Tests of the agent wait for packets half of their time: so one worker more than two cores have.
WORKERS ?= $(shell echo $$(( $(CORES) + ($(CORES) + 1) / 2 )))
PYTHONS ?= python3.11 python3.12 python3.13
SCENARIO ?= scenarios/demo.patronus.yml

.PHONY: demo test lint types imports suite test-slow bench bench-scale bench-scenarios bench-sweep
.PHONY: bench-dataplane bench-fuzz goldens
.PHONY: format proof-determinism proof-lazy fuzz-announcements proof-whatif bench-whatif clean

demo: $(FOR_DEMO)
	@mkdir -p runs; out=runs/demo; n=1; \
	while [ -e "$$out" ]; do n=$$((n + 1)); out=runs/demo-$$n; done; \
	$(BIN)/patronus run $(SCENARIO) --out "$$out"; \
	test -s "$$out/report.html"

test: lint types imports suite

lint: $(FOR_TEST)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(FOR_TEST)
	$(BIN)/mypy --num-workers $(CORES)

imports: $(FOR_TEST)
	$(BIN)/lint-imports

# Coverage is a step of its own, so that a failed test is not buried under its table.
# Each worker is one thread: NumPy's own would wait for each other by turning.
suite: export OPENBLAS_NUM_THREADS := 1
suite: $(FOR_TEST)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report= --cov-fail-under=0 \
		--durations=10 --durations-min=1
	@echo "Branch coverage of the engine:"
	$(BIN)/coverage report

test-slow: $(FOR_TEST)
	$(BIN)/pytest -m slow

bench: $(FOR_TEST)
	$(BIN)/pytest -m bench -s

# The bars of scale, beside a plain SimPy world. CASES="mesh-50 hubs-1000" picks some of them.
bench-scale: $(FOR_TEST)
	$(BIN)/python -m tests.bench.scale $(CASES:%=--case %)

# All shipped scenarios, one after the other: what each takes, and on what.
bench-scenarios: $(FOR_TEST)
	$(BIN)/python -m tests.bench.scenarios

# What a sweep costs beside its runs, that workers change nothing, and memory beside its estimates.
bench-sweep: $(FOR_TEST)
	$(BIN)/python -m tests.bench.sweep overhead
	$(BIN)/python -m tests.bench.sweep determinism
	$(BIN)/python -m tests.bench.memory

# What-if studies: every single failure. SAMPLE=5 simulates so many of each sort.
SAMPLE ?= 0
bench-whatif: $(FOR_TEST)
	$(BIN)/python -m tests.bench.whatif --sample $(SAMPLE) $(CASES:%=--case %)

# What fuzzing costs, and in how many schedules it finds and shrinks the planted bugs; hours.
# PARTS="speed bugs shrink" picks some of it.
bench-fuzz: $(FOR_TEST)
	$(BIN)/python -m tests.bench.fuzz $(PARTS)

# The Linux dataplane, with real packets between namespaces; needs root and some quiet hours, or
# fewer trials. CALM: seconds that false downs are counted for, of each kind of tunnel and loss.
TRIALS ?= 200
CALM ?= 600
bench-dataplane: $(FOR_TEST)
	$(BIN)/python -m tests.bench.blackout --hogs 16 --calm $(CALM) --loss bernoulli bursts
	$(BIN)/python -m tests.bench.gaps --trials $(TRIALS)
	$(BIN)/python -m tests.bench.gaps --trials $(TRIALS) --kind plain --cuts both --interval-ms 4
	$(BIN)/python -m tests.bench.grey brownout --trials $(TRIALS)
	$(BIN)/python -m tests.bench.grey flapping
	$(BIN)/python -m tests.bench.grey blip --trials 5
	$(BIN)/python -m tests.bench.drift
	$(BIN)/python -m tests.bench.blackhole
	$(BIN)/python -m tests.bench.switch
	$(BIN)/python -m tests.bench.throughput
	$(BIN)/python -m tests.bench.wgthroughput
	$(BIN)/python -m tests.bench.pacing
	$(BIN)/python -m tests.bench.steering
	$(BIN)/pytest -m bench -s tests/bench/test_tunnels.py
	$(BIN)/python -m tests.bench.agent
	$(BIN)/python -m tests.bench.drain
	$(BIN)/python -m tests.bench.handover
	$(BIN)/python -m tests.bench.deaths --times $(TRIALS)

# Takes what the shipped scenarios do now as what they should do, and prints what changed: the
# table belongs into the message of a commit of its own.
goldens: $(FOR_TEST)
	$(BIN)/patronus golden --accept scenarios/*.patronus.yml

format: $(FOR_TEST)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The same journal on each Python, on old and new libraries, with fewer CPU features ...
# Takes minutes and needs the interpreters; one that is missing is reported as not run.
proof-determinism: $(FOR_TEST)
	$(BIN)/python -m tests.proof.determinism $(SCENARIO) --pythons "$(PYTHONS)"

# Lazy mode decides what event mode decides: 200 random scenarios.
proof-lazy: $(FOR_TEST)
	$(BIN)/python -m tests.proof.lazy

# Two hundred failures of the shipped scenarios, each against a run of its own.
proof-whatif: $(FOR_TEST)
	$(BIN)/python -m tests.proof.whatif

# Throws inputs at everything that reads what other sites send, until one of them is a finding or
# the time is over. Needs atheris, which the program tells how to get.
FUZZ_PYTHON ?= $(BIN)/python
FUZZ_SECONDS ?= 600
fuzz-announcements: $(FOR_TEST)
	PYTHONPATH=src:. $(FUZZ_PYTHON) -m tests.fuzz.announcements -max_total_time=$(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(FOR_DEMO): pyproject.toml .ci/make-venv
	.ci/make-venv $(VENV)
	$(PIP) install --no-compile --editable '.[maps]'
	$(COMPILE)
	touch $@

# Dependency groups are understood from pip 25.1 on. System packages are fetched meanwhile.
$(FOR_TEST): pyproject.toml .ci/make-venv .ci/system-packages
	.ci/make-venv $(VENV)
	.ci/system-packages & packages=$$!; \
	$(PIP) install --upgrade 'pip>=25.1'; \
	$(PIP) install --no-compile --editable '.[maps,bench,sweep]' --group dev; \
	$(COMPILE); \
	wait $$packages
	touch $@
	touch $(FOR_DEMO)
