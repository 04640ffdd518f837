/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes a tcx hook as other programs would, and lists the programs on it: neither tc(8) nor
 * bpftool of Debian 12 knows tcx. It uses only system calls, with the numbers of <linux/bpf.h> of
 * Linux 6.6.
 *
 *   hooks list DEV ingress|egress             prints the programs' names in order, one a line
 *   hooks detach DEV ingress|egress PROGRAM   detaches a program's link, like `bpftool link detach`
 *   hooks before DEV ingress|egress           puts a program that does nothing before all others,
 *                                             until this process ends
 */
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "util.h"

#define TCX_INGRESS  46
#define TCX_EGRESS   47
#define BEFORE_ALL   8 /* BPF_F_BEFORE without a relative */
#define PROGRAMS_MAX 64

struct chain_query {
	uint32_t ifindex, attach_type, query_flags, attach_flags;
	uint64_t programs;
	uint32_t count, unused;
	uint64_t program_flags, links, link_flags, revision;
};

struct hook {
	uint32_t ifindex, attach_type;
	uint32_t count, programs[PROGRAMS_MAX], links[PROGRAMS_MAX];
};

static int fail(const char *what)
{
	fprintf(stderr, "hooks: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

static int call(int command, void *attributes, size_t len)
{
	return (int)syscall(__NR_bpf, command, attributes, len);
}

static int read_hook(struct hook *hook)
{
	struct chain_query query = {
		.ifindex = hook->ifindex,
		.attach_type = hook->attach_type,
		.programs = (uintptr_t)hook->programs,
		.links = (uintptr_t)hook->links,
		.count = PROGRAMS_MAX,
	};

	if (call(BPF_PROG_QUERY, &query, sizeof(query)))
		return errno == ENOENT ? 0 : -1;
	hook->count = query.count;
	return 0;
}

static void read_name(uint32_t id, char ret_name[static BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {0};
	union bpf_attr attributes = {.prog_id = id};
	CLEANUP_CLOSE int fd = call(BPF_PROG_GET_FD_BY_ID, &attributes, sizeof(attributes));

	memset(&attributes, 0, sizeof(attributes));
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof(info);
	attributes.info.info = (uintptr_t)&info;
	if (fd < 0 || call(BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof(attributes)))
		strcpy(info.name, "?");
	memcpy(ret_name, info.name, BPF_OBJ_NAME_LEN);
}

static int list(struct hook *hook)
{
	char name[BPF_OBJ_NAME_LEN];

	if (read_hook(hook))
		return fail("cannot ask the kernel");
	for (uint32_t i = 0; i < hook->count; i++) {
		read_name(hook->programs[i], name);
		puts(name);
	}
	return EXIT_SUCCESS;
}

static int detach_link(uint32_t id)
{
	union bpf_attr attributes = {.link_id = id};
	CLEANUP_CLOSE int fd = call(BPF_LINK_GET_FD_BY_ID, &attributes, sizeof(attributes));

	memset(&attributes, 0, sizeof(attributes));
	attributes.link_detach.link_fd = (uint32_t)fd;
	return fd < 0 || call(BPF_LINK_DETACH, &attributes, sizeof(attributes))
		       ? fail("cannot detach")
		       : EXIT_SUCCESS;
}

static int detach(struct hook *hook, const char *program)
{
	char name[BPF_OBJ_NAME_LEN];

	if (read_hook(hook))
		return fail("cannot ask the kernel");
	for (uint32_t i = 0; i < hook->count; i++) {
		read_name(hook->programs[i], name);
		if (!strcmp(name, program))
			return detach_link(hook->links[i]);
	}
	errno = ENOENT;
	return fail(program);
}

/* r0 = TCX_NEXT; exit */
static int load_nothing(void)
{
	static const struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = (uintptr_t)instructions,
		.insn_cnt = ARRAY_SIZE(instructions),
		.license = (uintptr_t) "Apache-2.0",
		.prog_name = "somebody",
	};

	return call(BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static int stand_before(const struct hook *hook)
{
	CLEANUP_CLOSE int program = load_nothing(), link = -1;
	union bpf_attr attributes = {0};

	attributes.link_create.prog_fd = (uint32_t)program;
	attributes.link_create.target_fd = hook->ifindex;
	attributes.link_create.attach_type = hook->attach_type;
	attributes.link_create.flags = BEFORE_ALL;
	link = program < 0 ? -1 : call(BPF_LINK_CREATE, &attributes, sizeof(attributes));
	if (link < 0)
		return fail("cannot attach");
	puts("there");
	fflush(stdout);
	pause();
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct hook hook = {0};

	if (argc < 4 || (strcmp(argv[3], "ingress") && strcmp(argv[3], "egress"))) {
		fputs("usage: hooks list|detach|before DEV ingress|egress [PROGRAM]\n", stderr);
		return 2;
	}
	hook.ifindex = if_nametoindex(argv[2]);
	hook.attach_type = strcmp(argv[3], "egress") ? TCX_INGRESS : TCX_EGRESS;
	if (!hook.ifindex)
		return fail(argv[2]);
	if (!strcmp(argv[1], "list"))
		return list(&hook);
	if (!strcmp(argv[1], "before"))
		return stand_before(&hook);
	return detach(&hook, argc > 4 ? argv[4] : "");
}
