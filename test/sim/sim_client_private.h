/* sim_client_private: a simulated client, for the three files that make it: sim_client.c (life and bytes), sim_script.c (what it
 * sends) and sim_verdict.c (what it accepts). */
#ifndef PGRING_TEST_SIM_SIM_CLIENT_PRIVATE_H
#define PGRING_TEST_SIM_SIM_CLIENT_PRIVATE_H

#include "test/sim/sim_client.h"
#include "test/sim/sim_net.h"
#include "test/sim/sim_sql.h"

enum client_phase {
	PHASE_BEFORE,
	PHASE_SSL,
	PHASE_LOGIN,
	PHASE_READY,
	PHASE_LEAVING, /* has said goodbye */
	PHASE_TOLD,    /* was told FATAL */
	PHASE_CANCEL,  /* not a session: a cancel request */
	PHASE_GONE,
};

enum step_kind {
	STEP_STATEMENT, /* of a Query */
	STEP_PARSE,
	STEP_BIND,
	STEP_DESCRIBE_STATEMENT,
	STEP_DESCRIBE_PORTAL,
	STEP_EXECUTE,
	STEP_CLOSE,
	STEP_FUNCTION,
	STEP_READY, /* ends the unit */
};

/* What is to be answered next. */
struct step {
	enum step_kind kind;
	struct sim_statement statement;
	unsigned first_row, row_count; /* that this step will get */
	unsigned rows;                 /* that have come */
	bool has_begun;    /* RowDescription, CopyInResponse or CopyOutResponse has come */
	bool has_ended;    /* CopyDone */
	bool is_suspended; /* it ends with PortalSuspended */
	bool is_refused;   /* pgring must refuse it */
	bool is_eager;     /* its COPY data is on its way */
	bool owes_sync;    /* READY: the Sync is sent once all before it is answered */
	bool is_multi;
	unsigned named; /* PARSE: number of the name that is to be kept; 0: none */
	size_t request_bytes;
};

/* A named statement that the client has, and uses again. */
struct kept_statement {
	unsigned named;
	struct sim_statement statement;
};
enum { CLIENT_KEPT = 16, CLIENT_SAVEPOINTS = 512 };

struct sim_client {
	unsigned id;
	const struct sim_pool *pool;
	char name[16]; /* application_name, "" if it asks for none */
	enum client_phase phase;
	struct sim_conn *conn;
	struct sim_bytes in, out;
	bool is_strict, is_slow, is_canceller, babbles, knows_wrong_password, has_noticed;

	struct step *steps;
	size_t step_begin, step_count, step_size;
	unsigned units_left, depth; /* at most so many unanswered */
	unsigned units_open;
	bool holds;         /* nothing new before all is answered */
	unsigned copy_rows; /* to be sent once asked for */
	bool copy_fails, copy_syncs;
	struct kept_statement kept[CLIENT_KEPT];
	unsigned kept_count;
	bool follows;                     /* its named statements follow it */
	bool listens;                     /* it may LISTEN */
	unsigned chatter;                 /* percent of its statements that are about channels */
	bool unit_notifies, has_notified; /* the unit does; perhaps the transaction has */
	bool may_have_begun;              /* a transaction, which may not be over */
	unsigned named_count,
		name_set; /* named statements made; last application_name set by a statement */

	enum sim_verb last;                    /* that the script has chosen */
	char status, predicted;                /* of the transaction: as told, as it will be */
	uint8_t savepoints[CLIENT_SAVEPOINTS]; /* names of those of the transaction, as told */
	unsigned savepoint_count;
	uint8_t savepoints_sent; /* bits: names that the script has used in this transaction */
	bool is_lost;            /* in this unit its server was lost */
	bool is_bereft; /* ... or what it had begun is gone with it, and it may not have been told, as its batch had failed */
	unsigned next_seq, last_executed, last_synced;
	unsigned batch_seq; /* of the unit's last Execute that was answered; 0 if it failed */
	unsigned pid;
	uint8_t key[32];
	size_t key_len;
	unsigned cancels;
	size_t answer_bytes;

	uint64_t start_ns, stall_ns, think_ns;
	uint64_t still_ns; /* how long the machine had stood still when it dialled */
	uint64_t moved_ns; /* elapsed time when something last came or went */
};

/* sim_script.c */
void sim_script_startup(struct sim_client *client);
void sim_script_unit(struct sim_client *client);
/* The COPY data that was asked for. */
void sim_script_copy(struct sim_client *client, const struct sim_statement *statement);
void sim_script_babble(struct sim_client *client);
void sim_script_cancel(struct sim_client *client, unsigned pid, const uint8_t *key, size_t key_len);

/* sim_verdict.c */
void sim_verdict_message(struct sim_client *client, char type, const uint8_t *body, size_t len);
/* The connection has ended. */
void sim_verdict_ended(struct sim_client *client);
bool sim_verdict_is_peaceful(const struct sim_client *client);

static inline struct step *client_step(struct sim_client *client)
{
	return client->step_count > 0 ? &client->steps[client->step_begin] : NULL;
}

bool sim_client_expects_shutdown(void);
const struct sim_client *sim_client_get(unsigned id);

#endif
