# The menu. `make` alone prints it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

INVENTORY ?= inventories/lab
LAB_NAME ?= lab
PYTHON ?= python3
# Not empty: `make deploy` shows what it would change, and changes nothing.
CHECK ?=
# Name of a backup of IIS: `make gateway-restore` says which there are.
BACKUP ?=
# A ComfyUI of your own: `make contract` asks it.
URL ?=
# A Python whose torch computes on an NVIDIA card: `make real-card` asks it.
TORCH_PYTHON ?=
# Of `make bench`: one of tests/bench/topics, not all.
TOPIC ?=
# Name of a list in comfyui/image/dependencies, and optional custom nodes that it is for: `make lock`.
VARIANT ?= cuda-13.0
NODES ?=
# A git address of ComfyUI, or a clone in a folder, in place of what the sources lock names.
COMFYUI_SOURCE ?=
# A commit of ComfyUI, all 40 digits: `make upgrade`, and `make lock` for it.
COMFYUI ?=
# `tiny`: random weights of a few megabytes in place of the models.
MODELS ?=

# Of `make lab-driver-update`, with RENUMBER=1, DROP= and FAULT= (docs/lab.md).
VERSION ?=
RENUMBER ?=
DROP ?=
FAULT ?=

LAB := $(filter lab,$(notdir $(patsubst %/,%,$(INVENTORY))))
# Folder of what is generated: the lab's own name, or the inventory's.
SITE := $(if $(LAB),$(LAB_NAME),$(notdir $(patsubst %/,%,$(INVENTORY))))
BIN := build/venv/bin

export LAB_NAME
export ANSIBLE_CONFIG := $(CURDIR)/ansible/ansible.cfg
export PATH := $(CURDIR)/$(BIN):$(PATH)

CLIENT_SOURCES := $(shell find comfyui/client comfyui/workflows -type f -not -name '*.pyc')

.PHONY: help
help: ## Print this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Settings: INVENTORY=$(INVENTORY) LAB_NAME=$(LAB_NAME)"

.PHONY: deploy
deploy: tools ## Install what is needed, deploy, verify, say how to get in; with CHECK=1 only show what would change
	@$(BIN)/python ansible/deploy_lock.py 'build/$(SITE)' $(MAKE) locked-deploy

# Under the site's lock, so that two at once do not work on one site.
.PHONY: locked-deploy
locked-deploy: export LAB_COMFYUI_SOURCE = $(COMFYUI_SOURCE)
locked-deploy: export LAB_MODELS = $(MODELS)
locked-deploy: $(if $(LAB),lab-up,$(if $(COMFYUI_SOURCE)$(MODELS),no-lab))
	ansible-playbook -i $(INVENTORY) ansible/site.yml $(if $(CHECK),--check --diff)
ifeq ($(CHECK),)
	@$(MAKE) verify
	@$(BIN)/python ansible/access.py build/$(SITE)/access.json
endif

.PHONY: upgrade
upgrade: tools ## Build another ComfyUI, COMFYUI=<commit>, try it beside the one that serves, switch; back where it does not serve
	@$(if $(COMFYUI),,echo 'make upgrade COMFYUI=<all 40 digits of a commit>' >&2; exit 2)
	@$(BIN)/python ansible/deploy_lock.py 'build/$(SITE)' $(MAKE) locked-upgrade COMFYUI='$(COMFYUI)'

.PHONY: locked-upgrade
locked-upgrade:
	ansible-playbook -i $(INVENTORY) ansible/upgrade.yml -e comfyui_image_commit='$(COMFYUI)'
	@$(MAKE) verify || { $(MAKE) locked-rollback && echo 'found: the new version serves, and verify is red; expected: a site that verify passes; serving now: the version before it, again; next step: the lines of verify above' >&2; exit 1; }
	ansible-playbook -i $(INVENTORY) ansible/upgrade/finish.yml

.PHONY: rollback
rollback: tools ## Back to the ComfyUI that the last upgrade has replaced
	@$(BIN)/python ansible/deploy_lock.py 'build/$(SITE)' $(MAKE) locked-rollback

.PHONY: locked-rollback
locked-rollback:
	ansible-playbook -i $(INVENTORY) ansible/rollback.yml
	@red=0; $(MAKE) verify || red=$$?; ansible-playbook -i $(INVENTORY) ansible/upgrade/finish.yml; exit $$red

.PHONY: no-lab
no-lab:
	@printf 'found: COMFYUI_SOURCE or MODELS for %s\nexpected: them in the lab only\nnext step: comfyui_image_repositories takes another address of ComfyUI\n' '$(INVENTORY)' >&2; exit 2

