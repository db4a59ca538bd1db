"""The operator's command, in a process that stands still at points of its rounds until it is let go on or killed.

python held_rounds.py FOLDER POINT-ROUND,POINT-ROUND,... WORDS...

At each of these points it makes the file FOLDER/POINT-ROUND and waits until somebody removes it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from eyebright_common.cli import main
from eyebright_server.federation import checkpoint
from eyebright_server.federation.flower import FlowerHospitals, StrategyAveraging

# Before and after the question to train is handed to the SuperLink; before the average; before the index that names
# the round's student, which is on disk by then.
OPENING, SENT, AGGREGATING, CHECKPOINTING = "opening", "sent", "aggregating", "checkpointing"


class Holds:
    """The points at which this process stands still."""

    def __init__(self, folder: Path, points: frozenset[str]) -> None:
        self._folder, self._points = folder, points

    def stand_still(self, point: str, number: object) -> None:
        if f"{point}-{number}" not in self._points:
            return
        mark = self._folder / f"{point}-{number}"
        mark.touch()
        while mark.exists():
            time.sleep(0.01)

    def put_into_the_rounds(self) -> None:
        send, combine, write = FlowerHospitals._send, StrategyAveraging.combine, checkpoint.write_json

        def held_send(people: FlowerHospitals, question: Any, nodes: list[int]) -> None:
            kind, _, number = question.text.partition(" of round ")
            first = kind == "train" and nodes and not question.asked_again
            if first:
                self.stand_still(OPENING, number)
            send(people, question, nodes)
            if first:
                self.stand_still(SENT, number)

        def held_combine(averaging: StrategyAveraging, number: int, *rest: Any) -> Any:
            self.stand_still(AGGREGATING, number)
            return combine(averaging, number, *rest)

        def held_write(path: Path, index: Any) -> None:
            self.stand_still(CHECKPOINTING, index["rounds"][-1]["round"])
            write(path, index)

        FlowerHospitals._send = held_send  # type: ignore[method-assign]
        StrategyAveraging.combine = held_combine  # type: ignore[method-assign]
        checkpoint.write_json = held_write


if __name__ == "__main__":
    Holds(Path(sys.argv[1]), frozenset(sys.argv[2].split(","))).put_into_the_rounds()
    sys.argv[1:] = sys.argv[3:]
    main()
