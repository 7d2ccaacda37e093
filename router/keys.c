/* Derivation of SCRAM keys on a job thread, one at a time per user. */
#include "router/keys.h"

#include "core/config.h"
#include "core/jobs.h"
#include "core/memory.h"
#include "protocol/scram.h"
#include "router/router.h"

#include <stdlib.h>
#include <string.h>

struct keys {
	unsigned holders;
	size_t count;
	struct keys_of_user users[];
};

struct keys_job {
	struct job job;
	struct keys *keys;
	size_t index;
	char **secrets; /* copies: the configuration may be replaced meanwhile */
	size_t secret_count;
	uint8_t salt[SECRET_SALT_BYTES];
	struct scram_keys *items;
	size_t count;
};

static bool keys_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool keys_same_user(const struct config_user *a, const struct config_user *b)
{
	if (strcmp(a->name, b->name) != 0 || !keys_same_text(a->password, b->password) ||
		!keys_same_text(a->password_hash, b->password_hash) ||
		a->passwords.count != b->passwords.count)
		return false;
	for (size_t i = 0; i < a->passwords.count; i++)
		if (!keys_same_text(a->passwords.items[i], b->passwords.items[i]))
			return false;
	return true;
}

/* Users mostly keep their order in the file, so each is looked for near where it was. One that is not found is derived anew. */
static void keys_take_over(struct keys *keys, const struct config *config,
	const struct keys *before, const struct config *config_before)
{
	enum { KEYS_NEAR = 8 };
	size_t next = 0;

	for (size_t i = 0; i < config->user_count; i++) {
		for (size_t j = next; j < config_before->user_count && j < next + KEYS_NEAR; j++) {
			const struct keys_of_user *had = &before->users[j];
			size_t bytes = (had->count + 1) * sizeof *had->items;

			if (!keys_same_user(&config->users[i], &config_before->users[j]))
				continue;
			next = j + 1;
			if (!had->items)
				break;
			keys->users[i].items = malloc(bytes);
			CHECK(keys->users[i].items);
			memcpy(keys->users[i].items, had->items, had->count * sizeof *had->items);
			keys->users[i].count = had->count;
			break;
		}
	}
}

struct keys *keys_open(
	const struct config *config, const struct keys *before, const struct config *config_before)
{
	size_t count = config->user_count + KEYS_CONSOLE;
	struct keys *keys = calloc(1, sizeof *keys + count * sizeof keys->users[0]);

	CHECK(keys);
	keys->holders = 1;
	keys->count = count;
	for (size_t i = 0; i < keys->count; i++)
		list_init(&keys->users[i].waiters);
	if (before)
		keys_take_over(keys, config, before, config_before);
	return keys;
}

struct keys *keys_hold(struct keys *keys)
{
	keys->holders++;
	return keys;
}

void keys_drop(struct keys *keys)
{
	if (!keys)
		return;
	CHECK(keys->holders > 0);
	if (--keys->holders > 0)
		return;
	for (size_t i = 0; i < keys->count; i++) {
		if (keys->users[i].items)
			memory_wipe(keys->users[i].items,
				keys->users[i].count * sizeof(struct scram_keys));
		free(keys->users[i].items);
	}
	free(keys);
}

static bool keys_parse(const char *text, struct secret *ret_secret)
{
	return secret_parse(text, strlen(text), ret_secret) == 0;
}

/* The salt and iterations of the challenge: those of the first stored hash, else the user's own. */
static void keys_challenge(const struct keys_job *keys, struct scram_keys *ret_keys)
{
	struct secret secret;

	memset(ret_keys, 0, sizeof *ret_keys);
	for (size_t i = 0; i < keys->secret_count; i++) {
		if (!keys_parse(keys->secrets[i], &secret) || secret.kind != SECRET_SCRAM)
			continue;
		*ret_keys = secret.scram;
		return;
	}
	ret_keys->iterations = SECRET_ITERATIONS_DEFAULT;
	ret_keys->salt_len = sizeof keys->salt;
	memcpy(ret_keys->salt, keys->salt, sizeof keys->salt);
}

static void keys_run(struct job *job)
{
	struct keys_job *keys = container_of(job, struct keys_job, job);
	struct scram_keys challenge;

	keys_challenge(keys, &challenge);
	for (size_t i = 0; i < keys->secret_count; i++) {
		struct scram_keys *item = &keys->items[keys->count];
		struct secret secret;

		if (!keys_parse(keys->secrets[i], &secret))
			continue;
		if (secret.kind == SECRET_SCRAM &&
			secret_same_challenge(&secret.scram, &challenge)) {
			*item = secret.scram;
			keys->count++;
		} else if (secret.kind == SECRET_PLAIN &&
			secret_derive_scram(secret.plain, secret.plain_len, challenge.salt,
				challenge.salt_len, challenge.iterations, item) == 0) {
			keys->count++;
		}
	}
}

static void keys_free_job(struct keys_job *keys)
{
	for (size_t i = 0; i < keys->secret_count; i++) {
		memory_wipe(keys->secrets[i], strlen(keys->secrets[i]));
		free(keys->secrets[i]);
	}
	free(keys->secrets);
	free(keys);
}

static void keys_tell(struct core *core, struct keys_of_user *user)
{
	struct list *link;

	while ((link = list_pop_front(&user->waiters))) {
		struct keys_wait *wait = container_of(link, struct keys_wait, link);

		wait->derived(core, wait);
	}
}

static void keys_done(struct core *core, struct job *job)
{
	struct keys_job *keys = container_of(job, struct keys_job, job);
	struct keys *table = keys->keys;
	struct keys_of_user *user = &table->users[keys->index];

	user->items = keys->items;
	user->count = keys->count;
	user->is_deriving = false;
	keys_free_job(keys);
	keys_tell(core, user);
	keys_drop(table);
}

static void keys_start(struct core *core, struct keys *table, size_t index, const char *name,
	const char *const *secrets, size_t count)
{
	struct keys_job *keys = calloc(1, sizeof *keys);

	CHECK(keys);
	keys->job = (struct job){.run = keys_run, .done = keys_done};
	keys->keys = keys_hold(table);
	keys->index = index;
	keys->secrets = calloc(count + 1, sizeof *keys->secrets);
	keys->items = calloc(count + 1, sizeof *keys->items);
	CHECK(keys->secrets && keys->items);
	for (size_t i = 0; i < count; i++) {
		keys->secrets[i] = memory_copy_text(secrets[i], strlen(secrets[i]));
		CHECK(keys->secrets[i]);
	}
	keys->secret_count = count;
	scram_user_salt(core->world->secret, name, keys->salt);
	table->users[index].is_deriving = true;
	if (jobs_submit(core, &keys->job) != 0) {
		/* The queue to the job threads is full: who waits times out, the next one tries again. */
		table->users[index].is_deriving = false;
		keys_drop(table);
		free(keys->items);
		keys_free_job(keys);
	}
}

const struct keys_of_user *keys_get(struct core *core, struct keys *keys, size_t index,
	const char *user, const char *const *secrets, size_t count, struct keys_wait *wait)
{
	struct keys_of_user *entry;

	CHECK(index < keys->count);
	entry = &keys->users[index];
	if (entry->items)
		return entry;
	if (!entry->is_deriving)
		keys_start(core, keys, index, user, secrets, count);
	list_push_back(&entry->waiters, &wait->link);
	return NULL;
}
