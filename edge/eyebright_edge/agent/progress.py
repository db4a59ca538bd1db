"""``progress.json``: how far a long work has come, so that a build of minutes does not look dead.

For people only: it is not fsynced, nothing is decided by it, and a disk that does not take it is no reason to stop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from eyebright_edge.agent.home import UnitHome
from eyebright_edge.agent.transitions import State

_WRITE_EVERY_S = 1.0


class ProgressNote:
    """The note of one agent.

    Args:
        home: The unit's home.
        clock: Monotonic seconds.
    """

    def __init__(self, home: UnitHome, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = home.progress_file
        self._clock = clock
        self._state = State.IDLE
        self._written = float("-inf")

    def begin(self, state: State) -> None:
        """A state's work begins."""
        self._state = state
        self._written = float("-inf")

    def tell(self, share: float, doing: str) -> None:
        """Note the share that is done, 0–1, and what is being done; at most once a second."""
        now = self._clock()
        if now - self._written < _WRITE_EVERY_S:
            return
        self._written = now
        draft = self._file.with_suffix(".part")
        with suppress(OSError):
            draft.write_text(json.dumps({"state": self._state.value, "share": round(share, 3), "doing": doing}))
            draft.replace(self._file)

    def end(self) -> None:
        """The work has ended; nothing is in progress."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)


def read_progress(home: UnitHome) -> dict[str, Any] | None:
    """Return ``state``, ``share`` and ``doing`` of the work in progress, None without any."""
    try:
        noted = json.loads(home.progress_file.read_bytes())
        return {"state": str(noted["state"]), "share": float(noted["share"]), "doing": str(noted["doing"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
