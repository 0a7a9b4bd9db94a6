#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Between clone(2) and execvp(3) only what is safe in a signal's handler is called: other threads of this
// program may have held any lock.

// What came of it, through a pipe: at which step it failed with which errno, or the command's status.
struct outcome { int step, value; };

static void tell(int report, int step, int value) {
    struct outcome outcome = { step, value };
    while (write(report, &outcome, sizeof outcome) < 0 && errno == EINTR) {}
}

static void become_command(char *const arguments[], const sigset_t *mask, int report) {
    static const int ours[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) signal(ours[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    // What is sealed is closed at the exec; until then it tells of a failure.
    clinux_seal_from(3);
    execvp(arguments[0], arguments);
    tell(report, CLINUX_CONFINED_EXEC, errno);
    _exit(127);
}

// The first process of the namespaces: with it the kernel kills every other process in them.
static void lead(
    int mount_fd, const char *directory, char *const arguments[], const sigset_t *mask,
    int alive, int report) {
    sigset_t awaited;
    struct pollfd parent = { alive, 0, 0 };
    // The parent may have died before it was asked for.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (poll(&parent, 1, 0) != 0) _exit(1);
    // What is mounted here is seen by nobody else, but what others mount and unmount is seen here.
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL)) {
        tell(report, CLINUX_CONFINED_SPACE, errno);
        _exit(1);
    }
    if (clinux_mount_attach(mount_fd, directory)) {
        tell(report, CLINUX_CONFINED_MOUNT, errno);
        _exit(1);
    }
    // Processes have other numbers here. Without it ps(1) shows everybody's.
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGHUP);
    sigprocmask(SIG_BLOCK, &awaited, NULL);
    pid_t command = fork();
    if (command == 0) become_command(arguments, mask, report);
    if (command < 0) {
        tell(report, CLINUX_CONFINED_SPACE, errno);
        _exit(1);
    }
    for (;;) {
        int status, number = sigwaitinfo(&awaited, NULL);
        if (number == SIGTERM || number == SIGHUP) kill(command, number);
        if (number != SIGCHLD) continue;
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (ended != command) continue;
            tell(report, CLINUX_CONFINED_RAN,
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            _exit(0);
        }
    }
}

static volatile sig_atomic_t leader;

static void forward(int number) {
    int cause = errno;
    if (leader > 0) kill(leader, number);
    errno = cause;
}

int clinux_run_confined(
    int mount_fd, const char *directory, char *const arguments[], int *step) {
    static const int forwarded[] = { SIGTERM, SIGHUP };
    static const int ignored[] = { SIGINT, SIGQUIT };
    struct sigaction was[4], action = { .sa_flags = 0 };
    struct outcome outcome = { CLINUX_CONFINED_RAN, 128 + SIGKILL };
    sigset_t blocked, mask;
    int alive[2], report[2];
    *step = CLINUX_CONFINED_SPACE;
    if (clinux_pipe(alive)) return -1;
    if (clinux_pipe(report)) {
        close(alive[0]);
        close(alive[1]);
        return -1;
    }
    // Until it is known to whom they go.
    sigemptyset(&blocked);
    for (size_t i = 0; i < 2; i++) sigaddset(&blocked, forwarded[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWNS | CLONE_NEWPID, 0, 0, 0, 0);
    if (child == 0) {
        close(alive[1]);
        for (size_t i = 0; i < 2; i++) signal(ignored[i], SIG_IGN);
        lead(mount_fd, directory, arguments, &mask, alive[0], report[1]);
    }
    int cause = errno;
    close(alive[0]);
    close(report[1]);
    leader = child;
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN;
    for (size_t i = 0; i < 2; i++) sigaction(ignored[i], &action, &was[i]);
    action.sa_handler = forward;
    for (size_t i = 0; i < 2; i++) sigaction(forwarded[i], &action, &was[2 + i]);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (child > 0) {
        // It ends with its namespaces' last process.
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        // The first word counts: that there is no such command, and then that its process has ended.
        struct outcome first;
        if (read(report[0], &first, sizeof first) == sizeof first) outcome = first;
        *step = outcome.step;
    }
    leader = 0;
    for (size_t i = 0; i < 2; i++) {
        sigaction(ignored[i], &was[i], NULL);
        sigaction(forwarded[i], &was[2 + i], NULL);
    }
    close(alive[1]);
    close(report[0]);
    if (child > 0 && outcome.step == CLINUX_CONFINED_RAN) return outcome.value;
    errno = child > 0 ? outcome.value : cause;
    return -1;
}
