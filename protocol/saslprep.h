/* saslprep: the form of a password that SCRAM hashes, as PostgreSQL computes it.
 *
 * Thread: job threads and control; text that is not plain ASCII goes through libidn, which allocates. Memory: the caller's.
 * Source: RFC 4013 (SASLprep) and PostgreSQL's pg_saslprep(), from which RFC 4013 is only the starting point: a password that is
 * not valid UTF-8, or that SASLprep prohibits, is used as it is; and what is prohibited is looked for before the text is
 * normalised (NFKC), not after. One difference to PostgreSQL is known: where a combining mark stands between two characters that
 * would compose (Unicode Public Review Issue 29; say, inside of a Hangul syllable), libidn follows the older reading of NFKC.
 */
#ifndef PGRING_PROTOCOL_SASLPREP_H
#define PGRING_PROTOCOL_SASLPREP_H

#include "core/check.h"

#include <stddef.h>

enum {
	/* of a password with any byte above 127, before and after */
	SASLPREP_CHARACTERS_MAX = 2048,
	SASLPREP_BYTES_MAX = 4 * SASLPREP_CHARACTERS_MAX,
};

/* Where a prepared password stands if it differs from what was given. Wipe it (crypto_wipe) when done. */
struct saslprep_buffer {
	char text[SASLPREP_BYTES_MAX];
};

/* Prepares `len` bytes of `password` (borrowed). *ret_text points either to `password` itself, if nothing had to change, or into
 * `buffer`; it has no NUL.
 * Returns 0; ERR_TOO_LONG past SASLPREP_CHARACTERS_MAX (a pure ASCII password may have any length); ERR_NO_MEMORY. */
must_check int saslprep(const char *password, size_t len, struct saslprep_buffer *buffer,
	const char **ret_text, size_t *ret_len);

#endif
