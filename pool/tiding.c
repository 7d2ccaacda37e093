/* Tidings on their way between cores. */
#include "pool/tiding.h"

#include "core/core.h"
#include "pool/herald.h"
#include "pool/pool.h"
#include "pool/subscriber.h"

#include <stdlib.h>
#include <string.h>

enum { TIDING_RETRY_MS = 1 };

static void tiding_retry(struct core *core, struct timer *timer);

void tiding_open(struct core *core)
{
	struct tiding_outbox *outbox = &core->pools->tidings;

	list_init(&outbox->waiting);
	timer_init(&outbox->timer, tiding_retry);
}

void tiding_close(struct core *core)
{
	struct tiding_outbox *outbox = &core->pools->tidings;
	struct list *link;

	core_timer_stop(core, &outbox->timer);
	while ((link = list_pop_front(&outbox->waiting)))
		tiding_free(container_of(link, struct tiding, link));
}

bool tiding_idle(const struct core *core)
{
	return list_empty(&core->pools->tidings.waiting);
}

struct tiding *tiding_new(
	enum tiding_kind kind, unsigned to, uint32_t pool_id, const struct channel *channel)
{
	struct tiding *tiding = calloc(1, sizeof *tiding);

	CHECK(tiding);
	list_init(&tiding->link);
	tiding->kind = kind;
	tiding->to = to;
	tiding->pool_id = pool_id;
	if (channel) {
		memcpy(tiding->name, channel->name, channel->len);
		tiding->name_len = channel->len;
		tiding->serial = channel->serial;
	}
	return tiding;
}

void tiding_add(struct tiding *tiding, const uint8_t *bytes, size_t len)
{
	if (tiding->size - tiding->len < len) {
		tiding->size = 2 * (tiding->len + len);
		tiding->bytes = realloc(tiding->bytes, tiding->size);
		CHECK(tiding->bytes);
	}
	memcpy(tiding->bytes + tiding->len, bytes, len);
	tiding->len += len;
}

void tiding_free(struct tiding *tiding)
{
	CHECK(!list_linked(&tiding->link));
	free(tiding->bytes);
	free(tiding);
}

static bool tiding_post(struct core *core, struct tiding *tiding)
{
	struct letter letter = {.kind = LETTER_TIDING, .a = tiding};

	return mailbox_send(core, tiding->to, &letter) == 0;
}

void tiding_send(struct core *core, struct tiding *tiding)
{
	struct tiding_outbox *outbox = &core->pools->tidings;

	tiding->from = core->index;
	if (list_empty(&outbox->waiting) && tiding_post(core, tiding))
		return;
	core_count(core, METRIC_letters_delayed);
	list_push_back(&outbox->waiting, &tiding->link);
	outbox->bytes += tiding->len;
	if (!timer_is_set(&outbox->timer))
		core_timer_set(core, &outbox->timer, TIDING_RETRY_MS);
}

static void tiding_retry(struct core *core, struct timer *timer)
{
	struct tiding_outbox *outbox = &core->pools->tidings;
	struct list *link;

	while ((link = list_pop_front(&outbox->waiting))) {
		struct tiding *tiding = container_of(link, struct tiding, link);
		size_t len = tiding->len;

		if (!tiding_post(core, tiding)) {
			list_push_front(&outbox->waiting, &tiding->link);
			core_timer_set(core, timer, TIDING_RETRY_MS);
			return;
		}
		outbox->bytes -= len;
	}
	herald_resume_all(core);
}

/* The home of a pool that is new learns of it a moment after other cores, and that of one that was removed before them. */
static void tiding_return(struct core *core, struct tiding *tiding)
{
	if (tiding->kind == TIDING_UNWANTED || core->pools->is_draining) {
		tiding_free(tiding);
		return;
	}
	tiding->kind = tiding->kind == TIDING_WANTED ? TIDING_STRAY : TIDING_TOLD;
	tiding->to = tiding->from;
	tiding_send(core, tiding);
}

void tiding_arrived(struct core *core, const struct letter *letter)
{
	struct tiding *tiding = letter->a;
	struct pool *pool = pools_find(core, tiding->pool_id);

	switch (tiding->kind) {
	case TIDING_WANTED:
	case TIDING_UNWANTED:
	case TIDING_ASKED:
		if (!pool)
			tiding_return(core, tiding);
		else
			herald_asked(core, pool, tiding);
		return;
	case TIDING_HEARD:
	case TIDING_NEWS:
	case TIDING_LOST:
	case TIDING_STRAY:
	case TIDING_TOLD:
		if (pool)
			subscriber_told(core, pool, tiding);
		tiding_free(tiding);
		return;
	}
	UNREACHABLE();
}
