// SPDX-License-Identifier: Apache-2.0
/*
 * Drops privileges in an order in which each step is still permitted: bounding set and securebits
 * need CAP_SETPCAP, the change of user needs CAP_SETUID, the rest needs nothing. Changing the user
 * clears the death signal and the dumpable flag, so both are set after it. If anything could not be
 * dropped, the process does not run.
 */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "log.h"

#define NOBODY	      65534
#define STACK_LEN     (64 * 1024) /* more than the engine's calls use */
#define CAPABILITY(n) (1ULL << (n))
#define SECUREBITS_ALL                                                                           \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                         \
	 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

struct capability {
	unsigned int number;
	const char *name;
	bool is_parents; /* needed while running: the rest only to start */
};

static const struct capability needed[] = {
	{CAP_NET_ADMIN, "CAP_NET_ADMIN", true}, /* the TUN, SO_MARK, SO_RCVBUFFORCE */
	{CAP_KILL, "CAP_KILL", true},		/* signals to the engine, which is another user */
	{CAP_SETUID, "CAP_SETUID", false},	{CAP_SETGID, "CAP_SETGID", false},
	{CAP_SETPCAP, "CAP_SETPCAP", false},
};

/* The parent keeps it if it has it, but does not require it: a port below 1024 is unusual. */
#define CAPABILITIES_IF_THERE CAPABILITY(CAP_NET_BIND_SERVICE)

struct capability_sets {
	uint64_t effective, permitted, inheritable;
};

static int get_capabilities(struct capability_sets *ret_sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	*ret_sets = (struct capability_sets){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
		.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
	};
	return 0;
}

static int keep_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
		{.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

bool sandbox_has_privileges(void)
{
	struct capability_sets sets;
	char missing[128] = "";

	if (get_capabilities(&sets))
		return true; /* a missing capability will be reported where it is needed */
	for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++) {
		size_t used = strlen(missing);

		if (!(sets.effective & CAPABILITY(needed[i].number)))
			snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "",
				 needed[i].name);
	}
	if (!*missing)
		return true;
	log_error("missing privileges: %s: run as root, or give the container these capabilities",
		  missing);
	return false;
}

void *sandbox_map(size_t len)
{
	uint8_t *guarded = mmap(NULL, len + 2 * SANDBOX_PAGE_LEN, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (guarded == MAP_FAILED)
		return NULL;
	if (!mprotect(guarded + SANDBOX_PAGE_LEN, len, PROT_READ | PROT_WRITE))
		return guarded + SANDBOX_PAGE_LEN;
	munmap(guarded, len + 2 * SANDBOX_PAGE_LEN);
	return NULL;
}

bool sandbox_forbid_access(void *page)
{
	if (!mprotect(page, SANDBOX_PAGE_LEN, PROT_NONE))
		return true;
	log_error("cannot set up a guard page beside the keys: %s", strerror(errno));
	return false;
}

/* Keys are on the stack while a message is sealed or opened. */
static bool protect_stack(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uint8_t *end = (uint8_t *)(here / SANDBOX_PAGE_LEN * SANDBOX_PAGE_LEN);

	sodium_stackzero(STACK_LEN + SANDBOX_PAGE_LEN); /* so that its pages exist */
	return !mlock(end - STACK_LEN, STACK_LEN) &&
	       !madvise(end - STACK_LEN, STACK_LEN, MADV_DONTDUMP);
}

void sandbox_protect_memory(void *state, size_t state_len, void *secrets, size_t secrets_len)
{
	if (mlock(secrets, secrets_len) || !protect_stack())
		log_warning(
			"KEYS MAY REACH THE SWAP: cannot lock %zu KiB of memory: %s: give CAP_IPC_LOCK, or raise "
			"the limit of locked memory (ulimit -l)",
			secrets_len / 1024, strerror(errno));
	if (madvise(state, state_len, MADV_DONTDUMP) ||
	    madvise(secrets, secrets_len, MADV_WIPEONFORK))
		log_warning("cannot keep the keys' memory out of dumps and children: %s",
			    strerror(errno));
}

static int drop_bounding_set(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability))
			return -errno;
	return 0;
}

static int clear_ambient_set(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ? -errno : 0;
}

static int set_securebits(void)
{
	return prctl(PR_SET_SECUREBITS, SECUREBITS_ALL) ? -errno : 0;
}

static int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct capability_sets sets;
	int error = keep_capabilities(0);

	if (!error)
		error = get_capabilities(&sets);
	if (error)
		return error;
	return sets.effective || sets.permitted || sets.inheritable ? -EPERM : 0;
}

static int forbid_new_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static int forbid_dumps(void)
{
	const struct rlimit none = {0, 0};

	return prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}

static int forbid_children(void)
{
	const struct rlimit none = {0, 0};

	return setrlimit(RLIMIT_NPROC, &none) ? -errno : 0;
}

static int keep_parents_capabilities(void)
{
	uint64_t kept = CAPABILITIES_IF_THERE;
	struct capability_sets sets;
	int error = get_capabilities(&sets);

	for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++)
		if (needed[i].is_parents)
			kept |= CAPABILITY(needed[i].number);
	return error ? error : keep_capabilities(kept & sets.permitted);
}

struct step {
	const char *text;
	int (*take)(void);
};

static bool take_steps(const struct step *steps, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int error = steps[i].take();

		if (error) {
			log_error("cannot %s: %s", steps[i].text, strerror(-error));
			return false;
		}
	}
	return true;
}

bool sandbox_enter_parent(void)
{
	static const struct step steps[] = {
		{"drop the bounding set of capabilities", drop_bounding_set},
		{"clear the ambient capabilities", clear_ambient_set},
		{"lock the securebits", set_securebits},
		{"drop capabilities", keep_parents_capabilities},
		{"forbid new privileges", forbid_new_privileges},
		{"forbid core dumps", forbid_dumps},
	};

	return take_steps(steps, ARRAY_SIZE(steps));
}

bool sandbox_enter_engine(pid_t parent)
{
	static const struct step steps[] = {
		{"drop the bounding set of capabilities", drop_bounding_set},
		{"clear the ambient capabilities", clear_ambient_set},
		{"lock the securebits", set_securebits},
		{"switch to user nobody (65534)", become_nobody},
		{"drop all capabilities", drop_capabilities},
		{"forbid new privileges", forbid_new_privileges},
		{"forbid core dumps", forbid_dumps},
		{"forbid children", forbid_children},
	};

	if (!take_steps(steps, ARRAY_SIZE(steps)))
		return false;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL)) {
		log_error("cannot request a signal for the parent's death: %s", strerror(errno));
		return false;
	}
	return getppid() ==
	       parent; /* false: the parent died before the request, and no process reads our log */
}