.PHONY: verify
verify: tools ## Prove the deployment: card, health, ports, public URL, one edited image
	pytest tests/infra --inventory $(INVENTORY) --access build/$(SITE)/access.json --junitxml build/$(SITE)/verify.xml

.PHONY: driver-update
driver-update: tools ## After an update of NVIDIA's driver or a change of the cards: everything on its card again
	@$(BIN)/python ansible/deploy_lock.py 'build/$(SITE)' ansible-playbook -i $(INVENTORY) ansible/driver_update.yml $(if $(CHECK),--check --diff)

.PHONY: gateway-restore
gateway-restore: tools ## Put IIS back to the backup BACKUP=; without one, say which there are
	ansible-playbook -i $(INVENTORY) ansible/gateway_restore.yml -e 'iis_gateway_restore_from=$(BACKUP)' $(if $(CHECK),--check --diff)

.PHONY: test
test: test-tools ## Everything that must hold: lint, unit, contract, molecule, a lab end to end
	@$(BIN)/python -m tests.run

.PHONY: contract
contract: test-tools ## Ask the ComfyUI at URL= what the simulator must answer; with MODELS=tiny run the workflows, too
	@$(if $(URL),,echo 'make contract URL=http://127.0.0.1:8188' >&2; exit 2)
	COMFYUI_CONTRACT_URL='$(URL)' COMFYUI_CONTRACT_MODELS='$(MODELS)' pytest tests/contract -rs

.PHONY: real-card
real-card: test-tools ## Ask a real NVIDIA card what the lab acts out; TORCH_PYTHON= is the Python whose torch computes on it
	@$(if $(TORCH_PYTHON),,echo 'make real-card TORCH_PYTHON=/path/of/python' >&2; exit 2)
	TORCH_PYTHON='$(TORCH_PYTHON)' pytest tests/real_card -rs

# A path is a list by itself, that no source adds to: tests/lab/comfyui/simulator.
.PHONY: lock
lock: test-tools ## Lock the image's Python packages by hash, for VARIANT=cuda-13.0 or a list of your own
	@COMFYUI_SOURCE='$(COMFYUI_SOURCE)' LOCK_COMMIT='$(COMFYUI)' LOCK_NODES='$(NODES)' $(BIN)/python comfyui/image/lock.py '$(VARIANT)' $(if $(findstring /,$(VARIANT)),,comfyui/sources.lock.yml)

.PHONY: molecule
molecule: test-tools ## The role scenarios alone (SCENARIO=native for one)
	@$(BIN)/python -m tests.molecule.run $(SCENARIO)

.PHONY: bench
bench: test-tools ## Measure what is promised about speed, side by side with the usual tools (TOPIC=models for one)
	@$(BIN)/python -m tests.bench $(TOPIC)

.PHONY: lint
lint: test-tools ## The linters alone
	@$(BIN)/python -m tests.run lint

# Only what stands on the command line: WSL sets NAME in every shell.
ANSWERS := NAME PUBLIC_NAME GUEST WINDOWS CARD MODELS
.PHONY: new-site
new-site: ## Write the inventory of a new site; asks, or takes NAME= PUBLIC_NAME= GUEST= WINDOWS= CARD= MODELS=
	@$(PYTHON) ansible/new_site.py $(foreach answer,$(ANSWERS),$(if $(filter command,$(origin $(answer))),'$(answer)=$($(answer))'))

.PHONY: notebook
notebook: test-tools ## Make the course's notebook anew from its cells
	@$(BIN)/python comfyui/notebooks/build.py

.PHONY: lab-up
lab-up: tools ## Raise the simulated site
	@$(BIN)/python -m tests.lab up

.PHONY: lab-down
lab-down: tools ## Take it down and leave nothing of it
	@$(BIN)/python -m tests.lab down

.PHONY: lab-status
lab-status: tools ## Show what of it stands
	@$(BIN)/python -m tests.lab status

.PHONY: lab-reset
lab-reset: tools ## Take it down and raise it afresh
	@$(BIN)/python -m tests.lab reset

.PHONY: lab-driver-update
lab-driver-update: tools ## Exchange its NVIDIA driver as Windows does; VERSION=581.29 RENUMBER=1 DROP=3080 FAULT=hang
	@$(BIN)/python -m tests.lab driver-update --version '$(VERSION)' --drop '$(DROP)' --fault '$(FAULT)' $(if $(RENUMBER),--renumber)

.PHONY: clean
clean: ## Remove build/, everything that was generated
	@$(PYTHON) ansible/clean.py

.PHONY: tools
tools: build/venv/.deploy

.PHONY: test-tools
test-tools: build/venv/.test

build/venv/.%: pyproject.toml ansible/install-tools $(CLIENT_SOURCES)
	@PYTHON=$(PYTHON) ansible/install-tools $*
