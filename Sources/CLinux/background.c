#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t second;

static void pass_on(int signal) { kill(second, signal); }

// The first process: ends as the second one does, or with 0 when that stays.
static void wait_for_second(int end) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    // From a terminal it comes to both.
    action.sa_handler = SIG_IGN;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    action.sa_handler = pass_on;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    char stays;
    ssize_t count;
    do count = read(end, &stays, 1);
    while (count < 0 && errno == EINTR);
    if (count == 1) _exit(0);
    int status;
    while (waitpid(second, &status, 0) < 0)
        if (errno != EINTR) _exit(71);
    if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

int clinux_background(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    // What is written already would be written by both.
    fflush(NULL);
    pid_t first = getpid();
    second = fork();
    if (second < 0) {
        int cause = errno;
        close(ends[0]);
        close(ends[1]);
        errno = cause;
        return -1;
    }
    if (second > 0) {
        close(ends[1]);
        wait_for_second(ends[0]);
    }
    close(ends[0]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != first) _exit(71);
    return clinux_above_standard(ends[1]);
}

int clinux_background_stay(int end) {
    fflush(NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || chdir("/") != 0) return -1;
    for (int standard = 0; standard <= 2; standard++)
        if (dup2(null, standard) < 0) return -1;
    if (null > 2) close(null);
    setsid();
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    return write(end, "", 1) == 1 && close(end) == 0 ? 0 : -1;
}
