"""Run a program that ends when its parent ends: ``python -m eyebright_common.tied PARENT_PID PROGRAM ARGUMENT…``.

* A supervisor that is killed (SIGKILL, out of memory) cannot stop its children; the kernel can. The signal asked for
  here survives ``exec``, so the program itself need not know of it.
* Linux only (``prctl``). Elsewhere the program simply runs; a service manager ends it with its group.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program."""
    parent, *program = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            raise SystemExit(1)  # it was gone before the kernel was asked
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
