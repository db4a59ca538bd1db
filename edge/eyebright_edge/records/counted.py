"""What is counted of a visit, and a journal that writes nothing else.

* Counted fields stand in the clear in every journal of visits: time, release, answer, quality, reasons, how long it
  took, the camera. Telemetry, ``status`` and the trial of a release need no key for them.
* All else is a patient's. The kiosk seals it (``vault_store``). A command has no PIN to seal it with, so a visit held
  on the command line leaves its counts and nothing more: no digest, eye or score lies open until somebody unlocks the
  kiosk, and there is nothing that retention would have to find. Its answer is where the command was told to write it.
* ``kept`` marks each line of such a visit, so that a journal which lost the first of them still knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eyebright_edge.records.journal import JournalLike

KEPT, COUNTS = "kept", "counts"
COUNTED = frozenset(
    {
        "event",
        "visit",
        "at",
        "release",
        "verdict",
        "reasons",
        "quality",
        "milliseconds",
        "camera",
        "measured_cameras",
        KEPT,
    }
)


def is_counted(field: str, entry: Mapping[str, Any]) -> bool:
    """Return whether a field of an entry may stand in the clear."""
    # The reasons of a picture are counted; those of an answer say which eye, and are not.
    return field in COUNTED and (field, entry.get("event")) != ("reasons", "closed")


class CountingJournal:
    """A journal of visits that drops whatever is not counted; implements ``JournalLike``.

    Args:
        journal: Where entries go.
    """

    def __init__(self, journal: JournalLike) -> None:
        self._journal = journal

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add what is counted of an entry."""
        self._journal.append(_counts_of(entry))

    def append_after(self, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Add and return what is counted of the entry that ``make`` gives."""
        return self._journal.append_after(lambda: _counts_of(make()))

    def read(self, having: bytes = b"") -> tuple[list[dict[str, Any]], int]:
        """Return the entries, oldest first, and how many were damaged."""
        return self._journal.read(having)

    def last_visit(self) -> int:
        """Return the highest number of a visit."""
        return self._journal.last_visit()


def _counts_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**{field: entry[field] for field in entry if is_counted(field, entry)}, KEPT: COUNTS}
