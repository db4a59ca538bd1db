"""A unit whose power goes: a process of its own that is killed (SIGKILL) at a named state and moment of an update.

Usage: ``python unit_with_fault.py HOME RELEASES STATE MOMENT [rollback]``; with the last word a person rolls back.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from direct_workshop import DirectWorkshop
from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.settings import Budget, Trial
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment, UpdateAgent
from eyebright_edge.runtime import open_runtime
from folder_releases import FolderReleases

POWER_CUT = -signal.SIGKILL


def main() -> None:
    home, releases, state, moment, *rollback = sys.argv[1:]

    def pull_the_plug(now_in: State, when: Moment) -> None:
        if (now_in, when) == (State(state), Moment(moment)):
            os.kill(os.getpid(), signal.SIGKILL)

    agent = UpdateAgent(
        UnitHome(Path(home)),
        task="fundus",
        source=FolderReleases(Path(releases)),
        open_runtime=open_runtime,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        onlooker=pull_the_plug,
        trial=Trial(visits=0),
        budget=Budget(memory_mb=64_000, latency_p95_ms=1e6),
        workshop=DirectWorkshop(open_runtime),
    )
    if rollback:
        agent.roll_back()
    else:
        agent.update()


if __name__ == "__main__":
    main()
