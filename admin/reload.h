/* reload: from the files to a new snapshot, and that to every core.
 *
 * The files are read and checked first; if anything is wrong nothing changes. Else every core switches at once (LETTER_CONFIG)
 * and says so (LETTER_CONFIG_APPLIED); a snapshot is freed when every core has let go of it (LETTER_CONFIG_DROPPED). Options
 * that need a restart keep their values, with a warning.
 * Owner: the service. Thread: control. Memory: holds every snapshot that some core still uses.
 */
#ifndef PGRING_ADMIN_RELOAD_H
#define PGRING_ADMIN_RELOAD_H

#include "admin/config.h"
#include "core/core.h"

enum {
	RELOAD_SNAPSHOTS = 64, /* older ones that may be in use by long-running clients */
	RELOAD_REQUESTS = 64,  /* that may wait */
	RELOAD_TEXT = 512,
};

/* Who asked for a reload. `why` is NULL when every core has switched, or the sentence that tells why nothing has changed. */
typedef void reload_done(struct core *core, void *owner, const char *why);
struct reload_request {
	reload_done *done;
	void *owner;
};

/* Every core uses this snapshot from here on. */
typedef void reload_switched(struct core *core, const struct config *present);

struct reload {
	struct core *core; /* control */
	reload_switched *switched;
	struct config_sources sources;
	struct config *present;
	struct {
		struct config *config; /* NULL: free */
		unsigned holders;      /* cores that have not let go */
	} old[RELOAD_SNAPSHOTS];
	unsigned applying; /* cores that have not switched yet; 0: no reload is under way */
	unsigned
		users; /* of the present and older snapshots on control: they are not freed meanwhile */
	/* Who waits: first those for whom the files were read, then those who have asked since then and get another reload. */
	struct reload_request requests[RELOAD_REQUESTS];
	unsigned request_count, served;
};

/* `present` is what the cores use; it belongs to the reload from here on. switched() runs before each reload's done(). */
void reload_init(struct reload *reload, struct core *core, const struct config_sources *sources,
	struct config *present, reload_switched *switched);

/* Starts one; while one is under way, another one follows it, which reads the files again. done() runs later. Returns 0; or
 * ERR_INVALID (the files), ERR_FULL (too many wait, or too many old snapshots are in use) or ERR_NO_MEMORY, with the sentence for
 * whoever asked in `why`: done() will not run, and nothing has changed. */
must_check int reload_start(
	struct reload *reload, reload_done *done, void *owner, char why[RELOAD_TEXT]);

/* What LETTER_CONFIG_APPLIED and LETTER_CONFIG_DROPPED say. */
void reload_applied(struct reload *reload);
void reload_dropped(struct reload *reload, const struct config *config);

/* Control itself looks at a snapshot for longer than a turn: none is freed before as many have ended. */
void reload_hold(struct reload *reload);
void reload_release(struct reload *reload);

/* The cores have ended: frees all snapshots. */
void reload_end(struct reload *reload);

#endif
