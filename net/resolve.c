/* getaddrinfo on a thread of its own, as it may wait for a name server. */
#include "net/resolve.h"

#include "core/core.h"
#include "core/errors.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

static void resolve_run(struct job *job)
{
	struct resolve *resolve = container_of(job, struct resolve, job);
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char service[8];
	int error;

	snprintf(service, sizeof service, "%u", resolve->port);
	resolve->count = 0;
	error = getaddrinfo(resolve->host, service, &hints, &found);
	job->has_failed = true;
	if (error) {
		resolve->error = ERR_RESOLVE;
		resolve->reason = gai_strerror(error);
		return;
	}
	for (struct addrinfo *info = found; info && resolve->count < RESOLVE_MAX;
		info = info->ai_next) {
		struct address *address = &resolve->addresses[resolve->count];

		if (info->ai_addrlen > sizeof address->ip6)
			continue;
		memset(address, 0, sizeof *address);
		memcpy(&address->any, info->ai_addr, info->ai_addrlen);
		address->len = info->ai_addrlen;
		resolve->count++;
	}
	freeaddrinfo(found);
	resolve->error = resolve->count > 0 ? 0 : ERR_RESOLVE;
	resolve->reason = "the name has no address";
	job->has_failed = resolve->error != 0;
}

static void resolve_share(struct job *job, struct job *other)
{
	struct resolve *resolve = container_of(job, struct resolve, job);
	const struct resolve *found = container_of(other, struct resolve, job);

	resolve->error = found->error;
	resolve->reason = found->reason;
	resolve->count = found->count;
	memcpy(resolve->addresses, found->addresses, sizeof resolve->addresses);
}

static void resolve_done(struct core *core, struct job *job)
{
	struct resolve *resolve = container_of(job, struct resolve, job);

	resolve->resolved(core, resolve);
}

int resolve_start(struct core *core, struct resolve *resolve)
{
	snprintf(resolve->key, sizeof resolve->key, "%s %u", resolve->host, resolve->port);
	resolve->job = (struct job){.run = resolve_run,
		.done = resolve_done,
		.key = resolve->key,
		.share = resolve_share};
	return jobs_submit(core, &resolve->job);
}
