// SPDX-License-Identifier: Apache-2.0
/*
 * Knows the name of the boot guard's table, and no more. Never touches another table.
 */
#include "boot_guard.h"

#include "nft_socket.h"

#define TABLE "podveil_boot_guard"

int boot_guard_remove(void)
{
	return nft_remove_table(TABLE);
}
