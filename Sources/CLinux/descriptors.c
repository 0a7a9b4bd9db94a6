#define _GNU_SOURCE
#include "clinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

static void shut(int fd) { close(fd); }

static void seal(int fd) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

int clinux_each_open(int first, void (*action)(int)) {
    // linux_dirent64 (getdents64(2)): inode, offset, length, type, name.
    _Alignas(8) char buffer[4096];
    int listing = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (listing < 0) return -1;
    for (;;) {
        long got = syscall(SYS_getdents64, listing, buffer, sizeof buffer);
        if (got <= 0) break;
        for (long at = 0; at < got;) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            int fd = 0;
            const char *digit = entry->d_name;
            for (; *digit >= '0' && *digit <= '9'; digit++) fd = fd * 10 + (*digit - '0');
            if (!*digit && fd >= first && fd != listing) action(fd);
            at += entry->d_reclen;
        }
    }
    // Whether it is one of those to close or not: its time is over.
    close(listing);
    return 0;
}

// close_range(2) is Linux 5.9's, its flag 5.11's.
static void from(int first, unsigned int flags, void (*action)(int)) {
#ifdef SYS_close_range
    if (!syscall(SYS_close_range, (unsigned int)first, ~0U, flags)) return;
#endif
    if (!clinux_each_open(first, action)) return;
    // Without proc: as many as programs usually may have.
    for (int fd = first; fd < 4096; fd++) action(fd);
}

void clinux_close_from(int first) { from(first, 0, shut); }

void clinux_seal_from(int first) { from(first, CLOSE_RANGE_CLOEXEC, seal); }

static int by_number(const void *one, const void *other) {
    int a = *(const int *)one, b = *(const int *)other;
    return (a > b) - (a < b);
}

int clinux_keep_for_thread(int kept[], size_t count) {
    if (unshare(CLONE_FILES)) return -1;
    qsort(kept, count, sizeof *kept, by_number);
    int first = 0;
    for (size_t i = 0; i < count; i++) {
        int last = kept[i] - 1;
#ifdef SYS_close_range
        if (first > last || !syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0U))
            first = last + 1;
#endif
        for (; first <= last; first++) close(first);
        first = kept[i] + 1;
    }
    clinux_close_from(first);
    return 0;
}

int clinux_above_standard(int fd) {
    int moved;
    if (fd < 0 || fd > 2) return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(fd);
    errno = error;
    return moved;
}

int clinux_open_standard(void) {
    int closed = 0;
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        closed |= 1 << fd;
        // open(2) gives the lowest number that is free, and those below are taken.
        if (open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) >= 0) continue;
        // Where there is no /dev, a directory: nothing can be written to it, nor read.
        if (open("/", O_RDONLY | O_DIRECTORY) < 0) break;
    }
    return closed;
}

int clinux_is_same_file(int pid, int fd, int other_pid, int other_fd) {
    long order = syscall(SYS_kcmp, pid, other_pid, KCMP_FILE, (long)fd, (long)other_fd);
    return order < 0 ? -1 : order == 0;
}
