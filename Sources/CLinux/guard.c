#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// udev's rules take an event's flags from the upper half of its cookie (libdevmapper.h). With this
// flag alone, and no cookie to complete in the lower half, the event is one of libdevmapper's
// resumes that nobody waits for: it goes through all rules, and changes no flag of the device.
#define UDEV_PRIMARY_SOURCE (0x0040U << 16)

static int request(int control, unsigned long code, struct dm_ioctl *call) {
    return ioctl(control, code, call) ? errno : 0;
}

static int resume(int control, const struct dm_ioctl *prepared) {
    // The kernel writes its answer over the request.
    struct dm_ioctl call = *prepared;
    int error = request(control, DM_DEV_STATUS, &call);
    // Gone, or nothing to do. Resuming what isn't suspended would make a table live that somebody has
    // loaded for later.
    if (error == ENXIO || (!error && !(call.flags & DM_SUSPEND_FLAG))) return 0;
    if (error) return error;
    call = *prepared;
    error = request(control, DM_DEV_SUSPEND, &call);
    return error == ENXIO ? 0 : error;
}

// Whether SIGKILL is in one of the sets of signals in a process's status, by the name of its line:
// hexadecimal digits, the first signal's last (proc(5)).
static int has_kill(const char *status, const char *line) {
    const char *digit = strstr(status, line);
    if (digit) digit = strchr(digit + 1, '\n');
    if (!digit) return 0;
    digit -= (SIGKILL - 1) / 4 + 1;
    return ((*digit <= '9' ? *digit - '0' : *digit - 'a' + 10) >> (SIGKILL - 1) % 4) & 1;
}

// Whether a process has been killed but can't die yet, because one of its threads waits for the
// suspended device in the kernel, where no signal reaches it: then its descriptors stay open, too.
static int is_killed(pid_t process) {
    static const char path[] = "/proc/", file[] = "/status";
    char text[4096], digits[16];
    size_t length = sizeof path - 1, count = 0;
    memcpy(text, path, length);
    for (long rest = process; rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) text[length++] = digits[--count];
    memcpy(text + length, file, sizeof file);
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) return 0;
    text[got] = 0;
    // The whole process's, and a thread's.
    return has_kill(text, "\nShdPnd:") || has_kill(text, "\nSigPnd:");
}

// What the child is: see clinux.h. It may use no memory but its stack and no lock, for it has one of its parent's
// threads only; and it never returns.
static _Noreturn void stand_guard(
    int control, int end, int ready, const struct dm_ioctl *prepared) {
    pid_t parent = getppid();
    // The terminal's signals and a killed process group are not for it.
    setsid();
    prctl(PR_SET_NAME, "dmsnap-guard", 0, 0, 0);
    // Every other descriptor is its parent's: locks, devices claimed exclusively, and the pipe's
    // other end, with which it would wait for itself.
    int ends[3] = {
        fcntl(control, F_DUPFD, 3), fcntl(end, F_DUPFD, 3), fcntl(ready, F_DUPFD, 3)};
    for (int i = 0; i < 3; i++) {
        if (ends[i] < 0 || dup2(ends[i], i) != i) _exit(1);
    }
    clinux_close_from(3);
    // Nor is the directory in which it was started.
    if (chdir("/")) {}
    // If memory runs out, its parent's death must not be its own (proc(5)); no matter if it can't.
    int score = open("/proc/self/oom_score_adj", O_WRONLY);
    if (score >= 0) {
        if (write(score, "-1000", 5) < 0) {}
        close(score);
    }
    // Asking for the status is a rehearsal: what resuming needs of this program is in memory when
    // the device that may hold the rest is frozen.
    struct dm_ioctl call = *prepared;
    int error = request(0, DM_DEV_STATUS, &call);
    is_killed(parent);
    if (write(2, &error, sizeof error) != sizeof error || error) _exit(1);
    close(2);
    // 200 tries of 50 ms, once the parent is dead or couldn't resume it itself: memory may be short
    // for a moment, and the device in another's hands.
    for (int is_open = 1, tries = 0; tries < 200; tries += !is_open) {
        char word;
        struct pollfd pipe = {1, POLLIN, 0};
        struct timespec pause = {0, 50 * 1000 * 1000};
        if (is_open) {
            if (poll(&pipe, 1, 250) > 0) {
                ssize_t got = read(1, &word, 1);
                if (got == 1) _exit(0);
                is_open = got < 0;
            } else if (!is_killed(parent)) {
                continue;
            }
        }
        error = resume(0, prepared);
        if (!is_open) {
            if (!error) _exit(0);
            nanosleep(&pause, NULL);
        }
    }
    _exit(1);
}

int clinux_guard_start(const char *name, struct clinux_guard *guard) {
    struct dm_ioctl prepared;
    int control, pipe[2], ready[2], error = 0;
    long child;
    sigset_t all, old;

    memset(&prepared, 0, sizeof prepared);
    prepared.version[0] = DM_VERSION_MAJOR;  // 4.0.0: all that was ever in version 4
    prepared.data_size = sizeof prepared;
    prepared.data_start = sizeof prepared;
    prepared.event_nr = UDEV_PRIMARY_SOURCE;
    if (strlen(name) >= sizeof prepared.name) { errno = ENAMETOOLONG; return -1; }
    strcpy(prepared.name, name);

    control = open("/dev/" DM_DIR "/" DM_CONTROL_NODE, O_RDWR | O_CLOEXEC);
    if (control < 0) return -1;
    if (pipe2(pipe, O_CLOEXEC)) { error = errno; close(control); errno = error; return -1; }
    if (pipe2(ready, O_CLOEXEC)) {
        error = errno;
        close(control); close(pipe[0]); close(pipe[1]);
        errno = error;
        return -1;
    }
    // No handler of the program's is to run in the child; it keeps them all blocked.
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    // fork(2) itself, without the C library's handlers, and with no signal to the parent at its end:
    // in another's program its SIGCHLD and its wait(2) are not ours. A copy of the memory and not a
    // share of it (CLONE_VM): what kills for want of memory, or dumps core, kills all who share.
    child = syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
    if (child == 0) stand_guard(control, pipe[0], ready[1], &prepared);
    if (child < 0) error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(control);
    close(pipe[0]);
    close(ready[1]);
    if (child > 0) {
        int answer = EIO;
        ssize_t got;
        do got = read(ready[0], &answer, sizeof answer);
        while (got < 0 && errno == EINTR);
        error = got == sizeof answer ? answer : EIO;
        guard->process = (pid_t)child;
        guard->end = pipe[1];
        if (error) clinux_guard_end(guard, 1);
    } else {
        close(pipe[1]);
    }
    close(ready[0]);
    if (error) { errno = error; return -1; }
    return 0;
}

int clinux_guard_end(struct clinux_guard *guard, int is_resumed) {
    int status = 0, result;
    char word = 1;
    if (is_resumed) {
        // SIGPIPE is for those who write to a guard that was killed; it has no other reader.
        sigset_t pipe, old, pending;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigpending(&pending);
        pthread_sigmask(SIG_BLOCK, &pipe, &old);
        if (write(guard->end, &word, 1) < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
            struct timespec none = {0, 0};
            sigtimedwait(&pipe, NULL, &none);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    close(guard->end);
    do result = waitpid(guard->process, &status, __WALL);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}
