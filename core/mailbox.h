/* mailbox: letters between the members of the world (cores, control, job threads).
 *
 * One lock-free queue per ordered pair of members. A member that is about to sleep publishes that; who writes to it then wakes
 * it, once. What a letter points to is moved with it: the sender forgets it.
 * Thread: each function says whose. Memory: the world's, for ever.
 */
#ifndef PGRING_CORE_MAILBOX_H
#define PGRING_CORE_MAILBOX_H

#include "core/limits.h"
#include "core/spsc.h"

#include "core/check.h"

#include <stdint.h>

struct core;

enum letter_kind {
#define LETTER(name, text) LETTER_##name,
#include "core/letters.def"
	LETTER_COUNT
};

struct letter {
	uint16_t kind; /* enum letter_kind */
	uint16_t from; /* member; filled by the mailbox */
	uint32_t number;
	void *a;
};

/* What a member does with a kind of letter. */
typedef void letter_handler(struct core *core, const struct letter *letter);

/* Of one member: what others may look at. */
struct mailbox {
	_Alignas(64) atomic_bool sleeping;
	int wake_fd; /* an eventfd, for who has no ring to wake it with */
};

struct mailbox_pair {
	struct spsc queue;
	struct letter letters[LIMIT_MAILBOX];
};

struct mailboxes {
	unsigned member_count;
	struct mailbox *members;
	struct mailbox_pair **pairs; /* [from * member_count + to] */
};

/* Before any thread starts. */
must_check int mailboxes_init(struct mailboxes *boxes, unsigned member_count);
void mailboxes_destroy(struct mailboxes *boxes);

/* Writes to member `to`. Returns 0 or ERR_FULL; then nothing was sent and the sender keeps what the letter points to.
 * The letter arrives after this turn, also when a core writes to itself. Thread: core's. */
must_check int mailbox_send(struct core *core, unsigned to, const struct letter *letter);

/* Hands every letter that has arrived to the core's handlers. Returns how many. Thread: core's. */
unsigned mailbox_receive(struct core *core);

/* Publishes that this member is about to sleep. False if a letter has arrived meanwhile: do not sleep. Thread: core's. */
bool mailbox_sleep(struct core *core);
void mailbox_awake(struct core *core);

/* True, for exactly one caller, if the member sleeps and must be woken. Any thread. */
bool mailbox_must_wake(struct mailboxes *boxes, unsigned member);

#endif
