"""terminal.py HOW TYPED PROGRAM [ARGUMENT...]

Runs the program on a terminal of its own, in a session with job control. When it has turned the echo
off: HOW is a signal's name, sent by its key or to the process; after TSTP it is continued, TYPED is
typed, and its end awaited. A line a step goes to standard output: what happened, and whether the
terminal has its echo.
"""

import fcntl
import os
import resource
import signal
import sys
import termios
import time

KEYS = {"INT": b"\x03", "QUIT": b"\x1c", "TSTP": b"\x1a"}


def echo(fd):
    return int(bool(termios.tcgetattr(fd)[3] & termios.ECHO))


def wait_for_silence(fd):
    for _ in range(1000):
        if not echo(fd):
            # The prompt may flush what comes with it.
            time.sleep(0.3)
            return
        time.sleep(0.02)
    sys.exit("the program has not turned the echo off")


def main():
    how, typed, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    master, slave = os.openpty()
    # Whoever stops needs a parent in the session, or nobody could continue it (job control's rule).
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.chdir("/tmp")
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for fd in 0, 1, 2:
            os.dup2(slave, fd)
        os.execv(command[0], command)
    wait_for_silence(slave)
    if how in KEYS:
        os.write(master, KEYS[how])
    elif how != "NONE":
        os.kill(child, getattr(signal, "SIG" + how))
    if how == "TSTP":
        _, status = os.waitpid(child, os.WUNTRACED)
        print("stopped", int(os.WIFSTOPPED(status)), "echo", echo(slave), flush=True)
        os.tcsetpgrp(slave, child)
        os.kill(child, signal.SIGCONT)
        wait_for_silence(slave)
    if how in ("TSTP", "NONE"):
        os.write(master, os.fsencode(typed) + b"\n")
    _, status = os.waitpid(child, 0)
    ended = ("signal", os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (
        "status", os.WEXITSTATUS(status))
    core = ["core"] if os.WCOREDUMP(status) else []
    print(*ended, *core, "echo", echo(slave), flush=True)


if os.fork() == 0:
    # Not a group's leader, so that it may begin a session.
    main()
    os._exit(0)
_, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
