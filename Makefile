# Banyan's build. `make help` lists what it can do.
#
# Sources are found, never listed: a new file in csrc, spec, bench or
# lua/banyan is built, tested, linted and installed without a word here.

LUA ?= lua5.4
CLANG ?= clang
CLANG_FORMAT ?= clang-format
PREFIX ?= /usr/local
SPEC ?=
NAME ?=
ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O2 -g

# Everything that is made goes below one directory for each kind of build.
ROOT := $(CURDIR)
BUILD ?= build/$(LUA)
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# The first make hands out the jobs, as many as -j or JOBS says; those that it
# runs take theirs from it, so none of them has a -j of its own. A recipe that
# runs make without the word $(MAKE) needs a + to reach it.
MAKEFLAGS += --no-print-directory --no-builtin-rules
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
# `make clean build` is one after the other, and so is what linters say.
ifneq ($(filter clean lint-%,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

ifeq ($(LUA),luajit)
LUA_VERSION ?= 5.1
LUA_INCDIR ?= /usr/include/luajit-2.1
else
LUA_VERSION ?= $(patsubst lua%,%,$(LUA))
LUA_INCDIR ?= /usr/include/$(LUA)
endif

# The other Lua that Banyan runs on, where it is installed: a spec joins nodes
# of both.
OTHER_LUA := $(if $(filter luajit,$(LUA)),lua5.4,luajit)
OTHER_LUA := $(if $(shell command -v $(OTHER_LUA)),$(OTHER_LUA))

# Installing; the rockspec sets all three.
LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
# Of the definitions for editors.
LIBRARYDIR ?= $(PREFIX)/share/banyan/library

# -- flags --------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wundef -Wvla -Wwrite-strings -Wimplicit-fallthrough
# A function that the headers do not have (luaL_newlib in Lua 5.1) must not
# wait for load time to be missed.
WARN += -Werror=implicit-function-declaration -Werror=implicit-int \
  -Werror=incompatible-pointer-types -Werror=int-conversion
ifdef WERROR
WARN += -Werror
endif
ifdef SANITIZE
override CFLAGS += -O1 -g -fno-omit-frame-pointer \
  -fsanitize=address,undefined -fno-sanitize-recover=all
endif
ifdef DEBUG
override CFLAGS += -O0 -g3
endif
ifdef ASSERT
override CFLAGS += -DBYN_ASSERT
endif
ifdef COVERAGE
override CFLAGS += -DBYN_COVERAGE
endif
# The module is never unloaded: somebody may keep the address of its signal
# handler (csrc/lua/watchdog.h).
ifneq ($(shell uname -s),Darwin)
MODULE_LDFLAGS := -Wl,-z,nodelete
endif

BASE_FLAGS = -std=c11 $(WARN) $(CFLAGS) -pthread -fPIC -fvisibility=hidden -MMD -MP
LUA_FLAGS = -isystem $(LUA_INCDIR)
# Where the rockspec found the libraries, if it is not where compilers look.
elsewhere = $(addprefix $(1),$(sort $(filter-out $(2),$(3))))
EXTRA_FLAGS = \
  $(call elsewhere,-I,/usr/include,$(XXHASH_INCDIR) $(SODIUM_INCDIR))
EXTRA_LDFLAGS = \
  $(call elsewhere,-L,/usr/lib,$(XXHASH_LIBDIR) $(SODIUM_LIBDIR))
LIBS = -lxxhash -lsodium -pthread
# For a program that is its own host.
LUA_LIBS ?= $(if $(filter luajit,$(LUA)),-lluajit-5.1,-l$(LUA))

# -- sources ------------------------------------------------------------------

comma := ,
find = $(sort $(shell find $(1) -name '$(2)' 2>/dev/null))

CORE_SRC := $(call find,csrc/core,*.c)
BIND_SRC := $(call find,csrc/lua,*.c)
TEST_SRC := $(call find,spec/core spec/alloc spec/binding,*_test.c)
HELP_SRC := $(filter-out $(TEST_SRC),$(call find,spec/core,*.c))
FUZZ_SRC := $(sort $(wildcard spec/fuzz/*.c))
HOST_SRC := $(sort $(wildcard spec/alloc/*_test.c) \
  $(shell grep -ls 'csrc/lua/' $(FUZZ_SRC) $(TEST_SRC) /dev/null))
BENCH_SRC := $(sort $(wildcard bench/*.c))
BENCH_MODULE_SRC := $(sort $(wildcard bench/module/*.c))
C_FILES := $(call find,csrc spec bench,*.[ch])
LUA_FILES := $(call find,lua spec examples bench .ci,*.lua)
LUA_LIB := $(patsubst lua/%,%,$(call find,lua,*.lua))
DEFINITIONS := $(patsubst library/%,%,$(call find,library,*.lua))
SPECS := $(call find,spec,*_spec.lua)
BENCH_LUA := $(sort $(wildcard bench/*.lua))
BENCH_ERL := $(sort $(wildcard bench/erlang/*.erl))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CORE_OBJ := $(call obj,$(CORE_SRC))
BIND_OBJ := $(call obj,$(BIND_SRC))
HELP_OBJ := $(call obj,$(HELP_SRC))
ALL_OBJ := $(CORE_OBJ) $(BIND_OBJ) \
  $(call obj,$(TEST_SRC) $(HELP_SRC) $(FUZZ_SRC) $(BENCH_SRC) \
  $(BENCH_MODULE_SRC))

MODULE := $(BUILD)/banyan/core.so
CORE_LIB := $(BUILD)/libbanyan_core.a
program = $(patsubst %.c,$(BUILD)/%,$(1))
TESTS := $(call program,$(TEST_SRC))
FUZZERS := $(call program,$(FUZZ_SRC))
HOSTS := $(call program,$(HOST_SRC))
BENCHES := $(call program,$(BENCH_SRC))
# The module with functions of its own replaced, where the linker can do that.
ifneq ($(shell uname -s),Darwin)
BENCH_MODULES := $(patsubst bench/module/%.c,\
  $(BUILD)/bench/%/banyan/core.so,$(BENCH_MODULE_SRC))
endif

# The words of SPEC: "ring" is each file of that name, what comes before
# _spec.lua, _test.c or _fuzz.c; "lockstep/" all that is in spec/lockstep;
# "server_*" what the shell would take it for; and a path is itself.
ENDINGS := _spec.lua _test.c _fuzz.c .lua .c
PLACES := spec/ spec/*/ bench/
files_of = $(if $(filter %/,$(1)),$(1)% spec/$(1)%,\
  $(if $(wildcard $(1)/.),$(1)/%) $(wildcard $(1) \
  $(foreach place,$(PLACES),$(addprefix $(place)$(1),$(ENDINGS)))))
chosen = $(if $(SPEC),$(filter $(foreach word,$(SPEC),\
  $(call files_of,$(word))),$(1)),$(1))
# Stops where a word of SPEC is none of a list of sources.
unknown = $(strip $(foreach word,$(SPEC),\
  $(if $(filter $(call files_of,$(word)),$(1)),,$(word))))
demand = $(if $(call unknown,$(1)),$(error SPEC: nothing is called \
  $(call unknown,$(1)). It takes names (ring), folders (lockstep/) and \
  patterns ('server_*')))

# -- running Lua on this build ------------------------------------------------

# The versioned variables would win over the ones set here.
unexport LUA_PATH_5_4 LUA_CPATH_5_4 LUA_INIT LUA_INIT_5_4
LUA_PATH_HERE := $(ROOT)/lua/?.lua;$(ROOT)/lua/?/init.lua;;
LUA_CPATH_HERE = $(abspath $(BUILD))/?.so;;
WITH_LUA = env LUA_PATH='$(LUA_PATH_HERE)' LUA_CPATH='$(LUA_CPATH_HERE)'
# NAME is in the environment; .ci/tally makes of it what each kind of program
# takes.
export NAME
BUSTED = $(LUA) /usr/bin/busted --output=.ci/tap.lua \
  $(if $(NAME),--filter="$$BUSTED_FILTER")
ifdef SANITIZE
# Lua itself is not instrumented, so the library must come first. Specs tagged
# "slow" are left out, they say nothing more here.
BUSTED := env LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
  $(BUSTED) --exclude-tags=slow
endif

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

# One short line for each step; the whole command with V=1.
ifdef V
say =
Q =
else
say = @echo '  $(1)'
Q = @
endif

# -- building -----------------------------------------------------------------

.PHONY: build
build: $(MODULE) ; @: ## build the C module (the default)

.PHONY: objects test-programs fuzzers bench-programs
objects: $(ALL_OBJ) ; @:
test-programs: $(call program,$(call chosen,$(TEST_SRC))) ; @:
fuzzers: $(call program,$(call chosen,$(FUZZ_SRC))) ; @:
bench-programs: $(BENCHES) $(BENCH_MODULES) ; @:

# A stamp changes only when its text does: other flags, or a source that came
# or went, rebuild what depends on them.
define stamp
@mkdir -p $(@D)
@echo '$(1)' | cmp -s - $@ || echo '$(1)' > $@
endef

.PHONY: always
$(BUILD)/flags: always
	$(call stamp,$(CC) $(BASE_FLAGS) $(LUA_FLAGS) $(EXTRA_FLAGS))
$(BUILD)/core-sources: always
	$(call stamp,$(CORE_SRC))
$(BUILD)/module-sources: always
	$(call stamp,$(BIND_SRC) $(EXTRA_LDFLAGS) $(LIBFLAG))

$(BUILD)/obj/csrc/core/%.o: csrc/core/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(BASE_FLAGS) $(EXTRA_FLAGS) -c $< -o $@

$(BUILD)/obj/csrc/lua/%.o: csrc/lua/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(BASE_FLAGS) $(LUA_FLAGS) $(EXTRA_FLAGS) -c $< -o $@

# A fuzz target has a main of its own that runs seeded inputs.
$(BUILD)/obj/spec/fuzz/%.o: FUZZ_FLAGS = -DBYN_FUZZ_MAIN
$(call obj,$(HOST_SRC)): HOST_FLAGS = $(LUA_FLAGS)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(BASE_FLAGS) $(FUZZ_FLAGS) $(HOST_FLAGS) $(EXTRA_FLAGS) \
	  -c $< -o $@

$(CORE_LIB): $(CORE_OBJ) $(BUILD)/core-sources
	@rm -f $@
	$(Q)$(AR) rcs $@ $(CORE_OBJ)

# The symbols of Lua itself come from the host program; all others must be
# there, and the one that Lua looks for must be seen.
$(MODULE): $(CORE_OBJ) $(BIND_OBJ) $(BUILD)/core-sources \
    $(BUILD)/module-sources
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(CFLAGS) $(or $(LIBFLAG),-shared) $(LDFLAGS) $(MODULE_LDFLAGS) \
	  $(CORE_OBJ) $(BIND_OBJ) -o $@ $(EXTRA_LDFLAGS) $(LIBS)
	@nm -D $@ | grep -q ' T luaopen_banyan_core$$' || \
	  { echo '$@ does not export luaopen_banyan_core' >&2; exit 1; }
	@! nm -D --undefined-only $@ | grep ' byn_' || \
	  { echo '$@ lacks the functions above' >&2; exit 1; }

$(filter-out $(HOSTS),$(TESTS)): $(BUILD)/%: $(BUILD)/obj/%.o $(HELP_OBJ) \
    $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $< $(HELP_OBJ) $(CORE_LIB) -o $@ \
	  -lcmocka $(LIBS) -lm

# Those that look into the binding have it linked in, with Lua.
$(HOSTS): $(BUILD)/%: $(BUILD)/obj/%.o $(CORE_LIB) $(BIND_OBJ)
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $< $(BIND_OBJ) $(CORE_LIB) -o $@ \
	  $(if $(filter $@,$(TESTS)),-lcmocka) $(LIBS) $(LUA_LIBS) -lm

$(filter-out $(HOSTS),$(FUZZERS)) $(BENCHES): $(BUILD)/%: $(BUILD)/obj/%.o \
    $(CORE_LIB)
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $< $(CORE_LIB) -o $@ $(LIBS) -lm

REPLACED := byn_connection_dial byn_connection_accept
$(BENCH_MODULES): $(BUILD)/bench/%/banyan/core.so: \
    $(BUILD)/obj/bench/module/%.o $(MODULE)
	@mkdir -p $(@D)
	$(call say,ld $@)
	$(Q)$(CC) $(CFLAGS) $(or $(LIBFLAG),-shared) $(LDFLAGS) $(MODULE_LDFLAGS) \
	  $(addprefix -Wl$(comma)--wrap=,$(REPLACED)) $< $(CORE_OBJ) $(BIND_OBJ) \
	  -o $@ $(EXTRA_LDFLAGS) $(LIBS)

-include $(ALL_OBJ:.o=.d)

.PHONY: env
env: ## print the exports under which $(LUA) finds this build
	@$(MAKE) build >&2
	@echo "export LUA_PATH='$(LUA_PATH_HERE)'"
	@echo "export LUA_CPATH='$(LUA_CPATH_HERE)'"

.PHONY: install
install: build ## install below PREFIX (/usr/local)
	@set -e; for f in $(LUA_LIB); do \
	  install -D -m 644 "lua/$$f" "$(DESTDIR)$(LUADIR)/$$f"; done; \
	for f in $(DEFINITIONS); do \
	  install -D -m 644 "library/$$f" "$(DESTDIR)$(LIBRARYDIR)/$$f"; done
	install -D -m 755 $(MODULE) "$(DESTDIR)$(LIBDIR)/banyan/core.so"

.PHONY: rock
rock: dev-deps ## build and install the rock into TREE (build/tree)
	+luarocks --lua-version=$(LUA_VERSION) make --deps-mode=none \
	  --tree "$(or $(TREE),build/tree)" rockspec/banyan-scm-1.rockspec \
	  LUA_INCDIR=$(LUA_INCDIR)

.PHONY: clean
clean: ## remove all that was built
	rm -rf build

# -- dependencies -------------------------------------------------------------

.PHONY: deps runtime-deps dev-deps
deps: dev-deps ## install what is missing, from Debian's packages
runtime-deps:
	@LUA=$(LUA) LUA_INCDIR=$(LUA_INCDIR) CC='$(CC)' .ci/deps runtime
dev-deps:
	@LUA=$(LUA) LUA_INCDIR=$(LUA_INCDIR) CC='$(CC)' .ci/deps runtime dev

# -- running ------------------------------------------------------------------

.PHONY: demo
demo: runtime-deps ## three nodes, one killed, every child back
	@$(MAKE) build
	@exec $(WITH_LUA) $(LUA) examples/failover.lua

# The compiler's part is a check of its own: what did not compile must not be
# hidden by a program from the time before.
RUN_C = $(foreach t,$(call program,$(call chosen,$(TEST_SRC))),--tap '$(t)')
run_specs = $(foreach s,$(1),--tap '$(BUSTED) $(s)')
# Side by side run those that do nothing but compute; many of the others start
# OS processes, which need the processors themselves.
COMPUTING := spec/lockstep/%
RUN_SPECS = $(call run_specs,$(filter $(COMPUTING),$(call chosen,$(SPECS)))) \
  --jobs 1 $(call run_specs,$(filter-out $(COMPUTING),$(call chosen,$(SPECS))))
TALLY = .ci/tally --jobs $(JOBS)

# Tests run on a build of their own, in which byn_assert is on.
TEST_BUILD := build/$(LUA)-test
IN_TEST_BUILD = $(MAKE) ASSERT=1 BUILD=$(TEST_BUILD)

.PHONY: test testing check-core checking-core spec specs other-build
other-build:
	$(if $(OTHER_LUA),@$(MAKE) build LUA=$(OTHER_LUA) \
	  BUILD=build/$(OTHER_LUA)-test SANITIZE=,@:)

test: dev-deps ## run all tests; SPEC=ring NAME="lists its nodes" only those
	+@$(call demand,$(TEST_SRC) $(SPECS))$(IN_TEST_BUILD) testing
testing:
	@$(WITH_LUA) $(TALLY) \
	  --need '$(MAKE) -k build other-build test-programs' \
	  $(RUN_C) $(RUN_SPECS)

check-core: dev-deps ## run the C tests
	+@$(call demand,$(TEST_SRC))$(IN_TEST_BUILD) checking-core
checking-core:
	@$(TALLY) --need '$(MAKE) -k test-programs' $(RUN_C)

spec: dev-deps ## run the Lua specs
	+@$(call demand,$(SPECS))$(IN_TEST_BUILD) specs
specs:
	@$(WITH_LUA) $(TALLY) --need '$(MAKE) build other-build' $(RUN_SPECS)

# Half a minute's worth: the core, and the specs that say most for the time
# that they take (supervisor_mass takes too much of it). What changed is linted:
# since the branch left main, or since BASE.
QUICK := core/ process signal signal_table node run ring options finalizer \
  remote_call remote_message remote_signal lost_connection hidden_node \
  spec/server_* spec/supervisor_[!m]* simple_one_for_one dynamic_supervisor \
  distributed_supervisor lockstep lockstep_network docstring library log
# The part of a million of the scripts that tests draw, and which allocations
# fail in turn: byn_test_plays, scarcity_step.
FEWER := BYN_SCRIPTS=20000 BYN_ALLOC_STEP=23
BASE ?= $(or $(shell git merge-base HEAD main 2>/dev/null || \
  git merge-base HEAD origin/main 2>/dev/null),HEAD)

.PHONY: check checking hook
check: dev-deps ## lint what changed, run the quick tests: half a minute
	+@$(IN_TEST_BUILD) checking SPEC="$(QUICK)"
checking:
	@$(call demand,$(TEST_SRC) $(SPECS))$(WITH_LUA) $(FEWER) $(TALLY) \
	  --need '$(MAKE) -k lint-changed' \
	  --need '$(MAKE) -k build test-programs' $(RUN_C) $(RUN_SPECS)

hook: ## have git run `make check` before each commit
	@.ci/hook

# `make test` plays all.
FEWER_CHECKED := BYN_SCRIPTS=50000 BYN_ALLOC_STEP=23
MEMCHECK = valgrind -q --error-exitcode=1 --leak-check=full
RUN_MEMCHECK = $(foreach t,$(call program,$(call chosen,$(TEST_SRC))),\
  --tap '$(MEMCHECK) $(t)')

.PHONY: memcheck memchecking
memcheck: dev-deps ## run the C tests under valgrind's memcheck
	+@$(call demand,$(TEST_SRC))$(IN_TEST_BUILD) memchecking
memchecking:
	@$(FEWER_CHECKED) $(TALLY) --need '$(MAKE) -k test-programs' \
	  $(RUN_MEMCHECK)

# C programs and specs alike look for leaks as well.
FEWER_SANITIZED := BYN_SCRIPTS=100000 BYN_ALLOC_STEP=3
FUZZ_COUNT ?= 20000
FUZZ_SEED ?= 1
SAN_BUILD := build/$(LUA)-sanitize
RUN_FUZZ = $(foreach f,$(call program,$(call chosen,$(FUZZ_SRC))),\
  --run '$(f) $(FUZZ_COUNT) $(FUZZ_SEED)')
export ASAN_OPTIONS ?= detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS ?= print_stacktrace=1
export LSAN_OPTIONS ?= print_suppressions=0

.PHONY: sanitize sanitized
sanitize: dev-deps ## run tests and fuzzers under ASan and UBSan
	@$(call demand,$(TEST_SRC) $(SPECS) $(FUZZ_SRC))$(MAKE) sanitized \
	  SANITIZE=1 ASSERT=1 BUILD=$(SAN_BUILD)
sanitized:
	@$(WITH_LUA) $(FEWER_SANITIZED) $(TALLY) \
	  --need '$(MAKE) -k build other-build test-programs fuzzers' \
	  $(RUN_C) $(RUN_FUZZ) $(RUN_SPECS)

# The machines count what they meet, in a build of their own.
.PHONY: soak soaking
soak: runtime-deps ## play random scripts under lockstep for SOAK=60 seconds
	@$(MAKE) build COVERAGE=1 ASSERT=1 BUILD=build/$(LUA)-coverage
	@$(MAKE) soaking BUILD=build/$(LUA)-coverage
soaking:
	@$(WITH_LUA) SOAK='$(SOAK)' SEED='$(SEED)' SPEC='$(SPEC)' $(LUA) spec/soak.lua

# On OS processes, in the build with assertions.
.PHONY: chaos raging
chaos: runtime-deps ## five OS processes under random faults; CHAOS=60 SEED=1
	+@$(IN_TEST_BUILD) build
	+@$(IN_TEST_BUILD) raging
raging:
	@$(WITH_LUA) CHAOS='$(CHAOS)' SEED='$(SEED)' $(LUA) spec/chaos.lua

# The test of the tester. SECONDS of CPU are spent on each mutant at most.
SECONDS ?= 60
.PHONY: mutants
mutants: dev-deps ## have lockstep find bugs put in; MUTANT=name only some
	@$(MAKE) build
	+@$(WITH_LUA) SECONDS=$(SECONDS) $(LUA) spec/mutants/run.lua '$(MUTANT)'

# Erlang's side of the comparison, where its compiler is installed.
ERLANG := build/erlang
.PHONY: bench-erlang
bench-erlang: $(if $(shell command -v erlc),$(ERLANG)/built) ; @:
$(ERLANG)/built: $(BENCH_ERL)
	@mkdir -p $(@D)
	$(call say,erlc bench/erlang)
	$(Q)erlc -Werror -o $(@D) $(BENCH_ERL)
	@touch $@

# BENCH=call: the rows whose key has "call", of the comparison or of the Lua
# programs that SPEC names, and no other program. ROUNDS=9 for steadier figures.
RUN_BENCH = $(if $(BENCH),$(patsubst %,'$(LUA) %',\
    $(if $(SPEC),$(call chosen,$(BENCH_LUA)),bench/compare.lua)),\
  $(call program,$(call chosen,$(BENCH_SRC))) \
  $(patsubst %,'$(LUA) %',$(call chosen,$(BENCH_LUA))))
.PHONY: bench
bench: runtime-deps ## compare with OTP; BENCH=call only rows with "call"
	@$(call demand,$(BENCH_SRC) $(BENCH_LUA))$(MAKE) build bench-programs \
	  bench-erlang
	@set -e; for b in $(RUN_BENCH); do \
	  $(WITH_LUA) BENCH='$(BENCH)' ROUNDS='$(ROUNDS)' $$b; done

# -- looking inside -----------------------------------------------------------

# SPEC=ring builds those test programs beside the module.
DEBUG_BUILD := build/$(LUA)-debug
.PHONY: debug compile_commands.json
debug: dev-deps ## build for gdb, and print how to start it
	@$(call demand,$(TEST_SRC))$(MAKE) build $(if $(SPEC),test-programs) \
	  DEBUG=1 ASSERT=1 BUILD=$(DEBUG_BUILD)
	@echo "In gdb, 'help user-defined' lists what .ci/banyan-gdb.py adds."
	@echo "  env LUA_PATH='$(LUA_PATH_HERE)' \\"
	@echo "    LUA_CPATH='$(ROOT)/$(DEBUG_BUILD)/?.so;;' \\"
	@echo "    gdb -x .ci/banyan-gdb.py --args $(LUA) your_program.lua"
	@$(if $(SPEC),for t in $(basename $(call chosen,$(TEST_SRC))); do \
	  echo "  gdb -x .ci/banyan-gdb.py $(DEBUG_BUILD)/$$t"; done,:)

# What make would run, as clangd and its like want to be told.
compile_commands.json: ## the flags of each C file, for editors
	+@$(IN_TEST_BUILD) -B -n V=1 objects | .ci/compile_commands > $@

# -- taste --------------------------------------------------------------------

LINT := build/lint
LINTS := lint-rooms lint-lua lint-format lint-gcc lint-clang
LUACHECK := luacheck --quiet --no-color --no-cache
.PHONY: lint $(LINTS) lint-changed format
lint: dev-deps ## rooms, luacheck, clang-format, warnings of two compilers
	@$(MAKE) -k $(LINTS)
# Which room may include which, and what else a file must be: see the script.
lint-rooms:
	$(call say,rooms)
	$(Q)lua5.4 .ci/rooms.lua
lint-lua:
	$(call say,luacheck)
	$(Q)$(LUACHECK) $(LUA_FILES) .luacheckrc rockspec/*.rockspec
	$(Q)set -e; for f in $(LUA_FILES); do luac5.1 -p $$f; done
lint-format:
	$(call say,$(CLANG_FORMAT))
	$(Q)$(if $(C_FILES),$(CLANG_FORMAT) --dry-run -Werror $(C_FILES))
lint-gcc:
	@$(MAKE) -k objects CC=gcc WERROR=1 ASSERT= BUILD=$(LINT)/gcc
lint-clang:
	@$(MAKE) -k objects CC=$(CLANG) WERROR=1 ASSERT= BUILD=$(LINT)/clang

# The same of what changed since BASE, by one compiler: the C files, and those
# that include a header that changed.
CHANGED = $(sort $(shell git diff --name-only --diff-filter=d $(BASE) 2>&1; \
  git ls-files --others --exclude-standard))
changed_c = $(filter $(C_FILES),$(CHANGED))
changed_lua = $(filter $(LUA_FILES),$(CHANGED))
changed_headers = $(notdir $(filter %.h,$(changed_c)))
changed_sources = $(sort $(filter %.c,$(changed_c)) $(if $(changed_headers),\
  $(shell grep -l $(foreach h,$(changed_headers),-e '#include ".*\b$(h)"') \
  $(filter %.c,$(C_FILES)))))
LINTS_CHANGED := lint-rooms lint-changed-lua lint-changed-format \
  lint-changed-gcc
.PHONY: $(LINTS_CHANGED)
lint-changed: $(LINTS_CHANGED) ; @:
lint-changed-lua:
	$(if $(changed_lua),$(Q)$(LUACHECK) $(changed_lua),@:)
lint-changed-format:
	$(if $(changed_c),$(Q)$(CLANG_FORMAT) --dry-run -Werror $(changed_c),@:)
lint-changed-gcc:
	@$(if $(changed_sources),$(MAKE) -k some-objects CC=gcc WERROR=1 ASSERT= \
	  BUILD=$(LINT)/gcc SOURCES='$(changed_sources)',:)
.PHONY: some-objects
some-objects: $(call obj,$(SOURCES)) ; @:

.PHONY: library
library: ## write the definitions for editors anew
	$(Q)lua5.4 -e 'require("spec.support.library").write()'

format: ## format all C files
	$(CLANG_FORMAT) -i $(C_FILES)

.PHONY: help
help: ## this list
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/\1|\2/p' Makefile | \
	  while IFS='|' read -r name text; do \
	    printf '  %-22s %s\n' "$$name" "$$text"; done
	@echo 'and before or after it'
	@sed -n 's/^#: \([^ ]*\) *\(.*\)/\1|\2/p' Makefile | \
	  while IFS='|' read -r name text; do \
	    printf '  %-22s %s\n' "$$name" "$$text"; done

#: LUA=luajit           the Lua to build for (lua5.4)
#: SPEC=ring             of the tests those files; or 'server_*', lockstep/
#: NAME=lists            of those, the tests whose name has that in it
#: V=1                  whole commands, and all that a failing test said
#: JOBS=4               compile so many files at once (as many as there are
#:                      processors)
