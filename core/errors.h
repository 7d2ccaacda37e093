/* errors: the codes that fallible functions return (0 is success, all others are negative). */
#ifndef PGRING_CORE_ERRORS_H
#define PGRING_CORE_ERRORS_H

enum error_code {
	ERR_OK = 0,
#define ERROR_CODE(name, value, text) ERR_##name = (value),
#include "core/errors.def"
};

/* The sentence fragment of a code; never NULL. Static memory. */
const char *error_text(int code);

#endif
