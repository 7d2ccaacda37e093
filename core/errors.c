/* The texts of the error codes, and the end of the process when an invariant is broken. */
#include "core/errors.h"

#include "core/check.h"

#include <stdio.h>
#include <stdlib.h>

const char *error_text(int code)
{
	switch (code) {
	case ERR_OK:
		return "success";
#define ERROR_CODE(name, value, text) \
	case value: \
		return text;
#include "core/errors.def"
	}
	return "unknown error";
}

void check_failed(const char *what, const char *file, int line, const char *function)
{
	fprintf(stderr, "pgring: invariant broken: %s, in %s at %s:%d\n", what, function, file,
		line);
	abort();
}
