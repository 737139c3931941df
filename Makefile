# Two commands do everything on a fresh machine with Python 3.11 or 3.12: `make app` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# A folder's tests stay in one process, in the order that tests/conftest.py gives; `make test WORKERS=0` is serial. There
# are two processes more than cores, at most four, since tests of the page and of the database wait for other processes.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min((os.cpu_count() or 1) + 2, 4))")
PARALLEL = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help setup repair app lab docs test test-fast slow zoo sbom audit reliability check format

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: ## make or update the environment in .venv; nothing to do when it is up to date
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is missing: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) tools/install.py

repair: ## make the environment anew
	@rm -rf .venv
	@$(MAKE) --no-print-directory setup

app: setup ## open the app (GRADIO_SERVER_PORT chooses the port)
	$(BIN)/python app.py

lab: setup ## open the tutorials in JupyterLab
	$(BIN)/jupyter lab notebooks

docs: setup ## build the documentation site in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: setup ## run the tests, without slow, gpu and network ones, in parallel
	$(PARALLEL)

test-fast: setup ## run the tests that need no browser, database or notebook
	$(PARALLEL) -m "not slow and not gpu and not network and not browser and not mongo and not notebook"

slow: setup ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

zoo: setup ## train and measure the demo zoo on aerial scenes (hours; takes up where it was left)
	$(BIN)/python tools/zoo.py

sbom: setup ## write sbom.json: packages, weights, photographs and data sets with their licences, as CycloneDX
	$(BIN)/python tools/sbom.py sbom.json

audit: ## look up known vulnerabilities of the pinned packages; needs a network
	@$(PYTHON) -m venv build/audit
	@rm -f build/audit/found.json
	@build/audit/bin/pip install --quiet pip-audit && build/audit/bin/pip-audit --requirement constraints.txt --no-deps \
		--disable-pip --vulnerability-service osv --format json --output build/audit/found.json 2> build/audit/log; \
	code=$$?; cat build/audit/found.json 2> /dev/null || { tail -n 1 build/audit/log; \
		echo "NOT CHECKED: osv.dev did not answer, so nothing is known about vulnerabilities of the pinned packages."; \
		exit 2; }; exit $$code

reliability: setup ## attack, break and load everything on all processors, and write docs/results/reliability.md (hours; goes on where it was left)
	$(BIN)/python tools/reliability.py

check: setup ## lint, format, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into its format and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
