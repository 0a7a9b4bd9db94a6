// libdevmapper, and what of it Swift can't use as it is: it logs through a variadic callback.
#ifndef CDEVICEMAPPER_H
#define CDEVICEMAPPER_H

#include <libdevmapper.h>

// Every use of libdevmapper is between these two, under one lock: its settings are the whole program's,
// and the program may be another's, with settings of its own. In between nothing is printed: errors and
// warnings are kept, the last one at a time; and names are taken as they are, since libdevmapper's own
// way of escaping depends on the environment, takes a name with `\x` in it for an escaped one, and
// refuses to list a name that has a `\x5cx`.
void cdevicemapper_enter(void);
void cdevicemapper_leave(void);
// Gives the message that was kept and forgets it ("" if there is none).
const char *cdevicemapper_last_message(void);

// libdevmapper keeps its control device open, and for every child of the program, too: marks it
// close-on-exec, once a task was run, unless it was open already when noted: then it is the host's.
void cdevicemapper_note_control(void);
void cdevicemapper_seal_control(void);

// The name in an entry of DM_DEVICE_LIST's result, which is a flexible array, and the entry after it
// (NULL at the end).
const char *cdevicemapper_name(const struct dm_names *entry);
const struct dm_names *cdevicemapper_next(const struct dm_names *entry);

// The same for DM_DEVICE_LIST_VERSIONS.
const char *cdevicemapper_target(const struct dm_versions *entry);
const struct dm_versions *cdevicemapper_next_target(const struct dm_versions *entry);

#endif
