#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

int clinux_blk_size(int fd, uint64_t *bytes) { return ioctl(fd, BLKGETSIZE64, bytes); }

int clinux_sync_file_system(int fd) { return syncfs(fd); }

int clinux_blk_logical_sector(int fd, uint32_t *bytes) {
    int size = 0;
    int result = ioctl(fd, BLKSSZGET, &size);
    *bytes = (uint32_t)size;
    return result;
}

int clinux_blk_flush_buffers(int fd) { return ioctl(fd, BLKFLSBUF, 0); }

unsigned int clinux_major(dev_t device) { return major(device); }
unsigned int clinux_minor(dev_t device) { return minor(device); }
dev_t clinux_makedev(unsigned int major, unsigned int minor) { return makedev(major, minor); }

int clinux_loop_get_free(int control_fd) { return ioctl(control_fd, LOOP_CTL_GET_FREE); }

int clinux_loop_configure(
    int loop_fd, int backing_fd, uint32_t block_size, int read_only, int direct_io, int autoclear) {
    struct loop_config config;
    memset(&config, 0, sizeof config);
    config.fd = (uint32_t)backing_fd;
    config.block_size = block_size;
    if (read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    if (direct_io) config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
    if (autoclear) config.info.lo_flags |= LO_FLAGS_AUTOCLEAR;
    return ioctl(loop_fd, LOOP_CONFIGURE, &config);
}

int clinux_loop_clear(int loop_fd) { return ioctl(loop_fd, LOOP_CLR_FD, 0); }

int clinux_loop_backing(
    int loop_fd, uint64_t *device, uint64_t *inode, uint64_t *offset, uint64_t *limit) {
    struct loop_info64 info;
    memset(&info, 0, sizeof info);
    int result = ioctl(loop_fd, LOOP_GET_STATUS64, &info);
    *device = info.lo_device;
    *inode = info.lo_inode;
    *offset = info.lo_offset;
    *limit = info.lo_sizelimit;
    return result;
}

int clinux_dm_arm_poll(int control_fd) {
    struct dm_ioctl request;
    memset(&request, 0, sizeof request);
    request.version[0] = DM_VERSION_MAJOR;
    request.version[1] = 37;  // the first with DM_DEV_ARM_POLL (Linux 4.14)
    request.data_size = sizeof request;
    return ioctl(control_fd, DM_DEV_ARM_POLL, &request);
}

int clinux_get_lock(int fd, int *is_write, pid_t *owner) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (fcntl(fd, F_OFD_GETLK, &lock)) return -1;
    *is_write = lock.l_type == F_WRLCK;
    *owner = lock.l_pid;
    return lock.l_type != F_UNLCK;
}

int clinux_o_direct(void) { return O_DIRECT; }

