"""A unit whose power goes: runs an update in a process of its own that dies at a named state and moment.

Usage: ``python unit_with_fault.py HOME RELEASES STATE MOMENT``. Exit code 9 is the power cut.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.transitions import State
from eyebright_edge.agent.update import Moment, UpdateAgent
from eyebright_edge.runtime import open_runtime
from folder_releases import FolderReleases

POWER_CUT = 9


def main() -> None:
    home, releases, state, moment = sys.argv[1:]

    def pull_the_plug(now_in: State, when: Moment) -> None:
        if (now_in, when) == (State(state), Moment(moment)):
            os._exit(POWER_CUT)

    UpdateAgent(
        UnitHome(Path(home)),
        task="fundus",
        source=FolderReleases(Path(releases)),
        open_runtime=open_runtime,
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        onlooker=pull_the_plug,
    ).update()


if __name__ == "__main__":
    main()
