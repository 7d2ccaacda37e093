/* What PostgreSQL answers to which message.
 *
 * After an error in an extended-protocol message PostgreSQL discards everything, a Query too, until a Sync. While it takes COPY
 * data it ignores Flush and Sync. Both depend on what was sent before and after, so the queue keeps the order. What no order can
 * tell is whether a Sync between COPY data came before or after the row at which the copy failed: that is a doubt.
 */
#include "pool/pending.h"

static struct pending_entry *pending_at(struct pending *pending, uint32_t i)
{
	return &pending->entries[(pending->first + i) & (LIMIT_PENDING - 1)];
}

static bool pending_is_extended(enum pending_kind kind)
{
	return kind == PENDING_PARSE || kind == PENDING_BIND || kind == PENDING_DESCRIBE ||
		kind == PENDING_EXECUTE || kind == PENDING_CLOSE;
}

void pending_push(struct pending *pending, enum pending_kind kind, unsigned flags)
{
	if (kind == PENDING_SYNC && ++pending->batch == 0)
		pending->batch = 1;
	if (pending->skipping) {
		if (kind != PENDING_SYNC)
			return;
		pending->skipping = false;
	}
	if (pending->copying && kind == PENDING_SYNC) {
		pending->is_doubtful |= pending->has_data;
		pending->has_swallowed = true;
		return;
	}
	if (kind == PENDING_SYNC && pending->has_data)
		flags |= PENDING_AFTER_DATA;
	else if (kind == PENDING_QUERY || kind == PENDING_EXECUTE)
		pending->has_data = false;
	if (kind != PENDING_COPY_END)
		pending->is_open = pending_is_extended(kind);
	CHECK(pending->count < LIMIT_PENDING);
	*pending_at(pending, pending->count++) =
		(struct pending_entry){(uint8_t)kind, (uint16_t)flags};
}

void pending_push_copy_end(struct pending *pending)
{
	if (pending->copying)
		pending->copying = false;
	else if (!pending_empty(pending)) /* with nothing owed, the server ignores it */
		pending_push(pending, PENDING_COPY_END, 0);
}

static void pending_drop_first(struct pending *pending)
{
	CHECK(pending->count > 0);
	pending->first++;
	pending->count--;
	pending->is_answered = false;
}

void pending_pop(struct pending *pending)
{
	pending_drop_first(pending);
	while (pending_head_kind(pending) == PENDING_COPY_END)
		pending_drop_first(pending);
}

void pending_copied(struct pending *pending)
{
	pending->copying = pending->is_doubtful = pending->has_swallowed = false;
}

unsigned pending_error(struct pending *pending)
{
	unsigned tracked = 0;

	pending->copying = false;
	if (!pending_is_extended(pending_head_kind(pending))) {
		if (pending->count > 0 && pending_head(pending).flags & PENDING_TRACKED) {
			pending_at(pending, 0)->flags &= (uint16_t)~PENDING_TRACKED;
			tracked = 1;
		}
		return tracked; /* ReadyForQuery follows and ends the head */
	}
	while (pending->count > 0 && pending_head_kind(pending) != PENDING_SYNC) {
		tracked += (pending_head(pending).flags & PENDING_TRACKED) != 0;
		pending_drop_first(pending);
	}
	pending->skipping = pending->count == 0;
	return tracked;
}

bool pending_hide(struct pending *pending)
{
	bool has_sync = false;

	for (uint32_t i = 0; i < pending->count; i++) {
		struct pending_entry *entry = pending_at(pending, i);

		entry->flags |= PENDING_HIDDEN;
		has_sync |= entry->kind == PENDING_SYNC;
	}
	return has_sync;
}

bool pending_is_own(const struct pending *pending)
{
	for (uint32_t i = 0; i < pending->count; i++) {
		struct pending_entry entry =
			pending->entries[(pending->first + i) & (LIMIT_PENDING - 1)];

		if (entry.kind != PENDING_QUERY || !(entry.flags & PENDING_HIDDEN))
			return false;
	}
	return true;
}

void pending_reveal_last(struct pending *pending)
{
	CHECK(pending->count > 0);
	pending_at(pending, pending->count - 1)->flags &= (uint16_t)~PENDING_INJECTED;
}

/* Takes out entry `i`, counted from the head. */
static void pending_remove(struct pending *pending, uint32_t i)
{
	for (; i + 1 < pending->count; i++)
		*pending_at(pending, i) = *pending_at(pending, i + 1);
	pending->count--;
}

void pending_copy_in(struct pending *pending)
{
	while (pending->count > 1) {
		enum pending_kind next = (enum pending_kind)pending_at(pending, 1)->kind;

		if (next != PENDING_SYNC && next != PENDING_COPY_END)
			break; /* the server will call it an error, and skip from there */
		if (pending_at(pending, 1)->flags & PENDING_AFTER_DATA)
			pending->is_doubtful = true;
		pending->has_swallowed |= next == PENDING_SYNC;
		pending_remove(pending, 1);
		if (next == PENDING_SYNC && pending->count == 1)
			pending->is_open = pending_is_extended(pending_head_kind(pending));
		if (next == PENDING_COPY_END)
			return; /* this copy's end is on its way already */
	}
	pending->copying = true;
}

void pending_reset(struct pending *pending)
{
	pending->first = pending->count = 0;
	pending->skipping = pending->copying = pending->is_open = false;
	pending->has_data = pending->is_doubtful = pending->has_swallowed = false;
	pending->is_answered = false;
}

unsigned pending_readies(const struct pending *pending)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < pending->count; i++) {
		struct pending_entry entry =
			pending->entries[(pending->first + i) & (LIMIT_PENDING - 1)];

		count += !(entry.flags & PENDING_HIDDEN) &&
			(entry.kind == PENDING_QUERY || entry.kind == PENDING_FUNCTION ||
				entry.kind == PENDING_SYNC);
	}
	return count;
}
