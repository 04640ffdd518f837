// SPDX-License-Identifier: Apache-2.0
/* keyd/host/overlay.c: in which UDP ports an overlay's packets are looked for. */
#include "host/overlay.h"
#include "test.h"

static struct underlay_device devices[8];
static struct underlay_view view;
static struct datapath_config config;

static int begin(void **state)
{
	view = (struct underlay_view){.devices = devices};
	memset(devices, 0, sizeof(devices));
	memset(&config, 0xff, sizeof(config));
	return 0;
}

static bool is_among(const __u16 ports[static OVERLAY_PORTS_MAX], uint16_t port)
{
	for (unsigned int i = 0; i < OVERLAY_PORTS_MAX; i++)
		if (ports[i] == port)
			return true;
	return false;
}

TEST(customary_ports_are_watched_without_any_device, begin)
{
	assert_true(overlay_list_ports(&config, &view));
	assert_true(is_among(config.vxlan_ports, 4789) && is_among(config.vxlan_ports, 8472));
	assert_true(is_among(config.geneve_ports, 6081));
	assert_int_equal(config.vxlan_ports[2], 0);
	assert_int_equal(config.geneve_ports[1], 0);
}

TEST(ports_of_devices_come_first_and_once, begin)
{
	devices[0].vxlan_port = 9000;
	devices[1].vxlan_port = 8472;
	devices[2].vxlan_port = 9000;
	devices[3].geneve_port = 9001;
	view.device_count = 4;
	assert_true(overlay_list_ports(&config, &view));
	assert_int_equal(config.vxlan_ports[0], 9000);
	assert_int_equal(config.vxlan_ports[1], 8472);
	assert_int_equal(config.vxlan_ports[2], 4789);
	assert_int_equal(config.vxlan_ports[3], 0);
	assert_int_equal(config.geneve_ports[0], 9001);
	assert_true(is_among(config.geneve_ports, 6081));
}

TEST(customary_ports_give_way_to_those_of_devices, begin)
{
	for (uint16_t i = 0; i < OVERLAY_PORTS_MAX; i++)
		devices[i].vxlan_port = (uint16_t)(9000 + i);
	view.device_count = OVERLAY_PORTS_MAX;
	assert_true(overlay_list_ports(&config, &view));
	assert_int_equal(config.vxlan_ports[3], 9003);
}

TEST(ports_beyond_the_limit_are_reported, begin)
{
	for (uint16_t i = 0; i < OVERLAY_PORTS_MAX + 1; i++)
		devices[i].vxlan_port = (uint16_t)(9000 + i);
	view.device_count = OVERLAY_PORTS_MAX + 1;
	assert_false(overlay_list_ports(&config, &view));
}
