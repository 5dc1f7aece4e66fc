# stallrace: reruns what lecture notes teach about threads, the GIL and socket buffers, on this machine.
#
#   make demo   sets up, measures everything quickly, writes a report with charts
#   make test   sets up, builds and runs all tests
#
# A new experiment is one file, experiments/GROUP/NAME.c, and a new tool is a folder, experiments/GROUP/NAME/;
# nothing here names them.  What the experiments of a group share is in experiments/GROUP/lib/.
#   CC=clang                             another compiler
#   SAN=thread | SAN=address,undefined   a sanitizer build, in a folder of its own
#   V=1                                  show the compiler's command lines
#   ARGS='--quick'                       arguments for every program of run-GROUP
#   PREFIX=/usr/local DESTDIR=           below which folder install puts everything

VERSION  := 1.0.0
CC       ?= cc
CFLAGS   ?= -O2 -g
WERROR   ?= -Werror
SAN      ?=
ARGS     ?=
PREFIX   ?= /usr/local
comma    := ,
quiet    := $(if $(V),,@)
BUILD    := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wwrite-strings -Wno-missing-field-initializers $(WERROR)
# Sanitizers want frame pointers; a sanitizer that finds something ends the program.
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
# What a compiler can do against a fault of ours; checked here, as compilers differ and -O0 forbids some.
can       = $(shell $(CC) $(CFLAGS) -Werror $1 -include stdio.h -x c -c /dev/null -o /dev/null 2>/dev/null && echo '$1')
FORTIFY   = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE
HARDEN   := $(if $(SAN),,$(or $(call can,$(FORTIFY)=3),$(call can,$(FORTIFY)=2)) $(call can,-fstack-protector-strong -fPIE))
# GCC (seen: 14.2) takes a function of nothing but atomic operations for one that leaves static data alone, and keeps
# such data in a register across it: no lock would help.
STATICS  := $(call can,-fno-ipa-reference)
RELRO    := $(if $(SAN),,$(if $(findstring -fPIE,$(HARDEN)),-pie) -Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now)
JANSSON  := $(shell pkg-config --cflags jansson 2>/dev/null)
JANSSONL := $(shell pkg-config --libs jansson 2>/dev/null || echo -ljansson)
compile   = $(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(STATICS) $(SANFLAGS) -pthread \
	    -Iinclude -I$(BUILD) $(JANSSON)
link      = $(CC) $(CFLAGS) $(HARDEN) $(RELRO) $(SANFLAGS) -pthread $(LDFLAGS)
libs      = $(JANSSONL) -lm $(LDLIBS)

LIB_SRC  := $(wildcard experiments/lib/*.c)
EXP_ALL  := $(filter-out $(LIB_SRC),$(wildcard experiments/*/*.c))
# What the experiments of a group share, and the tools: folders of which each becomes one program.
SHARED_ALL := $(wildcard experiments/*/lib/*.c)
TOOL_ALL := $(filter-out $(SHARED_ALL),$(wildcard experiments/*/*/*.c experiments/*/*/*/*.c))
# FILE:LIBRARY of each file that says /* needs: LIBRARY */, a name of pkg-config's, on a line of its own.
NEEDS    := $(shell grep -Ho '^/\* needs: [^ ]*' /dev/null $(EXP_ALL) $(SHARED_ALL) $(TOOL_ALL) | sed 's|/\* needs: ||')
LACKING  := $(foreach n,$(NEEDS),$(if $(shell pkg-config --exists $(lastword $(subst :, ,$n)) 2>/dev/null && echo y),,$n))
LEFT_OUT := $(foreach n,$(LACKING),$(firstword $(subst :, ,$n)))
EXP_SRC  := $(filter-out $(LEFT_OUT),$(EXP_ALL))
SHARED_SRC := $(filter-out $(LEFT_OUT),$(SHARED_ALL))
TOOL_SRC := $(filter-out $(LEFT_OUT),$(TOOL_ALL))
# Flags for what these source files need.
pkg       = $(foreach n,$(filter $(addsuffix :%,$2),$(NEEDS)),$(shell pkg-config $1 $(lastword $(subst :, ,$n))))
UNIT_SRC := $(wildcard tests/unit/*.c)
HEADERS  := $(wildcard include/*.h include/*/*.h experiments/*/*.h experiments/*/*/*.h experiments/*/*/*/*.h tests/*/*.h)
LIB      := $(BUILD)/libexp.a
LIB_OBJ  := $(LIB_SRC:experiments/%.c=$(BUILD)/obj/%.o)
BINS     := $(EXP_SRC:experiments/%.c=$(BUILD)/%)
SHARED_OBJ := $(SHARED_SRC:experiments/%.c=$(BUILD)/obj/%.o)
TOOL_OBJ := $(TOOL_SRC:experiments/%.c=$(BUILD)/obj/%.o)
TOOLS    := $(sort $(foreach f,$(TOOL_SRC),$(BUILD)/$(word 2,$(subst /, ,$f))/$(word 3,$(subst /, ,$f))))
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
MESSAGES := $(if $(shell command -v msgfmt),$(patsubst po/%.po,$(BUILD)/locale/%/LC_MESSAGES/stallrace.mo,$(wildcard po/*.po)))
UNITS    := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
# Groups come in the order of their first experiment, those that declare none at the end.
ORDERED  := $(shell grep -Ho '\.order = [0-9]*' /dev/null $(EXP_ALL) | \
	    sed 's|^experiments/\([^/]*\)/.* = \(.*\)|\2 \1|' | sort -n | awk '!seen[$$2]++ { print $$2 }')
GROUPS   := $(ORDERED) $(filter-out $(ORDERED),$(sort $(notdir $(patsubst %/,%,$(dir $(EXP_ALL))))))
# What an earlier build left and no source makes any more.
FOLDERS  := $(patsubst %/,%,$(sort $(BUILD)/unit/ $(BUILD)/fuzz/ $(dir $(BINS) $(TOOLS))))
STALE    := $(filter-out $(BINS) $(TOOLS) $(UNITS) $(FUZZERS) $(FOLDERS) $(addprefix $(BUILD)/,obj libexp.a locale build.h \
	    flags sources),$(wildcard $(BUILD)/* $(FOLDERS:%=%/*)))
PYTEST   := scripts/python pytest -- -m pytest

.DELETE_ON_ERROR:
.SECONDARY:

all: $(BINS) $(TOOLS) $(MESSAGES) prune ## build every experiment
	@$(foreach n,$(LACKING),echo "  not built: $(firstword $(subst :, ,$n)), $(lastword $(subst :, ,$n)) is missing";)

help: ## print this
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
	@echo
	@{ sed -n 's/^\([a-z-]*\)\( [^#]*\|:[^#]*\)## \(.*\)/  make \1|\3/p' Makefile; \
	for g in $(GROUPS); do echo "  make run-$$g|measure this group, with its defaults"; done; } | \
	awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# Build on all CPUs, unless whoever called make said how.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))

demo: ## set up, measure every group quickly, write the report, say where it is
	@scripts/bootstrap
	@$(MAKE) --no-print-directory $(JOBS) all
	@scripts/demo $(GROUPS:%=$(BUILD)/%) -- --quick $(ARGS)

test: ## set up, build and run all tests (SAN= for a sanitizer build)
	@scripts/bootstrap
	@$(MAKE) --no-print-directory $(JOBS) all
	@BUILD=$(BUILD) SAN=$(SAN) scripts/test

$(GROUPS:%=run-%): run-%: all
	@scripts/run $(BUILD)/$* $(ARGS)

smoke: all ## run every experiment quickly, keep no rows: does it all work here?
	@failed=; for g in $(GROUPS); do \
		STALLRACE_RESULTS=/dev/null scripts/run $(BUILD)/$$g --quick $(ARGS) || failed=$$?; done; exit $$failed

bench: all ## time whole programs with hyperfine, into results/bench/
	@scripts/bench $(BUILD) || [ $$? -eq 77 ]

shams: all ## take away what each claim and control is about: does it come out otherwise?
	@scripts/shams $(BUILD)

fuzz: ## feed inputs that clang's libFuzzer thinks of, SECONDS=60 in all
	@scripts/fuzz $(or $(SECONDS),60)

soak: all ## kill, stop and starve programs and scripts, use servers badly, SECONDS=60 each: what is left?
	@scripts/soak --seconds $(or $(SECONDS),60) $(BUILD)
	@scripts/soak-servers --seconds $(or $(SECONDS),60) $(BUILD)

test-lab: all ## the experiments that two hosts can share, across a link of 20 Mbit/s and a round trip of 20 ms
	@TWO_HOSTS=1 BUILD=$(BUILD) SAN=$(SAN) $(PYTEST) -q -rs tests/test_lab.py tests/test_two_hosts.py

kernels: all ## measure under other kernels, in emulated machines, and compare the verdicts
	@scripts/bootstrap --kernels
	@scripts/kernels $(BUILD)

plots: ## draw the newest results of every experiment, into results/charts/
	@scripts/plot.py

quiz: all ## what do you expect? asks, measures quickly, keeps the score
	@scripts/quiz $(BUILD)

claims: ## every claim with its verdict, the number behind it and its newest rows
	@scripts/claims

report: ## a page of all claims, their verdicts, charts and data: results/report.html
	@scripts/report.py

fleet: ## a page of many machines' results, ARGS='DIR...': results/fleet.html
	@scripts/fleet.py $(ARGS)

reference: all ## for maintainers: measure results/reference/ anew, and what the README says of it
	@scripts/reference $(BUILD)

messages: all ## for maintainers: bring po/*.po up to date with all that people read
	@scripts/messages $(BUILD)

fields: all ## for maintainers: write what the programs declare into results/README.md
	@scripts/fields $(BUILD)

deps: ## install what is missing, or print how
	@scripts/bootstrap

doctor: ## say what is there, what is missing and what is skipped for it
	@scripts/bootstrap --doctor

format: ## lay the C files out with clang-format
	clang-format -i $(LIB_SRC) $(EXP_ALL) $(SHARED_ALL) $(TOOL_ALL) $(UNIT_SRC) $(FUZZ_SRC) $(HEADERS)

# What cppcheck 2.10 takes for faults, and is none: accept4(2) without an address, a test that calls no text_wrap().
CPPCHECK := --quiet --error-exitcode=1 --std=c11 -D_GNU_SOURCE --library=gnu,bsd --include=$(firstword $(wildcard \
	    /usr/include/jansson.h /usr/local/include/jansson.h)) --enable=warning,performance,portability \
	    --suppress=nullPointer:experiments/lib/net.c --suppress=ctunullpointer

lint: $(BUILD)/build.h ## check layout and code with clang-format, clang-tidy, cppcheck, shellcheck and pyflakes
	clang-format --dry-run --Werror $(LIB_SRC) $(EXP_ALL) $(SHARED_ALL) $(TOOL_ALL) $(UNIT_SRC) $(FUZZ_SRC) $(HEADERS)
	clang-tidy --quiet $(LIB_SRC) $(EXP_SRC) $(SHARED_SRC) $(TOOL_SRC) -- -std=gnu11 -D_GNU_SOURCE -Iinclude -I$(BUILD) $(JANSSON)
	cppcheck $(CPPCHECK) -Iinclude -I$(BUILD) experiments/lib experiments/echo/echo-server experiments/echo/echo-load tests/unit
	shellcheck scripts/bootstrap scripts/fuzz scripts/completion.bash scripts/kernels-guest scripts/manual scripts/matrix-task scripts/python scripts/run scripts/test .ci/run
	pyflakes3 $(wildcard tests/*.py scripts/*.py scripts/charts/*.py experiments/*/peers/*.py) \
		$(filter-out %.py,$(shell grep -sl '^#!.*python3' scripts/*))

# Not test_files: valgrind keeps descriptors for itself, and no limit is what was set.
memcheck: units ## run the C tests of the library under valgrind
	@for u in $(filter-out %/test_files,$(UNITS)); do echo "  $$u" && \
		valgrind --quiet --error-exitcode=9 $$u >/dev/null || exit; done

# What the tests run of it: `gcov` counts where a process ends without exit(3), too (tests/coverage.h).
COVERED  := experiments/lib experiments/echo/echo-server experiments/echo/echo-load

coverage: ## which lines of the library, the server and the load no test runs, by gcovr
	@command -v gcovr >/dev/null || { echo "coverage: gcovr is missing (Debian: gcovr)" >&2; exit 2; }
	-@$(MAKE) --no-print-directory BUILD=build-coverage \
		CFLAGS='-O1 -g --coverage -fprofile-update=atomic -include tests/coverage.h' test
	@gcovr --root . --object-directory build-coverage/obj $(COVERED:%=--filter '%/') --sort-percentage build-coverage

# What is installed is in folders as here, as programs and scripts find their parts beside them.
TOP      := $(DESTDIR)$(PREFIX)
SUITE    := $(TOP)/libexec/stallrace
COMMAND  := $(TOP)/bin/stallrace
COMPLETION := $(TOP)/share/bash-completion/completions/stallrace
MAN      := $(TOP)/share/man/man1
PARTS    := $(addprefix scripts/,bootstrap claims demo python quiz run shams stallrace) $(wildcard scripts/*.py scripts/charts/*.py scripts/page/*) \
	    $(EXP_ALL) $(wildcard experiments/*/*.py experiments/*/*/*.py experiments/*/*/*.js results/README.md results/reference/*.json*)
HELP2MAN := $(shell command -v help2man 2>/dev/null)

remove    = rm -rf "$(SUITE)" && rm -f "$(COMMAND)" "$(COMPLETION)" "$(MAN)/stallrace.1" "$(MAN)"/stallrace-*.1

install: all ## programs, scripts, manual pages and completion, below PREFIX
	@$(remove)
	@install -d "$(SUITE)" "$(TOP)/bin" "$(MAN)"
	@cp --parents $(BINS) $(TOOLS) $(MESSAGES) $(PARTS) "$(SUITE)"
	@[ $(BUILD) = build ] || mv "$(SUITE)/$(BUILD)" "$(SUITE)/build"
	@chmod -R u=rwX,go=rX "$(SUITE)"
	@ln -s ../libexec/stallrace/scripts/stallrace "$(COMMAND)"
	@install -D -m 644 scripts/completion.bash "$(COMPLETION)"
	@$(if $(HELP2MAN),umask 022; printf '%s\n' scripts/stallrace $(BINS) $(TOOLS) | \
		xargs -n 1 -P "$$(nproc)" scripts/manual "$(MAN)" $(VERSION),echo "no manual pages: help2man is missing")
	@echo "installed: $(COMMAND)"

uninstall: ## remove what install made
	@$(remove)

clean: ## remove what was built; results stay
	rm -rf build build-*

# --- building -------------------------------------------------------------------------------------

# These files change only when what they say does; what depends on them is rebuilt then.
write_if_changed = mkdir -p $(@D) && cat >$@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }

# Everything that is compiled needs this file.
MISSING   = $(shell CC='$(CC)' scripts/bootstrap --required)

$(BUILD)/flags: FORCE
	$(if $(MISSING),$(error missing: $(MISSING); scripts/bootstrap installs what is missing))
	@echo '$(compile) $(link) $(libs)' | { $(write_if_changed); }

$(BUILD)/sources: FORCE
	@echo '$(LIB_SRC) $(SHARED_SRC) $(TOOL_SRC)' | { $(write_if_changed); }

$(BUILD)/build.h: FORCE
	@{ echo '#define BUILD_VERSION "$(VERSION)"'; \
	   echo "#define BUILD_COMMIT \"$$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)\""; \
	   echo "#define BUILD_DIRTY $$(git diff --quiet HEAD 2>/dev/null && echo 0 || echo 1)"; \
	   echo '#define BUILD_FLAGS "$(strip $(CFLAGS) $(HARDEN) $(SANFLAGS))"'; } | { $(write_if_changed); }

$(BUILD)/obj/%.o: experiments/%.c $(BUILD)/flags | $(BUILD)/build.h
	@mkdir -p $(@D) && echo "  CC $@"
	$(quiet)$(compile) $(call pkg,--cflags,$<) -MMD -MP -c $< -o $@

$(LIB): $(LIB_OBJ) $(BUILD)/sources
	@echo "  AR $@"
	$(quiet)rm -f $@ && ar rcs $@ $(LIB_OBJ)

# An experiment is linked from its own object and those of its group's lib, a tool from all of its folder.
$(BINS): $(BUILD)/%: $(BUILD)/obj/%.o
$(foreach o,$(SHARED_OBJ),$(eval $(filter $(BUILD)/$(word 2,$(subst /, ,$(o:$(BUILD)/%=%)))/%,$(BINS)): $o))
$(foreach t,$(TOOLS),$(eval $t: $(filter $(t:$(BUILD)/%=$(BUILD)/obj/%/)%,$(TOOL_OBJ))))
$(BINS) $(TOOLS): $(LIB)
	@mkdir -p $(@D) && echo "  LD $@"
	$(quiet)$(link) $(filter %.o,$^) $(LIB) $(libs) \
		$(call pkg,--libs,$(patsubst $(BUILD)/obj/%.o,experiments/%.c,$(filter %.o,$^))) -o $@

$(BUILD)/locale/%/LC_MESSAGES/stallrace.mo: po/%.po
	@mkdir -p $(@D) && echo "  MO $@"
	$(quiet)msgfmt --check-format --output-file=$@ $<

$(UNITS): $(BUILD)/unit/%: tests/unit/%.c $(LIB) $(BUILD)/flags
	@mkdir -p $(@D) $(BUILD)/obj && echo "  LD $@"
	$(quiet)$(compile) -MMD -MP -MF $(BUILD)/obj/unit-$*.d $< $(LIB) $(LDFLAGS) $(libs) -lcmocka -o $@

# What is fuzzed of the server and of the load has no main().
$(FUZZERS): $(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB) $(addprefix $(BUILD)/obj/echo/, \
		echo-server/conn.o echo-server/conn_log.o echo-load/load_report.o echo-load/load_server.o) $(BUILD)/flags
	@mkdir -p $(@D) && echo "  LD $@"
	$(quiet)$(compile) -fsanitize=fuzzer -MMD -MP -MF $(BUILD)/obj/fuzz-$*.d \
		$< $(filter %.o,$^) $(LIB) $(LDFLAGS) $(libs) -o $@

fuzzers: $(FUZZERS) prune

units: $(UNITS) prune

prune:
	@$(if $(STALE),rm -rf $(STALE))

-include $(wildcard $(addprefix $(BUILD)/obj/,*.d */*.d */*/*.d */*/*/*.d))

FORCE:
.PHONY: all help demo test smoke bench shams fuzz soak kernels plots quiz claims report fleet reference messages fields deps doctor format lint memcheck \
	coverage install uninstall clean units fuzzers prune FORCE \
	$(GROUPS:%=run-%)
