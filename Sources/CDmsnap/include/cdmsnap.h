// The public header, and what the Swift side of the C library needs besides it.
#ifndef CDMSNAP_H
#define CDMSNAP_H

#include "dmsnap.h"

// Keeps a copy of `message` as the calling thread's last error.
void cdmsnap_keep_error(const char *message);
const char *cdmsnap_kept_error(void);

#endif
