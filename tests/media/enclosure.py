"""Runs a function where whatever it mounts and starts ends with it.

The function runs in a process of its own, the first of a new PID namespace, with a mount namespace
of its own. When that process ends, by whatever signal, the kernel kills everything that it started
and undoes its mounts. Loop devices go with their last user, if they were told to (LO_AUTOCLEAR).
"""

import ctypes
import os
import signal
import subprocess
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1
FORWARDED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def run(function):
    """Returns what the function returns, an exit code, or 128 and the signal that ended it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "cannot make namespaces")
    sys.stdout.flush()
    inside = os.fork()
    if inside == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for signum in FORWARDED:
            signal.signal(signum, lambda signum, _: sys.exit(128 + signum))
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
        sys.exit(function())
    for signum in FORWARDED:
        signal.signal(signum, lambda signum, _: os.kill(inside, signum))
    code = os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1])
    return code if code >= 0 else 128 - code
