/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version that all three programs report.
 */
#pragma once

#define PODVEIL_VERSION "0.1.0"
