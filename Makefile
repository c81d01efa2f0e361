# Everything a developer does here. `make` alone explains itself.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
EMBEDDED := $(BIN)/python -m deploy.embedded
KILLS ?= 100
# pip-compile answers the same on every machine: no registry addresses, every hash.
COMPILE := pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --allow-unsafe --strip-extras

##@ Run it on this machine, without Docker
.PHONY: run up down status token chat dead media
run: $(VENV)/run.stamp ## start everything in the foreground; Ctrl-C stops it (PORT GATEWAYS WORKERS RESTART AMQP_URL MONGO_URL …)
	@$(EMBEDDED) run

up: $(VENV)/run.stamp ## the same in the background; returns when all is ready
	@$(EMBEDDED) up

down: $(VENV)/run.stamp ## stop it
	@$(EMBEDDED) down

status: $(VENV)/run.stamp ## its processes, with pid, port and readiness
	@$(EMBEDDED) status

token: $(VENV)/run.stamp ## print a JWT: make token SUB=alice [NAME='Alice'] [ROLES=a,b] [TENANT=t] [TTL=3600]
	@$(EMBEDDED) token

chat: $(VENV)/run.stamp ## chat from this terminal; in a second one: make chat SUB=bob [ROOM=lobby]
	@$(EMBEDDED) chat

dead: $(VENV)/run.stamp ## list the dead letters (ARGS='replay --id …', 'drop --key …', 'list --show', '--help')
	@$(BIN)/python -m deploy.operator dead $(or $(ARGS),list)

media: $(VENV)/run.stamp ## what uploaded files take (ARGS='collect', 'check --remove-bytes', '--help')
	@$(BIN)/python -m deploy.operator media $(or $(ARGS),usage)

##@ Work on it
.PHONY: test check fmt docs faults bench bench-peer lock clean
test: $(VENV)/dev.stamp ## all tests, on servers they start themselves (ARGS='-k name' for some)
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp ## format, lint, types, import rules, generated documents up to date
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m services.gateway.schema --check

fmt: $(VENV)/dev.stamp ## format, and repair what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/dev.stamp ## generate docs/generated from rows, contracts and settings
	$(BIN)/python -m services.gateway.schema

faults: $(VENV)/dev.stamp ## the long campaign of kills under load (KILLS=100)
	KILLS=$(KILLS) $(BIN)/python -m pytest tests/faults $(ARGS)

bench: $(VENV)/dev.stamp ## measure throughput, fan-out, latency, memory (ARGS=--help)
	$(BIN)/python -m benchmarks $(ARGS)

bench-peer: $(VENV)/dev.stamp ## the same beside the usual Node stack
	$(BIN)/python -m benchmarks --peer $(ARGS)

lock: $(VENV)/dev.stamp ## pin requirements/*.in, with hashes (ARGS=--upgrade for newer ones)
	@cd requirements && for name in services embedded dev; do \
	    echo "locking $$name"; \
	    CUSTOM_COMPILE_COMMAND="make lock" ../$(BIN)/$(COMPILE) $(ARGS) --output-file=$$name.txt $$name.in || exit 1; \
	done

clean: ## stop it and remove its data, logs, the virtual environment and caches
	@if [ -x $(BIN)/python ]; then $(EMBEDDED) down; fi
	rm -rf .parley $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make pip run again only when the pinned requirements change; what `dev` installs includes what `run` needs.
$(VENV)/run.stamp: requirements/services.txt requirements/embedded.txt
	@deploy/embedded/venv.sh $(VENV) $^ && touch $@

$(VENV)/dev.stamp: requirements/dev.txt
	@deploy/embedded/venv.sh $(VENV) $^ && touch $@ $(VENV)/run.stamp

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
