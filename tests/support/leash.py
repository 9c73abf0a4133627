"""Runs a program that the kernel kills with its parent: `python -IS leash.py PARENT_PID PROGRAM ARGUMENT...`.

Started by itself, in place of a function between fork and exec, which is unsafe beside threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
