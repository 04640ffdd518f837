# podveil: builds the programs; tests/tests.mk has the tests. `make help` lists the targets of both.
# TUNNEL_CORE and KEYD_CORE make no system call, read no clock and allocate nothing
# (tests/core_is_pure.sh checks their symbols).

BUILD     ?= build
PREFIX    ?= /usr/local
CC        ?= gcc
CLANG     ?= clang
BPFTOOL   ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
ARCH      := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

TUNNEL_CORE  := crypto identity noise index session replay cookie ratelimit timers allowedips peer pair path stage outbox send receive \
                expire tunnel configure place manage uapi $(addprefix packet/,checksum segment coalesce icmp)
TUNNEL_AEAD  := aead/aead aead/sodium
TUNNEL_SHELL := tun udp verbs control loop sandbox monitor main
KEYD_CORE    := $(addprefix agent/,schedule verdict ratchet pod_cidrs) \
                $(addprefix cluster/,backoff annotation node reason prefix bypass bypass_rules claim cluster dispute presence rotate secret) \
                $(addprefix host/,underlay pods overlay) datapath/repairs $(addprefix guard/,nft_batch guard guard_rules) \
                $(addprefix registry/kube/,object node_object endpoint_slice config_map request reflect)
KEYD_SHELL   := main settings settings_rules tunnel_client cluster/members \
                $(addprefix agent/,agent loop intake reconcile facts hooks keys peers peer_request questions connection mode events commands \
                control report report_parts report_status report_peers report_keys bypasses) \
                $(addprefix host/,link link_monitor rtnetlink tunnel_device) $(addprefix datapath/,datapath watch) \
                $(addprefix guard/,guard_table nft_socket) $(addprefix registry/,registry_file secret_file whole_file) \
                $(addprefix registry/kube/,yaml_text kubeconfig credentials transfer http kube reflector other_nodes own_node \
                api_endpoints probes mode events admission kubeadm_range kubernetes)
LOADER       := $(addprefix loader/,loader attach inspect cleanup place tcx clsact bpffs kernel_drops)
CLI          := main client status peers key_status rotate_key mode progress cleanup version text

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Werror
HARDEN   := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -D_FORTIFY_SOURCE=2 \
            -ftrivial-auto-var-init=zero -fPIE
HARDEN   := $(if $(filter x86,$(ARCH)),$(HARDEN),$(filter-out -fcf-protection=full,$(HARDEN)))
CFLAGS   ?= -O2 -g
# For tests: keyd crashes at the point named by PODVEIL_CRASH_AFTER (keyd/crash_point.h). Needs its
# own build directory.
override CFLAGS += $(if $(CRASH_POINTS),-DPODVEIL_CRASH_POINTS)
override CFLAGS += -std=gnu17 -D_GNU_SOURCE $(WARNINGS) $(HARDEN) -Iinclude -MMD -MP
LDFLAGS  ?=
override LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu17 -Wall -Wextra -Werror -Iinclude \
              -idirafter /usr/include/$(shell uname -m)-linux-gnu

TUNNEL_LIBS := -lsodium -lb2
LOADER_LIBS := -lbpf -lelf -lz -lmnl
CLI_LIBS    := -ljansson -lsodium $(LOADER_LIBS)
KEYD_LIBS   := $(CLI_LIBS) -lcurl -lyaml

# One short line for each step; V=1 prints the commands.
Q   := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$@')

PROGRAMS := $(addprefix $(BUILD)/,podveil-tunnel podveil-keyd podveil)

objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(2))
TUNNEL_CORE_OBJECTS := $(call objects,tunnel,$(TUNNEL_CORE))
KEYD_CORE_OBJECTS   := $(call objects,keyd,$(KEYD_CORE))
LOADER_OBJECTS      := $(call objects,bpf,$(LOADER))

.PHONY: all deps programs image reference install clean help
all: programs ## build the three programs into build/
programs: $(PROGRAMS)

deps: ## install the missing Debian packages (as root)
	@tests/deps.sh

image: ## build the container image as an OCI archive in .cache/image/, without a registry (as root)
	@tests/deps.sh image
	@JOBS=2 deploy/image.sh

reference: programs ## write docs/reference.md again, after a change of flags or drop reasons
	BUILD=$(BUILD) CC=$(CC) docs/reference.sh >$(BUILD)/reference.md
	cp $(BUILD)/reference.md docs/reference.md

MAN_PAGES := $(patsubst man/%.in,$(BUILD)/man/%,$(wildcard man/*.8.in))
$(BUILD)/man/%.8: man/%.8.in man/page.sh man/flags.awk $(PROGRAMS)
	@mkdir -p $(@D)
	$(call say,MAN)
	$(Q)BUILD=$(BUILD) man/page.sh $< >$@.tmp && mv $@.tmp $@

install: all $(MAN_PAGES) ## copy programs and man pages to $(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 0644 $(MAN_PAGES) $(DESTDIR)$(PREFIX)/share/man/man8

clean: ## remove the build directory
	rm -rf $(BUILD)

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(filter Makefile %.mk,$(MAKEFILE_LIST)) | expand -t 22

# The objects of CORE, one a line, for tests/core_is_pure.sh and tests/core_is_tested.sh.
.PHONY: print-core
print-core:
	@printf 'tunnel %s\n' $(TUNNEL_CORE_OBJECTS) $(call objects,tunnel,$(TUNNEL_AEAD))
	@printf 'keyd %s\n' $(KEYD_CORE_OBJECTS)

# -- programs --

$(BUILD)/podveil-tunnel: $(TUNNEL_CORE_OBJECTS) $(call objects,tunnel,$(TUNNEL_AEAD) $(TUNNEL_SHELL))
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(TUNNEL_LIBS)

$(BUILD)/podveil-keyd: $(KEYD_CORE_OBJECTS) $(call objects,keyd,$(KEYD_SHELL)) $(LOADER_OBJECTS)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(KEYD_LIBS)

$(BUILD)/podveil: $(call objects,keyd/cli,$(CLI)) $(call objects,keyd,host/tunnel_device host/rtnetlink guard/nft_socket guard/nft_batch) $(LOADER_OBJECTS)
	$(call say,LINK)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CLI_LIBS)

# A file includes headers in other directories of its program by their path below the program's.
$(BUILD)/keyd/%.o: INCLUDES := -Ikeyd -Ibpf
$(BUILD)/tunnel/%.o: INCLUDES := -Itunnel
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) $(INCLUDES) -c -o $@ $<

# -- BPF: the object, then its skeleton, which only loader.c or kernel_drops.c includes --

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) include/bpf_abi.h include/drop_reason.h
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<
	@llvm-strip -g $@ 2>/dev/null || true

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@.tmp 2>/dev/null && mv $@.tmp $@

.PRECIOUS: $(BUILD)/bpf/%.bpf.o
$(BUILD)/bpf/loader/loader.o: $(BUILD)/bpf/podveil.skel.h
$(BUILD)/bpf/loader/kernel_drops.o: $(BUILD)/bpf/kernel_drops.skel.h
$(BUILD)/bpf/loader/loader.o $(BUILD)/bpf/loader/kernel_drops.o: $(BUILD)/bpf/%.o: bpf/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -I$(BUILD)/bpf -c -o $@ $<

# Optional, because the container image is built from a tree without tests/.
-include tests/tests.mk

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
