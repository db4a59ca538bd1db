"""Visits: every step of one is on disk before the next begins.

``opened`` (who, and which release answers) → ``checklist`` → ``received`` (a picture is safe on this unit) →
``picture`` (what it said) … → ``closed`` (the answer) → ``exported`` (somebody printed or saved it).

A visit that was never closed was interrupted; everything up to the last step is still there, and it can go on. The
release never changes inside a visit: it is bound to the one it was opened with, and where that one is lost,
``rebound`` names the next and every picture is judged again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from eyebright_common.errors import InputError
from eyebright_common.release import Verdict
from eyebright_edge.records.counted import COUNTS, KEPT
from eyebright_edge.records.journal import Journal, JournalLike

_ANSWERS = (Verdict.REFER, Verdict.NO_REFERRAL, Verdict.UNGRADABLE)
_COMMANDED = "It was held with `eyebright edge screen`, which wrote it where it was told to."


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit, as far as it is recorded.

    Attributes:
        number: Its number on this unit, from 1.
        opened_at: When, ISO 8601.
        release: Version of the release that answers.
        about: What was recorded when it was opened (and rebound): patient, technician, release, threshold, camera.
        checklist: The answers; None until they are given.
        received: Every picture that is safe on this unit, in order.
        pictures: What was recorded of each picture that was judged, in order; a rebound visit has none of before.
        skipped: Eyes that cannot be photographed.
        answer: What was recorded at the end; None while it is unfinished.
        exported: How and when it was printed or saved, in order.
        forgotten: Whether what was kept of the patient has been deleted: only release and answer are left.
        only_counted: Whether nothing of a patient was ever kept: it was held on the command line.
    """

    number: int
    opened_at: str
    release: str
    about: Mapping[str, Any] = field(default_factory=dict)
    checklist: Mapping[str, str] | None = None
    received: tuple[Mapping[str, Any], ...] = ()
    pictures: tuple[Mapping[str, Any], ...] = ()
    skipped: tuple[str, ...] = ()
    answer: Mapping[str, Any] | None = None
    exported: tuple[Mapping[str, Any], ...] = ()
    forgotten: bool = False
    only_counted: bool = False

    @property
    def tells(self) -> bool:
        """Whether it says more than what is counted, so that it can be shown, printed and gone on with."""
        return not (self.forgotten or self.only_counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitCounts:
    """How the visits of this unit ended.

    Attributes:
        verdicts: Visits by answer.
        pictures: Pictures taken in all visits.
        unfinished: Visits without an answer that somebody could still go on with.
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
        journal: Another journal than a strict, unsealed one at ``path``.
    """

    def __init__(
        self, path: Path, clock: Callable[[], datetime] | None = None, *, journal: JournalLike | None = None
    ) -> None:
        self._journal: JournalLike = journal or Journal(path)
        self._clock = clock

    def open(self, *, release: str, **about: Any) -> int:
        """Begin a visit and return its number; ``about`` is kept with it."""
        # Numbered under the journal's own lock: two people at one unit must not write into each other's visit.
        opened = self._journal.append_after(
            lambda: self._entry("opened", self._journal.last_visit() + 1, release=release, **about)
        )
        return int(opened["visit"])

    def answer_checklist(self, number: int, answers: Mapping[str, str]) -> None:
        """Record the answers to the questions before the first picture."""
        self._journal.append(self._entry("checklist", number, answers=dict(answers)))

    def receive(self, number: int, facts: Mapping[str, Any]) -> None:
        """Record that a picture is safe on this unit; ``eye`` and ``sha256`` are among the facts."""
        self._journal.append(self._entry("received", number, **facts))

    def add_picture(self, number: int, facts: Mapping[str, Any]) -> None:
        """Record what one picture said."""
        self._journal.append(self._entry("picture", number, **facts))

    def skip(self, number: int, eye: str) -> None:
        """Record that an eye cannot be photographed."""
        self._journal.append(self._entry("skipped", number, eye=eye))

    def rebind(self, number: int, *, release: str, **about: Any) -> None:
        """Record that another release answers this visit from here on, for all of its pictures."""
        self._journal.append(self._entry("rebound", number, release=release, **about))

    def close(self, number: int, answer: Mapping[str, Any]) -> None:
        """Record the answer; ``verdict`` is one of the words a person reads."""
        self._journal.append(self._entry("closed", number, **answer))

    def export(self, number: int, facts: Mapping[str, Any]) -> None:
        """Record that somebody printed or saved the answer."""
        self._journal.append(self._entry("exported", number, **facts))

    def visits(self) -> tuple[Visit, ...]:
        """Return all visits, oldest first."""
        return tuple(self._found().values())

    def visit(self, number: int) -> Visit:
        """Return one visit.

        Raises:
            InputError: there is none of that number, or nothing of it is kept but its counts.
        """
        visit = self._found(having=b'"visit":%d' % number).get(number)
        if visit is None:
            fix = "`eyebright edge status` shows the last one."
            raise InputError("no such visit on this unit", value=number, fix=fix)
        if visit.forgotten:
            raise InputError("what was kept of this visit has been deleted", value=number)
        if visit.only_counted:
            raise InputError("of this visit only the answer was counted", value=number, fix=_COMMANDED)
        return visit

    def counts(self, *, release: str | None = None) -> VisitCounts:
        """Return how the visits ended; only those that ``release`` answered, when it is given."""
        visits = [visit for visit in self.visits() if release in (None, visit.release)]
        words = Counter(str(visit.answer.get("verdict")) for visit in visits if visit.answer is not None)
        return VisitCounts(
            verdicts={word: words[word.value] for word in _ANSWERS},
            pictures=sum(len(visit.pictures) for visit in visits),
            unfinished=sum(visit.answer is None and not visit.only_counted for visit in visits),
            damaged_lines=self._journal.read()[1],
        )

    def _found(self, having: bytes = b"") -> dict[int, Visit]:
        found: dict[int, Visit] = {}
        for entry in self._journal.read(having)[0]:
            _apply(found, entry)
        return found

    def _entry(self, event: str, number: int, **facts: Any) -> dict[str, Any]:
        assert self._clock is not None, "a journal opened for reading cannot be written"
        return {**facts, "event": event, "visit": number, "at": self._clock().isoformat()}


def _apply(found: dict[int, Visit], entry: Mapping[str, Any]) -> None:
    facts = {key: value for key, value in entry.items() if key not in ("event", "visit")}
    number, event, at = int(entry["visit"]), entry["event"], str(entry["at"])
    # The line that opened a visit may be the one that the disk has spoilt: what came after it still counts.
    before = found.get(number) or Visit(number=number, opened_at=at, release="")
    commanded = before.only_counted or facts.get(KEPT) == COUNTS
    found[number] = replace(before, **_change(before, str(event), facts), only_counted=commanded)


def _change(before: Visit, event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    if facts.get("forgotten"):
        kept = _change(before, event, {**facts, "forgotten": False}) if event in ("opened", "closed") else {}
        return {**kept, "forgotten": True}
    match event:
        case "opened":
            return {"release": str(facts.get("release", "")), "about": facts}
        case "rebound":
            return {"release": str(facts["release"]), "about": {**before.about, **facts}, "pictures": ()}
        case "checklist":
            return {"checklist": facts.get("answers", {})}
        case "received":
            return {"received": (*before.received, facts)}
        case "picture":
            return {"pictures": (*before.pictures, facts)}
        case "skipped":
            return {"skipped": (*before.skipped, str(facts.get("eye", "")))}
        case "closed":
            return {"answer": facts}
        case "exported":
            return {"exported": (*before.exported, facts)}
        case _:  # Written by a newer version: nothing this one may act on.
            return {}
