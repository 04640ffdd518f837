# Tests, demos, fuzzers and benchmarks: variables, targets and rules. Included by the Makefile.

TREE_TESTS  := $(addprefix tests/,core_is_pure.sh core_is_tested.sh no_include_circles.sh prose_is_plain.sh \
               links_lead_somewhere.sh reference_is_current.sh letter/table_is_complete.sh)
UNIT_TESTS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
BPF_TESTS   := $(patsubst tests/bpf/%.c,$(BUILD)/tests/%,$(wildcard tests/bpf/test_*.c))
TEST_TOOLS  := $(patsubst tests/tools/%.c,$(BUILD)/tools/%,$(wildcard tests/tools/*.c))
TOOL_PARTS  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/tools/*/*.c))
PRELOADS    := $(addprefix $(BUILD)/tools/,dumpable hasty_clock later older_kernel)
TEST_TOOLS  := $(filter-out $(PRELOADS),$(TEST_TOOLS)) $(addsuffix .so,$(PRELOADS))
TEST_TOOLS  := $(patsubst %.bpf,%.bpf.o,$(TEST_TOOLS))
# Tests that judge rates, gaps or delays have the machine to themselves; the rest run two at a time.
NETNS_TESTS := $(filter-out %/lib.sh,$(wildcard tests/netns/*.sh))
NETNS_ALONE := a_new_device% an_address% bad_wires% cluster_secret_changes% cluster_secret_comes% demo% every_fault% floods% hooks% idle_peers% \
               kernel_losses% keyd_restart_loses% mode_permissive% mtu_open% open_connections% rekey% rotation% ten_nodes% \
               wireguard_go_follows%
NETNS_ALONE := $(filter $(addprefix tests/netns/,$(NETNS_ALONE)),$(NETNS_TESTS))
NETNS_PAIRS := $(filter-out $(NETNS_ALONE),$(NETNS_TESTS))
FUZZERS     := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS     := $(addprefix $(BUILD)/tests/,$(FUZZERS))
KUBE_TESTS  := $(filter-out %/build.sh,$(wildcard tests/kube/*.sh))
KUBE_ALONE  := $(filter tests/kube/migration% tests/kube/shape%,$(KUBE_TESTS))
KUBE_TESTS  := $(KUBE_ALONE) --together $(filter-out $(KUBE_ALONE),$(KUBE_TESTS))

.PHONY: demo demo-kube test test-unit test-bpf test-netns test-kube test-vm soak bench bench-kube mutants fuzz sanitize \
	tools tests fuzzers
tools: $(TEST_TOOLS)

demo: deps ## see it work: two nodes, two pods, one command (as root)
	@$(MAKE) --no-print-directory -j2 all tools
	@BUILD=$(BUILD) tests/demo/demo.sh

demo-kube: ## see it work on a real API server with three nodes (as root; the first run takes 15 minutes)
	@tests/deps.sh kube
	@$(MAKE) --no-print-directory -j2 all tools
	@tests/kube/build.sh >/dev/null
	@BUILD=$(BUILD) tests/demo/demo-kube.sh

test: deps ## run all tests that need neither a Go toolchain nor a virtual machine (as root)
	@$(MAKE) --no-print-directory -j2 all tools tests
	@BUILD=$(BUILD) tests/run.sh $(TREE_TESTS) $(UNIT_TESTS) $(REPLAYS) \
		$(BPF_TESTS) $(NETNS_ALONE) --together tests/model/run.sh $(NETNS_PAIRS)

test-unit: programs tests ## run the unit tests (no root)
	@BUILD=$(BUILD) tests/run.sh $(TREE_TESTS) $(UNIT_TESTS) $(REPLAYS)

mutants: ## break each rule of WireGuard in a copy and see its test fail (no root; 2 minutes)
	@tests/letter/mutants.sh

test-bpf: all tests ## test the BPF programs, packet by packet (as root)
	@BUILD=$(BUILD) tests/run.sh $(BPF_TESTS)

test-netns: all tools ## run the network namespace tests (as root)
	@BUILD=$(BUILD) tests/run.sh $(NETNS_ALONE) --together $(NETNS_PAIRS)

test-kube: ## test with the real API server, kube-proxy and flanneld (as root; the first run builds them, 15 minutes)
	@tests/deps.sh kube
	@$(MAKE) --no-print-directory -j2 all tools
	@tests/kube/build.sh >/dev/null
	@tests/kube/helm/build.sh >/dev/null
	@BUILD=$(BUILD) SECONDS_PER_FILE=420 tests/run.sh $(KUBE_TESTS)

test-vm: ## test on the kernels of Debian 12 and 13 in emulated machines (as root; needs no KVM)
	@tests/deps.sh vm
	@$(MAKE) --no-print-directory -j2 all tools $(BPF_TESTS)
	@BUILD=$(BUILD) SECONDS_PER_FILE=660 JOBS=2 tests/run.sh tests/vm/linux_6_1.sh tests/vm/linux_6_12.sh \
		tests/vm/wireguard_6_1.sh tests/vm/wireguard_6_12.sh

soak: deps ## rotate 1,000 times under traffic, then ten nodes at once 20 times (as root; 10 minutes)
	@$(MAKE) --no-print-directory -j2 all tools
	@ROTATIONS=1000 BUILD=$(BUILD) timeout 1500 tests/netns/rotation_loses_no_packet.sh
	@ROUNDS=20 BUILD=$(BUILD) timeout 600 tests/netns/ten_nodes_rotate_at_once.sh

bench: deps ## compare the throughput with wireguard-go and with no tunnel, as ratios (as root)
	@$(MAKE) --no-print-directory -j2 all
	@BUILD=$(BUILD) tests/bench/throughput.sh

bench-kube: ## measure the load of an agent on the API server and its node, in clusters of 3 and 1,000 nodes (as root; 10 minutes)
	@tests/deps.sh kube
	@$(MAKE) --no-print-directory -j2 all tools
	@tests/kube/build.sh >/dev/null
	@BUILD=$(BUILD) tests/bench/kube.sh

# Fuzzers and sanitizers have their own builds and options. gcc mistakes the code of the sanitizers
# for a use of uninitialized values. Its UBSan can only write to stderr, so it traps instead, and
# ASan reports the place.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
DIAGNOSING := -O1 -g -fno-omit-frame-pointer

fuzz: ## fuzz each parser and the protocol for FUZZ_SECONDS (26), reproducibly with FUZZ_SEED (no root once clang's runtime is installed; 4 minutes)
	@tests/deps.sh fuzz
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/fuzz CC=$(CLANG) HARDEN=-fPIE \
		CFLAGS='$(DIAGNOSING) -fsanitize=fuzzer-no-link $(SANITIZERS)' fuzzers
	@BUILD=$(BUILD)/fuzz tests/fuzz/run.sh $(FUZZERS)

sanitize: deps ## run unit tests, fuzzing corpora and two-node tests under ASan and UBSan (as root; 10 minutes)
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)/asan HARDEN=-fPIE LDFLAGS='$(SANITIZERS)' \
		CFLAGS='$(DIAGNOSING) -Wno-maybe-uninitialized $(SANITIZERS) -fsanitize-undefined-trap-on-error' all tools tests $(BUILD)/asan/tests/overflow
	@BUILD=$(BUILD)/asan tests/sanitize/run.sh $(notdir $(UNIT_TESTS) $(REPLAYS))

fuzzers: $(addprefix $(BUILD)/,$(FUZZERS))

tests: $(UNIT_TESTS) $(REPLAYS) $(BPF_TESTS) $(BUILD)/tests/model_replay

# -- tests: each is linked with all of CORE, of which the linker picks the needed objects --

# The libraries of keyd's CORE.
CORE_LIBS := -ljansson -lmnl

$(BUILD)/core.a: $(TUNNEL_CORE_OBJECTS) $(call objects,tunnel,$(TUNNEL_AEAD))
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/keyd_core.a: $(KEYD_CORE_OBJECTS) $(BUILD)/keyd/cli/progress.o
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# Parts of SHELL that are fully observable from outside; their tests run a server of their own.
KUBE_TESTED := $(call objects,keyd/registry,whole_file kube/yaml_text kube/kubeconfig kube/credentials kube/transfer kube/http)
KUBE_TESTERS := $(addprefix $(BUILD)/tests/test_,credentials http http_trust)
$(KUBE_TESTERS): $(KUBE_TESTED)
$(KUBE_TESTERS): TEST_LIBS := $(KUBE_TESTED) -lcurl -lyaml

$(BUILD)/tests/test_%: tests/unit/test_%.c $(BUILD)/tests/test.o $(BUILD)/core.a $(BUILD)/keyd_core.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Wno-unused-parameter -Itests -Itunnel -Ikeyd -o $@ $< $(BUILD)/tests/test.o $(TEST_LIBS) $(BUILD)/core.a $(BUILD)/keyd_core.a -lcmocka $(TUNNEL_LIBS) $(CORE_LIBS)

$(BUILD)/tests/overflow: tests/sanitize/overflow.c
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -o $@ $<

# A fuzz target is linked with libFuzzer, or with a main() that only replays the corpus.
define link_fuzzer
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Itests -Itunnel -Ikeyd -o $@ $(FUZZ_MAIN) $(filter %.c %.o,$^) $(filter %.a,$^) $(TUNNEL_LIBS) $(CORE_LIBS)
endef

$(BUILD)/fuzz_settings $(BUILD)/tests/fuzz_settings: $(call objects,keyd,settings settings_rules)
$(addprefix $(BUILD)/,$(FUZZERS)): FUZZ_MAIN := -fsanitize=fuzzer
$(addprefix $(BUILD)/,$(FUZZERS)): $(BUILD)/%: tests/fuzz/%.c $(BUILD)/core.a $(BUILD)/keyd_core.a
	$(link_fuzzer)

$(REPLAYS): $(BUILD)/tests/%: tests/fuzz/%.c $(BUILD)/tests/fuzz/replay.o $(BUILD)/core.a $(BUILD)/keyd_core.a
	$(link_fuzzer)

$(BUILD)/tests/model_replay: tests/model/replay.c $(BUILD)/keyd_core.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -Ikeyd -o $@ $< $(BUILD)/keyd_core.a -lsodium $(CORE_LIBS)

$(BPF_TESTS): $(BUILD)/tests/%: tests/bpf/%.c $(BUILD)/tests/test.o $(LOADER_OBJECTS)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) -Wno-conversion -Wno-unused-parameter -I$(BUILD)/bpf -Ibpf -Itests -o $@ $< $(BUILD)/tests/test.o $(LOADER_OBJECTS) -lcmocka $(LOADER_LIBS)

$(BUILD)/tools/garbage $(BUILD)/tools/flood: TOOL_LIBS := -lb2
$(BUILD)/tools/secrets: TOOL_FLAGS := -Itunnel
$(BUILD)/tools/kernel_losses: TOOL_FLAGS := -Ibpf
$(BUILD)/tools/kernel_losses: TOOL_LIBS := $(LOADER_OBJECTS) $(LOADER_LIBS)
$(BUILD)/tools/kernel_losses: $(LOADER_OBJECTS)
$(BUILD)/tools/%: tests/tools/%.c $(BUILD)/tools.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS) $(TOOL_FLAGS) -o $@ $< $(BUILD)/tools.a -lsodium $(TOOL_LIBS)

$(BUILD)/tools.a: $(TOOL_PARTS)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/tools/%.bpf.o: tests/tools/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BUILD)/tools/%.so: tests/tools/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(filter-out -fPIE,$(CFLAGS)) -fPIC -shared -o $@ $<
