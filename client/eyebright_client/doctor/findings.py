"""What a check says: how grave it is, in one sentence, with what to do and the numbers behind it.

========  ===============================================================  ====
``ok``    looked at and in order                                           0
``info``  worth knowing, nothing to do                                     0
``warn``  usable, but somebody should look                                 1
``stop``  this data would harm a round; it is refused until corrected      2
========  ===============================================================  ====

The exit code of the whole is that of its gravest check. Numbers are counts, shares and words of our own vocabulary:
nothing in a finding was written by a person or stands in a file, so it may be shared as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How grave a finding is, lightest first."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    STOP = "stop"


EXIT_CODES = {Level.OK: 0, Level.INFO: 0, Level.WARN: 1, Level.STOP: 2}
_ORDER = list(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one check.

    Attributes:
        check: Stable name.
        level: How grave it is.
        sentence: What was found, for people.
        fix: What to do, empty where nothing is to do.
        numbers: What was counted.
    """

    check: str
    level: Level
    sentence: str
    fix: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "check": self.check,
            "level": str(self.level),
            "sentence": self.sentence,
            "fix": self.fix,
            "numbers": dict(self.numbers),
        }


def gravest(levels: Iterable[Level]) -> Level:
    """Return the gravest of some levels, ``ok`` of none."""
    return max(levels, key=_ORDER.index, default=Level.OK)


def by_share(count: int, total: int, *, stop_above: float, found: Level = Level.WARN) -> Level:
    """Return ``ok`` for nothing found, ``stop`` above a share of the total, else ``found``."""
    if not count:
        return Level.OK
    return Level.STOP if count > stop_above * max(1, total) else found
