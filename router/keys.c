/* Derivation of SCRAM keys on a job thread, one at a time per user. */
#include "router/keys.h"

#include "core/jobs.h"
#include "core/memory.h"
#include "protocol/scram.h"
#include "router/router.h"

#include <stdlib.h>
#include <string.h>

struct keys {
	size_t count;
	struct keys_of_user users[];
};

struct keys_job {
	struct job job;
	size_t index;
	char **secrets; /* copies: the configuration may be replaced meanwhile */
	size_t secret_count;
	uint8_t salt[SECRET_SALT_BYTES];
	struct scram_keys *items;
	size_t count;
};

struct keys *keys_open(size_t user_count)
{
	struct keys *keys = calloc(1, sizeof *keys + (user_count + 1) * sizeof keys->users[0]);

	CHECK(keys);
	keys->count = user_count + 1; /* the last one is the console's */
	for (size_t i = 0; i < keys->count; i++)
		list_init(&keys->users[i].waiters);
	return keys;
}

void keys_close(struct keys *keys)
{
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
	struct keys_of_user *user = &core->router->keys->users[keys->index];

	user->items = keys->items;
	user->count = keys->count;
	user->is_deriving = false;
	keys_free_job(keys);
	keys_tell(core, user);
}

static void keys_start(
	struct core *core, size_t index, const char *name, const char *const *secrets, size_t count)
{
	struct keys_job *keys = calloc(1, sizeof *keys);

	CHECK(keys);
	keys->job = (struct job){keys_run, keys_done};
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
	core->router->keys->users[index].is_deriving = true;
	if (jobs_submit(core, &keys->job) != 0) {
		/* The queue to the job threads is full: who waits times out, the next one tries again. */
		core->router->keys->users[index].is_deriving = false;
		free(keys->items);
		keys_free_job(keys);
	}
}

const struct keys_of_user *keys_get(struct core *core, size_t index, const char *user,
	const char *const *secrets, size_t count, struct keys_wait *wait)
{
	struct keys_of_user *entry;

	CHECK(index < core->router->keys->count);
	entry = &core->router->keys->users[index];
	if (entry->items)
		return entry;
	if (!entry->is_deriving)
		keys_start(core, index, user, secrets, count);
	list_push_back(&entry->waiters, &wait->link);
	return NULL;
}
