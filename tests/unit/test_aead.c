// SPDX-License-Identifier: Apache-2.0
/*
 * Every engine this machine has, against crypto_seal and crypto_open and against RFC 8439.
 */
#include "aead/aead.h"
#include "crypto.h"
#include "vectors/chacha20poly1305.h"
#include "vectors/hex.h"
#include "with_sodium.h"

#define LEN_MAX 2000
#define BATCH	64

static const char *const engine_names[] = {"sodium"};

static uint8_t keys[BATCH][KEY_LEN];
static uint8_t plain[BATCH][LEN_MAX], sealed[BATCH][LEN_MAX + TAG_LEN];
static uint8_t expected[LEN_MAX + TAG_LEN];

static int fill_buffers(void **state)
{
	static const uint8_t seed[randombytes_SEEDBYTES] = {42};

	randombytes_buf_deterministic(keys, sizeof(keys), seed);
	randombytes_buf_deterministic(plain, sizeof(plain), seed);
	memset(sealed, 0, sizeof(sealed));
	return 0;
}

static uint64_t counter_of(unsigned int i)
{
	return 0x0102030405060708ULL * i;
}

static struct aead_job seal_job(unsigned int i, uint32_t len, bool in_place)
{
	if (in_place)
		memcpy(sealed[i], plain[i], len);
	return (struct aead_job){.key = keys[i],
				 .counter = counter_of(i),
				 .input = in_place ? sealed[i] : plain[i],
				 .output = sealed[i],
				 .len = len};
}

static void seals_as_crypto_seal(const struct aead_engine *engine, uint32_t first_len,
				 unsigned int count, bool in_place)
{
	struct aead_job jobs[BATCH];

	for (unsigned int i = 0; i < count; i++)
		jobs[i] = seal_job(i, MIN(first_len + i, LEN_MAX), in_place);
	engine->seal(jobs, count);
	for (unsigned int i = 0; i < count; i++) {
		crypto_seal(expected, plain[i], jobs[i].len, NULL, 0, counter_of(i), keys[i]);
		assert_memory_equal(sealed[i], expected, jobs[i].len + TAG_LEN);
	}
}

static void opens_what_was_sealed(const struct aead_engine *engine, uint32_t first_len,
				  unsigned int count, bool in_place)
{
	static uint8_t opened[BATCH][LEN_MAX];
	struct aead_job jobs[BATCH];

	for (unsigned int i = 0; i < count; i++)
		jobs[i] = (struct aead_job){.key = keys[i],
					    .counter = counter_of(i),
					    .input = sealed[i],
					    .output = in_place ? sealed[i] : opened[i],
					    .len = MIN(first_len + i, LEN_MAX) + TAG_LEN};
	engine->open(jobs, count);
	for (unsigned int i = 0; i < count; i++) {
		assert_true(jobs[i].is_authentic);
		assert_memory_equal(jobs[i].output, plain[i], jobs[i].len - TAG_LEN);
	}
}

static void each_length(const struct aead_engine *engine, bool in_place)
{
	for (uint32_t len = 0; len <= LEN_MAX; len += BATCH) {
		seals_as_crypto_seal(engine, len, BATCH, in_place);
		opens_what_was_sealed(engine, len, BATCH, in_place);
	}
}

static void each_batch_size(const struct aead_engine *engine)
{
	for (unsigned int count = 0; count <= BATCH; count++)
		seals_as_crypto_seal(engine, 1400, count, false);
}

/* Of a batch, every third is forged, each in another place: key stream, tag, counter, length. */
static void flags_forgeries(const struct aead_engine *engine)
{
	static uint8_t opened[LEN_MAX];
	struct aead_job jobs[BATCH];

	seals_as_crypto_seal(engine, 100, BATCH, false);
	for (unsigned int i = 0; i < BATCH; i++) {
		jobs[i] = (struct aead_job){.key = keys[i],
					    .counter = counter_of(i),
					    .input = sealed[i],
					    .output = sealed[i],
					    .len = 100 + i + TAG_LEN,
					    .is_authentic = i % 3 == 0};
		if (i % 12 == 0)
			sealed[i][i] ^= 1;
		else if (i % 12 == 3)
			sealed[i][100 + i] ^= 0x80;
		else if (i % 12 == 6)
			jobs[i].counter ^= 1;
		else if (i % 12 == 9)
			jobs[i].len--;
	}
	engine->open(jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++) {
		assert_int_equal(jobs[i].is_authentic, i % 3 != 0);
		if (i % 3)
			assert_memory_equal(sealed[i], plain[i], 100 + i);
	}
	for (unsigned int len = 0; len < TAG_LEN; len++) {
		jobs[0] = (struct aead_job){.key = keys[0],
					    .input = sealed[0],
					    .output = opened,
					    .len = len,
					    .is_authentic = true};
		engine->open(jobs, 1);
		assert_false(jobs[0].is_authentic);
	}
}

/* The published vector has associated data, which data messages lack: the ciphertext agrees, the
 * tag cannot. */
static void agrees_with_rfc_8439(const struct aead_engine *engine)
{
	uint8_t key[KEY_LEN], text[RFC8439_A_5_LEN], output[RFC8439_A_5_LEN + TAG_LEN];
	uint8_t published[RFC8439_A_5_LEN + TAG_LEN];
	struct aead_job job = {.key = key,
			       .counter = RFC8439_A_5_COUNTER,
			       .input = text,
			       .output = output,
			       .len = sizeof(text)};

	unhex(key, sizeof(key), RFC8439_A_5_KEY);
	unhex(text, sizeof(text), RFC8439_A_5_PLAIN);
	unhex(published, sizeof(published), RFC8439_A_5_SEALED);
	engine->seal(&job, 1);
	assert_memory_equal(output, published, sizeof(text));
}

static const struct aead_engine *engine_or_null(size_t i)
{
	const struct aead_engine *engine = aead_find(engine_names[i]);

	if (!engine)
		print_message("# this machine has no engine '%s'\n", engine_names[i]);
	return engine;
}

#define FOR_EACH_ENGINE(engine)                               \
	for (size_t n = 0; n < ARRAY_SIZE(engine_names); n++) \
		for (const struct aead_engine *engine = engine_or_null(n); engine; engine = NULL)

TEST(aead_agrees_with_crypto_for_every_length, fill_buffers)
{
	FOR_EACH_ENGINE(engine)
	each_length(engine, false);
}

TEST(aead_agrees_with_crypto_in_place, fill_buffers)
{
	FOR_EACH_ENGINE(engine)
	each_length(engine, true);
}

TEST(aead_takes_batches_of_every_size, fill_buffers)
{
	FOR_EACH_ENGINE(engine)
	each_batch_size(engine);
}

TEST(aead_flags_each_forgery_of_a_batch_and_opens_the_rest, fill_buffers)
{
	FOR_EACH_ENGINE(engine)
	flags_forgeries(engine);
}

TEST(aead_agrees_with_rfc_8439_a_5, fill_buffers)
{
	FOR_EACH_ENGINE(engine)
	agrees_with_rfc_8439(engine);
}

TEST(aead_finds_engines_by_name_and_one_for_auto)
{
	assert_ptr_equal(aead_find("sodium"), &aead_sodium);
	assert_non_null(aead_find("auto"));
	assert_null(aead_find("none"));
	assert_null(aead_find(""));
}