int clinux_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int clinux_undumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int clinux_termination_fd(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL)) return -1;
    return clinux_above_standard(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

void clinux_catch_interrupts(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int clinux_interrupted(void) { return interrupted; }

void clinux_hold_interrupts(int held) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int clinux_watch_names(const char *directory) {
    int fd = clinux_above_standard(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (fd < 0) return -1;
    if (inotify_add_watch(fd, directory, IN_MOVED_TO | IN_DELETE) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int clinux_take_names(int fd, char first) {
    _Alignas(struct inotify_event) char buffer[4096];
    int found = 0;
    for (;;) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got <= 0) return found;
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const struct inotify_event *)(buffer + at);
            if (event->mask & IN_Q_OVERFLOW || (event->len > 0 && event->name[0] == first)) found = 1;
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}

void clinux_drain(int fd) {
    char buffer[4096];
    while (read(fd, buffer, sizeof buffer) > 0) {}
}

int clinux_writers_fd(void) {
    return clinux_above_standard(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int clinux_watch_writers(int fd, const char *path, int writes) {
    return inotify_add_watch(fd, path, IN_CLOSE_WRITE | (writes ? IN_MODIFY : 0));
}

int clinux_next_writer(int fd, int *wrote) {
    // Files that are watched themselves have events without a name, so one event has one size.
    struct inotify_event event;
    for (;;) {
        ssize_t got = read(fd, &event, sizeof event);
        if (got != (ssize_t)sizeof event) return -1;
        if (event.mask & (IN_CLOSE_WRITE | IN_MODIFY)) {
            *wrote = (event.mask & IN_MODIFY) != 0;
            return event.wd;
        }
    }
}

int clinux_pipe(int ends[2]) {
    int error;
    if (pipe2(ends, O_CLOEXEC)) return -1;
    ends[0] = clinux_above_standard(ends[0]);
    error = errno;
    ends[1] = clinux_above_standard(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0) return 0;
    if (ends[0] >= 0) error = errno;
    for (int i = 0; i < 2; i++) {
        if (ends[i] >= 0) close(ends[i]);
    }
    errno = error;
    return -1;
}

// fork(2) itself, as for a guard: in another's program its SIGCHLD and its wait(2) are not ours, and
// no handler of his runs in the child.
static pid_t fork_quietly(sigset_t *old) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, old);
    pid_t child = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
    if (child != 0) {
        int error = errno;
        pthread_sigmask(SIG_SETMASK, old, NULL);
        errno = error;
    }
    return child;
}

// What such a child is from now on. It may use no memory but its stack, and no lock.
static _Noreturn void become(
    const char *path, char *const arguments[], const sigset_t *mask) {
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) || action.sa_handler == SIG_IGN) continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execve(path, arguments, environ);
    _exit(127);
}

static int end_of(pid_t child, int *status) {
    int result;
    do result = waitpid(child, status, __WALL);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -1 : 0;
}

int clinux_run(const char *path, char *const arguments[]) {
    sigset_t old;
    int status;
    if (access(path, X_OK)) return -1;
    pid_t child = fork_quietly(&old);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++) {
            if (null < 0 || dup2(null, fd) < 0) _exit(127);
        }
        // Close-on-exec or not: libraries open some that aren't.
        clinux_close_from(3);
        // What becomes another program has SIGCHLD at its end again (de_thread in fs/exec.c): so it
        // is the child of one that doesn't, and whose status is its.
        sigset_t blocked;
        pid_t program = fork_quietly(&blocked);
        if (program == 0) become(path, arguments, &old);
        if (program < 0 || end_of(program, &status)) _exit(127);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    if (child < 0 || end_of(child, &status)) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int clinux_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    size_t length;
    if (!path) return 0;
    length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path) { errno = EINVAL; return -1; }
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path, length);
    // An abstract socket's name starts with a zero byte, which the environment writes as `@`.
    if (path[0] == '@') address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    ssize_t sent = sendto(
        fd, state, strlen(state), 0, (struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
    return sent < 0 ? -1 : 0;
}

// Its answer is what it exits with: 0, or an errno.
static _Noreturn void detach(
    const char *path, char *const arguments[], const char *log_path, int ready_fd) {
    sigset_t none;
    sigset_t old;
    setsid();
    int null = open("/dev/null", O_RDONLY);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (null < 0 || log < 0) _exit(errno);
    // Those three may have been closed, and then they are among what was just opened.
    if (log < 3) log = fcntl(log, F_DUPFD, 3);
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) _exit(errno);
    if (ready_fd == 3) fcntl(3, F_SETFD, 0);
    else if (ready_fd >= 0 && dup2(ready_fd, 3) < 0) _exit(errno);
    clinux_close_from(ready_fd >= 0 ? 4 : 3);
    if (chdir("/")) _exit(errno);
    // It works for every device; what the caller's shell had a limit for is the caller's own.
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
    // Nobody has to wait for the program: its parent ends before it.
    pid_t child = fork_quietly(&old);
    if (child > 0) _exit(0);
    if (child < 0) _exit(errno);
    sigemptyset(&none);
    become(path, arguments, &none);
}

int clinux_spawn_detached(
    const char *path, char *const arguments[], const char *log_path, int ready_fd) {
    sigset_t old;
    int status;
    if (access(path, X_OK)) return -1;
    pid_t child = fork_quietly(&old);
    if (child == 0) detach(path, arguments, log_path, ready_fd);
    if (child < 0 || end_of(child, &status)) return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    return errno ? -1 : 0;
}

static const int prompt_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define PROMPT_SIGNALS (sizeof prompt_signals / sizeof prompt_signals[0])
static struct sigaction prompt_old[PROMPT_SIGNALS];
static struct termios prompt_echo, prompt_silent;
static int prompt_fd;

static void prompt_signal(int signal);

static void prompt_catch(int signal, struct sigaction *old) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    // No SA_RESTART: after a stop the read comes back, and the prompt is shown again.
    action.sa_handler = prompt_signal;
    sigaction(signal, &action, old);
}

// Everything here is safe in a handler (signal-safety(7)), tcsetattr(3) too.
static void prompt_signal(int signal) {
    int error = errno;
    struct sigaction action;
    sigset_t one;
    tcsetattr(prompt_fd, TCSAFLUSH, &prompt_echo);
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, NULL);
    sigemptyset(&one);
    sigaddset(&one, signal);
    raise(signal);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    // Only a stop comes back, when the process is continued.
    prompt_catch(signal, NULL);
    tcsetattr(prompt_fd, TCSAFLUSH, &prompt_silent);
    errno = error;
}

