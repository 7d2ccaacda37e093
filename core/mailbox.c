/* Queues between all pairs of members, and who wakes whom. */
#include "core/mailbox.h"

#include "core/core.h"
#include "core/errors.h"
#include "core/memory.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int mailboxes_init(struct mailboxes *boxes, unsigned member_count)
{
	size_t pairs = (size_t)member_count * member_count;

	boxes->member_count = member_count;
	boxes->members = memory_lines(member_count * sizeof *boxes->members);
	boxes->pairs = calloc(pairs, sizeof(struct mailbox_pair *));
	if (!boxes->members || !boxes->pairs)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < member_count; i++) {
		atomic_init(&boxes->members[i].sleeping, false);
		boxes->members[i].wake_fd = eventfd(0, EFD_CLOEXEC);
		if (boxes->members[i].wake_fd < 0)
			return ERR_NO_DESCRIPTOR;
	}
	for (size_t i = 0; i < pairs; i++) {
		boxes->pairs[i] = memory_lines(sizeof(struct mailbox_pair));
		if (!boxes->pairs[i])
			return ERR_NO_MEMORY;
	}
	return 0;
}

void mailboxes_destroy(struct mailboxes *boxes)
{
	for (unsigned i = 0; i < boxes->member_count; i++)
		close(boxes->members[i].wake_fd);
	for (size_t i = 0; i < (size_t)boxes->member_count * boxes->member_count; i++)
		free(boxes->pairs[i]);
	free(boxes->pairs);
	free(boxes->members);
}

static struct mailbox_pair *mailbox_pair(const struct mailboxes *boxes, unsigned from, unsigned to)
{
	CHECK(from < boxes->member_count && to < boxes->member_count);
	return boxes->pairs[(size_t)from * boxes->member_count + to];
}

bool mailbox_must_wake(struct mailboxes *boxes, unsigned member)
{
	/* Pairs with the fence in mailbox_sleep: either the sleeper sees the letter or we see it sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&boxes->members[member].sleeping, memory_order_relaxed) &&
		atomic_exchange_explicit(
			&boxes->members[member].sleeping, false, memory_order_relaxed);
}

int mailbox_send(struct core *core, unsigned to, const struct letter *letter)
{
	struct mailbox_pair *pair = mailbox_pair(&core->world->boxes, core->index, to);
	uint32_t slot = spsc_reserve(&pair->queue, LIMIT_MAILBOX);

	if (slot == UINT32_MAX)
		return ERR_FULL;
	pair->letters[slot] = *letter;
	pair->letters[slot].from = (uint16_t)core->index;
	spsc_publish(&pair->queue);
	if (to != core->index && mailbox_must_wake(&core->world->boxes, to))
		core->wake(core, to);
	return 0;
}

unsigned mailbox_receive(struct core *core)
{
	struct mailboxes *boxes = &core->world->boxes;
	/* what a handler writes to its own core is for the next turn */
	uint32_t own = spsc_waiting(&mailbox_pair(boxes, core->index, core->index)->queue);
	unsigned received = 0;

	for (unsigned from = 0; from < boxes->member_count; from++) {
		struct mailbox_pair *pair = mailbox_pair(boxes, from, core->index);
		/* No more than is there now: a member that writes as fast as we read must not hold the turn. */
		uint32_t waiting = from == core->index ? own : spsc_waiting(&pair->queue);

		for (; waiting > 0; waiting--) {
			uint32_t slot = spsc_peek(&pair->queue, LIMIT_MAILBOX);
			struct letter letter = pair->letters[slot];

			spsc_release(&pair->queue);
			CHECK(letter.kind < LETTER_COUNT && core->handlers[letter.kind]);
			core->handlers[letter.kind](core, &letter);
			received++;
		}
	}
	return received;
}

bool mailbox_sleep(struct core *core)
{
	struct mailboxes *boxes = &core->world->boxes;

	atomic_store_explicit(&boxes->members[core->index].sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned from = 0; from < boxes->member_count; from++) {
		struct mailbox_pair *pair = mailbox_pair(boxes, from, core->index);

		if (spsc_peek(&pair->queue, LIMIT_MAILBOX) != UINT32_MAX) {
			mailbox_awake(core);
			return false;
		}
	}
	return true;
}

void mailbox_awake(struct core *core)
{
	atomic_store_explicit(
		&core->world->boxes.members[core->index].sleeping, false, memory_order_relaxed);
}
