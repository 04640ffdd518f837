/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 7693: appendix B (BLAKE2s-256 of "abc") and appendix E (the hash over the hashes of its self-test).
 */
#pragma once

#define BLAKE2S_ABC	 "508C5E8C327C14E2E1A72BA34EEB452F37458B209ED63A294D999B4C86675982"

#define BLAKE2S_SELFTEST "6A411F08CE25ADCDFB02ABA641451CEC53C598B24F4FC787FBDC88797F4C1DFE"

static const unsigned int blake2s_selftest_output_lens[] = {16, 20, 28, 32};
static const unsigned int blake2s_selftest_input_lens[] = {0, 3, 64, 65, 255, 1024};
