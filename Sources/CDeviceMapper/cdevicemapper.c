#include "cdevicemapper.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/stat.h>

static char last[1024];
static char taken[1024];

static void keep(
    int level, const char *file, int line, int dm_errno_or_class, const char *format, ...) {
    (void)file;
    (void)line;
    (void)dm_errno_or_class;
    // lib/log levels: 2 fatal, 3 error, 4 warning; the rest is narration. The high bits are flags.
    if ((level & 7) > 4) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last, sizeof last, format, arguments);
    va_end(arguments);
}

// libdevmapper.h has functions to set these, and none to ask; but the library exports them.
extern dm_log_fn dm_log;
extern dm_log_with_errno_fn dm_log_with_errno;

static dm_log_fn host_log;
static dm_log_with_errno_fn host_log_with_errno;
static dm_string_mangling_t host_mangling;

void cdevicemapper_enter(void) {
    host_log = dm_log;
    host_log_with_errno = dm_log_with_errno;
    host_mangling = dm_get_name_mangling_mode();
    dm_log_with_errno_init(keep);
    dm_set_name_mangling_mode(DM_STRING_MANGLING_NONE);
}

void cdevicemapper_leave(void) {
    dm_log = host_log;
    dm_log_with_errno = host_log_with_errno;
    dm_set_name_mangling_mode(host_mangling);
}

const char *cdevicemapper_last_message(void) {
    snprintf(taken, sizeof taken, "%s", last);
    last[0] = 0;
    return taken;
}

static fd_set noted;

static void each_control(void (*action)(int)) {
    char path[4096];
    struct stat control, found;
    struct dirent *entry;
    DIR *listing;
    if (snprintf(path, sizeof path, "%s/control", dm_dir()) >= (int)sizeof path) return;
    if (stat(path, &control) || !(listing = opendir("/proc/self/fd"))) return;
    while ((entry = readdir(listing))) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fstat(fd, &found)) continue;
        if (S_ISCHR(found.st_mode) && found.st_rdev == control.st_rdev) action(fd);
    }
    closedir(listing);
}

static void note(int fd) {
    if (fd < FD_SETSIZE) FD_SET(fd, &noted);
}

static void seal(int fd) {
    if (fd >= FD_SETSIZE || !FD_ISSET(fd, &noted)) fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
}

void cdevicemapper_note_control(void) {
    FD_ZERO(&noted);
    each_control(note);
}

void cdevicemapper_seal_control(void) { each_control(seal); }

const char *cdevicemapper_name(const struct dm_names *entry) { return entry->name; }

const struct dm_names *cdevicemapper_next(const struct dm_names *entry) {
    if (!entry->next) return NULL;
    return (const struct dm_names *)((const char *)entry + entry->next);
}

const char *cdevicemapper_target(const struct dm_versions *entry) { return entry->name; }

const struct dm_versions *cdevicemapper_next_target(const struct dm_versions *entry) {
    if (!entry->next) return NULL;
    return (const struct dm_versions *)((const char *)entry + entry->next);
}
