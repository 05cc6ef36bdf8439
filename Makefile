# Every target brings what it needs: Python 3.11+, make and the package registries are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 5
SEED ?= 1
SEEDS ?= 1..200
STAMP := $(VENV)/.installed
PEERS := $(VENV)/peers/.installed
TAPS := $(VENV)/taps/.installed
DEBIAN := $(VENV)/debian/.unpacked
MARIADB := $(VENV)/mariadb/.unpacked
.DEFAULT_GOAL := help
.PHONY: help setup up demo test test-long mariadb soak fuzz check types-page format bench bench-smoke lock lock-peers lock-taps taps clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

setup: $(STAMP)  ## make the virtual environment from the hash-locked requirements

up: setup  ## run the whole platform on this machine until Ctrl-C
	$(BIN)/syncline up

demo: setup  ## sync a real Postgres into Delta on S3 and compare both sides
	$(BIN)/syncline demo

# Debian's server and those of its libraries that not every machine has, beside the Python packages.
$(MARIADB): | $(STAMP)
	@rm -rf $(VENV)/mariadb && mkdir -p $(VENV)/mariadb/packages
	@test -x /usr/sbin/mariadbd || ! command -v apt-get >/dev/null || { cd $(VENV)/mariadb/packages && \
		fetch() { apt-get download --quiet=2 --option APT::Sandbox::User=root mariadb-server-core \
			$$(apt-cache depends mariadb-server-core | sed -nE 's/.*Depends: (lib(aio|numa|uring)[a-z0-9]*)$$/\1/p'); } && \
		{ fetch || { apt-get update --quiet=2 && fetch; }; } && for package in *.deb; do dpkg -x $$package ..; done; }
	@rm -rf $(VENV)/mariadb/packages && touch $@

mariadb: setup $(MARIADB)  ## the MariaDB that tests read from, where none is installed

# An OpenSSH server and a PostgreSQL with TLS, for tests: Debian's, beside the environment where the system has none.
$(DEBIAN): | $(STAMP)
	@! command -v apt-get >/dev/null || { sh tests/kit/debian.sh $(@D)/openssh-server openssh-server libwrap0 libnsl2 \
		'libtirpc3(t64)?' libgssapi-krb5-2 libkrb5-3 libkrb5support0 libk5crypto3 libkeyutils1 libcom-err2 && \
		sh tests/kit/debian.sh $(@D)/postgresql 'postgresql-[0-9]+' libpq5 'libicu[0-9]+' 'libxml2(-16)?' \
		'libldap(-2\.5-0|2)' libsasl2-2 liblz4-1 'libxslt1\.1'; }
	@mkdir -p $(@D) && touch $@

test: setup mariadb $(DEBIAN)  ## the whole suite, on real servers
	$(BIN)/pytest --numprocesses 3 --dist worksteal

test-long: setup mariadb $(DEBIAN) $(PEERS)  ## the proofs that take longer than a change can wait for
	$(BIN)/pytest --numprocesses 2 -m long

soak: setup  ## 200 databases under random transactions while everything is killed; SEEDS=17,99 or 1..20 chooses
	SYNCLINE_CDC_SEEDS=$(SEEDS) $(BIN)/pytest --numprocesses 2 --timeout 0 tests/integration/test_cdc_random.py

fuzz: setup  ## fuzz the running API by its document, MINUTES=5 for each kind of key; SEED=n starts elsewhere
	SYNCLINE_FUZZ_SECONDS=$$(($(MINUTES) * 60)) SYNCLINE_FUZZ_SEED=$(SEED) $(BIN)/pytest -s --timeout 0 tests/contract/test_fuzz.py

check: setup  ## format, lint, types and import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

types-page: setup  ## write docs/types.md from the cases that the tests run
	$(BIN)/python -m tests.connectors.types_page

format: setup  ## rewrite the sources into the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(PEERS): requirements/peers.txt $(STAMP)
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/peers.txt
	@touch $@

$(TAPS): requirements/taps.txt $(STAMP)
	$(PYTHON) -m venv $(VENV)/taps
	$(VENV)/taps/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/taps.txt
	@touch $@

taps: setup $(TAPS)  ## the Singer taps that the longer tests read with

bench: setup $(PEERS) $(MARIADB)  ## measure ourselves and the peers on this machine; BENCH="--workload tpch" chooses
	$(BIN)/python -m bench $(BENCH)

bench-smoke: setup $(PEERS) $(MARIADB)  ## every workload at a small size: are the contents right?
	$(BIN)/python -m bench --smoke $(BENCH)

lock: setup  ## resolve pyproject.toml into hash-locked requirements
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml --output-file requirements/base.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--extra local --extra dev --constraint requirements/base.txt pyproject.toml --output-file requirements/dev.txt

lock-peers: setup  ## resolve what the benchmark runs beside us
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		requirements/peers.in --output-file requirements/peers.txt

lock-taps: setup  ## resolve the Singer taps of the tests
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		requirements/taps.in --output-file requirements/taps.txt

clean:  ## remove the environment and the local state
	rm -rf $(VENV) .syncline
