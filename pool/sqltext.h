/* sqltext: a statement of pgring's own that is being composed.
 *
 * Owner: the caller's stack. Memory: inline for short ones, malloc for others; freed by sqltext_send.
 */
#ifndef PGRING_POOL_SQLTEXT_H
#define PGRING_POOL_SQLTEXT_H

#include "net/chain.h"

struct sqltext {
	char *bytes;
	size_t len, size;
	char few[1000];
};

void sqltext_init(struct sqltext *text);
void sqltext_add(struct sqltext *text, const char *string);
/* A literal that means the same whatever standard_conforming_strings and client_encoding are. */
void sqltext_add_literal(struct sqltext *text, const char *value);
void sqltext_add_identifier(struct sqltext *text, const char *name);
/* The other text as a literal. Frees that. */
void sqltext_add_quoted(struct sqltext *text, struct sqltext *other);
/* Frees it without sending it. */
void sqltext_forget(struct sqltext *text);
/* Appends it as a Query message, and frees it. */
void sqltext_send(struct core *core, struct chain *chain, struct sqltext *text);

#endif
