#define _GNU_SOURCE
#include "interposer.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local int mode, paused, hurried;
static _Thread_local long steps, changes, limit;
static _Thread_local char last[256];

void interposer_begin(int new_mode, long at)
{
    mode = new_mode;
    limit = at;
    steps = changes = 0;
    last[0] = 0;
}

long interposer_end(long *all_changes)
{
    mode = INTERPOSER_OFF;
    *all_changes = changes;
    return steps;
}

int interposer_step(const char *what, int is_change)
{
    if (mode == INTERPOSER_OFF || paused)
        return 0;
    int was_dead = mode == INTERPOSER_DIE && changes >= limit;
    steps++;
    changes += is_change;
    int fails = mode == INTERPOSER_FAIL ? steps == limit
        : mode == INTERPOSER_DIE        ? changes >= limit
                                        : 0;
    if (mode == INTERPOSER_COUNT || (fails && !was_dead))
        snprintf(last, sizeof last, "%s", what);
    if (!fails)
        return 0;
    errno = EIO;
    return -1;
}

const char *interposer_last(void)
{
    return last;
}

void interposer_pause(void)
{
    paused++;
}

void interposer_resume(void)
{
    paused--;
}

void interposer_hurry(int more)
{
    hurried += more;
}

static int step(const char *call, const char *path, int is_change)
{
    char what[sizeof last];
    if (mode == INTERPOSER_OFF || paused)
        return 0;
    snprintf(what, sizeof what, "%s %s", call, path);
    return interposer_step(what, is_change);
}

// Only opens that may create something are changes.
int open(const char *path, int flags, ...)
{
    mode_t permissions = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        permissions = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (flags & O_CREAT && step("create", path, access(path, F_OK) != 0) != 0)
        return -1;
    return syscall(SYS_openat, AT_FDCWD, path, flags, permissions);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    if (step("pwrite", "", 1) != 0)
        return -1;
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int ftruncate(int fd, off_t length)
{
    if (step("ftruncate", "", 1) != 0)
        return -1;
    return syscall(SYS_ftruncate, fd, length);
}

int fsync(int fd)
{
    if (step("fsync", "", 0) != 0)
        return -1;
    return hurried > 0 ? 0 : syscall(SYS_fsync, fd);
}

int fchmod(int fd, mode_t permissions)
{
    if (step("fchmod", "", 0) != 0)
        return -1;
    return syscall(SYS_fchmod, fd, permissions);
}

int rename(const char *from, const char *to)
{
    if (step("rename", to, 1) != 0)
        return -1;
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
    if (step("rename", to, 1) != 0)
        return -1;
    return syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int unlink(const char *path)
{
    if (step("unlink", path, access(path, F_OK) == 0) != 0)
        return -1;
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    if (step("rmdir", path, 1) != 0)
        return -1;
    return syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t permissions)
{
    if (step("mkdir", path, 1) != 0)
        return -1;
    return syscall(SYS_mkdirat, AT_FDCWD, path, permissions);
}

extern int __interceptor_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
    __attribute__((weak));

// What other threads, or the kernel for a ring, would do is no step of this thread's: while steps
// are counted there are none, and it does everything itself.
int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (mode != INTERPOSER_OFF && !paused)
        return EAGAIN;
    // A sanitizer has one of its own, which it must see all threads through.
    if (real == NULL && __interceptor_pthread_create != NULL)
        real = __interceptor_pthread_create;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, start, argument);
}

struct io_uring;

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    static int (*real)(unsigned, struct io_uring *, unsigned);
    if (mode != INTERPOSER_OFF && !paused)
        return -ENOSYS;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "io_uring_queue_init");
    return real(entries, ring, flags);
}
