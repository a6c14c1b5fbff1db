"""Runs one command and ends everything that it started when the parent goes.

The parent holds the other end of this process's standard input. However the parent ends, also by
SIGKILL, the kernel closes that end, and the end of input is the sign to kill. Descendants are found
by parenthood (as their subreaper, this process inherits those whose own parent has ended, so a
process that left its group or session is found too) and by their HOME, which finds what the parent
started beside this process. Everything here is disposable: no grace, SIGKILL.

usage: child_guard.py HOMES FOLDER COMMAND...
Both may be empty. Processes whose HOME is below HOMES are killed too; FOLDER is removed last.
"""

import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option, value):
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        pass  # not Linux: the process group has to do


def start(command):
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
    os._exit(127)


def reap(main, status):
    """Collects what has ended; returns the command's own status once it is known."""
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == main:
            status = code


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def lives_below(pid, homes):
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return any(entry.startswith(b"HOME=" + homes + b"/") for entry in environ.read().split(b"\0"))
    except OSError:
        return False


def victims(homes):
    parents = {pid: parent(pid) for pid in processes()}
    found = {os.getpid()}
    while True:
        more = {pid for pid, above in parents.items() if above in found} - found
        if not more:
            break
        found |= more
    if homes:
        found |= {pid for pid in parents if lives_below(pid, homes)}
    return found - {os.getpid(), os.getppid()}


def kill(pid, send=os.kill):
    try:
        send(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def end(main, homes):
    kill(main, os.killpg)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for pid in victims(homes):
            kill(pid)
        _, more = reap(main, None)
        if not more and not victims(homes):
            break
        time.sleep(0.01)


def remove(folder):
    import shutil

    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)


def main():
    homes, folder, command = os.fsencode(sys.argv[1]), sys.argv[2], sys.argv[3:]
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = start(command)
    status = None
    while status is None:
        readable, _, _ = select.select([0, wake], [], [], 1)
        if wake in readable:
            os.read(wake, 4096)
        status, _ = reap(child, status)
        if 0 in readable and not os.read(0, 4096):
            break
    end(child, homes)
    if folder:
        remove(folder)
    sys.exit(137 if status is None else os.waitstatus_to_exitcode(status) % 256)


main()
