/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches programs to devices and detaches them. While one version of a program replaces another,
 * each packet meets exactly one of them; while one mechanism replaces the other, at least one: the
 * new hook works before the old one is removed.
 */
#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/if_arp.h>

#include "loader.h"
#include "loader_parts.h"
#include "log.h"

/* -- the entry for a device -- */

static int find_link_type(unsigned int ifindex, unsigned short *ret_type)
{
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	if (fd < 0)
		return -errno;
	if (!if_indextoname(ifindex, request.ifr_name))
		return -ENODEV;
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		return -errno;
	*ret_type = request.ifr_hwaddr.sa_family;
	return 0;
}

/* The names of the entries, by the header with which the device's packets begin. */
static const struct {
	const char *ethernet, *bare_ip;
} entries[LOADER_PROGRAMS] = {
	[LOADER_TO_WIRE] = {"to_wire", "to_wire_l3"},
	[LOADER_FROM_TUNNEL] = {NULL, "from_tunnel"},
	[LOADER_WIRE_GUARD] = {"wire_guard", "wire_guard_l3"},
	[LOADER_FROM_WIRE] = {"from_wire", "from_wire_l3"},
};

static const char *choose_entry(enum loader_program program, unsigned short link_type)
{
	switch (link_type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return entries[program].ethernet;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		return entries[program].bare_ip;
	default:
		return NULL;
	}
}

int loader_find_entry(const struct loader *loader, enum loader_program program,
		      unsigned int ifindex, const struct bpf_program **ret_entry)
{
	unsigned short link_type = 0;
	int err = find_link_type(ifindex, &link_type);
	const char *name;

	if (err)
		return err;
	name = choose_entry(program, link_type);
	if (!name)
		return -EPROTONOSUPPORT;
	*ret_entry = bpf_object__find_program_by_name(loader->object, name);
	return *ret_entry ? 0 : -ENOENT;
}

/* -- shared by the steps -- */

bool loader_wants_link(const struct loader *loader, enum loader_program program)
{
	return loader->uses_tcx && program != LOADER_WIRE_GUARD;
}

/* After to_wire only if that is a filter, too. */
uint32_t loader_priority(const struct loader *loader, enum loader_program program)
{
	return program == LOADER_WIRE_GUARD && !loader->uses_tcx ? PRIORITY_GUARD : PRIORITY_FIRST;
}

int loader_log_failure(int err, const char *action, enum loader_program program,
		       unsigned int ifindex)
{
	char name[IF_NAMESIZE];

	place_device_name(name, ifindex);
	if (err == -EPROTONOSUPPORT)
		log_error("device %s: %s cannot read this kind of device: "
			  "expected one that carries %s",
			  name, place_program_name(program),
			  program == LOADER_FROM_TUNNEL ? "bare IP" : "Ethernet or bare IP");
	else if (err == -EBUSY)
		log_error("device %s: a foreign filter occupies the place of %s in its clsact "
			  "(handle %#x): remove it with `tc filter del`",
			  name, place_program_name(program),
			  place_of_filter(program, ifindex, 0).handle);
	else
		log_error("device %s: %s %s failed: %s", name, action, place_program_name(program),
			  strerror(-err));
	return err;
}

int loader_add_result(int sum, int result)
{
	if (sum < 0 || result < 0)
		return sum < 0 ? sum : result;
	return sum + result;
}

/* -- detach -- */

int loader_detach_filters(enum loader_program program, unsigned int ifindex, uint32_t keep_priority)
{
	int sum = 0;

	for (uint32_t priority = PRIORITY_FIRST; priority < PRIORITIES_END; priority++) {
		struct clsact_place place = place_of_filter(program, ifindex, priority);

		if (priority != keep_priority)
			sum = loader_add_result(sum, clsact_detach(&place));
	}
	return sum;
}

static int detach_links(const char *bpffs, enum loader_program program, unsigned int ifindex)
{
	char pin[PATH_MAX];
	struct tcx_place place;

	place_format_link(pin, bpffs, program, ifindex);
	place = place_of_link(program, ifindex, pin);
	return loader_add_result(tcx_detach(pin), tcx_detach_unpinned(&place));
}

/* Removes the hook of an agent that used the other mechanism. */
static int remove_other(const struct loader *loader, enum loader_program program,
			unsigned int ifindex)
{
	if (loader_wants_link(loader, program))
		return loader_detach_filters(program, ifindex, 0);
	return loader_add_result(
		loader_detach_filters(program, ifindex, loader_priority(loader, program)),
		detach_links(loader->bpffs, program, ifindex));
}

/* -- attach -- */

/* The kernel accepts a program only once per hook, and the old link must stay until the new one
 * works. So a twin of the program overtakes it. */
static int attach_link(const struct loader *loader, const struct tcx_place *place,
		       const struct bpf_program *entry)
{
	CLEANUP_CLOSE int twin = -1;
	int err = tcx_attach(place, bpf_program__fd(entry));

	if (err != -EEXIST)
		return err;
	twin = loader_load_twin(loader, bpf_program__name(entry));
	return twin < 0 ? twin : tcx_attach(place, twin);
}

static int attach_entry(const struct loader *loader, enum loader_program program,
			unsigned int ifindex, const struct bpf_program *entry)
{
	char pin[PATH_MAX];
	struct clsact_place filter =
		place_of_filter(program, ifindex, loader_priority(loader, program));
	struct tcx_place link;

	place_format_link(pin, loader->bpffs, program, ifindex);
	link = place_of_link(program, ifindex, pin);
	return loader_wants_link(loader, program) ? attach_link(loader, &link, entry)
						  : clsact_attach(&filter, bpf_program__fd(entry));
}

static int attach(const struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	const struct bpf_program *entry;
	int err = loader_find_entry(loader, program, ifindex, &entry);

	return err ? err : attach_entry(loader, program, ifindex, entry);
}

int loader_attach(struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	int err = attach(loader, program, ifindex);

	if (!err)
		err = remove_other(loader, program, ifindex);
	return err < 0 ? loader_log_failure(err, "attaching", program, ifindex) : 0;
}

int loader_detach(struct loader *loader, enum loader_program program, unsigned int ifindex)
{
	int result = loader_add_result(detach_links(loader->bpffs, program, ifindex),
				       loader_detach_filters(program, ifindex, 0));

	return result < 0 ? loader_log_failure(result, "detaching", program, ifindex) : 0;
}