int clinux_prompt_begin(int fd) {
    if (tcgetattr(fd, &prompt_echo)) return -1;
    prompt_silent = prompt_echo;
    prompt_silent.c_lflag &= (tcflag_t)~ECHO;
    prompt_silent.c_lflag |= ECHONL;
    prompt_fd = fd;
    for (size_t i = 0; i < PROMPT_SIGNALS; i++) {
        prompt_catch(prompt_signals[i], &prompt_old[i]);
        // What the caller was told to ignore (nohup(1), a job in the background) stays so.
        if (prompt_old[i].sa_handler == SIG_IGN) sigaction(prompt_signals[i], &prompt_old[i], NULL);
    }
    return tcsetattr(fd, TCSAFLUSH, &prompt_silent);
}

void clinux_prompt_end(void) {
    tcsetattr(prompt_fd, TCSAFLUSH, &prompt_echo);
    for (size_t i = 0; i < PROMPT_SIGNALS; i++) sigaction(prompt_signals[i], &prompt_old[i], NULL);
}

int clinux_run_visibly(const char *path, char *const arguments[]) {
    struct sigaction ignore, interrupt_old, quit_old;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    pid_t child;
    int status = 0;
    int error = posix_spawnattr_init(&attributes);
    if (error) { errno = error; return -1; }
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &interrupt_old);
    sigaction(SIGQUIT, &ignore, &quit_old);
    sigemptyset(&defaults);
    if (interrupt_old.sa_handler != SIG_IGN) sigaddset(&defaults, SIGINT);
    if (quit_old.sa_handler != SIG_IGN) sigaddset(&defaults, SIGQUIT);
    // What this program ignores for itself.
    sigaddset(&defaults, SIGPIPE);
    error = posix_spawnattr_setsigdefault(&attributes, &defaults);
    if (!error) error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    // No descriptor of ours is the other program's.
    clinux_seal_from(3);
    if (!error) error = posix_spawn(&child, path, NULL, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    while (!error && waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) error = errno;
    }
    sigaction(SIGINT, &interrupt_old, NULL);
    sigaction(SIGQUIT, &quit_old, NULL);
    if (error) { errno = error; return -1; }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int clinux_loop_keep(int loop_fd) {
    struct loop_info64 info;
    memset(&info, 0, sizeof info);
    if (ioctl(loop_fd, LOOP_GET_STATUS64, &info)) return -1;
    info.lo_flags &= ~(uint32_t)LO_FLAGS_AUTOCLEAR;
    return ioctl(loop_fd, LOOP_SET_STATUS64, &info);
}

static void keep_message(int context, char *message, size_t length) {
    // Each read(2) is one line: "e ext4: …".
    ssize_t count = read(context, message, length - 1);
    message[count > 0 ? count : 0] = 0;
    if (count > 0 && message[count - 1] == '\n') message[count - 1] = 0;
}

int clinux_mount_detached(
    const char *type, const char *source, char *const options[], int is_writable, char *message,
    size_t length) {
    int mounted = -1;
    message[0] = 0;
    int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0) return -1;
    int failed = fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0)
        || (!is_writable && fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0));
    for (size_t i = 0; !failed && options[i]; i++) {
        char key[256];
        const char *value = strchr(options[i], '=');
        if (value) {
            snprintf(key, sizeof key, "%.*s", (int)(value - options[i]), options[i]);
            failed = fsconfig(context, FSCONFIG_SET_STRING, key, value + 1, 0);
        } else {
            failed = fsconfig(context, FSCONFIG_SET_FLAG, options[i], NULL, 0);
        }
    }
    if (!failed) failed = fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (!failed) {
        mounted = fsmount(
            context, FSMOUNT_CLOEXEC,
            is_writable ? 0 : MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }
    int cause = errno;
    if (mounted < 0) keep_message(context, message, length);
    close(context);
    errno = cause;
    return mounted;
}

int clinux_mount_attach(int mount_fd, const char *directory) {
    return move_mount(mount_fd, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH);
}

static int64_t nanoseconds(struct statx_timestamp time) {
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int clinux_entry(int directory, const char *path, struct clinux_entry *entry) {
    struct statx found;
    memset(entry, 0, sizeof *entry);
    int result = statx(
        directory < 0 ? AT_FDCWD : directory, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &found);
    if (result != 0) return -1;
    entry->inode = found.stx_ino;
    entry->size = found.stx_size;
    entry->device = makedev(found.stx_rdev_major, found.stx_rdev_minor);
    entry->modified = nanoseconds(found.stx_mtime);
    entry->changed = nanoseconds(found.stx_ctime);
    if (found.stx_mask & STATX_BTIME) entry->born = nanoseconds(found.stx_btime);
    entry->mode = found.stx_mode;
    entry->owner = found.stx_uid;
    entry->group = found.stx_gid;
    return 0;
}

int clinux_open_within(int root, const char *path) {
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

int clinux_terminal_columns(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
