/* Enough file descriptors for clients and servers, or a line that says how many are missing. */
#include "admin/descriptors.h"

#include <sys/resource.h>

/* What the process itself needs, besides clients and servers. */
static uint64_t descriptors_own(const struct core *core)
{
	return 32 + 4 * (uint64_t)core->world->worker_count;
}

static void descriptors_judge(
	struct core *core, uint64_t allowed, uint64_t clients, uint64_t servers)
{
	enum { FEW = 4096 };
	uint64_t wanted = clients + servers + descriptors_own(core);

	if (clients > 0 && allowed < wanted)
		log_warn(core,
			"only %llu file descriptors are allowed, but %llu clients "
			"(max_client_conn) and "
			"%llu servers (the pools' sizes) need %llu: raise LimitNOFILE (systemd) or "
			"ulimit -n",
			(unsigned long long)allowed, (unsigned long long)clients,
			(unsigned long long)servers, (unsigned long long)wanted);
	else if (clients == 0 && (allowed < FEW || servers > allowed / 4))
		log_warn(core,
			"only %llu file descriptors are allowed, of which servers get up to a "
			"quarter and "
			"may want %llu (the pools' sizes): raise LimitNOFILE (systemd) or ulimit "
			"-n",
			(unsigned long long)allowed, (unsigned long long)servers);
}

void descriptors_share(struct core *core, const struct config *config)
{
	uint64_t servers = 0, kept = descriptors_own(core);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT32_MAX)
		return;
	for (size_t i = 0; i < config->pool_count; i++)
		servers +=
			(uint64_t)(config->pools[i].pool_size + config->pools[i].reserve_pool_size);
	descriptors_judge(core, limit.rlim_cur, (uint64_t)config->general.max_client_conn, servers);
	kept += servers < limit.rlim_cur / 4 ? servers : limit.rlim_cur / 4;
	atomic_store(&core->world->client_descriptors,
		limit.rlim_cur > kept + 1 ? (unsigned)(limit.rlim_cur - kept) : 1);
}
