"""Hearing from the server that something was published, so that a unit need not wait for its next look.

* A hint proves nothing and carries nothing: it ends a rest early, and what follows is a look like any other. A unit
  that hears none looks when its rest is over.
* The mark heard last is kept. The server's first word after a start is a hint too, because what was published before
  anybody listened would otherwise wait for the next look; so is its first word after a time without it, when the last
  look failed: a van that has a network for an hour a week must not spend that hour resting.
* A line that breaks is opened again after a pause that doubles up to five minutes, half of it chance. However often
  the server calls, a rest is never shorter than half a minute.
* It listens in the caller's own thread, so that whatever ends a sleep ends this.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Protocol

from eyebright_common.errors import EyebrightError

Listen = Callable[[str, float], Generator[str]]

LEAST_REST_S = 30.0
_FIRST_PAUSE_S = 20.0
_LONGEST_PAUSE_S = 300.0


class Hints(Protocol):
    """What may end a rest early."""

    def within(self, longest_s: float, *, unreached: bool) -> bool:
        """Rest, and return whether there was a hint.

        Args:
            longest_s: How long at most, seconds.
            unreached: The last look failed, so that the server's coming back is a hint.
        """


class ServerHints:
    """Implements ``Hints`` with the server's own word.

    Args:
        listen: Given the mark heard last and for how long to listen, seconds, yields the marks that follow.
        now: A clock that only rises, seconds.
        sleep: Waits, seconds.
        chance: Of the pauses' jitter.
    """

    def __init__(
        self,
        listen: Listen,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: random.Random | None = None,
    ) -> None:
        self._listen = listen
        self._now = now
        self._sleep = sleep
        self._chance = chance or random.Random()
        self._mark = ""

    def within(self, longest_s: float, *, unreached: bool) -> bool:
        """Rest until the server says that something was published, or the time is over; returns whether it said so."""
        begun, breaks = self._now(), 0
        while (left_s := begun + longest_s - self._now()) > 0:
            if heard := self._next_mark(left_s):
                self._mark = heard
                self._sleep(max(0.0, min(LEAST_REST_S, longest_s) - (self._now() - begun)))
                return True
            breaks += 1
            if unreached:
                self._mark = ""
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(breaks - 1, 30)) * (0.5 + self._chance.random())
            self._sleep(max(0.0, min(pause_s, begun + longest_s - self._now())))
        return False

    def _next_mark(self, for_s: float) -> str:
        try:
            with closing(self._listen(self._mark, for_s)) as marks:
                return next(marks, "")
        except (EyebrightError, OSError):
            return ""  # nobody there, or nobody who takes this unit: the next look says which
