// SPDX-License-Identifier: Apache-2.0
/*
 * podveil cleanup: removes our programs, pins, device and guards from this node without a daemon.
 * The way out in an emergency, and the uninstall: afterwards pod traffic leaves in cleartext, and
 * the command says so. It removes nothing that is not ours, and may be repeated.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "cli.h"
#include "client.h"
#include "guard/guard.h"
#include "guard/nft_socket.h"
#include "host/tunnel_device.h"
#include "keyd_control.h"
#include "loader/loader.h"
#include "log.h"
#include "text.h"

static bool is_tun(const char *interface)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&driver};
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && copy_text(request.ifr_name, sizeof(request.ifr_name), interface) &&
	       !ioctl(fd, SIOCETHTOOL, &request) &&
	       !strncmp(driver.driver, "tun", sizeof(driver.driver));
}

/* A wrong --interface must not cost the node its network, so only a TUN device is deleted. */
static bool may_clean_up(const struct cli_settings *settings)
{
	if (geteuid() != 0) {
		log_error("cleanup removes BPF programs and devices: run as root");
		return false;
	}
	if (if_nametoindex(settings->interface) && !is_tun(settings->interface)) {
		log_error("'%s' is not a TUN device, so it is not podveil's: expected %s, or the "
			  "--interface of podveil-tunnel",
			  settings->interface, DEFAULT_INTERFACE);
		return false;
	}
	return true;
}

struct removed {
	unsigned int pins;
	bool has_device, has_guard, has_boot_guard;
};

static void print_removed(const struct cli_settings *settings, const struct removed *removed)
{
	CLEANUP_JSON json_t *answer = NULL;

	if (settings->is_json) {
		answer = json_pack("{s:{s:i,s:s?,s:b,s:b}}", "removed", "hooks_and_pins",
				   (int)removed->pins, "interface",
				   removed->has_device ? settings->interface : NULL, "guard",
				   removed->has_guard, "boot_guard", removed->has_boot_guard);
		if (answer)
			text_print_json(answer);
		return;
	}
	if (!removed->pins && !removed->has_device && !removed->has_guard &&
	    !removed->has_boot_guard) {
		text_print_line(
			"nothing to remove: this node has no podveil hooks, pins or device");
		return;
	}
	text_print_line("removed %u hooks and pins%s%s%s%s", removed->pins,
			removed->has_device ? " and the device " : "",
			removed->has_device ? settings->interface : "",
			removed->has_guard ? " and the guard's table" : "",
			removed->has_boot_guard ? " and the boot guard" : "");
	text_print_line("pod traffic of this node is no longer encrypted");
}

/* 0 if it is deleted or did not exist. */
static int report_failure(int error, int absent, const char *what)
{
	if (!error || error == absent)
		return 0;
	log_error("cannot delete %s: %s", what, strerror(-error));
	return error;
}

enum cli_exit cleanup_run(const struct cli_settings *settings)
{
	struct removed removed = {0};
	int hooks_error, device_error, guard_error, boot_guard_error;

	if (!may_clean_up(settings))
		return EXIT_FAILED;
	if (client_is_daemon_running(settings->control))
		log_warning("podveil-keyd answers at '%s' and will restore everything: stop it "
			    "first",
			    settings->control);
	hooks_error = loader_cleanup(settings->bpffs, &removed.pins); /* logs the reason itself */
	device_error = tunnel_device_delete(settings->interface);
	guard_error = nft_remove_table(GUARD_TABLE);
	boot_guard_error = nft_remove_table(BOOT_GUARD_TABLE);
	removed.has_device = !device_error;
	removed.has_guard = !guard_error;
	removed.has_boot_guard = !boot_guard_error;
	device_error = report_failure(device_error, -ENODEV, settings->interface);
	guard_error = report_failure(guard_error, -ENOENT, "the table inet " GUARD_TABLE);
	boot_guard_error = report_failure(boot_guard_error, -ENOENT, "the boot guard");
	print_removed(settings, &removed);
	return hooks_error || device_error || guard_error || boot_guard_error ? EXIT_FAILED
									      : EXIT_FINE;
}
