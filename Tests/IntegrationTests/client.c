// A program as a user of the C library would write it, with settings of its own that stay as they were.
#define _GNU_SOURCE
#include <dirent.h>
#include <dmsnap.h>
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int control, logged;
static volatile sig_atomic_t children;

static void log_ours(int level, const char *file, int line, int code, const char *format, ...) {
    (void)file; (void)line; (void)code; (void)format;
    // Errors, not narration.
    logged += (level & 7) <= 3;
}

static void on_child(int signal) {
    (void)signal;
    children++;
}

// What a library has no business with, in one text.
static char *state(void) {
    static char text[2][16384];
    static int next;
    char *at = text[next ^= 1], *end = at + sizeof text[0];
    struct rlimit limit;
    struct sigaction action;
    sigset_t mask;
    mode_t creation = umask(0);
    umask(creation);
    char *directory = getcwd(NULL, 0);
    int count = 0;
    char *start = at;
    for (char **variable = environ; *variable; variable++) count++;
    at += snprintf(at, end - at, "umask %o directory %s variables %d dumpable %d mangling %d nice %d\n",
        creation, directory, count, prctl(PR_GET_DUMPABLE), dm_get_name_mangling_mode(),
        getpriority(PRIO_PROCESS, 0));
    free(directory);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number < NSIG; number++) {
        if (sigaction(number, NULL, &action)) continue;
        at += snprintf(at, end - at, "signal %d %p %x %d\n", number, (void *)action.sa_handler,
            (unsigned)action.sa_flags, sigismember(&mask, number));
    }
    for (int kind = 0; kind < RLIM_NLIMITS; kind++) {
        getrlimit(kind, &limit);
        at += snprintf(at, end - at, "limit %d %lu %lu\n", kind, limit.rlim_cur, limit.rlim_max);
    }
    for (int fd = 0; fd < 256; fd++) {
        struct stat file;
        if (fstat(fd, &file)) continue;
        at += snprintf(at, end - at, "descriptor %d %lu flags %d\n", fd,
            (unsigned long)file.st_rdev, fcntl(fd, F_GETFD));
    }
    return start;
}

// A task of libdevmapper's that fails, and says so.
static int fail_task(void) {
    struct dm_task *task = dm_task_create(DM_DEVICE_REMOVE);
    int done = task && dm_task_set_name(task, "client-nothing") && dm_task_run(task);
    if (task) dm_task_destroy(task);
    return !done;
}

static const char *before;

static void tell(const char *what, int code) {
    const char *now = state();
    printf("%s %d\n", what, code);
    if (strcmp(now, before)) printf("changed by it: from\n%s\nto\n%s\n", before, now);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_child};
    sigset_t mask;
    if (argc != 3) return 2;
    const char *device = argv[1], *password = argv[2];
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    signal(SIGUSR1, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    umask(027);
    dm_log_with_errno_init(log_ours);
    dm_set_name_mangling_mode(DM_STRING_MANGLING_HEX);
    // For its children to have, and libdevmapper's own.
    control = open("/dev/mapper/control", O_RDWR);
    if (!fail_task() || logged != 1) return 3;
    before = strdup(state());

    tell("null", activate_snapshot(NULL, password));
    tell("wrong", activate_snapshot(device, "no"));
    fprintf(stderr, "%s\n", dmsnap_error());
    tell("missing", activate_snapshot("/dev/nothing", password));
    tell("activate", activate_snapshot(device, password));
    tell("again", activate_snapshot(device, password));
    tell("deactivate", deactivate_snapshot(device, password));
    tell("not active", deactivate_snapshot(device, password));
    tell("sys_activate", sys_activate_snapshot(device, password));
    tell("sys_deactivate", sys_deactivate_snapshot(device, password));

    printf("children %d %d\n", (int)children, waitpid(-1, NULL, WNOHANG | __WALL) < 0 && errno == ECHILD);
    logged = 0;
    fail_task();
    printf("logged %d\n", logged);
    return 0;
}
