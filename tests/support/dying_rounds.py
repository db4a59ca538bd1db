"""The operator's command, in a process that is killed by the kernel at one point of a round.

python dying_rounds.py POINT WORDS...
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from eyebright_common.cli import main
from eyebright_server.federation import checkpoint
from eyebright_server.federation.collecting import Collecting
from eyebright_server.federation.flower import StrategyAveraging


def die(*arguments: Any, **named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after_the_first(accept: Any) -> Any:
    def accept_and_die(*arguments: Any, **named: Any) -> None:
        accept(*arguments, **named)
        die()

    return accept_and_die


POINTS = {
    "waiting": lambda: setattr(Collecting, "_accept", after_the_first(Collecting._accept)),
    "aggregating": lambda: setattr(StrategyAveraging, "combine", die),
    # The student is on disk, the index that names it is not.
    "checkpointing": lambda: setattr(checkpoint, "write_json", die),
}

if __name__ == "__main__":
    POINTS[sys.argv[1]]()
    sys.argv[1:] = sys.argv[2:]
    main()
