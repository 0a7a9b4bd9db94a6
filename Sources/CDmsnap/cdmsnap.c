#include "cdmsnap.h"

#include <stdio.h>

static _Thread_local char last[4096];

void cdmsnap_keep_error(const char *message) { snprintf(last, sizeof last, "%s", message); }

const char *cdmsnap_kept_error(void) { return last; }
