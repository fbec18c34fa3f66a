# What can be built, run and checked here; `make` alone lists it. Every target that compiles runs
# scripts/bootstrap first, which takes a fraction of a second when nothing is to do.

PREFIX ?= /usr/local
# Tests and demo share one optimised build: debug tensor loops are slow, and one build is enough.
BUILD = swift build -c release
BIN = $$($(BUILD) --show-bin-path)
MODULES = Torch Checkpoints Layers Models Data Training Inference Mingle

# SwiftPM finds libtorch.pc here also where the machine's own pkg-config folder is not ours to use.
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mingle
export PKG_CONFIG_PATH := $(CACHE)/pkgconfig$(addprefix :,$(PKG_CONFIG_PATH))

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo build test lint docs consumer bench install clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bootstrap: ## get and link libtorch, check Swift and the system's libraries
	@scripts/bootstrap

demo: build ## train a gMLP and a Mixer on handwritten digits, then predict some
	@"$(BIN)/mingle" demo

build: bootstrap ## build the command-line tool `mingle`
	$(BUILD) --product mingle

test: bootstrap ## run all tests
	swift test -c release --disable-testable-imports

lint: ## check the format of all Swift files
	swift format lint --strict --parallel --recursive Package.swift Sources Tests Examples Benchmarks

docs: bootstrap ## build the documentation of every library into .build/docs
	@mkdir -p .build/docs
	swift package --allow-writing-to-directory .build/docs generate-documentation \
	  --enable-experimental-combined-documentation $(addprefix --target ,$(MODULES)) \
	  --output-path .build/docs
	@echo "to read it: python3 -m http.server --directory .build/docs, and open /documentation there"

consumer: bootstrap ## build and run a package that depends on Mingle by version
	@scripts/check-consumer

bench: build ## race Mingle against PyTorch, ONNX Runtime and OpenVINO; RACE="--models NAME ..." chooses
	@python3 Benchmarks/race --mingle "$(BIN)/mingle" $(RACE)
	@python3 Benchmarks/race --mingle "$(BIN)/mingle" --loading
	@python3 Benchmarks/race --mingle "$(BIN)/mingle" --growth --models gmlp_s16 --rounds 3

install: build ## copy `mingle` to PREFIX/bin and libtorch to PREFIX/lib/mingle
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/mingle"
	install -m 755 "$(BIN)/mingle" "$(DESTDIR)$(PREFIX)/bin/mingle"
	for bundle in "$(BIN)"/mingle_MingleTool.*; do \
	  [ ! -d "$$bundle" ] || cp -R "$$bundle" "$(DESTDIR)$(PREFIX)/bin/"; \
	done
	cp -R .libtorch/lib/. "$(DESTDIR)$(PREFIX)/lib/mingle/"

clean: ## remove everything built here; libtorch stays in the cache
	rm -rf .build
