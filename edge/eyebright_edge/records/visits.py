"""Visits: every step of one is on disk before the next begins.

``opened`` (which release answers) → ``picture`` for each picture → ``closed`` (the answer). A visit that was never
closed was interrupted; its pictures are still there. The release never changes inside a visit: it is bound to the one
it was opened with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eyebright_common.errors import InputError
from eyebright_common.release import Verdict
from eyebright_edge.records.journal import Journal

_ANSWERS = (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit, as far as it is recorded.

    Attributes:
        number: Its number on this unit, from 1.
        opened_at: When, ISO 8601.
        release: Version of the release that answers.
        pictures: What was recorded of each picture, in order.
        answer: What was recorded at the end; None while it is unfinished.
    """

    number: int
    opened_at: str
    release: str
    pictures: tuple[Mapping[str, Any], ...] = ()
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitCounts:
    """How the visits of this unit ended.

    Attributes:
        verdicts: Visits by answer.
        pictures: Pictures taken in all visits.
        unfinished: Visits without an answer.
        damaged_lines: Lines of the journal that the disk has spoilt.
    """

    verdicts: Mapping[Verdict, int]
    pictures: int
    unfinished: int
    damaged_lines: int


class VisitJournal:
    """The visits of one unit.

    Args:
        path: The journal file.
        clock: The present time, aware; needed to write.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] | None = None) -> None:
        self._journal = Journal(path)
        self._clock = clock

    def open(self, *, release: str) -> int:
        """Begin a visit and return its number."""
        # Numbered under the journal's own lock: two people at one unit must not write into each other's visit.
        opened = self._journal.append_after(
            lambda: self._entry("opened", _next_number(self._journal.read()[0]), release=release)
        )
        return int(opened["visit"])

    def add_picture(self, number: int, facts: Mapping[str, Any]) -> None:
        """Record what one picture said."""
        self._journal.append(self._entry("picture", number, **facts))

    def close(self, number: int, answer: Mapping[str, Any]) -> None:
        """Record the answer; ``verdict`` is one of the words a person reads."""
        self._journal.append(self._entry("closed", number, **answer))

    def visits(self) -> tuple[Visit, ...]:
        """Return all visits, oldest first."""
        found: dict[int, Visit] = {}
        for entry in self._journal.read()[0]:
            _apply(found, entry)
        return tuple(found.values())

    def visit(self, number: int) -> Visit:
        """Return one visit.

        Raises:
            InputError: there is none of that number.
        """
        for visit in self.visits():
            if visit.number == number:
                return visit
        raise InputError("no such visit on this unit", value=number, fix="`eyebright edge status` shows the last one.")

    def counts(self, *, release: str | None = None) -> VisitCounts:
        """Return how the visits ended; only those that ``release`` answered, when it is given."""
        visits = [visit for visit in self.visits() if release in (None, visit.release)]
        words = Counter(str(visit.answer.get("verdict")) for visit in visits if visit.answer is not None)
        return VisitCounts(
            verdicts={word: words[word.value] for word in _ANSWERS},
            pictures=sum(len(visit.pictures) for visit in visits),
            unfinished=sum(visit.answer is None for visit in visits),
            damaged_lines=self._journal.read()[1],
        )

    def _entry(self, event: str, number: int, **facts: Any) -> dict[str, Any]:
        assert self._clock is not None, "a journal opened for reading cannot be written"
        return {**facts, "event": event, "visit": number, "at": self._clock().isoformat()}


def _next_number(entries: Iterable[Mapping[str, Any]]) -> int:
    return 1 + max((int(entry["visit"]) for entry in entries), default=0)


def _apply(found: dict[int, Visit], entry: Mapping[str, Any]) -> None:
    facts = {key: value for key, value in entry.items() if key not in ("event", "visit")}
    number, event = int(entry["visit"]), entry["event"]
    before = found.get(number, Visit(number=number, opened_at=str(entry["at"]), release=str(entry.get("release", ""))))
    pictures = (*before.pictures, facts) if event == "picture" else before.pictures
    found[number] = Visit(
        number=number,
        opened_at=before.opened_at,
        release=before.release,
        pictures=pictures,
        answer=facts if event == "closed" else before.answer,
    )
