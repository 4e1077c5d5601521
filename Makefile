# SPDX-License-Identifier: Apache-2.0
# The front door. `make help` lists what there is; the build itself is Meson's (meson.build).

BUILD ?= build
FUZZ_TIME ?= 600
FUZZ_TARGET ?=
PREFIX ?= /usr/local
# Debian's own Python: the packages named in scripts/packages are installed for this one.
PYTHON := /usr/bin/python3

.DEFAULT_GOAL := help
.PHONY: help demo docs check check-unit check-ble check-powerloss build fuzz bench-ble bench-ble-vm bench-hosted bench-server footprint coverage format install \
	clean packages

help: ## this list
	@echo 'Otter: over-the-air firmware updates for ESP32, over any link.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'Missing Debian packages are installed by demo and check (list: scripts/packages).'

demo: ## see it work: an image updated from 1.0.0 to 1.1.0 and booted
	@scripts/bootstrap build
	@$(MAKE) --no-print-directory build
	@scripts/demo $(BUILD)

check: ## everything CI runs: format, static checks, builds, tests, fuzzing, footprint, coverage
	@scripts/bootstrap build check
	@$(PYTHON) scripts/check

check-unit: build ## the fast tests alone
	@meson test -C $(BUILD) --suite unit --print-errorlogs

check-powerloss: build ## power cut everywhere: the long runner alone
	@$(BUILD)/tests/powerloss/powerloss

check-ble: ## real bluetoothd in a virtual machine: central against peripheral
	@scripts/bootstrap build check
	@$(MAKE) --no-print-directory build
	@BUILD=$(BUILD) tests/ble/machine check

build: ## build the library, the tools and the tests into build/
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD)
	@ninja -C $(BUILD)

fuzz: ## fuzz every parser, FUZZ_TIME seconds each (FUZZ_TARGET=name for one)
	@scripts/fuzz --time $(FUZZ_TIME) $(FUZZ_TARGET)

bench-hosted: build ## how fast ESP-Hosted updates go: a pseudo-terminal, plain and encrypted; a 921600-baud line
	@$(BUILD)/bench/bench-hosted

bench-ble: build ## updates over Bluetooth LE: time in a model of the link, cost to a processor
	@scripts/bench-ble $(BUILD)

bench-ble-vm: ## updates through the real bluetoothd, in the virtual machine of check-ble
	@scripts/bootstrap build check
	@$(MAKE) --no-print-directory build
	@BUILD=$(BUILD) tests/ble/machine run bench/ble_vm.py

bench-server: build ## otterd against nginx and Python: work per second of the server's CPU time
	@scripts/bootstrap bench
	@$(PYTHON) bench/server.py $(BUILD)

footprint: ## size, RAM and stack of the device library on a 32-bit RISC-V, against the budget
	@scripts/footprint

docs: ## the API's reference, from the headers, as one page: build/docs/api.md
	@scripts/api-docs $(BUILD)/docs/api.md

coverage: ## line coverage of the device library
	@scripts/coverage

format: ## format every C file in place
	@git ls-files '*.c' '*.h' | xargs clang-format -i

deb: ## Debian packages of everything, in build-deb/
	@scripts/bootstrap build deb
	@scripts/deb

check-packages: ## build the packages, and install, use and purge them in a clean Debian
	@scripts/bootstrap build deb check
	@scripts/check-packages

check-systemd: ## the packages' units under a real systemd, in systemd-nspawn (needs root)
	@scripts/bootstrap build deb systemd
	@scripts/check-systemd

check-container: ## build the container of otterd without a registry, run it and poll it (needs root)
	@scripts/bootstrap build deb container
	@scripts/check-container

install: build ## install the library, headers, tools and pages under PREFIX (DESTDIR is honoured)
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@meson install -C $(BUILD)

packages: ## install every package that building and checking need
	@scripts/bootstrap build check

clean: ## remove every build folder
	rm -rf build build-*
