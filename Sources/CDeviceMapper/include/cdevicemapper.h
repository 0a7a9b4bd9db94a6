// libdevmapper, and what of it Swift can't use as it is: it logs through a variadic callback.
#ifndef CDEVICEMAPPER_H
#define CDEVICEMAPPER_H

#include <libdevmapper.h>

// From now on libdevmapper's errors and warnings are kept, the last one at a time, and nothing is
// printed. `cdevicemapper_last_message` gives that message and forgets it ("" if there is none).
// Both only under the lock that is held around every call of libdevmapper.
void cdevicemapper_keep_messages(void);
const char *cdevicemapper_last_message(void);

// libdevmapper keeps its control device open, and for every child of the program, too: marks it
// close-on-exec, once a task was run.
void cdevicemapper_seal_control(void);

// The name in an entry of DM_DEVICE_LIST's result, which is a flexible array, and the entry after it
// (NULL at the end).
const char *cdevicemapper_name(const struct dm_names *entry);
const struct dm_names *cdevicemapper_next(const struct dm_names *entry);

// The same for DM_DEVICE_LIST_VERSIONS.
const char *cdevicemapper_target(const struct dm_versions *entry);
const struct dm_versions *cdevicemapper_next_target(const struct dm_versions *entry);

#endif
